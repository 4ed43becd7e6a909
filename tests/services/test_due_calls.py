"""Reminders and overdue calls: by the UTC day, once each, across downtimes, workers, time zones and payments."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import asyncpg
import pytest

from api.errors import Refused
from api.services import due_calls
from api.services.commands import Writer
from api.services.due_calls import check_due_calls, check_some, utc_today
from tests.server import RunningServer, start_server
from tests.services.calls import DAY, Calls

REMINDERS = ["due_in_7_days", "due_in_3_days", "due_in_1_days"]
"""What a call is told of before it is due, in the log."""


@pytest.fixture
def calls(server: RunningServer) -> Calls:
    return Calls(server.owner, server.database, server.organization_ids["alpha"])


async def test_call_is_overdue_the_day_after_its_grace_and_not_before(calls: Calls) -> None:
    call_id = await calls.call(await calls.allocate(), 100)
    due_on = (await calls.row(call_id))["due_on"]
    assert due_on == DAY + timedelta(days=30)
    calls.today = due_on + timedelta(days=7)
    await calls.check()
    assert await calls.status(call_id) == "CALLED"
    await calls.check(after=1)
    row = await calls.row(call_id)
    assert (row["status"], row["version"], row["next_check_on"]) == ("OVERDUE", 2, None)
    await calls.check(after=100)
    assert await calls.told(call_id) == ["created", "overdue"]


async def test_overdue_is_in_the_log_as_the_systems_doing(calls: Calls) -> None:
    call_id = await calls.call(await calls.allocate(), 100)
    await calls.pay(call_id, 40)
    await calls.check(after=38)
    event = await calls.owner.fetchrow("SELECT * FROM audit_events WHERE action = 'capital_call.overdue'")
    assert (event["kind"], event["actor_id"], event["subject_id"]) == ("FINANCIAL", None, str(call_id))
    assert '"before":{"status":"PARTIALLY_PAID"}' in event["body"]
    assert '"outstanding_cents":60' in event["body"]


async def test_reminders_come_once_each_on_their_days(calls: Calls) -> None:
    call_id = await calls.call(await calls.allocate(), 100)
    for _ in range(45):
        await calls.check(after=1)
        await calls.check()
    assert await calls.told(call_id) == ["created", *REMINDERS, "overdue"]
    # A reminder is no change of the call: whoever has read it can still change it.
    assert (await calls.row(call_id))["version"] == 2


async def test_reminders_whose_day_has_passed_are_left_out(calls: Calls) -> None:
    call_id = await calls.call(await calls.allocate(), 100)
    # Nobody looked from day 20 to day 26: seven days before was day 23.
    await calls.check(after=26)
    assert await calls.told(call_id) == ["created"]
    await calls.check(after=1)
    await calls.check(after=2)
    assert await calls.told(call_id) == ["created", *REMINDERS[1:]]
    missed = await calls.owner.fetchval("SELECT body FROM audit_events WHERE action = 'capital_call_reminders.missed'")
    assert f'"capital_call_ids":[{call_id}]' in missed


async def test_calls_that_nothing_is_to_be_paid_for_are_let_be(calls: Calls) -> None:
    paid, defaulted, scheduled = [await calls.call(await calls.allocate(), 100) for _ in range(2)] + [
        await calls.call(await calls.allocate(), 100, status="SCHEDULED")
    ]
    await calls.pay(paid, 100)
    await calls.change(defaulted, "DEFAULTED")
    await calls.check(after=300)
    assert [await calls.status(one) for one in (paid, defaulted, scheduled)] == ["PAID", "DEFAULTED", "SCHEDULED"]
    await calls.change(scheduled, "CALLED")
    await calls.check()
    assert await calls.status(scheduled) == "OVERDUE"


async def test_overdue_call_that_is_paid_in_part_is_overdue_again(calls: Calls) -> None:
    call_id = await calls.call(await calls.allocate(), 100)
    await calls.check(after=38)
    await calls.pay(call_id, 1)
    assert await calls.status(call_id) == "PARTIALLY_PAID"
    await calls.check()
    assert await calls.status(call_id) == "OVERDUE"
    await calls.pay(call_id, 99)
    await calls.check(after=1)
    assert await calls.told(call_id) == ["created", "overdue", "paid", "overdue", "paid"]


async def test_each_organization_has_its_turn_and_batches_go_on_to_the_end(
    server: RunningServer, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(due_calls, "CHECKED_AT_ONCE", 3)
    others = Calls(server.owner, server.database, server.organization_ids["beta"])
    ids = []
    for owner, number in ((calls, 7), (others, 2)):
        allocation_id = await owner.allocate()
        ids += [await owner.call(allocation_id, 10) for _ in range(number)]
    await calls.check(after=38)
    assert [await calls.told(one) for one in ids] == [["created", "overdue"]] * 9
    counted = "SELECT count(*) FROM audit_events WHERE action = 'capital_call.overdue' AND organization_id = $1"
    assert [await server.owner.fetchval(counted, one.organization_id) for one in (calls, others)] == [7, 2]


async def test_many_workers_at_once_do_everything_once(calls: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(due_calls, "CHECKED_AT_ONCE", 5)
    allocation_id = await calls.allocate()
    late = [await calls.call(allocation_id, 10) for _ in range(20)]
    soon = [await calls.call(allocation_id, 10, due_on=DAY + timedelta(days=39)) for _ in range(20)]
    calls.today += timedelta(days=38)
    await asyncio.gather(*(calls.check() for _ in range(6)))
    # What another was at is left for the next look.
    await calls.check()
    assert [await calls.told(one) for one in late] == [["created", "overdue"]] * 20
    assert [await calls.told(one) for one in soon] == [["created", "due_in_1_days"]] * 20


async def test_worker_neither_waits_for_a_payment_nor_undoes_it(calls: Calls) -> None:
    call_id = await calls.call(await calls.allocate(), 100)
    calls.today += timedelta(days=38)
    async with calls.owner.transaction():
        await calls.owner.execute("SELECT FROM capital_calls WHERE id = $1 FOR NO KEY UPDATE", call_id)
        await calls.check()
    assert await calls.told(call_id) == ["created"]
    await calls.pay(call_id, 100)
    await calls.check()
    assert await calls.told(call_id) == ["created", "paid"]


async def test_payments_and_workers_at_once_lose_nothing(calls: Calls) -> None:
    allocation_id = await calls.allocate()
    ids = [await calls.call(allocation_id, 40) for _ in range(20)]
    calls.today += timedelta(days=38)
    await asyncio.gather(
        *(calls.check() for _ in range(4)), *(calls.pay(one, part) for one in ids for part in (15, 25))
    )
    assert [(row["status"], row["paid_cents"]) for row in [await calls.row(one) for one in ids]] == [("PAID", 40)] * 20
    assert (await calls.allocation(allocation_id))["status"] == "PARTIALLY_PAID"
    for one in ids:
        told = await calls.told(one)
        assert (told.count("paid"), told[-1]) == (2, "paid")
        # A version for each change, and none that another has overwritten.
        assert (await calls.row(one))["version"] == len(told)


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (datetime(2025, 8, 6, 23, 59, 59, 999999, UTC), "CALLED"),
        (datetime(2025, 8, 7, tzinfo=UTC), "OVERDUE"),
        # The seventh already where the fund is, and the sixth still where the server is.
        (datetime(2025, 8, 7, 11, 59, tzinfo=ZoneInfo("Pacific/Auckland")), "CALLED"),
        (datetime(2025, 8, 6, 20, 0, tzinfo=ZoneInfo("America/New_York")), "OVERDUE"),
    ],
)
async def test_day_is_that_of_utc(calls: Calls, now: datetime, expected: str) -> None:
    call_id = await calls.call(await calls.allocate(), 100)
    await check_due_calls(calls.database, calls.writer, lambda: now.astimezone(UTC).date())
    assert await calls.status(call_id) == expected


@pytest.fixture(params=["Pacific/Kiritimati", "Pacific/Pago_Pago"])
async def elsewhere(database_url: str, state_directory: Path, request: pytest.FixtureRequest) -> AsyncIterator[Calls]:
    """A server whose database keeps the clock of one end of the world."""
    owner = await asyncpg.connect(database_url)
    name = await owner.fetchval("SELECT current_database()")
    await owner.execute(f"ALTER DATABASE {name} SET timezone = '{request.param}'")
    await owner.close()
    async with start_server(database_url, state_directory) as server:
        yield Calls(server.owner, server.database, server.organization_ids["alpha"])


async def test_time_zone_of_the_database_makes_no_difference(elsewhere: Calls) -> None:
    elsewhere.today = today = datetime.now(UTC).date()
    allocation_id = await elsewhere.allocate()
    due = {days: await elsewhere.call(allocation_id, 10, **dated(today, days)) for days in (-8, -7, 0, 1, 2)}
    await check_due_calls(elsewhere.database, elsewhere.writer)
    told = {days: (await elsewhere.told(call_id))[1:] for days, call_id in due.items()}
    assert told == {-8: ["overdue"], -7: [], 0: [], 1: ["due_in_1_days"], 2: []}


def dated(today: date, days: int) -> dict[str, date]:
    return {"called_on": today - timedelta(days=20), "due_on": today + timedelta(days=days)}


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Pago_Pago"])
def test_today_is_utcs_wherever_the_process_is(monkeypatch: pytest.MonkeyPatch, zone: str) -> None:
    """At any time it is another day in one of the two."""
    with monkeypatch.context() as there:
        there.setenv("TZ", zone)
        time.tzset()
        before, today, after = datetime.now(UTC).date(), utc_today(), datetime.now(UTC).date()
    time.tzset()
    assert before <= today <= after


async def test_command_that_finds_nothing_writes_nothing(calls: Calls) -> None:
    with pytest.raises(due_calls.NothingDue):
        await calls.run("checkDueCalls", lambda command: check_some(command, today=DAY), int)
    assert await calls.owner.fetchval("SELECT count(*) FROM audit_events WHERE action LIKE 'capital%'") == 0


async def test_organization_whose_calls_are_not_to_be_had_keeps_nobody_waiting(
    server: RunningServer, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = Calls(server.owner, server.database, server.organization_ids["beta"])
    first, second = [await one.call(await one.allocate(), 10) for one in (calls, others)]
    run = Writer.run

    async def failing(self: Writer, principal: object, *given: object, **named: object) -> object:
        if principal.organization_id == calls.organization_id:  # type: ignore[attr-defined]
            raise asyncpg.LockNotAvailableError("held by somebody")
        return await run(self, principal, *given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(Writer, "run", failing)
    with pytest.raises((Refused, asyncpg.LockNotAvailableError)):
        await calls.call(await calls.allocate(), 10)
    await calls.check(after=38)
    assert (await calls.status(first), await calls.status(second)) == ("CALLED", "OVERDUE")
