"""Valuations, stored returns and prices of benchmarks: the types, and how lists of them are narrowed."""

from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

import strawberry
from strawberry.types.arguments import StrawberryArgument

from api import tables
from api.domain.irr import IrrMethod
from api.domain.money import Cents
from api.graphql.connections import Connection
from api.graphql.declare import argument, batch, column, connection, entity, to_one
from api.graphql.enums import describe
from api.graphql.filters import any_of, at_least, at_most
from api.graphql.nodes import Node
from api.graphql.scalars import BigInt
from api.reads.returns import HOLDING_IRR, PORTFOLIO_IRR, FoundPortfolioReturn, FoundReturn

if TYPE_CHECKING:
    from api.graphql.portfolios import Holding, Portfolio

GraphQLIrrMethod = describe(
    IrrMethod,
    "IrrMethod",
    "How a return is computed.",
    {
        IrrMethod.XIRR: "Annual and effective, from the days of the flows and of the valuation, 365 to the year.",
        IrrMethod.MONTHLY_NOMINAL: "Twelve times the monthly rate of flows summed by calendar month, with the "
        "valuation in the month after its own.",
        IrrMethod.REPORTED: "As the latest statement that reports one has it.",
    },
)
REASON_DESCRIPTION = (
    "Why there is no value: INSUFFICIENT_CASH_FLOWS, NO_SIGN_CHANGE, DID_NOT_CONVERGE, MULTIPLE_ROOTS, NO_VALUATION "
    "(none by the date, and the flows alone do not end the position) or NOT_REPORTED."
)
RATE_DESCRIPTION = "The rate as a fraction: 0.175 is 17.5 %."


@strawberry.type(description="A rate of return, or the reason why there is none.")
class IrrResult:
    """A rate of return, or the reason why there is none."""

    value: Decimal | None = strawberry.field(description=RATE_DESCRIPTION)
    reason: str | None = strawberry.field(description=REASON_DESCRIPTION)
    method: GraphQLIrrMethod = strawberry.field(description="How it was computed.")  # type: ignore[valid-type]
    as_of: date = strawberry.field(
        description="The day to which it is measured: that of the last valuation, or statement, on or before the one "
        "asked for, where there is one. What flowed later is not in it."
    )


def _irr_result(found: FoundReturn | FoundPortfolioReturn, given: dict[str, Any]) -> IrrResult:
    method = IrrMethod[given["method"]]
    irr, as_of = found.on(given["as_of"], method)
    return IrrResult(value=irr.value, reason=irr.reason and irr.reason.value, method=method, as_of=as_of)


def holding_irr() -> Any:
    """The field of a holding that shows its return as of a date."""
    return batch(
        "Its return as of a date, from its last valuation on or before the date and its activities until then.",
        HOLDING_IRR,
        make=_irr_result,
        arguments=_irr_arguments(),
        is_slow=True,
    )


def portfolio_irr() -> Any:
    """The field of a portfolio that shows its return as of a date."""
    return batch(
        "Its return as of a date, from the last day on or before the date on which all that it then held is valued, "
        "and the activities until that day. Fund switches within it are none; nothing reports it.",
        PORTFOLIO_IRR,
        make=_irr_result,
        arguments=_irr_arguments(),
        is_slow=True,
    )


def _irr_arguments() -> list[StrawberryArgument]:
    return [
        argument("as_of", date | None, "The date; today (UTC) unless given."),
        argument("method", GraphQLIrrMethod, "How to compute it.", IrrMethod.XIRR),
    ]


@entity(tables.HoldingValuation, "What a holding is worth at the end of a day.")
class HoldingValuation(Node):
    """What a holding is worth at the end of a day."""

    holding: Annotated["Holding", strawberry.lazy("api.graphql.portfolios")] = to_one(
        "The holding.", "Holding", by="holding_id"
    )
    valued_on: date = column("The day.")
    value_cents: Cents = column("What it is worth.")
    version: BigInt = column("The version, for optimistic locking; each other value is a new one.")
    created_at: datetime = column("When it was first recorded.")
    updated_at: datetime = column("When it was last changed.")


@entity(
    tables.HoldingIrr, "A holding's return as it is stored for a day on which it is valued, or that a statement is of."
)
class HoldingIrr(Node):
    """A holding's stored return."""

    holding: Annotated["Holding", strawberry.lazy("api.graphql.portfolios")] = to_one(
        "The holding.", "Holding", by="holding_id"
    )
    as_of: date = column("The day.")
    method: GraphQLIrrMethod = column("How it was computed.")  # type: ignore[valid-type]
    value: Decimal | None = column(RATE_DESCRIPTION)
    reason: str | None = column(REASON_DESCRIPTION)
    computed_at: datetime = column("When it came to this; computing the same again leaves it as it is.")


@entity(tables.PortfolioIrr, "A portfolio's return as it is stored for a day on which every active holding is valued.")
class PortfolioIrr(Node):
    """A portfolio's stored return."""

    portfolio: Annotated["Portfolio", strawberry.lazy("api.graphql.portfolios")] = to_one(
        "The portfolio.", "Portfolio", by="portfolio_id"
    )
    as_of: date = column("The day.")
    method: GraphQLIrrMethod = column("How it was computed.")  # type: ignore[valid-type]
    value: Decimal | None = column(RATE_DESCRIPTION)
    reason: str | None = column(REASON_DESCRIPTION)
    computed_at: datetime = column("When it came to this; computing the same again leaves it as it is.")


@entity(tables.BenchmarkPrice, "The price of a benchmark, a public index, at the end of a day.")
class BenchmarkPrice(Node):
    """The price of a benchmark at the end of a day."""

    benchmark: str = column("The benchmark's name.")
    priced_on: date = column("The day.")
    price: Decimal = column("Its price.")
    version: BigInt = column("The version; each other price is a new one.")
    created_at: datetime = column("When it was first recorded.")
    updated_at: datetime = column("When it was last changed.")


@strawberry.input(description="Which valuations to show.")
class HoldingValuationFilter:
    """Which valuations to show."""

    from_: date | None = at_least("valued_on", "Only this day and later.", "date", name="from")
    to: date | None = at_most("valued_on", "Only this day and earlier.", "date")


@strawberry.input(description="Which returns to show.")
class IrrFilter:
    """Which returns to show."""

    from_: date | None = at_least("as_of", "Only this day and later.", "date", name="from")
    to: date | None = at_most("as_of", "Only this day and earlier.", "date")
    methods: list[GraphQLIrrMethod] | None = any_of("method", "Only by these methods.")  # type: ignore[valid-type]


@strawberry.input(description="Which prices to show.")
class BenchmarkPriceFilter:
    """Which prices to show."""

    benchmarks: list[str] | None = any_of("benchmark", "Only of these benchmarks.")
    from_: date | None = at_least("priced_on", "Only this day and later.", "date", name="from")
    to: date | None = at_most("priced_on", "Only this day and earlier.", "date")


@strawberry.type
class BenchmarkQuery:
    """The root field that shows prices of benchmarks."""

    benchmark_prices: Connection[BenchmarkPrice] = connection(
        "The organization's prices of benchmarks, latest first.",
        "BenchmarkPrice",
        tables.BenchmarkPrice,
        by=None,
        filter=BenchmarkPriceFilter,
        default_order=("priced_on", True),
    )
