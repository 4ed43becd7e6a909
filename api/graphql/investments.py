"""Investments and their lots of shares: the types, their filters and orders."""

from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Annotated

import strawberry

from api import tables
from api.domain.lots import LotType
from api.domain.money import Cents
from api.graphql.connections import Connection, OrderDirection
from api.graphql.declare import column, connection, entity, to_one
from api.graphql.enums import describe
from api.graphql.filters import any_of, at_least, at_most
from api.graphql.nodes import Node
from api.graphql.scalars import BigInt

if TYPE_CHECKING:
    from api.graphql.companies import PortfolioCompany

GraphQLLotType = describe(
    LotType,
    "LotType",
    "How a lot was bought.",
    {
        LotType.INITIAL: "With the fund's first money in the company.",
        LotType.FOLLOW_ON: "With further money, out of reserves.",
        LotType.SECONDARY: "From another holder of shares.",
    },
)


@strawberry.input(description="Which lots to show.")
class InvestmentLotFilter:
    """Which lots to show."""

    lot_type: list[GraphQLLotType] | None = any_of("lot_type", "Only these types.")  # type: ignore[valid-type]
    from_: date | None = at_least("acquired_on", "Only those acquired on this day or later.", "date", name="from")
    to: date | None = at_most("acquired_on", "Only those acquired on this day or earlier.", "date")


@strawberry.enum(description="What lots may be ordered by.")
class InvestmentLotOrderField(Enum):
    """What lots may be ordered by."""

    ACQUIRED_ON = strawberry.enum_value("acquired_on", description="The day of purchase.")
    COST_BASIS = strawberry.enum_value("cost_basis_cents", description="What they cost.")
    SHARE_PRICE = strawberry.enum_value("share_price_cents", description="The price of a share.")
    SHARES_ACQUIRED = strawberry.enum_value("shares_acquired", description="How many shares they are.")
    CREATED_AT = strawberry.enum_value("created_at", description="When they were recorded.")


@strawberry.input(description="The order of lots.")
class InvestmentLotOrder:
    """The order of lots."""

    field: InvestmentLotOrderField = strawberry.field(description="What to order by.")
    direction: OrderDirection = strawberry.field(default=OrderDirection.ASC, description="Which way.")


@entity(tables.InvestmentLot, "One purchase of shares within an investment, in the currency of the fund.")
class InvestmentLot(Node):
    """One purchase of shares within an investment."""

    investment: "Investment" = to_one("The investment.", "Investment", by="investment_id")
    company: Annotated["PortfolioCompany", strawberry.lazy("api.graphql.companies")] = to_one(
        "The company whose shares they are.", "PortfolioCompany", by="company_id"
    )
    lot_type: GraphQLLotType = column("How it was bought.")  # type: ignore[valid-type]
    share_price_cents: Cents = column("The price of one share, rounded to the cent.")
    shares_acquired: Decimal = column("How many shares were bought, to eight decimals.")
    cost_basis_cents: Cents = column("What they cost: the price times the shares, give or take a cent for each share.")
    acquired_on: date = column("The day of purchase.")
    version: BigInt = column("The version, for optimistic locking.")
    created_at: datetime = column("When it was recorded.")
    updated_at: datetime = column("When it was last changed.")


@strawberry.input(description="Which investments to show.")
class InvestmentFilter:
    """Which investments to show."""

    round: list[str] | None = any_of("round", "Only these rounds.")
    from_: date | None = at_least("invested_on", "Only those of this day or later.", "date", name="from")
    to: date | None = at_most("invested_on", "Only those of this day or earlier.", "date")


@strawberry.enum(description="What investments may be ordered by.")
class InvestmentOrderField(Enum):
    """What investments may be ordered by."""

    INVESTED_ON = strawberry.enum_value("invested_on", description="The day of the investment.")
    AMOUNT = strawberry.enum_value("amount_cents", description="What was invested.")
    ROUND = strawberry.enum_value("round", description="The name of the round.")
    CREATED_AT = strawberry.enum_value("created_at", description="When they were recorded.")


@strawberry.input(description="The order of investments.")
class InvestmentOrder:
    """The order of investments."""

    field: InvestmentOrderField = strawberry.field(description="What to order by.")
    direction: OrderDirection = strawberry.field(default=OrderDirection.ASC, description="Which way.")


@entity(tables.Investment, "One financing of a company by its fund, in the currency of the fund.")
class Investment(Node):
    """One financing of a company by its fund."""

    company: Annotated["PortfolioCompany", strawberry.lazy("api.graphql.companies")] = to_one(
        "The company.", "PortfolioCompany", by="company_id"
    )
    round: str | None = column("The name of the round.")
    invested_on: date = column("The day of the investment.")
    amount_cents: Cents = column("What was invested.")
    lots: Connection[InvestmentLot] = connection(
        "The lots of shares that it bought, last recorded first.",
        "InvestmentLot",
        tables.InvestmentLot,
        by="investment_id",
        filter=InvestmentLotFilter,
        order=InvestmentLotOrder,
        default_order=("created_at", True),
    )
    version: BigInt = column("The version, for optimistic locking.")
    created_at: datetime = column("When it was recorded.")
    updated_at: datetime = column("When it was last changed.")
