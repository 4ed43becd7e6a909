"""What others do between the steps of a small batch: the returns that it stores are those of what is committed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import asyncpg
import pytest

from api.db.connections import ConnectionPool
from api.reads import global_ids
from api.services import commands, small_batches
from tests.contracts.two_organizations import call
from tests.server import RunningServer
from tests.services.test_activities import count, create, flow, value
from tests.services.test_commands import until
from tests.services.test_small_batches import DAYS, TOGETHER, batch, portfolio_of, recounted, returns

WAITING = """
SELECT EXISTS (SELECT FROM pg_stat_activity
  WHERE wait_event_type = 'Lock' AND datname = current_database() AND query LIKE '%' || $1 || '%')
"""
READ_SINCE = """
SELECT EXISTS (SELECT FROM pg_stat_activity
  WHERE state = 'idle' AND datname = current_database() AND query LIKE '%last_valued_on%' AND query_start > $1)
"""
STALE = "SELECT count(*) FROM portfolio_funds WHERE returns_stale_from IS NOT NULL"


@asynccontextmanager
async def locked(server: RunningServer, statement: str, *arguments: Any) -> AsyncIterator[None]:
    """Holds what a statement locks, on a connection of its own."""
    connection = await asyncpg.connect(server.database_url)
    try:
        async with connection.transaction():
            await connection.execute(statement, *arguments)
            yield
    finally:
        await connection.close()


async def until_found(server: RunningServer, query: str, *arguments: Any) -> None:
    """Until a query answers true."""

    async def is_found() -> bool:
        return bool(await server.owner.fetchval(query, *arguments))

    await until(is_found)


async def holding_beside(server: RunningServer, holding_id: str) -> str:
    """Another holding of the same portfolio, with a flow and a valuation of which nobody has computed returns."""
    query = "query ($id: ID!) { node(id: $id) { ... on Holding { portfolio { id } } } }"
    found = (await server.execute(query, {"id": holding_id})).data["node"]
    fund = await call(server, "alpha", "createFund", name="Beside")
    ids = {"portfolioId": found["portfolio"]["id"], "fundId": fund["fund"]["id"]}
    beside: str = (await call(server, "alpha", "createHolding", **ids))["holding"]["id"]
    await create(server, [flow(beside, "2021-03-01", 3_000)], recalculate=False)
    await revalue(server, beside, 4_000)
    return beside


async def revalue(server: RunningServer, holding_id: str, cents: int) -> None:
    """Replaces a holding's last valuation, and leaves its returns to be computed."""
    valuations = [value(holding_id, DAYS[2], cents)]
    await call(server, "alpha", "recordHoldingValuations", valuations=valuations, recalculate=False)


async def test_holding_that_comes_while_a_batch_waits_for_the_others_is_not_taken_for_locked(
    server: RunningServer,
) -> None:
    (holding_id,) = await portfolio_of(server, 1)
    row_id = global_ids.decode_as("Holding", holding_id)
    async with AsyncExitStack() as row, AsyncExitStack() as table:
        await row.enter_async_context(locked(server, "SELECT FROM portfolio_funds WHERE id = $1 FOR UPDATE", row_id))
        task = asyncio.create_task(create(server, batch([holding_id])))
        await until_found(server, WAITING, "FOR NO KEY UPDATE")
        beside = await holding_beside(server, holding_id)
        # The batch now reads, and waits once more, with what it has read.
        await table.enter_async_context(locked(server, "LOCK TABLE holding_activity_log IN SHARE MODE"))
        started_at = await server.owner.fetchval("SELECT clock_timestamp()")
        await row.aclose()
        await until_found(server, WAITING, "INSERT INTO holding_activity_log")
        await until_found(server, READ_SINCE, started_at)
        await revalue(server, beside, 9_000)
        await table.aclose()
        made = await task
    assert [one["status"] for one in made["recalculations"]] == ["OK"]
    if await server.owner.fetchval(STALE):
        await call(server, "alpha", "recalculateIrr", holdingId=beside)
    assert await returns(server) == await recounted(server)


async def test_batch_that_cannot_read_soon_lets_the_holdings_go(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever is in its way may be waiting for it; nobody but the batch itself would know."""
    holding_ids = await portfolio_of(server, 2)
    monkeypatch.setattr(small_batches, "READ_SECONDS_MAX", 0.05)
    async with locked(server, "LOCK TABLE portfolio_fund_valuations IN ACCESS EXCLUSIVE MODE"):
        task = asyncio.create_task(create(server, batch(holding_ids)))
        await until_found(server, "SELECT count(*) = 4 FROM holding_activity_log")
        assert await server.owner.fetchval(STALE) == 2
    made = await task
    assert [one["status"] for one in made["recalculations"]] == ["OK", "OK"]
    assert not await server.owner.fetchval(TOGETHER, "batch")
    assert await returns(server) == await recounted(server)


async def test_what_was_rolled_back_is_not_told(server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch whose returns were stored meets a deadlock, and is run again when there is no connection to read on."""
    holding_ids = await portfolio_of(server, 2)

    async def deadlocked(_command: commands.Command) -> Any:
        monkeypatch.undo()
        monkeypatch.setattr(ConnectionPool, "has_room", False)
        raise asyncpg.DeadlockDetectedError("deadlock detected")

    monkeypatch.setattr(commands, "_append_events", deadlocked)
    made = await create(server, batch(holding_ids))
    assert (await count(server), await server.owner.fetchval(STALE)) == (4, 0)
    assert [one["status"] for one in made["recalculations"]] == ["OK", "OK"]
    assert await returns(server) == await recounted(server)
