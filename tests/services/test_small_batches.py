"""Small batches of cash flows, whose returns are computed in their own transaction: the same as after it."""

import asyncio
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import pytest

from api import metrics
from api.db.connections import ConnectionPool
from api.domain.returns import compute, effort
from api.reads import global_ids
from api.services import recalculation, small_batches
from tests.contracts.two_organizations import call
from tests.server import RunningServer
from tests.services.test_activities import count, create, flow, hold, value
from tests.services.test_recalculation import valued

RETURNS = """
SELECT holding_id AS owner, as_of, method, value, reason FROM portfolio_fund_irr_values
UNION ALL SELECT -portfolio_id, as_of, method, value, reason FROM portfolio_irr_values ORDER BY 1, 2, 3
"""
TOGETHER = """
SELECT count(DISTINCT activity.xmin::text) = 1 AND min(activity.xmin::text) = min(stored.xmin::text)
FROM holding_activity_log AS activity CROSS JOIN portfolio_fund_irr_values AS stored
WHERE activity.note = $1
"""
DAYS = ("2021-01-01", "2022-01-01", "2023-01-01")


async def portfolio_of(server: RunningServer, size: int) -> list[str]:
    """The holdings of a new portfolio, each valued on three days."""
    portfolio = await call(server, "alpha", "createPortfolio", name="Shared", currency="USD")
    holding_ids = []
    for number in range(size):
        fund = await call(server, "alpha", "createFund", name=f"Fund {number}")
        ids = {"portfolioId": portfolio["portfolio"]["id"], "fundId": fund["fund"]["id"]}
        holding_ids.append((await call(server, "alpha", "createHolding", **ids))["holding"]["id"])
    valuations = [value(one, day, 50_000 + 10_000 * place) for one in holding_ids for place, day in enumerate(DAYS)]
    await call(server, "alpha", "recordHoldingValuations", valuations=valuations)
    return holding_ids


async def returns(server: RunningServer) -> list[tuple[Any, ...]]:
    """All that is stored, by holding, and by portfolio with a minus."""
    return [tuple(row) for row in await server.owner.fetch(RETURNS)]


async def recounted(server: RunningServer, portfolio_id: int = 1) -> list[tuple[Any, ...]]:
    """The same, computed from everything once more."""
    given = global_ids.encode("Portfolio", portfolio_id)
    await server.owner.execute("UPDATE portfolio_fund_irr_values SET value = 7, reason = NULL")
    await server.owner.execute("DELETE FROM portfolio_irr_values")
    await call(server, "alpha", "recalculateIrr", portfolioId=given)
    return await returns(server)


def batch(holding_ids: Sequence[str], note: str = "batch", cents: int = 1_000) -> list[dict[str, Any]]:
    """A flow of each holding in each of two years."""
    days = ("2020-03-31", "2021-09-30")
    return [flow(one, day, cents + place, note=note) for place, one in enumerate(holding_ids) for day in days]


async def test_activities_and_returns_are_one_transaction(server: RunningServer) -> None:
    holding_ids = await portfolio_of(server, 3)
    made = await create(server, batch(holding_ids))
    assert made["recalculations"] == [{"status": "OK", "fromOn": "2020-03-31"}] * 3
    assert await server.owner.fetchval(TOGETHER, "batch")
    found = await returns(server)
    assert len(found) == (3 + 1) * len(DAYS) * 2
    assert found == await recounted(server)
    # One event after the other: what was stored, and what followed from it.
    actions = await server.owner.fetch("SELECT action FROM audit_events ORDER BY sequence DESC LIMIT 3")
    assert [row["action"] for row in actions][1:] == ["returns.recalculated", "holding_activities.created"]
    assert await server.owner.fetchval("SELECT array_agg(DISTINCT flows_version) FROM portfolio_funds") == [2]


def just_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    def bounded(portfolios: Any, since: Any) -> int:
        monkeypatch.setattr(small_batches, "EFFORT_MAX", effort(portfolios, since) - 1)
        return effort(portfolios, since)

    monkeypatch.setattr(small_batches, "effort", bounded)


def one_row_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    # Two flows and three valuations of each of three holdings.
    monkeypatch.setattr(small_batches, "ROWS_MAX", 3 * 3 - 1)


def too_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(small_batches, "COMPUTE_SECONDS_MAX_AT_ONCE", -1)


def broken_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def breaking(*arguments: Any) -> Any:
        monkeypatch.setattr(recalculation, "compute", compute)
        raise ZeroDivisionError

    monkeypatch.setattr(recalculation, "compute", breaking)


def no_connection_to_read_on(monkeypatch: pytest.MonkeyPatch) -> None:
    # The pool itself goes on.
    monkeypatch.setattr(ConnectionPool, "has_room", False)


@pytest.mark.parametrize("hinder", [just_too_much, one_row_too_many, too_slow, broken_once, no_connection_to_read_on])
async def test_what_cannot_be_computed_under_locks_is_computed_after_the_commit(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch, hinder: Callable[[pytest.MonkeyPatch], None]
) -> None:
    holding_ids = await portfolio_of(server, 3)
    hinder(monkeypatch)
    made = await create(server, batch(holding_ids))
    assert made["recalculations"] == [{"status": "OK", "fromOn": "2020-03-31"}] * 3
    assert not await server.owner.fetchval(TOGETHER, "batch")
    monkeypatch.undo()
    assert await count(server) == 6
    assert await returns(server) == await recounted(server)


@pytest.mark.parametrize("fails_too", [False, True])
async def test_batch_that_cannot_be_inserted_while_its_returns_are_computed_leaves_nothing(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch, fails_too: bool
) -> None:
    holding_ids = await portfolio_of(server, 2)
    before = await returns(server)
    constraint = "ALTER TABLE holding_activity_log ADD CONSTRAINT broken CHECK (amount_cents < 0) NOT VALID"
    await server.owner.execute(constraint)
    if fails_too:
        monkeypatch.setattr(recalculation, "compute", None)
    query = "mutation ($input: CreateHoldingActivitiesInput!) { createHoldingActivities(input: $input) { replayed } }"
    answer = await server.execute(query, {"input": {"activities": batch(holding_ids)}})
    assert answer.codes == ["INTERNAL_SERVER_ERROR"]
    assert (await count(server), await returns(server)) == (0, before)
    # The connection that it failed on goes on, and its work.
    monkeypatch.undo()
    await server.owner.execute("ALTER TABLE holding_activity_log DROP CONSTRAINT broken")
    assert (await create(server, batch(holding_ids)))["acceptedCount"] == 4
    assert await returns(server) == await recounted(server)


async def test_ids_that_are_taken_are_found_while_returns_are_computed(server: RunningServer) -> None:
    holding_ids = await portfolio_of(server, 2)
    await create(server, batch(holding_ids, "before"))
    await server.owner.execute("SELECT setval('holding_activity_log_id_seq', 1)")
    made = await create(server, batch(holding_ids, "after"))
    assert [one["status"] for one in made["recalculations"]] == ["OK", "OK"]
    assert await server.owner.fetchval(TOGETHER, "after")
    assert await returns(server) == await recounted(server)


@pytest.mark.parametrize(
    ("bound", "is_within"), [("EFFORT_MAX_AT_ONCE", True), ("ROWS_MAX", True), ("ROWS_MAX", False)]
)
async def test_bounds_are_inclusive_and_change_no_return(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch, bound: str, is_within: bool
) -> None:
    holding_ids = await portfolio_of(server, 3)
    # Without any effort at once all is computed in a thread; three holdings may have three rows of a kind each.
    monkeypatch.setattr(small_batches, bound, {"EFFORT_MAX_AT_ONCE": 0}.get(bound, 9 if is_within else 8))
    await create(server, batch(holding_ids))
    assert await server.owner.fetchval(TOGETHER, "batch") is is_within
    assert await returns(server) == await recounted(server)


async def test_batch_of_more_activities_than_that_is_computed_after_the_commit(server: RunningServer) -> None:
    holding_id = await valued(server)
    most = small_batches.ACTIVITIES_MAX
    for size in (most, most + 1):
        note = f"{size}"
        made = await create(server, [flow(holding_id, "2020-01-01", 100, note=note)] * size)
        assert [one["status"] for one in made["recalculations"]] == ["OK"]
        assert await server.owner.fetchval(TOGETHER, note) is (size == most)


@pytest.mark.parametrize("table", ["portfolio_irr_values", "portfolio_fund_irr_values"])
async def test_returns_that_cannot_be_stored_lose_no_activity(server: RunningServer, table: str) -> None:
    holding_ids = await portfolio_of(server, 2)
    await server.owner.execute(f"ALTER TABLE {table} ADD CONSTRAINT broken CHECK (as_of < '1900-01-01') NOT VALID")
    query = """mutation ($input: CreateHoldingActivitiesInput!) { createHoldingActivities(input: $input) {
      activities { id } replayed recalculations { status reason holding { firstStaleOn } } } }"""
    given = {"input": {"activities": batch(holding_ids), "idempotencyKey": "k"}}
    failed = (await server.execute(query, given)).data["createHoldingActivities"]
    assert await count(server) == len(failed["activities"]) == 4
    reason = "The returns could not be computed; the log knows more."
    told = {"status": "FAILED", "reason": reason, "holding": {"firstStaleOn": "2020-03-31"}}
    assert failed["recalculations"] == [told] * 2
    assert await server.owner.fetchval("SELECT array_agg(flows_version) FROM portfolio_funds") == [2, 2]
    await server.owner.execute(f"ALTER TABLE {table} DROP CONSTRAINT broken")
    # Sent again, it stores nothing, and computes what is stale.
    again = (await server.execute(query, given)).data["createHoldingActivities"]
    assert (again["replayed"], again["activities"], await count(server)) == (True, failed["activities"], 4)
    assert [one["status"] for one in again["recalculations"]] == ["OK", "OK"]
    assert await returns(server) == await recounted(server)


async def test_replayed_batch_shows_what_is_still_there(server: RunningServer) -> None:
    holding_id = await valued(server)
    first = await create(
        server, [flow(holding_id, "2020-02-01", 5), flow(holding_id, "2020-03-01", 5)], idempotencyKey="k"
    )
    gone, left = first["activities"]
    await call(server, "alpha", "deleteHoldingActivity", id=gone["id"], expectedVersion="1")
    query = """mutation ($input: CreateHoldingActivitiesInput!) { createHoldingActivities(input: $input) {
      activities { id } replayed recalculations { status fromOn } } }"""
    given = [flow(holding_id, "2020-02-01", 5), flow(holding_id, "2020-03-01", 5)]
    answer = await server.execute(query, {"input": {"activities": given, "idempotencyKey": "k"}})
    assert answer.data["createHoldingActivities"] == {
        "activities": [{"id": left["id"]}],
        "replayed": True,
        "recalculations": [{"status": "OK", "fromOn": None}],
    }


async def test_batches_at_once_in_one_portfolio_wait_for_each_other(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of overlapping holdings, in opposite orders, beside valuations, corrections, and batches computed afterwards."""
    holding_ids = await portfolio_of(server, 4)
    first = await create(server, batch(holding_ids))
    retries = metrics.RETRIES._value.get()
    monkeypatch.setattr(small_batches, "EFFORT_MAX_AT_ONCE", 0)

    async def revalue(cents: int) -> Any:
        valuations = [value(one, DAYS[2], cents) for one in reversed(holding_ids)]
        return await call(server, "alpha", "recordHoldingValuations", valuations=valuations)

    async def correct(place: int) -> Any:
        given = {"id": first["activities"][place]["id"], "expectedVersion": "1", "amountCents": str(7_000 + place)}
        return await call(server, "alpha", "updateHoldingActivity", **given)

    made = await asyncio.gather(
        *(create(server, batch(holding_ids[:3], cents=number)) for number in range(1, 5)),
        *(create(server, batch(holding_ids[:0:-1], cents=number)) for number in range(5, 9)),
        *(create(server, batch(holding_ids[1:2], cents=number), recalculate=False) for number in range(9, 12)),
        *(revalue(80_000 + number) for number in range(3)),
        *(correct(place) for place in range(4)),
    )
    statuses = {one["status"] for answer in made for one in answer["recalculations"]}
    assert "FAILED" not in statuses
    assert metrics.RETRIES._value.get() == retries
    assert await count(server) == 8 + 8 * 6 + 3 * 2
    # Whatever was overtaken is marked; nothing that is not marked is wrong.
    stale = await server.owner.fetch("SELECT id FROM portfolio_funds WHERE returns_stale_from IS NOT NULL")
    if stale:
        await create(server, [flow(global_ids.encode("Holding", row["id"]), "2023-12-31", 1) for row in stale])
    assert await returns(server) == await recounted(server)


async def test_switch_between_holdings_counts_for_them_and_not_for_their_portfolio(server: RunningServer) -> None:
    holding_ids = await portfolio_of(server, 2)
    await create(server, batch(holding_ids))
    before = {row[:3]: row[3] for row in await returns(server)}
    out, into = "FUND_SWITCH_OUT", "FUND_SWITCH_IN"
    await create(server, [flow(holding_ids[0], "2020-06-30", 500, out), flow(holding_ids[1], "2020-06-30", 500, into)])
    after = {row[:3]: row[3] for row in await returns(server)}
    moved = {owner for owner, day, method in before if before[owner, day, method] != after[owner, day, method]}
    assert moved == {1, 2}
    assert all(isinstance(one, Decimal) for one in after.values())


async def test_returns_of_one_portfolio_are_read_without_those_of_others(server: RunningServer) -> None:
    """What a batch may not see, it does not compute: each portfolio of a batch from its own holdings."""
    one, other = await hold(server, "One"), await hold(server, "Other")
    await call(server, "alpha", "recordHoldingValuations", valuations=[value(one, DAYS[0], 5_000)])
    await call(server, "alpha", "recordHoldingValuations", valuations=[value(other, DAYS[0], 9_000)])
    made = await create(server, [flow(one, "2020-01-01", 4_000), flow(other, "2020-02-01", 4_000)])
    assert [answer["fromOn"] for answer in made["recalculations"]] == ["2020-01-01", "2020-02-01"]
    found = await returns(server)
    by_owner = {owner: value for owner, _, method, value, _ in found if method == "XIRR"}
    assert by_owner[1] == by_owner[-1] != by_owner[2] == by_owner[-2]
