"""Rates of return of dated cash flows: one number, or the reason why there is none.

A rate is answered where it is the only one above -100 % at which the flows are worth nothing: where there are two,
neither says what the money earned. That it is the only one follows, nearly always, from the balance on every day but
the last, at that rate, having one sign (Soper 1959); else all zeros are counted.

pyxirr finds the rate in floats; one Newton step in whole numbers then makes it good for ``RATE_PLACES`` decimals, so
that it discounts even the largest amounts to less than a cent. pyxirr lets other threads run while it works; the rest
does not, but a thread that solves gives way to others every few milliseconds.
"""

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
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


@dataclass(frozen=True, slots=True)
class Irr:
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
    if method is IrrMethod.MONTHLY_NOMINAL:
        return [_monthly(flows, valuation) for valuation in valuations]
    if method is not IrrMethod.XIRR:
        raise ValueError(f"{method} is not computed from flows")
    ordinals = [day.toordinal() for day in flows.days]
    return [_annual(flows, ordinals, valuation) for valuation in valuations]


def _until(flows: Flows, day: date) -> Flows:
    count = bisect_right(flows.days, day)
    return Flows(flows.days[:count], flows.cents[:count])


def _annual(flows: Flows, ordinals: Sequence[int], valuation: Valuation) -> Irr:
    day, value = valuation
    count = bisect_right(flows.days, day)
    days, cents = list(flows.days[:count]), list(flows.cents[:count])
    times = ordinals[:count]
    if value:
        if count and days[-1] == day:
            value += cents.pop()
            days.pop()
            times = times[:-1]
        if value:
            days.append(day)
            cents.append(value)
            times = [*times, day.toordinal()]
    reason = _unsolvable(cents)
    if reason is not None:
        return Irr(None, reason)
    rate = pyxirr.xirr(days, cents, silent=True)
    guess = None if rate is None or not -1 < rate < RATE_MAX else math.log1p(rate) / _DAYS
    growth = single_growth(times, cents, guess)
    if isinstance(growth, RootCount):
        return Irr(None, _REASONS[growth])
    return _rate(power(growth, _DAYS) - ONE, lowest=-1)


def _monthly(flows: Flows, valuation: Valuation) -> Irr:
    by_month: dict[int, int] = {}
    for day, cents in zip(flows.days, flows.cents, strict=True):
        if day <= valuation.valued_on:
            by_month[_month(day)] = by_month.get(_month(day), 0) + cents
    if valuation.value_cents:
        by_month[_month(valuation.valued_on) + 1] = valuation.value_cents
    months = sorted(month for month, cents in by_month.items() if cents)
    amounts = [by_month[month] for month in months]
    reason = _unsolvable(amounts)
    if reason is not None:
        return Irr(None, reason)
    rate = pyxirr.irr([by_month.get(month, 0) for month in range(months[0], months[-1] + 1)], silent=True)
    guess = None if rate is None or not -1 < rate < RATE_MAX else math.log1p(rate)
    growth = single_growth(months, amounts, guess)
    if isinstance(growth, RootCount):
        return Irr(None, _REASONS[growth])
    return _rate(_MONTHS * (growth - ONE), lowest=-_MONTHS)


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
    scaled = (fixed * 10**RATE_PLACES + ONE // 2) >> BITS
    if not lowest * 10**RATE_PLACES < scaled < RATE_MAX * 10**RATE_PLACES:
        return Irr(None, IrrReason.DID_NOT_CONVERGE)
    return Irr(Decimal(f"{scaled}E-{RATE_PLACES}"), None)
