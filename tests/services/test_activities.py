"""Cash flows and valuations through GraphQL: batches, corrections, deletions, and the returns that follow them."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from api.domain.access import Role
from api.services import recalculation, small_batches
from tests.contracts.two_organizations import call
from tests.server import RunningServer

CREATE = """mutation ($input: CreateHoldingActivitiesInput!) { createHoldingActivities(input: $input) {
  acceptedCount replayed activities { id version } recalculations { status fromOn }
  userErrors { code field index } } }"""


async def hold(server: RunningServer, name: str = "Fund", commitment: str = "1000") -> str:
    """The id of a new holding in a portfolio of its own."""
    fund = await call(server, "alpha", "createFund", name=name)
    portfolio = await call(server, "alpha", "createPortfolio", name=f"Portfolio of {name}", currency="USD")
    holding = await call(
        server,
        "alpha",
        "createHolding",
        portfolioId=portfolio["portfolio"]["id"],
        fundId=fund["fund"]["id"],
        commitmentCents=commitment,
    )
    holding_id: str = holding["holding"]["id"]
    return holding_id


def flow(holding_id: str, day: str, cents: int, kind: str = "INVESTMENT", **more: Any) -> dict[str, Any]:
    return {"holdingId": holding_id, "occurredOn": day, "amountCents": str(cents), "activityType": kind} | more


async def create(server: RunningServer, activities: list[dict[str, Any]], **more: Any) -> Any:
    answer = await server.execute(CREATE, {"input": {"activities": activities} | more})
    return answer.data["createHoldingActivities"]


async def count(server: RunningServer, table: str = "holding_activity_log") -> int:
    found: int = await server.owner.fetchval(f"SELECT count(*) FROM {table}")
    return found


async def irr(server: RunningServer, holding_id: str, as_of: str, method: str = "XIRR") -> Any:
    query = """query ($id: ID!, $asOf: Date, $method: IrrMethod!) { node(id: $id) { ... on Holding {
      irr(asOf: $asOf, method: $method) { value reason asOf } } } }"""
    answer = await server.execute(query, {"id": holding_id, "asOf": as_of, "method": method})
    return answer.data["node"]["irr"]


async def stored(server: RunningServer, holding_id: str) -> dict[str, str]:
    query = """query ($id: ID!) { node(id: $id) { ... on Holding { firstStaleOn
      irrs(filter: { methods: [XIRR] }) { nodes { asOf value } } } } }"""
    answer = await server.execute(query, {"id": holding_id})
    assert answer.data["node"]["firstStaleOn"] is None
    return {one["asOf"]: one["value"][:8] for one in answer.data["node"]["irrs"]["nodes"]}


def value(holding_id: str, day: str, cents: int) -> dict[str, Any]:
    return {"holdingId": holding_id, "valuedOn": day, "valueCents": str(cents)}


async def test_one_bad_row_of_ten_thousand(server: RunningServer) -> None:
    holding_id = await hold(server)
    rows = [flow(holding_id, "2024-01-31", 100 + number) for number in range(10_000)]
    rows[5_000]["amountCents"] = "0"
    bad = [{"code": "INVALID_INPUT", "field": ["activities", "5000", "amountCents"], "index": 5000}]
    refused = await create(server, rows)
    assert (refused["userErrors"], refused["activities"], await count(server)) == (bad, None, 0)
    events = await count(server, "audit_events")
    kept = await create(server, rows, mode="CONTINUE", idempotencyKey="k")
    assert (kept["userErrors"], kept["acceptedCount"], await count(server)) == (bad, 9_999, 9_999)
    # One event for the batch, and one for the returns.
    assert await count(server, "audit_events") == events + 2
    again = await create(server, rows, mode="CONTINUE", idempotencyKey="k")
    assert again["replayed"]
    assert (again["userErrors"], again["activities"], await count(server)) == (bad, kept["activities"], 9_999)
    assert (await server.owner.fetchval("SELECT array_agg(amount_cents ORDER BY id) FROM holding_activity_log")) == [
        100 + number for number in range(10_000) if number != 5_000
    ]


async def test_every_bad_row_is_named_and_a_dry_run_writes_nothing(server: RunningServer) -> None:
    holding_id = await hold(server)
    rows = [
        flow(holding_id, "2024-01-31", -5),
        flow("nobody", "2024-01-31", 0, note="x" * 1001),
        flow(holding_id, "2024-01-31", 1),
    ]
    dry = await create(server, rows, mode="CONTINUE", dryRun=True)
    assert [(one["code"], one["index"], one["field"][-1]) for one in dry["userErrors"]] == [
        ("NEGATIVE_AMOUNT", 0, "amountCents"),
        ("NOT_FOUND", 1, "holdingId"),
        ("INVALID_INPUT", 1, "amountCents"),
        ("INVALID_INPUT", 1, "note"),
    ]
    assert (dry["acceptedCount"], dry["activities"], await count(server)) == (1, None, 0)
    too_many = await create(server, rows[2:] * 10_001)
    assert too_many["userErrors"][0]["field"] == ["activities"]
    assert (await create(server, []))["userErrors"][0]["code"] == "INVALID_INPUT"


async def test_returns_by_the_published_vectors(server: RunningServer) -> None:
    ended = await hold(server, "Ended")
    await create(
        server,
        [
            flow(ended, "2020-01-01", 100_000),
            flow(ended, "2021-01-01", 75_000, "DISTRIBUTION"),
            flow(ended, "2022-01-01", 50_000, "DISTRIBUTION"),
        ],
    )
    assert round(Decimal((await irr(server, ended, "2022-01-01"))["value"]), 7) == Decimal("0.1750093")
    assert (await irr(server, ended, "2021-06-30"))["reason"] == "NO_VALUATION"
    assert (await irr(server, ended, "2022-01-01", "REPORTED"))["reason"] == "NOT_REPORTED"
    valued = await hold(server, "Valued")
    await create(server, [flow(valued, "2020-01-15", 100_000)])
    await call(server, "alpha", "recordHoldingValuations", valuations=[value(valued, "2020-12-15", 110_000)])
    nominal = await irr(server, valued, "2021-06-30", "MONTHLY_NOMINAL")
    assert (round(Decimal(nominal["value"]), 4), nominal["asOf"]) == (Decimal("0.0957"), "2020-12-15")


async def test_totals_come_from_flows_and_valuations(server: RunningServer) -> None:
    holding_id = await hold(server, commitment="1000000000")
    statement = {"holdingId": holding_id, "asOf": "2019-12-31", "committedCents": "7", "navCents": "5"}
    await call(server, "alpha", "recordHoldingStatements", statements=[statement])
    rows = [flow(holding_id, "2020-01-01", 600_000_000), flow(holding_id, "2021-01-01", 150_000_000, "DISTRIBUTION")]
    rows[1]["isRecallable"] = True
    rows += [flow(holding_id, "2021-01-01", 5, kind) for kind in ("FEE", "DIVIDEND_REINVESTED", "FUND_SWITCH_IN")]
    await create(server, rows)
    await call(server, "alpha", "recordHoldingValuations", valuations=[value(holding_id, "2021-12-31", 500_000_000)])
    query = """query ($id: ID!) { node(id: $id) { ... on Holding {
      before: totals(asOf: "2019-12-31") { committedCents navCents }
      totals(asOf: "2022-06-30") { paidInCents distributedCents dpi rvpi tvpi unfundedCents }
      allIn: totals(asOf: "2022-06-30", recallable: ALL_IN) { unfundedCents } } } }"""
    node = (await server.execute(query, {"id": holding_id})).data["node"]
    assert node["totals"] == {
        "paidInCents": "600000000",
        "distributedCents": "150000000",
        "dpi": "0.25",
        "rvpi": "0.833333",
        "tvpi": "1.083333",
        "unfundedCents": "550000000",
    }
    assert (node["allIn"]["unfundedCents"], node["before"]) == ("400000000", {"committedCents": "7", "navCents": "5"})


async def test_changes_recompute_from_their_own_date_on(server: RunningServer) -> None:
    holding_id = await hold(server)
    days = ("2021-01-01", "2022-01-01", "2023-01-01")
    valued = await call(
        server, "alpha", "recordHoldingValuations", valuations=[value(holding_id, day, 110_000) for day in days]
    )
    rows = [flow(holding_id, "2020-01-01", 100_000), flow(holding_id, "2022-06-30", 1_000)]
    made = await create(server, rows)
    before = await stored(server, holding_id)
    assert before["2021-01-01"][:4] == "0.09"
    late = made["activities"][1]
    changed = await call(
        server, "alpha", "updateHoldingActivity", id=late["id"], expectedVersion="1", amountCents="5000", reason="Typo."
    )
    assert [one["status"] for one in changed["recalculations"]] == ["OK"]
    assert changed["recalculations"][0]["fromOn"] == "2022-06-30"
    after = await stored(server, holding_id)
    assert [day for day in days if after[day] != before[day]] == ["2023-01-01"]
    await call(server, "alpha", "deleteHoldingActivity", id=late["id"], expectedVersion="2", reason="Twice.")
    assert set(await stored(server, holding_id)) == set(days)
    first = valued["valuations"][0]
    await call(server, "alpha", "deleteHoldingValuation", id=first["id"], expectedVersion="1")
    assert set(await stored(server, holding_id)) == set(days[1:])
    assert await count(server, "portfolio_irr_values") == 4


async def test_corrected_valuation_has_a_new_version_and_a_stale_change_is_refused(server: RunningServer) -> None:
    holding_id = await hold(server)
    given = value(holding_id, "2021-01-01", 5)
    first = await call(server, "alpha", "recordHoldingValuations", valuations=[given])
    same = await call(server, "alpha", "recordHoldingValuations", valuations=[given])
    other = await call(server, "alpha", "recordHoldingValuations", valuations=[given | {"valueCents": "6"}])
    versions = [one["valuations"][0]["version"] for one in (first, same, other)]
    assert versions == ["1", "1", "2"]
    answer = await server.execute(
        "mutation ($input: RecordHoldingValuationsInput!) { recordHoldingValuations(input: $input) {"
        " userErrors { code expected actual } } }",
        {"input": {"valuations": [given | {"expectedVersion": "1"}]}},
    )
    error = {"code": "VERSION_CONFLICT", "expected": "1", "actual": "2"}
    assert answer.data["recordHoldingValuations"]["userErrors"] == [error]


async def test_ten_clients_at_once_lose_nothing_and_leave_nothing_stale(server: RunningServer) -> None:
    holding_id = await hold(server)
    await call(server, "alpha", "recordHoldingValuations", valuations=[value(holding_id, "2021-01-01", 110_000)])
    rows = [flow(holding_id, "2020-01-01", 100) for _ in range(100)]
    made = await asyncio.gather(*(create(server, rows) for _ in range(10)))
    assert all(one["userErrors"] == [] for one in made)
    assert await count(server) == 1_000
    assert (await stored(server, holding_id))["2021-01-01"][:6] == "0.0997"


async def test_recalculation_that_was_not_asked_for_is_found_again(server: RunningServer) -> None:
    holding_id = await hold(server)
    await call(server, "alpha", "recordHoldingValuations", valuations=[value(holding_id, "2021-01-01", 110)])
    late = await create(server, [flow(holding_id, "2020-01-01", 100)], recalculate=False)
    assert late["recalculations"] == [{"status": "STALE", "fromOn": None}]
    assert (await irr(server, holding_id, "2021-01-01"))["value"].startswith("0.09")
    await call(server, "alpha", "recalculateIrr", by=Role.EDITOR, holdingId=holding_id)
    assert (await stored(server, holding_id))["2021-01-01"].startswith("0.09")


async def test_returns_that_take_too_long_are_reported_and_wait(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    holding_id = await hold(server)
    await call(server, "alpha", "recordHoldingValuations", valuations=[value(holding_id, "2021-01-01", 110)])
    monkeypatch.setattr(small_batches, "COMPUTE_SECONDS_MAX_AT_ONCE", -1)
    monkeypatch.setattr(recalculation, "COMPUTE_SECONDS_MAX", 0)
    made = await create(server, [flow(holding_id, "2020-01-01", 100)])
    assert (made["userErrors"], made["acceptedCount"]) == ([], 1)
    assert made["recalculations"] == [{"status": "FAILED", "fromOn": "2020-01-01"}]
    monkeypatch.undo()
    await call(server, "alpha", "recalculateIrr", by=Role.EDITOR, holdingId=holding_id)
    assert (await stored(server, holding_id))["2021-01-01"].startswith("0.09")
