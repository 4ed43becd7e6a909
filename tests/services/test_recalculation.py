"""Returns that could not be computed, or were overtaken: nothing is lost, and the next computation mends it."""

import asyncio
import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from api import metrics
from api.domain.returns import compute
from api.reads import global_ids
from api.services import recalculation, small_batches, stored_returns
from tests.contracts.two_organizations import call
from tests.server import RunningServer, start_server
from tests.services.test_activities import count, flow, hold, irr, stored, value

CREATE = """mutation ($input: CreateHoldingActivitiesInput!) { createHoldingActivities(input: $input) {
  acceptedCount recalculations { status fromOn reason holding { firstStaleOn } } userErrors { code } } }"""


async def create(server: RunningServer, holding_id: str, day: str, **more: Any) -> Any:
    """Stores one cash flow, and what became of the returns of its holding."""
    answer = await server.execute(CREATE, {"input": {"activities": [flow(holding_id, day, 1_000)], **more}})
    made = answer.data["createHoldingActivities"]
    assert (made["acceptedCount"], made["userErrors"]) == (1, [])
    return made["recalculations"][0]


async def valued(server: RunningServer) -> str:
    """A holding whose return on one day is stored."""
    holding_id = await hold(server)
    await call(server, "alpha", "recordHoldingValuations", valuations=[value(holding_id, "2021-01-01", 1_100)])
    assert (await create(server, holding_id, "2020-01-01"))["status"] == "OK"
    return holding_id


async def test_fault_loses_no_activity_and_the_next_computation_mends_it(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    holding_id = await valued(server)
    before = await stored(server, holding_id)
    with monkeypatch.context() as broken:
        broken.setattr(recalculation, "compute", lambda *_: 1 / 0)
        assert await create(server, holding_id, "2020-07-01") == {
            "status": "FAILED",
            "fromOn": "2020-07-01",
            "reason": "The returns could not be computed; the log knows more.",
            "holding": {"firstStaleOn": "2020-07-01"},
        }
    assert await count(server) == 2
    # What is stored is what was there, what is shown is what the flows now come to.
    assert await server.owner.fetchval("SELECT count(*) FROM portfolio_fund_irr_values") == 2
    shown = (await irr(server, holding_id, "2021-01-01"))["value"]
    await call(server, "alpha", "recalculateIrr", holdingId=holding_id)
    after = await stored(server, holding_id)
    assert (after["2021-01-01"], after == before) == (shown[:8], False)


async def test_fault_of_the_database_is_told_likewise(server: RunningServer) -> None:
    holding_id = await valued(server)
    await server.owner.execute(
        "ALTER TABLE portfolio_irr_values ADD CONSTRAINT broken CHECK (as_of < '1900-01-01') NOT VALID"
    )
    failed = await create(server, holding_id, "2020-07-01")
    assert (failed["status"], failed["holding"]) == ("FAILED", {"firstStaleOn": "2020-07-01"})
    # Neither table has a part of it.
    found = await server.owner.fetch("SELECT DISTINCT value::text FROM portfolio_fund_irr_values WHERE method = 'XIRR'")
    assert [row["value"][:6] for row in found] == ["0.0997"]
    await server.owner.execute("ALTER TABLE portfolio_irr_values DROP CONSTRAINT broken")
    assert (await create(server, holding_id, "2020-08-01"))["fromOn"] == "2020-07-01"
    await stored(server, holding_id)


async def test_returns_that_are_overtaken_each_time_are_stale(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    holding_id = await valued(server)
    loop = asyncio.get_running_loop()

    def overtaken(*arguments: Any) -> Any:
        # In the thread that computes: another client's flow is committed before this one's returns are.
        writing = create(server, holding_id, "2020-03-01", recalculate=False)
        asyncio.run_coroutine_threadsafe(writing, loop).result()
        return compute(*arguments)

    with monkeypatch.context() as crowded:
        crowded.setattr(small_batches, "ROWS_MAX", 0)
        crowded.setattr(recalculation, "compute", overtaken)
        assert await create(server, holding_id, "2020-07-01") == {
            "status": "STALE",
            "fromOn": "2020-03-01",
            "reason": "The flows have changed meanwhile; recalculate again.",
            "holding": {"firstStaleOn": "2020-03-01"},
        }
    assert await count(server) == 2 + recalculation.ATTEMPTS_MAX
    mended = await create(server, holding_id, "2020-08-01")
    assert (mended["status"], mended["fromOn"]) == ("OK", "2020-03-01")
    await stored(server, holding_id)


async def test_holding_that_has_just_been_added_changes_no_return(server: RunningServer) -> None:
    holding_id = await valued(server)
    found = await server.execute(
        "query ($id: ID!) { node(id: $id) { ... on Holding { portfolio { id } } } }", {"id": holding_id}
    )
    portfolio_id = found.data["node"]["portfolio"]["id"]
    query = 'query ($id: ID!) { portfolio(id: $id) { irr(asOf: "2021-01-01") { value } irrs { nodes { value } } } }'
    before = (await server.execute(query, {"id": portfolio_id})).data
    assert before["portfolio"]["irr"]["value"]
    fund = await call(server, "alpha", "createFund", name="Just added")
    await call(server, "alpha", "createHolding", portfolioId=portfolio_id, fundId=fund["fund"]["id"])
    assert (await server.execute(query, {"id": portfolio_id})).data == before
    await call(server, "alpha", "recalculateIrr", portfolioId=portfolio_id)
    assert (await server.execute(query, {"id": portfolio_id})).data == before


async def test_writers_at_once_share_what_one_of_them_computes(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each for itself would find the others' flows in what it has computed, and begin anew."""
    holding_id = await valued(server)
    computations = 0

    def counted(*arguments: Any) -> Any:
        nonlocal computations
        computations += 1
        return compute(*arguments)

    monkeypatch.setattr(small_batches, "EFFORT_MAX", -1)
    monkeypatch.setattr(recalculation, "compute", counted)
    made = await asyncio.gather(*(create(server, holding_id, f"2020-03-{day:02}") for day in range(1, 13)))
    assert {one["status"] for one in made} == {"OK"}
    assert {one["holding"]["firstStaleOn"] for one in made} == {None}
    assert computations < 12


async def test_deleting_a_valuation_and_recording_it_anew_wait_for_each_other(server: RunningServer) -> None:
    """A deadlock would be retried, after a second."""
    holding_id = await hold(server)
    retries = metrics.RETRIES._value.get()
    recorded = "mutation ($input: RecordHoldingValuationsInput!) { recordHoldingValuations(input: $input) {"
    recorded += " valuations { id version } userErrors { code } } }"
    deleted = "mutation ($input: DeleteHoldingValuationInput!) { deleteHoldingValuation(input: $input) {"
    deleted += " userErrors { code } } }"
    for number in range(8):
        again = [{"input": {"valuations": [value(holding_id, "2021-01-01", 3 * number + one)]}} for one in range(3)]
        made = (await server.execute(recorded, again[0])).data["recordHoldingValuations"]["valuations"][0]
        given = {"id": made["id"], "expectedVersion": made["version"]}
        answers = await asyncio.gather(
            server.execute(recorded, again[1]),
            server.execute(deleted, {"input": given}),
            server.execute(recorded, again[2]),
        )
        assert [answer.codes for answer in answers] == [[]] * 3
    assert metrics.RETRIES._value.get() == retries


async def test_portfolio_whose_flows_cannot_be_read_is_an_error(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no holding yet to say it of, and nothing said would be taken for success."""
    await valued(server)

    async def late(*_arguments: Any) -> Any:
        raise asyncpg.QueryCanceledError("canceling statement due to statement timeout")

    monkeypatch.setattr(recalculation, "read", late)
    query = "mutation ($input: RecalculateIrrInput!) { recalculateIrr(input: $input) { recalculations { status } } }"
    answer = await server.execute(query, {"input": {"portfolioId": global_ids.encode("Portfolio", 1)}})
    assert answer.codes == ["TIMEOUT"]


async def test_recalculations_that_wait_for_each_other_hold_no_connection(
    database_url: str, state_directory: Path
) -> None:
    """Each has looked its portfolio up before it waits; the one that goes first reads on the only connection."""
    portfolio_id = global_ids.encode("Portfolio", 1)
    async with start_server(database_url, state_directory, read_connections_max=1) as server:
        await valued(server)
        asked = [call(server, "alpha", "recalculateIrr", portfolioId=portfolio_id) for _ in range(8)]
        made = await asyncio.gather(*asked)
    assert [one["status"] for answer in made for one in answer["recalculations"]] == ["OK"] * 8


OTHERS = """
INSERT INTO portfolio_fund_valuations (organization_id, portfolio_id, holding_id, valued_on, value_cents)
SELECT organization_id, portfolio_id, id, day, 1 FROM portfolio_funds
CROSS JOIN generate_series(date '2000-01-01', date '2019-12-31', interval '1 day') AS day WHERE id = ANY ($1)
"""


async def test_flows_before_which_nothing_is_valued_are_found_without_reading_what_is_valued_elsewhere(
    server: RunningServer,
) -> None:
    named = [await hold(server, name) for name in ("One", "Two", "Three")]
    one, *others = [global_ids.decode_as("Holding", holding_id) for holding_id in named]
    await server.owner.execute(OTHERS, others)
    await server.owner.execute("ANALYZE portfolio_fund_valuations")
    arguments = (1, None, [one], date(2020, 1, 1), None)
    async with server.owner.transaction():
        await server.owner.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        plan = await server.owner.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {stored_returns.READ}", *arguments)
    read = [node for node in nodes(json.loads(plan)[0]["Plan"]) if node.get("Alias") == "valued"]
    assert read
    assert max(node["Actual Rows"] + node.get("Rows Removed by Filter", 0) for node in read) <= 1


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """All nodes of a plan."""
    yield plan
    for part in plan.get("Plans", ()):
        yield from nodes(part)
