"""Writes to capital sources. None needs an expected version: what they do is decided by date and sequence."""

from collections.abc import Awaitable, Callable
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, TypeVar

import strawberry

from api.domain.capital import NAME_LENGTH_MAX, NAME_LENGTH_MIN, NOTES_LENGTH_MAX
from api.domain.money import Cents
from api.errors import Refused
from api.graphql.capital import CapitalHistoryEntry, CapitalSource
from api.graphql.context import Info
from api.graphql.mutations import KEY_DESCRIPTION, Payload, given, refusal, row_id, write
from api.graphql.objects import load
from api.graphql.scalars import CurrencyCode
from api.services import capital
from api.services.capital import EXTERNAL_KEY_LENGTH_MAX, Changed

SOURCE_DESCRIPTION = "The source."
EFFECTIVE_DESCRIPTION = (
    "The day from which it counts: today (UTC) at the latest, and one on which the source is active."
)
NOTES_DESCRIPTION = f"For people, at most {NOTES_LENGTH_MAX} characters."
AMOUNT_DESCRIPTION = "The amount, above 0."
RATE_DESCRIPTION = "The annual rate as a fraction, 0 or more: 0.14 is 14 %. At most six decimals."


@strawberry.input(description="A capital source to add.")
class AddCapitalSourceInput:
    """A capital source to add."""

    external_key: str | None = strawberry.field(
        default=None,
        description=f"What it is called elsewhere, 1 to {EXTERNAL_KEY_LENGTH_MAX} characters; unique. Else made up.",
    )
    name: str = strawberry.field(description=f"Its name, {NAME_LENGTH_MIN} to {NAME_LENGTH_MAX} characters.")
    annual_rate: Decimal = strawberry.field(description=RATE_DESCRIPTION)
    available_cents: Cents = strawberry.field(description=AMOUNT_DESCRIPTION)
    currency: CurrencyCode | None = strawberry.field(
        default=None, description="The organization's currency; no other is taken."
    )
    effective_on: date = strawberry.field(description="The first day on which it counts: today (UTC) at the latest.")
    notes: str | None = strawberry.field(default=None, description=NOTES_DESCRIPTION)
    idempotency_key: str | None = strawberry.field(default=None, description=KEY_DESCRIPTION)


@strawberry.input(description="A source's amount from a day on.")
class UpdateCapitalAmountInput:
    """A source's amount from a day on."""

    source_id: strawberry.ID = strawberry.field(description=SOURCE_DESCRIPTION)
    available_cents: Cents = strawberry.field(description=AMOUNT_DESCRIPTION)
    effective_on: date = strawberry.field(description=EFFECTIVE_DESCRIPTION)
    notes: str | None = strawberry.field(default=None, description=NOTES_DESCRIPTION)
    idempotency_key: str | None = strawberry.field(default=None, description=KEY_DESCRIPTION)


@strawberry.input(description="A source's annual rate from a day on.")
class UpdateCapitalRateInput:
    """A source's annual rate from a day on."""

    source_id: strawberry.ID = strawberry.field(description=SOURCE_DESCRIPTION)
    annual_rate: Decimal = strawberry.field(description=RATE_DESCRIPTION)
    effective_on: date = strawberry.field(description=EFFECTIVE_DESCRIPTION)
    notes: str | None = strawberry.field(default=None, description=NOTES_DESCRIPTION)
    idempotency_key: str | None = strawberry.field(default=None, description=KEY_DESCRIPTION)


@strawberry.input(description="A source to remove, for good.")
class RemoveCapitalSourceInput:
    """A source to remove, for good."""

    source_id: strawberry.ID = strawberry.field(description=SOURCE_DESCRIPTION)
    effective_on: date = strawberry.field(
        description="The first day on which it no longer counts: today (UTC) at the latest; it must be active on it."
    )
    notes: str | None = strawberry.field(default=None, description=NOTES_DESCRIPTION)
    idempotency_key: str | None = strawberry.field(default=None, description=KEY_DESCRIPTION)


@strawberry.interface(description="A changed capital source, and the entry of its history that says how.")
class CapitalPayload(Payload):
    """A changed capital source, and the entry of its history that says how."""

    source: CapitalSource | None = strawberry.field(default=None, description="The source as it is now.")
    entry: CapitalHistoryEntry | None = strawberry.field(default=None, description="The entry of its history.")
    replayed: bool = strawberry.field(default=False, description="Whether an earlier request with the key made it.")


@strawberry.type(description="The added source.")
class AddCapitalSourcePayload(CapitalPayload):
    """The added source."""


@strawberry.type(description="The source whose amount was set.")
class UpdateCapitalAmountPayload(CapitalPayload):
    """The source whose amount was set."""


@strawberry.type(description="The source whose rate was set.")
class UpdateCapitalRatePayload(CapitalPayload):
    """The source whose rate was set."""


@strawberry.type(description="The removed source.")
class RemoveCapitalSourcePayload(CapitalPayload):
    """The removed source."""


P = TypeVar("P", bound=CapitalPayload)


async def _write(info: Info, service: Callable[..., Awaitable[Changed]], input: Any, payload: type[P]) -> P:
    """Runs the service with the input's values, and shows what it changed."""
    values = given(input)
    arguments = values | {"today": info.context.today}
    parent = ""
    try:
        if "source_id" in values:
            arguments["source_id"] = row_id("CapitalSource", values["source_id"], "source_id", "capital source")
            parent = str(arguments["source_id"])
        outcome = await write(
            info,
            lambda command: service(command, **arguments),
            Changed,
            key=input.idempotency_key,
            input_given=values,
            parent=parent,
        )
    except Refused as refused:
        return refusal(payload, refused)
    return payload(
        source=await load(info, "CapitalSource", outcome.result.source_id),
        entry=await load(info, "CapitalHistoryEntry", outcome.result.entry_id),
        replayed=outcome.replayed,
    )


@strawberry.type
class CapitalMutation:
    """Writes to capital sources."""

    @strawberry.mutation(description="Adds a capital source.")
    async def add_capital_source(
        self, info: Info, input: Annotated[AddCapitalSourceInput, strawberry.argument(description="The source.")]
    ) -> AddCapitalSourcePayload | None:
        """Adds a capital source."""
        return await _write(info, capital.add_capital_source, input, AddCapitalSourcePayload)

    @strawberry.mutation(description="Sets a capital source's amount from a day on; its rate stays as it is.")
    async def update_capital_amount(
        self, info: Info, input: Annotated[UpdateCapitalAmountInput, strawberry.argument(description="The amount.")]
    ) -> UpdateCapitalAmountPayload | None:
        """Sets a capital source's amount from a day on."""
        return await _write(info, capital.update_capital_amount, input, UpdateCapitalAmountPayload)

    @strawberry.mutation(description="Sets a capital source's annual rate from a day on; its amount stays as it is.")
    async def update_capital_rate(
        self, info: Info, input: Annotated[UpdateCapitalRateInput, strawberry.argument(description="The rate.")]
    ) -> UpdateCapitalRatePayload | None:
        """Sets a capital source's annual rate from a day on."""
        return await _write(info, capital.update_capital_rate, input, UpdateCapitalRatePayload)

    @strawberry.mutation(
        description="Removes a capital source from a day on, for good. Earlier days can still be corrected."
    )
    async def remove_capital_source(
        self, info: Info, input: Annotated[RemoveCapitalSourceInput, strawberry.argument(description="The source.")]
    ) -> RemoveCapitalSourcePayload | None:
        """Removes a capital source from a day on, for good."""
        return await _write(info, capital.remove_capital_source, input, RemoveCapitalSourcePayload)
