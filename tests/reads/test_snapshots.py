"""What one operation reads from: given back whatever happens, and asked no more often than needed."""

import asyncio
import base64
import gc
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from api.db.connections import LOST_CONNECTION
from api.db.pools import Snapshot, SnapshotClosed
from api.reads.loaders import Loaders
from tests.server import RunningServer, start_server

ACROSS_PATHS = pytest.mark.parametrize("compiled_queries", [True, False], ids=["compiled", "resolvers"])
OPEN_TRANSACTIONS = """
SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in transaction%'
"""


async def assert_everything_is_given_back(server: RunningServer) -> None:
    await asyncio.sleep(0.1)
    assert await server.owner.fetchval(OPEN_TRANSACTIONS) == 0
    assert server.database.reads.idle_size == server.database.reads.size


async def test_reader_that_is_cancelled_leaves_no_transaction_open(server: RunningServer) -> None:
    """Dataloaders read in tasks of their own, which go on when the operation that wanted the rows is over."""
    loaders = Loaders(server.database, server.organization_ids["alpha"])
    wanted = asyncio.create_task(loaders.row("Fund", 1))
    await asyncio.sleep(0)
    wanted.cancel()
    await loaders.close()
    await assert_everything_is_given_back(server)


async def test_reader_that_nobody_waits_for_any_more_fails_in_silence(
    server: RunningServer, caplog: pytest.LogCaptureFixture
) -> None:
    loaders = Loaders(server.database, server.organization_ids["alpha"])
    wanted = asyncio.create_task(loaders.row("Fund", 1))
    await asyncio.sleep(0)
    await loaders.close()
    wanted.cancel()
    await asyncio.gather(wanted, return_exceptions=True)
    await asyncio.sleep(0.1)
    del loaders, wanted
    gc.collect()
    assert caplog.messages == []


async def test_renewed_snapshot_reads_anew_and_a_closed_one_no_more(server: RunningServer) -> None:
    snapshot = Snapshot(server.database, server.organization_ids["alpha"])
    name = "SELECT name FROM organizations"
    assert [row["name"] for row in await snapshot.fetch(name)] == ["Alpha"]
    await server.owner.execute("UPDATE organizations SET name = 'New' WHERE slug = 'alpha'")
    assert [row["name"] for row in await snapshot.fetch(name)] == ["Alpha"]
    await snapshot.renew()
    assert [row["name"] for row in await snapshot.fetch(name)] == ["New"]
    await snapshot.close()
    with pytest.raises(SnapshotClosed):
        await snapshot.fetch(name)
    await assert_everything_is_given_back(server)


async def test_snapshot_that_has_lost_its_connection_is_closed_all_the_same(server: RunningServer) -> None:
    snapshot = Snapshot(server.database, server.organization_ids["alpha"])
    (row,) = await snapshot.fetch("SELECT pg_backend_pid() AS process_id")
    await server.owner.execute("SELECT pg_terminate_backend($1, 5000)", row["process_id"])
    with pytest.raises(LOST_CONNECTION):
        await snapshot.fetch("SELECT 1")
    await snapshot.close()
    await assert_everything_is_given_back(server)
    assert (await server.execute("{ funds { totalCount } }")).data == {"funds": {"totalCount": 0}}


async def insert_holdings(server: RunningServer) -> str:
    """Inserts a portfolio of holdings, each with two statements, and returns its global id."""
    await server.owner.execute(
        """
        INSERT INTO portfolios (organization_id, name, currency) VALUES (1, 'P', 'USD');
        INSERT INTO funds (organization_id, name, currency)
          SELECT 1, 'Fund ' || n, 'USD' FROM generate_series(1, 120) AS n;
        INSERT INTO portfolio_funds (organization_id, portfolio_id, fund_id)
          SELECT 1, portfolio.id, fund.id FROM portfolios AS portfolio, funds AS fund ORDER BY fund.id;
        INSERT INTO holding_statements (organization_id, holding_id, as_of, nav_cents)
          SELECT 1, holding.id, as_of, holding.id * 10 + extract(month FROM as_of)::int
          FROM portfolio_funds AS holding, unnest(array['2025-03-01', '2025-06-01']::date[]) AS as_of;
        """
    )
    portfolio_id = await server.owner.fetchval("SELECT id FROM portfolios")
    return base64.b64encode(f"Portfolio:{portfolio_id}".encode()).decode()


@ACROSS_PATHS
async def test_page_of_holdings_with_fund_and_latest_statement_takes_at_most_four_statements(
    database_url: str, state_directory: Path, compiled_queries: bool
) -> None:
    query = """query ($id: ID!) { portfolio(id: $id) { holdings(first: 100) { nodes {
      id fund { name } statements(first: 1) { nodes { asOf navCents } } } } } }"""
    async with start_server(database_url, state_directory, compiled_queries=compiled_queries) as server:
        answer = await server.execute(query, {"id": await insert_holdings(server)}, debug=True)
    nodes = answer.data["portfolio"]["holdings"]["nodes"]
    assert [node["fund"]["name"] for node in nodes] == [f"Fund {n}" for n in range(1, 101)]
    assert {node["statements"]["nodes"][0]["asOf"] for node in nodes} == {"2025-06-01"}
    assert len(answer.statements) <= 4


@ACROSS_PATHS
async def test_totals_of_all_holdings_take_one_statement(
    database_url: str, state_directory: Path, compiled_queries: bool
) -> None:
    query = """query ($id: ID!) { portfolio(id: $id) { totals(asOf: "2025-05-01") { navCents }
      holdings(first: 100) { nodes { id totals(asOf: "2025-05-01") { navCents reason } } } } }"""
    async with start_server(database_url, state_directory, compiled_queries=compiled_queries) as server:
        answer = await server.execute(query, {"id": await insert_holdings(server)}, debug=True)
        whole = await server.owner.fetchval("SELECT sum(nav_cents) FROM holding_statements WHERE as_of = '2025-03-01'")
    portfolio = answer.data["portfolio"]
    numbers = [int(base64.b64decode(node["id"]).decode().partition(":")[2]) for node in portfolio["holdings"]["nodes"]]
    navs = [node["totals"]["navCents"] for node in portfolio["holdings"]["nodes"]]
    assert navs == [str(number * 10 + 3) for number in numbers]
    assert portfolio["totals"]["navCents"] == str(whole)
    # Compiled all in one; else one for all holdings, and one for the portfolio's own.
    assert len([sql for sql in answer.statements if "holding_statements" in sql]) == (1 if compiled_queries else 2)


def written(microseconds: int) -> str:
    """So many microseconds after 123456 as an answer writes them."""
    return "2026-01-01T00:00:00." + str(123456 + microseconds).rstrip("0") + "+00:00"


async def test_cursor_keeps_microseconds(server: RunningServer) -> None:
    await server.owner.execute(
        "INSERT INTO funds (organization_id, name, currency, created_at) SELECT $1, 'Fund ' || n, 'USD',"
        " '2026-01-01T00:00:00.123456Z'::timestamptz + n * interval '1 microsecond' FROM generate_series(0, 9) AS n",
        server.organization_ids["alpha"],
    )
    query = """query ($after: String) { funds(first: 1, after: $after, orderBy: {field: CREATED_AT, direction: DESC}) {
      edges { cursor node { name createdAt } } } }"""
    seen: list[Any] = []
    after = None
    for _ in range(10):
        (edge,) = (await server.execute(query, {"after": after})).data["funds"]["edges"]
        seen.append(edge["node"])
        after = edge["cursor"]
        _, key, _ = orjson.loads(base64.urlsafe_b64decode(after + "=="))
        assert datetime.fromisoformat(key) == datetime.fromisoformat(edge["node"]["createdAt"])
    assert seen == [{"name": f"Fund {n}", "createdAt": written(n)} for n in range(9, -1, -1)]
