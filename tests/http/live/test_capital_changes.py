"""Changes of capital sources as they happen: each with its entry, in commit order, from a cursor on."""

import asyncio
import json
from datetime import date
from decimal import Decimal

from pydantic import TypeAdapter

from api.domain.access import Role
from api.domain.capital import CapitalAction
from api.reads import global_ids
from api.reads.live.positions import encode_cursor
from api.services.capital import NewEntry, record_entries
from api.services.commands import Command
from tests.http.live.clients import LiveServer, Socket
from tests.services.capital_client import Capital, day

CHANGED = """
subscription ($sourceId: ID, $after: String) {
  capitalChanged(sourceId: $sourceId, after: $after) {
    cursor
    entry { sequence action effectiveOn availableCents actor { email } source { id } }
    source { id availableCents version }
  }
}
"""


async def sequences(session: Socket, number: int) -> list[int]:
    """The sequences of the next entries."""
    return [int((await session.next())["capitalChanged"]["entry"]["sequence"]) for _ in range(number)]


async def test_change_comes_with_its_entry_and_its_source(live: LiveServer) -> None:
    capital = Capital(live.server)
    async with live.session(Role.VIEWER) as session:
        await session.subscribe(CHANGED)
        await live.followers(1)
        source_id = await capital.add("Loan", "0.05", 100, "2025-01-01")
        await live.create_fund()
        await capital.amount(source_id, 200, "2025-01-02")
        added, changed = [(await session.next())["capitalChanged"] for _ in range(2)]
    assert added["entry"]["action"] == "ADDED"
    assert changed["entry"] == {
        "sequence": "2",
        "action": "AMOUNT_CHANGED",
        "effectiveOn": "2025-01-02",
        "availableCents": "200",
        "actor": {"email": "editor@alpha.example"},
        "source": {"id": source_id},
    }
    assert changed["source"] == {"id": source_id, "availableCents": "200", "version": "2"}


async def test_follower_of_one_source_hears_of_no_other_and_resumes(live: LiveServer) -> None:
    capital = Capital(live.server)
    one = await capital.add("Source 1", "0.05", 100, "2025-01-01")
    other = await capital.add("Source 2", "0.05", 100, "2025-01-01")
    async with live.session(Role.VIEWER) as session:
        await session.subscribe(CHANGED, {"sourceId": one})
        await live.followers(1)
        for cents in (1, 2):
            await capital.amount(other, cents, "2025-01-02")
            await capital.amount(one, cents, "2025-01-02")
        first = (await session.next())["capitalChanged"]
        assert (first["entry"]["sequence"], first["entry"]["source"]["id"]) == ("4", one)
        assert await sequences(session, 1) == [6]
    await capital.remove(one, "2025-01-03")
    async with live.session(Role.VIEWER) as session:
        await session.subscribe(CHANGED, {"sourceId": one, "after": first["cursor"]})
        assert await sequences(session, 2) == [6, 7]


async def test_entries_of_one_transaction_come_one_by_one_in_order(live: LiveServer) -> None:
    capital = Capital(live.server)
    source_id = await capital.add("Loan", "0.05", 100, "2025-01-01")
    decoded = global_ids.decode_as("CapitalSource", source_id)
    assert decoded is not None

    async def work(command: Command) -> int:
        entries = [
            NewEntry(decoded, CapitalAction.AMOUNT_CHANGED, day(number % 7), "Loan", Decimal(0), number + 1)
            for number in range(50)
        ]
        return len(await record_entries(command, entries))

    async with live.session(Role.VIEWER) as session:
        await session.subscribe(CHANGED, {"after": encode_cursor(live.server.organization_ids["alpha"], 0)})
        assert await sequences(session, 1) == [1]
        writer = live.app.endpoint.answers.operations.writer
        await writer.run(live.server.principal(), "updateCapitalAmount", work, result_type=TypeAdapter(int))
        assert await sequences(session, 50) == list(range(2, 52))


async def test_changes_of_concurrent_writers_come_in_the_order_of_commits(live: LiveServer) -> None:
    capital = Capital(live.server)
    ids = [await capital.add(f"Source {number}", "0.05", 100, "2025-01-01") for number in range(6)]

    async def write(source_id: str) -> None:
        for cents in range(1, 9):
            await capital.amount(source_id, cents, date(2025, 1, cents).isoformat())

    async with live.session(Role.VIEWER) as session:
        await session.subscribe(CHANGED)
        await live.followers(1)
        await asyncio.gather(*(write(source_id) for source_id in ids))
        assert await sequences(session, 48) == list(range(7, 55))


async def test_source_of_another_organization_is_refused_like_an_unknown_one(live: LiveServer) -> None:
    capital = Capital(live.server)
    payload = await capital.write(
        "addCapitalSource",
        organization="beta",
        name="Theirs",
        annualRate="0",
        availableCents="1",
        effectiveOn="2025-01-01",
    )
    seen = set()
    async with live.session() as session:
        for source_id in (payload["source"]["id"], global_ids.encode("CapitalSource", 999), "", "x"):
            await session.subscribe(CHANGED, {"sourceId": source_id}, id="refused")
            seen.add(json.dumps(await session.receive()))
    (message,) = seen
    assert "sourceId: there is no such capital source." in message
    assert "BAD_USER_INPUT" in message
