"""What this process has just committed is shown from the rows at hand, just as the database would have it."""

import asyncio
import math
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest

from api.domain.access import Role
from api.http.live import answers, channels
from api.reads.declarations import ENTITIES
from api.reads.live import tails
from api.reads.live.positions import Entry, encode_cursor, extent
from tests.http.live.clients import LiveServer, Socket, until
from tests.services.capital_client import Capital

ALL_COLUMNS = """
subscription ($after: String, $names: Boolean = true) {
  capitalChanged(after: $after) {
    __typename
    cursor
    entry {
      __typename id sequence action effectiveOn name @include(if: $names) annualRate availableCents previousRate
      previousAmountCents notes recordedAt
      source { ...Source }
    }
    changed: source { ...Source ... on Node { nodeId: id } }
  }
}
fragment Source on CapitalSource {
  id externalKey name annualRate availableCents currency isActive addedOn removedOn version createdAt updatedAt
}
"""
# What is more in it can only be read.
READ = ALL_COLUMNS.replace("    cursor", "    cursor\n    more: source { history { totalCount } }")
WITH_ACTOR = """
subscription ($after: String) {
  capitalChanged(after: $after) { cursor entry { sequence actor { email } } source { history { totalCount } } }
}
"""


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sequences of the events that the database was asked about."""
    sequences: list[int] = []
    execute = answers.Answers._execute

    async def noting(self: answers.Answers, executor: Any, event: Any, *more: Any) -> Any:
        sequences.append(event.log_entry.sequence)
        return await execute(self, executor, event, *more)

    monkeypatch.setattr(answers.Answers, "_execute", noting)
    return sequences


async def replayed(live: LiveServer, query: str, cursor: str, variables: dict[str, Any]) -> Any:
    """The event after a cursor, as somebody sees it who comes later."""
    async with live.session(Role.VIEWER) as session:
        await session.subscribe(query, {"after": cursor, **variables})
        return await session.next()


async def seen_by_both(
    live: LiveServer, query: str, session: Socket, write: Callable[[], Awaitable[Any]], **variables: Any
) -> tuple[Any, Any]:
    """What a write looks like to one who follows, and to one who comes later and has it read."""
    organization_id = live.server.organization_ids["alpha"]
    before = encode_cursor(organization_id, (await extent(live.server.database, organization_id)).last)
    await write()
    return await session.next(), await replayed(live, query, before, variables)


@pytest.mark.parametrize("names", [True, False])
async def test_rows_at_hand_are_shown_as_the_database_has_them(live: LiveServer, asked: list[int], names: bool) -> None:
    capital = Capital(live.server)
    async with live.session(Role.VIEWER) as session:
        await session.subscribe(ALL_COLUMNS, {"names": names})
        await live.followers(1)
        source_id = ""

        async def add() -> None:
            nonlocal source_id
            source_id = await capital.add('Loan é\U0001f600"', "0.050", 2**62, "2025-01-01", notes="a\nb")

        writes: list[Callable[[], Awaitable[Any]]] = [
            add,
            lambda: capital.amount(source_id, 200, "2025-01-02"),
            lambda: capital.amount(source_id, 300, "2025-01-01", notes="dated back"),
            lambda: capital.write("updateCapitalRate", sourceId=source_id, annualRate="0", effectiveOn="2025-01-03"),
            lambda: capital.remove(source_id, "2025-01-04"),
        ]
        for write in writes:
            live_answer, later_answer = await seen_by_both(live, READ, session, write, names=names)
            assert later_answer["capitalChanged"].pop("more")
            assert live_answer == later_answer
            assert ("name" in live_answer["capitalChanged"]["entry"]) is names
    # Only those who came later had to ask.
    assert len(asked) == len(set(asked)) == len(writes)


async def test_what_rows_at_hand_cannot_tell_is_read(live: LiveServer, asked: list[int]) -> None:
    capital = Capital(live.server)
    source_id = await capital.add("Loan", "0.05", 100, "2025-01-01")
    async with live.session(Role.VIEWER) as session:
        await session.subscribe(WITH_ACTOR)
        await live.followers(1)
        for cents in (200, 300):
            write = partial(capital.amount, source_id, cents, "2025-01-02")
            seen, later = await seen_by_both(live, WITH_ACTOR, session, write)
            assert seen == later
            assert seen["capitalChanged"]["entry"]["actor"] == {"email": "editor@alpha.example"}
    assert len(asked) == 4


async def test_rows_at_hand_have_all_columns(live: LiveServer) -> None:
    capital, told = Capital(live.server), []
    organization_id = live.server.organization_ids["alpha"]
    bus = live.app.endpoint.answers.operations.writer.bus
    assert bus is not None
    end = bus.watch(organization_id, lambda _sequence, committed: told.append(committed))
    source_id = await capital.add("Loan", "0.05", 100, "2025-01-01")
    await capital.remove(source_id, "2025-01-02")
    end()
    written = [committed for committed in told if committed is not None]
    assert len(written) == 2
    for committed in written:
        entry = committed.rows["CapitalHistoryEntry", int(committed.subject_id or 0)]
        assert Entry.of(committed).capital_source_id == entry["source_id"]
        for (entity, row_id), row in committed.rows.items():
            assert set(dict(row)) == set(ENTITIES[entity].table.columns.keys())
            assert row["id"] == row_id


async def test_rows_are_kept_for_the_latest_alone(live: LiveServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tails, "ROWS_MAX", 2)
    capital = Capital(live.server)
    source_id = await capital.add("Loan", "0.05", 100, "2025-01-01")
    async with live.session(Role.VIEWER) as session:
        await session.subscribe(ALL_COLUMNS)
        await live.followers(1)
        for cents in range(1, 6):
            await capital.amount(source_id, cents, "2025-01-02")
            await session.next()
        (tail,) = live.app.endpoint.answers.live._tails.values()
        assert [entry.rows is not None for entry in tail._entries] == [False, False, False, True, True]


async def test_slow_reader_goes_on_by_itself_and_comes_back(live: LiveServer, asked: list[int]) -> None:
    """Its socket is full for a while: nothing is kept for it, and nothing is missing or twice."""
    capital = Capital(live.server)
    source_id = await capital.add("Loan", "0.05", 100, "2025-01-01")
    opened = live.app.endpoint.answers._channels._open
    async with live.session(Role.VIEWER) as quick, live.session(Role.VIEWER) as slow:
        for session in (quick, slow):
            await session.subscribe(ALL_COLUMNS)
        await live.followers(2)
        await capital.amount(source_id, 1, "2025-01-02")
        for session in (quick, slow):
            await session.next()
        (member, _) = reversed([member for channel in opened.values() for member in channel._members])
        take = member.take
        member.take = lambda _responses: False
        for cents in range(2, 8):
            await capital.amount(source_id, cents, "2025-01-02")
        for session in (quick, slow):
            seen = [(await session.next())["capitalChanged"]["entry"]["availableCents"] for _ in range(6)]
            assert seen == [str(cents) for cents in range(2, 8)]
        assert take is not None
        await capital.amount(source_id, 8, "2025-01-02")
        answered = await asyncio.gather(quick.next(), slow.next())
        assert answered[0] == answered[1]


async def test_what_happens_in_a_rest_goes_out_together(live: LiveServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channels, "WRITES_MIN", 0)
    monkeypatch.setattr(channels, "BURST_SECONDS_MAX", 0)
    capital = Capital(live.server)
    source_id = await capital.add("Loan", "0.05", 100, "2025-01-01")
    async with live.session(Role.VIEWER) as session:
        await session.subscribe(ALL_COLUMNS)
        await live.followers(1)
        (channel,) = live.app.endpoint.answers._channels._open.values()
        await until(lambda: channel._is_idle)
        await capital.amount(source_id, 1, "2025-01-02")
        await session.next()
        channel._turns._free_at = math.inf
        # Whoever has nothing to hand out has no need of a rest.
        await until(lambda: channel._is_idle)
        (member,) = channel._members
        taken, take = [], member.take
        member.take = lambda responses: taken.append(len(responses)) or take(responses)  # type: ignore[func-returns-value]
        for cents in (2, 3, 4):
            await capital.amount(source_id, cents, "2025-01-02")
        assert taken == []
        channel._turns._free_at = 0.0
        seen = [(await session.next())["capitalChanged"]["entry"]["availableCents"] for _ in range(3)]
    assert (seen, taken) == (["2", "3", "4"], [3])
