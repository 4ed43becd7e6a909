"""Activities and valuations of a portfolio, from and to CSV files."""

import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from pydantic import TypeAdapter

from api.cli.databases import organization_of, with_database
from api.cli.files import Slug
from api.config import load_settings
from api.db.pools import Database, Snapshot
from api.domain import flow_file
from api.domain.access import Principal, Role
from api.domain.flow_rows import DAY_PATTERN, FileForm, day_pattern, places_of
from api.errors import ConfigurationError
from api.reads import flow_export, global_ids
from api.reads.flow_export import FoundPortfolio
from api.services import flow_import
from api.services.commands import Command, Outcome, Writer
from api.services.flow_import import DryRun, Imported, Source
from api.services.recalculation import Recalculation, RecalculationStatus, recalculate

T = TypeVar("T")


class Amounts(StrEnum):
    """How a file tells which way money went."""

    TYPED = "typed"
    SIGNED = "signed"


class Unit(StrEnum):
    """What a file counts amounts in."""

    DECIMAL = "decimal"
    CENTS = "cents"


File = Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A CSV; the README lists its columns.")]
PortfolioName = Annotated[str, typer.Option("--portfolio", help="The portfolio's name, or its id.")]
DateFormat = Annotated[str, typer.Option("--date-format", help="How days are written: such as DD.MM.YYYY or M/D/YYYY.")]
UnitOption = Annotated[
    Unit, typer.Option("--unit", help="What amounts are in: the currency, with its decimals, or whole cents.")
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]


def import_activities(
    file: File,
    portfolio: PortfolioName,
    organization: Slug,
    amounts: Annotated[
        Amounts,
        typer.Option("--amounts", help="Positive amounts whose type tells the way, or signed: below 0 is money in."),
    ] = Amounts.TYPED,
    unit: UnitOption = Unit.DECIMAL,
    date_format: DateFormat = DAY_PATTERN,
    dry_run: DryRunOption = False,
) -> None:
    """Imports activities of a portfolio's holdings, as a whole or not at all; a file that was imported adds nothing."""
    asked = _Import(file, portfolio, organization, unit, date_format, amounts is Amounts.SIGNED, dry_run)
    _import(asked, "importActivities", flow_file.read_activities, flow_import.import_activities, "activities")


def import_valuations(
    file: File,
    portfolio: PortfolioName,
    organization: Slug,
    unit: UnitOption = Unit.DECIMAL,
    date_format: DateFormat = DAY_PATTERN,
    dry_run: DryRunOption = False,
) -> None:
    """Imports valuations of a portfolio's holdings, as a whole or not at all; a file that was imported adds nothing."""
    asked = _Import(file, portfolio, organization, unit, date_format, False, dry_run)
    _import(asked, "importValuations", flow_file.read_valuations, flow_import.import_valuations, "valuations")


def export_activities(portfolio: PortfolioName, organization: Slug) -> None:
    """Prints the activities of a portfolio as a CSV, in the order they were recorded, for import activities to read."""
    _export(portfolio, organization, flow_export.read_activities, flow_file.write_activities)


def export_valuations(portfolio: PortfolioName, organization: Slug) -> None:
    """Prints the valuations of a portfolio as a CSV, for import valuations to read."""
    _export(portfolio, organization, flow_export.read_valuations, flow_file.write_valuations)


@dataclass(frozen=True, slots=True)
class _Import:
    """What was asked for on the command line."""

    file: Path
    portfolio: str
    organization: str
    unit: Unit
    date_format: str
    is_signed: bool
    dry_run: bool


def _import(
    asked: _Import,
    action: str,
    read: Callable[[bytes, FileForm], Sequence[Any]],
    store: Callable[..., Awaitable[Imported]],
    noun: str,
) -> None:
    days = day_pattern(asked.date_format)

    async def run(owner_url: str, database: Database) -> tuple[Outcome[Imported], list[Recalculation]]:
        principal = Principal(await organization_of(owner_url, asked.organization), None, Role.ADMIN)
        portfolio = await _with_portfolio(database, principal.organization_id, asked.portfolio, _found)
        places = 0 if asked.unit is Unit.CENTS else places_of(portfolio.currency)
        rows = read(asked.file.read_bytes(), FileForm(places, asked.is_signed, days))
        typer.echo(f"{len(rows)} rows read", err=True)
        source = Source(portfolio.id, asked.file.name, partial(global_ids.decode_as, "Holding"))

        async def work(command: Command) -> Imported:
            return await store(command, rows, source, dry_run=asked.dry_run, progress=_show)

        writer = Writer(database, flow_import.KEY_DAYS)
        claim = flow_import.claim_of(portfolio.id, rows)
        outcome = await writer.run(principal, action, work, result_type=TypeAdapter(Imported), claim=claim)
        if sys.stderr.isatty():
            typer.echo("", err=True)
        return outcome, await recalculate(writer, principal, holding_ids=outcome.result.holding_ids)

    try:
        outcome, recalculated = with_database(load_settings(), run)
    except DryRun as dry:
        typer.echo(f"Would add {dry.would.row_count} {noun}.")
        return
    if outcome.replayed:
        typer.echo("Nothing was added: the file had been imported before.")
    else:
        typer.echo(f"Added {outcome.result.row_count} {noun}.")
    _tell(recalculated)


def _show(count: int) -> None:
    """How many rows so far: on one line of a terminal, elsewhere a line for each batch."""
    is_terminal = sys.stderr.isatty()
    typer.echo(f"{chr(13) if is_terminal else ''}{count} rows", err=True, nl=not is_terminal)


def _tell(recalculated: Sequence[Recalculation]) -> None:
    """What became of the stored returns."""
    behind = [one for one in recalculated if one.status is not RecalculationStatus.OK]
    if recalculated and not behind:
        typer.echo(f"The returns of {len(recalculated)} holdings are current.")
    for one in behind:
        holding_id = global_ids.encode("Holding", one.holding_id)
        typer.echo(f"The returns of holding {holding_id} are {one.status}: {one.reason}", err=True)


def _export(
    name: str,
    organization: str,
    read: Callable[..., Awaitable[list[Any]]],
    write: Callable[[list[Any], int], bytes],
) -> None:
    async def run(owner_url: str, database: Database) -> bytes:
        async def export(snapshot: Snapshot, portfolio: FoundPortfolio) -> bytes:
            rows = await read(snapshot, portfolio.id, progress=_show)
            return write(rows, places_of(portfolio.currency))

        return await _with_portfolio(database, await organization_of(owner_url, organization), name, export)

    typer.echo(with_database(load_settings(), run), nl=False)


async def _found(_snapshot: Snapshot, portfolio: FoundPortfolio) -> FoundPortfolio:
    return portfolio


async def _with_portfolio(
    database: Database, organization_id: int, name: str, work: Callable[[Snapshot, FoundPortfolio], Awaitable[T]]
) -> T:
    snapshot = Snapshot(database, organization_id)
    try:
        portfolio = await flow_export.find_portfolio(snapshot, name)
        if portfolio is None:
            raise ConfigurationError(f"There is no portfolio {name}.")
        return await work(snapshot, portfolio)
    finally:
        await snapshot.close()
