"""The metrics of a fund at a date."""

from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

import strawberry

from api.domain.fund_metrics import WEIGHTS_MAX, FundMetricReason
from api.domain.money import Cents
from api.graphql.declare import attribute_edge, kept
from api.graphql.enums import describe
from api.reads.fund_metrics import FUND_METRICS

if TYPE_CHECKING:
    from api.graphql.deals import DealAllocation

GraphQLFundMetricReason = describe(
    FundMetricReason,
    "FundMetricReason",
    "Why a figure of a fund's metrics is missing.",
    {
        FundMetricReason.NO_FUND_SIZE: "The fund's size is not known.",
        FundMetricReason.NO_VALUATION: "Nothing tells what its companies were worth: values of the past come from the "
        "latest complete forecast snapshot on or before the date, and there is none.",
        FundMetricReason.NOTHING_CALLED: "Nothing was called: there is nothing to divide by.",
        FundMetricReason.NOTHING_INVESTED: "Nothing was invested in companies: there is nothing to divide by.",
        FundMetricReason.NOTHING_PAID: "Nothing was paid: there is nothing to divide by.",
    },
)


@strawberry.type(description="One allocation's share of what a fund has committed.")
class AllocationWeight:
    """One allocation's share of what a fund has committed."""

    allocation_id: strawberry.Private[int]
    allocation: Annotated["DealAllocation", strawberry.lazy("api.graphql.deals")] | None = attribute_edge(
        "The allocation.", "DealAllocation", by="allocation_id"
    )
    weight: Decimal = strawberry.field(description="Its fraction of what is committed, to six decimals.")


@strawberry.type(
    description="A fund's metrics over all its allocations at a date: with what was allocated, called, paid and "
    "distributed by then, and statuses as they are now."
)
class FundMetrics:
    """A fund's metrics at a date. Shown of ``api.domain.fund_metrics.FundMetrics``, whose attributes these are."""

    as_of: date = strawberry.field(description="The date.")
    committed_cents: Cents = strawberry.field(
        description="What was committed: allocations but those that wait for approval or were rejected."
    )
    called_cents: Cents = strawberry.field(description="What was called: calls but those that are only scheduled.")
    paid_cents: Cents = strawberry.field(description="What was paid for calls.")
    uncalled_cents: Cents = strawberry.field(description="Committed less called.")
    unpaid_cents: Cents = strawberry.field(description="Called less paid.")
    overdue_cents: Cents = strawberry.field(
        description="What was outstanding of calls whose due date and seven days of grace had passed; defaulted ones "
        "are left out."
    )
    distributed_cents: Cents = strawberry.field(description="What came back from allocations.")
    nav_cents: Cents | None = strawberry.field(
        description="What the fund's active companies are worth: today by their current valuations, in the past by the "
        "latest complete forecast snapshot on or before the date."
    )
    nav_reason: GraphQLFundMetricReason | None = strawberry.field(  # type: ignore[valid-type]
        description="Why navCents is null."
    )
    collection_rate: Decimal | None = strawberry.field(description="Paid / called.")
    collection_rate_reason: GraphQLFundMetricReason | None = strawberry.field(  # type: ignore[valid-type]
        description="Why collectionRate is null."
    )
    utilization: Decimal | None = strawberry.field(
        description="Allocations, those that wait for approval included, / the fund's size."
    )
    utilization_reason: GraphQLFundMetricReason | None = strawberry.field(  # type: ignore[valid-type]
        description="Why utilization is null."
    )
    dpi: Decimal | None = strawberry.field(description="Distributed / paid.")
    dpi_reason: GraphQLFundMetricReason | None = strawberry.field(  # type: ignore[valid-type]
        description="Why dpi is null."
    )
    rvpi: Decimal | None = strawberry.field(description="NAV / paid.")
    rvpi_reason: GraphQLFundMetricReason | None = strawberry.field(  # type: ignore[valid-type]
        description="Why rvpi is null."
    )
    tvpi: Decimal | None = strawberry.field(description="DPI + RVPI, rounded once.")
    tvpi_reason: GraphQLFundMetricReason | None = strawberry.field(  # type: ignore[valid-type]
        description="Why tvpi is null."
    )
    moic: Decimal | None = strawberry.field(description="(Value + realized) / invested, over all companies.")
    moic_reason: GraphQLFundMetricReason | None = strawberry.field(  # type: ignore[valid-type]
        description="Why moic is null."
    )
    gross_irr: Decimal | None = strawberry.field(
        description="The annual rate of return of payments (out), distributions (in) and the NAV at the date."
    )
    gross_irr_reason: str | None = strawberry.field(
        description="Why grossIrr is null: INSUFFICIENT_CASH_FLOWS, NO_SIGN_CHANGE, DID_NOT_CONVERGE, MULTIPLE_ROOTS "
        "or NO_VALUATION (there is no NAV, and the flows alone do not end the position)."
    )
    weights: list[AllocationWeight] = strawberry.field(
        description="The committed allocations' shares, by age, those written off left out; they sum to exactly 1: "
        "what rounding leaves goes to those that lost most by it. LIMIT_EXCEEDED for a fund with more than "
        f"{WEIGHTS_MAX} allocations."
    )


def fund_metrics() -> Any:
    """The field of a fund that shows its metrics."""
    return kept("Its metrics at a date.", FUND_METRICS, make=lambda metrics, _given: metrics.checked())
