"""Each transition of a capital call, legal or not, through the GraphQL interface."""

from typing import Any

import pytest

from api.domain.states import CAPITAL_CALL, CallStatus
from tests.server import RunningServer
from tests.services.call_client import CallClient, days_ago, problem

PAID_ONLY = {"PARTIALLY_PAID", "PAID"}
"""What payments alone make of a call."""
PAIRS = [(before.value, after.value) for before in CallStatus for after in CallStatus]
LONG_AGO = {"calledOn": days_ago(60), "dueOn": days_ago(30)}


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
def client(shared_server: RunningServer) -> CallClient:
    return CallClient(shared_server)


async def call_that_is(client: CallClient, status: str) -> Any:
    """A call of 100 cents, long due, that has come to a status."""
    given = {"status": "SCHEDULED"} if status == "SCHEDULED" else {}
    call = await client.call(await client.allocate(), amountCents="100", **LONG_AGO, **given)
    match status:
        case "PARTIALLY_PAID":
            await client.pay(call, 40)
        case "PAID":
            await client.pay(call, 100)
        case "OVERDUE":
            await client.change(call, "OVERDUE")
        case "DEFAULTED":
            await client.change(call, "DEFAULTED")
    call = await client.read(call)
    assert call["status"] == status
    return call


@pytest.mark.parametrize(("before", "after"), PAIRS)
async def test_status_is_given_as_the_table_allows_and_never_instead_of_a_payment(
    client: CallClient, before: str, after: str
) -> None:
    call = await call_that_is(client, before)
    payload = await client.change(call, after, reason="because")
    if CAPITAL_CALL.allows(CallStatus(before), CallStatus(after)) and after not in PAID_ONLY:
        assert payload["userErrors"] == []
        assert payload["capitalCall"] == call | {"status": after, "version": str(int(call["version"]) + 1)}
        assert await client.read(call) == payload["capitalCall"]
        return
    code, field, _, _ = problem(payload)
    assert (code, field) == ("INVALID_TRANSITION", "status")
    message = payload["userErrors"][0]["message"]
    assert before in message
    assert after in message
    assert await client.read(call) == call


@pytest.mark.parametrize(("before", "after"), [(one, other) for one, other in PAIRS if other in PAID_ONLY])
async def test_payment_makes_of_a_call_what_the_table_allows(client: CallClient, before: str, after: str) -> None:
    call = await call_that_is(client, before)
    outstanding = int(call["outstandingCents"])
    payload = await client.pay(call, outstanding if after == "PAID" else outstanding - 1)
    goes_on = before == after == "PARTIALLY_PAID"
    if goes_on or CAPITAL_CALL.allows(CallStatus(before), CallStatus(after)):
        assert payload["userErrors"] == []
        assert payload["capitalCall"]["status"] == after
        return
    # Of a call that is paid nothing is outstanding, and so no payment is one.
    code = "INVALID_INPUT" if before == "PAID" else "INVALID_TRANSITION"
    assert problem(payload)[0] == code
    assert await client.read(call) == call


@pytest.mark.parametrize("before", ["SCHEDULED", "CALLED", "PARTIALLY_PAID", "PAID", "DEFAULTED"])
async def test_worker_makes_overdue_what_the_table_allows_but_nothing_scheduled(
    client: CallClient, before: str
) -> None:
    call = await call_that_is(client, before)
    await client.look()
    expected = "OVERDUE" if CAPITAL_CALL.allows(CallStatus(before), CallStatus.OVERDUE) else before
    assert (await client.read(call))["status"] == expected


async def test_call_whose_grace_has_not_passed_is_not_overdue_whoever_says_so(client: CallClient) -> None:
    call = await client.call(await client.allocate(), amountCents="100", calledOn=days_ago(60), dueOn=days_ago(6))
    code, field, expected, _ = problem(await client.change(call, "OVERDUE"))
    assert (code, field, expected) == ("INVALID_TRANSITION", "status", f"{call['overdueOn']} or later")
