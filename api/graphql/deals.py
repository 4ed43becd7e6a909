"""Deals and what funds allocate to them: the types, their filters and orders."""

from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any

import strawberry

from api import tables
from api.domain import deals as rules
from api.domain.money import Cents
from api.domain.states import ALLOCATION, AllocationStatus
from api.graphql.capital_calls import CapitalCall, CapitalCallFilter, CapitalCallOrder, Distribution
from api.graphql.connections import Connection, OrderDirection
from api.graphql.declare import attribute_edge, batch, column, computed, connection, entity, root_one, to_one
from api.graphql.enums import describe
from api.graphql.filters import any_of, at_least, at_most, contains
from api.graphql.nodes import Node
from api.graphql.organizations import User
from api.graphql.scalars import BigInt
from api.reads.deals import ALLOCATION_SUMS
from api.reads.declarations import Record

if TYPE_CHECKING:
    from api.graphql.funds import Fund

GraphQLDealStage = describe(
    rules.DealStage,
    "DealStage",
    "How far a deal has come. CLOSED and REJECTED take no allocations; the first one moves CLOSING to INVESTED.",
    {
        rules.DealStage.INITIAL_REVIEW: "New.",
        rules.DealStage.SCREENING: "Being screened.",
        rules.DealStage.DILIGENCE: "In due diligence.",
        rules.DealStage.IC_REVIEW: "Before the investment committee.",
        rules.DealStage.CLOSING: "Being closed.",
        rules.DealStage.CLOSED: "Closed: nothing more is committed.",
        rules.DealStage.INVESTED: "Money is committed.",
        rules.DealStage.REJECTED: "Turned down.",
    },
)
GraphQLSecurityKind = describe(
    rules.SecurityKind,
    "SecurityKind",
    "What the money buys.",
    {
        rules.SecurityKind.EQUITY: "Equity.",
        rules.SecurityKind.DEBT: "Debt.",
        rules.SecurityKind.CONVERTIBLE: "A convertible.",
        rules.SecurityKind.WARRANT: "A warrant.",
        rules.SecurityKind.OPTION: "An option.",
        rules.SecurityKind.PREFERRED: "Preferred stock.",
        rules.SecurityKind.COMMON: "Common stock.",
        rules.SecurityKind.NOTE: "A note.",
    },
)
GraphQLApproval = describe(
    rules.Approval,
    "Approval",
    "What has become of the question whether an allocation is approved.",
    {
        rules.Approval.PENDING: "Not decided yet.",
        rules.Approval.APPROVED: "Approved.",
        rules.Approval.REJECTED: "Rejected.",
    },
)
GraphQLAllocationStatus = describe(
    AllocationStatus,
    "DealAllocationStatus",
    "What has become of an allocation; docs/state-machines.md shows what may follow what.",
    ALLOCATION.descriptions,
)


@strawberry.type(description="Whether an allocation that needs an approval has it.")
class DealAllocationApproval:
    """Whether an allocation that needs an approval has it."""

    decision: GraphQLApproval = strawberry.field(  # type: ignore[valid-type]
        description="What was decided."
    )
    decided_at: datetime | None = strawberry.field(description="When it was decided.")
    reason: str | None = strawberry.field(description="Why.")
    decided_by_id: strawberry.Private[int | None]

    decided_by: User | None = attribute_edge("Who decided; never the author.", "User", by="decided_by_id")


def _approval(row: Record) -> DealAllocationApproval | None:
    if row["approval"] is None:
        return None
    return DealAllocationApproval(
        decision=rules.Approval(row["approval"]),
        decided_at=row["decided_at"],
        reason=row["decision_reason"],
        decided_by_id=row["decided_by_id"],
    )


def _sum(description: str, attribute: str, less: str | None = None) -> Any:
    """A field that shows one of the sums of an allocation, or one less another."""

    def make(found: Any, _given: dict[str, Any]) -> Cents:
        return Cents(getattr(found, attribute) - (getattr(found, less) if less else 0))

    return batch(description, ALLOCATION_SUMS, make=make)


@entity(tables.DealAllocation, "A fund's commitment of money to a deal, in the fund's currency.")
class DealAllocation(Node):
    """A fund's commitment of money to a deal."""

    fund: Annotated["Fund", strawberry.lazy("api.graphql.funds")] = to_one("The fund.", "Fund", by="fund_id")
    deal: "Deal" = to_one("The deal.", "Deal", by="deal_id")
    amount_cents: Cents = column("What is allocated.")
    percentage: Decimal | None = column(
        "The fraction of the fund's size, as it was then, that the amount was made of: 0.05 is 5 %; null where the "
        "amount was given."
    )
    security_type: GraphQLSecurityKind = column("What it buys.")  # type: ignore[valid-type]
    status: GraphQLAllocationStatus = column("What has become of it.")  # type: ignore[valid-type]
    allocated_on: date = column("The day of the allocation.")
    notes: str | None = column("Notes.")
    author: User | None = to_one(
        "Who made it, or last asked for an amount that needs an approval, or made the API key that did.",
        "User",
        by="author_id",
    )
    approval: DealAllocationApproval | None = computed(
        "Its approval; null where none is needed.",
        "approval",
        "decided_by_id",
        "decided_at",
        "decision_reason",
        compute=_approval,
    )
    called_cents: Cents = _sum("What of it has been called; scheduled calls have not.", "called_cents")
    paid_cents: Cents = _sum("What has been paid.", "paid_cents")
    uncalled_cents: Cents = _sum(
        "What is committed and not called: nothing without its approval.", "committed_cents", "called_cents"
    )
    unpaid_cents: Cents = _sum("What has been called and not paid.", "called_cents", "paid_cents")
    capital_calls: Connection[CapitalCall] = connection(
        "The calls of its money, earliest due first.",
        "CapitalCall",
        tables.CapitalCall,
        by="allocation_id",
        filter=CapitalCallFilter,
        order=CapitalCallOrder,
        default_order=("due_on", False),
    )
    distributions: Connection[Distribution] = connection(
        "What came back from it, latest first.",
        "Distribution",
        tables.Distribution,
        by="allocation_id",
        default_order=("distributed_on", True),
    )
    version: BigInt = column("The version, for optimistic locking.")
    created_at: datetime = column("When it was created.")
    updated_at: datetime = column("When it was last changed.")


@strawberry.input(description="Which allocations to show.")
class DealAllocationFilter:
    """Which allocations to show."""

    status: list[GraphQLAllocationStatus] | None = any_of("status", "Only these.")  # type: ignore[valid-type]
    security_type: list[GraphQLSecurityKind] | None = any_of(  # type: ignore[valid-type]
        "security_type", "Only these kinds."
    )
    from_: date | None = at_least("allocated_on", "Only those of this day or later.", "date", name="from")
    to: date | None = at_most("allocated_on", "Only those of this day or earlier.", "date")
    amount_min_cents: Cents | None = at_least("amount_cents", "Only this amount and more.", "bigint")
    amount_max_cents: Cents | None = at_most("amount_cents", "Only this amount and less.", "bigint")


@strawberry.enum(description="What allocations may be ordered by.")
class DealAllocationOrderField(Enum):
    """What allocations may be ordered by."""

    AMOUNT = strawberry.enum_value("amount_cents", description="What is allocated.")
    ALLOCATED_ON = strawberry.enum_value("allocated_on", description="The day of the allocation.")
    CREATED_AT = strawberry.enum_value("created_at", description="When they were created.")


@strawberry.input(description="The order of allocations.")
class DealAllocationOrder:
    """The order of allocations."""

    field: DealAllocationOrderField = strawberry.field(description="What to order by.")
    direction: OrderDirection = strawberry.field(default=OrderDirection.ASC, description="Which way.")


@entity(tables.Deal, "An opportunity in the pipeline.")
class Deal(Node):
    """An opportunity in the pipeline."""

    name: str = column("Its name.")
    sector: str | None = column("Its sector.")
    stage: GraphQLDealStage = column("How far it has come.")  # type: ignore[valid-type]
    valuation_cents: Cents | None = column("What it is valued at; null where unknown.")
    allocations: Connection[DealAllocation] = connection(
        "What funds have allocated to it.",
        "DealAllocation",
        tables.DealAllocation,
        by="deal_id",
        filter=DealAllocationFilter,
        order=DealAllocationOrder,
    )
    version: BigInt = column("The version, for optimistic locking.")
    created_at: datetime = column("When it was created.")
    updated_at: datetime = column("When it was last changed.")


@strawberry.input(description="Which deals to show.")
class DealFilter:
    """Which deals to show."""

    stage: list[GraphQLDealStage] | None = any_of("stage", "Only these stages.")  # type: ignore[valid-type]
    sector: list[str] | None = any_of("sector", "Only these sectors.")
    name_contains: str | None = contains("name", "Only names that contain this, in any case.")


@strawberry.enum(description="What deals may be ordered by.")
class DealOrderField(Enum):
    """What deals may be ordered by."""

    NAME = strawberry.enum_value("name", description="Their name.")
    VALUATION = strawberry.enum_value("valuation_cents", description="What they are valued at.")
    CREATED_AT = strawberry.enum_value("created_at", description="When they were created.")
    UPDATED_AT = strawberry.enum_value("updated_at", description="When they were last changed.")


@strawberry.input(description="The order of deals.")
class DealOrder:
    """The order of deals."""

    field: DealOrderField = strawberry.field(description="What to order by.")
    direction: OrderDirection = strawberry.field(default=OrderDirection.ASC, description="Which way.")


@strawberry.type
class DealQuery:
    """The root fields that find deals."""

    deal: Deal | None = root_one("The deal with this id; null for what is unknown, malformed or not yours.", "Deal")
    deals: Connection[Deal] = connection(
        "The organization's deals.", "Deal", tables.Deal, by=None, filter=DealFilter, order=DealOrder
    )
