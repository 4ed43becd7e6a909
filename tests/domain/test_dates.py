"""Days and years."""

from datetime import date

import pytest

from api.domain.dates import a_year_after


@pytest.mark.parametrize(
    ("day", "later"),
    [
        (date(2026, 11, 21), date(2027, 11, 21)),
        (date(2027, 3, 1), date(2028, 3, 1)),
        (date(2027, 2, 28), date(2028, 2, 28)),
        (date(2028, 2, 28), date(2029, 2, 28)),
        (date(2028, 2, 29), date(2029, 2, 28)),
        (date(2028, 12, 31), date(2029, 12, 31)),
    ],
)
def test_a_year_later_is_the_same_day_of_the_same_month(day: date, later: date) -> None:
    assert a_year_after(day) == later
