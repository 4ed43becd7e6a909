"""The CSV in which public pension funds report their commitments: its columns, and one row's values.

Amounts are in millions of USD and become whole cents, rounded to the nearest; an empty figure stays empty.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from api.domain.dates import read_date
from api.domain.money import RATIO_PLACES, cents_from_millions
from api.errors import Refused

COLUMNS = (
    "pension_fund_name",
    "fund_name",
    "general_partner",
    "asset_class",
    "sub_strategy",
    "vintage_year",
    "commitment_mm",
    "capital_called_mm",
    "capital_distributed_mm",
    "remaining_value_mm",
    "net_irr",
    "net_multiple",
    "as_of_date",
)
CURRENCY = "USD"
TEXT_LENGTH_MAX = 200
NUMBER_LENGTH_MAX = 40
RATE_MAX = Decimal("9999.999999")

_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?", re.ASCII)
_YEAR = re.compile(r"(19|20|21)[0-9]{2}", re.ASCII)


@dataclass(frozen=True, slots=True)
class ReportedStatement:
    """One row of the file: a portfolio's position in a fund as of a date, amounts in cents."""

    line: int
    portfolio_name: str
    fund_name: str
    vintage_year: int | None
    general_partner: str | None
    strategy: str | None
    as_of: date
    committed_cents: int | None
    paid_in_cents: int | None
    distributed_cents: int | None
    nav_cents: int | None
    reported_irr: Decimal | None
    reported_multiple: Decimal | None


@dataclass(frozen=True, slots=True)
class BadCell:
    """What is wrong with one cell of the file."""

    line: int
    column: str
    message: str


def read_row(line: int, cells: Mapping[str, str]) -> ReportedStatement | list[BadCell]:
    """The statement that a row reports, or everything that is wrong with it."""
    row = _Row(line, cells)
    statement = ReportedStatement(
        line=line,
        portfolio_name=row.name("pension_fund_name"),
        fund_name=row.name("fund_name"),
        vintage_year=row.year("vintage_year"),
        general_partner=row.text("general_partner"),
        strategy=row.strategy(),
        as_of=row.day("as_of_date"),
        committed_cents=row.cents("commitment_mm", is_negative_allowed=False),
        paid_in_cents=row.cents("capital_called_mm", is_negative_allowed=False),
        distributed_cents=row.cents("capital_distributed_mm", is_negative_allowed=True),
        nav_cents=row.cents("remaining_value_mm", is_negative_allowed=True),
        reported_irr=row.rate("net_irr"),
        reported_multiple=row.rate("net_multiple"),
    )
    return row.bad or statement


@dataclass(slots=True)
class _Row:
    """Reads the cells of one row and remembers what is wrong with them."""

    line: int
    cells: Mapping[str, str]
    bad: list[BadCell] = field(default_factory=list)

    def refuse(self, column: str, message: str) -> None:
        self.bad.append(BadCell(self.line, column, message))

    def text(self, column: str) -> str | None:
        value = self.cells[column].strip()
        if len(value) > TEXT_LENGTH_MAX:
            self.refuse(column, f"at most {TEXT_LENGTH_MAX} characters")
        if "\x00" in value:
            self.refuse(column, "holds U+0000")
        if any("\ud800" <= character <= "\udfff" for character in value):
            # A byte that is not UTF-8, as errors="surrogateescape" hands it on.
            self.refuse(column, "not UTF-8")
        return value or None

    def strategy(self) -> str | None:
        asset_class, sub_strategy = self.text("asset_class"), self.text("sub_strategy")
        if asset_class is None or sub_strategy is None:
            return asset_class or sub_strategy
        both = f"{asset_class}: {sub_strategy}"
        if max(len(asset_class), len(sub_strategy)) <= TEXT_LENGTH_MAX < len(both):
            self.refuse("sub_strategy", f"at most {TEXT_LENGTH_MAX} characters with the asset class")
        return both

    def name(self, column: str) -> str:
        value = self.text(column)
        if value is None:
            self.refuse(column, "must not be empty")
        return value or ""

    def number(self, column: str) -> Decimal | None:
        value = self.cells[column].strip()
        if not value:
            return None
        if len(value) > NUMBER_LENGTH_MAX or not _NUMBER.fullmatch(value):
            self.refuse(column, f"not a decimal number: {value[:NUMBER_LENGTH_MAX]!r}")
            return None
        return Decimal(value)

    def cents(self, column: str, *, is_negative_allowed: bool) -> int | None:
        millions = self.number(column)
        if millions is None:
            return None
        if millions < 0 and not is_negative_allowed:
            self.refuse(column, "must not be negative")
        try:
            return cents_from_millions(millions)
        except Refused:
            self.refuse(column, "beyond 64 bits of cents")
            return None

    def rate(self, column: str) -> Decimal | None:
        value = self.number(column)
        if value is not None and abs(value) > RATE_MAX:
            self.refuse(column, f"beyond {RATE_MAX}")
            return None
        return value and value.quantize(RATIO_PLACES)

    def year(self, column: str) -> int | None:
        value = self.cells[column].strip()
        if value and not _YEAR.fullmatch(value):
            self.refuse(column, f"not a year: {value[:20]!r}")
            return None
        return int(value) if value else None

    def day(self, column: str) -> date:
        value = self.cells[column].strip()
        try:
            return read_date(value)
        except ValueError:
            self.refuse(column, f"not a date as YYYY-MM-DD: {value[:20]!r}")
            return date.min
