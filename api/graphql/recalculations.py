"""What became of stored returns after a write, and computing them anew on request."""

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Annotated

import strawberry

from api.errors import Refused, invalid, not_found
from api.graphql.context import Info
from api.graphql.declare import attribute_edge
from api.graphql.enums import describe
from api.graphql.mutations import Payload, refusal, row_id
from api.graphql.objects import load
from api.services.recalculation import EVERYTHING, Recalculation, RecalculationStatus, recalculate

if TYPE_CHECKING:
    from api.graphql.portfolios import Holding

GraphQLRecalculationStatus = describe(
    RecalculationStatus,
    "RecalculationStatus",
    "What came of computing a holding's returns anew.",
    {
        RecalculationStatus.OK: "They are stored, as the flows and valuations now are.",
        RecalculationStatus.STALE: "They wait to be computed: nobody asked for it, or the flows changed meanwhile.",
        RecalculationStatus.FAILED: "They could not be computed, and wait to be.",
    },
)
RECALCULATE_DESCRIPTION = (
    "Whether to compute the returns anew once this is stored; if not, recalculateIrr finds what is stale."
)


@strawberry.type(description="What came of computing a holding's returns anew; the write itself is stored either way.")
class HoldingRecalculation:
    """What came of computing a holding's returns anew."""

    holding_id: strawberry.Private[int]

    holding: Annotated["Holding", strawberry.lazy("api.graphql.portfolios")] = attribute_edge(
        "The holding.", "Holding", by="holding_id"
    )
    status: GraphQLRecalculationStatus = strawberry.field(description="What came of it.")  # type: ignore[valid-type]
    from_on: date | None = strawberry.field(description="From which day on; null where nothing was stale, or is known.")
    reason: str | None = strawberry.field(description="Why the returns are not as current as the flows; else null.")


async def recalculations(
    info: Info, holding_ids: Sequence[int], *, is_wanted: bool, done: Sequence[Recalculation] | None = None
) -> list[HoldingRecalculation]:
    """Computes what the writes to these holdings left stale, unless that is ``done``, or says that it waits."""
    if done is not None:
        return _shown(done)
    if is_wanted and holding_ids:
        return _shown(await _recalculate(info, holding_ids=holding_ids))
    reason = "It was not asked for."
    return _shown([Recalculation(one, RecalculationStatus.STALE, None, reason) for one in holding_ids])


async def _recalculate(info: Info, **scope: object) -> list[Recalculation]:
    context = info.context
    # Whoever waits here for others to be done has no connection of those that they read on.
    await context.loaders.reset()
    try:
        return await recalculate(context.writer, context.principal, request_id=context.request_id, **scope)  # type: ignore[arg-type]
    finally:
        await context.loaders.reset()


def _shown(outcomes: Sequence[Recalculation]) -> list[HoldingRecalculation]:
    return [
        HoldingRecalculation(holding_id=one.holding_id, status=one.status, from_on=one.since, reason=one.reason)
        for one in outcomes
    ]


@strawberry.input(description="Whose returns to compute anew: of one holding, or of all in a portfolio.")
class RecalculateIrrInput:
    """Whose returns to compute anew."""

    portfolio_id: strawberry.ID | None = strawberry.field(default=None, description="The portfolio; or a holding.")
    holding_id: strawberry.ID | None = strawberry.field(default=None, description="The holding; or a portfolio.")
    from_: date | None = strawberry.field(
        default=None, name="from", description="From which day on, and from what is stale; everything unless given."
    )


@strawberry.type(description="What came of it.")
class RecalculateIrrPayload(Payload):
    """What came of it."""

    recalculations: list[HoldingRecalculation] | None = strawberry.field(
        default=None, description="What came of it, by holding."
    )


@strawberry.type
class RecalculationMutation:
    """Computing stored returns anew."""

    @strawberry.mutation(description="Computes stored returns anew.")
    async def recalculate_irr(
        self, info: Info, input: Annotated[RecalculateIrrInput, strawberry.argument(description="Whose.")]
    ) -> RecalculateIrrPayload | None:
        """Computes stored returns anew."""
        since = input.from_ or EVERYTHING
        try:
            if (input.portfolio_id is None) == (input.holding_id is None):
                raise Refused([invalid("portfolio_id", "Name a portfolio or a holding.", expected="one of the two")])
            if input.portfolio_id is not None:
                portfolio_id = row_id("Portfolio", input.portfolio_id, "portfolio_id", "portfolio")
                if await load(info, "Portfolio", portfolio_id) is None:
                    raise not_found("portfolio_id", "portfolio")
                outcomes = await _recalculate(info, portfolio_id=portfolio_id, since=since)
            else:
                holding_id = row_id("Holding", str(input.holding_id), "holding_id", "holding")
                if await load(info, "Holding", holding_id) is None:
                    raise not_found("holding_id", "holding")
                outcomes = await _recalculate(info, holding_ids=[holding_id], since=since)
        except Refused as refused:
            return refusal(RecalculateIrrPayload, refused)
        return RecalculateIrrPayload(recalculations=_shown(outcomes))
