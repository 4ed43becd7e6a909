"""How often a sum of exponentials is zero: what decides whether cash flows have one rate of return.

f(x) = sum of ``amount * exp(-x * time)``, with whole, ascending, distinct times that start at 0, is the present value
of the amounts at the rate exp(x) - 1 for each unit of time. Every term of it, and of its derivative, rises or falls
all the way, so over an interval the sums of what the terms are at its ends are bounds. An interval is halved until
these show that f or its derivative has one sign within; then it holds no zero, or one exactly if f has different
signs at its ends.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import accumulate

TERMS_MAX = 1_000_000
"""How many terms are looked at before the search is given up: about a second's work."""
NOISE = 1e-12
"""A sum below this part of its terms is not told from 0."""
WIDTH_MIN = 1e-9
"""Intervals, of which the whole time is the unit, that are this narrow and undecided touch zero or cross it twice."""


class RootCount(Enum):
    """Why there is no single zero."""

    NONE = "NONE"
    SEVERAL = "SEVERAL"
    UNDECIDED = "UNDECIDED"


@dataclass(frozen=True, slots=True)
class _Edge:
    x: float
    is_positive: bool


class _Sum:
    """The function, its times scaled to 0..1 and its amounts kept as logarithms."""

    def __init__(self, times: Sequence[int], amounts: Sequence[int]) -> None:
        self.times = [time / times[-1] for time in times]
        self.signs = [1.0 if amount > 0 else -1.0 for amount in amounts]
        self.logs = [math.log(abs(amount)) for amount in amounts]

    def terms(self, x: float) -> list[float]:
        """The terms at ``x``, as parts of the largest."""
        sizes = [log - x * time for log, time in zip(self.logs, self.times, strict=True)]
        largest = max(sizes)
        return [sign * math.exp(size - largest) for sign, size in zip(self.signs, sizes, strict=True)]

    def edge(self, x: float) -> _Edge:
        return _Edge(x, math.fsum(self.terms(x)) >= 0)

    def range(self) -> tuple[float, float]:
        """Between these all zeros lie.

        Laguerre: there are at most as many zeros above x as the sums of the first terms, one, two, and so on, change
        their sign at x, and below x as those of the last terms do.
        """
        low, high = -1.0, 1.0
        while not _has_one_sign(accumulate(self.terms(high))):
            high *= 2
        while not _has_one_sign(accumulate(reversed(self.terms(low)))):
            low *= 2
        return low, high

    def has_one_sign(self, low: float, high: float) -> tuple[bool, bool]:
        """Whether the function, and its derivative, are shown to keep one sign from ``low`` to ``high``.

        Both are taken of the function times an exponential, which has the same zeros and makes the largest term
        constant.
        """
        middle = (low + high) / 2
        sizes = [log - middle * time for log, time in zip(self.logs, self.times, strict=True)]
        largest = max(sizes)
        center = self.times[sizes.index(largest)]
        ends = []
        for sign, size, time in zip(self.signs, sizes, self.times, strict=True):
            lag = time - center
            reach = abs(lag) * (high - low) / 2
            if reach > 600:
                return False, False
            value = sign * math.exp(size - largest)
            ends.append((lag, value * math.exp(reach), value * math.exp(-reach)))
        slopes = [(lag * first, lag * second) for lag, first, second in ends]
        return _keeps_sign([(first, second) for _, first, second in ends]), _keeps_sign(slopes)


def _has_one_sign(sums: "accumulate[float]") -> bool:
    values = list(sums)
    return min(values) >= 0 or max(values) <= 0


def _keeps_sign(ends: Sequence[tuple[float, float]]) -> bool:
    """Whether sums of terms that each lie between two ends cannot be 0."""
    noise = NOISE * sum(max(abs(first), abs(second)) for first, second in ends)
    return sum(map(min, ends)) > noise or sum(map(max, ends)) < -noise


def single_root(times: Sequence[int], amounts: Sequence[int]) -> float | RootCount:
    """The one x, for a unit of the times, at which the sum of ``amount * exp(-x * time)`` is 0; or why there is not
    one.

    ``times`` ascend from 0, without repetition; no amount is 0; there are two at least. The value is as good as floats
    allow. Touching zero counts as crossing it twice.
    """
    function = _Sum(times, amounts)
    low, high = function.range()
    open_intervals = [(function.edge(low), function.edge(high))]
    found: tuple[_Edge, _Edge] | None = None
    for _ in range(TERMS_MAX // len(times)):
        if not open_intervals:
            return RootCount.NONE if found is None else _bisect(function, *found) / times[-1]
        lower, upper = open_intervals.pop()
        is_free, is_monotone = function.has_one_sign(lower.x, upper.x)
        if is_free or (is_monotone and lower.is_positive == upper.is_positive):
            continue
        if is_monotone:
            if found is not None:
                return RootCount.SEVERAL
            found = lower, upper
        elif upper.x - lower.x < WIDTH_MIN:
            return RootCount.SEVERAL
        else:
            middle = function.edge((lower.x + upper.x) / 2)
            open_intervals += [(lower, middle), (middle, upper)]
    return RootCount.UNDECIDED


def _bisect(function: _Sum, lower: _Edge, upper: _Edge) -> float:
    while True:
        middle = (lower.x + upper.x) / 2
        if middle in (lower.x, upper.x):
            return middle
        edge = function.edge(middle)
        if edge.is_positive == lower.is_positive:
            lower = edge
        else:
            upper = edge
