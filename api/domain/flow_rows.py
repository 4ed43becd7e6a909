"""One row of a CSV of activities or valuations: how its cells are written, and what they say.

Everything that is wrong is named by line and column. A text that a spreadsheet would take for a formula is written
behind an apostrophe, which is taken away again.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import NamedTuple

from iso4217 import Currency

from api.domain.activities import NOTE_LENGTH_MAX, ActivityType
from api.domain.dates import DATE_MAX, DATE_MIN
from api.domain.money import CENTS_MAX
from api.errors import ErrorCode, Problem, Refused, invalid

PROBLEMS_MAX = 100
CELL_SHOWN_MAX = 40
FUND_LENGTH_MAX = 200
DAY_PATTERN = "YYYY-MM-DD"
DEFAULT_TYPES = {-1: ActivityType.INVESTMENT, 1: ActivityType.DISTRIBUTION}
"""What a signed amount without a type is."""

_NUMBER = re.compile(r"(-?)([0-9]{1,30})(?:\.([0-9]{1,30}))?", re.ASCII)
_YEAR = re.compile(r"(19|20|21)[0-9]{2}", re.ASCII)
_DAY_PARTS = {"YYYY": "(?P<year>[0-9]{4})", "MM": "(?P<month>[0-9]{2})", "DD": "(?P<day>[0-9]{2})"}
_DAY_PARTS |= {"M": "(?P<month>[0-9]{1,2})", "D": "(?P<day>[0-9]{1,2})"}
_DAY_PART = re.compile("YYYY|MM|DD|M|D")
_FORMULA = re.compile(r"'*[=+\-@\t\r\n]")
_GUARDED = re.compile(r"'+[=+\-@\t\r\n]")


class HoldingName(NamedTuple):
    """How a row names its holding: by its global id, else by its fund's name, with a vintage year where that helps."""

    holding_id: str | None
    fund: str | None
    vintage_year: int | None


class ActivityRow(NamedTuple):
    """A cash flow as a file holds it; a positive amount in cents. ``line`` is the row's first, from 1."""

    line: int
    holding: HoldingName
    activity_type: ActivityType
    amount_cents: int
    occurred_on: date
    is_recallable: bool
    note: str | None


class ValuationRow(NamedTuple):
    """What a holding is worth on a day, in cents, as a file holds it. ``line`` is the row's first, from 1."""

    line: int
    holding: HoldingName
    valued_on: date
    value_cents: int


@dataclass(frozen=True, slots=True)
class FileForm:
    """How a file writes: amounts with up to so many decimals (0: in cents), signed or by type, and days."""

    places: int
    is_signed: bool = False
    days: re.Pattern[str] = field(default_factory=lambda: day_pattern(DAY_PATTERN))


def places_of(currency: str) -> int:
    """How many decimals amounts of a currency have: 2 of USD, 0 of JPY."""
    return Currency(currency).exponent or 0


def day_pattern(pattern: str) -> re.Pattern[str]:
    """What reads days like DD.MM.YYYY or M/D/YYYY; raises Refused where not each of the three parts is there once."""
    parts = _DAY_PART.findall(pattern)
    if sorted(part[0] for part in parts) != ["D", "M", "Y"]:
        message = "A date format has YYYY, MM (or M) and DD (or D) in it, each once."
        raise Refused([invalid("date_format", message, expected="such as DD.MM.YYYY", actual=pattern[:CELL_SHOWN_MAX])])
    return re.compile(_DAY_PART.sub(lambda found: _DAY_PARTS[found[0]], re.escape(pattern)), re.ASCII)


@dataclass(slots=True)
class Problems:
    """What is wrong with a file: the first PROBLEMS_MAX, and how many more there are."""

    found: list[Problem] = field(default_factory=list)
    count: int = 0

    def add(self, line: int, column: str, message: str, code: ErrorCode = ErrorCode.INVALID_INPUT) -> None:
        """Adds what is wrong with a cell."""
        self.count += 1
        if self.count <= PROBLEMS_MAX:
            self.found.append(Problem(code, f"line {line}, {column}: {message}", (column,), line))

    def refuse_any(self) -> None:
        """Raises Refused where anything is wrong, with "and so many more" at the end where not all is told."""
        if self.count > PROBLEMS_MAX:
            message = f"and {self.count - PROBLEMS_MAX} more"
            raise Refused([*self.found, Problem(ErrorCode.INVALID_INPUT, message)])
        if self.found:
            raise Refused(self.found)


@dataclass(slots=True)
class Row:
    """Reads the cells of one row and tells what is wrong with them; what is wrong is read as something harmless."""

    line: int
    cells: Mapping[str, str]
    form: FileForm
    problems: Problems

    def refuse(self, column: str, message: str) -> None:
        """Tells what is wrong with a cell."""
        self.problems.add(self.line, column, message)

    def activity(self) -> ActivityRow:
        """The row of a file of activities."""
        amount = self.amount("amount")
        if amount == 0:
            self.refuse("amount", "0 moves nothing")
        if amount < 0 and not self.form.is_signed:
            self.refuse("amount", "below 0: the type tells which way the money went, or else amounts are signed")
        kind = self.kind(amount)
        holding, day = self.holding(), self.day("occurred_on")
        is_recallable, note = self.flag("is_recallable"), self.text("note", NOTE_LENGTH_MAX)
        return ActivityRow(self.line, holding, kind, abs(amount), day, is_recallable, note)

    def valuation(self) -> ValuationRow:
        """The row of a file of valuations."""
        value = self.amount("value")
        if value < 0:
            self.refuse("value", "must not be below 0")
        return ValuationRow(self.line, self.holding(), self.day("valued_on"), value)

    def kind(self, amount: int) -> ActivityType:
        """The type, or what the sign of the amount makes it."""
        value = self.cells.get("activity_type", "")
        sign = -1 if amount < 0 else 1
        if not value and self.form.is_signed:
            return DEFAULT_TYPES[sign]
        if value not in ActivityType.__members__:
            self.refuse("activity_type", f"no type of activity: {value[:CELL_SHOWN_MAX]!r}")
            return ActivityType.FEE
        kind = ActivityType[value]
        if self.form.is_signed and amount and kind.sign != sign:
            self.refuse("activity_type", f"{kind} is {'below' if kind.sign < 0 else 'above'} 0, the amount is not")
        return kind

    def holding(self) -> HoldingName:
        """How it names its holding."""
        holding_id = self.cells.get("holding_id") or None
        fund = self.text("fund", FUND_LENGTH_MAX)
        if holding_id is None and fund is None:
            self.refuse("fund" if "fund" in self.cells else "holding_id", "must not be empty")
        year = self.cells.get("vintage_year", "")
        if year and not _YEAR.fullmatch(year):
            self.refuse("vintage_year", f"not a year: {year[:CELL_SHOWN_MAX]!r}")
            year = ""
        return HoldingName(holding_id, fund, int(year) if year else None)

    def text(self, column: str, length_max: int) -> str | None:
        """A text; None where the cell is empty, or not there."""
        value = unguarded(self.cells.get(column, ""))
        if len(value) > length_max:
            self.refuse(column, f"{len(value)} characters, at most {length_max}")
        if "\x00" in value:
            self.refuse(column, "holds U+0000")
        return value or None

    def flag(self, column: str) -> bool:
        """Whether it says true; empty is false."""
        value = self.cells.get(column, "").lower()
        if value not in ("", "false", "true"):
            self.refuse(column, f"neither true nor false: {value[:CELL_SHOWN_MAX]!r}")
        return value == "true"

    def day(self, column: str) -> date:
        """A day as the file writes it."""
        value = self.cells[column]
        found = self.form.days.fullmatch(value)
        try:
            day = date(int(found["year"]), int(found["month"]), int(found["day"])) if found else date.min
        except ValueError:
            day = date.min
        if not DATE_MIN <= day <= DATE_MAX:
            self.refuse(column, f"no date in the file's format: {value[:CELL_SHOWN_MAX]!r}")
        return day

    def amount(self, column: str) -> int:
        """The amount in cents; 1 where there is none that could be read."""
        value, places = self.cells[column], self.form.places
        number = _NUMBER.fullmatch(value)
        fraction = (number[3] or "").rstrip("0") if number else ""
        if number is None or len(fraction) > places:
            limit = f"with at most {places} decimals" if places else "without decimals"
            self.refuse(column, f"not a number {limit}: {value[:CELL_SHOWN_MAX]!r}")
            return 1
        cents = int(number[2] + fraction.ljust(places, "0"))
        if cents > CENTS_MAX:
            self.refuse(column, "beyond 64 bits of cents")
            return 1
        return -cents if number[1] else cents


def amount_text(cents: int, places: int) -> str:
    """An amount in cents as a number with so many decimals."""
    return format(Decimal(cents).scaleb(-places), "f")


def guarded(text: str) -> str:
    """A text as a spreadsheet takes it for a text; undone by ``unguarded``."""
    return f"'{text}" if _FORMULA.match(text) else text


def unguarded(text: str) -> str:
    """The text that ``guarded`` was given."""
    return text[1:] if _GUARDED.match(text) else text
