"""The cash flows of holdings: the type, and how lists of them are narrowed and ordered."""

from datetime import date, datetime
from enum import Enum
from typing import TYPE_CHECKING, Annotated

import strawberry

from api import tables
from api.domain.activities import NOTE_LENGTH_MAX, SIGNS, ActivityType
from api.domain.money import Cents
from api.graphql.connections import OrderDirection
from api.graphql.declare import column, computed, entity, to_one
from api.graphql.enums import describe
from api.graphql.filters import any_of, at_least, at_most
from api.graphql.nodes import Node
from api.graphql.scalars import BigInt

if TYPE_CHECKING:
    from api.graphql.portfolios import Holding

GraphQLActivityType = describe(
    ActivityType,
    "ActivityKind",
    "What a cash flow is, and which way the money went, seen by the investor.",
    {
        ActivityType.INVESTMENT: "Money in: an investment, such as a capital call that was paid.",
        ActivityType.REGULAR_INVESTMENT: "Money in: one of a plan's investments.",
        ActivityType.TAX_UPLIFT: "Money in: tax relief that is added.",
        ActivityType.PRODUCT_SWITCH_IN: "Money in: from another product.",
        ActivityType.FUND_SWITCH_IN: "Money in: from another fund of the portfolio, for which nothing moves.",
        ActivityType.WITHDRAWAL: "Money out: a withdrawal.",
        ActivityType.REGULAR_WITHDRAWAL: "Money out: one of a plan's withdrawals.",
        ActivityType.PRODUCT_SWITCH_OUT: "Money out: into another product.",
        ActivityType.FUND_SWITCH_OUT: "Money out: into another fund of the portfolio, for which nothing moves.",
        ActivityType.DISTRIBUTION: "Money out: a distribution.",
        ActivityType.FEE: "A fee that is paid from the holding: positive in returns, not distributed.",
        ActivityType.DIVIDEND_REINVESTED: "A dividend that stays: negative in returns, not paid in.",
    },
)
NOTE_DESCRIPTION = f"For people, at most {NOTE_LENGTH_MAX} characters."


@entity(tables.HoldingActivity, "A dated cash flow of a holding.")
class HoldingActivity(Node):
    """A dated cash flow of a holding."""

    holding: Annotated["Holding", strawberry.lazy("api.graphql.portfolios")] = to_one(
        "The holding.", "Holding", by="holding_id"
    )
    activity_type: GraphQLActivityType = column("What it is.")  # type: ignore[valid-type]
    amount_cents: Cents = column("How much, above 0; the type tells which way.")
    signed_cents: Cents = computed(
        "The same from the investor's side: negative where money went in.",
        "activity_type",
        "amount_cents",
        compute=lambda row: Cents(SIGNS[row["activity_type"]] * row["amount_cents"]),
    )
    occurred_on: date = column("The day on which the money moved.")
    is_recallable: bool = column("Whether what was paid out may be called again.")
    note: str | None = column("For people.")
    version: BigInt = column("The version, for optimistic locking.")
    created_at: datetime = column("When it was recorded.")
    updated_at: datetime = column("When it was last changed.")


@strawberry.input(description="Which activities to show.")
class HoldingActivityFilter:
    """Which activities to show."""

    from_: date | None = at_least("occurred_on", "Only this day and later.", "date", name="from")
    to: date | None = at_most("occurred_on", "Only this day and earlier.", "date")
    types: list[GraphQLActivityType] | None = any_of("activity_type", "Only these types.")  # type: ignore[valid-type]


@strawberry.enum(description="What activities may be ordered by.")
class HoldingActivityOrderField(Enum):
    """What activities may be ordered by."""

    OCCURRED_ON = strawberry.enum_value("occurred_on", description="The day on which the money moved.")
    AMOUNT = strawberry.enum_value("amount_cents", description="How much.")
    CREATED_AT = strawberry.enum_value("created_at", description="When they were recorded.")


@strawberry.input(description="The order of activities.")
class HoldingActivityOrder:
    """The order of activities."""

    field: HoldingActivityOrderField = strawberry.field(description="What to order by.")
    direction: OrderDirection = strawberry.field(default=OrderDirection.ASC, description="Which way.")
