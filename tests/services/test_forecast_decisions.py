"""From a plan to a commit: what a snapshot proposes, what has changed since another, and what its metrics look like."""

from typing import Any

from api.domain.access import Role
from api.services.snapshot_calculation import calculate_due
from tests.server import RunningServer
from tests.services.forecast_client import Forecasts
from tests.services.fund_client import PREVIEW
from tests.services.snapshots import calculator

PROPOSE = "query ($id: ID!) { proposeReallocation(snapshotId: $id) { companyId plannedReservesCents } }"
DIFFERENCE = """
fragment Difference on ForecastDifference {
  invested { fromCents toCents deltaCents deltaRatio } plannedReserves { deltaCents }
  currentMoic { fromValue toValue delta } exitOnPlannedReserves { fromValue fromReason toValue toReason delta }
}
"""
COMPARE = (
    """
query ($a: ID!, $b: ID!) {
  compareSnapshots(a: $a, b: $b) {
    a { name } b { name } reason totals { ...Difference }
    companies { company { name } companyName presence difference { ...Difference } }
  }
}
"""
    + DIFFERENCE
)
METRICS = "query ($id: ID!) { node(id: $id) { ... on ForecastSnapshot { metrics } } }"
FUND = "query ($id: ID!) { fund(id: $id) { allocationVersion } }"


async def forecasts(server: RunningServer) -> Forecasts:
    return await Forecasts(server).create()


async def compare(server: RunningServer, a: str, b: str) -> Any:
    return (await server.execute(COMPARE, {"a": a, "b": b}, role=Role.VIEWER)).data["compareSnapshots"]


def missing(before: str | None, after: str) -> dict[str, str | None]:
    """A multiple that is in neither snapshot, and why."""
    return {"fromValue": None, "fromReason": before, "toValue": None, "toReason": after, "delta": None}


async def test_what_a_snapshot_proposes_is_what_a_preview_takes(server: RunningServer) -> None:
    made = await forecasts(server)
    other = await made.company("B")
    snapshot_id = await made.snapshot()
    for company_id, cents, priority in ((made.company_id, "300", 2), (other, "200", 1)):
        planned: dict[str, Any] = {"companyId": company_id, "plannedReserveCents": cents, "priority": priority}
        await made.write("createReserveAllocation", snapshotId=snapshot_id, **planned)
    proposals = (await server.execute(PROPOSE, {"id": snapshot_id}, role=Role.VIEWER)).data["proposeReallocation"]
    assert proposals == [
        {"companyId": other, "plannedReservesCents": "200"},
        {"companyId": made.company_id, "plannedReservesCents": "300"},
    ]
    version = (await server.execute(FUND, {"id": made.fund_id})).data["fund"]["allocationVersion"]
    plan = {"fundId": made.fund_id, "expectedVersion": version, "proposals": proposals}
    preview = (await server.execute(PREVIEW, {"input": plan})).data["previewReallocation"]["preview"]
    assert (preview["isValid"], preview["totals"]["afterCents"]) == (True, "500")


async def test_nothing_is_proposed_by_a_snapshot_that_is_not_known(server: RunningServer) -> None:
    made = await forecasts(server)
    snapshot_id = await made.snapshot()
    await made.write(
        "createReserveAllocation", snapshotId=snapshot_id, companyId=made.company_id, plannedReserveCents="1"
    )
    for given in ("", "x", made.fund_id):
        assert (await server.execute(PROPOSE, {"id": given})).data["proposeReallocation"] == []
    theirs = await server.execute(PROPOSE, {"id": snapshot_id}, organization="beta")
    assert theirs.data["proposeReallocation"] == []


async def test_snapshots_are_compared_in_total_and_by_company(server: RunningServer) -> None:
    made = await forecasts(server)
    await server.owner.execute("UPDATE portfolio_companies SET invested_cents = 100, current_valuation_cents = 150")
    first = await made.snapshot("Q1")
    await calculate_due(calculator(server.database))
    await made.company("B", investedCents="50", plannedReservesCents="7")
    second = await made.snapshot("Q2")
    await calculate_due(calculator(server.database))
    found = await compare(server, first, second)
    assert (found["a"], found["b"], found["reason"]) == ({"name": "Q1"}, {"name": "Q2"}, None)
    assert found["totals"] == {
        "invested": {"fromCents": "100", "toCents": "150", "deltaCents": "50", "deltaRatio": "0.5"},
        "plannedReserves": {"deltaCents": "7"},
        "currentMoic": {"fromValue": "1.5", "toValue": "1", "delta": "-0.5"},
        "exitOnPlannedReserves": missing("NOTHING_PLANNED", "NO_EXIT_MOIC"),
    }
    same, new = found["companies"]
    assert (same["company"], same["presence"], same["difference"]["invested"]["deltaCents"]) == (
        {"name": "A"},
        "BOTH",
        "0",
    )
    assert (new["companyName"], new["presence"]) == ("B", "ONLY_B")
    assert new["difference"] == {
        "invested": {"fromCents": "0", "toCents": "50", "deltaCents": "50", "deltaRatio": "1"},
        "plannedReserves": {"deltaCents": "7"},
        "currentMoic": {"fromValue": None, "toValue": "0", "delta": None},
        "exitOnPlannedReserves": missing(None, "NO_EXIT_MOIC"),
    }
    back = await compare(server, second, first)
    assert [company["presence"] for company in back["companies"]] == ["BOTH", "ONLY_A"]
    assert back["totals"]["invested"]["deltaCents"] == "-50"


async def test_snapshots_that_cannot_be_compared_say_why(server: RunningServer) -> None:
    made, other = await forecasts(server), Forecasts(server)
    other.fund_id = (await other.write("createFund", name="Other"))["fund"]["id"]
    ids = [await made.snapshot(), await other.snapshot()]
    await calculate_due(calculator(server.database))
    ids.append(await made.snapshot("Waiting"))
    nothing = {"totals": None, "companies": None}
    for a, b, reason in ((0, 1, "OTHER_FUND"), (0, 2, "NOT_COMPLETE"), (2, 0, "NOT_COMPLETE")):
        found = await compare(server, ids[a], ids[b])
        assert (found["reason"], {name: found[name] for name in nothing}) == (reason, nothing)
    await server.owner.execute("UPDATE forecast_snapshots SET metrics = metrics || '{\"format\": 0}' WHERE name = 'Q1'")
    await calculate_due(calculator(server.database))
    assert (await compare(server, ids[0], ids[2]))["reason"] in (None, "OTHER_FORMAT")
    assert await compare(server, ids[0], "x") is None
    assert (await server.execute(COMPARE, {"a": ids[0], "b": ids[1]}, organization="beta")).data == {
        "compareSnapshots": None
    }


async def test_metrics_name_companies_and_snapshots_by_their_global_ids(server: RunningServer) -> None:
    made = await forecasts(server)
    await made.lot()
    await server.owner.execute("UPDATE portfolio_companies SET current_valuation_cents = 150")
    ids = [await made.snapshot(), await made.snapshot("Again")]
    await calculate_due(calculator(server.database))
    original, copy = [(await server.execute(METRICS, {"id": one})).data["node"]["metrics"] for one in ids]
    assert (original["copiedFrom"], copy["copiedFrom"]) == (None, ids[0])
    shown = [original["companies"], original["ranking"], original["concentration"]["currentValuation"]["largest"]]
    assert [one[0]["companyId"] for one in shown] == [made.company_id] * 3
    assert original["companies"][0]["lotCount"] == 1
