"""The CSV in which public pension funds report their commitments: its columns, and one row's values.

Amounts are in millions of USD and become whole cents, rounded to the nearest; an empty figure stays empty.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from api.domain.money import cents_from_millions
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
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)


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
    bad: list[BadCell] = []

    def text(column: str, *, required: bool = False) -> str | None:
        value = cells[column].strip()
        if len(value) > TEXT_LENGTH_MAX:
            bad.append(BadCell(line, column, f"at most {TEXT_LENGTH_MAX} characters"))
        if "\x00" in value:
            bad.append(BadCell(line, column, "holds U+0000"))
        if required and not value:
            bad.append(BadCell(line, column, "must not be empty"))
        return value or None

    def number(column: str) -> Decimal | None:
        value = cells[column].strip()
        if not value:
            return None
        if len(value) > NUMBER_LENGTH_MAX or not _NUMBER.fullmatch(value):
            bad.append(BadCell(line, column, f"not a decimal number: {value[:NUMBER_LENGTH_MAX]!r}"))
            return None
        return Decimal(value)

    def cents(column: str, *, negative: bool = False) -> int | None:
        millions = number(column)
        if millions is None:
            return None
        if millions < 0 and not negative:
            bad.append(BadCell(line, column, "must not be negative"))
        try:
            return cents_from_millions(millions)
        except Refused:
            bad.append(BadCell(line, column, "beyond 64 bits of cents"))
            return None

    def rate(column: str) -> Decimal | None:
        value = number(column)
        if value is None:
            return None
        if abs(value) > RATE_MAX:
            bad.append(BadCell(line, column, f"beyond {RATE_MAX}"))
            return None
        return value.quantize(Decimal("0.000001"))

    def year(column: str) -> int | None:
        value = cells[column].strip()
        if not value:
            return None
        if re.fullmatch(r"(19|20|21)[0-9]{2}", value, re.ASCII) is None:
            bad.append(BadCell(line, column, f"not a year: {value[:20]!r}"))
            return None
        return int(value)

    def day(column: str) -> date:
        value = cells[column].strip()
        try:
            if _DATE.fullmatch(value):
                return date.fromisoformat(value)
        except ValueError:
            pass
        bad.append(BadCell(line, column, f"not a date as YYYY-MM-DD: {value[:20]!r}"))
        return date.min

    strategy = text("asset_class")
    sub_strategy = text("sub_strategy")
    if strategy and sub_strategy:
        strategy = f"{strategy}: {sub_strategy}"
    statement = ReportedStatement(
        line=line,
        portfolio_name=text("pension_fund_name", required=True) or "",
        fund_name=text("fund_name", required=True) or "",
        vintage_year=year("vintage_year"),
        general_partner=text("general_partner"),
        strategy=strategy,
        as_of=day("as_of_date"),
        committed_cents=cents("commitment_mm"),
        paid_in_cents=cents("capital_called_mm"),
        distributed_cents=cents("capital_distributed_mm", negative=True),
        nav_cents=cents("remaining_value_mm", negative=True),
        reported_irr=rate("net_irr"),
        reported_multiple=rate("net_multiple"),
    )
    return bad or statement
