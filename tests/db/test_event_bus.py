"""The event bus: who is told what, and that it comes back when its connection is cut."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import asyncpg
import pytest

from api.db.event_bus import CHANNEL, PAYLOAD_BYTES_MAX, EventBus, Heard, decode, encode

SECONDS_MAX = 20
LISTENING = (
    "SELECT pid FROM pg_stat_activity WHERE application_name = 'tranche events' AND datname = current_database()"
)


async def until(is_so: Callable[[], bool]) -> None:
    """Returns once this is so; fails where it does not come to be."""
    for _ in range(SECONDS_MAX * 100):
        if is_so():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come to be")


@asynccontextmanager
async def started(url: str) -> AsyncIterator[EventBus]:
    bus = EventBus(url)
    bus.start()
    try:
        await until(lambda: bus.is_listening)
        yield bus
    finally:
        await bus.close()


@pytest.fixture
async def owner(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """The owner's connection."""
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


def noting(heard: list[int | None]) -> Heard:
    """A watcher that notes the sequences it is told."""
    return lambda sequence, _committed: heard.append(sequence)


async def test_own_process_is_told_at_once_and_others_soon(database_url: str) -> None:
    async with started(database_url) as one, started(database_url) as other:
        here: list[int | None] = []
        there: list[int | None] = []
        one.watch(7, noting(here))
        other.watch(7, noting(there))
        other.watch(8, lambda *_: pytest.fail("another organization's"))
        one.publish(7, 3)
        assert here == [3]
        await until(lambda: 3 in there)


async def test_what_is_published_while_a_message_is_on_its_way_goes_with_the_next(
    database_url: str, owner: asyncpg.Connection
) -> None:
    messages: list[str] = []
    await owner.add_listener(CHANNEL, lambda *message: messages.append(str(message[3])))
    async with started(database_url) as bus:
        for sequence in range(1, 1001):
            bus.publish(sequence % 10, sequence)
        await until(lambda: any("9:999" in message for message in messages))
        # All of them were published before the loop could send anything.
        assert len(messages) == 1
        assert decode(messages[0]) == {number % 10: number for number in range(991, 1001)}
        bus.publish(1, 2000)
        await until(lambda: len(messages) == 2)
        assert messages[1] == "1:2000"


async def test_many_organizations_go_into_several_messages(database_url: str, owner: asyncpg.Connection) -> None:
    messages: list[str] = []
    await owner.add_listener(CHANNEL, lambda *message: messages.append(str(message[3])))
    async with started(database_url) as bus:
        for number in range(2_000):
            bus.publish(10**12 + number, 1)
        await until(lambda: sum(len(decode(message)) for message in messages) == 2_000)
    assert all(len(message) <= PAYLOAD_BYTES_MAX for message in messages)
    assert len(messages) < 10


async def test_bus_listens_again_when_its_connection_is_cut(database_url: str, owner: asyncpg.Connection) -> None:
    async with started(database_url) as one, started(database_url) as other:
        heard: list[int | None] = []
        other.watch(7, noting(heard))
        for sequence in (1, 2):
            await owner.execute(f"SELECT pg_terminate_backend(pid) FROM ({LISTENING}) AS listening")
            await until(lambda: None in heard and one.is_listening and other.is_listening)
            heard.clear()
            one.publish(7, sequence)
            await until(lambda sequence=sequence: sequence in heard)  # type: ignore[misc]


async def test_what_could_not_be_sent_is_sent_later(database_url: str, owner: asyncpg.Connection) -> None:
    async with started(database_url) as one, started(database_url) as other:
        heard: list[int | None] = []
        other.watch(7, noting(heard))
        await owner.execute(f"SELECT pg_terminate_backend(pid) FROM ({LISTENING}) AS listening")
        one.publish(7, 1)
        one.publish(7, 5)
        await until(lambda: 5 in heard or (None in heard and not one._unsent))


async def test_what_a_lost_connection_left_unsent_is_sent_by_the_next(database_url: str) -> None:
    """The wake-up may be used up by a connection that turns out to be gone."""
    async with started(database_url) as other:
        heard: list[int | None] = []
        other.watch(7, noting(heard))
        one = EventBus(database_url)
        one.publish(7, 5)
        one._attention.clear()
        one.start()
        await until(lambda: 5 in heard)
        await one.close()


async def test_one_connection_serves_however_many_watch(database_url: str, owner: asyncpg.Connection) -> None:
    async with started(database_url) as bus:
        ends = [bus.watch(number % 50, lambda *_: None) for number in range(1_000)]
        assert len(await owner.fetch(LISTENING)) == 1
        for end in ends:
            end()
            end()
        assert bus._watchers == {}


async def test_unreachable_database_stops_nobody() -> None:
    bus = EventBus("postgresql://nobody@127.0.0.1:1/none")
    bus.start()
    heard: list[int | None] = []
    bus.watch(1, noting(heard))
    bus.publish(1, 1)
    assert heard == [1]
    await asyncio.sleep(0)
    await bus.close()


async def test_malformed_notification_is_passed_over(database_url: str, owner: asyncpg.Connection) -> None:
    async with started(database_url) as bus:
        heard: list[int | None] = []
        bus.watch(7, noting(heard))
        for payload in ("", "x", "7", "7:", ":3", "7:x", "7:-1", "7:٣", "7:" + "9" * 100, "7:1:2"):
            await owner.execute("SELECT pg_notify($1, $2)", CHANNEL, payload)
        await owner.execute("SELECT pg_notify($1, $2)", CHANNEL, "x 7:4 y")
        await until(lambda: 4 in heard)
        assert heard == [4]


def test_payloads_are_bounded_and_read_back() -> None:
    sequences = {number: number * 3 for number in range(1, 5_000)}
    rest, seen = dict(sequences), {}
    while rest:
        payload, sent = encode(rest)
        assert 0 < len(payload) <= PAYLOAD_BYTES_MAX
        assert decode(payload) == sent
        seen.update(sent)
        for organization_id in sent:
            del rest[organization_id]
    assert seen == sequences
