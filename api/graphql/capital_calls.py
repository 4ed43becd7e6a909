"""Capital calls, the payments for them, and distributions: the types and the root field."""

from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any

import strawberry

from api import tables
from api.domain.capital_calls import GRACE_DAYS, CallChange, DistributionType, PaymentType
from api.domain.capital_calls import overdue_on as first_day_overdue
from api.domain.money import Cents
from api.domain.states import CAPITAL_CALL, CallStatus
from api.graphql.connections import Connection, OrderDirection
from api.graphql.declare import batch, column, computed, connection, entity, to_one
from api.graphql.enums import describe
from api.graphql.filters import any_of, at_least, at_most, of
from api.graphql.nodes import Node
from api.graphql.scalars import BigInt
from api.reads import global_ids
from api.reads.capital_calls import CALL_PAYMENTS, Payment

if TYPE_CHECKING:
    from api.graphql.deals import DealAllocation
    from api.graphql.funds import Fund

GraphQLCallStatus = describe(
    CallStatus,
    "CapitalCallStatus",
    "What has become of a capital call.",
    CAPITAL_CALL.descriptions,
)

GraphQLPaymentType = describe(
    PaymentType,
    "PaymentType",
    "How the money of a payment came.",
    {
        PaymentType.WIRE: "By wire.",
        PaymentType.CHECK: "By check.",
        PaymentType.ACH: "Through an automated clearing house.",
        PaymentType.OTHER: "In another way.",
    },
)

GraphQLDistributionType = describe(
    DistributionType,
    "DistributionType",
    "What a distribution is made of.",
    {
        DistributionType.DIVIDEND: "A dividend.",
        DistributionType.CAPITAL_GAIN: "A gain on capital.",
        DistributionType.RETURN_OF_CAPITAL: "Capital that was paid in.",
        DistributionType.LIQUIDATION: "What is left when something is wound up.",
        DistributionType.OTHER: "Something else.",
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


@strawberry.type(description="Money received for a capital call; never changed.")
class CapitalCallPayment:
    """Money received for a capital call."""

    id: strawberry.ID = strawberry.field(description="A global id; opaque.")
    amount_cents: Cents = strawberry.field(description="How much.")
    paid_on: date = strawberry.field(description="The day on which it came.")
    payment_type: GraphQLPaymentType = strawberry.field(description="How it came.")  # type: ignore[valid-type]
    created_at: datetime = strawberry.field(description="When it was recorded.")


def shown_payments(found: list[Payment], _given: dict[str, Any]) -> list[CapitalCallPayment]:
    """A call's payments as they are shown."""
    return [
        CapitalCallPayment(
            id=strawberry.ID(global_ids.encode("CapitalCallPayment", one.id)),
            amount_cents=Cents(one.amount_cents),
            paid_on=one.paid_on,
            payment_type=PaymentType(one.payment_type),
            created_at=one.created_at,
        )
        for one in found
    ]


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
        "The payments for it, in the order in which they were recorded.", CALL_PAYMENTS, make=shown_payments
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
    called_from: date | None = at_least("called_on", "Only those called on this day or later.", "date")
    called_to: date | None = at_most("called_on", "Only those called on this day or earlier.", "date")
    due_from: date | None = at_least("due_on", "Only those due on this day or later.", "date")
    due_to: date | None = at_most("due_on", "Only those due on this day or earlier.", "date")


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
    distribution_type: GraphQLDistributionType = column("What it is made of.")  # type: ignore[valid-type]
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
