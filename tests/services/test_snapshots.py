"""Calculating snapshots: what becomes of one that is due, whatever happens to whoever is at it."""

import json

import pytest

from api.domain.money import CENTS_MAX
from api.services.snapshot_calculation import calculate_due
from tests.server import RunningServer
from tests.services.snapshots import actions, assert_ended_once, calculator, fund_in


async def test_due_snapshot_is_completed_with_the_metrics_of_its_fund(server: RunningServer) -> None:
    fund = await fund_in(server)
    (snapshot_id,) = await fund.ask()
    assert await calculate_due(calculator(server.database)) is None
    row = await fund.row(snapshot_id)
    assert (row["status"], row["attempts"], row["error"], row["next_attempt_at"]) == ("COMPLETE", 1, None, None)
    assert row["calculated_at"] >= row["claimed_at"]
    found = json.loads(row["metrics"])
    assert found["totals"] == {
        "companyCount": 2,
        "activeCompanyCount": 2,
        "lotCount": 4,
        "investedCents": "3000",
        "currentValuationCents": "9000",
        "realizedCents": "0",
    }
    # 10 shares of 20 each: bought for 1 cent and for 2, and worth 3000 / 20.
    first = found["companies"][0]["moic"]
    assert (first["onInitial"], first["onFollowOn"]) == ("150", "75")
    assert await actions(server.owner, snapshot_id) == ["claimed", "completed"]
    events = await server.owner.fetch("SELECT kind, actor_id FROM audit_events WHERE action LIKE 'snapshot.%'")
    assert [tuple(event) for event in events] == [("SYSTEM", None), ("FINANCIAL", None)]


async def test_second_snapshot_of_an_unchanged_fund_is_a_copy_that_says_so(server: RunningServer) -> None:
    fund = await fund_in(server)
    ids = [(await fund.ask())[0] for _ in range(3)]
    for _ in ids:
        await calculate_due(calculator(server.database))
    first, second, third = [await fund.row(snapshot_id) for snapshot_id in ids]
    assert second["source_hash"] == third["source_hash"] == first["source_hash"]
    original = json.loads(first["metrics"])
    assert original["copiedFrom"] is None
    for copy in (second, third):
        assert json.loads(copy["metrics"]) == original | {"copiedFrom": ids[0]}


async def test_lots_that_have_changed_by_themselves_are_seen(server: RunningServer) -> None:
    fund = await fund_in(server)
    rows = []
    for _ in range(2):
        (snapshot_id,) = await fund.ask()
        await calculate_due(calculator(server.database))
        rows.append(await fund.row(snapshot_id))
        await server.owner.execute("UPDATE investment_lots SET version = version + 1")
    halves = [(row["source_hash"][:16], row["source_hash"][16:]) for row in rows]
    assert halves[0][0] == halves[1][0]
    assert halves[0][1] != halves[1][1]
    assert json.loads(rows[1]["metrics"]) == json.loads(rows[0]["metrics"])


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE investment_lots SET version = version + 1, share_price_cents = 3 WHERE id = (SELECT max(id) FROM investment_lots)",  # noqa: E501
        "UPDATE portfolio_companies SET version = version + 1, realized_cents = 5 WHERE id = (SELECT max(id) FROM portfolio_companies)",  # noqa: E501
        "INSERT INTO portfolio_companies (organization_id, fund_id, name) SELECT organization_id, id, 'New' FROM funds",
    ],
)
async def test_changed_fund_is_calculated_anew(server: RunningServer, change: str) -> None:
    fund = await fund_in(server)
    (before,) = await fund.ask()
    await calculate_due(calculator(server.database))
    await server.owner.execute(change.replace("share_price_cents = 3", "shares_acquired = shares_acquired + 0.1"))
    (after,) = await fund.ask()
    await calculate_due(calculator(server.database))
    rows = [await fund.row(snapshot_id) for snapshot_id in (before, after)]
    assert rows[0]["source_hash"] != rows[1]["source_hash"]
    assert json.loads(rows[1]["metrics"])["copiedFrom"] is None
    assert rows[0]["metrics"] != rows[1]["metrics"]


async def test_snapshots_of_other_funds_and_organizations_are_not_copied(server: RunningServer) -> None:
    funds = [await fund_in(server), await fund_in(server), await fund_in(server, "beta")]
    ids = [(await fund.ask())[0] for fund in funds]
    await calculate_due(calculator(server.database))
    for fund, snapshot_id in zip(funds, ids, strict=True):
        assert json.loads((await fund.row(snapshot_id))["metrics"])["copiedFrom"] is None


async def test_figures_that_cannot_be_added_end_in_an_error_at_once(server: RunningServer) -> None:
    fund = await fund_in(server)
    await server.owner.execute("UPDATE portfolio_companies SET invested_cents = $1", CENTS_MAX)
    (snapshot_id,) = await fund.ask()
    await calculate_due(calculator(server.database))
    row = await fund.row(snapshot_id)
    assert (row["status"], row["attempts"]) == ("ERROR", 1)
    assert row["error"] == "The fund's figures allow no forecast: The total is beyond 64 bits."
    assert await actions(server.owner, snapshot_id) == ["claimed", "failed"]


async def test_poisoned_snapshot_does_not_keep_others_from_being_calculated(server: RunningServer) -> None:
    fund = await fund_in(server)
    await server.owner.execute("UPDATE portfolio_companies SET planned_reserves_cents = $1", CENTS_MAX)
    healthy = await fund_in(server)
    ids = [*await fund.ask(2), *await healthy.ask(2)]
    await calculate_due(calculator(server.database))
    assert await fund.statuses() == ["ERROR", "ERROR", "COMPLETE", "COMPLETE"]
    await assert_ended_once(server.owner, ids)
