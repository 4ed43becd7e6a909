"""Dates as they are written, and the range that can be stored."""

import re
from datetime import date, timedelta

DATE_MIN = date.min + timedelta(days=1)
DATE_MAX = date.max - timedelta(days=1)
"""The first and the last day that Python knows are what asyncpg takes for PostgreSQL's infinities."""

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)


def a_year_after(day: date) -> date:
    """The same day of the same month a year later; after 29 February, 28 February."""
    is_leap_day = (day.month, day.day) == (2, 29)
    return day.replace(year=day.year + 1, day=28 if is_leap_day else day.day)


def read_date(text: str) -> date:
    """The date in a text as YYYY-MM-DD; raises ValueError for anything else, and out of DATE_MIN to DATE_MAX."""
    if not _DATE.fullmatch(text):
        raise ValueError(f"not a date as YYYY-MM-DD: {text[:20]!r}")
    day = date.fromisoformat(text)
    if not DATE_MIN <= day <= DATE_MAX:
        raise ValueError(f"not between {DATE_MIN} and {DATE_MAX}: {text!r}")
    return day
