"""What takes too long, and what happens while the database is away: typed errors, in time, on both paths."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from api.db import connections
from api.domain.access import Role
from api.http.deadlines import Deadlines
from tests.server import Answer, RunningServer, start_server

FUNDS = "{ funds { nodes { name reserves { plannedCents } } } }"
TWO_ROOTS = "{ funds { totalCount } portfolios { totalCount } }"
CREATE = """mutation ($input: CreateFundInput!) {
  createFund(input: $input) { fund { name } replayed userErrors { code } }
}"""
SLOW: dict[str, Any] = {
    "statement_timeout_seconds": 60,
    "lock_timeout_seconds": 60,
    "claim_timeout_seconds": 60,
    "operation_seconds_max": 60,
}
END_WAITING = "SELECT count(pg_terminate_backend(pid)) FROM pg_locks WHERE NOT granted"
BOTH_PATHS = pytest.mark.parametrize("uses_plans", [True, False], ids=["compiled", "resolvers"])
QUERIES = pytest.mark.parametrize("query", [FUNDS, TWO_ROOTS], ids=["one statement", "several"])


@asynccontextmanager
async def locked(server: RunningServer) -> AsyncIterator[None]:
    """Nobody reads or writes funds meanwhile."""
    async with server.owner.transaction():
        await server.owner.execute("LOCK TABLE funds IN ACCESS EXCLUSIVE MODE")
        yield


@pytest.fixture
async def start(database_url: str, state_directory: Path) -> AsyncIterator[Any]:
    async with AsyncExitStack() as stack:

        async def started(**settings: Any) -> RunningServer:
            return await stack.enter_async_context(start_server(database_url, state_directory, **SLOW | settings))

        yield started


async def until(condition: Callable[[], Awaitable[Any]]) -> None:
    """Waits for something that is bound to come."""
    async with asyncio.timeout(30):
        while True:
            if await condition():
                return
            await asyncio.sleep(0.01)


def told(answer: Answer, code: str) -> str:
    """The message of the one error that is all of the answer."""
    assert (answer.status, answer.codes, list(answer.body)) == (503, [code], ["errors"])
    [error] = answer.body["errors"]
    assert error.keys() == {"message", "extensions"}
    message: str = error["message"]
    return message


@BOTH_PATHS
@QUERIES
async def test_query_ends_at_its_deadline(start: Any, uses_plans: bool, query: str) -> None:
    server = await start(compiled_queries=uses_plans, operation_seconds_max=0.3)
    async with locked(server):
        answer = await server.execute(query)
        assert told(answer, "TIMEOUT") == "The operation took longer than 0.3 s. Ask for less at once."
    assert "errors" not in (await server.execute(query)).body


@BOTH_PATHS
async def test_connections_of_ended_queries_are_of_use_again(start: Any, uses_plans: bool) -> None:
    server = await start(compiled_queries=uses_plans, operation_seconds_max=0.3, read_connections_max=2)
    async with locked(server):
        answers = await asyncio.gather(*(server.execute(FUNDS) for _ in range(6)))
        assert [answer.codes for answer in answers] == [["TIMEOUT"]] * 6
    # None is lost: as many as there may be are in use at once.
    await until(lambda: _answers_at_once(server, 2))
    assert server.database.reads.size <= 2


async def _answers_at_once(server: RunningServer, count: int) -> bool:
    answers = await asyncio.gather(*(server.execute(FUNDS) for _ in range(count)))
    return all("errors" not in answer.body for answer in answers)


@BOTH_PATHS
@QUERIES
@pytest.mark.parametrize("setting", ["statement_timeout_seconds", "lock_timeout_seconds"])
async def test_query_whose_statement_takes_too_long_says_so(
    start: Any, uses_plans: bool, query: str, setting: str
) -> None:
    server = await start(compiled_queries=uses_plans, **{setting: 0.2})
    async with locked(server):
        answer = await server.execute(query)
        assert told(answer, "TIMEOUT") == "The database took too long. Ask for less, or send it again."
    assert "errors" not in (await server.execute(query)).body


@pytest.mark.parametrize("accept", ["application/graphql-response+json", "application/json"])
async def test_who_has_to_wait_is_told_how_long(start: Any, accept: str) -> None:
    server = await start(lock_timeout_seconds=0.2)
    headers = {"Authorization": f"Bearer {server.tokens['alpha', Role.EDITOR]}", "Accept": accept}
    async with locked(server):
        response = await server.client.post("/graphql", json={"query": FUNDS}, headers=headers)
    assert (response.status_code, response.headers["retry-after"]) == (503, "1")
    assert response.headers["content-type"] == f"{accept}; charset=utf-8"


async def test_mutation_goes_on_after_its_deadline(start: Any) -> None:
    server = await start(operation_seconds_max=0.3)
    given = {"input": {"name": "Late", "idempotencyKey": "late"}}
    async with locked(server):
        message = told(await server.execute(CREATE, given), "TIMEOUT")
        assert message.startswith("The mutation takes longer than 0.3 s and goes on.")
    await until(lambda: server.owner.fetchval("SELECT count(*) FROM funds"))
    again = (await server.execute(CREATE, given)).data["createFund"]
    assert again == {"fund": {"name": "Late"}, "replayed": True, "userErrors": []}
    assert await server.owner.fetchval("SELECT count(*) FROM funds") == 1


async def test_mutation_whose_statement_takes_too_long_says_so_beside_what_was_written(start: Any) -> None:
    server = await start(lock_timeout_seconds=0.2)
    document = """mutation ($fund: CreateFundInput!, $portfolio: CreatePortfolioInput!) {
      first: createPortfolio(input: $portfolio) { portfolio { name } }
      second: createFund(input: $fund) { fund { name } }
    }"""
    async with locked(server):
        variables = {"fund": {"name": "Never"}, "portfolio": {"name": "Written", "currency": "USD"}}
        answer = await server.execute(document, variables)
    assert (answer.status, answer.codes) == (200, ["TIMEOUT"])
    assert answer.body["data"] == {"first": {"portfolio": {"name": "Written"}}, "second": None}
    assert answer.body["errors"][0]["path"] == ["second"]
    assert await server.owner.fetchval("SELECT count(*) FROM funds") == 0
    assert await server.owner.fetchval("SELECT count(*) FROM portfolios") == 1


async def end_backends(server: RunningServer) -> None:
    """Ends the backends that wait for the lock, as soon as there are any."""
    await until(lambda: server.owner.fetchval(END_WAITING))


@BOTH_PATHS
@QUERIES
async def test_query_whose_connection_is_lost_says_so(start: Any, uses_plans: bool, query: str) -> None:
    server = await start(compiled_queries=uses_plans)
    async with locked(server):
        answering = asyncio.ensure_future(server.execute(query))
        ended = 0
        # A single statement is read again on other connections, until they are all lost.
        while not answering.done():
            async with asyncio.timeout(30):
                ended += await server.owner.fetchval(END_WAITING)
                await asyncio.sleep(0.01)
    assert ended > 0
    assert told(await answering, "UNAVAILABLE").startswith("The database does not answer.")
    assert "errors" not in (await server.execute(query)).body


async def test_mutation_whose_connection_is_lost_says_so_and_wrote_nothing(start: Any) -> None:
    server = await start()
    async with locked(server):
        answering = asyncio.ensure_future(server.execute(CREATE, {"input": {"name": "Lost", "idempotencyKey": "k"}}))
        await end_backends(server)
        answer = await answering
    told(answer, "UNAVAILABLE")
    assert await server.owner.fetchval("SELECT count(*) FROM funds") == 0
    again = (await server.execute(CREATE, {"input": {"name": "Lost", "idempotencyKey": "k"}})).data["createFund"]
    assert again == {"fund": {"name": "Lost"}, "replayed": False, "userErrors": []}


@BOTH_PATHS
async def test_query_that_finds_no_connection_free_says_so(
    start: Any, uses_plans: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "ACQUIRE_SECONDS_MAX", 0.1)
    server = await start(compiled_queries=uses_plans, read_connections_max=1)
    async with server.database.reads.lent():
        told(await server.execute(FUNDS), "UNAVAILABLE")
    assert "errors" not in (await server.execute(FUNDS)).body


@BOTH_PATHS
async def test_database_that_is_gone_is_said_to_be(start: Any, uses_plans: bool) -> None:
    server = await start(compiled_queries=uses_plans)
    await server.owner.execute("ALTER ROLE tranche_server CONNECTION LIMIT 0")
    try:
        await server.owner.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        for _ in range(2):
            told(await server.execute(FUNDS), "UNAVAILABLE")
    finally:
        await server.owner.execute("ALTER ROLE tranche_server CONNECTION LIMIT -1")
    assert "errors" not in (await server.execute(FUNDS)).body


async def test_fault_of_the_program_is_still_masked(start: Any) -> None:
    server = await start()
    await server.owner.execute("ALTER TABLE funds RENAME COLUMN name TO title")
    answer = await server.execute(FUNDS)
    assert answer.codes == ["INTERNAL_SERVER_ERROR"]
    assert "title" not in str(answer.body)


async def test_operation_given_up_by_its_caller_is_not_late(start: Any) -> None:
    server = await start()
    async with locked(server):
        answering = asyncio.ensure_future(server.execute(FUNDS))
        await asyncio.sleep(0.05)
        answering.cancel()
        with pytest.raises(asyncio.CancelledError):
            await answering
    assert "errors" not in (await server.execute(FUNDS)).body


async def test_task_that_ends_in_time_is_left_alone() -> None:
    deadlines = Deadlines(0.05)
    task = deadlines.start()
    assert not deadlines.end(task)
    await asyncio.sleep(0.15)
    assert (task.cancelling(), deadlines._running, deadlines._is_looking) == (0, {}, False)


async def test_task_that_is_late_is_cancelled_once() -> None:
    deadlines = Deadlines(0.05)
    task = deadlines.start()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.sleep(30)
    assert deadlines.has_ended(task)
    assert deadlines.end(task)
    await asyncio.sleep(0.05)
    assert task.cancelling() == 0


async def test_task_that_is_late_and_given_up_is_given_up() -> None:
    deadlines, seen = Deadlines(0.05), []

    async def work() -> None:
        task = deadlines.start()
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            task.cancel()
            seen.append(deadlines.has_ended(task))
            raise

    with pytest.raises(asyncio.CancelledError):
        await asyncio.ensure_future(work())
    assert seen == [False]
