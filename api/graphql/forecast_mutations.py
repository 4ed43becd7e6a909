"""Writes to forecast snapshots and their reserve allocations."""

from dataclasses import fields
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

import strawberry

from api.domain.money import Cents
from api.errors import Refused
from api.graphql.context import Info
from api.graphql.forecasts import ForecastSnapshot, ReserveAllocation
from api.graphql.mutations import KEY_DESCRIPTION, REPLAYED_DESCRIPTION, Payload, given, refusal, row_id, write
from api.graphql.objects import load, load_many
from api.graphql.scalars import BigInt
from api.reads import global_ids
from api.services import forecasts, reserve_allocations
from api.services.forecasts import SNAPSHOT_NAME_LENGTH_MAX
from api.services.reserve_allocations import (
    ALLOCATIONS_MAX,
    PRIORITY_MAX,
    RATIONALE_LENGTH_MAX,
    SCORE_END,
    NewAllocation,
)

NAME_DESCRIPTION = f"Its name, 1 to {SNAPSHOT_NAME_LENGTH_MAX} characters."
PLANNED_DESCRIPTION = "What is planned for it, 0 or more, in the currency of the fund."
SCORE_DESCRIPTION = f"By what it was ranked: within {SCORE_END} either way, at most six decimals."
PRIORITY_DESCRIPTION = f"Its place among the others, 0 to {PRIORITY_MAX}; smaller comes first."
RATIONALE_DESCRIPTION = f"Why, at most {RATIONALE_LENGTH_MAX} characters."


@strawberry.input(description="A forecast snapshot to compute.")
class CreateForecastSnapshotInput:
    """A forecast snapshot to compute."""

    fund_id: strawberry.ID = strawberry.field(description="The fund.")
    name: str = strawberry.field(description=NAME_DESCRIPTION)
    snapshot_at: datetime | None = strawberry.field(
        default=None, description="The time that it is of, from 1900 to a year ahead; now unless given."
    )
    idempotency_key: str | None = strawberry.field(default=None, description=KEY_DESCRIPTION)


@strawberry.input(description="Another name for a snapshot.")
class RenameForecastSnapshotInput:
    """Another name for a snapshot."""

    id: strawberry.ID = strawberry.field(description="The snapshot.")
    expected_version: BigInt = strawberry.field(description="The version that the change is made against.")
    name: str = strawberry.field(description=NAME_DESCRIPTION)


@strawberry.input(description="What to plan for a company.")
class ReserveAllocationInput:
    """What to plan for a company."""

    company_id: strawberry.ID = strawberry.field(description="A company of the snapshot's fund.")
    planned_reserve_cents: Cents = strawberry.field(description=PLANNED_DESCRIPTION)
    score: Decimal | None = strawberry.field(default=None, description=SCORE_DESCRIPTION)
    priority: int | None = strawberry.field(default=None, description=PRIORITY_DESCRIPTION)
    rationale: str | None = strawberry.field(default=None, description=RATIONALE_DESCRIPTION)


@strawberry.input(description="What to plan for a company within a snapshot.")
class CreateReserveAllocationInput(ReserveAllocationInput):
    """What to plan for a company within a snapshot."""

    snapshot_id: strawberry.ID = strawberry.field(description="The snapshot.")
    idempotency_key: str | None = strawberry.field(default=None, description=KEY_DESCRIPTION)


@strawberry.input(description="What to plan for companies within a snapshot: all of it or nothing.")
class CreateReserveAllocationsInput:
    """What to plan for companies within a snapshot."""

    snapshot_id: strawberry.ID = strawberry.field(description="The snapshot.")
    allocations: list[ReserveAllocationInput] = strawberry.field(
        description=f"1 to {ALLOCATIONS_MAX} allocations, each for another company."
    )
    idempotency_key: str | None = strawberry.field(default=None, description=KEY_DESCRIPTION)


@strawberry.input(description="What to change of a reserve allocation: absent fields stay, null clears.")
class UpdateReserveAllocationInput:
    """What to change of a reserve allocation."""

    id: strawberry.ID = strawberry.field(description="The allocation.")
    expected_version: BigInt = strawberry.field(description="The version that the change is made against.")
    planned_reserve_cents: Cents | None = strawberry.field(default=strawberry.UNSET, description=PLANNED_DESCRIPTION)
    score: Decimal | None = strawberry.field(default=strawberry.UNSET, description=SCORE_DESCRIPTION)
    priority: int | None = strawberry.field(default=strawberry.UNSET, description=PRIORITY_DESCRIPTION)
    rationale: str | None = strawberry.field(default=strawberry.UNSET, description=RATIONALE_DESCRIPTION)


@strawberry.type(description="The snapshot, waiting to be computed.")
class CreateForecastSnapshotPayload(Payload):
    """The snapshot, waiting to be computed."""

    snapshot: ForecastSnapshot | None = strawberry.field(default=None, description="The snapshot.")
    replayed: bool = strawberry.field(default=False, description=REPLAYED_DESCRIPTION)


@strawberry.type(description="The renamed snapshot.")
class RenameForecastSnapshotPayload(Payload):
    """The renamed snapshot."""

    snapshot: ForecastSnapshot | None = strawberry.field(default=None, description="The snapshot.")


@strawberry.type(description="The created reserve allocation.")
class CreateReserveAllocationPayload(Payload):
    """The created reserve allocation."""

    reserve_allocation: ReserveAllocation | None = strawberry.field(default=None, description="The allocation.")
    replayed: bool = strawberry.field(default=False, description=REPLAYED_DESCRIPTION)


@strawberry.type(description="The created reserve allocations.")
class CreateReserveAllocationsPayload(Payload):
    """The created reserve allocations."""

    reserve_allocations: list[ReserveAllocation] = strawberry.field(
        default_factory=list, description="The allocations, in the order of the input."
    )
    replayed: bool = strawberry.field(default=False, description=REPLAYED_DESCRIPTION)


@strawberry.type(description="The changed reserve allocation.")
class UpdateReserveAllocationPayload(Payload):
    """The changed reserve allocation."""

    reserve_allocation: ReserveAllocation | None = strawberry.field(default=None, description="The allocation.")


def _new(allocation: ReserveAllocationInput) -> NewAllocation:
    values: dict[str, Any] = {one.name: getattr(allocation, one.name) for one in fields(ReserveAllocationInput)}
    return NewAllocation(**values | {"company_id": global_ids.decode_as("PortfolioCompany", allocation.company_id)})


@strawberry.type
class ForecastMutation:
    """Writes to forecast snapshots and their reserve allocations."""

    @strawberry.mutation(description="Asks for a forecast of a fund; it is computed outside of the request.")
    async def create_forecast_snapshot(
        self,
        info: Info,
        input: Annotated[CreateForecastSnapshotInput, strawberry.argument(description="The snapshot.")],
    ) -> CreateForecastSnapshotPayload | None:
        """Asks for a forecast of a fund."""
        values: dict[str, Any] = given(input)
        try:
            values["fund_id"] = row_id("Fund", values["fund_id"], "fund_id", "fund")
            outcome = await write(
                info,
                lambda command: forecasts.create_forecast_snapshot(command, today=info.context.today, **values),
                int,
                key=input.idempotency_key,
                input_given=given(input),
                parent=str(values["fund_id"]),
            )
        except Refused as refused:
            return refusal(CreateForecastSnapshotPayload, refused)
        snapshot = await load(info, "ForecastSnapshot", outcome.result)
        return CreateForecastSnapshotPayload(snapshot=snapshot, replayed=outcome.replayed)

    @strawberry.mutation(description="Gives a snapshot another name, whatever its status.")
    async def rename_forecast_snapshot(
        self, info: Info, input: Annotated[RenameForecastSnapshotInput, strawberry.argument(description="The name.")]
    ) -> RenameForecastSnapshotPayload | None:
        """Gives a snapshot another name."""
        try:
            snapshot_id = row_id("ForecastSnapshot", input.id, "id", "snapshot")
            await write(
                info,
                lambda command: forecasts.rename_forecast_snapshot(
                    command, snapshot_id=snapshot_id, expected_version=input.expected_version, name=input.name
                ),
                int,
            )
        except Refused as refused:
            return refusal(RenameForecastSnapshotPayload, refused)
        return RenameForecastSnapshotPayload(snapshot=await load(info, "ForecastSnapshot", snapshot_id))

    @strawberry.mutation(
        description="Plans a reserve for a company within a snapshot of its fund, computed or not, unless it ended in "
        "an error."
    )
    async def create_reserve_allocation(
        self,
        info: Info,
        input: Annotated[CreateReserveAllocationInput, strawberry.argument(description="The allocation.")],
    ) -> CreateReserveAllocationPayload | None:
        """Plans a reserve for a company within a snapshot of its fund."""
        try:
            snapshot_id = row_id("ForecastSnapshot", input.snapshot_id, "snapshot_id", "snapshot")
            outcome = await write(
                info,
                lambda command: reserve_allocations.create_reserve_allocation(
                    command, snapshot_id=snapshot_id, allocation=_new(input)
                ),
                int,
                key=input.idempotency_key,
                input_given=given(input),
                parent=str(snapshot_id),
            )
        except Refused as refused:
            return refusal(CreateReserveAllocationPayload, refused)
        allocation = await load(info, "ReserveAllocation", outcome.result)
        return CreateReserveAllocationPayload(reserve_allocation=allocation, replayed=outcome.replayed)

    @strawberry.mutation(description="Plans reserves for many companies within a snapshot, all or none.")
    async def create_reserve_allocations(
        self,
        info: Info,
        input: Annotated[CreateReserveAllocationsInput, strawberry.argument(description="The allocations.")],
    ) -> CreateReserveAllocationsPayload | None:
        """Plans reserves for many companies within a snapshot."""
        try:
            snapshot_id = row_id("ForecastSnapshot", input.snapshot_id, "snapshot_id", "snapshot")
            new = [_new(allocation) for allocation in input.allocations]
            outcome = await write(
                info,
                lambda command: reserve_allocations.create_reserve_allocations(
                    command, snapshot_id=snapshot_id, allocations=new
                ),
                list[int],
                key=input.idempotency_key,
                input_given=given(input),
                parent=str(snapshot_id),
            )
        except Refused as refused:
            return refusal(CreateReserveAllocationsPayload, refused)
        created = await load_many(info, "ReserveAllocation", outcome.result)
        return CreateReserveAllocationsPayload(reserve_allocations=created, replayed=outcome.replayed)

    @strawberry.mutation(description="Changes a reserve allocation, unless its snapshot ended in an error.")
    async def update_reserve_allocation(
        self,
        info: Info,
        input: Annotated[UpdateReserveAllocationInput, strawberry.argument(description="What to change.")],
    ) -> UpdateReserveAllocationPayload | None:
        """Changes a reserve allocation."""
        changes = given(input)
        try:
            allocation_id = row_id("ReserveAllocation", changes.pop("id"), "id", "reserve allocation")
            version = changes.pop("expected_version")
            await write(
                info,
                lambda command: reserve_allocations.update_reserve_allocation(
                    command, allocation_id=allocation_id, expected_version=version, changes=changes
                ),
                int,
            )
        except Refused as refused:
            return refusal(UpdateReserveAllocationPayload, refused)
        allocation = await load(info, "ReserveAllocation", allocation_id)
        return UpdateReserveAllocationPayload(reserve_allocation=allocation)
