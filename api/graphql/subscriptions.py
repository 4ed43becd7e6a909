"""What can be followed as it happens: the organization's log, and what of it is about one thing."""

from collections.abc import AsyncGenerator, AsyncIterable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Generic, TypeVar, cast
from uuid import UUID

import strawberry
from graphql import GraphQLObjectType

from api.errors import BadUserInput
from api.graphql.audit import AuditEvent, GraphQLAuditKind
from api.graphql.capital import CapitalHistoryEntry, CapitalSource
from api.graphql.capital_calls import CapitalCall, GraphQLCallChange
from api.graphql.context import Info
from api.graphql.declare import load
from api.graphql.forecasts import ForecastSnapshot
from api.graphql.reallocations import Reallocation
from api.reads import global_ids
from api.reads.live.followers import Follower, Interest
from api.reads.live.positions import Entry, encode_cursor, end_of_log
from api.services import snapshot_states
from api.services.capital import ENTRY_ACTIONS
from api.services.capital_calls import CHANGES
from api.services.due_calls import REMINDERS

T = TypeVar("T")

After = Annotated[
    str | None,
    strawberry.argument(
        description="The cursor of an event: first comes what happened since. Without one, only what is to come."
    ),
]


EVENT_EDGES: Mapping[tuple[str, str], tuple[str, Callable[[Entry], Any]]] = {
    ("ReallocationEvent", "reallocation"): ("Reallocation", lambda entry: UUID(entry.subject_id)),
    ("CapitalChange", "entry"): ("CapitalHistoryEntry", lambda entry: int(entry.subject_id or 0)),
    ("CapitalChange", "source"): ("CapitalSource", lambda entry: entry.capital_source_id),
    ("CapitalCallChange", "capitalCall"): ("CapitalCall", lambda entry: int(entry.subject_id or 0)),
    ("RecordedEvent", "event"): ("AuditEvent", lambda entry: entry.id),
}
"""By type and field, where an event's edges lead: to which entity, and to which of its rows."""

EVENT_FACTS: Mapping[tuple[str, str], Callable[[Entry], Any]] = {
    ("CapitalCallChange", "kind"): lambda entry: CHANGES[entry.action],
    ("CapitalCallChange", "daysUntilDue"): lambda entry: REMINDERS.get(entry.action),
}
"""By type and field, what an event tells of itself."""


async def _load(info: Info, edge: tuple[str, str], entry: Entry) -> Any:
    entity, key = EVENT_EDGES[edge]
    return await load(info, entity, key(entry))


@strawberry.type(description="A reallocation that was committed.")
class ReallocationEvent:
    """A reallocation that was committed."""

    log_entry: strawberry.Private[Entry]

    @strawberry.field(description="Its place in the log, to go on from; opaque.")
    def cursor(self, info: Info) -> str:
        """Its place in the log."""
        return encode_cursor(info.context.principal.organization_id, self.log_entry.sequence)

    @strawberry.field(description="The reallocation.")
    async def reallocation(self, info: Info) -> Reallocation:
        """The reallocation."""
        found: Reallocation = await _load(info, ("ReallocationEvent", "reallocation"), self.log_entry)
        return found


@strawberry.type(description="A change of a capital source.")
class CapitalChange:
    """A change of a capital source."""

    log_entry: strawberry.Private[Entry]

    @strawberry.field(description="Its place in the log, to go on from; opaque.")
    def cursor(self, info: Info) -> str:
        """Its place in the log."""
        return encode_cursor(info.context.principal.organization_id, self.log_entry.sequence)

    @strawberry.field(description="The entry of the source's history.")
    async def entry(self, info: Info) -> CapitalHistoryEntry:
        """The entry of the source's history."""
        found: CapitalHistoryEntry = await _load(info, ("CapitalChange", "entry"), self.log_entry)
        return found

    @strawberry.field(description="The source as it is now.")
    async def source(self, info: Info) -> CapitalSource:
        """The source as it is now."""
        found: CapitalSource = await _load(info, ("CapitalChange", "source"), self.log_entry)
        return found


@strawberry.type(description="A change of a capital call, or a reminder of it.")
class CapitalCallChange:
    """A change of a capital call, or a reminder of it."""

    log_entry: strawberry.Private[Entry]

    @strawberry.field(description="Its place in the log, to go on from; opaque.")
    def cursor(self, info: Info) -> str:
        """Its place in the log."""
        return encode_cursor(info.context.principal.organization_id, self.log_entry.sequence)

    @strawberry.field(description="What has happened.")
    def kind(self) -> GraphQLCallChange:
        """What has happened."""
        return CHANGES[self.log_entry.action]

    @strawberry.field(description="How many days were left until it was due, of a REMINDER; else null.")
    def days_until_due(self) -> int | None:
        """How many days were left until it was due."""
        return REMINDERS.get(self.log_entry.action)

    @strawberry.field(description="The call as it is now.")
    async def capital_call(self, info: Info) -> CapitalCall:
        """The call as it is now."""
        found: CapitalCall = await _load(info, ("CapitalCallChange", "capitalCall"), self.log_entry)
        return found


@strawberry.type(description="An event that was recorded in the organization's log.")
class RecordedEvent:
    """An event that was recorded in the organization's log."""

    log_entry: strawberry.Private[Entry]

    @strawberry.field(description="Its place in the log, to go on from; opaque.")
    def cursor(self, info: Info) -> str:
        """Its place in the log."""
        return encode_cursor(info.context.principal.organization_id, self.log_entry.sequence)

    @strawberry.field(description="The event.")
    async def event(self, info: Info) -> AuditEvent:
        """The event."""
        found: AuditEvent = await _load(info, ("RecordedEvent", "event"), self.log_entry)
        return found


@dataclass(frozen=True, slots=True)
class SubjectOf:
    """An event that is answered with its subject, a row of ``type_name``, and with nothing of its own."""

    type_name: str
    log_entry: Entry


def load_subjects(subscription: GraphQLObjectType) -> None:
    """Makes the fields of the root type answer an event with its subject, as the answer's own snapshot has it."""

    def resolve(event: object, info: Any, **_arguments: object) -> object:
        return (
            load(info, event.type_name, int(event.log_entry.subject_id or 0)) if isinstance(event, SubjectOf) else event
        )

    for field in subscription.fields.values():
        field.resolve = resolve


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
    ) -> AsyncIterable[ReallocationEvent]:
        """Reallocations as they are committed."""
        await info.context.authorise()
        fund = None if fund_id is None else await _known(info, "Fund", fund_id, "fundId: there is no such fund.")
        interest = Interest(actions=frozenset({"reallocation.committed"}), fund_id=fund)
        return await _follow(info, interest, after, ReallocationEvent)

    @strawberry.subscription(description="Changes of capital sources as they are committed, of one source or of all.")
    async def capital_changed(
        self,
        info: Info,
        source_id: Annotated[strawberry.ID | None, strawberry.argument(description="Only of this source.")] = None,
        after: After = None,
    ) -> AsyncIterable[CapitalChange]:
        """Changes of capital sources as they are committed."""
        await info.context.authorise()
        message = "sourceId: there is no such capital source."
        source = None if source_id is None else await _known(info, "CapitalSource", source_id, message)
        interest = Interest(actions=ENTRY_ACTIONS, capital_source_id=source)
        return await _follow(info, interest, after, CapitalChange)

    @strawberry.subscription(
        description="Capital calls as they are made, changed, paid and overdue, and reminders of them, of one fund or "
        "of all."
    )
    async def capital_call_changed(
        self,
        info: Info,
        fund_id: Annotated[strawberry.ID | None, strawberry.argument(description="Only of this fund.")] = None,
        after: After = None,
    ) -> AsyncIterable[CapitalCallChange]:
        """Capital calls as they change."""
        await info.context.authorise()
        fund = None if fund_id is None else await _known(info, "Fund", fund_id, "fundId: there is no such fund.")
        return await _follow(info, Interest(actions=frozenset(CHANGES), fund_id=fund), after, CapitalCallChange)

    @strawberry.subscription(
        description="A fund's snapshots as they are asked for, named, calculated and finished: each as it is by then, "
        "whatever of it has changed."
    )
    async def snapshot_changed(
        self,
        info: Info,
        fund_id: Annotated[strawberry.ID, strawberry.argument(description="The fund.")],
        after: After = None,
    ) -> AsyncIterable[ForecastSnapshot]:
        """A fund's snapshots as they change."""
        await info.context.authorise()
        fund = await _known(info, "Fund", fund_id, "fundId: there is no such fund.")
        interest = Interest(actions=snapshot_states.ACTIONS, fund_id=fund)
        # What it shows is loaded when the event is answered: see load_subjects.
        following = await _follow(info, interest, after, partial(SubjectOf, "ForecastSnapshot"))
        return cast("AsyncIterable[ForecastSnapshot]", following)

    @strawberry.subscription(description="The organization's log as it grows. For administrators.")
    async def event_recorded(
        self,
        info: Info,
        kinds: Annotated[
            list[GraphQLAuditKind] | None,
            strawberry.argument(description="Only events of these kinds."),
        ] = None,
        after: After = None,
    ) -> AsyncIterable[RecordedEvent]:
        """The organization's log as it grows."""
        await info.context.authorise("eventRecorded")
        wanted = None if kinds is None else frozenset(kind.value for kind in kinds)
        return await _follow(info, Interest(kinds=wanted), after, RecordedEvent)


class Following(Generic[T]):
    """What a subscription answers with: the entries of the log that it follows, and what it shows of each."""

    def __init__(self, entries: Follower, make: Callable[..., T]) -> None:
        self.entries = entries
        self._make = make

    def show(self, entry: Entry) -> T:
        """What is shown of an entry."""
        return self._make(log_entry=entry)

    async def __aiter__(self) -> AsyncGenerator[T, None]:
        """Shows one entry after the other."""
        async with aclosing(self.entries) as entries:
            async for entry in entries:
                yield self.show(entry)


async def _follow(info: Info, interest: Interest, after: str | None, make: Callable[..., T]) -> Following[T]:
    context = info.context
    if context.live is None:
        raise BadUserInput("Subscriptions are answered over a WebSocket or as a stream of events.")
    return Following(await context.live.follow(context.principal.organization_id, interest, after), make)


async def _known(info: Info, type_name: str, global_id: str, message: str) -> int:
    """The row's id; BadUserInput for what is unknown, malformed or another organization's: they look the same."""
    row_id = global_ids.decode_as(type_name, global_id)
    if row_id is None or await info.context.loaders.row(type_name, row_id) is None:
        raise BadUserInput(message)
    return row_id
