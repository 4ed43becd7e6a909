"""Writes to capital calls, payments and distributions."""

from datetime import date
from decimal import Decimal
from typing import Annotated, Any

import strawberry

from api.domain.capital_calls import (
    DISTRIBUTED_CENTS_MAX,
    DUE_DAYS_DEFAULT,
    LARGE_DISTRIBUTION_CENTS,
    PAYMENTS_MAX,
)
from api.domain.money import Cents
from api.errors import Refused
from api.graphql.capital_calls import (
    CapitalCall,
    CapitalCallPayment,
    Distribution,
    GraphQLCallStatus,
    GraphQLDistributionKind,
    GraphQLPaymentKind,
)
from api.graphql.context import Info
from api.graphql.deal_rules import PayloadWithWarnings
from api.graphql.mutations import KEY_DESCRIPTION, REPLAYED_DESCRIPTION, given, refusal, row_id, write
from api.graphql.objects import load
from api.graphql.scalars import BigInt
from api.services import capital_calls, distributions, payments
from api.services.capital_calls import REASON_LENGTH_MAX
from api.services.payments import Paid

DISTRIBUTED = (
    f"How much, above 0. From {LARGE_DISTRIBUTION_CENTS} on all distributions of the fund together must come to at most"
    f" {DISTRIBUTED_CENTS_MAX}."
)
RECEIVED_DESCRIPTION = (
    "The day on which it came: not before the allocation; today (UTC) unless given, and at the latest."
)


@strawberry.input(description="Money to call against a deal allocation: an amount, or a percentage of the commitment.")
class CreateCapitalCallInput:
    """Money to call against a deal allocation."""

    allocation_id: strawberry.ID = strawberry.field(description="The allocation.")
    amount_cents: Cents | None = strawberry.field(default=None, description="The amount, above 0.")
    percentage: Decimal | None = strawberry.field(
        default=None,
        description="The amount as a fraction of the commitment, above 0 and at most 1: 0.3 is 30 %. At most six "
        "decimals; it is rounded to the nearest cent.",
    )
    called_on: date | None = strawberry.field(
        default=None,
        description="The day of the call: not before the allocation, at most a year ahead; today (UTC) unless given.",
    )
    due_on: date | None = strawberry.field(
        default=None,
        description=f"The day on which it is due: not before the call; {DUE_DAYS_DEFAULT} days after it unless given.",
    )
    status: GraphQLCallStatus | None = strawberry.field(
        default=None, description="CALLED, which it is unless given, or SCHEDULED."
    )
    idempotency_key: str | None = strawberry.field(default=None, description=KEY_DESCRIPTION)


@strawberry.input(description="Another status for a capital call.")
class ChangeCapitalCallStatusInput:
    """Another status for a capital call."""

    id: strawberry.ID = strawberry.field(description="The call.")
    status: GraphQLCallStatus = strawberry.field(
        description="CALLED, DEFAULTED, or OVERDUE where its days of grace have passed; payments do the rest."
    )
    expected_version: BigInt = strawberry.field(description="The version that the change is made against.")
    reason: str | None = strawberry.field(
        default=None, description=f"Why, for the log: at most {REASON_LENGTH_MAX} characters."
    )


@strawberry.input(description="Money received for a capital call.")
class RecordCapitalCallPaymentInput:
    """Money received for a capital call."""

    capital_call_id: strawberry.ID = strawberry.field(description=f"The call; it takes at most {PAYMENTS_MAX}.")
    amount_cents: Cents = strawberry.field(description="How much: above 0, and at most what is outstanding.")
    paid_on: date | None = strawberry.field(default=None, description=RECEIVED_DESCRIPTION)
    payment_type: GraphQLPaymentKind | None = strawberry.field(
        default=None, description="How it came; by WIRE unless given."
    )
    idempotency_key: str | None = strawberry.field(default=None, description=KEY_DESCRIPTION)


@strawberry.input(description="Money that came back from a deal allocation.")
class RecordDistributionInput:
    """Money that came back from a deal allocation."""

    allocation_id: strawberry.ID = strawberry.field(description="The allocation.")
    amount_cents: Cents = strawberry.field(description=DISTRIBUTED)
    distributed_on: date | None = strawberry.field(default=None, description=RECEIVED_DESCRIPTION)
    distribution_type: GraphQLDistributionKind = strawberry.field(description="What it is made of.")
    is_recallable: bool | None = strawberry.field(
        default=None, description="Whether it may be called again; it may not unless this says so."
    )
    idempotency_key: str | None = strawberry.field(default=None, description=KEY_DESCRIPTION)


@strawberry.type(description="The created capital call.")
class CreateCapitalCallPayload(PayloadWithWarnings):
    """The created capital call."""

    capital_call: CapitalCall | None = strawberry.field(default=None, description="The call.")
    replayed: bool = strawberry.field(default=False, description=REPLAYED_DESCRIPTION)


@strawberry.type(description="The capital call with its new status.")
class ChangeCapitalCallStatusPayload(PayloadWithWarnings):
    """The capital call with its new status."""

    capital_call: CapitalCall | None = strawberry.field(default=None, description="The call.")


@strawberry.type(description="The recorded payment, and what it makes of the call.")
class RecordCapitalCallPaymentPayload(PayloadWithWarnings):
    """The recorded payment."""

    capital_call: CapitalCall | None = strawberry.field(default=None, description="The call.")
    payment: CapitalCallPayment | None = strawberry.field(default=None, description="The payment.")
    replayed: bool = strawberry.field(default=False, description=REPLAYED_DESCRIPTION)


@strawberry.type(description="The recorded distribution.")
class RecordDistributionPayload(PayloadWithWarnings):
    """The recorded distribution."""

    distribution: Distribution | None = strawberry.field(default=None, description="The distribution.")
    replayed: bool = strawberry.field(default=False, description=REPLAYED_DESCRIPTION)


def _arguments(info: Info, input: Any, **ids: tuple[str, str]) -> dict[str, Any]:
    """What the service is given: the input's values and today; ``ids`` are entity and noun of each global id."""
    values = given(input) | {"today": info.context.today}
    for field, (entity, noun) in ids.items():
        values[field] = row_id(entity, values[field], field, noun)
    return values


@strawberry.type
class CapitalCallMutation:
    """Writes to capital calls, payments and distributions."""

    @strawberry.mutation(description="Calls money against a deal allocation: all calls within what is committed.")
    async def create_capital_call(
        self, info: Info, input: Annotated[CreateCapitalCallInput, strawberry.argument(description="The call.")]
    ) -> CreateCapitalCallPayload | None:
        """Calls money against a deal allocation."""
        try:
            values = _arguments(info, input, allocation_id=("DealAllocation", "deal allocation"))
            outcome = await write(
                info,
                lambda command: capital_calls.create_capital_call(command, **values),
                int,
                key=input.idempotency_key,
                input_given=given(input),
                parent=str(values["allocation_id"]),
            )
        except Refused as refused:
            return refusal(CreateCapitalCallPayload, refused)
        call = await load(info, "CapitalCall", outcome.result)
        return CreateCapitalCallPayload(capital_call=call, replayed=outcome.replayed)

    @strawberry.mutation(description="Gives a capital call another status; what payments make of it they alone give.")
    async def change_capital_call_status(
        self, info: Info, input: Annotated[ChangeCapitalCallStatusInput, strawberry.argument(description="The status.")]
    ) -> ChangeCapitalCallStatusPayload | None:
        """Gives a capital call another status."""
        try:
            values = _arguments(info, input, id=("CapitalCall", "capital call"))
            call_id = values.pop("id")
            await write(
                info,
                lambda command: capital_calls.change_capital_call_status(command, call_id=call_id, **values),
                int,
            )
        except Refused as refused:
            return refusal(ChangeCapitalCallStatusPayload, refused)
        return ChangeCapitalCallStatusPayload(capital_call=await load(info, "CapitalCall", call_id))

    @strawberry.mutation(
        description="Records money received for a capital call; the statuses of the call and its allocation follow."
    )
    async def record_capital_call_payment(
        self,
        info: Info,
        input: Annotated[RecordCapitalCallPaymentInput, strawberry.argument(description="The payment.")],
    ) -> RecordCapitalCallPaymentPayload | None:
        """Records money received for a capital call."""
        try:
            values = _arguments(info, input, capital_call_id=("CapitalCall", "capital call"))
            call_id = values.pop("capital_call_id")
            outcome = await write(
                info,
                lambda command: payments.record_capital_call_payment(command, call_id=call_id, **values),
                Paid,
                key=input.idempotency_key,
                input_given=given(input),
                parent=str(call_id),
            )
        except Refused as refused:
            return refusal(RecordCapitalCallPaymentPayload, refused)
        return RecordCapitalCallPaymentPayload(
            capital_call=await load(info, "CapitalCall", call_id),
            payment=await load(info, "CapitalCallPayment", outcome.result.payment_id),
            replayed=outcome.replayed,
        )

    @strawberry.mutation(description="Records money that came back from a deal allocation.")
    async def record_distribution(
        self,
        info: Info,
        input: Annotated[RecordDistributionInput, strawberry.argument(description="The distribution.")],
    ) -> RecordDistributionPayload | None:
        """Records money that came back from a deal allocation."""
        try:
            values = _arguments(info, input, allocation_id=("DealAllocation", "deal allocation"))
            outcome = await write(
                info,
                lambda command: distributions.record_distribution(command, **values),
                int,
                key=input.idempotency_key,
                input_given=given(input),
                parent=str(values["allocation_id"]),
            )
        except Refused as refused:
            return refusal(RecordDistributionPayload, refused)
        distribution = await load(info, "Distribution", outcome.result)
        return RecordDistributionPayload(distribution=distribution, replayed=outcome.replayed)
