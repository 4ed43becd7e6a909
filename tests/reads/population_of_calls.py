"""Allocations of an organization's funds with calls in every status, payments and distributions."""

from collections.abc import Awaitable, Callable
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, TypeVar

from pydantic import TypeAdapter

from api.domain.access import Principal
from api.services.capital_calls import change_capital_call_status, create_capital_call
from api.services.commands import Writer
from api.services.deal_allocations import Written, create_deal_allocation
from api.services.deals import create_deal
from api.services.distributions import record_distribution
from api.services.due_calls import check_some
from api.services.payments import Paid, record_capital_call_payment

DAY = date(2024, 12, 31)
AMOUNT = 1_000_000
CALLS: tuple[tuple[int, str | None, tuple[int, ...], str | None], ...] = (
    (-60, None, (), None),
    (-60, None, (30_000, 70_000), None),
    (0, None, (1,), None),
    (0, "SCHEDULED", (), None),
    (5, None, (), "DEFAULTED"),
    (5, None, (), None),
)
"""Calls of a tenth of the commitment: on which day from today, with which status, which payments, which status then."""

T = TypeVar("T")
Service = Callable[..., Awaitable[T]]


async def populate_calls(writer: Writer, principal: Principal, fund_ids: list[int]) -> None:
    """Allocates to a deal of its own of each fund; of the second one nothing is called."""

    async def made(mutation: str, service: Service[T], type_: type[T], **given: Any) -> T:
        outcome = await writer.run(
            principal, mutation, lambda command: service(command, **given), result_type=TypeAdapter(type_)
        )
        return outcome.result

    for number, fund_id in enumerate(fund_ids):
        deal_id = await made("createDeal", create_deal, int, name=f"Called Ünï {number}")
        given = {"fund_id": fund_id, "deal_id": deal_id, "security_type": "EQUITY", "amount_cents": AMOUNT}
        given["allocated_on"] = DAY - timedelta(days=60)
        written = await made("createDealAllocation", create_deal_allocation, Written, today=DAY, **given)
        if number == 1:
            continue
        for days, status, payments, end in CALLS:
            asked = {"percentage": Decimal("0.1")} if number else {"amount_cents": AMOUNT // 10}
            call = {"allocation_id": written.allocation_id, "called_on": DAY + timedelta(days=days), "status": status}
            call_id = await made("createCapitalCall", create_capital_call, int, today=DAY, **call, **asked)
            for amount in payments:
                paid = {"call_id": call_id, "amount_cents": amount, "payment_type": None if amount == 1 else "ACH"}
                await made("recordCapitalCallPayment", record_capital_call_payment, Paid, today=DAY, **paid)
            if end is not None:
                change = {"call_id": call_id, "status": end, "expected_version": 1, "today": DAY}
                await made("changeCapitalCallStatus", change_capital_call_status, int, **change)
        for kind in ("DIVIDEND", "OTHER"):
            back = {"allocation_id": written.allocation_id, "amount_cents": 7, "distribution_type": kind}
            await made("recordDistribution", record_distribution, int, today=DAY, **back, is_recallable=kind == "OTHER")
    await made("checkDueCalls", check_some, int, today=DAY)
