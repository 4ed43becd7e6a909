"""The health of the sequences that ids come from."""

from api.db.pools import Snapshot
from api.domain.sequences import SequenceHealth

HEALTH = "SELECT table_name, sequence_name, last_value, is_called, max_id FROM sequence_health()"


async def sequence_health(snapshot: Snapshot) -> list[SequenceHealth]:
    """Every sequence by its table's name; they are the whole database's, and so are the highest ids."""
    return [SequenceHealth(*row) for row in await snapshot.fetch(HEALTH)]
