"""Audit events: what a command says of itself, in canonical JSON, with its digest."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

import orjson

from api.db.event_bus import Rows


class AuditKind(StrEnum):
    """What an audit event is about, which decides how long it is kept."""

    FINANCIAL = "FINANCIAL"
    SECURITY = "SECURITY"
    SYSTEM = "SYSTEM"


@dataclass(frozen=True, slots=True)
class Subject:
    """The object that an event is about: its GraphQL type name and its id."""

    type_name: str
    id: int | UUID


@dataclass(frozen=True, slots=True)
class Appended:
    """What the log has made of the last event that was appended to it."""

    sequence: int
    event_id: int
    capital_sequence: int
    recorded_at: datetime
    transaction_id: str


@dataclass(frozen=True, slots=True)
class Event:
    """One event before it has a sequence. ``before`` and ``after`` hold what changed, by column.

    ``rows`` gives the rows that followers ask for, as the commit leaves them, with all their columns: they need not be
    read again where they have just been written.
    """

    kind: AuditKind
    action: str
    subject: Subject | None = None
    before: Mapping[str, object] | None = None
    after: Mapping[str, object] | None = None
    rows: Callable[[Appended], Rows] | None = None

    def body(self, *, actor_id: int | None, request_id: str | None, api_key_id: int | None = None) -> bytes:
        """The canonical JSON that the digest is made of: keys sorted, no blanks, decimals as strings.

        The API key that did it stands in it where one did: the log's actor is a member.
        """
        body = {
            "kind": self.kind.value,
            "action": self.action,
            "actor": actor_id,
            "subjectType": self.subject.type_name if self.subject else None,
            "subjectId": str(self.subject.id) if self.subject else None,
            "requestId": request_id,
            "before": self.before,
            "after": self.after,
        }
        return canonical_json(body if api_key_id is None else body | {"apiKey": api_key_id})


def canonical_json(value: object) -> bytes:
    """``value`` as JSON with sorted keys and no blanks: equal values give equal bytes."""
    return orjson.dumps(value, default=_plain, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)


def digest(body: bytes) -> bytes:
    """SHA-256 of an event's body."""
    return hashlib.sha256(body).digest()


def _plain(value: object) -> object:
    if isinstance(value, Decimal):
        return format(value.normalize(), "f")
    if isinstance(value, (date, datetime, UUID)):
        return str(value)
    if isinstance(value, bytes):
        return value.hex()
    raise TypeError(f"{type(value).__name__} has no canonical JSON")
