"""Portfolios, holdings and their statements: the types and the root fields."""

from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from enum import Enum

import strawberry

from api import tables
from api.domain.money import Cents, ratio_or_none
from api.graphql.activities import HoldingActivity, HoldingActivityFilter, HoldingActivityOrder
from api.graphql.connections import Connection, OrderDirection
from api.graphql.declare import (
    argument,
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
from api.graphql.performance import (
    AS_OF,
    RECALLABLE,
    Exposure,
    ExposureDimension,
    PerformanceTotals,
    exposures,
    performance,
    totals_series,
)
from api.graphql.pme import PmeResult, holding_pme
from api.graphql.returns import (
    HoldingIrr,
    HoldingValuation,
    HoldingValuationFilter,
    IrrFilter,
    IrrResult,
    PortfolioIrr,
    holding_irr,
    portfolio_irr,
)
from api.graphql.scalars import BigInt, CurrencyCode
from api.reads.declarations import Record
from api.reads.totals import EXPOSURES, HOLDING_SERIES, HOLDING_TOTALS, PORTFOLIO_SERIES, PORTFOLIO_TOTALS


@strawberry.enum(description="Whether a holding is still held.")
class HoldingStatus(Enum):
    """Whether a holding is still held."""

    ACTIVE = strawberry.enum_value("ACTIVE", description="Held.")
    CLOSED = strawberry.enum_value("CLOSED", description="No longer held.")


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
    activities: Connection[HoldingActivity] = connection(
        "Its cash flows, latest first unless ordered otherwise.",
        "HoldingActivity",
        tables.HoldingActivity,
        by="holding_id",
        filter=HoldingActivityFilter,
        order=HoldingActivityOrder,
        default_order=("occurred_on", True),
    )
    valuations: Connection[HoldingValuation] = connection(
        "Its valuations, latest first.",
        "HoldingValuation",
        tables.HoldingValuation,
        by="holding_id",
        filter=HoldingValuationFilter,
        default_order=("valued_on", True),
    )
    irrs: Connection[HoldingIrr] = connection(
        "Its stored returns, latest first.",
        "HoldingIrr",
        tables.HoldingIrr,
        by="holding_id",
        filter=IrrFilter,
        default_order=("as_of", True),
    )
    irr: IrrResult = holding_irr()
    pme: PmeResult = holding_pme()
    first_stale_on: date | None = column(
        "The first day whose stored returns wait to be computed anew; null where none does.",
        "returns_stale_from",
    )
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
        make=performance,
        arguments=[AS_OF, RECALLABLE],
    )
    totals_series: list[PerformanceTotals] = totals_series(
        "Its totals on the last days of months, quarters or years, earliest first.", HOLDING_SERIES, RECALLABLE
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
    valuations: Connection[HoldingValuation] = connection(
        "The valuations of its holdings, latest first.",
        "HoldingValuation",
        tables.HoldingValuation,
        by="portfolio_id",
        filter=HoldingValuationFilter,
        default_order=("valued_on", True),
    )
    irrs: Connection[PortfolioIrr] = connection(
        "Its stored returns, latest first.",
        "PortfolioIrr",
        tables.PortfolioIrr,
        by="portfolio_id",
        filter=IrrFilter,
        default_order=("as_of", True),
    )
    irr: IrrResult = portfolio_irr()
    totals: PerformanceTotals = batch(
        "Its totals on a date: the sum of its holdings'.",
        PORTFOLIO_TOTALS,
        make=performance,
        arguments=[AS_OF],
    )
    totals_series: list[PerformanceTotals] = totals_series(
        "Its totals on the last days of months, quarters or years, earliest first.", PORTFOLIO_SERIES
    )
    exposure: list[Exposure] = batch(
        "Its holdings grouped by something that their funds have in common, largest NAV first.",
        EXPOSURES,
        make=exposures,
        arguments=[argument("by", ExposureDimension, "What to group by."), AS_OF],
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
