"""Ids in blocks, and sequences that were set back.

Whoever takes ids holds their table against repairs until the transaction ends; a repair waits for all who do, and holds
off those who come meanwhile. A sequence only ever moves forward.
"""

from collections.abc import Sequence

import asyncpg
import structlog

from api.db.provisioning import owner_connection
from api.domain.sequences import SequenceHealth, SequenceStatus
from api.errors import ConfigurationError, Unavailable
from api.services.audit import AuditKind, Subject
from api.services.commands import Command
from api.services.sequence_repair import repair_sequence

BLOCK_MAX = 20_000
logger = structlog.get_logger(__name__)

_HEALTH = "SELECT table_name, sequence_name, last_value, is_called, max_id FROM sequence_health()"
_LAST = ("capital_history", "audit_events")
"""What every writer inserts into last is locked last."""


async def reserve_ids(command: Command, table: str, count: int) -> list[int]:
    """``count`` ascending ids, 0 to BLOCK_MAX, of a table that are nobody else's, to be inserted in this transaction or
    never. They need not be adjacent.
    """
    if not count:
        return []
    rows = await command.connection.fetch("SELECT reserve_ids($1, $2)", table, count)
    return [row[0] for row in rows]


async def read_health(connection: asyncpg.Connection) -> list[SequenceHealth]:
    """Every sequence by its table's name."""
    return [SequenceHealth(*row) for row in await connection.fetch(_HEALTH)]


async def repair_sequences(command: Command) -> list[SequenceHealth]:
    """Moves every sequence that is behind to the highest id; returns those as they are now. Writers
    are held off the tables concerned until the commit.
    """
    behind = _behind(await read_health(command.connection))
    repaired = [await _repair(command.connection, state) for state in behind]
    command.record(
        "sequences.repaired",
        Subject("Organization", command.organization_id),
        before={state.table: state.last_value for state in behind},
        after={state.table: state.last_value for state in repaired},
        kind=AuditKind.SYSTEM,
    )
    return repaired


async def repair_all(connection: asyncpg.Connection) -> list[SequenceHealth]:
    """Does the same without an organization, each table in a transaction of its own, on a connection that may; returns
    the repaired ones. At most three seconds are waited for a table's writers: LockNotAvailableError.
    """
    await connection.execute("SET lock_timeout = '3s'")
    return [await _repair(connection, behind) for behind in _behind(await read_health(connection))]


async def check_database(owner_url: str) -> list[SequenceHealth]:
    """Every sequence of the owner's database by its table's name."""
    async with owner_connection(owner_url) as owner:
        await owner.execute("SET ROLE tranche_maintenance")
        return await read_health(owner)


async def repair_database(owner_url: str) -> list[SequenceHealth]:
    """Repairs the owner's database; returns the repaired sequences. Raises Unavailable where writers take too long."""
    async with owner_connection(owner_url) as owner:
        await owner.execute("SET ROLE tranche_maintenance")
        try:
            return await repair_all(owner)
        except asyncpg.LockNotAvailableError as error:
            raise Unavailable("A table is being written to for too long. Try again.") from error


async def repair_at_start(url: str, role: str) -> None:
    """Repairs what is behind, as a role of the server's. Where it cannot be done, for a table's writers take too long,
    say, the server starts without, and says so in its log.
    """
    try:
        async with owner_connection(url) as connection:
            await connection.execute(f"SET ROLE {role}")
            repaired = await repair_all(connection)
    except (asyncpg.PostgresError, ConfigurationError) as error:
        logger.warning("sequences_not_repaired", reason=str(error))
        return
    for state in repaired:
        logger.warning("sequence_repaired", table=state.table, last_value=state.last_value)


async def _repair(connection: asyncpg.Connection, behind: SequenceHealth) -> SequenceHealth:
    repaired = await repair_sequence(connection, behind.table)
    if repaired is None:
        raise AssertionError("what has a sequence hands out ids")
    return repaired


def _behind(states: Sequence[SequenceHealth]) -> list[SequenceHealth]:
    needing = [state for state in states if state.status is SequenceStatus.NEEDS_REPAIR]
    return sorted(needing, key=lambda state: (state.table in _LAST, state.table))
