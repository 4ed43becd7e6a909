"""Totals and exposures: what holdings and portfolios come to on a date."""

from dataclasses import replace
from datetime import date
from decimal import Decimal
from enum import Enum
from typing import Any

import strawberry
from strawberry.types.arguments import StrawberryArgument

from api.domain.money import Cents, ratio_or_none
from api.domain.performance import Totals
from api.errors import BadUserInput
from api.graphql.declare import argument, attribute_edge, batch
from api.graphql.funds import Fund
from api.reads.declarations import BatchSelect
from api.reads.totals import SERIES_MAX, ExposureGroup


@strawberry.enum(description="How distributions that may be recalled count.")
class RecallableMethod(Enum):
    """How distributions that may be recalled count."""

    NETTED = strawberry.enum_value("NETTED", description="They add to what is unfunded.")
    ALL_IN = strawberry.enum_value("ALL_IN", description="They count as distributed, and nothing else.")


@strawberry.enum(description="What an exposure is broken down by.")
class ExposureDimension(Enum):
    """What an exposure is broken down by."""

    STRATEGY = strawberry.enum_value("STRATEGY", description="The funds' strategy.")
    VINTAGE_YEAR = strawberry.enum_value("VINTAGE_YEAR", description="The funds' vintage year.")
    GENERAL_PARTNER = strawberry.enum_value("GENERAL_PARTNER", description="Who manages the funds.")
    FUND = strawberry.enum_value("FUND", description="The single fund.")


@strawberry.enum(description="At whose ends a series has its days.")
class SeriesInterval(Enum):
    """At whose ends a series has its days."""

    MONTH = strawberry.enum_value("MONTH", description="The last days of months.")
    QUARTER = strawberry.enum_value("QUARTER", description="The last days of March, June, September and December.")
    YEAR = strawberry.enum_value("YEAR", description="The last days of years.")


@strawberry.type(
    description="Totals on a date, from each holding's cash flows until then and its last valuation, or from its "
    "latest statement where it has no cash flows."
)
class PerformanceTotals:
    """Totals on a date."""

    as_of: date = strawberry.field(description="The date.")
    committed_cents: Cents | None = strawberry.field(description="What was committed.")
    paid_in_cents: Cents | None = strawberry.field(description="What was paid in.")
    distributed_cents: Cents | None = strawberry.field(description="What was distributed; some reports are negative.")
    nav_cents: Cents | None = strawberry.field(description="The net asset value; some reports are negative.")
    unfunded_cents: Cents | None = strawberry.field(
        description="Committed less paid-in, recallable distributions added."
    )
    dpi: Decimal | None = strawberry.field(description="Distributed / paid-in.")
    rvpi: Decimal | None = strawberry.field(description="NAV / paid-in.")
    tvpi: Decimal | None = strawberry.field(description="DPI + RVPI.")
    pic: Decimal | None = strawberry.field(description="Paid-in / committed.")
    reason: str | None = strawberry.field(
        description="Why figures are missing or partial: NO_STATEMENT (no statement or cash flow by the date), "
        "NO_PAID_IN (nothing to divide by), INCOMPLETE (some holding reports less than all figures; what it leaves "
        "empty adds nothing)."
    )


@strawberry.type(description="A part of a portfolio that its funds have in common.")
class Exposure:
    """A part of a portfolio that its funds have in common."""

    label: str | None = strawberry.field(description="What they have in common; null where it is not known.")
    holding_count: int = strawberry.field(description="How many holdings.")
    totals: PerformanceTotals = strawberry.field(description="Their totals.")
    nav_share: Decimal | None = strawberry.field(
        description="Their NAV as a fraction of the portfolio's; null where that is 0."
    )
    fund_id: strawberry.Private[int | None]

    fund: Fund | None = attribute_edge("The fund, where the breakdown is by FUND.", "Fund", by="fund_id")


def performance(totals: Totals, given: dict[str, Any]) -> PerformanceTotals:
    """Totals as of the date that was given; with ALL_IN, what may be recalled adds nothing to what is unfunded."""
    if given.get("recallable") == RecallableMethod.ALL_IN.name:
        totals = replace(totals, recallable_cents=0)
    return PerformanceTotals(
        as_of=given["as_of"],
        committed_cents=totals.committed_cents,
        paid_in_cents=totals.paid_in_cents,
        distributed_cents=totals.distributed_cents,
        nav_cents=totals.nav_cents,
        unfunded_cents=totals.unfunded_cents,
        dpi=totals.dpi,
        rvpi=totals.rvpi,
        tvpi=totals.tvpi,
        pic=totals.pic,
        reason=totals.reason and totals.reason.value,
    )


def totals_series(description: str, select: BatchSelect, *arguments: StrawberryArgument) -> Any:
    """The field that shows totals on the last days of intervals, earliest first."""
    return batch(
        f"{description} At most {SERIES_MAX}.",
        select,
        make=_series,
        arguments=[
            argument("from_", date, "The first day that may be in it.", graphql_name="from"),
            argument("to", date, "The last day that may be in it."),
            argument("interval", SeriesInterval, "At whose ends it has its days.", SeriesInterval.QUARTER),
            *arguments,
        ],
    )


def _series(found: list[tuple[date, Totals]], given: dict[str, Any]) -> list[PerformanceTotals]:
    """Raises BadUserInput for days that are no range, or too many."""
    if given["from_"] > given["to"]:
        raise BadUserInput(f"from, to: {given['from_']} is after {given['to']}.")
    if len(found) > SERIES_MAX:
        raise BadUserInput(f"from, to: more than {SERIES_MAX} days; ask for fewer, or a longer interval.")
    return [performance(totals, given | {"as_of": day}) for day, totals in found]


def exposures(groups: list[ExposureGroup], given: dict[str, Any]) -> list[Exposure]:
    """The groups of a portfolio, with their shares of its NAV."""
    nav = sum(group.totals.nav_cents or 0 for group in groups)
    return [
        Exposure(
            label=group.label,
            holding_count=group.holding_count,
            totals=performance(group.totals, given),
            nav_share=ratio_or_none(group.totals.nav_cents, nav),
            fund_id=group.fund_id,
        )
        for group in groups
    ]


RECALLABLE = argument(
    "recallable",
    RecallableMethod,
    "How recallable distributions count. Statements do not tell them apart: totals that rest on one are the same "
    "either way.",
    RecallableMethod.NETTED,
)
AS_OF = argument("as_of", date | None, "The date; today (UTC) unless given.")
