"""Capital calls as they are made, paid, overdue and reminded of, by fund, in commit order, from a cursor on."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest

from api.db.event_bus import EventBus
from api.domain.access import Role
from api.http.live import answers
from api.reads import global_ids
from api.reads.live.positions import encode_cursor
from api.services.commands import Writer
from api.services.due_calls import check_due_calls
from api.services.worker import Worker, worker_for
from tests.http.live.clients import LiveServer
from tests.services.call_client import CallClient, days_ago

CHANGED = """
subscription ($fundId: ID, $after: String) {
  capitalCallChanged(fundId: $fundId, after: $after) {
    cursor kind daysUntilDue
    capitalCall { id status paidCents outstandingCents percentage dueOn version allocation { id } }
  }
}
"""
COLUMNS = """
subscription ($after: String) {
  capitalCallChanged(after: $after) {
    __typename cursor kind daysUntilDue
    capitalCall {
      __typename id amountCents percentage calledOn dueOn overdueOn status paidCents outstandingCents version createdAt
      updatedAt
    }
  }
}
"""


async def test_changes_come_with_their_kind_and_their_call(live: LiveServer) -> None:
    client = CallClient(live.server)
    allocation_id = await client.allocate()
    async with live.session(Role.VIEWER) as session:
        await session.subscribe(CHANGED)
        await live.followers(1)
        call = await client.call(allocation_id, percentage="0.1", **LONG_AGO)
        await live.create_fund()
        told = [(await session.next())["capitalCallChanged"]]
        for step in (client.pay(call, 40), client.look(), client.pay(call, 60)):
            await step
            told.append((await session.next())["capitalCallChanged"])
        other = await client.call(allocation_id, amountCents="5", status="SCHEDULED")
        await client.change(other, "CALLED")
        told += [(await session.next())["capitalCallChanged"] for _ in range(2)]
    assert [(one["kind"], one["capitalCall"]["status"]) for one in told] == [
        ("CREATED", "CALLED"),
        ("PAYMENT", "PARTIALLY_PAID"),
        ("OVERDUE", "OVERDUE"),
        ("PAYMENT", "PAID"),
        ("CREATED", "SCHEDULED"),
        ("STATUS_CHANGED", "CALLED"),
    ]
    assert told[1]["capitalCall"] == {
        "id": call["id"],
        "status": "PARTIALLY_PAID",
        "paidCents": "40",
        "outstandingCents": "60",
        "percentage": "0.1",
        "dueOn": call["dueOn"],
        "version": "2",
        "allocation": {"id": allocation_id},
    }
    assert {one["daysUntilDue"] for one in told} == {None}


LONG_AGO = {"calledOn": days_ago(60), "dueOn": days_ago(30)}


async def test_reminders_tell_how_many_days_are_left(live: LiveServer) -> None:
    client = CallClient(live.server)
    allocation_id = await client.allocate()
    for days in (9, 7, 3, 1):
        await client.call(allocation_id, amountCents="10", dueOn=days_ago(-days))
    async with live.session(Role.VIEWER) as session:
        await session.subscribe(CHANGED)
        await live.followers(1)
        await client.look()
        await client.look()
        told = [(await session.next())["capitalCallChanged"] for _ in range(3)]
        # Nothing more was told: this comes next.
        await client.call(allocation_id, amountCents="10")
        assert (await session.next())["capitalCallChanged"]["kind"] == "CREATED"
    assert [(one["kind"], one["daysUntilDue"]) for one in told] == [("REMINDER", 1), ("REMINDER", 3), ("REMINDER", 7)]
    assert [one["capitalCall"]["dueOn"] for one in told] == [days_ago(-days) for days in (1, 3, 7)]


async def test_follower_of_a_fund_hears_of_no_other_and_resumes(live: LiveServer) -> None:
    client = CallClient(live.server)
    one, other = [await client.call(await client.allocate(), amountCents="100") for _ in range(2)]
    fund_id = one["fund"]["id"]

    async def pay_both(amount: int) -> None:
        for call in (other, one):
            await client.pay(call, amount)

    async with live.session(Role.VIEWER) as session:
        await session.subscribe(CHANGED, {"fundId": fund_id})
        await live.followers(1)
        await pay_both(1)
        await pay_both(2)
        told = [(await session.next())["capitalCallChanged"] for _ in range(2)]
    await pay_both(3)
    async with live.session(Role.VIEWER) as session:
        await session.subscribe(CHANGED, {"fundId": fund_id, "after": told[0]["cursor"]})
        again = [(await session.next())["capitalCallChanged"] for _ in range(2)]
    assert {event["capitalCall"]["id"] for event in [*told, *again]} == {one["id"]}
    assert again[0]["cursor"] == told[1]["cursor"]
    async with live.session(Role.VIEWER) as session:
        start = encode_cursor(live.server.organization_ids["alpha"], 0)
        await session.subscribe(CHANGED, {"fundId": fund_id, "after": start})
        kinds = [(await session.next())["capitalCallChanged"]["kind"] for _ in range(4)]
    assert kinds == ["CREATED", "PAYMENT", "PAYMENT", "PAYMENT"]


async def test_rows_at_hand_are_shown_as_the_database_has_them(
    live: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, asked = CallClient(live.server), []
    execute = answers.Answers._execute

    async def noting(self: answers.Answers, executor: object, event: object, *more: object) -> object:
        asked.append(event)
        return await execute(self, executor, event, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(answers.Answers, "_execute", noting)
    call = await client.call(await client.allocate(), percentage="0.1", dueOn=days_ago(-2))
    await client.pay(call, 10)
    async with live.session(Role.VIEWER) as session:
        await session.subscribe(COLUMNS)
        await live.followers(1)
        cursor = encode_cursor(live.server.organization_ids["alpha"], await last_sequence(live))
        await client.pay(call, 20)
        seen = await session.next()
        assert asked == []
    async with live.session(Role.VIEWER) as session:
        await session.subscribe(COLUMNS, {"after": cursor})
        assert await session.next() == seen
        assert len(asked) == 1


async def last_sequence(live: LiveServer) -> int:
    sequence: int = await live.server.owner.fetchval(
        "SELECT sequence FROM audit_heads WHERE organization_id = $1", live.server.organization_ids["alpha"]
    )
    return sequence


async def test_payments_and_a_worker_at_once_are_told_in_the_order_of_commits(live: LiveServer) -> None:
    client = CallClient(live.server)
    allocation_id = await client.allocate()
    calls = [await client.call(allocation_id, amountCents="10", **LONG_AGO) for _ in range(8)]
    writer: Writer = live.app.endpoint.answers.operations.writer
    async with live.session(Role.VIEWER) as session:
        await session.subscribe(CHANGED)
        await live.followers(1)
        looking = [check_due_calls(live.server.database, writer) for _ in range(3)]
        await asyncio.gather(*looking, *(client.pay(call, 5) for call in calls for _ in range(2)))
        # A follower that is late sees each call as it is by then; the versions never go back.
        versions: dict[str, int] = {}
        for _ in range(await events(live) - len(calls)):
            call = (await session.next())["capitalCallChanged"]["capitalCall"]
            assert int(call["version"]) >= versions.get(call["id"], 0)
            versions[call["id"]] = int(call["version"])
    for call in calls:
        now = await client.read(call)
        assert (now["status"], int(now["version"])) == ("PAID", versions[call["id"]])


async def events(live: LiveServer) -> int:
    count: int = await live.server.owner.fetchval(
        "SELECT count(*) FROM audit_events WHERE action LIKE 'capital_call.%'"
    )
    return count


async def test_fund_of_another_organization_is_refused_like_an_unknown_one(live: LiveServer) -> None:
    theirs = await live.create_fund("beta")
    seen = set()
    async with live.session() as session:
        for fund_id in (theirs, global_ids.encode("Fund", 999), "", "x"):
            await session.subscribe(CHANGED, {"fundId": fund_id}, id="refused")
            seen.add(json.dumps(await session.receive()))
    (message,) = seen
    assert "fundId: there is no such fund." in message


async def test_servers_own_worker_finds_what_is_overdue(live: LiveServer) -> None:
    """Nobody asks for it, and nobody wakes it."""
    client = CallClient(live.server)
    call = await client.call(await client.allocate(), amountCents="10", **LONG_AGO)
    writer: Writer = live.app.endpoint.answers.operations.writer
    bus: EventBus = live.app.state.bus
    worker: Worker = worker_for(live.server.database, writer, bus, snapshot_seconds_max=60)
    async with live.session(Role.VIEWER) as session:
        await session.subscribe(CHANGED)
        await live.followers(1)
        worker.start()
        told = (await session.next())["capitalCallChanged"]
    await worker.close()
    assert (told["kind"], told["capitalCall"]["id"]) == ("OVERDUE", call["id"])
    assert told["capitalCall"]["dueOn"] == str(datetime.now(UTC).date() - timedelta(days=30))
