"""Writes to deals and allocations."""

from typing import Annotated, Any

import strawberry

from api.errors import Refused
from api.graphql.context import Info
from api.graphql.deal_inputs import (
    ChangeDealAllocationStatusInput,
    CreateDealAllocationInput,
    CreateDealInput,
    DeleteDealAllocationInput,
    UpdateDealAllocationInput,
    UpdateDealInput,
)
from api.graphql.deal_rules import PayloadWithWarnings, shown_warnings
from api.graphql.deals import Deal, DealAllocation
from api.graphql.mutations import REPLAYED_DESCRIPTION, given, refusal, row_id, write
from api.graphql.objects import load
from api.services import deal_allocations, deal_decisions, deals
from api.services.deal_allocations import Written

NOUN = deal_allocations.NOUN


@strawberry.type(description="The created deal.")
class CreateDealPayload(PayloadWithWarnings):
    """The created deal."""

    deal: Deal | None = strawberry.field(default=None, description="The deal.")
    replayed: bool = strawberry.field(default=False, description=REPLAYED_DESCRIPTION)


@strawberry.type(description="The changed deal.")
class UpdateDealPayload(PayloadWithWarnings):
    """The changed deal."""

    deal: Deal | None = strawberry.field(default=None, description="The deal.")


@strawberry.type(description="The created allocation.")
class CreateDealAllocationPayload(PayloadWithWarnings):
    """The created allocation."""

    allocation: DealAllocation | None = strawberry.field(
        default=None, description="The allocation; null in a replay where it has been deleted since."
    )
    replayed: bool = strawberry.field(default=False, description=REPLAYED_DESCRIPTION)


@strawberry.type(description="The changed allocation.")
class UpdateDealAllocationPayload(PayloadWithWarnings):
    """The changed allocation."""

    allocation: DealAllocation | None = strawberry.field(default=None, description="The allocation.")


@strawberry.type(description="The deleted allocation.")
class DeleteDealAllocationPayload(PayloadWithWarnings):
    """The deleted allocation."""

    deleted_id: strawberry.ID | None = strawberry.field(default=None, description="The id that it had.")


@strawberry.type(description="The allocation with its new status.")
class ChangeDealAllocationStatusPayload(PayloadWithWarnings):
    """The allocation with its new status."""

    allocation: DealAllocation | None = strawberry.field(default=None, description="The allocation.")


@strawberry.type
class DealMutation:
    """Writes to deals."""

    @strawberry.mutation(description="Creates a deal.")
    async def create_deal(
        self, info: Info, input: Annotated[CreateDealInput, strawberry.argument(description="The deal.")]
    ) -> CreateDealPayload | None:
        """Creates a deal."""
        values = given(input)
        try:
            outcome = await write(
                info,
                lambda command: deals.create_deal(command, **values),
                int,
                key=input.idempotency_key,
                input_given=values,
            )
        except Refused as refused:
            return refusal(CreateDealPayload, refused)
        return CreateDealPayload(deal=await load(info, "Deal", outcome.result), replayed=outcome.replayed)

    @strawberry.mutation(description="Changes a deal.")
    async def update_deal(
        self, info: Info, input: Annotated[UpdateDealInput, strawberry.argument(description="What to change.")]
    ) -> UpdateDealPayload | None:
        """Changes a deal."""
        changes = given(input)
        try:
            deal_id = row_id("Deal", changes.pop("id"), "id", "deal")
            version = changes.pop("expected_version")
            await write(
                info,
                lambda command: deals.update_deal(command, deal_id=deal_id, expected_version=version, changes=changes),
                int,
            )
        except Refused as refused:
            return refusal(UpdateDealPayload, refused)
        return UpdateDealPayload(deal=await load(info, "Deal", deal_id))


@strawberry.type
class DealAllocationMutation:
    """Writes to allocations; deciding about those that wait is in deal_decisions.py."""

    @strawberry.mutation(description="Commits a fund's money to a deal; above the threshold it waits for an approval.")
    async def create_deal_allocation(
        self,
        info: Info,
        input: Annotated[CreateDealAllocationInput, strawberry.argument(description="The allocation.")],
    ) -> CreateDealAllocationPayload | None:
        """Commits a fund's money to a deal."""
        values = given(input)
        try:
            values["fund_id"] = row_id("Fund", values["fund_id"], "fund_id", "fund")
            values["deal_id"] = row_id("Deal", values["deal_id"], "deal_id", "deal")
            outcome = await write(
                info,
                lambda command: deal_allocations.create_deal_allocation(command, today=info.context.today, **values),
                Written,
                key=input.idempotency_key,
                input_given=values,
                parent=str(values["fund_id"]),
            )
        except Refused as refused:
            return refusal(CreateDealAllocationPayload, refused)
        return CreateDealAllocationPayload(
            allocation=await load(info, "DealAllocation", outcome.result.allocation_id),
            warnings=shown_warnings(outcome.result.warnings),
            replayed=outcome.replayed,
        )

    @strawberry.mutation(description="Changes an allocation; what is final stays.")
    async def update_deal_allocation(
        self,
        info: Info,
        input: Annotated[UpdateDealAllocationInput, strawberry.argument(description="What to change.")],
    ) -> UpdateDealAllocationPayload | None:
        """Changes an allocation."""
        changes = given(input)
        try:
            allocation_id, version = _named(changes)
            outcome = await write(
                info,
                lambda command: deal_allocations.update_deal_allocation(
                    command,
                    today=info.context.today,
                    allocation_id=allocation_id,
                    expected_version=version,
                    changes=changes,
                ),
                Written,
            )
        except Refused as refused:
            return refusal(UpdateDealAllocationPayload, refused)
        return UpdateDealAllocationPayload(
            allocation=await load(info, "DealAllocation", allocation_id),
            warnings=shown_warnings(outcome.result.warnings),
        )

    @strawberry.mutation(description="Deletes an allocation that has neither capital calls nor distributions.")
    async def delete_deal_allocation(
        self, info: Info, input: Annotated[DeleteDealAllocationInput, strawberry.argument(description="Which one.")]
    ) -> DeleteDealAllocationPayload | None:
        """Deletes an allocation."""
        try:
            allocation_id, version = _named(given(input))
            await write(
                info,
                lambda command: deal_allocations.delete_deal_allocation(
                    command, allocation_id=allocation_id, expected_version=version
                ),
                int,
            )
        except Refused as refused:
            return refusal(DeleteDealAllocationPayload, refused)
        return DeleteDealAllocationPayload(deleted_id=input.id)

    @strawberry.mutation(
        description="Changes the status of an allocation, as the table of transitions allows and payments do not deny."
    )
    async def change_deal_allocation_status(
        self,
        info: Info,
        input: Annotated[ChangeDealAllocationStatusInput, strawberry.argument(description="The status.")],
    ) -> ChangeDealAllocationStatusPayload | None:
        """Changes the status of an allocation."""
        values = given(input)
        try:
            allocation_id, version = _named(values)
            await write(
                info,
                lambda command: deal_decisions.change_deal_allocation_status(
                    command, allocation_id=allocation_id, expected_version=version, **values
                ),
                int,
            )
        except Refused as refused:
            return refusal(ChangeDealAllocationStatusPayload, refused)
        return ChangeDealAllocationStatusPayload(allocation=await load(info, "DealAllocation", allocation_id))


def _named(values: dict[str, Any]) -> tuple[int, int]:
    """Takes the allocation's id and the expected version out of an input's values; raises Refused (NOT_FOUND)."""
    version: int = values.pop("expected_version")
    return row_id("DealAllocation", values.pop("id"), "id", NOUN), version
