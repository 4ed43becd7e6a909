"""Snapshots whose calculation fails, takes too long or loses its worker: found again, ended once, never shared."""

import asyncio
from contextlib import suppress
from pathlib import Path

import asyncpg
import pytest

from api.domain.snapshot_attempts import ATTEMPTS_MAX, is_given_up, lease_seconds, pause_seconds
from api.services import snapshot_states as states
from api.services.commands import Command
from api.services.snapshot_calculation import ENDED, calculate_due, calculate_next
from api.services.snapshot_states import ClaimLost, NothingDue
from tests.server import RunningServer, start_server
from tests.services.snapshots import actions, assert_ended_once, calculator, claimed, completed, fund_in


async def locked_lots(server: RunningServer) -> asyncpg.Connection:
    """A connection that keeps everybody from reading lots, until it is closed."""
    other = await asyncpg.connect(server.database_url)
    await other.execute("BEGIN; LOCK TABLE investment_lots IN ACCESS EXCLUSIVE MODE")
    return other


async def test_attempt_that_takes_too_long_is_made_again_and_given_up_in_the_end(server: RunningServer) -> None:
    fund = await fund_in(server)
    (snapshot_id,) = await fund.ask()
    by = calculator(server.database, seconds_max=0.6)
    blocking = await locked_lots(server)
    for attempt in range(1, ATTEMPTS_MAX + 1):
        assert await calculate_next(by, fund.organization_id)
        row = await fund.row(snapshot_id)
        assert row["attempts"] == attempt
        if attempt < ATTEMPTS_MAX:
            assert (row["status"], row["error"]) == ("CALCULATING", "Calculating it took too long.")
            await server.owner.execute("UPDATE forecast_snapshots SET next_attempt_at = now(), claimed_at = now()")
    await blocking.close()
    assert (row["status"], row["error"]) == ("ERROR", "Calculating it took too long. Attempts made: 3.")
    assert await actions(server.owner, snapshot_id) == [*["claimed", "postponed"] * 2, "claimed", "failed"]


async def test_attempt_after_one_that_failed_completes_and_forgets_the_failure(server: RunningServer) -> None:
    fund = await fund_in(server)
    (snapshot_id,) = await fund.ask()
    blocking = await locked_lots(server)
    await calculate_next(calculator(server.database, seconds_max=0.3), fund.organization_id)
    await blocking.close()
    await fund.make_due()
    await calculate_due(calculator(server.database))
    row = await fund.row(snapshot_id)
    assert (row["status"], row["attempts"], row["error"]) == ("COMPLETE", 2, None)
    assert await actions(server.owner, snapshot_id) == ["claimed", "postponed", "claimed", "completed"]


async def test_snapshot_whose_worker_is_gone_is_found_again_when_its_time_is_up(server: RunningServer) -> None:
    fund = await fund_in(server)
    (snapshot_id,) = await fund.ask()
    by = calculator(server.database)
    await claimed(by, fund.organization_id)
    seconds = await calculate_due(by)
    assert seconds is not None
    assert 0 < seconds <= lease_seconds(by.seconds_max)
    assert not await calculate_next(by, fund.organization_id)
    await fund.make_due()
    await calculate_due(by)
    assert (await fund.row(snapshot_id))["attempts"] == 2
    assert await actions(server.owner, snapshot_id) == ["claimed", "claimed", "completed"]


async def test_snapshot_that_no_worker_finishes_ends_in_an_error(server: RunningServer) -> None:
    fund = await fund_in(server)
    (snapshot_id,) = await fund.ask()
    by = calculator(server.database)
    for _ in range(ATTEMPTS_MAX):
        await claimed(by, fund.organization_id)
        await fund.make_due()
    assert await calculate_next(by, fund.organization_id)
    row = await fund.row(snapshot_id)
    assert (row["status"], row["error"]) == ("ERROR", f"{states.NEVER_DONE} Attempts made: 3.")
    await assert_ended_once(server.owner, [snapshot_id])


async def test_snapshot_is_given_up_when_all_its_time_is_over_however_few_the_attempts(server: RunningServer) -> None:
    fund = await fund_in(server)
    (snapshot_id,) = await fund.ask()
    by = calculator(server.database)
    held = await claimed(by, fund.organization_id)
    await server.owner.execute("UPDATE forecast_snapshots SET claimed_at = now() - interval '50 seconds'")
    await fund.make_due()
    again = await claimed(by, fund.organization_id)
    assert (held.seconds, again.attempt) == (20, 2)
    assert again.seconds <= 10
    await server.owner.execute("UPDATE forecast_snapshots SET claimed_at = now() - interval '60 seconds'")
    await fund.make_due()
    await calculate_due(by)
    assert (await fund.row(snapshot_id))["status"] == "ERROR"


async def test_worker_that_lost_its_claim_can_do_nothing_more(server: RunningServer) -> None:
    fund = await fund_in(server)
    (snapshot_id,) = await fund.ask()
    by = calculator(server.database)
    lost = await claimed(by, fund.organization_id)
    await fund.make_due()
    with pytest.raises(ClaimLost):
        await completed(by, fund.organization_id, lost)
    held = await claimed(by, fund.organization_id)
    with pytest.raises(ClaimLost):
        await completed(by, fund.organization_id, lost)
    for step in (states.give_back, lambda command, one: states.fail(command, one, "x")):
        with pytest.raises(ClaimLost):
            await by.run(fund.organization_id, lambda command, step=step: step(command, lost), ENDED)  # type: ignore[misc]
    await completed(by, fund.organization_id, held)
    with pytest.raises(ClaimLost):
        await completed(by, fund.organization_id, held)
    assert await actions(server.owner, snapshot_id) == ["claimed", "claimed", "completed"]


async def test_many_workers_share_the_snapshots_and_calculate_each_once(server: RunningServer) -> None:
    funds = [await fund_in(server), await fund_in(server), await fund_in(server, "beta")]
    ids = [snapshot_id for fund in funds for snapshot_id in await fund.ask(8)]
    workers = [calculator(server.database) for _ in range(4)]
    async with asyncio.TaskGroup() as group:
        for one in workers:
            group.create_task(calculate_due(one))
    # Whoever found nothing to be had has left; nothing may be left over.
    await calculate_due(workers[0])
    await assert_ended_once(server.owner, ids)
    assert {(await funds[0].row(snapshot_id))["attempts"] for snapshot_id in ids} == {1}


@pytest.mark.parametrize("lead", range(12))
async def test_worker_that_is_stopped_leaves_the_snapshot_to_the_next_at_once(server: RunningServer, lead: int) -> None:
    """Wherever it is stopped: before the claim, within it, while reading, before or after the end."""
    fund = await fund_in(server)
    (snapshot_id,) = await fund.ask()
    working = asyncio.create_task(calculate_due(calculator(server.database)))
    for _ in range(lead * lead):
        await asyncio.sleep(0)
    working.cancel()
    with suppress(asyncio.CancelledError):
        await working
    row = await fund.row(snapshot_id)
    assert (row["status"] in ("PENDING", "CALCULATING")) == (row["next_attempt_at"] is not None)
    assert await calculate_due(calculator(server.database)) is None
    await assert_ended_once(server.owner, [snapshot_id])
    assert (await fund.row(snapshot_id))["status"] == "COMPLETE"


async def test_worker_that_is_stopped_while_a_command_fails_is_stopped_all_the_same(server: RunningServer) -> None:
    fund = await fund_in(server)
    begun, over = asyncio.Event(), asyncio.Event()

    async def work(_command: Command) -> int:
        begun.set()
        await over.wait()
        raise NothingDue

    async def worker() -> None:
        with suppress(NothingDue):
            await calculator(server.database).run(fund.organization_id, work, ENDED)
        await asyncio.Event().wait()

    working = asyncio.create_task(worker())
    await begun.wait()
    working.cancel()
    await asyncio.sleep(0)
    over.set()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(working, 10)


async def test_organization_whose_log_is_held_does_not_keep_others_waiting(
    database_url: str, state_directory: Path
) -> None:
    async with start_server(database_url, state_directory, lock_timeout_seconds=0.1) as server:
        held, free = await fund_in(server), await fund_in(server, "beta")
        ids = [*await held.ask(), *await free.ask()]
        async with server.owner.transaction():
            await server.owner.execute(
                "SELECT FROM audit_heads WHERE organization_id = $1 FOR NO KEY UPDATE", held.organization_id
            )
            await calculate_due(calculator(server.database))
            assert await held.statuses() == ["PENDING", "COMPLETE"]
        await calculate_due(calculator(server.database))
        await assert_ended_once(server.owner, ids)


async def test_nothing_due_writes_nothing(server: RunningServer) -> None:
    fund = await fund_in(server)
    before = await server.owner.fetchval("SELECT count(*) FROM audit_events")
    by = calculator(server.database)
    assert await calculate_due(by) is None
    with pytest.raises(NothingDue):
        await claimed(by, fund.organization_id)
    assert await server.owner.fetchval("SELECT count(*) FROM audit_events") == before


async def test_snapshot_that_somebody_holds_is_left_alone(server: RunningServer) -> None:
    fund = await fund_in(server)
    await fund.ask()
    async with server.owner.transaction():
        await server.owner.execute("SELECT FROM forecast_snapshots FOR NO KEY UPDATE")
        assert await calculate_due(calculator(server.database)) == pytest.approx(0.05)
    assert await calculate_due(calculator(server.database)) is None
    assert await fund.statuses() == ["COMPLETE"]


def test_attempts_fit_into_their_time() -> None:
    assert ATTEMPTS_MAX * lease_seconds(60) == 60
    assert [pause_seconds(attempts, 60) for attempts in (1, 2)] == [3, 6]
    assert not is_given_up(2, 59.9, 60)
    assert is_given_up(3, 0, 60)
    assert is_given_up(1, 60, 60)
