"""Changes to tables that are in use, for migrations: nobody waits for one longer than a moment.

Each statement is a transaction of its own, so all of a migration that uses these must be able to run a second time,
over what a first one left behind. Past migrations call these: what they produce must not change.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from alembic import op
from sqlalchemy.exc import DBAPIError

CHANGE_LOCK_TIMEOUT = "500ms"
"""For a lock that whoever comes later queues behind, readers too."""

BUILD_LOCK_TIMEOUT = "60s"
"""For one that nobody who reads or writes rows waits for."""

ATTEMPTS_MAX = 20
PAUSE_SECONDS = 0.5
_LOCK_NOT_AVAILABLE = "55P03"


@contextmanager
def statement_by_statement() -> Iterator[None]:
    """Commits what came before; within, each statement commits by itself."""
    with op.get_context().autocommit_block():
        yield


def change(statement: str) -> None:
    """Runs a statement that locks its table for a moment.

    Gives way to whoever holds the table longer than that, and tries again some seconds long.
    """
    op.execute(f"SET lock_timeout = '{CHANGE_LOCK_TIMEOUT}'")
    for attempt in range(1, ATTEMPTS_MAX + 1):
        try:
            op.execute(statement)
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) != _LOCK_NOT_AVAILABLE or attempt == ATTEMPTS_MAX:
                raise
            time.sleep(PAUSE_SECONDS)
        else:
            return


def validate(table: str, constraint: str) -> None:
    """Looks through a table whether a constraint that was added NOT VALID holds, while others write to it."""
    op.execute(f"SET lock_timeout = '{BUILD_LOCK_TIMEOUT}'")
    op.execute(f"ALTER TABLE {table} VALIDATE CONSTRAINT {constraint}")


def create_index(name: str, definition: str, *, unique: bool = False) -> None:
    """Builds the index ``name`` ON ``definition`` while others write to its table.

    A build that was cancelled leaves an index behind that is of no use and that IF NOT EXISTS would take for the real
    one: it is dropped first.
    """
    op.execute(f"SET lock_timeout = '{BUILD_LOCK_TIMEOUT}'")
    leftover = sa.text("SELECT 1 FROM pg_index WHERE indexrelid = to_regclass(:name) AND NOT indisvalid")
    if op.get_bind().execute(leftover, {"name": name}).first() is not None:
        drop_index(name)
    kind = "UNIQUE INDEX" if unique else "INDEX"
    op.execute(f"CREATE {kind} CONCURRENTLY IF NOT EXISTS {name} ON {definition}")


def drop_index(name: str) -> None:
    """Drops an index, where there is one, while others use its table."""
    op.execute(f"SET lock_timeout = '{BUILD_LOCK_TIMEOUT}'")
    op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
