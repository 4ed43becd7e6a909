"""Multiples on invested capital, and the ranking of reserves by them."""

from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

import strawberry

from api.domain import moic as rules
from api.domain import reserve_ranking
from api.domain.moic import MoicReason
from api.domain.money import Cents, within_limit
from api.errors import BadUserInput
from api.graphql.declare import attribute_edge
from api.graphql.enums import describe
from api.reads.pages import PAGE_SIZE_MAX

if TYPE_CHECKING:
    from api.graphql.companies import PortfolioCompany

GraphQLMoicReason = describe(
    MoicReason,
    "MoicReason",
    "Why a multiple is missing, or rests on less than everything.",
    {
        MoicReason.NOTHING_INVESTED: "Nothing was invested: there is nothing to divide by.",
        MoicReason.NO_LOTS: "There are no lots of this type.",
        MoicReason.NOTHING_PAID: "The lots of this type were bought at a price of 0: there is nothing to divide by.",
        MoicReason.NO_EXIT_MOIC: "No exit multiple is expected of the company.",
        MoicReason.NO_EXIT_PROBABILITY: "The exit multiple has no probability.",
        MoicReason.NOTHING_PLANNED: "No reserves are planned: there is nothing to weigh by. In metrics of funds alone.",
        MoicReason.INCOMPLETE: "Companies without the figures are left out. In metrics of funds alone.",
    },
)


@strawberry.type(
    description="A company's multiples on invested capital, to six decimals. A share's current price is the current "
    "valuation over the shares of all lots."
)
class MoicSet:
    """A company's multiples on invested capital."""

    current: Decimal | None = strawberry.field(description="(Current valuation + realized) / invested.")
    current_reason: GraphQLMoicReason | None = strawberry.field(  # type: ignore[valid-type]
        description="Why current is null."
    )
    on_initial: Decimal | None = strawberry.field(
        description="A share's current price over the mean price of INITIAL lots, weighed by their shares."
    )
    on_initial_reason: GraphQLMoicReason | None = strawberry.field(  # type: ignore[valid-type]
        description="Why onInitial is null."
    )
    on_follow_on: Decimal | None = strawberry.field(
        description="A share's current price over the mean price of FOLLOW_ON lots, weighed by their shares."
    )
    on_follow_on_reason: GraphQLMoicReason | None = strawberry.field(  # type: ignore[valid-type]
        description="Why onFollowOn is null."
    )
    exit: Decimal | None = strawberry.field(description="The expected exit multiple.")
    exit_reason: GraphQLMoicReason | None = strawberry.field(  # type: ignore[valid-type]
        description="Why exit is null."
    )
    exit_on_planned_reserves: Decimal | None = strawberry.field(
        description="The expected exit multiple x its probability: what a cent of planned reserves is expected to be."
    )
    exit_on_planned_reserves_reason: GraphQLMoicReason | None = strawberry.field(  # type: ignore[valid-type]
        description="Why exitOnPlannedReserves is null."
    )


@strawberry.type(description="A company's place among those of its fund that reserves may go to.")
class RankedReserve:
    """A company's place in the ranking of reserves."""

    company_id: strawberry.Private[int]
    company: Annotated["PortfolioCompany", strawberry.lazy("api.graphql.companies")] = attribute_edge(
        "The company.", "PortfolioCompany", by="company_id"
    )
    rank: int = strawberry.field(description="Its place, from 1.")
    exit_on_planned_reserves: Decimal | None = strawberry.field(
        description="The expected exit multiple x its probability, which they are ranked by before it is rounded."
    )
    exit_on_planned_reserves_reason: GraphQLMoicReason | None = strawberry.field(  # type: ignore[valid-type]
        description="Why exitOnPlannedReserves is null."
    )
    planned_cents: Cents = strawberry.field(description="Planned reserves.")
    deployed_cents: Cents = strawberry.field(description="Deployed reserves.")
    remaining_cents: Cents = strawberry.field(description="Planned less deployed.")


def moic_set(found: rules.MoicSet, _given: dict[str, Any]) -> MoicSet:
    """A company's multiples as they are shown."""
    return MoicSet(
        current=found.current.value,
        current_reason=found.current.reason,
        on_initial=found.on_initial.value,
        on_initial_reason=found.on_initial.reason,
        on_follow_on=found.on_follow_on.value,
        on_follow_on_reason=found.on_follow_on.reason,
        exit=found.exit.value,
        exit_reason=found.exit.reason,
        exit_on_planned_reserves=found.exit_on_planned_reserves.value,
        exit_on_planned_reserves_reason=found.exit_on_planned_reserves.reason,
    )


def ranked_reserves(found: list[reserve_ranking.RankedReserve], given: dict[str, Any]) -> list[RankedReserve]:
    """The ranking as it is shown; raises BadUserInput for a ``first`` that is out of bounds."""
    first = given["first"]
    if first is not None and not 0 <= first <= PAGE_SIZE_MAX:
        raise BadUserInput(f"first: must be between 0 and {PAGE_SIZE_MAX}, not {first}.")
    return [
        RankedReserve(
            company_id=place.company_id,
            rank=place.rank,
            exit_on_planned_reserves=place.exit_on_planned_reserves.value,
            exit_on_planned_reserves_reason=place.exit_on_planned_reserves.reason,
            planned_cents=Cents(place.planned_cents),
            deployed_cents=Cents(place.deployed_cents),
            remaining_cents=within_limit(place.remaining_cents),
        )
        for place in found
    ]
