"""Writes to the cash flows of holdings."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Annotated, Any, cast

import strawberry
from strawberry.types.arguments import InputContext
from strawberry.types.base import get_object_definition

from api.domain.money import Cents
from api.errors import Refused
from api.graphql.activities import NOTE_DESCRIPTION, GraphQLActivityType, HoldingActivity
from api.graphql.context import Info
from api.graphql.enums import describe
from api.graphql.mutations import Payload, given, refusal, row_id, user_error, write
from api.graphql.objects import asks_for_ids_alone, load, load_bulk
from api.graphql.recalculations import RECALCULATE_DESCRIPTION, HoldingRecalculation, recalculations
from api.graphql.scalars import BigInt
from api.reads import global_ids
from api.services import activities
from api.services.activities import ACTIVITIES_MAX, REASON_LENGTH_MAX, BulkMode, DryRun, NewActivity, Settle, Stored
from api.services.commands import Command, Outcome
from api.services.recalculation import Recalculation
from api.services.small_batches import ACTIVITIES_MAX as SMALL_BATCH_MAX
from api.services.small_batches import PutOff, SmallBatch

KEY_DESCRIPTION = "1 to 128 characters; see the README."
VERSION_DESCRIPTION = "The version that the change is made against."
REASON_DESCRIPTION = f"Why, for the log: at most {REASON_LENGTH_MAX} characters."
RECALCULATIONS_DESCRIPTION = "What became of the stored returns, by holding; null where it was refused."

GraphQLBulkMode = describe(
    BulkMode,
    "BulkMode",
    "What becomes of a batch with bad rows.",
    {
        BulkMode.ALL_OR_NOTHING: "Nothing is stored.",
        BulkMode.CONTINUE: "The good rows are stored, and userErrors names the others.",
    },
)


@strawberry.input(description="A cash flow to record.")
class HoldingActivityInput:
    """A cash flow to record."""

    holding_id: strawberry.ID = strawberry.field(description="The holding.")
    activity_type: GraphQLActivityType = strawberry.field(description="What it is.")
    amount_cents: Cents = strawberry.field(description="How much, above 0; the type tells which way.")
    occurred_on: date = strawberry.field(description="The day on which the money moved.")
    is_recallable: bool = strawberry.field(default=False, description="Whether what was paid out may be called again.")
    note: str | None = strawberry.field(default=None, description=NOTE_DESCRIPTION)


@strawberry.input(description="Cash flows to record.")
class CreateHoldingActivitiesInput:
    """Cash flows to record."""

    activities: list[HoldingActivityInput] = strawberry.field(description=f"1 to {ACTIVITIES_MAX} cash flows.")
    mode: GraphQLBulkMode = strawberry.field(  # type: ignore[valid-type]
        default=BulkMode.ALL_OR_NOTHING, description="What becomes of the batch where rows are bad."
    )
    recalculate: bool = strawberry.field(default=True, description=RECALCULATE_DESCRIPTION)
    dry_run: bool = strawberry.field(default=False, description="Whether to say what would be done, and do nothing.")
    idempotency_key: str | None = strawberry.field(
        default=None, description=f"{KEY_DESCRIPTION} It is for the whole batch; a dry run leaves it free."
    )


@strawberry.input(description="What to correct of a cash flow: absent fields stay, null clears.")
class UpdateHoldingActivityInput:
    """What to correct of a cash flow."""

    id: strawberry.ID = strawberry.field(description="The cash flow.")
    expected_version: BigInt = strawberry.field(description=VERSION_DESCRIPTION)
    activity_type: GraphQLActivityType | None = strawberry.field(default=strawberry.UNSET, description="What it is.")
    amount_cents: Cents | None = strawberry.field(default=strawberry.UNSET, description="How much, above 0.")
    occurred_on: date | None = strawberry.field(
        default=strawberry.UNSET, description="The day on which the money moved."
    )
    is_recallable: bool | None = strawberry.field(
        default=strawberry.UNSET, description="Whether what was paid out may be called again."
    )
    note: str | None = strawberry.field(default=strawberry.UNSET, description=NOTE_DESCRIPTION)
    reason: str | None = strawberry.field(default=None, description=REASON_DESCRIPTION)
    recalculate: bool = strawberry.field(default=True, description=RECALCULATE_DESCRIPTION)


@strawberry.input(description="A cash flow to delete; the log goes on to hold it.")
class DeleteHoldingActivityInput:
    """A cash flow to delete."""

    id: strawberry.ID = strawberry.field(description="The cash flow.")
    expected_version: BigInt = strawberry.field(description=VERSION_DESCRIPTION)
    reason: str | None = strawberry.field(default=None, description=REASON_DESCRIPTION)
    recalculate: bool = strawberry.field(default=True, description=RECALCULATE_DESCRIPTION)


@strawberry.type(
    description="The recorded cash flows. With the mode CONTINUE, userErrors names the rows that were left out, by "
    "index and field, and the others are stored."
)
class CreateHoldingActivitiesPayload(Payload):
    """The recorded cash flows."""

    stored_ids: strawberry.Private[list[int] | None] = None
    accepted_count: int | None = strawberry.field(
        default=None, description="How many were stored, or would be; null where it was refused."
    )
    recalculations: list[HoldingRecalculation] | None = strawberry.field(
        default=None, description=RECALCULATIONS_DESCRIPTION
    )
    replayed: bool = strawberry.field(default=False, description="Whether an earlier request with the key made it.")

    @strawberry.field(description="In the order given; null where it was refused, or a dry run.")
    async def activities(self, info: Info) -> list[HoldingActivity] | None:
        """The recorded cash flows, read where they are asked for."""
        if self.stored_ids is None:
            return None
        if asks_for_ids_alone(info) and not self.replayed:
            return [HoldingActivity(row={"id": row_id}) for row_id in self.stored_ids]
        return await load_bulk(info, "HoldingActivity", self.stored_ids)


@strawberry.type(description="The corrected cash flow.")
class UpdateHoldingActivityPayload(Payload):
    """The corrected cash flow."""

    activity: HoldingActivity | None = strawberry.field(default=None, description="The cash flow.")
    recalculations: list[HoldingRecalculation] | None = strawberry.field(
        default=None, description=RECALCULATIONS_DESCRIPTION
    )


@strawberry.type(description="The deleted cash flow.")
class DeleteHoldingActivityPayload(Payload):
    """The deleted cash flow."""

    deleted_id: strawberry.ID | None = strawberry.field(default=None, description="What is no longer there.")
    recalculations: list[HoldingRecalculation] | None = strawberry.field(
        default=None, description=RECALCULATIONS_DESCRIPTION
    )


@strawberry.type
class ActivityMutation:
    """Writes to cash flows."""

    @strawberry.mutation(description="Records cash flows of holdings, and computes the returns that they change.")
    async def create_holding_activities(
        self,
        info: Info,
        input: Annotated[CreateHoldingActivitiesInput, strawberry.argument(description="The cash flows.")],
    ) -> CreateHoldingActivitiesPayload | None:
        """Records cash flows of holdings."""
        # See _from_input: what the field's type says is what clients send.
        new = cast("list[NewActivity]", input.activities)
        plan = _Recording(new, input)
        try:
            outcome, computed = await plan.written(info)
        except DryRun as dry:
            return CreateHoldingActivitiesPayload(
                accepted_count=len(dry.would.ids), user_errors=list(map(user_error, dry.would.rejected))
            )
        except Refused as refused:
            return refusal(CreateHoldingActivitiesPayload, refused)
        stored = outcome.result
        done = None if outcome.replayed else computed
        return CreateHoldingActivitiesPayload(
            stored_ids=stored.ids,
            accepted_count=len(stored.ids),
            recalculations=await recalculations(info, stored.holding_ids, is_wanted=input.recalculate, done=done),
            replayed=outcome.replayed,
            user_errors=list(map(user_error, stored.rejected)),
        )

    @strawberry.mutation(description="Corrects a cash flow, and computes the returns that it changes.")
    async def update_holding_activity(
        self,
        info: Info,
        input: Annotated[UpdateHoldingActivityInput, strawberry.argument(description="What to correct.")],
    ) -> UpdateHoldingActivityPayload | None:
        """Corrects a cash flow."""
        changes = given(input)
        version, reason = changes.pop("expected_version"), changes.pop("reason")
        is_wanted = changes.pop("recalculate")
        try:
            activity_id = row_id("HoldingActivity", changes.pop("id"), "id", "activity")
            outcome = await write(
                info,
                lambda command: activities.update_holding_activity(
                    command, activity_id=activity_id, expected_version=version, changes=changes, reason=reason
                ),
                int,
            )
        except Refused as refused:
            return refusal(UpdateHoldingActivityPayload, refused)
        activity = await load(info, "HoldingActivity", activity_id)
        computed = await recalculations(info, [outcome.result], is_wanted=is_wanted)
        return UpdateHoldingActivityPayload(activity=activity, recalculations=computed)

    @strawberry.mutation(description="Deletes a cash flow, and computes the returns that it changes.")
    async def delete_holding_activity(
        self,
        info: Info,
        input: Annotated[DeleteHoldingActivityInput, strawberry.argument(description="The cash flow.")],
    ) -> DeleteHoldingActivityPayload | None:
        """Deletes a cash flow."""
        try:
            activity_id = row_id("HoldingActivity", input.id, "id", "activity")
            outcome = await write(
                info,
                lambda command: activities.delete_holding_activity(
                    command, activity_id=activity_id, expected_version=input.expected_version, reason=input.reason
                ),
                int,
            )
        except Refused as refused:
            return refusal(DeleteHoldingActivityPayload, refused)
        computed = await recalculations(info, [outcome.result], is_wanted=input.recalculate)
        return DeleteHoldingActivityPayload(deleted_id=input.id, recalculations=computed)


class _Recording:
    """Storing a batch, and its returns with it where it is small."""

    def __init__(self, new: Sequence[NewActivity], input: CreateHoldingActivitiesInput) -> None:
        self.new, self.input = new, input

    async def written(self, info: Info) -> tuple[Outcome[Stored], list[Recalculation] | None]:
        """Runs the command, without the returns if they fail, and says what came of these. Raises Refused or DryRun."""
        if not self.input.recalculate or self.input.dry_run or len(self.new) > SMALL_BATCH_MAX:
            return await self._write(info), None
        small = SmallBatch(info.context.database)
        try:
            outcome = await self._write(info, small.settle)
        except PutOff:
            return await self._write(info), None
        return outcome, small.recalculations

    async def _write(self, info: Info, settle: Settle | None = None) -> Outcome[Stored]:
        given = self.input

        async def work(command: Command) -> Stored:
            return await activities.create_holding_activities(
                command, self.new, mode=given.mode, dry_run=given.dry_run, settle=settle
            )

        return await write(
            info,
            work,
            Stored,
            key=None if given.dry_run else given.idempotency_key,
            input_given={
                "activities": list(zip(*self.new, strict=True)),
                "mode": given.mode,
                "recalculate": given.recalculate,
            },
        )


def _from_input(_type: type, value: Mapping[str, Any], _context: InputContext) -> CreateHoldingActivitiesInput:
    """The input with its cash flows as the service takes them: an object for each costs more than storing it.

    The values have been coerced, and hold the defaults.
    """
    holding_ids = {one["holdingId"] for one in value["activities"]}
    decoded = {holding_id: global_ids.decode_as("Holding", holding_id) for holding_id in holding_ids}
    new = [
        NewActivity(
            decoded[one["holdingId"]],
            one["activityType"].value,
            one["amountCents"],
            one["occurredOn"],
            one["isRecallable"],
            one.get("note"),
        )
        for one in value["activities"]
    ]
    return CreateHoldingActivitiesInput(
        activities=new,  # type: ignore[arg-type]
        mode=value["mode"],
        recalculate=value["recalculate"],
        dry_run=value["dryRun"],
        idempotency_key=value.get("idempotencyKey"),
    )


get_object_definition(CreateHoldingActivitiesInput, strict=True).from_input = _from_input
