"""Sequences of ids: their health and their repair, for administrators."""

import strawberry

from api.domain.sequences import SequenceHealth as State
from api.domain.sequences import SequenceSeverity, SequenceStatus
from api.errors import Refused
from api.graphql.context import Info
from api.graphql.enums import describe
from api.graphql.mutations import Payload, refusal, write
from api.graphql.scalars import BigInt
from api.reads import sequences as reads
from api.services import sequences as services

GraphQLSequenceStatus = describe(
    SequenceStatus,
    "SequenceStatus",
    "Whether a sequence's next id is a new one.",
    {
        SequenceStatus.HEALTHY: "The next id is above all that there are.",
        SequenceStatus.NEEDS_REPAIR: "It would hand out ids that are taken.",
    },
)
GraphQLSequenceSeverity = describe(
    SequenceSeverity,
    "SequenceSeverity",
    "How far a sequence is behind.",
    {
        SequenceSeverity.HIGH: "More than 100 ids.",
        SequenceSeverity.MEDIUM: "More than 10 ids.",
        SequenceSeverity.LOW: "10 ids or fewer.",
    },
)


@strawberry.type(description="A table's sequence of ids as it stands. It belongs to all organizations together.")
class SequenceHealth:
    """A table's sequence of ids as it stands."""

    table: str = strawberry.field(description="The table whose ids it hands out.")
    sequence: str = strawberry.field(description="Its name.")
    last_value: BigInt = strawberry.field(description="The id that it handed out last, or else its first.")
    is_called: bool = strawberry.field(description="Whether it has handed out the last value.")
    max_id: BigInt | None = strawberry.field(description="The highest id in the table; null in an empty one.")
    gap: BigInt = strawberry.field(description="How many ids it would hand out that may be taken; 0 in a healthy one.")
    status: GraphQLSequenceStatus = strawberry.field(description="Whether it is healthy.")  # type: ignore[valid-type]
    severity: GraphQLSequenceSeverity | None = strawberry.field(  # type: ignore[valid-type]
        description="How far it is behind; null in a healthy one."
    )


@strawberry.type(description="Which sequences were repaired.")
class RepairSequencesPayload(Payload):
    """Which sequences were repaired."""

    repaired: list[SequenceHealth] = strawberry.field(
        description="Those that were behind, as they are now.", default_factory=list
    )


@strawberry.type
class SequenceQuery:
    """The root field about sequences."""

    @strawberry.field(description="Every sequence of ids, by its table's name. For administrators.")
    async def sequence_health(self, info: Info) -> list[SequenceHealth] | None:
        """Every sequence of ids."""
        await info.context.authorise("sequenceHealth")
        return [_shown(state) for state in await reads.sequence_health(info.context.loaders.snapshot)]


@strawberry.type
class SequenceMutation:
    """Repairing sequences."""

    @strawberry.mutation(
        description="Moves every sequence that is behind to the highest id of its table, and never one back. Writers "
        "of these tables wait meanwhile. For administrators."
    )
    async def repair_sequences(self, info: Info) -> RepairSequencesPayload | None:
        """Repairs sequences."""
        try:
            outcome = await write(info, services.repair_sequences, list[State])
        except Refused as refused:
            return refusal(RepairSequencesPayload, refused)
        return RepairSequencesPayload(repaired=[_shown(state) for state in outcome.result])


def _shown(state: State) -> SequenceHealth:
    return SequenceHealth(
        table=state.table,
        sequence=state.sequence,
        last_value=BigInt(state.last_value),
        is_called=state.is_called,
        max_id=None if state.max_id is None else BigInt(state.max_id),
        gap=BigInt(state.gap),
        status=state.status,
        severity=state.severity,
    )
