"""Following a log: nothing missing, nothing twice, in order, from any cursor, however slow."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest
from pydantic import TypeAdapter

from api.domain.access import Role
from api.errors import BadUserInput
from api.reads.live import followers, tails
from api.reads.live.followers import Interest, LiveLog
from api.reads.live.positions import CursorAhead, CursorExpired, Entry, decode_cursor, encode_cursor, extent
from api.services.audit import AuditKind, Subject
from api.services.commands import Command, Writer
from tests.server import RunningServer

EVERYTHING = Interest()


@pytest.fixture
async def log(server: RunningServer) -> AsyncIterator[LiveLog]:
    """The logs as the application's process sees them."""
    made = LiveLog(server.database, server.client._transport.app.state.bus)  # type: ignore[attr-defined]
    yield made
    await made.close()


async def write(server: RunningServer, *actions: str, organization: str = "alpha", wakes: bool = True) -> None:
    """One commit with an event for each action."""
    bus = server.client._transport.app.state.bus if wakes else None  # type: ignore[attr-defined]

    async def work(command: Command) -> int:
        for action in actions:
            kind = AuditKind.SECURITY if action.startswith("security") else AuditKind.FINANCIAL
            command.record(action, Subject("Thing", 1), kind=kind)
        return 1

    principal = server.principal(Role.ADMIN, organization)
    await Writer(server.database, bus=bus).run(principal, "createFund", work, result_type=TypeAdapter(int))


async def take(entries: AsyncIterator[Entry], number: int) -> list[Entry]:
    async with asyncio.timeout(20):
        return [await anext(entries) for _ in range(number)]


async def last(server: RunningServer, organization: str = "alpha") -> int:
    return (await extent(server.database, server.organization_ids[organization])).last


async def test_follower_without_a_cursor_hears_what_is_to_come(server: RunningServer, log: LiveLog) -> None:
    await write(server, "before")
    async with aclosing(await log.follow(server.organization_ids["alpha"], EVERYTHING, None)) as entries:
        # Written after the follower came, before it asked for anything.
        await write(server, "one", "two")
        await write(server, "three")
        assert [entry.action for entry in await take(entries, 3)] == ["one", "two", "three"]


async def test_follower_with_a_cursor_first_hears_what_it_missed(server: RunningServer, log: LiveLog) -> None:
    alpha = server.organization_ids["alpha"]
    cursor = encode_cursor(alpha, await last(server))
    await write(server, "missed")
    async with aclosing(await log.follow(alpha, EVERYTHING, cursor)) as entries:
        assert [entry.action for entry in await take(entries, 1)] == ["missed"]
        await write(server, "live")
        (entry,) = await take(entries, 1)
    assert entry.action == "live"
    async with aclosing(await log.follow(alpha, EVERYTHING, encode_cursor(alpha, entry.sequence))) as entries:
        await write(server, "next")
        assert [entry.action for entry in await take(entries, 1)] == ["next"]


async def test_log_of_another_organization_is_never_heard(server: RunningServer, log: LiveLog) -> None:
    async with (
        aclosing(await log.follow(server.organization_ids["alpha"], EVERYTHING, None)) as alpha,
        aclosing(await log.follow(server.organization_ids["beta"], EVERYTHING, None)) as beta,
    ):
        for organization in ("alpha", "beta"):
            await write(server, organization, organization=organization)
        assert [(await take(entries, 1))[0].action for entries in (alpha, beta)] == ["alpha", "beta"]


async def test_lost_message_costs_a_look(server: RunningServer, log: LiveLog) -> None:
    async with aclosing(await log.follow(server.organization_ids["alpha"], EVERYTHING, None)) as entries:
        coming = asyncio.create_task(take(entries, 1))
        await asyncio.sleep(0)
        await write(server, "unheard", wakes=False)
        assert [entry.action for entry in await coming] == ["unheard"]


async def test_slow_follower_reads_on_from_its_cursor(
    server: RunningServer, log: LiveLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tails, "ENTRIES_MAX", 3)
    monkeypatch.setattr(tails, "READ_MAX", 2)
    monkeypatch.setattr(followers, "WINDOW", 2)
    alpha = server.organization_ids["alpha"]
    first = await last(server) + 1
    async with (
        aclosing(await log.follow(alpha, EVERYTHING, None)) as slow,
        aclosing(await log.follow(alpha, EVERYTHING, None)) as quick,
    ):
        await write(server, "0")
        await take(slow, 1)
        for number in range(1, 20):
            await write(server, str(number))
        assert [entry.sequence for entry in await take(quick, 20)] == list(range(first, first + 20))
        tail = log._tails[alpha]
        assert len(tail._entries) == 3
        assert tail.floor > first
        assert [entry.sequence for entry in await take(slow, 19)] == list(range(first + 1, first + 20))


async def test_cursor_of_a_filtered_follower_passes_what_it_does_not_want(
    server: RunningServer, log: LiveLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tails, "ENTRIES_MAX", 2)
    monkeypatch.setattr(followers, "WINDOW", 4)
    alpha = server.organization_ids["alpha"]
    start = encode_cursor(alpha, await last(server))
    await write(server, *(["noise"] * 30), "security one", *(["noise"] * 5))
    wanted = Interest(kinds=frozenset({"SECURITY"}))
    async with aclosing(await log.follow(alpha, wanted, start)) as entries:
        assert [entry.action for entry in await take(entries, 1)] == ["security one"]
        coming = asyncio.create_task(take(entries, 1))
        await write(server, *(["noise"] * 30))
        reads: list[int] = []
        read = log.read

        async def counted(organization_id: int, cursor: int, until: int) -> object:
            reads.append(cursor)
            return await read(organization_id, cursor, until)

        await write(server, "security two")
        assert [entry.action for entry in await coming] == ["security two"]
        monkeypatch.setattr(log, "read", counted)
        coming = asyncio.create_task(take(entries, 1))
        await write(server, "security three")
        assert [entry.action for entry in await coming] == ["security three"]
    assert reads == []


async def test_cursors_are_bound_to_the_organization_and_its_log(server: RunningServer, log: LiveLog) -> None:
    alpha, beta = server.organization_ids["alpha"], server.organization_ids["beta"]
    sequence = await last(server)
    assert decode_cursor(alpha, encode_cursor(alpha, sequence)) == sequence
    for malformed in (
        "",
        "x",
        "null",
        "=" * 10,
        "A" * 10_000,
        "\ud800",
        "é",
        encode_cursor(beta, sequence),
        encode_cursor(alpha, sequence) + "=",
        encode_cursor(alpha, -1),
        encode_cursor(alpha, 2**63),
        "WyJsb2ciLDEsMS4wXQ",
        "WyJsb2ciLHRydWUsMV0",
        "WzFd",
    ):
        with pytest.raises(BadUserInput) as refused:
            await log.follow(alpha, EVERYTHING, malformed)
        assert refused.value.code == "BAD_USER_INPUT", malformed
    with pytest.raises(CursorAhead):
        await log.follow(alpha, EVERYTHING, encode_cursor(alpha, sequence + 1))


async def test_cursor_before_what_is_kept_has_expired(server: RunningServer, log: LiveLog) -> None:
    alpha = server.organization_ids["alpha"]
    await write(server, "a", "b", "c")
    kept_from = await last(server)
    await server.owner.execute(
        "DELETE FROM audit_events WHERE organization_id = $1 AND sequence < $2", alpha, kept_from
    )
    with pytest.raises(CursorExpired):
        await log.follow(alpha, EVERYTHING, encode_cursor(alpha, kept_from - 2))
    async with aclosing(await log.follow(alpha, EVERYTHING, encode_cursor(alpha, kept_from - 1))) as entries:
        assert [entry.action for entry in await take(entries, 1)] == ["c"]
    await server.owner.execute("DELETE FROM audit_events WHERE organization_id = $1", alpha)
    with pytest.raises(CursorExpired):
        await log.follow(alpha, EVERYTHING, encode_cursor(alpha, kept_from - 1))
    async with aclosing(await log.follow(alpha, EVERYTHING, encode_cursor(alpha, kept_from))) as entries:
        await write(server, "d")
        assert [entry.action for entry in await take(entries, 1)] == ["d"]


async def test_reader_whose_place_was_removed_is_told(
    server: RunningServer, log: LiveLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(followers, "WINDOW", 1)
    alpha = server.organization_ids["alpha"]
    start = encode_cursor(alpha, await last(server))
    await write(server, "a", "b", "c")
    async with aclosing(await log.follow(alpha, EVERYTHING, start)) as entries:
        assert [entry.action for entry in await take(entries, 1)] == ["a"]
        removed = "DELETE FROM audit_events WHERE organization_id = $1 AND sequence < $2"
        await server.owner.execute(removed, alpha, await last(server))
        with pytest.raises(CursorExpired):
            await take(entries, 1)


async def test_followers_share_one_tail_that_ends_with_the_last(server: RunningServer, log: LiveLog) -> None:
    alpha = server.organization_ids["alpha"]
    waiting = []
    for _ in range(20):
        entries = await log.follow(alpha, EVERYTHING, None)
        waiting.append((entries, asyncio.create_task(take(entries, 1))))
    await asyncio.sleep(0)
    assert [tail.users for tail in log._tails.values()] == [20]
    await write(server, "one")
    for entries, task in waiting:
        assert [entry.action for entry in await task] == ["one"]
        await entries.aclose()
    assert log._tails == {}


async def test_writers_and_followers_at_random(
    server: RunningServer, log: LiveLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several writers, with commits of several events, some unheard; followers that pause, drop and come back."""
    monkeypatch.setattr(tails, "ENTRIES_MAX", 20)
    monkeypatch.setattr(tails, "READ_MAX", 7)
    monkeypatch.setattr(followers, "WINDOW", 5)
    monkeypatch.setattr(tails, "LOOK_SECONDS", 0.1)
    alpha, generator = server.organization_ids["alpha"], random.Random(7)
    start, writers, commits = await last(server), 4, 40

    async def writing() -> None:
        for number in range(commits):
            wakes = generator.random() < 0.8
            await write(server, *["x"] * generator.randint(1, 3), wakes=wakes)
            if number % 7 == 0:
                await asyncio.sleep(0.01)

    async def following() -> list[int]:
        seen: list[int] = []
        cursor = start
        while not (done.is_set() and cursor == await last(server)):
            async with aclosing(await log.follow(alpha, EVERYTHING, encode_cursor(alpha, cursor))) as entries:
                for _ in range(generator.randint(1, 30)):
                    if done.is_set() and cursor == await last(server):
                        break
                    (entry,) = await take(entries, 1)
                    seen.append(entry.sequence)
                    cursor = entry.sequence
                    if generator.random() < 0.1:
                        await asyncio.sleep(generator.random() * 0.05)
        return seen

    done = asyncio.Event()
    followed = [asyncio.create_task(following()) for _ in range(6)]
    await asyncio.gather(*(writing() for _ in range(writers)))
    done.set()
    # One more, so that nobody waits for what does not come.
    await write(server, "end")
    expected = list(range(start + 1, await last(server) + 1))
    assert len(expected) > writers * commits
    for task in followed:
        assert await task == expected
