"""Capital calls, the payments for them, and distributions: the types and the root field."""

from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any

import strawberry

from api import tables
from api.domain.capital_calls import GRACE_DAYS, CallChange, DistributionKind, PaymentKind
from api.domain.capital_calls import overdue_on as first_day_overdue
from api.domain.money import Cents
from api.domain.states import CAPITAL_CALL, CallStatus
from api.graphql.connections import Connection, OrderDirection
from api.graphql.declare import batch, column, computed, connection, entity, to_one
from api.graphql.enums import describe
from api.graphql.filters import any_of, at_least, at_most, of
from api.graphql.nodes import Node
from api.graphql.scalars import BigInt
from api.reads.capital_calls import CALL_PAYMENTS
from api.reads.declarations import ENTITIES, Record

if TYPE_CHECKING:
    from api.graphql.deals import DealAllocation
    from api.graphql.funds import Fund

GraphQLCallStatus = describe(
    CallStatus,
    "CapitalCallStatus",
    "What has become of a capital call.",
    CAPITAL_CALL.descriptions,
)

GraphQLPaymentKind = describe(
    PaymentKind,
    "PaymentKind",
    "How the money of a payment came.",
    {
        PaymentKind.WIRE: "By wire.",
        PaymentKind.CHECK: "By check.",
        PaymentKind.ACH: "Through an automated clearing house.",
        PaymentKind.OTHER: "In another way.",
    },
)

GraphQLDistributionKind = describe(
    DistributionKind,
    "DistributionKind",
    "What a distribution is made of.",
    {
        DistributionKind.DIVIDEND: "A dividend.",
        DistributionKind.CAPITAL_GAIN: "A gain on capital.",
        DistributionKind.RETURN_OF_CAPITAL: "Capital that was paid in.",
        DistributionKind.LIQUIDATION: "What is left when something is wound up.",
        DistributionKind.OTHER: "Something else.",
    },
)

GraphQLCallChange = describe(
    CallChange,
    "CapitalCallChangeKind",
    "What has happened to a capital call.",
    {
        CallChange.CREATED: "It was created.",
        CallChange.STATUS_CHANGED: "Somebody gave it another status.",
        CallChange.PAYMENT: "Money was received for it.",
        CallChange.OVERDUE: "Its days of grace have passed.",
        CallChange.REMINDER: "It is due soon.",
    },
)


@entity(tables.CapitalCallPayment, "Money received for a capital call; never changed.")
class CapitalCallPayment(Node):
    """Money received for a capital call."""

    capital_call: "CapitalCall" = to_one("The call.", "CapitalCall", by="capital_call_id")
    amount_cents: Cents = column("How much.")
    paid_on: date = column("The day on which it came.")
    payment_type: GraphQLPaymentKind = column("How it came.")  # type: ignore[valid-type]
    created_at: datetime = column("When it was recorded.")


def _payments(found: list[Record], _given: dict[str, Any]) -> list[CapitalCallPayment]:
    return [ENTITIES["CapitalCallPayment"].make(row) for row in found]


@entity(tables.CapitalCall, "A call of money against a deal allocation.")
class CapitalCall(Node):
    """A call of money against a deal allocation."""

    allocation: Annotated["DealAllocation", strawberry.lazy("api.graphql.deals")] = to_one(
        "The allocation.", "DealAllocation", by="allocation_id"
    )
    fund: Annotated["Fund", strawberry.lazy("api.graphql.funds")] = to_one(
        "The fund that the money is called for.", "Fund", by="fund_id"
    )
    amount_cents: Cents = column("What is called.")
    percentage: Decimal | None = column(
        "The fraction of the commitment that the amount was made of; null where an amount was given."
    )
    called_on: date = column("The day of the call.")
    due_on: date = column("The day on which it is due (UTC).")
    overdue_on: date = computed(
        f"The first day (UTC) on which it is overdue unless it is paid: after {GRACE_DAYS} days of grace.",
        "due_on",
        compute=lambda row: first_day_overdue(row["due_on"]),
    )
    status: GraphQLCallStatus = column("What has become of it.")  # type: ignore[valid-type]
    paid_cents: Cents = column("What has been paid of it.")
    outstanding_cents: Cents = computed(
        "What has not been paid of it.",
        "amount_cents",
        "paid_cents",
        compute=lambda row: row["amount_cents"] - row["paid_cents"],
    )
    payments: list[CapitalCallPayment] = batch(
        "The payments for it, in the order in which they were recorded.", CALL_PAYMENTS, make=_payments
    )
    version: BigInt = column("Goes up by one with every change, also of the status.")
    created_at: datetime = column("When it was created.")
    updated_at: datetime = column("When it was last changed.")


@strawberry.input(description="Which capital calls to show.")
class CapitalCallFilter:
    """Which capital calls to show."""

    fund_id: strawberry.ID | None = of("fund_id", "Fund", "Only of this fund; of an unknown one there are none.")
    allocation_id: strawberry.ID | None = of(
        "allocation_id", "DealAllocation", "Only of this allocation; of an unknown one there are none."
    )
    status: list[GraphQLCallStatus] | None = any_of("status", "Only these statuses.")  # type: ignore[valid-type]
    from_: date | None = at_least("due_on", "Only those due on this day or later.", "date", name="from")
    to: date | None = at_most("due_on", "Only those due on this day or earlier.", "date")


@strawberry.enum(description="What capital calls may be ordered by.")
class CapitalCallOrderField(Enum):
    """What capital calls may be ordered by."""

    DUE_ON = strawberry.enum_value("due_on", description="The day on which they are due.")
    CALLED_ON = strawberry.enum_value("called_on", description="The day of the call.")
    AMOUNT = strawberry.enum_value("amount_cents", description="What is called.")
    CREATED_AT = strawberry.enum_value("created_at", description="When they were created.")


@strawberry.input(description="The order of capital calls.")
class CapitalCallOrder:
    """The order of capital calls."""

    field: CapitalCallOrderField = strawberry.field(description="What to order by.")
    direction: OrderDirection = strawberry.field(default=OrderDirection.ASC, description="Which way.")


@entity(tables.Distribution, "Money that came back from a deal allocation; never changed.")
class Distribution(Node):
    """Money that came back from a deal allocation."""

    allocation: Annotated["DealAllocation", strawberry.lazy("api.graphql.deals")] = to_one(
        "The allocation.", "DealAllocation", by="allocation_id"
    )
    amount_cents: Cents = column("How much.")
    distributed_on: date = column("The day on which it came.")
    kind: GraphQLDistributionKind = column("What it is made of.", "distribution_type")  # type: ignore[valid-type]
    is_recallable: bool = column("Whether it may be called again.")
    created_at: datetime = column("When it was recorded.")


@strawberry.type
class CapitalCallQuery:
    """The root field that finds capital calls."""

    capital_calls: Connection[CapitalCall] = connection(
        "The organization's capital calls, earliest due first.",
        "CapitalCall",
        tables.CapitalCall,
        by=None,
        filter=CapitalCallFilter,
        order=CapitalCallOrder,
        default_order=("due_on", False),
    )
