"""What a failure of the database means to a caller: whether to try again, or that it is the program's fault."""

import asyncpg

from api.errors import TimedOut, TryAgain, Unavailable

TOOK_TOO_LONG = (asyncpg.QueryCanceledError, asyncpg.LockNotAvailableError)
"""A statement timeout, and a lock timeout."""

IS_AWAY = (
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.InsufficientResourcesError,
    asyncpg.InternalClientError,
    ConnectionError,
    OSError,
)
"""The server or the network has gone, no connection came free in time (a TimeoutError, which is an OSError), or the
server is out of connections, memory or disk; or asyncpg cannot make anything of how a connection ended."""

IS_CROWDED = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)
"""Transactions were in each other's way, as often as they were run again."""


def fault_of(error: BaseException | None) -> TryAgain | None:
    """The error to answer where the database is late or away; None where that is not what went wrong."""
    if isinstance(error, TryAgain):
        return error
    if isinstance(error, TOOK_TOO_LONG):
        return TimedOut("The database took too long. Ask for less, or send it again.")
    if isinstance(error, IS_CROWDED):
        return Unavailable("Others were writing the same. Send it again.")
    if isinstance(error, IS_AWAY) or _is_closed(error):
        return Unavailable("The database does not answer. Send it again; a mutation with the same idempotencyKey.")
    return None


def _is_closed(error: BaseException | None) -> bool:
    """Whether a connection or a pool was closed meanwhile, which asyncpg tells from misuse by the words alone."""
    return isinstance(error, asyncpg.InterfaceError) and "closed" in str(error)
