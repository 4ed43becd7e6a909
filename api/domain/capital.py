"""Capital sources: what an append-only history says of them on a date, and the checks of a change.

``fold`` is the meaning of a history. Reads answer the same by SQL and are tested against it.
"""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

from api.domain.money import CENTS_MAX
from api.errors import ErrorCode, Problem, invalid

NAME_LENGTH_MIN = 3
NAME_LENGTH_MAX = 200
NOTES_LENGTH_MAX = 1000
RATE_PLACES_MAX = 6
RATE_MAX = Decimal("9999.999999")
"""What NUMERIC(10,6) holds."""


class CapitalAction(StrEnum):
    """What an entry of the history does to its source."""

    ADDED = "ADDED"
    AMOUNT_CHANGED = "AMOUNT_CHANGED"
    RATE_CHANGED = "RATE_CHANGED"
    REMOVED = "REMOVED"

    @property
    def sets_amount(self) -> bool:
        """Whether the entry's amount holds from then on."""
        return self in (CapitalAction.ADDED, CapitalAction.AMOUNT_CHANGED)

    @property
    def sets_rate(self) -> bool:
        """Whether the entry's rate holds from then on."""
        return self in (CapitalAction.ADDED, CapitalAction.RATE_CHANGED)


@dataclass(frozen=True, slots=True)
class Entry:
    """One change of a source: the rate as a fraction (0.14 is 14 %), the amount in cents.

    ``sequence`` is the order in which the organization's entries were recorded. A value that the action does not set
    may be None, and counts for nothing where it is there.
    """

    source: Hashable
    sequence: int
    effective_on: date
    action: CapitalAction
    name: str
    annual_rate: Decimal | None
    available_cents: int | None
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class State:
    """A source that is active: its annual rate as a fraction and its amount in cents."""

    source: Hashable
    name: str
    annual_rate: Decimal
    available_cents: int


def fold(entries: Iterable[Entry], as_of: date, known_at: datetime | None = None) -> list[State]:
    """The sources active on ``as_of``, in the order in which they were added, by what was recorded until ``known_at``.

    Entries of any number of sources, in any order, are applied by (effective date, sequence), field by field: a change
    of amount sets the amount alone, of rate the rate alone; the name comes from ADDED. So a back-dated change of amount
    survives a later change of rate. What is removed stays so. ``known_at`` None: everything is known.
    """
    states: dict[Hashable, State] = {}
    counted = [
        entry
        for entry in entries
        if entry.effective_on <= as_of and (known_at is None or entry.recorded_at <= known_at)
    ]
    for entry in sorted(counted, key=lambda entry: (entry.effective_on, entry.sequence)):
        state = states.get(entry.source)
        match entry.action:
            case CapitalAction.ADDED if entry.annual_rate is not None and entry.available_cents is not None:
                states[entry.source] = State(entry.source, entry.name, entry.annual_rate, entry.available_cents)
            case CapitalAction.AMOUNT_CHANGED if state is not None and entry.available_cents is not None:
                states[entry.source] = replace(state, available_cents=entry.available_cents)
            case CapitalAction.RATE_CHANGED if state is not None and entry.annual_rate is not None:
                states[entry.source] = replace(state, annual_rate=entry.annual_rate)
            case CapitalAction.REMOVED:
                states.pop(entry.source, None)
    return list(states.values())


def check_name(field: str, name: str) -> list[Problem]:
    """A name has 3 to 200 characters, blanks around it not counted towards the 3."""
    if len(name.strip()) < NAME_LENGTH_MIN or len(name) > NAME_LENGTH_MAX:
        limit = f"{NAME_LENGTH_MIN} to {NAME_LENGTH_MAX} characters"
        return [invalid(field, f"A name has {limit}.", expected=limit, actual=str(len(name)))]
    return []


def check_rate(field: str, rate: Decimal) -> list[Problem]:
    """A rate is a fraction from 0 to what NUMERIC(10,6) holds, with at most six decimals."""
    # The range first: rounding a number of a hundred digits would raise.
    if not 0 <= rate <= RATE_MAX or rate != round(rate, RATE_PLACES_MAX):
        limit = f"between 0 and {RATE_MAX}, with at most {RATE_PLACES_MAX} decimals"
        return [invalid(field, f"A rate is {limit}.", expected=limit, actual=format(rate, "f"))]
    return []


def check_amount(field: str, cents: int) -> list[Problem]:
    """An amount in cents is above 0 and within 64 bits."""
    if not 0 < cents <= CENTS_MAX:
        limit = f"1 to {CENTS_MAX} cents"
        return [invalid(field, f"An amount is {limit}.", expected=limit, actual=str(cents))]
    return []


def check_not_future(field: str, effective_on: date, today: date) -> list[Problem]:
    """A change takes effect on or before ``today``, the UTC day on which it is recorded."""
    if effective_on > today:
        message = "A change must not take effect after today (UTC)."
        return [invalid(field, message, expected=f"at most {today}", actual=str(effective_on))]
    return []


def check_active(field: str, effective_on: date, *, added_on: date, removed_on: date | None) -> list[Problem]:
    """A source is changed on a day on which it is active: from the day it was added to the day before its removal.

    On a day before the removal a removed source may still be corrected; it stays removed.
    """
    if effective_on < added_on:
        message = "The source had not been added on this day."
        return [invalid(field, message, expected=f"{added_on} or later", actual=str(effective_on))]
    if removed_on is not None and effective_on >= removed_on:
        message = "The source had been removed on this day, and stays so."
        expected = f"before {removed_on}"
        return [Problem(ErrorCode.INVALID_TRANSITION, message, (field,), None, expected, str(effective_on))]
    return []
