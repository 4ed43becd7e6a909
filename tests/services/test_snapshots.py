"""Calculating snapshots: what becomes of one that is due, whatever happens to whoever is at it."""

import asyncio
import json
from contextlib import suppress
from pathlib import Path

import asyncpg
import pytest

from api.domain.money import CENTS_MAX
from api.domain.snapshot_attempts import ATTEMPTS_MAX, is_given_up, lease_seconds, pause_seconds
from api.services import snapshot_states as states
from api.services.commands import Command
from api.services.snapshot_calculation import CLAIMED, ENDED, Calculator, calculate_due, calculate_next
from api.services.snapshot_states import Calculated, Claim, ClaimLost, NothingDue
from tests.server import RunningServer, start_server
from tests.services.snapshots import SnapshotFund, actions, assert_ended_once, calculator

METRICS = Calculated(bytes(32), {"format": 1})


async def fund_in(server: RunningServer, organization: str = "alpha", **sizes: int) -> SnapshotFund:
    return await SnapshotFund.create(server.owner, server.organization_ids[organization], **sizes)


async def claimed(by: Calculator, organization_id: int) -> Claim:
    held = await by.run(organization_id, lambda command: states.claim(command, seconds_max=by.seconds_max), CLAIMED)
    assert held is not None
    return held


async def completed(by: Calculator, organization_id: int, held: Claim) -> None:
    await by.run(organization_id, lambda command: states.complete(command, held, METRICS), ENDED)


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
