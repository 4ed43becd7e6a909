"""Connections of one role, opened as they are needed and kept.

asyncpg's own pool wraps each connection anew, starts a timer for each that is asked for and a task for each that is
given back: a third of what a short statement costs. And once a connection is lost, it raises at each step of getting
rid of it.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar, TypeVarTuple, Unpack

import asyncpg

ACQUIRE_SECONDS_MAX = 10

LOST_CONNECTION = (
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    ConnectionError,
    OSError,
)
"""What a statement raises when the server or the network has gone from under it."""


T = TypeVar("T")
Given = TypeVarTuple("Given")


class PlainConnection(asyncpg.Connection):  # type: ignore[misc]
    """A connection that may be set to an organization for statements outside of transactions, and knows to which."""

    organization_id: int | None = None

    async def use_organization(self, organization_id: int) -> None:
        """Sets the organization for statements outside of transactions, unless it is set."""
        if self.organization_id != organization_id:
            self.organization_id = None
            await self.execute(f"SET app.organization_id = '{organization_id:d}'")
            self.organization_id = organization_id


async def _fetch_for(
    connection: PlainConnection, organization_id: int, sql: str, arguments: Sequence[Any]
) -> Sequence[asyncpg.Record]:
    if connection.organization_id != organization_id:
        await connection.use_organization(organization_id)
    rows: Sequence[asyncpg.Record] = await connection.fetch(sql, *arguments)
    return rows


class ConnectionPool:
    """At most ``size_max`` connections, the one used last first; who waits is served in the order of coming."""

    def __init__(self, connect: Callable[[], Awaitable[PlainConnection]], size_max: int) -> None:
        self._connect = connect
        self.size_max = size_max
        self._size = 0
        self._idle: list[PlainConnection] = []
        self._waiting: deque[asyncio.Future[PlainConnection | None]] = deque()
        self._is_closing = False
        self._all_closed = asyncio.Event()

    @property
    def size(self) -> int:
        """How many connections are open."""
        return self._size

    @property
    def idle_size(self) -> int:
        """How many of them nobody has."""
        return len(self._idle)

    @property
    def has_room(self) -> bool:
        """Whether there is a connection for somebody who does not want to wait for others to be done."""
        return bool(self._idle) or self._size < self.size_max

    async def acquire(self) -> PlainConnection:
        """A connection, to be given to ``release``; raises TimeoutError where none comes free."""
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
            self._size -= 1
        if self._is_closing:
            raise asyncpg.InterfaceError("the pool is closed")
        if self._size < self.size_max:
            self._size += 1
            return await self._open_one()
        return await self._wait()

    def release(self, connection: PlainConnection) -> None:
        """Takes a connection back, which must be outside of a transaction; a closed one makes room for another."""
        if self._is_closing:
            connection.terminate()
        if connection.is_closed():
            self._give_room()
        elif not self._hand_over(connection):
            self._idle.append(connection)

    def discard(self, connection: PlainConnection) -> None:
        """Takes back a connection that is of no more use."""
        with suppress(*LOST_CONNECTION):
            connection.terminate()
        self._give_room()

    @asynccontextmanager
    async def lent(self) -> AsyncIterator[PlainConnection]:
        """A connection for the time of the block; not used again where the block fails."""
        connection = await self.acquire()
        try:
            yield connection
        except BaseException:
            self.discard(connection)
            raise
        self.release(connection)

    async def read(self, work: Callable[[PlainConnection, Unpack[Given]], Awaitable[T]], *given: *Given) -> T:
        """What ``work`` reads from a connection, outside of a transaction.

        Where the connection turns out to have been lost while it was idle, the work is done again on another.
        """
        attempts_left = self.size_max
        while True:
            connection = self._idle.pop() if self._idle else await self.acquire()
            try:
                result = await work(connection, *given)
            except LOST_CONNECTION:
                attempts_left -= 1
                is_lost = connection.is_closed()
                self.discard(connection)
                if not is_lost or not attempts_left:
                    raise
            except asyncpg.PostgresError:
                self.release(connection)
                raise
            except BaseException:
                self.discard(connection)
                raise
            else:
                self.release(connection)
                return result

    async def fetch(self, sql: str, *arguments: Any) -> Sequence[asyncpg.Record]:
        """The rows of one reading statement."""
        return await self.read(lambda connection: connection.fetch(sql, *arguments))

    async def fetch_for(self, organization_id: int, sql: str, arguments: Sequence[Any]) -> Sequence[asyncpg.Record]:
        """The rows of one reading statement, asked for an organization."""
        return await self.read(_fetch_for, organization_id, sql, arguments)

    async def fetchval(self, sql: str, *arguments: Any) -> Any:
        """The first value of one reading statement."""
        return await self.read(lambda connection: connection.fetchval(sql, *arguments))

    async def close(self) -> None:
        """Closes all connections once they are given back."""
        self._is_closing = True
        while self._idle:
            connection = self._idle.pop()
            await connection.close()
            self._size -= 1
        if self._size:
            await self._all_closed.wait()

    def terminate(self) -> None:
        """Drops the connections that nobody has, and the others as they come back."""
        self._is_closing = True
        while self._idle:
            self._idle.pop().terminate()
            self._size -= 1

    async def _open_one(self) -> PlainConnection:
        """A new connection, which has been counted already."""
        try:
            return await self._connect()
        except BaseException:
            self._give_room()
            raise

    async def _wait(self) -> PlainConnection:
        """A connection that somebody gives back, or a new one in the place of one that was lost."""
        waiter: asyncio.Future[PlainConnection | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            async with asyncio.timeout(ACQUIRE_SECONDS_MAX):
                connection = await waiter
        except BaseException:
            # It may have been handed something in the very moment of giving up.
            if waiter.done() and not waiter.cancelled():
                given = waiter.result()
                if given is None:
                    self._give_room()
                else:
                    self.release(given)
            raise
        return await self._open_one() if connection is None else connection

    def _give_room(self) -> None:
        """Lets whoever waits longest open a connection in the place of one that is gone."""
        if not self._is_closing and self._hand_over(None):
            return
        self._size -= 1
        if self._is_closing and not self._size:
            self._all_closed.set()

    def _hand_over(self, connection: PlainConnection | None) -> bool:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(connection)
                return True
        return False
