"""The growth at which dated amounts are worth nothing, to more places than floats have.

In whole numbers: a growth is a multiple of 2^-128 there, for a unit of time, and its powers are products. Time runs
forward for what grows and backward for what shrinks, so that no power of it comes out too small to be told from 0.
"""

import math
from collections.abc import Sequence
from itertools import accumulate
from operator import mul, sub

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


def single_growth(times: Sequence[int], amounts: Sequence[int], guess: float | None) -> int | RootCount:
    """What one becomes in a unit of time, in parts of ``ONE``, at the only rate at which the amounts are worth 0.

    ``times`` ascend, and there are two at least; no amount is 0. ``guess`` is the growth's logarithm from a solver that
    may have failed, or have found one of several. Else the reason why there is none.
    """
    if times[0]:
        first = times[0]
        times = [time - first for time in times]
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
        gaps = list(map(sub, self.times[1:], self.times))
        growth = ONE + int(math.expm1(self.log_growth) * ONE)
        for _ in range(_STEPS_MAX):
            step = self._worth(growth, gaps) / self.slope
            growth += growth * int(step * ONE) >> BITS
            if abs(step) < _GOOD:
                return ONE * ONE // growth if self.shrinks else growth
        return RootCount.UNDECIDED

    def _worth(self, growth: int, gaps: Sequence[int]) -> float:
        """The present value at a growth that is nearly the one that was found. ``gaps`` are between the times."""
        powers = _Powers(growth)
        growths = {gap: powers.of(gap) for gap in set(gaps)}
        value = self.amounts[0] << BITS
        for grown, amount in zip(map(growths.__getitem__, gaps), self.amounts[1:], strict=True):
            value = (value * grown >> BITS) + (amount << BITS)
        return value / powers.of(self.times[-1])


class _Powers:
    """What a growth comes to in many units of time: the squares that they are products of are made once for all."""

    __slots__ = ("_squares",)

    def __init__(self, growth: int) -> None:
        self._squares = [growth]

    def of(self, exponent: int) -> int:
        """The growth in so many units of time, of which there is one at least."""
        squares = self._squares
        while exponent >> len(squares):
            squares.append(squares[-1] * squares[-1] >> BITS)
        result = 0
        for square in squares:
            if exponent & 1:
                result = result * square >> BITS if result else square
            exponent >>= 1
            if not exponent:
                break
        return result


def power(growth: int, exponent: int) -> int:
    """The growth in so many units of time, of which there is one at least."""
    return _Powers(growth).of(exponent)
