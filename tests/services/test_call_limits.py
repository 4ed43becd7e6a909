"""Nothing is called, paid or given back before its allocation, nor beyond what a fund's totals can show."""

import asyncio
from datetime import date, timedelta
from typing import Any

import pytest

from api.domain.access import Principal, Role
from api.domain.capital_calls import DISTRIBUTED_CENTS_MAX, LARGE_DISTRIBUTION_CENTS
from api.errors import ErrorCode, Refused
from api.reads import global_ids
from api.services.deal_allocations import Written, update_deal_allocation
from tests.server import RunningServer
from tests.services.calls import DAY, Calls
from tests.services.test_capital_calls import calls, refused

__all__ = ["calls"]
ALLOCATED = date(2025, 1, 1)
"""The day of the tests' allocations."""
BEFORE = ALLOCATED - timedelta(days=1)


async def test_call_before_its_allocation_is_refused(calls: Calls) -> None:
    allocation_id = await calls.allocate()
    for status in (None, "SCHEDULED"):
        given: dict[str, Any] = {"called_on": BEFORE, "due_on": DAY, "status": status}
        told = await refused(calls.call(allocation_id, 1, **given))
        assert told == (ErrorCode.INVALID_INPUT, "called_on", f"at least {ALLOCATED}", str(BEFORE))
    await calls.call(allocation_id, 1, called_on=ALLOCATED, due_on=ALLOCATED)


async def test_payment_before_the_allocation_is_refused(calls: Calls) -> None:
    call_id = await calls.call(await calls.allocate(), 10)
    told = await refused(calls.pay(call_id, 1, paid_on=BEFORE))
    assert told == (ErrorCode.INVALID_INPUT, "paid_on", f"at least {ALLOCATED}", str(BEFORE))
    # Before the call is early, and welcome.
    await calls.pay(call_id, 1, paid_on=ALLOCATED)


async def test_distribution_before_the_allocation_is_refused(calls: Calls) -> None:
    allocation_id = await calls.allocate()
    told = await refused(calls.distribute(allocation_id, 1, distributed_on=BEFORE))
    assert told == (ErrorCode.INVALID_INPUT, "distributed_on", f"at least {ALLOCATED}", str(BEFORE))
    await calls.distribute(allocation_id, 1, distributed_on=ALLOCATED)


async def move(calls: Calls, allocation_id: int, day: date) -> Written:
    given = {"expected_version": (await calls.allocation(allocation_id))["version"], "changes": {"allocated_on": day}}
    principal = Principal(calls.organization_id, None, Role.EDITOR)
    return await calls.run(
        "updateDealAllocation",
        lambda command: update_deal_allocation(command, today=DAY, allocation_id=allocation_id, **given),
        Written,
        principal,
    )


@pytest.mark.parametrize("what", ["call", "payment", "distribution"])
async def test_allocation_is_not_moved_past_what_came_of_it(calls: Calls, what: str) -> None:
    allocation_id = await calls.allocate(100_000)
    first = ALLOCATED + timedelta(days=10)
    if what == "distribution":
        await calls.distribute(allocation_id, 1, distributed_on=first)
    else:
        called_on = first if what == "call" else DAY
        call_id = await calls.call(allocation_id, 2, called_on=called_on)
        await calls.pay(call_id, 1, paid_on=first if what == "payment" else DAY)
    later = first + timedelta(days=1)
    told = await refused(move(calls, allocation_id, later))
    assert told == (ErrorCode.INVALID_INPUT, "allocated_on", f"at most {first}", str(later))
    await move(calls, allocation_id, first)
    await move(calls, allocation_id, BEFORE)


async def test_allocation_of_which_nothing_came_is_moved_freely(calls: Calls) -> None:
    await move(calls, await calls.allocate(100_000), DAY)


async def second_allocation(calls: Calls, allocation_id: int) -> int:
    """Another one of the same fund."""
    other = await calls.allocate()
    fund_id = (await calls.allocation(allocation_id))["fund_id"]
    await calls.owner.execute("UPDATE deal_allocations SET fund_id = $1 WHERE id = $2", fund_id, other)
    return other


async def test_distributions_stay_where_a_funds_total_can_be_shown(calls: Calls, server: RunningServer) -> None:
    first = await calls.allocate()
    second = await second_allocation(calls, first)
    await calls.distribute(first, 5)
    most = DISTRIBUTED_CENTS_MAX - 5
    told = await refused(calls.distribute(second, most + 1))
    assert told[:3] == (ErrorCode.LIMIT_EXCEEDED, "amount_cents", str(DISTRIBUTED_CENTS_MAX))
    assert told[3] == str(DISTRIBUTED_CENTS_MAX + 1)
    assert await calls.owner.fetchval("SELECT count(*) FROM distributions") == 1
    await calls.distribute(second, most)
    # Small ones have the other half for themselves.
    await calls.distribute(first, LARGE_DISTRIBUTION_CENTS - 1)
    assert (await refused(calls.distribute(first, LARGE_DISTRIBUTION_CENTS)))[0] is ErrorCode.LIMIT_EXCEEDED
    fund_id = global_ids.encode("Fund", (await calls.allocation(first))["fund_id"])
    query = "query ($id: ID!) { fund(id: $id) { metrics { distributedCents } } }"
    shown = (await server.execute(query, {"id": fund_id})).data["fund"]["metrics"]["distributedCents"]
    assert shown == str(DISTRIBUTED_CENTS_MAX + LARGE_DISTRIBUTION_CENTS - 1)
    # Another fund's are another total.
    await calls.distribute(await calls.allocate(), most)


async def test_large_distributions_at_once_do_not_pass_the_limit_together(calls: Calls) -> None:
    allocations = [await calls.allocate()]
    allocations += [await second_allocation(calls, allocations[0]) for _ in range(5)]
    amount = DISTRIBUTED_CENTS_MAX // 2
    found = await asyncio.gather(*(calls.distribute(one, amount) for one in allocations), return_exceptions=True)
    assert sum(isinstance(one, Refused) for one in found) == 4
    assert sum(isinstance(one, int) for one in found) == 2
    total = await calls.owner.fetchval("SELECT sum(amount_cents) FROM distributions")
    assert int(total) == DISTRIBUTED_CENTS_MAX
