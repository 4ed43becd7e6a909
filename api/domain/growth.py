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
    if guess is None or not _is_only(times, amounts, guess):
        found = single_root(times, amounts)
        if isinstance(found, RootCount):
            return found
        guess = found
    if guess >= 0:
        return _refine(times, amounts, guess)
    growth = _refine(*_reversed(times, amounts), -guess)
    return growth if isinstance(growth, RootCount) else ONE * ONE // growth


def _reversed(times: Sequence[int], amounts: Sequence[int]) -> tuple[list[int], list[int]]:
    return [times[-1] - time for time in reversed(times)], list(reversed(amounts))


def _is_only(times: Sequence[int], amounts: Sequence[int], guess: float) -> bool:
    """Whether Soper shows that a zero is the only one: the sum of the first k present values, which is the balance
    then, has one sign for all k but the last.
    """
    if guess < 0:
        times, amounts = _reversed(times, amounts)
    balances = list(accumulate(_present_values(times, amounts, abs(guess))))
    end = balances.pop()
    low, high = min(balances), max(balances)
    largest = max(-low, high)
    return (high < -_MARGIN * largest or low > _MARGIN * largest) and abs(end) < _NEAR * largest


def _present_values(times: Sequence[int], amounts: Sequence[int], log_growth: float) -> list[float]:
    discount = math.exp(-log_growth)
    return [amount * discount**time for amount, time in zip(amounts, times, strict=True)]


def _refine(times: Sequence[int], amounts: Sequence[int], guess: float) -> int | RootCount:
    """The growth near ``guess``, which is not below 0, by Newton's method: the slope in floats, the value exact."""
    slope: float = sum(map(mul, times, _present_values(times, amounts, guess)))
    gaps = [later - earlier for earlier, later in pairwise(times)]
    growth = int(math.exp(guess) * ONE)
    for _ in range(_STEPS_MAX):
        step = _future_value(growth, gaps, amounts) / power(growth, times[-1]) / slope
        growth += growth * int(step * ONE) >> BITS
        if abs(step) < _GOOD:
            return growth
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
