"""What is given to write deals and allocations."""

from datetime import date
from decimal import Decimal

import strawberry

from api.domain.money import Cents
from api.graphql.deals import GraphQLAllocationStatus, GraphQLDealStage, GraphQLSecurityKind
from api.graphql.mutations import KEY_DESCRIPTION
from api.graphql.scalars import BigInt

ALLOCATION = "The allocation."
AMOUNT = "The amount, in the currency of the fund. Give this or a percentage."
DAY = "The day, from 1900 to a year ahead"
DEAL = "The deal."
EXPECTED_VERSION = "The version that the change is made against."
NOTES = "Notes, at most 1000 characters."
PERCENTAGE = (
    "A fraction of the fund's size: 0.05 is 5 %. More than 0, at most 1, with at most six decimals. It becomes an "
    "amount, rounded to the cent, halves up, and stays that when the size changes."
)
REASON = "Why; at most 1000 characters."
VALUATION = "What it is valued at, 0 or more."


@strawberry.input(description="A deal to create.")
class CreateDealInput:
    """A deal to create."""

    name: str = strawberry.field(description="Its name, 1 to 200 characters.")
    sector: str | None = strawberry.field(default=None, description="Its sector, at most 200 characters.")
    stage: GraphQLDealStage | None = strawberry.field(
        default=None, description="How far it has come; INITIAL_REVIEW unless given."
    )
    valuation_cents: Cents | None = strawberry.field(default=None, description=VALUATION)
    idempotency_key: str | None = strawberry.field(default=None, description=KEY_DESCRIPTION)


@strawberry.input(description="What to change of a deal: absent fields stay, null clears.")
class UpdateDealInput:
    """What to change of a deal."""

    id: strawberry.ID = strawberry.field(description=DEAL)
    expected_version: BigInt = strawberry.field(description=EXPECTED_VERSION)
    name: str | None = strawberry.field(default=strawberry.UNSET, description="Its name.")
    sector: str | None = strawberry.field(default=strawberry.UNSET, description="Its sector.")
    stage: GraphQLDealStage | None = strawberry.field(
        default=strawberry.UNSET, description="How far it has come; any stage may follow any."
    )
    valuation_cents: Cents | None = strawberry.field(default=strawberry.UNSET, description=VALUATION)


@strawberry.input(description="An allocation to create: fund, deal, amount and security type are all it takes.")
class CreateDealAllocationInput:
    """An allocation to create."""

    fund_id: strawberry.ID = strawberry.field(description="The fund.")
    deal_id: strawberry.ID = strawberry.field(description=DEAL)
    amount_cents: Cents | None = strawberry.field(default=None, description=AMOUNT)
    percentage: Decimal | None = strawberry.field(default=None, description=PERCENTAGE)
    security_type: GraphQLSecurityKind = strawberry.field(description="What it buys.")
    allocated_on: date | None = strawberry.field(default=None, description=f"{DAY}; today (UTC) unless given.")
    notes: str | None = strawberry.field(default=None, description=NOTES)
    idempotency_key: str | None = strawberry.field(default=None, description=KEY_DESCRIPTION)


@strawberry.input(
    description="What to change of an allocation: absent fields stay, null clears. A new amount has to pass the rules, "
    "and an approval where it needs one."
)
class UpdateDealAllocationInput:
    """What to change of an allocation."""

    id: strawberry.ID = strawberry.field(description=ALLOCATION)
    expected_version: BigInt = strawberry.field(description=EXPECTED_VERSION)
    amount_cents: Cents | None = strawberry.field(default=strawberry.UNSET, description=AMOUNT)
    percentage: Decimal | None = strawberry.field(default=strawberry.UNSET, description=PERCENTAGE)
    security_type: GraphQLSecurityKind | None = strawberry.field(default=strawberry.UNSET, description="What it buys.")
    allocated_on: date | None = strawberry.field(
        default=strawberry.UNSET, description=f"{DAY}, and not after money was called, paid or distributed."
    )
    notes: str | None = strawberry.field(default=strawberry.UNSET, description=NOTES)


@strawberry.input(description="An allocation to delete.")
class DeleteDealAllocationInput:
    """An allocation to delete."""

    id: strawberry.ID = strawberry.field(description=ALLOCATION)
    expected_version: BigInt = strawberry.field(description=EXPECTED_VERSION)


@strawberry.input(description="An allocation to approve.")
class ApproveDealAllocationInput:
    """An allocation to approve."""

    id: strawberry.ID = strawberry.field(description="The allocation; it waits for approval.")
    expected_version: BigInt = strawberry.field(description=EXPECTED_VERSION)
    reason: str | None = strawberry.field(default=None, description=REASON)


@strawberry.input(description="An allocation to reject.")
class RejectDealAllocationInput:
    """An allocation to reject."""

    id: strawberry.ID = strawberry.field(description="The allocation; it waits for approval.")
    expected_version: BigInt = strawberry.field(description=EXPECTED_VERSION)
    reason: str | None = strawberry.field(default=None, description=REASON)


@strawberry.input(description="A status to give to an allocation.")
class ChangeDealAllocationStatusInput:
    """A status to give to an allocation."""

    id: strawberry.ID = strawberry.field(description=ALLOCATION)
    expected_version: BigInt = strawberry.field(description=EXPECTED_VERSION)
    status: GraphQLAllocationStatus = strawberry.field(
        description="The status; docs/state-machines.md shows what may follow what."
    )
    reason: str | None = strawberry.field(default=None, description=REASON)
