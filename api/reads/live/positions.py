"""Cursors of a log: a place in the sequence of one organization. And reading the log by them."""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import orjson

from api.db.event_bus import Committed, Rows
from api.db.pools import Database, Snapshot
from api.errors import BadUserInput
from api.reads.global_ids import BIGINT_MAX

CURSOR_LENGTH_MAX = 200
_SIGNATURE = "log"

_POSITION = """
SELECT head.sequence AS last,
  (SELECT event.sequence FROM audit_events AS event WHERE event.organization_id = $1 ORDER BY event.sequence LIMIT 1)
    AS first
FROM audit_heads AS head WHERE head.organization_id = $1
"""
_END = "SELECT sequence FROM audit_heads WHERE organization_id = $1"
# Only what says whether a follower wants the event, and where it is found: bodies may be long.
_ENTRIES = """
SELECT event.sequence, event.id, event.kind, event.action, event.subject_id,
  coalesce(
    (SELECT reallocation.fund_id FROM reallocation_audit AS reallocation
      WHERE reallocation.organization_id = event.organization_id
        AND reallocation.id = CASE WHEN event.subject_type = 'Reallocation' THEN event.subject_id::uuid END),
    (SELECT snapshot.fund_id FROM forecast_snapshots AS snapshot
      WHERE snapshot.organization_id = event.organization_id
        AND snapshot.id = CASE WHEN event.subject_type = 'ForecastSnapshot' THEN event.subject_id::bigint END),
    (SELECT call.fund_id FROM capital_calls AS call
      WHERE call.organization_id = event.organization_id
        AND call.id = CASE WHEN event.subject_type = 'CapitalCall' THEN event.subject_id::bigint END)
  ) AS fund_id,
  (SELECT entry.source_id FROM capital_history AS entry
    WHERE entry.organization_id = event.organization_id
      AND entry.id = CASE WHEN event.subject_type = 'CapitalHistoryEntry' THEN event.subject_id::bigint END)
    AS capital_source_id
FROM audit_events AS event
WHERE event.organization_id = $1 AND event.sequence > $2 AND event.sequence <= $3 ORDER BY event.sequence
"""


class CursorExpired(BadUserInput):
    """What comes next after the cursor is no longer kept."""

    code = "CURSOR_EXPIRED"


class CursorAhead(BadUserInput):
    """The log has not come to the cursor yet."""

    code = "CURSOR_AHEAD"


@dataclass(frozen=True, slots=True)
class Entry:
    """What followers are told of one event of the log.

    ``fund_id`` where it is about a reallocation, a forecast snapshot or a capital call, ``capital_source_id`` where
    about an entry of capital history.
    ``rows``: what it is about as its commit left it, where this process has just written it.
    """

    sequence: int
    id: int
    kind: str
    action: str
    subject_id: str | None
    fund_id: int | None
    capital_source_id: int | None
    rows: Rows | None = None

    @classmethod
    def of(cls, committed: Committed) -> Self:
        """What followers are told of an event that this process has committed."""
        found = {entity: row for (entity, _), row in committed.rows.items()}
        fund_id = (found.get("Reallocation") or found.get("CapitalCall") or {}).get("fund_id")
        source_id = found.get("CapitalHistoryEntry", {}).get("source_id")
        parts = (committed.sequence, committed.id, committed.kind, committed.action, committed.subject_id)
        return cls(*parts, fund_id, source_id, committed.rows)


@dataclass(frozen=True, slots=True)
class Extent:
    """From where to where a log is kept: the first sequence, None of an empty one, and the last."""

    first: int | None
    last: int

    def check(self, sequence: int) -> None:
        """Raises CursorExpired or CursorAhead where a follower cannot go on after this sequence."""
        if sequence > self.last:
            raise CursorAhead("after: this cursor lies ahead of the log.")
        first = self.last + 1 if self.first is None else self.first
        if sequence < first - 1:
            raise CursorExpired("after: what followed this cursor is no longer kept. Read anew, and follow from there.")


def encode_cursor(organization_id: int, sequence: int) -> str:
    """The cursor of this place in the organization's log."""
    payload = orjson.dumps([_SIGNATURE, organization_id, sequence])
    return base64.urlsafe_b64encode(payload).rstrip(b"=").decode()


def decode_cursor(organization_id: int, cursor: str) -> int:
    """The sequence that a cursor stands for; raises BadUserInput for what is none of this organization's."""
    try:
        if len(cursor) > CURSOR_LENGTH_MAX:
            raise ValueError("too long")
        payload = orjson.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
        signature, owner, sequence = payload
        if (signature, owner) != (_SIGNATURE, organization_id) or type(owner) is not int or type(sequence) is not int:
            raise ValueError("another kind, or another organization's")
        if not 0 <= sequence <= BIGINT_MAX or encode_cursor(organization_id, sequence) != cursor:
            raise ValueError("not as it was given out")
    except (binascii.Error, ValueError, TypeError):
        raise BadUserInput("after: this is not a cursor of this server.") from None
    return sequence


async def end_of_log(snapshot: Snapshot) -> int:
    """The last sequence of the log of the snapshot's organization, as that snapshot has it."""
    (row,) = await snapshot.fetch(_END, snapshot.organization_id)
    sequence: int = row["sequence"]
    return sequence


async def extent(database: Database, organization_id: int) -> Extent:
    """How far the log goes, as the database has it now."""
    (row,) = await Snapshot(database, organization_id).fetch_alone(_POSITION, organization_id)
    return Extent(row["first"], row["last"])


async def entries(database: Database, organization_id: int, after: int, until: int) -> Sequence[Entry]:
    """The entries after one sequence until another."""
    rows = await Snapshot(database, organization_id).fetch_alone(_ENTRIES, organization_id, after, until)
    return [Entry(*row) for row in rows]
