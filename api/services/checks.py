"""Checks of single values that several services share: each returns the problems it finds."""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal

from api.domain.dates import a_year_after
from api.errors import ErrorCode, Problem, invalid

NAME_LENGTH_MAX = 200
TEXT_LENGTH_MAX = 200
RATIO_PLACES_MAX = 6
DATE_FIRST = date(1900, 1, 1)
"""What is agreed upon may lie a year ahead; more than that, or before this, is a slip of the pen."""


def check_name(field: str, name: str | None, length_max: int = NAME_LENGTH_MAX) -> list[Problem]:
    """A name is there, holds more than blanks, and is at most ``length_max`` characters long."""
    if name is None or not name.strip():
        return [invalid(field, "A name is needed.", expected=f"1 to {length_max} characters")]
    return check_text(field, name, length_max)


def check_text(field: str, text: str | None, length_max: int = TEXT_LENGTH_MAX) -> list[Problem]:
    """A text is at most ``length_max`` characters long."""
    if text is not None and len(text) > length_max:
        message = f"At most {length_max} characters."
        return [invalid(field, message, expected=str(length_max), actual=str(len(text)))]
    return []


def check_not_negative(values: Mapping[str, object], *fields: str) -> list[Problem]:
    """The amounts of these fields, in cents, are not negative."""
    return [
        Problem(
            ErrorCode.NEGATIVE_AMOUNT, "An amount must not be negative.", (field,), expected="0", actual=str(amount)
        )
        for field in fields
        if isinstance(amount := values.get(field), int) and amount < 0
    ]


def check_present(values: Mapping[str, object], *fields: str) -> list[Problem]:
    """The fields that were given are not null: these cannot be cleared."""
    return [invalid(field, "This cannot be cleared.") for field in fields if field in values and values[field] is None]


def check_ratio(field: str, value: object, maximum: int) -> list[Problem]:
    """A decimal between 0 and ``maximum`` with at most six decimals."""
    if not isinstance(value, Decimal):
        return []
    limit = f"between 0 and {maximum}, with at most {RATIO_PLACES_MAX} decimals"
    if not 0 <= value <= maximum or value != round(value, RATIO_PLACES_MAX):
        return [invalid(field, f"Must be {limit}.", expected=limit, actual=format(value, "f"))]
    return []


def check_day(field: str, day: object, today: date) -> list[Problem]:
    """A day from 1900 to that of ``today`` in a year."""
    last = a_year_after(today)
    if isinstance(day, date) and not DATE_FIRST <= day <= last:
        limit = f"{DATE_FIRST} to {last}"
        return [invalid(field, f"Must be {limit}.", expected=limit, actual=str(day))]
    return []
