"""Recording the money that comes for a capital call; the statuses of the call and of its allocation follow."""

from dataclasses import dataclass
from datetime import date

import asyncpg

from api.domain.capital_calls import PAYMENTS_MAX, PaymentKind, check_allocated, check_payment, check_received
from api.domain.fund_metric_changes import CallBefore, of_payment
from api.domain.states import CAPITAL_CALL, AllocationStatus, CallStatus, allocation_status, call_status
from api.errors import ErrorCode, Problem, Refused
from api.services import rows
from api.services.audit import Subject
from api.services.capital_calls import PAID, check_on_while, check_takes_calls, lock_call, record
from api.services.checks import check_day
from api.services.commands import Command
from api.services.deal_allocations import called_of
from api.services.fund_versions import touch


@dataclass(frozen=True, slots=True)
class Paid:
    """A call, and the payment that was recorded for it."""

    call_id: int
    payment_id: int


async def record_capital_call_payment(
    command: Command,
    *,
    today: date,
    call_id: int,
    amount_cents: int,
    paid_on: date | None = None,
    payment_type: str | None = None,
) -> Paid:
    """Records money received for a call, by WIRE ``today`` (UTC) unless given.

    What is paid in all makes the call PARTIALLY_PAID or PAID and its allocation PARTIALLY_PAID or FUNDED. Raises
    Refused: NOT_FOUND, INVALID_INPUT, OVERPAYMENT with what is outstanding, INVALID_TRANSITION for a call or an
    allocation that takes no such payment, APPROVAL_REQUIRED, LIMIT_EXCEEDED beyond 1,000 payments.
    """
    paid_on = paid_on or today
    problems = check_day("paid_on", paid_on, today) or check_received("paid_on", paid_on, today)
    if problems:
        raise Refused(problems)
    allocation, call = await lock_call(command, call_id, field="capital_call_id")
    check_takes_calls(allocation, "capital_call_id")
    problems = [
        *check_allocated("paid_on", paid_on, allocation["allocated_on"]),
        *check_payment(amount_cents, outstanding_cents=call["amount_cents"] - call["paid_cents"]),
    ]
    if problems:
        raise Refused(problems)
    paid_cents = call["paid_cents"] + amount_cents
    status = _status_after(call, paid_cents)
    if status is not CallStatus.PAID:
        await _check_count(command, call_id)
    values = {
        "fund_id": call["fund_id"],
        "capital_call_id": call_id,
        "amount_cents": amount_cents,
        "paid_on": paid_on,
        "payment_type": payment_type or PaymentKind.WIRE.value,
    }
    payment_id = await rows.insert_one(command, "capital_call_payments", values)
    left = {"paid_cents": paid_cents, "status": status.value}
    check_on = check_on_while(status, call["due_on"], today)
    row = await rows.update(
        command, "capital_calls", call_id, call["version"], left | {"next_check_on": check_on}, noun="capital call"
    )
    before = {"paid_cents": call["paid_cents"], "status": call["status"]}
    record(command, PAID, row, before=before, after=left | {"payment_id": payment_id} | values)
    await _follow(command, allocation)
    was = CallBefore(
        CallStatus(call["status"]), call["amount_cents"], call["paid_cents"], call["called_on"], call["due_on"]
    )
    await touch(command, call["fund_id"], of_payment(was, amount_cents, paid_on))
    return Paid(call_id, payment_id)


def _status_after(call: asyncpg.Record, paid_cents: int) -> CallStatus:
    """What a call becomes with so much paid; raises Refused (INVALID_TRANSITION) where it must not become that."""
    before, after = CallStatus(call["status"]), call_status(amount_cents=call["amount_cents"], paid_cents=paid_cents)
    if before is not after and not CAPITAL_CALL.allows(before, after):
        message = f"A capital call that is {before} does not become {after}: it takes no such payment."
        following = ", ".join(sorted(CAPITAL_CALL.transitions[before])) or "nothing"
        raise Refused(
            [Problem(ErrorCode.INVALID_TRANSITION, message, ("capital_call_id",), expected=following, actual=after)]
        )
    return after


async def _check_count(command: Command, call_id: int) -> None:
    count = await command.connection.fetchval(
        "SELECT count(*) FROM capital_call_payments WHERE organization_id = $1 AND capital_call_id = $2",
        command.organization_id,
        call_id,
    )
    if count >= PAYMENTS_MAX:
        message, expected = f"A call takes at most {PAYMENTS_MAX} payments.", str(PAYMENTS_MAX)
        code, field = ErrorCode.LIMIT_EXCEEDED, ("capital_call_id",)
        raise Refused([Problem(code, message, field, expected=expected, actual=str(count + 1))])


async def _follow(command: Command, allocation: asyncpg.Record) -> None:
    """Gives the allocation the status that its payments make, where that is another."""
    paid_cents = (await called_of(command, allocation["id"])).paid_cents
    before = AllocationStatus(allocation["status"])
    after = allocation_status(before, committed_cents=allocation["amount_cents"], paid_cents=paid_cents)
    if after is before:
        return
    values = {"status": after.value}
    await rows.update(
        command, "deal_allocations", allocation["id"], allocation["version"], values, noun="deal allocation"
    )
    command.record(
        "deal_allocation.paid",
        Subject("DealAllocation", allocation["id"]),
        before={"status": before.value},
        after=values | {"fund_id": allocation["fund_id"], "paid_cents": paid_cents},
    )
