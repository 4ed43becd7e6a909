"""An organization's capital history as files hold it."""

from collections.abc import Callable

from api.db.pools import Snapshot
from api.domain.capital_entries import FileEntry

CHUNK_ENTRIES = 5000


async def read_history(snapshot: Snapshot, *, progress: Callable[[int], None] = lambda _: None) -> list[FileEntry]:
    """All entries in the order in which they were recorded; ``progress`` is told how many have been read so far."""
    entries: list[FileEntry] = []
    sequence = 0
    while True:
        rows = await snapshot.fetch(
            """
            SELECT entry.external_id, source.external_key, entry.effective_on, entry.name, entry.annual_rate,
              entry.available_cents, entry.action, entry.previous_rate, entry.previous_amount_cents, entry.notes,
              entry.sequence
            FROM capital_history AS entry
            JOIN capital_sources AS source
              ON source.organization_id = entry.organization_id AND source.id = entry.source_id
            WHERE entry.organization_id = $1 AND entry.sequence > $2 ORDER BY entry.sequence LIMIT $3
            """,
            snapshot.organization_id,
            sequence,
            CHUNK_ENTRIES,
        )
        entries += (FileEntry(*tuple(row)[:-1]) for row in rows)
        progress(len(entries))
        if len(rows) < CHUNK_ENTRIES:
            return entries
        sequence = rows[-1]["sequence"]
