"""Portfolios, holdings and their statements: the types and the root fields."""

from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any

import strawberry

from api import tables
from api.domain.money import Cents, ratio_or_none
from api.domain.performance import Totals
from api.graphql.connections import Connection, OrderDirection
from api.graphql.declare import (
    argument,
    attribute_edge,
    batch,
    column,
    computed,
    connection,
    entity,
    root_one,
    to_one,
)
from api.graphql.filters import any_of, at_least, at_most, contains
from api.graphql.funds import Fund
from api.graphql.nodes import Node
from api.graphql.scalars import BigInt, CurrencyCode
from api.reads.declarations import Record
from api.reads.totals import EXPOSURES, HOLDING_TOTALS, PORTFOLIO_TOTALS, ExposureGroup


@strawberry.enum(description="Whether a holding is still held.")
class HoldingStatus(Enum):
    """Whether a holding is still held."""

    ACTIVE = strawberry.enum_value("ACTIVE", description="Held.")
    CLOSED = strawberry.enum_value("CLOSED", description="No longer held.")


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


@strawberry.type(description="Totals on a date, from the latest statement of each holding on or before it.")
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
        description="Why figures are missing or partial: NO_STATEMENT (none by the date), NO_PAID_IN (nothing to "
        "divide by), INCOMPLETE (some holding reports less than all figures; what it leaves empty adds nothing)."
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


def _performance(totals: Totals, given: dict[str, Any]) -> PerformanceTotals:
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


def _exposures(groups: list[ExposureGroup], given: dict[str, Any]) -> list[Exposure]:
    nav = sum(group.totals.nav_cents or 0 for group in groups)
    return [
        Exposure(
            label=group.label,
            holding_count=group.holding_count,
            totals=_performance(group.totals, given),
            nav_share=ratio_or_none(group.totals.nav_cents, nav),
            fund_id=group.fund_id,
        )
        for group in groups
    ]


_AS_OF = argument("as_of", date | None, "The date; today (UTC) unless given.")


def _ratio(numerator: str) -> Callable[[Record], Decimal | None]:
    return lambda row: ratio_or_none(row[numerator], row["paid_in_cents"])


def _total_value(row: Record) -> Decimal | None:
    if row["distributed_cents"] is None or row["nav_cents"] is None:
        return None
    return ratio_or_none(row["distributed_cents"] + row["nav_cents"], row["paid_in_cents"])


@entity(tables.HoldingStatement, "A holding's reported totals as of a date; what was not reported is null.")
class HoldingStatement(Node):
    """A holding's reported totals as of a date."""

    holding: "Holding" = to_one("The holding.", "Holding", by="holding_id")
    as_of: date = column("The date that the figures are of.")
    committed_cents: Cents | None = column("What was committed.")
    paid_in_cents: Cents | None = column("What was paid in.")
    distributed_cents: Cents | None = column("What was distributed; some reports are negative.")
    nav_cents: Cents | None = column("The net asset value; some reports are negative.")
    reported_irr: Decimal | None = column("The IRR as reported.")
    reported_multiple: Decimal | None = column("The multiple as reported.")
    dpi: Decimal | None = computed(
        "Distributed / paid-in.", "distributed_cents", "paid_in_cents", compute=_ratio("distributed_cents")
    )
    rvpi: Decimal | None = computed("NAV / paid-in.", "nav_cents", "paid_in_cents", compute=_ratio("nav_cents"))
    tvpi: Decimal | None = computed(
        "DPI + RVPI.", "distributed_cents", "nav_cents", "paid_in_cents", compute=_total_value
    )
    version: BigInt = column("The version.")
    created_at: datetime = column("When it was recorded.")


@strawberry.input(description="Which statements to show.")
class HoldingStatementFilter:
    """Which statements to show."""

    from_: date | None = at_least("as_of", "Only this date and later.", "date", name="from")
    to: date | None = at_most("as_of", "Only this date and earlier.", "date")


@entity(tables.Holding, "A portfolio's position in one fund.")
class Holding(Node):
    """A portfolio's position in one fund."""

    portfolio: "Portfolio" = to_one("The portfolio.", "Portfolio", by="portfolio_id")
    fund: Fund = to_one("The fund.", "Fund", by="fund_id")
    commitment_cents: Cents | None = column("What was committed when the holding was made; null where unknown.")
    status: HoldingStatus = column("Whether it is held.")
    statements: Connection[HoldingStatement] = connection(
        "Its statements, latest first.",
        "HoldingStatement",
        tables.HoldingStatement,
        by="holding_id",
        filter=HoldingStatementFilter,
        default_order=("as_of", True),
    )
    totals: PerformanceTotals = batch(
        "Its totals on a date.",
        HOLDING_TOTALS,
        make=_performance,
        arguments=[
            _AS_OF,
            argument(
                "recallable",
                RecallableMethod,
                "How recallable distributions count. Statements do not tell them apart: totals that rest on one are "
                "the same either way.",
                RecallableMethod.NETTED,
            ),
        ],
    )
    version: BigInt = column("The version, for optimistic locking.")
    created_at: datetime = column("When it was created.")
    updated_at: datetime = column("When it was last changed.")


@strawberry.input(description="Which holdings to show.")
class HoldingFilter:
    """Which holdings to show."""

    status: list[HoldingStatus] | None = any_of("status", "Only these statuses.")


@strawberry.enum(description="What holdings may be ordered by.")
class HoldingOrderField(Enum):
    """What holdings may be ordered by."""

    COMMITMENT = strawberry.enum_value("commitment_cents", description="What was committed.")
    CREATED_AT = strawberry.enum_value("created_at", description="When they were created.")


@strawberry.input(description="The order of holdings.")
class HoldingOrder:
    """The order of holdings."""

    field: HoldingOrderField = strawberry.field(description="What to order by.")
    direction: OrderDirection = strawberry.field(default=OrderDirection.ASC, description="Which way.")


@entity(tables.Portfolio, "A portfolio of positions in funds, in one currency.")
class Portfolio(Node):
    """A portfolio of positions in funds."""

    name: str = column("Its name; unique.")
    currency: CurrencyCode = column("The currency of its funds and amounts.")
    holdings: Connection[Holding] = connection(
        "Its positions.", "Holding", tables.Holding, by="portfolio_id", filter=HoldingFilter, order=HoldingOrder
    )
    totals: PerformanceTotals = batch(
        "Its totals on a date: the sum of its holdings' latest statements.",
        PORTFOLIO_TOTALS,
        make=_performance,
        arguments=[_AS_OF],
    )
    exposure: list[Exposure] = batch(
        "Its holdings grouped by something that their funds have in common, largest NAV first.",
        EXPOSURES,
        make=_exposures,
        arguments=[argument("by", ExposureDimension, "What to group by."), _AS_OF],
    )
    version: BigInt = column("The version, for optimistic locking.")
    created_at: datetime = column("When it was created.")
    updated_at: datetime = column("When it was last changed.")


@strawberry.input(description="Which portfolios to show.")
class PortfolioFilter:
    """Which portfolios to show."""

    currency: list[CurrencyCode] | None = any_of("currency", "Only these currencies.")
    name_contains: str | None = contains("name", "Only names that contain this, in any case.")


@strawberry.enum(description="What portfolios may be ordered by.")
class PortfolioOrderField(Enum):
    """What portfolios may be ordered by."""

    NAME = strawberry.enum_value("name", description="Their name.")
    CREATED_AT = strawberry.enum_value("created_at", description="When they were created.")


@strawberry.input(description="The order of portfolios.")
class PortfolioOrder:
    """The order of portfolios."""

    field: PortfolioOrderField = strawberry.field(description="What to order by.")
    direction: OrderDirection = strawberry.field(default=OrderDirection.ASC, description="Which way.")


@strawberry.type
class PortfolioQuery:
    """The root fields that find portfolios."""

    portfolio: Portfolio | None = root_one(
        "The portfolio with this id; null for what is unknown, malformed or not yours.", "Portfolio"
    )
    portfolios: Connection[Portfolio] = connection(
        "The organization's portfolios.",
        "Portfolio",
        tables.Portfolio,
        by=None,
        filter=PortfolioFilter,
        order=PortfolioOrder,
    )
