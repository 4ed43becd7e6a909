"""Recomputing an organization's log: every event must follow from the one before."""

import hashlib
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from api.db.pools import Snapshot

CHUNK_EVENTS = 5000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Verdict:
    """How many events there are, and the first that was changed or is missing, if any."""

    event_count: int
    first_broken_sequence: int | None


async def verify_chain(snapshot: Snapshot) -> Verdict:
    """Reads the log from its start and compares each event with its digest, its columns and the chain."""
    heads = await snapshot.fetch(
        "SELECT sequence, hash FROM audit_heads WHERE organization_id = $1", snapshot.organization_id
    )
    head_sequence, head_hash = (heads[0]["sequence"], heads[0]["hash"]) if heads else (0, b"")
    count, sequence, chain = 0, 0, b""
    first_broken: int | None = None
    while True:
        events = await snapshot.fetch(
            "SELECT * FROM audit_events WHERE organization_id = $1 AND sequence > $2 ORDER BY sequence LIMIT $3",
            snapshot.organization_id,
            sequence,
            CHUNK_EVENTS,
        )
        for event in events:
            if first_broken is None and not _follows(event, sequence, chain, snapshot.organization_id):
                # Where one is missing, the first missing one is named and not the one after the gap.
                first_broken = min(sequence + 1, event["sequence"])
            count, sequence, chain = count + 1, event["sequence"], event["hash"]
        if len(events) < CHUNK_EVENTS:
            break
    if first_broken is None and (sequence, chain) != (head_sequence, head_hash):
        first_broken = sequence if sequence == head_sequence else min(sequence, head_sequence) + 1
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
