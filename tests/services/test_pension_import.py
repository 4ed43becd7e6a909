"""Importing a public-pension file: what it adds, what it refuses, and that it can be repeated."""

import csv
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from api.domain.access import Principal, Role
from api.domain.pension_file import COLUMNS
from api.errors import Problem, Refused
from api.services import pension_import
from api.services.commands import Command, Writer
from api.services.pension_import import Imported
from tests.server import RunningServer

GOOD = {
    "pension_fund_name": "CalPERS",
    "fund_name": "Bay I",
    "general_partner": "Bay",
    "asset_class": "Private Equity",
    "sub_strategy": "",
    "vintage_year": "2019",
    "commitment_mm": "100",
    "capital_called_mm": "60",
    "capital_distributed_mm": "15",
    "remaining_value_mm": "50",
    "net_irr": "",
    "net_multiple": "1.083333",
    "as_of_date": "2025-03-31",
}
PENSION_FILE = Path(
    os.environ.get("TRANCHE_PENSION_FILE")
    or Path(__file__).parents[2] / "../shared/data/us-public-pension-commitments.csv"
)
COMMITTED = """
query ($asOf: Date!) {
  portfolios { totalCount nodes { name holdings { totalCount } totals(asOf: $asOf) { committedCents } } }
}
"""
TABLES = ("portfolios", "funds", "portfolio_funds", "holding_statements")


def written(path: Path, rows: Iterable[dict[str, str]]) -> Path:
    """A file of these rows, each the good one with other cells."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(GOOD | row for row in rows)
    return path


async def run(server: RunningServer, lines: Iterable[str], *, progress: Any = lambda _: None) -> Imported:
    async def work(command: Command) -> Imported:
        return await pension_import.import_statements(command, lines, source="test.csv", progress=progress)

    principal = Principal(server.organization_ids["alpha"], None, Role.ADMIN)
    outcome = await Writer(server.database).run(principal, "importStatements", work, result_type=TypeAdapter(Imported))
    return outcome.result


async def imported(server: RunningServer, path: Path) -> Imported:
    with pension_import.open_file(path) as lines:
        return await run(server, lines)


async def refusal(server: RunningServer, path: Path) -> list[Problem]:
    """The problems, after looking that nothing was written."""
    before = await counts(server)
    with pytest.raises(Refused) as caught:
        await imported(server, path)
    assert await counts(server) == before
    return list(caught.value.problems)


async def cells(server: RunningServer, path: Path) -> list[tuple[int | None, str]]:
    """Line and column of everything that a refused file is refused for."""
    return [(problem.index, problem.field[0] if problem.field else "") for problem in await refusal(server, path)]


async def counts(server: RunningServer) -> tuple[int, ...]:
    tables = (*TABLES, "audit_events")
    return tuple(await server.owner.fetchrow(f"SELECT {', '.join(f'(SELECT count(*) FROM {t})' for t in tables)}"))


async def test_import_adds_what_the_file_names(server: RunningServer, tmp_path: Path) -> None:
    rows = [
        {},
        {"as_of_date": "2025-06-30"},
        {"fund_name": "Bay II", "vintage_year": "2021"},
        {"pension_fund_name": "NY Common", "commitment_mm": "7"},
    ]
    assert await imported(server, written(tmp_path / "f.csv", rows)) == Imported(2, 2, 3, 4, 0)
    fund = await server.owner.fetchrow("SELECT * FROM funds WHERE name = 'Bay I'")
    assert (fund["vintage_year"], fund["currency"], fund["size_cents"], fund["strategy"], fund["general_partner"]) == (
        2019,
        "USD",
        None,
        "Private Equity",
        "Bay",
    )
    statement = await server.owner.fetchrow("SELECT * FROM holding_statements ORDER BY id LIMIT 1")
    assert [statement[name] for name in ("committed_cents", "paid_in_cents", "distributed_cents", "nav_cents")] == [
        10_000_000_000,
        6_000_000_000,
        1_500_000_000,
        5_000_000_000,
    ]
    assert statement["reported_irr"] is None
    assert str(statement["reported_multiple"]) == "1.083333"
    body = await server.owner.fetchval(
        "SELECT body::jsonb -> 'after' FROM audit_events WHERE action = 'statements.imported'"
    )
    assert all(part in body for part in ('"funds": 2', '"source": "test.csv"', '"statements": 4', '"unchanged": 0'))


async def test_second_run_adds_nothing_and_says_so(server: RunningServer, tmp_path: Path) -> None:
    path = written(tmp_path / "f.csv", [{}, {"fund_name": "Bay II", "net_irr": "0.1234567"}])
    assert await imported(server, path) == Imported(1, 2, 2, 2, 0)
    before = (await counts(server))[:4]
    assert await imported(server, path) == Imported(0, 0, 0, 0, 2)
    assert (await counts(server))[:4] == before


async def test_fund_without_a_vintage_year_is_one_fund(server: RunningServer, tmp_path: Path) -> None:
    rows = [{"vintage_year": ""}, {"vintage_year": "", "as_of_date": "2025-06-30"}, {"vintage_year": "2019"}]
    path = written(tmp_path / "f.csv", rows)
    assert await imported(server, path) == Imported(1, 2, 2, 3, 0)
    assert await imported(server, path) == Imported(0, 0, 0, 0, 3)


async def test_holding_keeps_the_commitment_of_its_first_row(
    server: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{}, {"as_of_date": "2025-06-30", "commitment_mm": "999"}]
    await imported(server, written(tmp_path / "f.csv", rows))
    monkeypatch.setattr(pension_import, "CHUNK_ROWS", 1)
    await imported(server, written(tmp_path / "g.csv", [row | {"fund_name": "Bay II"} for row in rows]))
    found = await server.owner.fetch("SELECT commitment_cents FROM portfolio_funds")
    assert [row[0] for row in found] == [10_000_000_000, 10_000_000_000]


async def test_negative_distributions_and_nav_are_kept(server: RunningServer, tmp_path: Path) -> None:
    await imported(
        server, written(tmp_path / "f.csv", [{"capital_distributed_mm": "-1", "remaining_value_mm": "-0.000000005"}])
    )
    row = await server.owner.fetchrow("SELECT distributed_cents, nav_cents FROM holding_statements")
    assert tuple(row) == (-100_000_000, -1)


@pytest.mark.parametrize("column", ["commitment_mm", "remaining_value_mm", "net_irr", "net_multiple"])
async def test_changed_figure_is_refused_by_its_line(server: RunningServer, tmp_path: Path, column: str) -> None:
    await imported(server, written(tmp_path / "f.csv", [{}]))
    rows = [{"fund_name": "New"}, {column: "0.5"}]
    (problem,) = await refusal(server, written(tmp_path / "g.csv", rows))
    assert (problem.index, problem.field) == (3, ("as_of_date",))
    stored = {"commitment_mm": "committed_cents", "remaining_value_mm": "nav_cents"}.get(
        column, f"reported_{column[4:]}"
    )
    assert problem.message == f"line 3, as_of_date: there is a statement of this date with another {stored}"


@pytest.mark.parametrize("chunk_rows", [1, 500])
async def test_row_repeated_inside_the_file_counts_once(
    server: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk_rows: int
) -> None:
    monkeypatch.setattr(pension_import, "CHUNK_ROWS", chunk_rows)
    assert await imported(server, written(tmp_path / "f.csv", [{}, {}])) == Imported(1, 1, 1, 1, 1)
    path = written(tmp_path / "g.csv", [{"fund_name": "X"}, {"fund_name": "X", "commitment_mm": "1"}])
    assert await cells(server, path) == [(3, "as_of_date")]


async def test_every_bad_row_is_reported_and_nothing_written(server: RunningServer, tmp_path: Path) -> None:
    rows = [{}, {"commitment_mm": "x", "as_of_date": "?"}, {"fund_name": "Bay II"}, {"vintage_year": "19"}]
    assert await cells(server, written(tmp_path / "f.csv", rows)) == [
        (3, "as_of_date"),
        (3, "commitment_mm"),
        (5, "vintage_year"),
    ]


async def test_no_more_than_a_thousand_problems_are_reported(server: RunningServer, tmp_path: Path) -> None:
    rows = ({"commitment_mm": "x"} for _ in range(2600))
    assert len(await refusal(server, written(tmp_path / "f.csv", rows))) == 1000


async def test_missing_columns_are_named(server: RunningServer, tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    path.write_text(",".join(column for column in COLUMNS if column not in ("net_irr", "as_of_date")) + "\n")
    assert await cells(server, path) == [(1, "net_irr"), (1, "as_of_date")]
    path.write_text("")
    assert await cells(server, path) == [(1, column) for column in COLUMNS]


async def test_row_of_another_length_than_the_header_is_refused(server: RunningServer, tmp_path: Path) -> None:
    path = written(tmp_path / "f.csv", [{}])
    path.write_text(path.read_text() + "too,short\r\n\r\n" + ",".join(GOOD.values()) + ",too long\r\n")
    assert await cells(server, path) == [(3, "pension_fund_name"), (5, "pension_fund_name")]


async def test_byte_that_is_not_utf_8_is_reported_by_line_and_column(server: RunningServer, tmp_path: Path) -> None:
    path = written(tmp_path / "f.csv", [{}, {"general_partner": "CAFE"}, {"fund_name": "CAFE"}])
    path.write_bytes(path.read_bytes().replace(b"CAFE", b"Caf\xe9"))
    assert await cells(server, path) == [(3, "general_partner"), (4, "fund_name")]


async def test_byte_order_mark_and_quoted_newlines_and_other_columns_are_read(
    server: RunningServer, tmp_path: Path
) -> None:
    path = written(tmp_path / "f.csv", [{"fund_name": 'Two\nlines, "quoted"'}, {"commitment_mm": "x"}])
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert await cells(server, path) == [(4, "commitment_mm")]
    text = path.read_text(encoding="utf-8-sig").replace(",x,", ",1,")
    rows = list(csv.reader(text.splitlines(keepends=True)))
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        csv.writer(file).writerows([*row, "0.25"] if number else [*row, "dpi"] for number, row in enumerate(rows))
    assert (await imported(server, path)).statements == 2
    names = [row[0] for row in await server.owner.fetch("SELECT name FROM funds ORDER BY id")]
    assert names == ['Two\nlines, "quoted"', "Bay I"]


async def test_unfinished_quotation_is_refused(server: RunningServer, tmp_path: Path) -> None:
    path = written(tmp_path / "f.csv", [{}])
    path.write_text(path.read_text() + '"never closed,\n')
    assert await cells(server, path) == [(3, "pension_fund_name")]


@pytest.mark.parametrize(("table", "column"), [("funds", "fund_name"), ("portfolios", "pension_fund_name")])
async def test_fund_or_portfolio_in_another_currency_is_refused(
    server: RunningServer, tmp_path: Path, table: str, column: str
) -> None:
    path = written(tmp_path / "f.csv", [{}, {"fund_name": "Bay II"}])
    await imported(server, path)
    name = "Bay I" if table == "funds" else "CalPERS"
    await server.owner.execute(f"UPDATE {table} SET currency = 'EUR' WHERE name = $1", name)
    found = await cells(server, path)
    assert found == ([(2, column)] if table == "funds" else [(2, column), (3, column)])


async def test_three_thousand_rows_are_streamed_in_chunks(server: RunningServer) -> None:
    header = ",".join(COLUMNS) + "\n"
    read_ahead: list[int] = []
    read = 0

    def lines() -> Iterator[str]:
        nonlocal read
        yield header
        for read in range(1, 3001):
            yield ",".join((GOOD | {"fund_name": f"Fund {read}"}).values()) + "\n"

    statements: list[str] = []
    writes = server.database.writes
    async with writes.lent() as connection:
        connection.add_query_logger(lambda query: statements.append(query.query))
    outcome = await run(server, lines(), progress=lambda so_far: read_ahead.append(read - so_far.rows))
    assert outcome == Imported(1, 3000, 3000, 3000, 0)
    assert read_ahead == [0] * 6
    own = [sql for sql in statements if "INSERT INTO" in sql or "organization_id = $1" in sql]
    assert len(own) == 6 * 7


@pytest.mark.skipif(not PENSION_FILE.is_file(), reason=f"the pension file is not there: {PENSION_FILE}")
async def test_the_whole_pension_file(server: RunningServer) -> None:
    assert await imported(server, PENSION_FILE) == Imported(5, 1750, 2152, 2489, 0)
    portfolios = (await server.execute(COMMITTED, {"asOf": "2026-12-31"})).data["portfolios"]
    assert portfolios["totalCount"] == 5
    assert sum(portfolio["holdings"]["totalCount"] for portfolio in portfolios["nodes"]) == 2152
    committed = {portfolio["name"]: portfolio["totals"]["committedCents"] for portfolio in portfolios["nodes"]}
    assert committed["CalPERS"] == "13356023069200"
    assert committed["NY Common"] == "7265865990400"
    assert await imported(server, PENSION_FILE) == Imported(0, 0, 0, 0, 2489)
