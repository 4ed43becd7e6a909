"""Rates of return of dated cash flows: one number, or the reason why there is none.

A rate is answered where it is the only one above -100 % at which the flows are worth nothing: where there are two,
neither says what the money earned. That it is the only one follows, nearly always, from the balance on every day but
the last, at that rate, having one sign (Soper 1959); else all zeros are counted.

pyxirr finds the rate in floats; one Newton step in whole numbers then makes it good for ``RATE_PLACES`` decimals, so
that it discounts even the largest amounts to less than a cent. pyxirr lets other threads run while it works; the rest
does not, but a thread that solves gives way to others every few milliseconds.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

import pyxirr

from api.domain.growth import BITS, ONE, power, single_growth
from api.domain.roots import RootCount

RATE_PLACES = 24
"""Decimals of a rate. With 64-bit cents over a century a cent needs 23."""
RATE_MAX = 10**18
"""Rates from here on are as good as none: a tenth gained in a day is 10^15 a year."""

_DAYS = 365
_MONTHS = 12
_SCALE = 10**RATE_PLACES
_TOO_HIGH = RATE_MAX * _SCALE
_HALF = ONE // 2


class IrrMethod(StrEnum):
    """How a return is computed."""

    XIRR = "XIRR"
    MONTHLY_NOMINAL = "MONTHLY_NOMINAL"
    REPORTED = "REPORTED"


class IrrReason(StrEnum):
    """Why there is no return."""

    INSUFFICIENT_CASH_FLOWS = "INSUFFICIENT_CASH_FLOWS"
    NO_SIGN_CHANGE = "NO_SIGN_CHANGE"
    DID_NOT_CONVERGE = "DID_NOT_CONVERGE"
    MULTIPLE_ROOTS = "MULTIPLE_ROOTS"
    NO_VALUATION = "NO_VALUATION"
    NOT_REPORTED = "NOT_REPORTED"


_REASONS = {
    RootCount.NONE: IrrReason.DID_NOT_CONVERGE,
    RootCount.SEVERAL: IrrReason.MULTIPLE_ROOTS,
    RootCount.UNDECIDED: IrrReason.DID_NOT_CONVERGE,
}


class Irr(NamedTuple):
    """A rate as a decimal fraction with ``RATE_PLACES`` decimals, or the reason why there is none."""

    value: Decimal | None
    reason: IrrReason | None


class Valuation(NamedTuple):
    """What a position was worth at the end of a day, in cents."""

    valued_on: date
    value_cents: int


@dataclass(frozen=True, slots=True)
class Flows:
    """What came out of a position and, negative, went in: cents by day, the days ascending. Days that net to 0 are left
    out. Made by ``flows_of``.
    """

    days: Sequence[date]
    cents: Sequence[int]


def flows_of(flows: Iterable[tuple[date, int]]) -> Flows:
    """Signed cents and their days, in any order and several to a day, as Flows. (A switch between two funds of a
    portfolio so nets to nothing in the portfolio's.)
    """
    by_day: dict[date, int] = {}
    for day, cents in flows:
        by_day[day] = by_day.get(day, 0) + cents
    days = sorted(day for day, cents in by_day.items() if cents)
    return Flows(days, [by_day[day] for day in days])


def irr(flows: Flows, valuation: Valuation | None, as_of: date, method: IrrMethod = IrrMethod.XIRR) -> Irr:
    """The rate of return as of a day on which ``valuation`` is the last one known.

    It is measured to the valuation's day: what flowed after it is not in it, and would count twice. Without a
    valuation it is that of the flows until ``as_of`` if they end the position, else NO_VALUATION. Methods: XIRR,
    annual and effective, by days of 365 to the year; MONTHLY_NOMINAL, twelve times the monthly rate of flows summed
    by calendar month, with the valuation in the month after its own. REPORTED is read, not computed.
    """
    if valuation is not None:
        return irr_series(flows, [valuation], method)[0]
    known = _until(flows, as_of)
    if not ends_position(known):
        return Irr(None, IrrReason.NO_VALUATION)
    return irr_series(known, [Valuation(as_of, 0)], method)[0]


def ends_position(flows: Flows) -> bool:
    """Whether flows are taken for a whole position that needs no valuation: the last one is money out, and as much came
    out as went in. A position that ended at a loss is told from one that goes on by a valuation of 0.
    """
    return bool(flows.cents) and flows.cents[-1] > 0 and sum(flows.cents) >= 0


def irr_series(flows: Flows, valuations: Sequence[Valuation], method: IrrMethod = IrrMethod.XIRR) -> list[Irr]:
    """The rate on the day of each valuation, in their order, from the flows until that day and the valuation, of which
    one of 0 is left out.

    For many positions call this for one after the other in a thread of its own (``asyncio.to_thread``): the
    hundredth of a millisecond that one rate takes is too short to be sent anywhere.
    """
    return list(irr_each(flows, valuations, method))


def irr_each(flows: Flows, valuations: Sequence[Valuation], method: IrrMethod) -> Iterator[Irr]:
    """The same, each computed when it is asked for: where zeros are to be counted one may take a second."""
    if method is IrrMethod.MONTHLY_NOMINAL:
        months = _months_of(flows)
        return (_monthly(flows, months, valuation) for valuation in valuations)
    if method is not IrrMethod.XIRR:
        raise ValueError(f"{method} is not computed from flows")
    start = flows.days[0].toordinal() if flows.days else 0
    times = [day.toordinal() - start for day in flows.days]
    return (_annual(flows, times, start, valuation) for valuation in valuations)


def _until(flows: Flows, day: date) -> Flows:
    count = bisect_right(flows.days, day)
    return Flows(flows.days[:count], flows.cents[:count])


def _annual(flows: Flows, flow_times: Sequence[int], start: int, valuation: Valuation) -> Irr:
    """``flow_times`` are the days of the flows, counted from ``start``."""
    day, value = valuation
    count = bisect_right(flows.days, day)
    days, cents, times = list(flows.days[:count]), list(flows.cents[:count]), list(flow_times[:count])
    if value:
        if days and days[-1] == day:
            value += cents.pop()
            days.pop()
            times.pop()
        if value:
            days.append(day)
            cents.append(value)
            times.append(day.toordinal() - start)
    reason = _unsolvable(cents)
    if reason is not None:
        return Irr(None, reason)
    growth = single_growth(times, cents, _log_growth(pyxirr.xirr(days, cents, silent=True), _DAYS))
    if isinstance(growth, RootCount):
        return Irr(None, _REASONS[growth])
    return _rate(power(growth, _DAYS) - ONE, lowest=-1)


class _Months(NamedTuple):
    """Flows by calendar month, ascending: their sums, and where in the flows each month begins."""

    months: Sequence[int]
    cents: Sequence[int]
    begins: Sequence[int]


def _months_of(flows: Flows) -> _Months:
    months: list[int] = []
    sums: list[int] = []
    begins: list[int] = []
    for place, (day, cents) in enumerate(zip(flows.days, flows.cents, strict=True)):
        month = _month(day)
        if months and months[-1] == month:
            sums[-1] += cents
        else:
            months.append(month)
            sums.append(cents)
            begins.append(place)
    return _Months(months, sums, begins)


def _monthly(flows: Flows, by_month: _Months, valuation: Valuation) -> Irr:
    day, value = valuation
    month = _month(day)
    # All of the months before, and of its own what flowed until the day.
    whole = bisect_left(by_month.months, month)
    months, amounts = list(by_month.months[:whole]), list(by_month.cents[:whole])
    if by_month.months[whole : whole + 1] == [month]:
        months.append(month)
        amounts.append(sum(flows.cents[by_month.begins[whole] : bisect_right(flows.days, day)]))
    if value:
        months.append(month + 1)
        amounts.append(value)
    if 0 in amounts:
        months = [one for one, cents in zip(months, amounts, strict=True) if cents]
        amounts = [cents for cents in amounts if cents]
    reason = _unsolvable(amounts)
    if reason is not None:
        return Irr(None, reason)
    every = amounts
    if months[-1] - months[0] >= len(months):
        of_month = dict(zip(months, amounts, strict=True))
        every = [of_month.get(one, 0) for one in range(months[0], months[-1] + 1)]
    growth = single_growth(months, amounts, _log_growth(pyxirr.irr(every, silent=True), 1))
    if isinstance(growth, RootCount):
        return Irr(None, _REASONS[growth])
    return _rate(_MONTHS * (growth - ONE), lowest=-_MONTHS)


def _log_growth(rate: float | None, units: int) -> float | None:
    """What grows at a rate for so many units of time, as the logarithm for one of them; None where it is no rate."""
    return None if rate is None or not -1 < rate < RATE_MAX else math.log1p(rate) / units


def _month(day: date) -> int:
    return day.year * 12 + day.month


def _unsolvable(amounts: Sequence[int]) -> IrrReason | None:
    if len(amounts) < 2:
        return IrrReason.INSUFFICIENT_CASH_FLOWS
    if min(amounts) > 0 or max(amounts) < 0:
        return IrrReason.NO_SIGN_CHANGE
    return None


def _rate(fixed: int, *, lowest: int) -> Irr:
    """A fixed-point rate as an answer; DID_NOT_CONVERGE from RATE_MAX on, and where it rounds to the ``lowest``."""
    scaled = (fixed * _SCALE + _HALF) >> BITS
    if not lowest * _SCALE < scaled < _TOO_HIGH:
        return Irr(None, IrrReason.DID_NOT_CONVERGE)
    return Irr(Decimal(f"{scaled}E-{RATE_PLACES}"), None)
