"""What capital costs: on a day, over days, and the periods of a trend."""

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.domain.capital import RATE_MAX
from api.domain.dates import DATE_MAX, DATE_MIN
from api.domain.money import CENTS_MAX
from api.domain.wacc import Period, Step, Totals, WaccPeriod, average, periods, wacc

NOTHING = Totals(Decimal(0), 0, 0)
FIRST = date(2025, 3, 1)


def totals(*sources: tuple[int, str]) -> Totals:
    """The totals of sources given as a whole amount and a rate."""
    weighted = sum((amount * 100 * Decimal(rate) for amount, rate in sources), Decimal(0))
    return Totals(weighted, sum(amount * 100 for amount, _ in sources), len(sources))


FOUR = ((500_000, "0.05"), (1_000_000, "0"), (750_000, "0.14"), (500_000, "0.20"))


@pytest.mark.parametrize(
    ("more", "expected"),
    [((), "0.083636"), (((1_000_000, "0.25"),), "0.128000"), (((2_000_000, "0.02"),), "0.056842")],
)
def test_wacc_weighs_rates_by_amounts(more: tuple[tuple[int, str], ...], expected: str) -> None:
    assert str(wacc(totals(*FOUR, *more))) == expected


def test_wacc_of_nothing_is_none_and_of_interest_free_capital_is_0() -> None:
    assert wacc(NOTHING) is None
    assert str(wacc(totals((1, "0")))) == "0.000000"


def test_wacc_is_rounded_half_to_even() -> None:
    assert str(wacc(totals((1, "0.000001"), (1, "0")))) == "0.000000"
    assert str(wacc(totals((1, "0.000003"), (1, "0")))) == "0.000002"


def test_wacc_of_the_greatest_sources_is_exact() -> None:
    greatest = Totals(10_000 * CENTS_MAX * RATE_MAX, 10_000 * CENTS_MAX, 10_000)
    assert wacc(greatest) == RATE_MAX


def test_average_weighs_by_days() -> None:
    steps = [Step(date(2025, 1, 1), totals((1, "0.10"))), Step(date(2025, 1, 16), totals((99, "0.20")))]
    assert str(average(steps, date(2025, 1, 1), date(2025, 1, 31))) == "0.151613"


def test_both_ends_of_an_average_count() -> None:
    steps = [Step(FIRST, totals((1, "0.10"))), Step(FIRST + timedelta(days=1), totals((1, "0.20")))]
    assert average(steps, FIRST, FIRST) == Decimal("0.10")
    assert average(steps, FIRST, FIRST + timedelta(days=1)) == Decimal("0.15")
    assert average(steps, FIRST + timedelta(days=1), FIRST + timedelta(days=1)) == Decimal("0.20")


def test_days_without_a_source_are_left_out() -> None:
    steps = [
        Step(FIRST + timedelta(days=10), totals((1, "0.10"))),
        Step(FIRST + timedelta(days=12), NOTHING),
        Step(FIRST + timedelta(days=30), totals((1, "0.40"))),
    ]
    assert average(steps, FIRST, FIRST + timedelta(days=30)) == Decimal("0.20")
    assert average(steps, FIRST, FIRST + timedelta(days=9)) is None
    assert average(steps, FIRST + timedelta(days=12), FIRST + timedelta(days=29)) is None
    assert average([], FIRST, FIRST) is None


def test_average_is_rounded_once() -> None:
    steps = [Step(FIRST, totals((2, "0"), (1, "0.000001"))), Step(FIRST + timedelta(days=1), totals((1, "0.000001")))]
    # A third and one: two thirds of a millionth.
    assert str(average(steps, FIRST, FIRST + timedelta(days=1))) == "0.000001"


def test_average_over_all_days_there_are() -> None:
    steps = [Step(DATE_MIN, totals((1, "0.10"))), Step(DATE_MAX, NOTHING)]
    assert average(steps, DATE_MIN, DATE_MAX) == Decimal("0.10")


TOTALS = st.just(NOTHING) | st.builds(
    lambda amount, millionths: Totals(amount * Decimal(millionths).scaleb(-6), amount, 1),
    st.integers(1, 9) | st.integers(1, CENTS_MAX),
    st.integers(0, 9) | st.integers(0, 9_999_999_999),
)
STEPS = st.dictionaries(st.integers(-20, 50), TOTALS, max_size=12)


@settings(deadline=None)
@given(STEPS, st.integers(-25, 55), st.integers(0, 60))
def test_average_is_that_of_every_day(numbered: dict[int, Totals], start: int, length: int) -> None:
    steps = [Step(FIRST + timedelta(days=number), numbered[number]) for number in sorted(numbered)]
    first, last = FIRST + timedelta(days=start), FIRST + timedelta(days=start + length)
    expected = average_day_by_day(steps, first, last)
    found = average(steps, first, last)
    if expected is None:
        assert found is None
    else:
        assert found is not None
        assert abs(Fraction(found) - expected) <= Fraction(1, 2 * 10**6) + Fraction(1, 10**40)


def average_day_by_day(steps: Sequence[Step], first: date, last: date) -> Fraction | None:
    """Looks up each day by itself."""
    rates = []
    for number in range((last - first).days + 1):
        holding = [step.totals for step in steps if step.on <= first + timedelta(days=number)]
        if holding and holding[-1].source_count:
            rates.append(Fraction(holding[-1].weighted) / holding[-1].total_cents)
    return sum(rates, Fraction(0)) / len(rates) if rates else None


def test_months_end_on_the_day_asked_for() -> None:
    assert periods(WaccPeriod.MONTH, 3, date(2024, 3, 15)) == [
        Period("2024-01", date(2024, 1, 1), date(2024, 1, 31)),
        Period("2024-02", date(2024, 2, 1), date(2024, 2, 29)),
        Period("2024-03", date(2024, 3, 1), date(2024, 3, 15)),
    ]


def test_quarters_and_years_go_back_over_the_turn_of_the_year() -> None:
    assert periods(WaccPeriod.QUARTER, 2, date(2025, 2, 28)) == [
        Period("2024-Q4", date(2024, 10, 1), date(2024, 12, 31)),
        Period("2025-Q1", date(2025, 1, 1), date(2025, 2, 28)),
    ]
    assert periods(WaccPeriod.YEAR, 2, date(2025, 12, 31)) == [
        Period("2024", date(2024, 1, 1), date(2024, 12, 31)),
        Period("2025", date(2025, 1, 1), date(2025, 12, 31)),
    ]


@pytest.mark.parametrize(("period", "days"), [(WaccPeriod.ROLLING_60, 60), (WaccPeriod.ROLLING_90, 90)])
def test_rolling_windows_have_all_their_days_and_follow_upon_each_other(period: WaccPeriod, days: int) -> None:
    earlier, later = periods(period, 2, date(2025, 6, 30))
    assert later.last == date(2025, 6, 30)
    assert (later.last - later.first).days + 1 == (earlier.last - earlier.first).days + 1 == days
    assert later.first - earlier.last == timedelta(days=1)
    assert later.label == f"{later.first}/2025-06-30"


@given(st.sampled_from(WaccPeriod), st.integers(1, 40), st.dates(DATE_MIN, DATE_MAX))
def test_periods_follow_upon_each_other_to_the_last_day(period: WaccPeriod, count: int, until: date) -> None:
    found = periods(period, count, until)
    assert 1 <= len(found) <= count
    assert len(found) == count or found[0].first == DATE_MIN
    assert found[-1].last == until
    assert all(one.first <= one.last for one in found)
    assert all(after.first - before.last == timedelta(days=1) for before, after in pairwise(found))
    assert len({one.label for one in found}) == len(found)
