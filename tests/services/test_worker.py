"""The worker: as a process that is killed and stopped, and within the server; woken, and finding work by itself."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random

import asyncpg
import pytest

from api.db.event_bus import EventBus
from api.domain.access import Role
from api.reads import global_ids
from api.services.commands import Writer
from api.services.expired_keys import forget_expired_keys
from api.services.organizations import Member, create_organization
from api.services.worker import Duty, Worker
from tests.http.live.clients import until
from tests.processes import working
from tests.server import RunningServer, start_server
from tests.services.fund_client import CREATE_FUND
from tests.services.snapshots import FINAL, SnapshotFund, actions, assert_ended_once

PATIENT = {
    "TRANCHE_SNAPSHOT_SECONDS_MAX": "600",
    "TRANCHE_LOCK_TIMEOUT_SECONDS": "60",
    "TRANCHE_STATEMENT_TIMEOUT_SECONDS": "60",
}
"""With these nothing ends by itself while a test goes on, however slow the machine."""
KILLS = int(os.environ.get("TRANCHE_WORKER_KILLS", "1"))
"""How often each of two workers is killed."""
CREATE = """
mutation ($input: CreateForecastSnapshotInput!) {
  createForecastSnapshot(input: $input) { snapshot { id status } userErrors { code } }
}
"""


async def until_true(is_so: Callable[[], Awaitable[bool]]) -> None:
    """Returns once this is so; fails where it does not come to be."""
    for _ in range(1_500):
        if await is_so():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it did not come to be")


@pytest.fixture
async def fund(database_url: str) -> AsyncIterator[SnapshotFund]:
    """A fund in a database that nobody serves."""
    owner = await asyncpg.connect(database_url)
    members = [Member("ada@alpha.example", Role.ADMIN)]
    organization_id = await create_organization(owner, name="Alpha", slug="alpha", currency="USD", members=members)
    yield await SnapshotFund.create(owner, organization_id, companies=20, lots=5)
    await owner.close()


async def test_worker_that_is_killed_or_stopped_in_the_middle_is_replaced(
    database_url: str, state_directory: Path, fund: SnapshotFund
) -> None:
    (snapshot_id,) = await fund.ask()
    blocking = await asyncpg.connect(database_url)

    async def attempts() -> int:
        row = await fund.row(snapshot_id)
        return int(row["attempts"]) if row["status"] == "CALCULATING" else 0

    async def is_final() -> bool:
        return (await fund.row(snapshot_id))["status"] in FINAL

    async with blocking.transaction():
        await blocking.execute("LOCK TABLE investment_lots IN ACCESS EXCLUSIVE MODE")
        async with working(database_url, state_directory, **PATIENT) as killed:
            await until_true(lambda: _is(attempts(), 1))
            killed.kill()
        await fund.make_due()
        async with working(database_url, state_directory, **PATIENT) as stopped:
            await until_true(lambda: _is(attempts(), 2))
            stopped.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(stopped.wait(), 20) == 0
        assert (await actions(fund.owner, snapshot_id))[-1] == "given_back"
        assert await fund.owner.fetchval("SELECT next_attempt_at <= now() FROM forecast_snapshots")
    async with working(database_url, state_directory, **PATIENT):
        await until_true(is_final)
    await blocking.close()
    assert await actions(fund.owner, snapshot_id) == ["claimed", "claimed", "given_back", "claimed", "completed"]


async def _is(found: Awaitable[int], expected: int) -> bool:
    return await found == expected


async def keep_killing(
    database_url: str, state_directory: Path, fund: SnapshotFund, random: Random, kills: int
) -> None:
    """Runs one worker after the other, so many of which are killed after some more steps, until nothing is to do."""
    watching = replace(fund, owner=await asyncpg.connect(database_url))

    async def is_done(goal: int | None) -> bool:
        if goal is not None and await watching.steps() >= goal:
            return True
        return set(await watching.statuses()) <= set(FINAL)

    for kill in range(kills + 1):
        async with working(database_url, state_directory, TRANCHE_SNAPSHOT_SECONDS_MAX="3") as process:
            goal = await watching.steps() + random.randint(5, 15) if kill < kills else None
            await until_true(partial(is_done, goal))
            process.kill()
    await watching.owner.close()


async def test_snapshots_end_once_however_often_workers_are_killed(
    database_url: str, state_directory: Path, fund: SnapshotFund
) -> None:
    ids = await fund.ask(30 * KILLS)
    killing = [keep_killing(database_url, state_directory, fund, Random(seed), KILLS) for seed in (1, 2)]
    await asyncio.gather(*killing)
    await assert_ended_once(fund.owner, ids)


async def test_server_calculates_what_it_is_asked_for(database_url: str, state_directory: Path) -> None:
    async with start_server(database_url, state_directory, worker=True) as server:
        fund = await SnapshotFund.create(server.owner, server.organization_ids["alpha"])
        values = {"fundId": global_ids.encode("Fund", fund.fund_id), "name": "Q2"}
        answer = await server.execute(CREATE, {"input": values})
        # The worker may be faster than the answer.
        assert answer.data["createForecastSnapshot"]["snapshot"]["status"] in ("PENDING", "CALCULATING", "COMPLETE")
        await until_true(lambda: _are(fund.statuses(), ["COMPLETE"]))


async def _are(found: Awaitable[list[str]], expected: list[str]) -> bool:
    return await found == expected


async def test_worker_goes_on_after_a_duty_that_fails_and_is_woken_by_what_is_written(server: RunningServer) -> None:
    done: list[str] = []
    bus = EventBus(server.database_url)

    async def failing() -> None:
        done.append("failing")
        raise ZeroDivisionError

    async def woken() -> float:
        done.append("woken")
        return 1000

    worker = Worker(bus, [Duty("failing", failing, 1000), Duty("woken", woken, 1000, is_woken=True)])
    worker.start()
    await until(lambda: done == ["failing", "woken"])
    bus.publish(server.organization_ids["beta"], 7)
    await until(lambda: len(done) > 2)
    await worker.close()
    assert done == ["failing", "woken", "woken"]
    failing_state, woken_state = worker.states.values()
    assert [failing_state.done_at is None, failing_state.failed_at is None] == [True, False]
    assert [woken_state.done_at is None, woken_state.failed_at is None] == [False, True]


async def test_expired_keys_are_forgotten_in_every_organization(server: RunningServer) -> None:
    for organization in ("alpha", "beta"):
        for key in ("old", "new"):
            values = {"name": f"Fund {key}", "idempotencyKey": key}
            await server.execute(CREATE_FUND, {"input": values}, organization=organization)
    await server.owner.execute("UPDATE idempotency_keys SET expires_at = now() WHERE key = 'old'")
    for _ in range(2):
        await forget_expired_keys(server.database, Writer(server.database))
        rows = await server.owner.fetch("SELECT key FROM idempotency_keys")
        assert [row["key"] for row in rows] == ["new", "new"]
        events = await server.owner.fetch("SELECT kind FROM audit_events WHERE action = 'idempotency_keys.forgotten'")
        assert [event["kind"] for event in events] == ["SYSTEM", "SYSTEM"]
