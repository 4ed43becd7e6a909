"""The outcome of a command is known whatever happens to its connection."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import asyncpg
import pytest
from pydantic import TypeAdapter

from api.services.commands import Command, CommitFailed, Outcome, Writer
from api.services.funds import create_fund
from api.services.idempotency import claim_for
from tests.server import RunningServer

ROUNDS = 40
LEADS = (-0.3, -0.001, -0.0005, -0.0002, 0, 0.0001, 0.0002, 0.0005, 0.001, 0.3)
"""Seconds by which the end of the backend is ahead of the COMMIT: the outermost decide, those between are raced."""

Work = Callable[[Command], Awaitable[int]]


async def run(server: RunningServer, work: Work, *, key: str | None = None) -> Outcome[int]:
    writer = Writer(server.database)
    return await writer.run(
        server.principal(), "createFund", work, result_type=TypeAdapter(int), claim=claim_for(key, 1)
    )


def creating(name: str) -> Work:
    return lambda command: create_fund(command, name=name)


async def fund_names(server: RunningServer) -> list[str]:
    return [row[0] for row in await server.owner.fetch("SELECT name FROM funds ORDER BY id")]


async def event_count(server: RunningServer) -> int:
    found: int = await server.owner.fetchval("SELECT count(*) FROM audit_events")
    return found


class CutAtCommit:
    """A connection whose backend is ended when it is to COMMIT: before it has, or when only the answer is missing."""

    def __init__(self, connection: Any, owner: asyncpg.Connection, *, is_committed: bool) -> None:
        self.connection, self.owner, self.is_committed = connection, owner, is_committed

    def __getattr__(self, name: str) -> Any:
        return getattr(self.connection, name)

    async def execute(self, sql: str) -> str:
        assert sql == "COMMIT"
        process_id = self.connection.get_server_pid()
        if self.is_committed:
            await self.connection.execute("COMMIT")
        await self.owner.execute("SELECT pg_terminate_backend($1, 5000)", process_id)
        status: str = await self.connection.execute("COMMIT")
        return status


@pytest.mark.parametrize("is_committed", [True, False])
async def test_lost_commit_is_settled_by_asking_the_database(server: RunningServer, is_committed: bool) -> None:
    before = await event_count(server)

    async def work(command: Command) -> int:
        fund_id = await create_fund(command, name="Fund")
        command.connection = CutAtCommit(command.connection, server.owner, is_committed=is_committed)
        return fund_id

    if is_committed:
        outcome = await run(server, work, key="k")
        assert (await run(server, creating("Fund"), key="k")) == Outcome(outcome.result, True)
        assert await fund_names(server) == ["Fund"]
        assert await event_count(server) == before + 1
    else:
        with pytest.raises(CommitFailed):
            await run(server, work, key="k")
        assert (await fund_names(server), await event_count(server)) == ([], before)
        assert (await run(server, creating("Fund"), key="k")).replayed is False


class RacedCommit:
    """A connection whose backend is being ended while it is to COMMIT: that is sent ``seconds`` later, or earlier."""

    def __init__(self, connection: Any, owner: asyncpg.Connection, seconds: float) -> None:
        self.connection, self.owner, self.seconds = connection, owner, seconds

    def __getattr__(self, name: str) -> Any:
        return getattr(self.connection, name)

    async def execute(self, sql: str) -> str:
        process_id = self.connection.get_server_pid()
        status, _ = await asyncio.gather(self._execute_later(sql), self._end_later(process_id))
        return status

    async def _execute_later(self, sql: str) -> str:
        await asyncio.sleep(max(0.0, self.seconds))
        status: str = await self.connection.execute(sql)
        return status

    async def _end_later(self, process_id: int) -> None:
        await asyncio.sleep(max(0.0, -self.seconds))
        await self.owner.execute("SELECT pg_terminate_backend($1)", process_id)


async def test_backend_ended_while_it_commits_leaves_what_was_answered(server: RunningServer) -> None:
    answered: list[str] = []
    for number in range(ROUNDS):

        async def work(command: Command, number: int = number) -> int:
            fund_id = await create_fund(command, name=f"Fund {number}")
            command.connection = RacedCommit(command.connection, server.owner, LEADS[number % len(LEADS)])
            return fund_id

        with suppress(CommitFailed):
            await run(server, work)
            answered.append(f"Fund {number}")
    assert await fund_names(server) == answered
    assert 0 < len(answered) < ROUNDS
    await run(server, creating("Afterwards"))


async def test_connections_lost_in_the_pool_are_replaced(server: RunningServer) -> None:
    names = [f"Fund {number}" for number in range(8)]
    await asyncio.gather(*(run(server, creating(name)) for name in names))
    await server.owner.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name = 'tranche app'"
    )
    await asyncio.gather(*(run(server, creating(f"{name} again")) for name in names))
    assert len(await fund_names(server)) == 16
    assert (await server.execute("{ funds { totalCount nodes { name } } }")).data["funds"]["totalCount"] == 16
