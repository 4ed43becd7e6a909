"""Connections: one pool for reading, one for writing, and a small one for finding out who is asking.

Every transaction names its organization; without one, row-level security shows no rows. A connection for single
statements keeps the organization it was last set to, and is set again before each: see docs/decisions.md.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Self

import asyncpg
import orjson

from api.db.connections import LOST_CONNECTION, ConnectionPool, PlainConnection
from api.errors import ConfigurationError

AUTHENTICATION_CONNECTIONS_MAX = 4
SIGN_IN_CONNECTIONS_MAX = 2
"""A pool of its own: however many try to sign in, finding out who sends a request does not wait for them."""
CONNECT_SECONDS_MAX = 10
ROLLBACK_SECONDS_MAX = 3


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """Sizes and timeouts of the pools; timeouts in seconds."""

    read_connections_max: int = 16
    write_connections_max: int = 8
    statement_timeout_seconds: float = 10
    lock_timeout_seconds: float = 3
    claim_timeout_seconds: float = 8


@dataclass(slots=True)
class Statement:
    """A statement that was run, for the debug header."""

    sql: str
    milliseconds: float
    rows: int


class Database:
    """The pools of one server process."""

    def __init__(
        self,
        limits: PoolLimits,
        reads: ConnectionPool,
        writes: ConnectionPool,
        authentication: ConnectionPool,
        sign_ins: ConnectionPool,
    ) -> None:
        self.limits = limits
        self.reads = reads
        self.writes = writes
        self.authentication = authentication
        self.sign_ins = sign_ins

    @classmethod
    async def open(cls, url: str, limits: PoolLimits) -> Self:
        """Opens the pools as tranche_app and tranche_auth; raises ConfigurationError for a login that may more."""
        pools: list[ConnectionPool] = []
        try:
            pools.append(await _open_pool(url, "tranche_app", limits, limits.read_connections_max, read_only=True))
            await refuse_privileged_login(pools[0])
            pools.append(await _open_pool(url, "tranche_app", limits, limits.write_connections_max))
            pools.append(await _open_pool(url, "tranche_auth", limits, AUTHENTICATION_CONNECTIONS_MAX, read_only=True))
            pools.append(_make_pool(url, "tranche_auth", limits, SIGN_IN_CONNECTIONS_MAX))
        except BaseException:
            for pool in pools:
                pool.terminate()
            raise
        return cls(limits, *pools)

    async def close(self) -> None:
        """Closes all connections once their work is done."""
        await asyncio.gather(
            self.reads.close(), self.writes.close(), self.authentication.close(), self.sign_ins.close()
        )

    def terminate(self) -> None:
        """Drops all connections at once."""
        for pool in (self.reads, self.writes, self.authentication, self.sign_ins):
            pool.terminate()

    @asynccontextmanager
    async def writing(self, organization_id: int, *, claims: bool = False) -> AsyncIterator[asyncpg.Connection]:
        """A connection inside an open READ COMMITTED transaction of the organization; the caller must COMMIT.

        Left without a COMMIT, or by an exception, the transaction is rolled back. Where it ``claims`` a key, the lock
        timeout is the claim's until the claim sets the usual one; see services/idempotency.
        """
        settings = f"SET LOCAL app.organization_id = '{organization_id:d}'"
        if claims:
            settings += f"; SET LOCAL lock_timeout = '{self.limits.claim_timeout_seconds * 1000:.0f}ms'"
        connection = await _begin(self.writes, f"BEGIN; {settings}")
        try:
            yield connection
        finally:
            await _give_back(self.writes, connection)


async def _begin(pool: ConnectionPool, statements: str) -> PlainConnection:
    """A connection that has run these statements; where one turns out to have been lost in the pool, another."""
    attempts_left = pool.size_max
    while True:
        connection = await pool.acquire()
        try:
            await connection.execute(statements)
        except LOST_CONNECTION:
            pool.discard(connection)
            attempts_left -= 1
            if not attempts_left:
                raise
        except BaseException:
            await _give_back(pool, connection)
            raise
        else:
            return connection


async def _give_back(pool: ConnectionPool, connection: PlainConnection) -> None:
    """Ends what the transaction has left open, and gives the connection back."""
    try:
        if not connection.is_closed() and connection.is_in_transaction():
            await connection.execute("ROLLBACK", timeout=ROLLBACK_SECONDS_MAX)
    except BaseException as error:
        pool.discard(connection)
        # With a lost connection its transaction is gone; what was committed before must not end in an error.
        if not isinstance(error, LOST_CONNECTION):
            raise
    else:
        pool.release(connection)


def _make_pool(url: str, role: str, limits: PoolLimits, size_max: int, *, read_only: bool = False) -> ConnectionPool:
    """A pool that has not connected yet."""
    server_settings = {
        "application_name": f"tranche {role.removeprefix('tranche_')}",
        "role": role,
        "timezone": "UTC",
        "statement_timeout": f"{limits.statement_timeout_seconds * 1000:.0f}",
        "lock_timeout": f"{limits.lock_timeout_seconds * 1000:.0f}",
        "idle_in_transaction_session_timeout": "60000",
        "default_transaction_read_only": "on" if read_only else "off",
        "jit": "off",
        # Every statement finds rows by keys of the organization: planning it anew for its values would not pay.
        "plan_cache_mode": "force_generic_plan" if read_only else "auto",
    }
    return ConnectionPool(lambda: _connect(url, server_settings), size_max)


async def _open_pool(
    url: str, role: str, limits: PoolLimits, size_max: int, *, read_only: bool = False
) -> ConnectionPool:
    pool = _make_pool(url, role, limits, size_max, read_only=read_only)
    try:
        pool.release(await pool.acquire())
    except (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidPasswordError) as error:
        raise ConfigurationError(f"TRANCHE_APPLICATION_DATABASE_URL: the login was refused ({error}).") from error
    except (asyncpg.InsufficientPrivilegeError, asyncpg.InvalidParameterValueError) as error:
        raise ConfigurationError(
            f"TRANCHE_APPLICATION_DATABASE_URL: the login cannot act as {role} ({error}). "
            "Migrate first, and grant it the role."
        ) from error
    return pool


async def _connect(url: str, server_settings: dict[str, str]) -> PlainConnection:
    connection: PlainConnection = await asyncpg.connect(
        url, timeout=CONNECT_SECONDS_MAX, connection_class=PlainConnection, server_settings=server_settings
    )
    # Binary, because within a record every value comes so; the first byte of a jsonb is the version of its format.
    await connection.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        encoder=lambda value: b"\x01" + orjson.dumps(value),
        decoder=lambda data: orjson.loads(data[1:]),
        format="binary",
    )
    return connection


async def refuse_privileged_login(pool: ConnectionPool) -> None:
    """Raises ConfigurationError where the server's login, or a role it may take on, gets round row-level security."""
    (row,) = await pool.fetch(
        """
        SELECT session_user AS login, bool_or(role.rolsuper) AS rolsuper, bool_or(role.rolbypassrls) AS rolbypassrls,
          EXISTS (SELECT 1 FROM pg_class WHERE relnamespace = 'public'::regnamespace
            AND pg_has_role(session_user, relowner, 'MEMBER')) AS is_owner,
          pg_has_role(session_user, 'tranche_maintenance', 'MEMBER') AS is_maintenance
        FROM pg_roles AS role WHERE pg_has_role(session_user, role.oid, 'MEMBER')
        """
    )
    faults = [
        text
        for flag, text in (
            ("rolsuper", "is a superuser"),
            ("rolbypassrls", "bypasses row-level security"),
            ("is_owner", "owns the tables"),
            ("is_maintenance", "is a member of tranche_maintenance"),
        )
        if row[flag]
    ]
    if faults:
        raise ConfigurationError(
            f"TRANCHE_APPLICATION_DATABASE_URL: the login {row['login']} {' and '.join(faults)}; the server needs "
            "one that is a member of tranche_app and tranche_auth alone."
        )


class SnapshotClosed(Exception):
    """Something wanted to read for an operation that is over."""


@dataclass(slots=True)
class Snapshot:
    """What one query operation reads from: one connection in one READ ONLY, REPEATABLE READ transaction.

    Opened by the first statement. Statements queue for the connection: asyncpg refuses two at once.
    """

    database: Database
    organization_id: int
    statements: list[Statement] = field(default_factory=list)
    _is_closed: bool = False
    _connection: PlainConnection | None = None
    _queue: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def fetch(self, sql: str, *arguments: Any) -> Sequence[asyncpg.Record]:
        """The rows of one statement, in the transaction."""
        async with self._queue:
            connection = await self._begin()
            started = time.perf_counter()
            rows: Sequence[asyncpg.Record] = await connection.fetch(sql, *arguments)
            self.statements.append(Statement(sql, (time.perf_counter() - started) * 1000, len(rows)))
            return rows

    async def fetch_alone(self, sql: str, *arguments: Any) -> Sequence[asyncpg.Record]:
        """The rows of the only statement there will be: it needs no transaction, being a snapshot by itself."""
        started = time.perf_counter()
        rows = await self.database.reads.fetch_for(self.organization_id, sql, arguments)
        self.statements.append(Statement(sql, (time.perf_counter() - started) * 1000, len(rows)))
        return rows

    async def _begin(self) -> PlainConnection:
        if self._is_closed:
            raise SnapshotClosed("the operation is over")
        if self._connection is None:
            self._connection = await _begin(
                self.database.reads,
                "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;"
                f" SET LOCAL app.organization_id = '{self.organization_id:d}'",
            )
        return self._connection

    async def close(self) -> None:
        """Ends the transaction and gives the connection back, for good: dataloaders may outlive who waited for them."""
        self._is_closed = True
        await self.renew()

    async def renew(self) -> None:
        """Ends the transaction and gives the connection back; a later fetch starts a new snapshot."""
        async with self._queue:
            connection, self._connection = self._connection, None
            if connection is not None:
                await _give_back(self.database.reads, connection)
