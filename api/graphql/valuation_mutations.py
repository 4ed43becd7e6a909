"""Writes to valuations of holdings and to prices of benchmarks."""

from datetime import date
from decimal import Decimal
from typing import Annotated

import strawberry

from api.domain.money import Cents
from api.errors import Refused
from api.graphql.activity_mutations import (
    KEY_DESCRIPTION,
    REASON_DESCRIPTION,
    RECALCULATIONS_DESCRIPTION,
    VERSION_DESCRIPTION,
)
from api.graphql.context import Info
from api.graphql.mutations import Payload, given, refusal, row_id, write
from api.graphql.objects import load_many
from api.graphql.recalculations import RECALCULATE_DESCRIPTION, HoldingRecalculation, recalculations
from api.graphql.returns import BenchmarkPrice, HoldingValuation
from api.graphql.scalars import BigInt
from api.reads import global_ids
from api.services import valuations
from api.services.valuations import (
    BENCHMARK_LENGTH_MAX,
    PRICE_PLACES_MAX,
    PRICES_MAX,
    VALUATIONS_MAX,
    NewPrice,
    NewValuation,
    Valued,
)

REPLAYED_DESCRIPTION = "Whether an earlier request with the key made it."


@strawberry.input(description="What a holding is worth at the end of a day; replaces what is recorded for that day.")
class HoldingValuationInput:
    """What a holding is worth at the end of a day."""

    holding_id: strawberry.ID = strawberry.field(description="The holding.")
    valued_on: date = strawberry.field(description="The day.")
    value_cents: Cents = strawberry.field(description="What it is worth, 0 or more. 0 ends the position.")
    expected_version: BigInt | None = strawberry.field(
        default=None,
        description="The version that may be replaced, 0 for none; without, whatever is recorded is replaced.",
    )


@strawberry.input(description="Valuations to record: all of them or none.")
class RecordHoldingValuationsInput:
    """Valuations to record."""

    valuations: list[HoldingValuationInput] = strawberry.field(description=f"1 to {VALUATIONS_MAX} valuations.")
    recalculate: bool = strawberry.field(default=True, description=RECALCULATE_DESCRIPTION)
    idempotency_key: str | None = strawberry.field(default=None, description=KEY_DESCRIPTION)


@strawberry.input(description="A valuation to delete, with the returns that were computed from it.")
class DeleteHoldingValuationInput:
    """A valuation to delete."""

    id: strawberry.ID = strawberry.field(description="The valuation.")
    expected_version: BigInt = strawberry.field(description=VERSION_DESCRIPTION)
    reason: str | None = strawberry.field(default=None, description=REASON_DESCRIPTION)
    recalculate: bool = strawberry.field(default=True, description=RECALCULATE_DESCRIPTION)


@strawberry.input(description="The price of a benchmark at the end of a day; replaces what is recorded for that day.")
class BenchmarkPriceInput:
    """The price of a benchmark at the end of a day."""

    benchmark: str = strawberry.field(description=f"The benchmark's name, 1 to {BENCHMARK_LENGTH_MAX} characters.")
    priced_on: date = strawberry.field(description="The day.")
    price: Decimal = strawberry.field(description=f"Its price, above 0, with at most {PRICE_PLACES_MAX} decimals.")


@strawberry.input(description="Prices to record: all of them or none.")
class RecordBenchmarkPricesInput:
    """Prices to record."""

    prices: list[BenchmarkPriceInput] = strawberry.field(description=f"1 to {PRICES_MAX} prices.")
    idempotency_key: str | None = strawberry.field(default=None, description=KEY_DESCRIPTION)


@strawberry.type(description="The recorded valuations.")
class RecordHoldingValuationsPayload(Payload):
    """The recorded valuations."""

    valuations: list[HoldingValuation] | None = strawberry.field(default=None, description="In the order given.")
    recalculations: list[HoldingRecalculation] | None = strawberry.field(
        default=None, description=RECALCULATIONS_DESCRIPTION
    )
    replayed: bool = strawberry.field(default=False, description=REPLAYED_DESCRIPTION)


@strawberry.type(description="The deleted valuation.")
class DeleteHoldingValuationPayload(Payload):
    """The deleted valuation."""

    deleted_id: strawberry.ID | None = strawberry.field(default=None, description="What is no longer there.")
    recalculations: list[HoldingRecalculation] | None = strawberry.field(
        default=None, description=RECALCULATIONS_DESCRIPTION
    )


@strawberry.type(description="The recorded prices.")
class RecordBenchmarkPricesPayload(Payload):
    """The recorded prices."""

    prices: list[BenchmarkPrice] | None = strawberry.field(default=None, description="In the order given.")
    replayed: bool = strawberry.field(default=False, description=REPLAYED_DESCRIPTION)


@strawberry.type
class ValuationMutation:
    """Writes to valuations and prices."""

    @strawberry.mutation(description="Records what holdings are worth, and computes the returns that it changes.")
    async def record_holding_valuations(
        self,
        info: Info,
        input: Annotated[RecordHoldingValuationsInput, strawberry.argument(description="The valuations.")],
    ) -> RecordHoldingValuationsPayload | None:
        """Records what holdings are worth."""
        new = [
            NewValuation(
                global_ids.decode_as("Holding", one.holding_id), one.valued_on, one.value_cents, one.expected_version
            )
            for one in input.valuations
        ]
        try:
            outcome = await write(
                info,
                lambda command: valuations.record_holding_valuations(command, new),
                Valued,
                key=input.idempotency_key,
                input_given=given(input),
            )
        except Refused as refused:
            return refusal(RecordHoldingValuationsPayload, refused)
        computed = await recalculations(info, outcome.result.holding_ids, is_wanted=input.recalculate)
        return RecordHoldingValuationsPayload(
            valuations=await load_many(info, "HoldingValuation", outcome.result.ids),
            recalculations=computed,
            replayed=outcome.replayed,
        )

    @strawberry.mutation(description="Deletes a valuation, with the returns that were computed from it.")
    async def delete_holding_valuation(
        self,
        info: Info,
        input: Annotated[DeleteHoldingValuationInput, strawberry.argument(description="The valuation.")],
    ) -> DeleteHoldingValuationPayload | None:
        """Deletes a valuation."""
        try:
            valuation_id = row_id("HoldingValuation", input.id, "id", "valuation")
            outcome = await write(
                info,
                lambda command: valuations.delete_holding_valuation(
                    command, valuation_id=valuation_id, expected_version=input.expected_version, reason=input.reason
                ),
                int,
            )
        except Refused as refused:
            return refusal(DeleteHoldingValuationPayload, refused)
        computed = await recalculations(info, [outcome.result], is_wanted=input.recalculate)
        return DeleteHoldingValuationPayload(deleted_id=input.id, recalculations=computed)

    @strawberry.mutation(description="Records prices of benchmarks.")
    async def record_benchmark_prices(
        self,
        info: Info,
        input: Annotated[RecordBenchmarkPricesInput, strawberry.argument(description="The prices.")],
    ) -> RecordBenchmarkPricesPayload | None:
        """Records prices of benchmarks."""
        new = [NewPrice(one.benchmark, one.priced_on, one.price) for one in input.prices]
        try:
            outcome = await write(
                info,
                lambda command: valuations.record_benchmark_prices(command, new),
                list[int],
                key=input.idempotency_key,
                input_given=given(input),
            )
        except Refused as refused:
            return refusal(RecordBenchmarkPricesPayload, refused)
        recorded = await load_many(info, "BenchmarkPrice", outcome.result)
        return RecordBenchmarkPricesPayload(prices=recorded, replayed=outcome.replayed)
