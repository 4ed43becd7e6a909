"""The one way to write: keys, timeouts, retries, cancellation."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import asyncpg
import pytest
from pydantic import TypeAdapter

from api.domain.access import Principal, Role
from api.errors import ErrorCode, Problem, Refused, Unauthenticated
from api.services.commands import Command, Outcome, Writer
from api.services.funds import create_fund, update_fund
from api.services.idempotency import claim_for
from tests.server import RunningServer, start_server

CREATE = """
mutation ($input: CreateFundInput!) { createFund(input: $input) { fund { id } replayed userErrors { code field } } }
"""
INTEGER = TypeAdapter(int)
Work = Callable[[Command], Awaitable[int]]


async def run(
    server: RunningServer, work: Work, *, key: str | None = None, given: object = 1, writer: Writer | None = None
) -> Outcome[int]:
    """Runs work as createFund with a writer of its own: with queues of its own, as another process has."""
    writer = writer or Writer(server.database)
    return await writer.run(server.principal(), "createFund", work, result_type=INTEGER, claim=claim_for(key, given))


def creating(name: str) -> Work:
    return lambda command: create_fund(command, name=name)


async def fund_names(server: RunningServer) -> list[str]:
    return [row[0] for row in await server.owner.fetch("SELECT name FROM funds ORDER BY id")]


async def count(server: RunningServer, table: str) -> int:
    found: int = await server.owner.fetchval(f"SELECT count(*) FROM {table}")
    return found


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(10):
        while not await condition():  # noqa: ASYNC110 - only the database knows
            await asyncio.sleep(0.01)


async def test_refusal_writes_nothing_and_frees_the_key(server: RunningServer) -> None:
    before = await count(server, "audit_events")

    async def refused(command: Command) -> int:
        await create_fund(command, name="Fund")
        raise Refused([Problem(ErrorCode.INVALID_INPUT, "No.")])

    with pytest.raises(Refused):
        await run(server, refused, key="k")
    assert await count(server, "funds") == 0
    assert await count(server, "audit_events") == before
    assert await count(server, "idempotency_keys") == 0
    assert (await run(server, creating("Fund"), key="k", given="another input")).replayed is False


async def test_fault_of_the_program_writes_nothing_and_frees_the_key(server: RunningServer) -> None:
    async def faulty(command: Command) -> int:
        await create_fund(command, name="Fund")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await run(server, faulty, key="k")
    assert await count(server, "funds") == 0
    assert (await run(server, creating("Fund"), key="k")).replayed is False


async def test_one_key_in_two_processes_makes_one_fund(server: RunningServer) -> None:
    outcomes = await asyncio.gather(*(run(server, creating("Fund"), key="k") for _ in range(6)))
    assert sorted(outcome.replayed for outcome in outcomes) == [False, True, True, True, True, True]
    assert len({outcome.result for outcome in outcomes}) == 1
    assert await fund_names(server) == ["Fund"]


async def test_expired_key_is_claimed_anew(server: RunningServer) -> None:
    await run(server, creating("Fund"), key="k")
    await server.owner.execute("UPDATE idempotency_keys SET expires_at = now()")
    outcome = await run(server, creating("Fund II"), key="k", given="another input")
    assert outcome.replayed is False
    assert await fund_names(server) == ["Fund", "Fund II"]
    assert (await run(server, creating("Fund II"), key="k", given="another input")) == Outcome(outcome.result, True)


async def test_key_that_another_transaction_holds_for_long_is_in_progress(
    database_url: str, state_directory: Path
) -> None:
    async with start_server(database_url, state_directory, claim_timeout_seconds=0.2) as server:
        holding = server.owner.transaction()
        await holding.start()
        await server.owner.execute(
            """
            INSERT INTO idempotency_keys (organization_id, mutation, key, fingerprint, expires_at)
            VALUES ($1, 'createFund', 'k', sha256('x'), now() + interval '1 day')
            """,
            server.organization_ids["alpha"],
        )
        variables = {"input": {"name": "Fund", "idempotencyKey": "k"}}
        payload = (await server.execute(CREATE, variables)).data["createFund"]
        assert payload["userErrors"] == [{"code": "IN_PROGRESS", "field": ["idempotencyKey"]}]
        await holding.rollback()
        payload = (await server.execute(CREATE, variables)).data["createFund"]
        assert (payload["replayed"], payload["userErrors"]) == (False, [])


@pytest.mark.parametrize("key", [None, "k"])
async def test_work_waits_for_a_lock_no_longer_than_the_lock_timeout(
    database_url: str, state_directory: Path, key: str | None
) -> None:
    timeouts = {"claim_timeout_seconds": 5, "lock_timeout_seconds": 0.2}
    async with start_server(database_url, state_directory, **timeouts) as server:
        fund_id = (await run(server, creating("Fund"))).result

        async def renaming(command: Command) -> int:
            return await update_fund(command, fund_id=fund_id, expected_version=1, changes={"name": "X"})

        async with server.owner.transaction():
            await server.owner.execute("SELECT 1 FROM funds FOR UPDATE")
            started = time.monotonic()
            with pytest.raises(asyncpg.LockNotAvailableError):
                await run(
                    server,
                    lambda c: update_fund(c, fund_id=fund_id, expected_version=1, changes={"name": "X"}),
                    key=key,
                )
            assert time.monotonic() - started < 2


async def test_removed_or_changed_member_does_not_write(server: RunningServer) -> None:
    user_id = await server.owner.fetchval("SELECT id FROM users WHERE email = 'editor@alpha.example'")
    principal = Principal(server.organization_ids["alpha"], user_id, Role.EDITOR)
    for change in ("role = 'ADMIN'", "role = 'EDITOR', removed_at = now()"):
        await server.owner.execute(f"UPDATE memberships SET {change} WHERE user_id = $1", user_id)
        with pytest.raises(Unauthenticated):
            await Writer(server.database).run(principal, "createFund", creating("Fund"), result_type=INTEGER)
    assert await fund_names(server) == []


async def test_serialization_failures_are_retried(server: RunningServer) -> None:
    attempts = 0

    async def work(command: Command) -> int:
        nonlocal attempts
        attempts += 1
        fund_id = await create_fund(command, name=f"Fund {attempts}")
        if attempts <= 2:
            raise asyncpg.SerializationError("could not serialize access")
        return fund_id

    outcome = await run(server, work, key="k")
    assert (attempts, outcome.replayed) == (3, False)
    assert await fund_names(server) == ["Fund 3"]
    assert await server.owner.fetchval("SELECT count(*) FROM audit_events WHERE action = 'fund.created'") == 1


async def test_fifth_failure_gives_up_and_writes_nothing(server: RunningServer) -> None:
    attempts = 0

    async def work(command: Command) -> int:
        nonlocal attempts
        attempts += 1
        await create_fund(command, name="Fund")
        raise asyncpg.DeadlockDetectedError("deadlock detected")

    with pytest.raises(asyncpg.DeadlockDetectedError):
        await run(server, work, key="k")
    assert attempts == 5
    assert (await fund_names(server), await count(server, "idempotency_keys")) == ([], 0)


async def test_real_deadlock_is_retried(server: RunningServer) -> None:
    ids = [(await run(server, creating(name))).result for name in ("A", "B")]
    both_hold_one = asyncio.Barrier(2)
    attempts = 0

    def marking(first: int, second: int, strategy: str) -> Work:
        is_first_attempt = True

        async def work(command: Command) -> int:
            nonlocal is_first_attempt, attempts
            attempts += 1
            await mark(command, first, strategy)
            if is_first_attempt:
                is_first_attempt = False
                await both_hold_one.wait()
            return await mark(command, second, strategy)

        return work

    async def mark(command: Command, fund_id: int, strategy: str) -> int:
        sql = "SELECT version FROM funds WHERE id = $1 FOR UPDATE"
        version = await command.connection.fetchval(sql, fund_id)
        return await update_fund(command, fund_id=fund_id, expected_version=version, changes={"strategy": strategy})

    first, second = ids
    await asyncio.gather(run(server, marking(first, second, "one")), run(server, marking(second, first, "other")))
    assert attempts == 3
    assert {row[0] for row in await server.owner.fetch("SELECT version FROM funds")} == {3}


async def test_cancelled_command_still_completes(server: RunningServer) -> None:
    is_working, may_go_on = asyncio.Event(), asyncio.Event()

    async def work(command: Command) -> int:
        is_working.set()
        await may_go_on.wait()
        return await create_fund(command, name="Fund")

    task = asyncio.create_task(run(server, work, key="k"))
    await is_working.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    may_go_on.set()
    assert (await run(server, creating("Fund"), key="k")).replayed is True
    assert await fund_names(server) == ["Fund"]


async def test_cancelled_request_still_writes(server: RunningServer) -> None:
    async with server.owner.transaction():
        await server.owner.execute("SELECT 1 FROM audit_heads FOR UPDATE")
        task = asyncio.create_task(server.execute(CREATE, {"input": {"name": "Fund"}}))
        sql = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"

        async def is_waiting() -> bool:
            return bool(await server.owner.fetchval(sql))

        await until(is_waiting)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    async def is_written() -> bool:
        return await fund_names(server) == ["Fund"]

    await until(is_written)
