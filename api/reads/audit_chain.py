"""Recomputing an organization's log: every event must follow from the one before.

And capital history with it: each entry is told of by an event, whose body holds its values.
"""

import hashlib
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import orjson

from api.db.pools import Snapshot

CHUNK_EVENTS = 5000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ENTRY = "CapitalHistoryEntry"
_HEAD = """
SELECT head.sequence, head.hash,
  (SELECT count(*) FROM capital_history AS entry WHERE entry.organization_id = $1) AS entry_count
FROM audit_heads AS head WHERE head.organization_id = $1
"""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How many events there are, and the first that was changed or is missing, if any."""

    event_count: int
    first_broken_sequence: int | None


async def verify_chain(snapshot: Snapshot) -> Verdict:
    """Reads the log from its start and compares each event with its digest, its columns and the chain.

    An entry of capital history that is not as its event tells breaks that event; one more entry than events, the end.
    """
    heads = await snapshot.fetch(_HEAD, snapshot.organization_id)
    head_sequence, head_hash, entry_count = heads[0] if heads else (0, b"", 0)
    count, sequence, chain, entries_told = 0, 0, b"", 0
    first_broken: int | None = None
    while True:
        events = await snapshot.fetch(
            "SELECT * FROM audit_events WHERE organization_id = $1 AND sequence > $2 ORDER BY sequence LIMIT $3",
            snapshot.organization_id,
            sequence,
            CHUNK_EVENTS,
        )
        entries = await _entries(snapshot, events)
        for event in events:
            is_entry = event["subject_type"] == _ENTRY
            entries_told += is_entry
            if first_broken is None and not (
                _follows(event, sequence, chain, snapshot.organization_id)
                and (not is_entry or _entry_agrees(event, entries.get(event["subject_id"]), entries_told))
            ):
                # Where one is missing, the first missing one is named and not the one after the gap.
                first_broken = min(sequence + 1, event["sequence"])
            count, sequence, chain = count + 1, event["sequence"], event["hash"]
        if len(events) < CHUNK_EVENTS:
            break
    if first_broken is None and (sequence, chain) != (head_sequence, head_hash):
        first_broken = sequence if sequence == head_sequence else min(sequence, head_sequence) + 1
    if first_broken is None and entries_told != entry_count:
        first_broken = head_sequence + 1
    return Verdict(count, first_broken)


def chain_hash(previous: bytes, organization_id: int, sequence: int, recorded_at: datetime, digest: bytes) -> bytes:
    """The hash of an event, as the SQL function append_audit makes it."""
    microseconds = (recorded_at - _EPOCH) // timedelta(microseconds=1)
    return hashlib.sha256(previous + struct.pack(">qqq", organization_id, sequence, microseconds) + digest).digest()


def _follows(event: Mapping[str, Any], sequence: int, chain: bytes, organization_id: int) -> bool:
    if event["sequence"] != sequence + 1:
        return False
    expected = chain_hash(chain, organization_id, event["sequence"], event["recorded_at"], event["digest"])
    return bool(event["hash"] == expected) and (event["body"] is None or _body_agrees(event))


def _body_agrees(event: Mapping[str, Any]) -> bool:
    """Whether the body is what the digest was made of, and the columns say the same."""
    if hashlib.sha256(event["body"].encode()).digest() != event["digest"]:
        return False
    try:
        body = orjson.loads(event["body"])
    except orjson.JSONDecodeError:
        return False
    columns = ("kind", "action", "actor_id", "subject_type", "subject_id", "request_id")
    names = ("kind", "action", "actor", "subjectType", "subjectId", "requestId")
    return isinstance(body, dict) and all(
        body.get(name) == event[column] for name, column in zip(names, columns, strict=True)
    )


async def _entries(snapshot: Snapshot, events: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """The entries of capital history that the events tell of, by their ids' texts."""
    ids = [int(event["subject_id"]) for event in events if event["subject_type"] == _ENTRY]
    sql = "SELECT * FROM capital_history WHERE organization_id = $1 AND id = ANY ($2::bigint[])"
    rows = await snapshot.fetch(sql, snapshot.organization_id, ids) if ids else ()
    return {str(row["id"]): row for row in rows}


def _entry_agrees(event: Mapping[str, Any], entry: Mapping[str, Any] | None, sequence: int) -> bool:
    """Whether the entry has this sequence, its event's author and time, and the values in its body, while kept."""
    if entry is None:
        return False
    if (entry["sequence"], entry["actor_id"], entry["recorded_at"]) != (
        sequence,
        event["actor_id"],
        event["recorded_at"],
    ):
        return False
    told = None if event["body"] is None else orjson.loads(event["body"])["after"]
    return told is None or all(_plain(entry[column]) == value for column, value in told.items())


def _plain(value: Any) -> Any:
    """A value as a body holds it."""
    if isinstance(value, Decimal):
        return format(value.normalize(), "f")
    return str(value) if isinstance(value, date) else value
