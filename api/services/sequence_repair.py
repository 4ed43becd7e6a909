"""Moving a sequence on to the highest id of its table."""

import asyncpg

from api.domain.sequences import SequenceHealth


async def repair_sequence(connection: asyncpg.Connection, table: str) -> SequenceHealth | None:
    """The sequence as it is now, moved on where it was behind; None where the table hands out no ids.

    Waits for all who have taken ids of the table, and holds off those who come, until the transaction ends.
    """
    hands_out = await connection.fetchval("SELECT true FROM sequence_health() WHERE table_name = $1", table)
    if not hands_out:
        return None
    row = await connection.fetchrow(
        "SELECT table_name, sequence_name, last_value, is_called, max_id FROM repair_sequence($1)", table
    )
    return SequenceHealth(*row)
