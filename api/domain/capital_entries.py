"""The entries of a capital history as files hold them: what each field may be, and how entries go together.

Everything that is wrong is named at once, by entry and field. Numbers are read from their text, never through floats.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, tzinfo
from decimal import Decimal
from zoneinfo import ZoneInfo

from api.domain.capital import (
    NOTES_LENGTH_MAX,
    CapitalAction,
    check_active,
    check_amount,
    check_name,
    check_not_future,
    check_rate,
)
from api.domain.dates import DATE_MAX, DATE_MIN, read_date
from api.domain.money import CENTS_MAX
from api.errors import ErrorCode, Problem, Refused

FIELDS = {
    "id": "id",
    "sourceId": "source_id",
    "effectiveDate": "effective_date",
    "name": "name",
    "annualRate": "annual_rate",
    "availableCents": "available_cents",
    "action": "action",
    "previousRate": "previous_rate",
    "previousAmount": "previous_amount",
    "notes": "notes",
}
"""The names of the fields in a file, in the order in which they are written, and in Python's spelling."""
PROBLEMS_MAX = 1000
TEXT_LENGTH_MAX = 200
NUMBER_LENGTH_MAX = 40

_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?", re.ASCII)
_TIMESTAMP = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?([Zz]|[+-][0-9]{2}:?[0-9]{2})",
    re.ASCII,
)
_TIME_ZONE = re.compile(r"[A-Za-z0-9_+-]{1,40}(/[A-Za-z0-9_+-]{1,40}){0,2}", re.ASCII)


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One entry of a history: rates as fractions, amounts in cents; an empty text is None.

    ``id`` is the entry's own, ``source_id`` the external key of its source.
    """

    id: str
    source_id: str
    effective_on: date
    name: str
    annual_rate: Decimal | None
    available_cents: int | None
    action: CapitalAction
    previous_rate: Decimal | None = None
    previous_amount_cents: int | None = None
    notes: str | None = None


@dataclass(slots=True)
class Reading:
    """What was read: the good entries by their position from 0, and everything that is wrong with the others.

    Of the ``doubtful`` sources an entry could not be read, so that nothing can be said about the others of theirs.
    """

    entries: dict[int, FileEntry] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    doubtful: set[str] = field(default_factory=set)


def time_zone(name: str) -> tzinfo:
    """The zone of an IANA name such as Europe/Zurich; raises Refused (INVALID_INPUT) where there is none."""
    if name == "UTC":
        return UTC
    try:
        if _TIME_ZONE.fullmatch(name):
            return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        pass
    message = "There is no time zone of this name."
    expected = "an IANA name such as Europe/Zurich"
    raise Refused([Problem(ErrorCode.INVALID_INPUT, message, ("time_zone",), None, expected, name[:60])])


def read_entries(rows: Sequence[object], zone: tzinfo) -> Reading:
    """The entries of rows: mappings by the names of ``FIELDS``, whose numbers are texts; a bad row's count of cells.

    A timestamp is taken for the date that it has in ``zone``. Raises Refused once PROBLEMS_MAX problems are known.
    """
    reading = Reading()
    for index, values in enumerate(rows):
        if len(reading.problems) >= PROBLEMS_MAX:
            # What has not been read yet would be missed by what has.
            raise Refused(reading.problems[:PROBLEMS_MAX])
        row = _Row(index, {}, zone)
        if isinstance(values, (Pairs, Mapping)):
            row.values = dict(values)
            row.check_names([name for name, _ in values] if isinstance(values, Pairs) else list(values))
        elif type(values) is int:
            row.refuse("id", f"The row has {values} cells, another number than the header.")
        else:
            row.refuse("id", "An entry must be an object.")
        entry = None if row.problems and not row.values else row.entry()
        if entry is None or row.problems:
            reading.problems += row.problems
            reading.doubtful.add(str(row.values.get("sourceId")))
        else:
            reading.entries[index] = entry
    return reading


def problem_of(index: int, name: str, problem: Problem) -> Problem:
    """A problem of the field ``name``, as files spell it, of the entry at a position from 0: its message says so."""
    message = f"entry {index + 1}, {name}: {problem.message}"
    return replace(problem, message=message, field=("entries", str(index), FIELDS.get(name, name)), index=index)


class NumberText(str):
    """The text of a number, where a format tells numbers from texts."""

    __slots__ = ()


class Pairs(list[tuple[str, object]]):
    """The names and values of an object, in which a name may come twice."""

    __slots__ = ()


@dataclass(slots=True)
class _Row:
    """Reads the values of one entry and remembers what is wrong with them."""

    index: int
    values: dict[str, object]
    zone: tzinfo
    problems: list[Problem] = field(default_factory=list)

    def refuse(self, name: str, message: str) -> None:
        self.add(name, [Problem(ErrorCode.INVALID_INPUT, message)])

    def add(self, name: str, problems: Iterable[Problem]) -> None:
        self.problems += (problem_of(self.index, name, problem) for problem in problems)

    def check_names(self, names: Sequence[str]) -> None:
        for name in dict.fromkeys(names):
            if name not in FIELDS:
                self.refuse(name[:60], "There is no such field.")
            elif names.count(name) > 1:
                self.refuse(name, "The field comes more than once.")

    def entry(self) -> FileEntry | None:
        entry_id, source_id = self.needed_text("id"), self.needed_text("sourceId")
        effective_on, name, action = self.day("effectiveDate"), self.name("name"), self.action("action")
        rate = self.rate("annualRate", is_needed=action is not None and action.sets_rate)
        cents = self.cents("availableCents", is_needed=action is not None and action.sets_amount)
        previous_rate, previous_cents = self.rate("previousRate"), self.cents("previousAmount")
        notes = self.text("notes", NOTES_LENGTH_MAX)
        if entry_id is None or source_id is None or effective_on is None or name is None or action is None:
            return None
        return FileEntry(
            entry_id, source_id, effective_on, name, rate, cents, action, previous_rate, previous_cents, notes
        )

    def text(self, name: str, length_max: int) -> str | None:
        value = self.values.get(name)
        if value is None or value == "":
            return None
        if not isinstance(value, str) or isinstance(value, NumberText):
            self.refuse(name, "This must be a text.")
            return None
        if len(value) > length_max:
            self.refuse(name, f"At most {length_max} characters.")
        if "\x00" in value or any("\ud800" <= character <= "\udfff" for character in value):
            self.refuse(name, "A text must hold neither U+0000 nor a lone surrogate.")
        return value

    def needed_text(self, name: str) -> str | None:
        value = self.text(name, TEXT_LENGTH_MAX)
        if self.values.get(name) in (None, ""):
            self.refuse(name, "This is needed.")
        return value

    def name(self, name: str) -> str | None:
        value = self.needed_text(name)
        if value is not None and len(value) <= TEXT_LENGTH_MAX:
            self.add(name, check_name(name, value))
        return value

    def action(self, name: str) -> CapitalAction | None:
        value = self.values.get(name)
        if isinstance(value, str) and value.strip() in CapitalAction.__members__:
            return CapitalAction(value.strip())
        self.refuse(name, f"This must be one of {', '.join(CapitalAction)}, not {_shown(value)}.")
        return None

    def number(self, name: str, *, is_needed: bool) -> Decimal | None:
        value = self.values.get(name)
        if value is None or (isinstance(value, str) and not value.strip()):
            if is_needed:
                self.refuse(name, "This action needs it.")
            return None
        text = value.strip() if isinstance(value, str) else ""
        if len(text) > NUMBER_LENGTH_MAX or not _NUMBER.fullmatch(text):
            self.refuse(name, f"This is not a decimal number: {_shown(value)}.")
            return None
        return Decimal(text)

    def rate(self, name: str, *, is_needed: bool = False) -> Decimal | None:
        rate = self.number(name, is_needed=is_needed)
        if rate is not None:
            self.add(name, check_rate(name, rate))
        # Minus zero is zero.
        return None if rate is None else abs(rate)

    def cents(self, name: str, *, is_needed: bool = False) -> int | None:
        amount = self.number(name, is_needed=is_needed)
        if amount is None:
            return None
        if amount != amount.to_integral_value():
            self.refuse(name, "Cents are a whole number.")
            return None
        # Nothing but what the action sets has to be above 0: a removed source may be kept with 0.
        if not 0 <= amount <= CENTS_MAX or is_needed:
            self.add(name, check_amount(name, int(amount)))
        return int(amount)

    def day(self, name: str) -> date | None:
        value = self.values.get(name)
        text = value.strip() if isinstance(value, str) and not isinstance(value, NumberText) else ""
        try:
            return _read_timestamp(text, self.zone) if _TIMESTAMP.fullmatch(text) else read_date(text)
        except (ValueError, OverflowError):
            self.refuse(name, f"This is neither a date as YYYY-MM-DD nor a timestamp with its offset: {_shown(value)}.")
            return None


def _read_timestamp(text: str, zone: tzinfo) -> date:
    day = datetime.fromisoformat(text.upper()).astimezone(zone).date()
    if not DATE_MIN <= day <= DATE_MAX:
        raise ValueError(f"not between {DATE_MIN} and {DATE_MAX}")
    return day


def _shown(value: object) -> str:
    return repr(str(value)[:NUMBER_LENGTH_MAX]) if isinstance(value, str) else "a value of another kind"


@dataclass(frozen=True, slots=True)
class Span:
    """When a source is active: from the day it was added to the day before its removal."""

    added_on: date
    removed_on: date | None = None


def check_history(
    entries: Mapping[int, FileEntry], known: Mapping[str, Span], *, doubtful: Collection[str], today: date
) -> list[Problem]:
    """What keeps the entries, by position, from being recorded in their order after what is ``known`` of their sources.

    A source is added once, changed on days on which it is active, and stays removed; nothing takes effect after
    ``today``. Entries need not come in the order of their dates, but on one day a source is added before it is changed.
    """
    spans = dict(known)
    added_at = dict.fromkeys(known, -1)
    problems = []
    for index, entry in entries.items():
        problems += [
            problem_of(index, "effectiveDate", problem)
            for problem in check_not_future("effective_on", entry.effective_on, today)
        ]
        if entry.action is CapitalAction.ADDED:
            if entry.source_id in spans:
                problem = Problem(ErrorCode.ALREADY_EXISTS, "The source has been added already.")
                problems.append(problem_of(index, "sourceId", problem))
            else:
                spans[entry.source_id], added_at[entry.source_id] = Span(entry.effective_on), index
    for index, entry in entries.items():
        if entry.action is CapitalAction.ADDED:
            continue
        span = spans.get(entry.source_id)
        if span is None:
            if entry.source_id not in doubtful:
                problem = Problem(ErrorCode.NOT_FOUND, "No entry adds this source.")
                problems.append(problem_of(index, "sourceId", problem))
            continue
        found = check_active("effective_on", entry.effective_on, added_on=span.added_on, removed_on=span.removed_on)
        if entry.effective_on == span.added_on and index < added_at[entry.source_id]:
            message = "The source is added further below: entries of one day must come in the order of what happened."
            found = [Problem(ErrorCode.INVALID_INPUT, message)]
        problems += [problem_of(index, "effectiveDate", problem) for problem in found]
        if entry.action is CapitalAction.REMOVED and not found:
            spans[entry.source_id] = replace(span, removed_on=entry.effective_on)
    return problems
