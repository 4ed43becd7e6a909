"""What can be followed as it happens: the organization's log, and what of it is about one thing."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Annotated, TypeVar
from uuid import UUID

import strawberry

from api.errors import BadUserInput
from api.graphql.audit import AuditEvent, GraphQLAuditKind
from api.graphql.context import Info
from api.graphql.declare import load
from api.graphql.reallocations import Reallocation
from api.reads import global_ids
from api.reads.live.followers import Interest
from api.reads.live.positions import Entry, encode_cursor, end_of_log

T = TypeVar("T")

After = Annotated[
    str | None,
    strawberry.argument(
        description="The cursor of an event: first comes what happened since. Without one, only what is to come."
    ),
]


@strawberry.type(description="A reallocation that was committed.")
class ReallocationEvent:
    """A reallocation that was committed."""

    entry: strawberry.Private[Entry]

    @strawberry.field(description="Its place in the log, to go on from; opaque.")
    def cursor(self, info: Info) -> str:
        """Its place in the log."""
        return encode_cursor(info.context.principal.organization_id, self.entry.sequence)

    @strawberry.field(description="The reallocation.")
    async def reallocation(self, info: Info) -> Reallocation:
        """The reallocation."""
        found: Reallocation = await load(info, "Reallocation", UUID(self.entry.subject_id))
        return found


@strawberry.type(description="An event that was recorded in the organization's log.")
class RecordedEvent:
    """An event that was recorded in the organization's log."""

    entry: strawberry.Private[Entry]

    @strawberry.field(description="Its place in the log, to go on from; opaque.")
    def cursor(self, info: Info) -> str:
        """Its place in the log."""
        return encode_cursor(info.context.principal.organization_id, self.entry.sequence)

    @strawberry.field(description="The event.")
    async def event(self, info: Info) -> AuditEvent:
        """The event."""
        found: AuditEvent = await load(info, "AuditEvent", self.entry.id)
        return found


@strawberry.type
class FollowingQuery:
    """The root field from which following begins."""

    @strawberry.field(
        description="The end of the organization's log as this answer saw it: what is asked for beside it is as it was "
        "then, and a subscription goes on from here with after."
    )
    async def event_cursor(self, info: Info) -> str:
        """The end of the organization's log as this answer saw it."""
        await info.context.authorise()
        return encode_cursor(info.context.principal.organization_id, await end_of_log(info.context.loaders.snapshot))


@strawberry.type(
    description="What can be followed. With a cursor, what was missed comes first; events come in the order of commits."
)
class Subscription:
    """What can be followed."""

    @strawberry.subscription(description="Reallocations as they are committed, of one fund or of all.")
    async def reallocation_committed(
        self,
        info: Info,
        fund_id: Annotated[strawberry.ID | None, strawberry.argument(description="Only of this fund.")] = None,
        after: After = None,
    ) -> AsyncGenerator[ReallocationEvent, None]:
        """Reallocations as they are committed."""
        await info.context.authorise()
        fund = None if fund_id is None else await _known_fund(info, fund_id)
        entries = await _follow(info, Interest(action="reallocation.committed", fund_id=fund), after)
        return _shown(entries, ReallocationEvent)

    @strawberry.subscription(description="The organization's log as it grows. For administrators.")
    async def event_recorded(
        self,
        info: Info,
        kinds: Annotated[
            list[GraphQLAuditKind] | None,
            strawberry.argument(description="Only events of these kinds."),
        ] = None,
        after: After = None,
    ) -> AsyncGenerator[RecordedEvent, None]:
        """The organization's log as it grows."""
        await info.context.authorise("eventRecorded")
        wanted = None if kinds is None else frozenset(kind.value for kind in kinds)
        entries = await _follow(info, Interest(kinds=wanted), after)
        return _shown(entries, RecordedEvent)


async def _follow(info: Info, interest: Interest, after: str | None) -> AsyncGenerator[Entry, None]:
    context = info.context
    if context.live is None:
        raise BadUserInput("Subscriptions are answered over a WebSocket or as a stream of events.")
    return await context.live.follow(context.principal.organization_id, interest, after)


async def _shown(entries: AsyncGenerator[Entry, None], make: Callable[..., T]) -> AsyncGenerator[T, None]:
    async with aclosing(entries):
        async for entry in entries:
            yield make(entry=entry)


async def _known_fund(info: Info, fund_id: str) -> int:
    """The fund's row id; BadUserInput for what is unknown, malformed or another organization's: they look the same."""
    row_id = global_ids.decode_as("Fund", fund_id)
    if row_id is None or await info.context.loaders.row("Fund", row_id) is None:
        raise BadUserInput("fundId: there is no such fund.")
    return row_id
