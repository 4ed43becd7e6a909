"""Capital calls, payments and distributions through the GraphQL interface."""

import asyncio
from typing import Any

import pytest

from tests.server import RunningServer
from tests.services.call_client import CALL, CallClient, days_ago, problem

LISTED = f"""
query ($filter: CapitalCallFilter, $orderBy: CapitalCallOrder, $first: Int, $after: String) {{
  capitalCalls(filter: $filter, orderBy: $orderBy, first: $first, after: $after) {{
    totalCount nodes {{ {CALL} }} pageInfo {{ endCursor hasNextPage }}
  }}
}}
"""
OF_ALLOCATION = """
query ($id: ID!) {
  node(id: $id) {
    ... on DealAllocation {
      status calledCents paidCents uncalledCents unpaidCents
      capitalCalls { nodes { amountCents status payments { amountCents paymentType } } }
      distributions { nodes { amountCents distributedOn kind isRecallable } }
    }
  }
}
"""


@pytest.fixture
def client(server: RunningServer) -> CallClient:
    return CallClient(server)


async def allocated(client: CallClient, amount_cents: int) -> Any:
    """The id of an allocation that a client has made."""
    fund = await client.write("createFund", shown="fund { id }", name="Fund")
    deal = await client.write("createDeal", shown="deal { id }", name="Deal", stage="CLOSING")
    ids = {"fundId": fund["fund"]["id"], "dealId": deal["deal"]["id"]}
    made = await client.write(
        "createDealAllocation",
        shown="allocation { id status }",
        amountCents=str(amount_cents),
        securityType="EQUITY",
        allocatedOn=days_ago(1),
        **ids,
    )
    assert made["allocation"]["status"] == "COMMITTED"
    return made["allocation"]["id"]


async def test_commitment_that_is_called_and_paid_in_part(client: CallClient) -> None:
    """Vector C1."""
    allocation_id = await allocated(client, 75_000_000)
    first = await client.call(allocation_id, percentage="0.3")
    second = await client.call(allocation_id, amountCents="10000000")
    assert (first["amountCents"], first["percentage"]) == ("22500000", "0.3")
    paid = (await client.pay(first, 22_500_000))["capitalCall"]
    assert (paid["status"], paid["outstandingCents"]) == ("PAID", "0")
    partly = (await client.pay(second, 6_000_000, paymentType="ACH", paidOn=days_ago(1)))["capitalCall"]
    assert (partly["status"], partly["paidCents"], partly["outstandingCents"]) == (
        "PARTIALLY_PAID",
        "6000000",
        "4000000",
    )
    shown = (await client.server.execute(OF_ALLOCATION, {"id": allocation_id})).data["node"]
    assert shown == {
        "status": "PARTIALLY_PAID",
        "calledCents": "32500000",
        "paidCents": "28500000",
        "uncalledCents": "42500000",
        "unpaidCents": "4000000",
        "capitalCalls": {
            "nodes": [
                {
                    "amountCents": "22500000",
                    "status": "PAID",
                    "payments": [{"amountCents": "22500000", "paymentType": "WIRE"}],
                },
                {
                    "amountCents": "10000000",
                    "status": "PARTIALLY_PAID",
                    "payments": [{"amountCents": "6000000", "paymentType": "ACH"}],
                },
            ]
        },
        "distributions": {"nodes": []},
    }


async def test_call_has_its_defaults_and_its_payments(client: CallClient) -> None:
    allocation_id = await client.allocate()
    call = await client.call(allocation_id, amountCents="100")
    assert (call["calledOn"], call["dueOn"], call["overdueOn"]) == (days_ago(0), days_ago(-30), days_ago(-38))
    assert (call["status"], call["version"], call["payments"]) == ("CALLED", "1", [])
    one = await client.pay(call, 30)
    other = await client.pay(call, 20)
    expected = {"amountCents": "30", "paidOn": days_ago(0), "paymentType": "WIRE"}
    assert one["payment"] == expected | {"id": one["payment"]["id"]}
    assert other["capitalCall"]["payments"] == [one["payment"], other["payment"]]
    assert await client.read(call) == other["capitalCall"]


async def test_refusals_say_what_was_expected(client: CallClient) -> None:
    call = await client.call(await client.allocate(1000), amountCents="100")
    assert problem(await client.pay(call, 101)) == ("OVERPAYMENT", "amountCents", "100", "101")
    more = await client.write("createCapitalCall", allocationId=call["allocation"]["id"], amountCents="901")
    assert problem(more) == ("LIMIT_EXCEEDED", "amountCents", "1000", "1001")
    stale = await client.change(call, "DEFAULTED", expectedVersion="7")
    assert problem(stale) == ("VERSION_CONFLICT", "expectedVersion", "7", "1")
    assert problem(await client.change(call, "DEFAULTED", reason="x" * 1001))[:2] == ("INVALID_INPUT", "reason")


async def test_distribution_is_shown_with_its_allocation(client: CallClient) -> None:
    allocation_id = await client.allocate()
    for days, kind in ((2, "DIVIDEND"), (1, "RETURN_OF_CAPITAL")):
        given: dict[str, Any] = {
            "amountCents": "7",
            "distributedOn": days_ago(days),
            "isRecallable": days == 1,
        }
        asked = {"allocationId": allocation_id, "distributionType": kind, **given}
        distribution = (await client.write("recordDistribution", **asked))["distribution"]
        shown = {"id": distribution["id"], "allocation": {"id": allocation_id}, "kind": kind, **given}
        assert distribution == shown
    found = (await client.server.execute(OF_ALLOCATION, {"id": allocation_id})).data["node"]["distributions"]["nodes"]
    assert [one["kind"] for one in found] == ["RETURN_OF_CAPITAL", "DIVIDEND"]


async def test_keys_make_each_create_once(client: CallClient) -> None:
    allocation_id = await client.allocate()
    call = await client.call(allocation_id, amountCents="100")
    cases: list[tuple[str, dict[str, Any]]] = [
        ("createCapitalCall", {"allocationId": allocation_id, "amountCents": "10"}),
        ("recordCapitalCallPayment", {"capitalCallId": call["id"], "amountCents": "10"}),
        (
            "recordDistribution",
            {"allocationId": allocation_id, "amountCents": "10", "distributionType": "OTHER"},
        ),
    ]
    for name, given in cases:
        answers = await asyncio.gather(*(client.write(name, **given, idempotencyKey="once") for _ in range(10)))
        assert sorted(answer["replayed"] for answer in answers) == [False] + [True] * 9
        assert len({str(answer | {"replayed": True}) for answer in answers}) == 1
        other = await client.write(name, **given | {"amountCents": "11"}, idempotencyKey="once")
        assert problem(other)[0] == "IDEMPOTENCY_KEY_REUSED"
    counts = {
        table: await client.server.owner.fetchval(f"SELECT count(*) FROM {table}")
        for table in ("capital_calls", "capital_call_payments", "distributions")
    }
    assert counts == {"capital_calls": 2, "capital_call_payments": 1, "distributions": 1}


async def test_calls_are_listed_by_what_is_asked_for(client: CallClient) -> None:
    one, other = await client.allocate(), await client.allocate()
    late = await client.call(one, amountCents="10", calledOn=days_ago(60), dueOn=days_ago(30))
    soon = await client.call(one, amountCents="30", dueOn=days_ago(-1))
    later = await client.call(other, amountCents="20", status="SCHEDULED")

    async def listed(**variables: Any) -> list[str]:
        found = (await client.server.execute(LISTED, variables)).data["capitalCalls"]
        assert found["totalCount"] == len(found["nodes"])
        return [call["id"] for call in found["nodes"]]

    late_id, soon_id, later_id = late["id"], soon["id"], later["id"]
    assert await listed() == [late_id, soon_id, later_id]
    assert await listed(orderBy={"field": "AMOUNT", "direction": "DESC"}) == [soon_id, later_id, late_id]
    assert await listed(filter={"allocationId": one}) == [late_id, soon_id]
    assert await listed(filter={"fundId": later["fund"]["id"]}) == [later_id]
    assert await listed(filter={"status": ["CALLED"], "from": days_ago(0)}) == [soon_id]
    assert await listed(filter={"to": days_ago(30)}) == [late_id]
    for unknown in ("x", one):
        assert await listed(filter={"fundId": unknown}) == []


async def test_calls_with_their_payments_are_one_statement(client: CallClient) -> None:
    call = await client.call(await client.allocate(), amountCents="10")
    await client.pay(call, 4)
    answer = await client.server.execute(LISTED, debug=True)
    assert answer.data["capitalCalls"]["nodes"] == [await client.read(call)]
    assert (answer.body["extensions"]["debug"]["path"], len(answer.statements)) == ("compiled", 1)


async def test_calls_of_another_organization_are_not_found(client: CallClient) -> None:
    allocation_id = await client.allocate()
    call = await client.call(allocation_id, amountCents="10")
    for name, given in (
        ("createCapitalCall", {"allocationId": allocation_id, "amountCents": "1"}),
        ("recordCapitalCallPayment", {"capitalCallId": call["id"], "amountCents": "1"}),
        ("changeCapitalCallStatus", {"id": call["id"], "status": "DEFAULTED", "expectedVersion": "1"}),
        ("recordDistribution", {"allocationId": allocation_id, "amountCents": "1", "distributionType": "OTHER"}),
    ):
        assert problem(await client.write(name, organization="beta", **given))[0] == "NOT_FOUND"
    assert await client.read(call) == call
