"""Deciding about allocations that wait for approval."""

from typing import Annotated

import strawberry

from api.errors import Refused
from api.graphql.context import Info
from api.graphql.deal_inputs import ApproveDealAllocationInput, RejectDealAllocationInput
from api.graphql.deal_rules import PayloadWithWarnings, shown_warnings
from api.graphql.deals import DealAllocation
from api.graphql.mutations import refusal, row_id, write
from api.graphql.objects import load
from api.services import deal_decisions
from api.services.deal_allocations import NOUN, Written


@strawberry.type(description="The approved allocation.")
class ApproveDealAllocationPayload(PayloadWithWarnings):
    """The approved allocation."""

    allocation: DealAllocation | None = strawberry.field(default=None, description="The allocation.")


@strawberry.type(description="The rejected allocation.")
class RejectDealAllocationPayload(PayloadWithWarnings):
    """The rejected allocation."""

    allocation: DealAllocation | None = strawberry.field(default=None, description="The allocation.")


@strawberry.type
class DealDecisionMutation:
    """Approving and rejecting."""

    @strawberry.mutation(
        description="Commits an allocation that waits for approval, if it passes the rules as they are now. For an "
        "administrator other than its author; not for API keys."
    )
    async def approve_deal_allocation(
        self, info: Info, input: Annotated[ApproveDealAllocationInput, strawberry.argument(description="Which one.")]
    ) -> ApproveDealAllocationPayload | None:
        """Commits an allocation that waits for approval."""
        try:
            allocation_id = row_id("DealAllocation", input.id, "id", NOUN)
            outcome = await write(
                info,
                lambda command: deal_decisions.approve_deal_allocation(
                    command, allocation_id=allocation_id, expected_version=input.expected_version, reason=input.reason
                ),
                Written,
            )
        except Refused as refused:
            return refusal(ApproveDealAllocationPayload, refused)
        return ApproveDealAllocationPayload(
            allocation=await load(info, "DealAllocation", allocation_id),
            warnings=shown_warnings(outcome.result.warnings),
        )

    @strawberry.mutation(
        description="Rejects an allocation that waits for approval, for good. For an administrator other than its "
        "author; not for API keys."
    )
    async def reject_deal_allocation(
        self, info: Info, input: Annotated[RejectDealAllocationInput, strawberry.argument(description="Which one.")]
    ) -> RejectDealAllocationPayload | None:
        """Rejects an allocation that waits for approval."""
        try:
            allocation_id = row_id("DealAllocation", input.id, "id", NOUN)
            await write(
                info,
                lambda command: deal_decisions.reject_deal_allocation(
                    command, allocation_id=allocation_id, expected_version=input.expected_version, reason=input.reason
                ),
                int,
            )
        except Refused as refused:
            return refusal(RejectDealAllocationPayload, refused)
        return RejectDealAllocationPayload(allocation=await load(info, "DealAllocation", allocation_id))
