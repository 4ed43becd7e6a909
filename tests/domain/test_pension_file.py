"""One row of the public-pension file: its values, or everything that is wrong with it."""

from datetime import date
from decimal import Decimal

import pytest

from api.domain.pension_file import COLUMNS, BadCell, ReportedStatement, read_row

GOOD = {
    "pension_fund_name": "CalPERS",
    "fund_name": "Golden Bay I",
    "general_partner": "Golden Bay",
    "asset_class": "Private Equity",
    "sub_strategy": "Buyout",
    "vintage_year": "2019",
    "commitment_mm": "100.0",
    "capital_called_mm": "24.096353999999998",
    "capital_distributed_mm": "1.5",
    "remaining_value_mm": "20",
    "net_irr": "0.0512345",
    "net_multiple": "0.9999",
    "as_of_date": "2025-03-31",
}


def read(**cells: str) -> ReportedStatement:
    outcome = read_row(2, GOOD | cells)
    assert isinstance(outcome, ReportedStatement), outcome
    return outcome


def bad_cells(**cells: str) -> list[BadCell]:
    outcome = read_row(2, GOOD | cells)
    assert isinstance(outcome, list), outcome
    return outcome


def test_row_becomes_a_statement_in_cents() -> None:
    assert tuple(GOOD) == COLUMNS
    assert read() == ReportedStatement(
        line=2,
        portfolio_name="CalPERS",
        fund_name="Golden Bay I",
        vintage_year=2019,
        general_partner="Golden Bay",
        strategy="Private Equity: Buyout",
        as_of=date(2025, 3, 31),
        committed_cents=10_000_000_000,
        paid_in_cents=2_409_635_400,
        distributed_cents=150_000_000,
        nav_cents=2_000_000_000,
        reported_irr=Decimal("0.051234"),
        reported_multiple=Decimal("0.9999"),
    )


@pytest.mark.parametrize(
    ("millions", "cents"),
    [("0.000000004999", 0), ("0.000000005", 1), ("0.000000014999", 1), ("0", 0), ("007.5", 750_000_000)],
)
def test_amounts_are_rounded_to_the_nearest_cent(millions: str, cents: int) -> None:
    assert read(commitment_mm=millions).committed_cents == cents


def test_empty_figures_are_none_and_not_zero() -> None:
    amounts = ("commitment_mm", "capital_called_mm", "capital_distributed_mm", "remaining_value_mm")
    found = read(**dict.fromkeys((*amounts, "net_irr", "net_multiple", "vintage_year"), ""))
    assert (found.committed_cents, found.paid_in_cents, found.distributed_cents, found.nav_cents) == (None,) * 4
    assert (found.reported_irr, found.reported_multiple, found.vintage_year) == (None, None, None)


def test_blanks_around_a_value_do_not_count() -> None:
    found = read(fund_name="  Golden Bay I\t", commitment_mm=" 1 ", general_partner="   ")
    assert (found.fund_name, found.committed_cents, found.general_partner) == ("Golden Bay I", 100_000_000, None)


def test_distributed_and_nav_may_be_negative() -> None:
    found = read(capital_distributed_mm="-1.5", remaining_value_mm="-0.000000005")
    assert (found.distributed_cents, found.nav_cents) == (-150_000_000, -1)


@pytest.mark.parametrize("column", ["commitment_mm", "capital_called_mm"])
def test_committed_and_paid_in_must_not_be_negative(column: str) -> None:
    assert bad_cells(**{column: "-1"}) == [BadCell(2, column, "must not be negative")]


@pytest.mark.parametrize(
    ("asset_class", "sub_strategy", "strategy"),
    [("Private Equity", "", "Private Equity"), ("", "", None), ("", "Buyout", "Buyout"), ("A", "B", "A: B")],
)
def test_strategy_is_the_asset_class_and_what_lies_under_it(
    asset_class: str, sub_strategy: str, strategy: str | None
) -> None:
    assert read(asset_class=asset_class, sub_strategy=sub_strategy).strategy == strategy


NUMBERS = [column for column in COLUMNS if column.endswith("_mm") or column.startswith("net_")]


@pytest.mark.parametrize(
    "value", ["abc", "1e5", "NaN", "1,000", "1_000", ".5", "5.", "+1", "--1", "٣", "1 2", "1" * 41]
)
@pytest.mark.parametrize("column", NUMBERS)
def test_what_is_not_a_plain_decimal_is_named(column: str, value: str) -> None:
    (cell,) = bad_cells(**{column: value})
    assert (cell.line, cell.column) == (2, column)


@pytest.mark.parametrize("column", [column for column in COLUMNS if column.endswith("_mm")])
def test_amount_beyond_64_bits_of_cents_is_named(column: str) -> None:
    assert bad_cells(**{column: "92233720368.54775808"}) == [BadCell(2, column, "beyond 64 bits of cents")]


@pytest.mark.parametrize("column", ["net_irr", "net_multiple"])
def test_rate_beyond_its_column_is_named(column: str) -> None:
    assert bad_cells(**{column: "9999.9999991"}) == [BadCell(2, column, "beyond 9999.999999")]
    assert read(**{column: "-9999.999999"})


@pytest.mark.parametrize("value", ["19", "1899", "2200", "20190", "2019.0", "MMXX"])
def test_what_is_not_a_year_is_named(value: str) -> None:
    (cell,) = bad_cells(vintage_year=value)
    assert cell.column == "vintage_year"


@pytest.mark.parametrize("value", ["", "2025-02-30", "2025-2-3", "20250331", "31/03/2025", "2025-03-31T00:00:00"])
def test_what_is_not_a_date_is_named(value: str) -> None:
    (cell,) = bad_cells(as_of_date=value)
    assert cell.column == "as_of_date"


@pytest.mark.parametrize("column", ["pension_fund_name", "fund_name"])
def test_names_must_not_be_empty(column: str) -> None:
    assert bad_cells(**{column: " "}) == [BadCell(2, column, "must not be empty")]


@pytest.mark.parametrize("column", ["pension_fund_name", "fund_name", "general_partner", "asset_class", "sub_strategy"])
def test_texts_are_bounded_and_storable(column: str) -> None:
    assert bad_cells(**{column: "x" * 201}) == [BadCell(2, column, "at most 200 characters")]
    assert bad_cells(**{column: "a\x00b"}) == [BadCell(2, column, "holds U+0000")]


def test_strategy_is_bounded_as_a_whole() -> None:
    assert read(asset_class="x" * 99, sub_strategy="y" * 99).strategy == f"{'x' * 99}: {'y' * 99}"
    (cell,) = bad_cells(asset_class="x" * 100, sub_strategy="y" * 99)
    assert (cell.column, cell.message) == ("sub_strategy", "at most 200 characters with the asset class")


def test_bytes_that_are_not_utf_8_are_named() -> None:
    # What a file that is opened with errors="surrogateescape" holds in place of a byte that is not UTF-8.
    assert bad_cells(general_partner="Caf\udce9") == [BadCell(2, "general_partner", "not UTF-8")]


def test_every_bad_cell_of_a_row_is_named() -> None:
    cells = bad_cells(fund_name="", vintage_year="x", commitment_mm="-1", net_irr="y", as_of_date="z")
    assert [cell.column for cell in cells] == ["fund_name", "vintage_year", "as_of_date", "commitment_mm", "net_irr"]
