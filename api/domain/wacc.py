"""The weighted average cost of capital: on a day, averaged over days, and the periods of a trend.

WACC = sum(amount x annual rate) / sum(amount) over the sources active on a day (DOMAIN: capital sources). Rates are
fractions, amounts cents; ratios are exact until they are rounded once, to six decimals, half to even.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from enum import StrEnum
from itertools import pairwise

from api.domain.dates import DATE_MIN
from api.domain.money import RATIO_PLACES

PERIODS_MAX = 1000
DIGITS = 60
"""Amounts and rates together have fewer; the same as ``money.ratio`` works with."""


@dataclass(frozen=True, slots=True)
class Totals:
    """The sources of a day: the sum of amount x rate (cents x fraction), the sum of amounts in cents, their count."""

    weighted: Decimal
    total_cents: int
    source_count: int


@dataclass(frozen=True, slots=True)
class Step:
    """The totals from a day on, until the next step."""

    on: date
    totals: Totals


class WaccPeriod(StrEnum):
    """What one point of a trend covers."""

    MONTH = "MONTH"
    QUARTER = "QUARTER"
    YEAR = "YEAR"
    ROLLING_60 = "ROLLING_60"
    ROLLING_90 = "ROLLING_90"


@dataclass(frozen=True, slots=True)
class Period:
    """The days of one point of a trend, both ends included, and its label."""

    label: str
    first: date
    last: date


def wacc(totals: Totals) -> Decimal | None:
    """The rate that the sources cost together, as a fraction to six decimals; None where there is none."""
    if totals.total_cents == 0:
        return None
    with localcontext(prec=DIGITS):
        return _rounded(totals.weighted / totals.total_cents)


def average(steps: Sequence[Step], first: date, last: date) -> Decimal | None:
    """The daily WACC averaged over the days from ``first`` to ``last``, both counted, on which there is a source.

    ``steps`` ascend by day, one for a day at most; what holds on ``first`` may begin earlier, and before the first step
    there is no source. None where no day has a source. Days weigh the same, whatever the amounts (DOMAIN: vectors).
    """
    days_counted = 0
    with localcontext(prec=DIGITS):
        sum_of_days = Decimal(0)
        for totals, days in _stretches(steps, first, last):
            if totals.total_cents:
                sum_of_days += totals.weighted / totals.total_cents * days
                days_counted += days
        return _rounded(sum_of_days / days_counted) if days_counted else None


def _stretches(steps: Sequence[Step], first: date, last: date) -> list[tuple[Totals, int]]:
    """The totals that hold within the days, each with for how many of them."""
    end = Step(last + timedelta(days=1), Totals(Decimal(0), 0, 0))
    stretches = []
    for step, following in pairwise((*(step for step in steps if step.on <= last), end)):
        days = (following.on - max(step.on, first)).days
        if days > 0:
            stretches.append((step.totals, days))
    return stretches


def _rounded(rate: Decimal) -> Decimal:
    return rate.quantize(RATIO_PLACES, rounding=ROUND_HALF_EVEN)


def periods(period: WaccPeriod, count: int, until: date) -> list[Period]:
    """The last ``count`` periods, ascending; the last one ends on ``until``, also in the middle of a month or a year.

    Labels: 2025-03, 2025-Q1, 2025; for windows of 60 or 90 days, which follow upon each other, their two days as
    2025-01-15/2025-03-15. There are fewer where the calendar begins. ``count``: 1 to PERIODS_MAX.
    """
    found: list[Period] = []
    last = until
    while len(found) < count and last >= DATE_MIN:
        first = max(_first_day(period, last), DATE_MIN)
        found.append(Period(_label(period, first, last), first, last))
        last = first - timedelta(days=1)
    return found[::-1]


_ROLLING_DAYS = {WaccPeriod.ROLLING_60: 60, WaccPeriod.ROLLING_90: 90}


def _first_day(period: WaccPeriod, last: date) -> date:
    match period:
        case WaccPeriod.MONTH:
            return last.replace(day=1)
        case WaccPeriod.QUARTER:
            return date(last.year, (last.month - 1) // 3 * 3 + 1, 1)
        case WaccPeriod.YEAR:
            return date(last.year, 1, 1)
        case _:
            days = _ROLLING_DAYS[period] - 1
            return last - timedelta(days=min(days, (last - DATE_MIN).days))


def _label(period: WaccPeriod, first: date, last: date) -> str:
    match period:
        case WaccPeriod.MONTH:
            return f"{last.year:04}-{last.month:02}"
        case WaccPeriod.QUARTER:
            return f"{last.year:04}-Q{(last.month + 2) // 3}"
        case WaccPeriod.YEAR:
            return f"{last.year:04}"
        case _:
            return f"{first}/{last}"
