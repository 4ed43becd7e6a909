"""The organization's log, for administrators."""

from datetime import datetime

import orjson
import strawberry

from api import tables
from api.graphql.connections import Connection
from api.graphql.context import Info
from api.graphql.declare import column, computed, connection, entity, to_one
from api.graphql.enums import describe
from api.graphql.filters import any_of, at_least, at_most
from api.graphql.nodes import Node
from api.graphql.objects import load_global
from api.graphql.organizations import User
from api.graphql.scalars import JSON, BigInt
from api.reads import global_ids
from api.reads.audit_chain import verify_chain
from api.services.audit import AuditKind

GraphQLAuditKind = describe(
    AuditKind,
    "AuditKind",
    "What an event of the log is about.",
    {
        AuditKind.FINANCIAL: "Money, and what it rests on.",
        AuditKind.SECURITY: "Who may do what, and who tried.",
        AuditKind.SYSTEM: "The server itself.",
    },
)


@entity(
    tables.AuditEvent,
    "One entry of the organization's log: who changed what, when, from what to what.",
    action="auditEvents",
)
class AuditEvent(Node):
    """One entry of the organization's log."""

    sequence: BigInt = column("Its place in the log, without gaps, in the order of commits.")
    kind: GraphQLAuditKind = column("What it is about.")  # type: ignore[valid-type]
    action: str = column("What was done.")
    actor: User | None = to_one("Who did it; null for the system.", "User", by="actor_id")
    before: JSON | None = computed("What changed, as it was.", "body", compute=lambda row: _part(row["body"], "before"))
    after: JSON | None = computed("What changed, as it is.", "body", compute=lambda row: _part(row["body"], "after"))
    request_id: str | None = column("The request that did it.")
    occurred_at: datetime = column("When it was recorded.", "recorded_at")
    hash: str = computed(
        "SHA-256 over this event and the one before, in hexadecimal.", "hash", compute=lambda row: row["hash"].hex()
    )

    @strawberry.field(description="What it was done to; null where it is gone or never was an object.")
    async def subject(self, info: Info) -> Node | None:
        """What it was done to."""
        if self.row["subject_type"] is None:
            return None
        found: Node | None = await load_global(
            info, global_ids.encode(self.row["subject_type"], self.row["subject_id"])
        )
        return found


def _part(body: str | None, name: str) -> object:
    return None if body is None else orjson.loads(body)[name]


@strawberry.input(description="Which events to show.")
class AuditEventFilter:
    """Which events to show."""

    kinds: list[GraphQLAuditKind] | None = any_of("kind", "Only these kinds.")  # type: ignore[valid-type]
    actions: list[str] | None = any_of("action", "Only these actions.")
    from_: datetime | None = at_least("recorded_at", "Only from then on.", "timestamptz", name="from")
    to: datetime | None = at_most("recorded_at", "Only until then.", "timestamptz")


@strawberry.type(description="Whether the log is as it was written.")
class AuditVerification:
    """Whether the log is as it was written."""

    is_intact: bool = strawberry.field(description="Whether every event follows from the one before.")
    event_count: BigInt = strawberry.field(description="How many events there are.")
    first_broken_sequence: BigInt | None = strawberry.field(
        description="The first event that was changed or is missing."
    )


@strawberry.type
class AuditQuery:
    """The root fields about the log."""

    audit_events: Connection[AuditEvent] | None = connection(
        "The organization's log, latest first. For administrators.",
        "AuditEvent",
        tables.AuditEvent,
        by=None,
        filter=AuditEventFilter,
        default_order=("sequence", True),
        action="auditEvents",
    )

    @strawberry.field(
        description="Recomputes the log's chain of hashes, and compares the entries of capital history with the events "
        "that tell of them. For administrators."
    )
    async def audit_verification(self, info: Info) -> AuditVerification | None:
        """Recomputes the log's chain of hashes."""
        await info.context.authorise("auditVerification")
        verdict = await verify_chain(info.context.loaders.snapshot)
        broken = verdict.first_broken_sequence
        return AuditVerification(
            is_intact=broken is None,
            event_count=BigInt(verdict.event_count),
            first_broken_sequence=None if broken is None else BigInt(broken),
        )
