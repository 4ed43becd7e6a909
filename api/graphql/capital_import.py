"""Importing a capital history."""

from decimal import Decimal
from typing import Annotated

import strawberry

from api.domain.capital import NAME_LENGTH_MAX, NAME_LENGTH_MIN, NOTES_LENGTH_MAX
from api.domain.capital_entries import FIELDS, TEXT_LENGTH_MAX, read_entries, time_zone
from api.domain.money import Cents
from api.errors import Refused, invalid
from api.graphql.capital import GraphQLCapitalAction
from api.graphql.context import Info
from api.graphql.mutations import Payload, given, refusal, write
from api.services.capital_import import DryRun, Imported, import_history

ENTRIES_MAX = 10_000


@strawberry.input(description="An entry of a capital history, as it was kept elsewhere.")
class CapitalHistoryEntryInput:
    """An entry of a capital history, as it was kept elsewhere."""

    id: str = strawberry.field(
        description=f"The entry's own id there, by which it is known again: 1 to {TEXT_LENGTH_MAX} characters."
    )
    source_id: str = strawberry.field(
        description=f"The source's id there, its external key here: 1 to {TEXT_LENGTH_MAX} characters."
    )
    effective_date: str = strawberry.field(
        description="The day from which it counts, as YYYY-MM-DD, or a timestamp with its offset, which becomes the "
        "date that it has in the time zone. At the latest today (UTC)."
    )
    name: str = strawberry.field(
        description=f"The source's name, {NAME_LENGTH_MIN} to {NAME_LENGTH_MAX} characters; that of ADDED holds."
    )
    annual_rate: Decimal | None = strawberry.field(
        default=None, description="The annual rate as a fraction; needed by ADDED and RATE_CHANGED."
    )
    available_cents: Cents | None = strawberry.field(
        default=None, description="The amount; needed, and above 0, by ADDED and AMOUNT_CHANGED."
    )
    action: GraphQLCapitalAction = strawberry.field(description="What it does.")
    previous_rate: Decimal | None = strawberry.field(default=None, description="The annual rate before, if kept.")
    previous_amount: Cents | None = strawberry.field(default=None, description="The amount before, in cents, if kept.")
    notes: str | None = strawberry.field(
        default=None, description=f"For people, at most {NOTES_LENGTH_MAX} characters."
    )


@strawberry.input(description="A capital history to import, as a whole or not at all.")
class ImportCapitalHistoryInput:
    """A capital history to import."""

    entries: list[CapitalHistoryEntryInput] = strawberry.field(
        description=f"1 to {ENTRIES_MAX} entries, on one day in the order of what happened. Sources are made from "
        "those that say ADDED, in the organization's currency; an entry that was imported before is passed over."
    )
    dry_run: bool = strawberry.field(default=False, description="Whether to say what would be done, and do nothing.")
    time_zone: str = strawberry.field(
        default="UTC", description="The IANA name of the time zone in which timestamps become dates."
    )
    idempotency_key: str | None = strawberry.field(
        default=None, description="1 to 128 characters; see the README. A dry run leaves it free."
    )


@strawberry.type(description="What was imported.")
class ImportCapitalHistoryPayload(Payload):
    """What was imported."""

    imported_count: int | None = strawberry.field(
        default=None, description="How many entries were added, or would be; null where it was refused."
    )
    skipped_count: int | None = strawberry.field(
        default=None, description="How many entries were there already, the same; null where it was refused."
    )
    replayed: bool = strawberry.field(
        default=False, description="Whether an earlier request with the key imported them."
    )


@strawberry.type
class CapitalImportMutation:
    """Importing a capital history."""

    @strawberry.mutation(description="Imports a capital history: all of it or nothing.")
    async def import_capital_history(
        self, info: Info, input: Annotated[ImportCapitalHistoryInput, strawberry.argument(description="The history.")]
    ) -> ImportCapitalHistoryPayload | None:
        """Imports a capital history."""
        try:
            _check_count(len(input.entries))
            reading = read_entries([_as_in_a_file(entry) for entry in input.entries], time_zone(input.time_zone))
            outcome = await write(
                info,
                lambda command: import_history(command, reading, today=info.context.today, dry_run=input.dry_run),
                Imported,
                key=None if input.dry_run else input.idempotency_key,
                input_given=given(input),
            )
        except DryRun as dry:
            return _payload(dry.would)
        except Refused as refused:
            return refusal(ImportCapitalHistoryPayload, refused)
        return _payload(outcome.result, replayed=outcome.replayed)


def _check_count(count: int) -> None:
    if not 1 <= count <= ENTRIES_MAX:
        limit = f"1 to {ENTRIES_MAX}"
        raise Refused([invalid("entries", f"Import {limit} entries at once.", expected=limit, actual=str(count))])


def _as_in_a_file(entry: CapitalHistoryEntryInput) -> dict[str, object]:
    """The values by the names of a file, numbers as texts."""
    values = {name: getattr(entry, attribute) for name, attribute in FIELDS.items()}
    return values | {
        name: format(value, "f") if isinstance(value, Decimal) else str(value)
        for name, value in values.items()
        if isinstance(value, (Decimal, int))
    }


def _payload(imported: Imported, *, replayed: bool = False) -> ImportCapitalHistoryPayload:
    return ImportCapitalHistoryPayload(
        imported_count=imported.imported_count, skipped_count=imported.skipped_count, replayed=replayed
    )
