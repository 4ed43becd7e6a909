"""The pool: never more connections than allowed, none lost, none handed out twice, lost ones replaced."""

import asyncio
import random
from typing import Any, cast

import asyncpg
import pytest

from api.db import connections
from api.db.connections import ConnectionPool, PlainConnection
from api.db.faults import fault_of
from api.errors import Unavailable
from tests.server import RunningServer


class FakeConnection:
    """A connection to nothing."""

    def __init__(self) -> None:
        self.closed = False
        self.is_lent = False

    def is_closed(self) -> bool:
        return self.closed

    def terminate(self) -> None:
        self.closed = True

    async def close(self) -> None:
        self.closed = True


class Opener:
    """Opens fake connections, and counts those that are open; fails every ``fails_each``-th time."""

    def __init__(self, fails_each: int = 0) -> None:
        self.opened: list[FakeConnection] = []
        self.fails_each = fails_each
        self.tries = 0

    async def __call__(self) -> PlainConnection:
        await asyncio.sleep(0)
        self.tries += 1
        if self.fails_each and self.tries % self.fails_each == 0:
            raise ConnectionRefusedError
        self.opened.append(FakeConnection())
        return cast(PlainConnection, self.opened[-1])

    @property
    def open_count(self) -> int:
        return sum(not connection.closed for connection in self.opened)


async def test_latest_used_connection_is_used_again() -> None:
    pool = ConnectionPool(Opener(), 3)
    first, second = await pool.acquire(), await pool.acquire()
    pool.release(first)
    pool.release(second)
    assert await pool.acquire() is second
    assert (pool.size, pool.idle_size) == (2, 1)


async def test_waiting_is_first_come_first_served() -> None:
    pool = ConnectionPool(Opener(), 1)
    connection = await pool.acquire()
    served: list[int] = []

    async def wait(number: int) -> None:
        async with pool.lent():
            served.append(number)

    waiting = [asyncio.create_task(wait(number)) for number in range(5)]
    await asyncio.sleep(0)
    pool.release(connection)
    await asyncio.gather(*waiting)
    assert served == [0, 1, 2, 3, 4]


async def test_waiting_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "ACQUIRE_SECONDS_MAX", 0.01)
    pool = ConnectionPool(Opener(), 1)
    connection = await pool.acquire()
    with pytest.raises(TimeoutError):
        await pool.acquire()
    pool.release(connection)
    assert await pool.acquire() is connection


async def test_a_waiter_that_is_cancelled_when_served_passes_it_on() -> None:
    pool = ConnectionPool(Opener(), 1)
    connection = await pool.acquire()
    waiting = [asyncio.create_task(pool.acquire()) for _ in range(2)]
    await asyncio.sleep(0)
    pool.release(connection)
    waiting[0].cancel()
    assert await waiting[1] is connection
    with pytest.raises(asyncio.CancelledError):
        await waiting[0]


async def test_a_lost_connection_makes_room_for_whoever_waits() -> None:
    pool = ConnectionPool(Opener(), 1)
    connection = await pool.acquire()
    waiting = asyncio.create_task(pool.acquire())
    await asyncio.sleep(0)
    connection.terminate()
    pool.release(connection)
    assert await waiting is not connection
    assert pool.size == 1


async def test_a_failed_connect_leaves_room_for_the_next() -> None:
    pool = ConnectionPool(Opener(fails_each=2), 1)
    pool.discard(await pool.acquire())
    with pytest.raises(ConnectionRefusedError):
        await pool.acquire()
    await pool.acquire()
    assert pool.size == 1


@pytest.mark.parametrize("seed", range(20))
async def test_nothing_is_lost_or_lent_twice_whatever_happens(seed: int) -> None:
    """Many users who work, fail, lose their connection or are cancelled at any moment."""
    chance = random.Random(seed)
    opener = Opener(fails_each=7)
    pool = ConnectionPool(opener, 3)

    async def use() -> None:
        connection = cast(Any, await pool.acquire())
        assert not connection.is_lent
        assert opener.open_count <= 3
        connection.is_lent = True
        try:
            for _ in range(chance.randrange(4)):
                await asyncio.sleep(0)
        finally:
            connection.is_lent = False
            end = chance.randrange(4)
            if end == 0:
                connection.terminate()
            (pool.discard if end == 1 else pool.release)(connection)

    users = [asyncio.create_task(use()) for _ in range(200)]
    for user in users:
        if chance.random() < 0.3:
            await asyncio.sleep(0)
            user.cancel()
    outcomes = await asyncio.gather(*users, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} <= {type(None), asyncio.CancelledError, ConnectionRefusedError}
    assert pool.size - pool.idle_size == 0
    assert opener.open_count == sum(not connection.is_closed() for connection in pool._idle)
    await pool.close()
    assert opener.open_count == pool.size == 0


async def test_closing_waits_for_those_that_are_lent() -> None:
    pool = ConnectionPool(Opener(), 2)
    connection = await pool.acquire()
    closing = asyncio.create_task(pool.close())
    await asyncio.sleep(0.01)
    assert not closing.done()
    pool.release(connection)
    await closing
    assert connection.is_closed()
    with pytest.raises(asyncpg.InterfaceError):
        await pool.acquire()


async def test_reading_survives_that_the_database_has_ended_all_connections(server: RunningServer) -> None:
    reads = server.database.reads
    held = [await reads.acquire() for _ in range(3)]
    for connection in held:
        reads.release(connection)
    end_all = """
        SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'tranche app' AND pid <> pg_backend_pid()
    """
    await server.owner.execute(end_all)
    assert await reads.fetchval("SELECT 1") == 1
    with pytest.raises(asyncpg.DivisionByZeroError):
        await reads.fetchval("SELECT 1 / 0")
    with pytest.raises(asyncpg.DataError):
        await reads.fetchval("SELECT $1::bigint", "no number")
    assert reads.size == reads.idle_size
    answer = await server.execute("{ funds { totalCount } }")
    assert answer.data == {"funds": {"totalCount": 0}}


def test_connection_that_ended_in_a_way_its_driver_does_not_know_is_away() -> None:
    assert isinstance(fault_of(asyncpg.InternalClientError("got result for unknown protocol state 3")), Unavailable)
