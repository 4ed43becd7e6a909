"""Checks of single values."""

from datetime import date, timedelta

import pytest

from api.services.checks import check_day


@pytest.mark.parametrize(
    ("today", "last"),
    [
        (date(2026, 11, 21), date(2027, 11, 21)),
        (date(2027, 3, 1), date(2028, 3, 1)),
        (date(2028, 2, 29), date(2029, 2, 28)),
        (date(2028, 3, 1), date(2029, 3, 1)),
    ],
)
def test_a_day_may_lie_a_calendar_year_ahead_and_no_further(today: date, last: date) -> None:
    assert check_day("day", last, today) == []
    [problem] = check_day("day", last + timedelta(days=1), today)
    assert (problem.field, problem.expected) == (("day",), f"1900-01-01 to {last}")
