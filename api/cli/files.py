"""Files in and out: statements of pension funds, and capital histories."""

import sys
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from pydantic import TypeAdapter

from api.cli.databases import organization_of, with_database
from api.config import load_settings
from api.db.pools import Database, Snapshot
from api.domain import capital_file
from api.domain.access import Principal, Role
from api.domain.capital_entries import FileEntry, time_zone
from api.reads import capital_export
from api.services import capital_import, pension_import
from api.services.commands import Command, Writer

import_commands = typer.Typer(no_args_is_help=True, help="Importing files.")
export_commands = typer.Typer(no_args_is_help=True, help="Exporting files.")

Slug = Annotated[str, typer.Option("--organization", help="The organization's slug.")]


class FileFormat(StrEnum):
    """How a file of capital history is written."""

    JSON = "json"
    CSV = "csv"


@import_commands.command("statements")
def import_statements(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A public-pension CSV.")], organization: Slug
) -> None:
    """Imports a file of public-pension commitments; what is there already stays."""

    def show(imported: pension_import.Imported) -> None:
        is_terminal = sys.stderr.isatty()
        typer.echo(f"{chr(13) if is_terminal else ''}{imported.rows} rows", err=True, nl=not is_terminal)

    async def run(owner_url: str, database: Database) -> pension_import.Imported:
        principal = Principal(await organization_of(owner_url, organization), None, Role.ADMIN)
        with pension_import.open_file(file) as lines:

            async def work(command: Command) -> pension_import.Imported:
                lines.seek(0)
                return await pension_import.import_statements(command, lines, source=file.name, progress=show)

            outcome = await Writer(database).run(
                principal, "importStatements", work, result_type=TypeAdapter(pension_import.Imported)
            )
            return outcome.result

    try:
        imported = with_database(load_settings(), run)
    finally:
        typer.echo("", err=True)
    typer.echo(
        f"Added {imported.portfolios} portfolios, {imported.funds} funds, {imported.holdings} holdings and "
        f"{imported.statements} statements; {imported.unchanged} statements were there already."
    )
    if imported.statements == 0:
        typer.echo("Nothing was added: the file had been imported before.")


@import_commands.command("capital")
def import_capital(
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="A capital history: JSON, or CSV by its name's end.")
    ],
    organization: Slug,
    zone: Annotated[str, typer.Option("--time-zone", help="The zone in which timestamps become dates.")] = "UTC",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")] = False,
) -> None:
    """Imports a capital history, as a whole or not at all; what is there already stays."""
    read_file = capital_file.read_csv if file.suffix.lower() == ".csv" else capital_file.read_json
    reading = read_file(file.read_bytes(), time_zone(zone))
    typer.echo(f"{len(reading.entries)} entries read", err=True)

    def show(would: capital_import.Imported) -> None:
        typer.echo(f"{would.imported_count} new, {would.skipped_count} there already", err=True)

    async def run(owner_url: str, database: Database) -> capital_import.Imported:
        async def work(command: Command) -> capital_import.Imported:
            today = datetime.now(UTC).date()
            return await capital_import.import_history(
                command, reading, today=today, dry_run=dry_run, source=file.name, progress=show
            )

        principal = Principal(await organization_of(owner_url, organization), None, Role.ADMIN)
        result_type = TypeAdapter(capital_import.Imported)
        return (await Writer(database).run(principal, "importCapitalHistory", work, result_type=result_type)).result

    try:
        imported = with_database(load_settings(), run)
    except capital_import.DryRun as dry:
        would = dry.would
        typer.echo(f"Would add {would.imported_count} entries; {would.skipped_count} are there already.")
        return
    typer.echo(f"Added {imported.imported_count} entries; {imported.skipped_count} were there already.")


@export_commands.command("capital")
def export_capital(
    organization: Slug,
    file_format: Annotated[FileFormat, typer.Option("--format", help="How it is written.")] = FileFormat.JSON,
) -> None:
    """Prints an organization's capital history, in the order in which it was recorded, for import capital to read."""

    def show(count: int) -> None:
        typer.echo(f"{count} entries", err=True)

    async def run(owner_url: str, database: Database) -> list[FileEntry]:
        snapshot = Snapshot(database, await organization_of(owner_url, organization))
        try:
            return await capital_export.read_history(snapshot, progress=show)
        finally:
            await snapshot.close()

    entries = with_database(load_settings(), run)
    write_file = capital_file.write_json if file_format is FileFormat.JSON else capital_file.write_csv
    typer.echo(write_file(entries), nl=False)
