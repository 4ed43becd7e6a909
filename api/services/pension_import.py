"""Importing a public-pension file: portfolios, funds, holdings, statements, as one operation that can be repeated."""

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import islice
from pathlib import Path
from typing import TextIO

from api.domain.pension_file import COLUMNS, CURRENCY, BadCell, ReportedStatement, read_row
from api.errors import ErrorCode, Problem, Refused
from api.services.audit import Subject
from api.services.commands import Command
from api.services.statements import FIGURES, NewStatement, insert_statements

CHUNK_ROWS = 500
PROBLEMS_MAX = 1000


@dataclass(frozen=True, slots=True)
class Imported:
    """How many rows an import added to each table, and how many statements were there already, the same."""

    portfolios: int = 0
    funds: int = 0
    holdings: int = 0
    statements: int = 0
    unchanged: int = 0

    @property
    def rows(self) -> int:
        """How many rows of the file have been dealt with."""
        return self.statements + self.unchanged


def open_file(path: Path) -> TextIO:
    """The file's lines for ``import_statements``: bytes that are not UTF-8 get through, to be refused by cell."""
    return path.open(encoding="utf-8-sig", errors="surrogateescape", newline="")


async def import_statements(
    command: Command, lines: Iterable[str], *, source: str, progress: Callable[[Imported], None]
) -> Imported:
    """Imports a pension file, streamed, as a whole or not at all; what is there already stays and is counted.

    A fund is known by its name and vintage year, a portfolio by its name. Raises Refused with every bad cell: ``field``
    is its column and ``index`` its line.
    """
    imported = Imported()
    bad: list[BadCell] = []
    for chunk in _chunks(_read_rows(lines)):
        statements = []
        for row in chunk:
            if isinstance(row, ReportedStatement):
                statements.append(row)
            else:
                bad.extend(row)
        if len(bad) > PROBLEMS_MAX:
            break
        if statements:
            imported = await _import_chunk(command, statements, imported, bad)
        progress(imported)
    if bad:
        raise Refused(
            [
                Problem(
                    ErrorCode.INVALID_INPUT,
                    f"line {cell.line}, {cell.column}: {cell.message}",
                    (cell.column,),
                    cell.line,
                )
                for cell in bad[:PROBLEMS_MAX]
            ]
        )
    after = {"source": source, "portfolios": imported.portfolios, "funds": imported.funds}
    after |= {"holdings": imported.holdings, "statements": imported.statements, "unchanged": imported.unchanged}
    command.record("statements.imported", Subject("Organization", command.organization_id), after=after)
    return imported


def _chunks(rows: Iterator[ReportedStatement | list[BadCell]]) -> Iterator[list[ReportedStatement | list[BadCell]]]:
    while chunk := list(islice(rows, CHUNK_ROWS)):
        yield chunk


def _read_rows(lines: Iterable[str]) -> Iterator[ReportedStatement | list[BadCell]]:
    """Each row of the file, or what is wrong with it; raises Refused where the columns are not those of such a file."""
    reader = csv.reader(lines, strict=True)
    try:
        header = next(reader, [])
        missing = [column for column in COLUMNS if column not in header]
        if missing:
            message = f"line 1: the file has no column {', '.join(missing)}"
            raise Refused([Problem(ErrorCode.INVALID_INPUT, message, (column,), 1) for column in missing])
        for cells in reader:
            if not cells:
                continue
            if len(cells) != len(header):
                message = f"{len(cells)} cells where the header has {len(header)}"
                yield [BadCell(reader.line_num, header[0], message)]
            else:
                yield read_row(reader.line_num, dict(zip(header, cells, strict=True)))
    except csv.Error as error:
        yield [BadCell(reader.line_num, COLUMNS[0], str(error))]


async def _import_chunk(
    command: Command, rows: Sequence[ReportedStatement], imported: Imported, bad: list[BadCell]
) -> Imported:
    """Adds what the rows name and is not there yet: portfolios, funds, holdings, statements, one statement each."""
    portfolios, portfolios_added = await _portfolio_ids(command, rows, bad)
    funds, funds_added = await _fund_ids(command, rows, bad)
    rows = [row for row in rows if row.portfolio_name in portfolios and (row.fund_name, row.vintage_year) in funds]
    positions = [(portfolios[row.portfolio_name], funds[row.fund_name, row.vintage_year]) for row in rows]
    holdings, holdings_added = await _holding_ids(command, rows, positions)
    statements = [
        NewStatement(
            holdings[position],
            row.as_of,
            row.committed_cents,
            row.paid_in_cents,
            row.distributed_cents,
            row.nav_cents,
            row.reported_irr,
            row.reported_multiple,
        )
        for row, position in zip(rows, positions, strict=True)
    ]
    first: dict[tuple[int | None, date], NewStatement] = {}
    for statement in statements:
        first.setdefault((statement.holding_id, statement.as_of), statement)
    ids = dict(zip(first, await insert_statements(command, list(first.values())), strict=True))
    added = sum(row_id is not None for row_id in ids.values())
    repeated = [
        (row.line, statement)
        for row, statement in zip(rows, statements, strict=True)
        if first[key := (statement.holding_id, statement.as_of)] is not statement or ids[key] is None
    ]
    await _compare_repeated(command, repeated, bad)
    return Imported(
        imported.portfolios + portfolios_added,
        imported.funds + funds_added,
        imported.holdings + holdings_added,
        imported.statements + added,
        imported.unchanged + len(repeated),
    )


async def _portfolio_ids(
    command: Command, rows: Sequence[ReportedStatement], bad: list[BadCell]
) -> tuple[dict[str, int], int]:
    """The ids of the portfolios by name, and how many of them are new."""
    names = sorted({row.portfolio_name for row in rows})
    added = await command.connection.execute(
        """
        INSERT INTO portfolios (organization_id, name, currency) SELECT $1, name, $3 FROM unnest($2::text[]) AS name
        ON CONFLICT (organization_id, name) DO NOTHING
        """,
        command.organization_id,
        names,
        CURRENCY,
    )
    found = await command.connection.fetch(
        "SELECT id, name, currency FROM portfolios WHERE organization_id = $1 AND name = ANY ($2)",
        command.organization_id,
        names,
    )
    other = {row["name"] for row in found if row["currency"] != CURRENCY}
    bad += [
        BadCell(row.line, "pension_fund_name", f"the portfolio is not in {CURRENCY}")
        for row in rows
        if row.portfolio_name in other
    ]
    return {row["name"]: row["id"] for row in found if row["name"] not in other}, _count(added)


async def _fund_ids(
    command: Command, rows: Sequence[ReportedStatement], bad: list[BadCell]
) -> tuple[dict[tuple[str, int | None], int], int]:
    """The ids of the funds by name and vintage year, and how many of them are new."""
    named: dict[tuple[str, int | None], ReportedStatement] = {}
    for row in rows:
        named.setdefault((row.fund_name, row.vintage_year), row)
    funds = list(named.values())
    names, years = [fund.fund_name for fund in funds], [fund.vintage_year for fund in funds]
    added = await command.connection.execute(
        """
        INSERT INTO funds (organization_id, name, vintage_year, general_partner, strategy, currency)
        SELECT $1, fund.*, $6 FROM unnest($2::text[], $3::smallint[], $4::text[], $5::text[]) AS fund
        ON CONFLICT (organization_id, name, vintage_year) DO NOTHING
        """,
        command.organization_id,
        names,
        years,
        [fund.general_partner for fund in funds],
        [fund.strategy for fund in funds],
        CURRENCY,
    )
    found = await command.connection.fetch(
        """
        SELECT fund.id, fund.name, fund.vintage_year, fund.currency FROM funds AS fund
        JOIN unnest($2::text[], $3::smallint[]) AS named (name, vintage_year)
          ON fund.name = named.name AND fund.vintage_year IS NOT DISTINCT FROM named.vintage_year
        WHERE fund.organization_id = $1
        """,
        command.organization_id,
        names,
        years,
    )
    other = {(row["name"], row["vintage_year"]) for row in found if row["currency"] != CURRENCY}
    bad += [
        BadCell(row.line, "fund_name", f"the fund is not in {CURRENCY}")
        for row in rows
        if (row.fund_name, row.vintage_year) in other
    ]
    ids = {(row["name"], row["vintage_year"]): row["id"] for row in found}
    return {identity: fund_id for identity, fund_id in ids.items() if identity not in other}, _count(added)


async def _holding_ids(
    command: Command, rows: Sequence[ReportedStatement], positions: Sequence[tuple[int, int]]
) -> tuple[dict[tuple[int, int], int], int]:
    """The ids of the holdings by portfolio and fund, and how many are new; these get their first row's commitment."""
    commitments: dict[tuple[int, int], int | None] = {}
    for row, position in zip(rows, positions, strict=True):
        commitments.setdefault(position, row.committed_cents)
    portfolio_ids = [portfolio_id for portfolio_id, _ in commitments]
    fund_ids = [fund_id for _, fund_id in commitments]
    added = await command.connection.execute(
        """
        INSERT INTO portfolio_funds (organization_id, portfolio_id, fund_id, commitment_cents)
        SELECT $1, holding.* FROM unnest($2::bigint[], $3::bigint[], $4::bigint[]) AS holding
        ON CONFLICT (organization_id, portfolio_id, fund_id) DO NOTHING
        """,
        command.organization_id,
        portfolio_ids,
        fund_ids,
        list(commitments.values()),
    )
    found = await command.connection.fetch(
        """
        SELECT holding.id, holding.portfolio_id, holding.fund_id FROM portfolio_funds AS holding
        JOIN unnest($2::bigint[], $3::bigint[]) AS named (portfolio_id, fund_id) USING (portfolio_id, fund_id)
        WHERE holding.organization_id = $1
        """,
        command.organization_id,
        portfolio_ids,
        fund_ids,
    )
    return {(row["portfolio_id"], row["fund_id"]): row["id"] for row in found}, _count(added)


async def _compare_repeated(command: Command, repeated: Sequence[tuple[int, NewStatement]], bad: list[BadCell]) -> None:
    """Reports the statements that are there already with other figures: an import adds, it never changes."""
    if not repeated:
        return
    found = await command.connection.fetch(
        """
        SELECT statement.* FROM holding_statements AS statement
        JOIN unnest($2::bigint[], $3::date[]) AS named (holding_id, as_of) USING (holding_id, as_of)
        WHERE statement.organization_id = $1
        """,
        command.organization_id,
        [statement.holding_id for _, statement in repeated],
        [statement.as_of for _, statement in repeated],
    )
    stored = {(row["holding_id"], row["as_of"]): row for row in found}
    for line, statement in repeated:
        row = stored[statement.holding_id, statement.as_of]
        other = [figure for figure in FIGURES if row[figure] != getattr(statement, figure)]
        if other:
            message = f"there is a statement of this date with another {', '.join(other)}"
            bad.append(BadCell(line, "as_of_date", message))


def _count(status: str) -> int:
    """The number of rows in a status like ``INSERT 0 5``."""
    return int(status.rsplit(" ", 1)[1])
