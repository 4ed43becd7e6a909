"""Capital sources, their history, and what they cost: the types and the root fields."""

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any

import strawberry

from api import tables
from api.domain import wacc as rules
from api.domain.capital import CapitalAction
from api.domain.money import Cents
from api.domain.wacc import PERIODS_MAX, Step, Totals, WaccPeriod
from api.errors import BadUserInput
from api.graphql.connections import Connection
from api.graphql.context import Info
from api.graphql.declare import argument, attribute_edge, column, computed, connection, entity, root_one, to_one
from api.graphql.enums import describe
from api.graphql.nodes import Node
from api.graphql.organizations import User
from api.graphql.scalars import BigInt, CurrencyCode
from api.reads import capital, filters

NO_SOURCE = "NO_SOURCE"
POINTS_DEFAULT = 12

GraphQLCapitalAction = describe(
    CapitalAction,
    "CapitalAction",
    "What an entry of the history does to its source.",
    {
        CapitalAction.ADDED: "Adds it, with an amount and a rate.",
        CapitalAction.AMOUNT_CHANGED: "Sets its amount, and nothing else.",
        CapitalAction.RATE_CHANGED: "Sets its rate, and nothing else.",
        CapitalAction.REMOVED: "Removes it, for good.",
    },
)

GraphQLWaccPeriod = describe(
    WaccPeriod,
    "WaccPeriod",
    "What one point of a trend covers.",
    {
        WaccPeriod.MONTH: "A calendar month.",
        WaccPeriod.QUARTER: "A calendar quarter.",
        WaccPeriod.YEAR: "A calendar year.",
        WaccPeriod.ROLLING_60: "60 days; the windows follow upon each other.",
        WaccPeriod.ROLLING_90: "90 days; the windows follow upon each other.",
    },
)

KNOWN_AT_DESCRIPTION = (
    "Only what was recorded by then; all unless given. For a time that has passed the answer stays the same."
)
_NARROWING = [
    (
        argument("from_", date | None, "Only what takes effect on this day or later.", graphql_name="from"),
        filters.at_least("effective_on", "date"),
    ),
    (
        argument("to", date | None, "Only what takes effect on this day or earlier."),
        filters.at_most("effective_on", "date"),
    ),
    (argument("known_at", datetime | None, "Only what was recorded by then."), capital.KNOWN_AT),
    (
        argument("actions", list[GraphQLCapitalAction] | None, "Only these actions."),  # type: ignore[valid-type]
        filters.any_of("action", "text"),
    ),
]


@entity(
    tables.CapitalHistoryEntry,
    "One change of a capital source; never changed itself. Only what its action sets counts for the source: the other "
    "values say how the source stood on that day when the entry was recorded.",
)
class CapitalHistoryEntry(Node):
    """One change of a capital source."""

    sequence: BigInt = column("Its place in the organization's capital history, without gaps, in the order of commits.")
    source: "CapitalSource" = to_one("The source.", "CapitalSource", by="source_id")
    action: GraphQLCapitalAction = column("What it does.")  # type: ignore[valid-type]
    effective_on: date = column("The day from which it counts.")
    name: str = column("The source's name.")
    annual_rate: Decimal | None = column("The annual rate as a fraction: 0.14 is 14 %.")
    available_cents: Cents | None = column("The amount.")
    previous_rate: Decimal | None = column("The rate before, on that day; null where the action does not end one.")
    previous_amount_cents: Cents | None = column(
        "The amount before, on that day; null where the action does not end one."
    )
    notes: str | None = column("What whoever recorded it noted.")
    actor: User | None = to_one("Who recorded it; null for the system.", "User", by="actor_id")
    recorded_at: datetime = column("When it was recorded.")


@entity(
    tables.CapitalSource,
    "A source of financing as it is now, by all of its history; a removed one as it was when it was removed.",
)
class CapitalSource(Node):
    """A source of financing as it is now."""

    external_key: str = column("What it is called elsewhere, made up unless given; unique.")
    name: str = column("Its name.")
    annual_rate: Decimal = column("Its annual rate as a fraction: 0.14 is 14 %.")
    available_cents: Cents = column("Its amount.")
    currency: CurrencyCode = column("The currency of its amount: the organization's.")
    is_active: bool = computed(
        "Whether it has not been removed.", "removed_on", compute=lambda row: row["removed_on"] is None
    )
    added_on: date = column("The first day on which it counts.")
    removed_on: date | None = column("The first day on which it no longer counts; null where it does.")
    history: Connection[CapitalHistoryEntry] = connection(
        "Its changes, last recorded first.",
        "CapitalHistoryEntry",
        tables.CapitalHistoryEntry,
        by="source_id",
        default_order=("sequence", True),
        narrowing=_NARROWING,
    )
    version: BigInt = column("Goes up by one with every change.")
    created_at: datetime = column("When it was recorded first.")
    updated_at: datetime = column("When it was last changed.")


@strawberry.type(description="A capital source as it was on a date: active, with this rate and amount.")
class CapitalSourceState:
    """A capital source as it was on a date."""

    source_id: strawberry.Private[int]
    source: CapitalSource = attribute_edge("The source as it is now.", "CapitalSource", by="source_id")
    name: str = strawberry.field(description="Its name.")
    annual_rate: Decimal = strawberry.field(description="Its annual rate as a fraction: 0.14 is 14 %.")
    available_cents: Cents = strawberry.field(description="Its amount.")
    currency: CurrencyCode = strawberry.field(description="The currency of its amount.")


@strawberry.type(
    description="The weighted average cost of capital: sum(amount x rate) / sum(amount) of a day's sources."
)
class WaccResult:
    """The weighted average cost of capital."""

    rate: Decimal | None = strawberry.field(description="The annual rate as a fraction, to six decimals; or null.")
    reason: str | None = strawberry.field(description="Why there is no rate: NO_SOURCE (none was active).")
    total_cents: Cents = strawberry.field(description="The sum of the amounts, on the day or the last of the days.")
    source_count: int = strawberry.field(
        description="How many sources were active, on the day or the last of the days."
    )


@strawberry.type(description="One point of a trend: a period, its average cost of capital, and the capital at its end.")
class WaccPoint:
    """One point of a trend."""

    label: str = strawberry.field(description="The period: 2025-03, 2025-Q1, 2025, or the two days of a window.")
    starts_on: date = strawberry.field(description="Its first day.")
    ends_on: date = strawberry.field(description="Its last day.")
    rate: Decimal | None = strawberry.field(description="The average over its days on which there was a source.")
    reason: str | None = strawberry.field(description="Why there is no rate: NO_SOURCE (none was active).")
    total_cents: Cents = strawberry.field(description="The sum of the amounts on its last day.")
    source_count: int = strawberry.field(description="How many sources were active on its last day.")


AsOf = Annotated[date | None, strawberry.argument(description="The day; today (UTC) unless given.")]
KnownAt = Annotated[datetime | None, strawberry.argument(description=KNOWN_AT_DESCRIPTION)]


@strawberry.type
class CapitalQuery:
    """The root fields about capital."""

    capital_source: CapitalSource | None = root_one(
        "The capital source with this id; null for what is unknown, malformed or not yours.", "CapitalSource"
    )
    capital_sources: Connection[CapitalSource] = connection(
        "The organization's capital sources.",
        "CapitalSource",
        tables.CapitalSource,
        by=None,
        narrowing=[
            (argument("include_removed", bool | None, "Removed ones, too.", False), capital.INCLUDING_REMOVED),
        ],
    )
    capital_history: Connection[CapitalHistoryEntry] = connection(
        "All changes of capital sources, last recorded first.",
        "CapitalHistoryEntry",
        tables.CapitalHistoryEntry,
        by=None,
        default_order=("sequence", True),
        narrowing=[
            (
                argument("source_id", strawberry.ID | None, "Only of this source; of an unknown one there are none."),
                capital.OF_SOURCE,
            ),
            *_NARROWING,
        ],
    )

    @strawberry.field(
        description="The sources that were active on a day, in the order in which they were added; at most "
        f"{capital.STATES_MAX}."
    )
    async def capital_state(self, info: Info, as_of: AsOf = None, known_at: KnownAt = None) -> list[CapitalSourceState]:
        """The sources that were active on a day."""
        states = await capital.source_states(info.context.loaders.snapshot, as_of or info.context.today, known_at)
        return [
            CapitalSourceState(
                source_id=state.source_id,
                name=state.name,
                annual_rate=state.annual_rate,
                available_cents=Cents(state.available_cents),
                currency=CurrencyCode(state.currency),
            )
            for state in states
        ]

    @strawberry.field(description="What capital costs on a day.")
    async def wacc(self, info: Info, as_of: AsOf = None, known_at: KnownAt = None) -> WaccResult:
        """What capital costs on a day."""
        totals = await capital.totals(info.context.loaders.snapshot, as_of or info.context.today, known_at)
        return WaccResult(**_figures(rules.wacc(totals), totals))

    @strawberry.field(
        description="What capital costs on average over days, both ends counted, those without any source left out."
    )
    async def wacc_average(
        self,
        info: Info,
        from_: Annotated[date, strawberry.argument(name="from", description="The first day.")],
        to: Annotated[date, strawberry.argument(description="The last day.")],
        known_at: KnownAt = None,
    ) -> WaccResult:
        """What capital costs on average over days."""
        if from_ > to:
            raise BadUserInput(f"from, to: {from_} is after {to}.")
        steps = await capital.steps(info.context.loaders.snapshot, from_, to, known_at)
        return WaccResult(**_over(steps, from_, to))

    @strawberry.field(
        description="What capital costs in the last periods, earliest first; the last one ends on a given day, which "
        "may be in the middle of a month or a year."
    )
    async def wacc_trend(
        self,
        info: Info,
        period: Annotated[
            GraphQLWaccPeriod,  # type: ignore[valid-type]
            strawberry.argument(description="What each point covers."),
        ],
        count: Annotated[
            int | None, strawberry.argument(description=f"How many points, 1 to {PERIODS_MAX}.")
        ] = POINTS_DEFAULT,
        until: Annotated[
            date | None, strawberry.argument(description="The last day of the last point; today (UTC) unless given.")
        ] = None,
        known_at: KnownAt = None,
    ) -> list[WaccPoint]:
        """What capital costs in the last periods."""
        points = POINTS_DEFAULT if count is None else count
        if not 1 <= points <= PERIODS_MAX:
            raise BadUserInput(f"count: must be between 1 and {PERIODS_MAX}, not {points}.")
        found = rules.periods(period, points, until or info.context.today)
        steps = await capital.steps(info.context.loaders.snapshot, found[0].first, found[-1].last, known_at)
        return [
            WaccPoint(label=one.label, starts_on=one.first, ends_on=one.last, **_over(steps, one.first, one.last))
            for one in found
        ]


def _over(steps: Sequence[Step], first: date, last: date) -> dict[str, Any]:
    """The average over the days, with the capital of the last one."""
    steps = capital.between(steps, first, last)
    return _figures(rules.average(steps, first, last), steps[-1].totals if steps else Totals(Decimal(0), 0, 0))


def _figures(rate: Decimal | None, totals: Totals) -> dict[str, Any]:
    return {
        "rate": rate,
        "reason": NO_SOURCE if rate is None else None,
        "total_cents": totals.total_cents,
        "source_count": totals.source_count,
    }
