"""Calls, payments and distributions by their services: amounts to the cent, statuses that follow, and races."""

import asyncio
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from api.errors import ErrorCode, Refused
from api.services import payments
from api.services.payments import Paid
from tests.server import RunningServer
from tests.services.calls import DAY, Calls


@pytest.fixture
def calls(server: RunningServer) -> Calls:
    return Calls(server.owner, server.database, server.organization_ids["alpha"])


async def refused(work: Any) -> tuple[ErrorCode, str, str | None, str | None]:
    """Code, field, expected and actual of the only reason for which something is refused."""
    with pytest.raises(Refused) as raised:
        await work
    (problem,) = raised.value.problems
    return problem.code, ".".join(problem.field or ()), problem.expected, problem.actual


async def test_call_has_its_defaults(calls: Calls) -> None:
    row = await calls.row(await calls.call(await calls.allocate(), 100))
    assert (row["called_on"], row["due_on"]) == (DAY, DAY + timedelta(days=30))
    assert (row["status"], row["paid_cents"], row["version"]) == ("CALLED", 0, 1)


@pytest.mark.parametrize(
    ("percentage", "committed", "expected"),
    [("0.3", 75_000_000, 22_500_000), ("0.333333", 100, 33), ("0.5", 5, 3), ("0.000001", 1_500_000, 2), ("1", 7, 7)],
)
async def test_percentage_becomes_cents_and_is_kept(
    calls: Calls, percentage: str, committed: int, expected: int
) -> None:
    row = await calls.row(await calls.call(await calls.allocate(committed), percentage=Decimal(percentage)))
    assert (row["amount_cents"], row["percentage"]) == (expected, Decimal(percentage))


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({}, "amount_cents"),
        ({"amount_cents": 1, "percentage": Decimal("0.1")}, "amount_cents"),
        ({"amount_cents": 0}, "amount_cents"),
        ({"amount_cents": -1}, "amount_cents"),
        ({"percentage": Decimal(0)}, "percentage"),
        ({"percentage": Decimal("1.000001")}, "percentage"),
        ({"percentage": Decimal("0.0000001")}, "percentage"),
        ({"percentage": Decimal("0.000001")}, "percentage"),
        ({"amount_cents": 1, "due_on": DAY - timedelta(days=1)}, "due_on"),
        ({"amount_cents": 1, "called_on": DAY + timedelta(days=400)}, "called_on"),
        ({"amount_cents": 1, "due_on": DAY + timedelta(days=4000)}, "due_on"),
        ({"amount_cents": 1, "status": "PAID"}, "status"),
    ],
)
async def test_call_that_makes_no_sense_is_refused(calls: Calls, values: dict[str, Any], field: str) -> None:
    allocation_id = await calls.allocate()
    code, found, _, _ = await refused(calls.call(allocation_id, **values))
    assert (code, found) == (ErrorCode.INVALID_INPUT, field)
    assert await calls.owner.fetchval("SELECT count(*) FROM capital_calls") == 0


async def test_all_calls_stay_within_what_is_committed_scheduled_ones_too(calls: Calls) -> None:
    allocation_id = await calls.allocate(1000)
    await calls.call(allocation_id, 600)
    await calls.call(allocation_id, 300, status="SCHEDULED")
    assert await refused(calls.call(allocation_id, 101)) == (
        ErrorCode.LIMIT_EXCEEDED,
        "amount_cents",
        "1000",
        "1001",
    )
    assert (await refused(calls.call(allocation_id, percentage=Decimal("0.2"))))[1] == "percentage"
    await calls.call(allocation_id, 100)


@pytest.mark.parametrize(
    ("status", "code"),
    [
        ("PENDING_APPROVAL", ErrorCode.APPROVAL_REQUIRED),
        ("REJECTED", ErrorCode.INVALID_TRANSITION),
        ("WRITTEN_OFF", ErrorCode.INVALID_TRANSITION),
    ],
)
async def test_allocation_that_takes_no_calls_takes_no_payments(calls: Calls, status: str, code: ErrorCode) -> None:
    none = await calls.allocate(status=status)
    assert (await refused(calls.call(none, 1)))[:2] == (code, "allocation_id")
    called = await calls.allocate()
    call_id = await calls.call(called, 10)
    await calls.owner.execute(
        "UPDATE deal_allocations AS one SET status = other.status, approval = other.approval,"
        " decided_by_id = other.decided_by_id, decided_at = other.decided_at"
        " FROM deal_allocations AS other WHERE one.id = $1 AND other.id = $2",
        called,
        none,
    )
    assert (await refused(calls.pay(call_id, 1)))[:2] == (code, "capital_call_id")


async def test_payments_make_the_statuses_of_call_and_allocation(calls: Calls) -> None:
    allocation_id = await calls.allocate(100)
    first, second = await calls.call(allocation_id, 60), await calls.call(allocation_id, 40)
    seen = []
    for call_id, amount in ((first, 59), (first, 1), (second, 40)):
        await calls.pay(call_id, amount)
        row = await calls.allocation(allocation_id)
        seen.append((await calls.status(first), await calls.status(second), row["status"], row["version"]))
    assert seen == [
        ("PARTIALLY_PAID", "CALLED", "PARTIALLY_PAID", 2),
        ("PAID", "CALLED", "PARTIALLY_PAID", 2),
        ("PAID", "PAID", "FUNDED", 3),
    ]
    assert (await calls.row(first))["version"] == 3
    events = await calls.owner.fetch("SELECT action FROM audit_events WHERE action = 'deal_allocation.paid'")
    assert len(events) == 2


async def test_payment_is_never_above_what_is_outstanding(calls: Calls) -> None:
    call_id = await calls.call(await calls.allocate(), 100)
    await calls.pay(call_id, 30)
    assert await refused(calls.pay(call_id, 71)) == (ErrorCode.OVERPAYMENT, "amount_cents", "70", "71")
    await calls.pay(call_id, 70)
    assert await refused(calls.pay(call_id, 1)) == (ErrorCode.OVERPAYMENT, "amount_cents", "0", "1")
    assert (await calls.row(call_id))["paid_cents"] == 100


async def test_scheduled_call_can_be_paid_all_at_once_alone(calls: Calls) -> None:
    call_id = await calls.call(await calls.allocate(), 100, status="SCHEDULED")
    assert (await refused(calls.pay(call_id, 99)))[0] == ErrorCode.INVALID_TRANSITION
    await calls.pay(call_id, 100)
    assert await calls.status(call_id) == "PAID"


async def test_payment_of_no_money_or_in_the_future_is_refused(calls: Calls) -> None:
    call_id = await calls.call(await calls.allocate(), 100)
    for amount in (0, -1):
        assert (await refused(calls.pay(call_id, amount)))[:2] == (ErrorCode.INVALID_INPUT, "amount_cents")
    tomorrow = DAY + timedelta(days=1)
    assert (await refused(calls.pay(call_id, 1, paid_on=tomorrow)))[:2] == (ErrorCode.INVALID_INPUT, "paid_on")


async def test_call_takes_so_many_payments_and_no_more(calls: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(payments, "PAYMENTS_MAX", 2)
    call_id = await calls.call(await calls.allocate(), 100)
    for _ in range(2):
        await calls.pay(call_id, 1)
    assert await refused(calls.pay(call_id, 1)) == (ErrorCode.LIMIT_EXCEEDED, "capital_call_id", "2", "3")
    # What settles it is never one too many: else it could only default.
    await calls.pay(call_id, 98)


async def test_unknown_call_and_allocation_are_not_found(calls: Calls) -> None:
    for work, field in (
        (calls.call(2**40, 1), "allocation_id"),
        (calls.pay(2**40, 1), "capital_call_id"),
        (calls.change(2**40, "DEFAULTED", version=1), "id"),
        (calls.distribute(2**40, 1), "allocation_id"),
    ):
        assert (await refused(work))[:2] == (ErrorCode.NOT_FOUND, field)


async def test_distributions_are_recorded_of_whatever_was_committed_once(calls: Calls) -> None:
    allocation_id = await calls.allocate(status="WRITTEN_OFF")
    distribution_id = await calls.distribute(allocation_id, 7, distribution_type="LIQUIDATION", is_recallable=True)
    row = await calls.owner.fetchrow("SELECT * FROM distributions WHERE id = $1", distribution_id)
    assert (row["amount_cents"], row["distributed_on"], row["is_recallable"]) == (7, DAY, True)
    for status, code in (("PENDING_APPROVAL", "APPROVAL_REQUIRED"), ("REJECTED", "INVALID_TRANSITION")):
        assert (await refused(calls.distribute(await calls.allocate(status=status), 1)))[0] == code
    assert (await refused(calls.distribute(allocation_id, 0)))[:2] == (ErrorCode.INVALID_INPUT, "amount_cents")
    future = {"distributed_on": DAY + timedelta(days=1)}
    assert (await refused(calls.distribute(allocation_id, 1, **future)))[:2] == ("INVALID_INPUT", "distributed_on")


async def test_every_write_that_changes_metrics_moves_their_version(calls: Calls) -> None:
    allocation_id = await calls.allocate()
    fund_id = (await calls.allocation(allocation_id))["fund_id"]

    async def version() -> int | None:
        found: int | None = await calls.owner.fetchval(
            "SELECT version FROM fund_metrics_versions WHERE fund_id = $1", fund_id
        )
        return found

    call_id = await calls.call(allocation_id, 100)
    assert await version() == 1
    await calls.pay(call_id, 1)
    await calls.distribute(allocation_id, 1)
    assert await version() == 3
    scheduled = await calls.call(allocation_id, 100, status="SCHEDULED")
    await calls.check(after=38)
    assert await version() == 3
    await calls.change(scheduled, "CALLED")
    await calls.change(call_id, "DEFAULTED")
    assert await version() == 5


async def settled(*work: Any) -> list[Any]:
    """What each came to, refusals included; anything else is raised."""
    found = await asyncio.gather(*work, return_exceptions=True)
    for one in found:
        if isinstance(one, BaseException) and not isinstance(one, Refused):
            raise one
    return found


async def test_fifty_payments_at_once_never_pay_a_cent_too_much(calls: Calls) -> None:
    allocation_id = await calls.allocate(1000)
    call_id = await calls.call(allocation_id, 100)
    found = await settled(*(calls.pay(call_id, 3) for _ in range(50)))
    assert [isinstance(one, Paid) for one in found].count(True) == 33
    assert {one.problems[0].code for one in found if isinstance(one, Refused)} == {ErrorCode.OVERPAYMENT}
    row = await calls.row(call_id)
    assert (row["paid_cents"], row["status"], row["version"]) == (99, "PARTIALLY_PAID", 34)
    stored = await calls.owner.fetchval("SELECT sum(amount_cents) FROM capital_call_payments")
    assert (stored, (await calls.allocation(allocation_id))["status"]) == (99, "PARTIALLY_PAID")


async def test_payments_for_all_calls_at_once_fund_the_allocation(calls: Calls) -> None:
    allocation_id = await calls.allocate(40)
    ids = [await calls.call(allocation_id, 2) for _ in range(20)]
    await settled(*(calls.pay(one, 1) for one in ids * 3))
    assert {await calls.status(one) for one in ids} == {"PAID"}
    assert (await calls.allocation(allocation_id))["status"] == "FUNDED"


async def test_calls_at_once_never_call_a_cent_too_much(calls: Calls) -> None:
    allocation_id = await calls.allocate(100)
    found = await settled(*(calls.call(allocation_id, 7) for _ in range(30)))
    assert [isinstance(one, int) for one in found].count(True) == 14
    assert await calls.owner.fetchval("SELECT sum(amount_cents) FROM capital_calls") == 98


async def test_of_changes_at_one_version_one_is_made(calls: Calls) -> None:
    call_id = await calls.call(await calls.allocate(), 100, status="SCHEDULED")
    found = await settled(*(calls.change(call_id, "CALLED", version=1) for _ in range(10)))
    refusals = [one for one in found if isinstance(one, Refused)]
    assert len(refusals) == 9
    assert {one.problems[0].code for one in refusals} == {ErrorCode.VERSION_CONFLICT}
    assert await calls.told(call_id) == ["created", "status_changed"]
