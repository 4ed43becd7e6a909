"""The growth at which dated amounts are worth nothing, to more places than floats have.

In whole numbers: a growth is a multiple of 2^-128 there, for a unit of time, and its powers are products. Time runs
forward for what grows and backward for what shrinks, so that no power of it comes out too small to be told from 0.
"""

import math
from collections.abc import Sequence
from itertools import accumulate, pairwise
from operator import mul

from api.domain.roots import RootCount, single_root

BITS = 128
ONE = 1 << BITS

_STEPS_MAX = 12
_GOOD = 1e-16
"""A step this small, of Newton's method, leaves an error of the order of its square."""
_GOOD_IN_FLOATS = 1e-9
"""The same of a step of floats, over the whole time: no further one would come nearer."""
_MARGIN = 1e-12
"""Balances nearer to 0 than this part of the largest are not trusted to have a sign."""
_NEAR = 1e-6
"""A balance at the end below this part of the largest is that of a rate that solves the flows."""


def single_growth(ordinals: Sequence[int], amounts: Sequence[int], guess: float | None) -> int | RootCount:
    """What one becomes in a unit of time, in parts of ``ONE``, at the only rate at which the amounts are worth 0.

    ``ordinals`` are their ascending times, of which there are two at least; no amount is 0. ``guess`` is the growth's
    logarithm from a solver that may have failed, or have found one of several. Else the reason why there is none.
    """
    times = [ordinal - ordinals[0] for ordinal in ordinals]
    if guess is not None:
        near = _Near(times, amounts, guess)
        if near.is_only():
            return near.exact()
    found = single_root(times, amounts)
    return found if isinstance(found, RootCount) else _Near(times, amounts, found).exact()


class _Near:
    """A growth at which the amounts are worth nothing as far as floats tell; time runs as it grows."""

    def __init__(self, times: Sequence[int], amounts: Sequence[int], guess: float) -> None:
        self.shrinks = guess < 0
        if self.shrinks:
            times = [times[-1] - time for time in reversed(times)]
            amounts = amounts[::-1]
        self.times, self.amounts = times, amounts
        self.log_growth = abs(guess)
        for _ in range(_STEPS_MAX):
            rate = -self.log_growth
            self.values = [amount * math.exp(rate * time) for amount, time in zip(amounts, times, strict=True)]
            self.slope: float = sum(map(mul, times, self.values))
            step = math.fsum(self.values) / self.slope if self.slope else 0.0
            if self.log_growth + step < 0:
                return
            self.log_growth += step
            if abs(step) * times[-1] < _GOOD_IN_FLOATS:
                return

    def is_only(self) -> bool:
        """Whether Soper shows that there is no other: the sum of the first k present values, which is the balance then,
        has one sign for all k but the last.
        """
        balances = list(accumulate(self.values))
        end = balances.pop()
        low, high = min(balances), max(balances)
        largest = max(-low, high)
        return (high < -_MARGIN * largest or low > _MARGIN * largest) and abs(end) < _NEAR * largest

    def exact(self) -> int | RootCount:
        """The growth by Newton's method, the slope in floats, the value exact: as a rule one step is enough."""
        gaps = [later - earlier for earlier, later in pairwise(self.times)]
        growth = ONE + int(math.expm1(self.log_growth) * ONE)
        for _ in range(_STEPS_MAX):
            step = _future_value(growth, gaps, self.amounts) / power(growth, self.times[-1]) / self.slope
            growth += growth * int(step * ONE) >> BITS
            if abs(step) < _GOOD:
                return ONE * ONE // growth if self.shrinks else growth
        return RootCount.UNDECIDED


def power(growth: int, exponent: int) -> int:
    """The growth in so many units of time."""
    result = ONE
    while exponent:
        if exponent & 1:
            result = result * growth >> BITS
        exponent >>= 1
        if exponent:
            growth = growth * growth >> BITS
    return result


def _future_value(growth: int, gaps: Sequence[int], amounts: Sequence[int]) -> int:
    """What the amounts have become when the last one flows; ``gaps`` are the times between them."""
    powers = {gap: power(growth, gap) for gap in set(gaps)}
    value = amounts[0] << BITS
    for gap, amount in zip(gaps, amounts[1:], strict=True):
        value = (value * powers[gap] >> BITS) + (amount << BITS)
    return value
