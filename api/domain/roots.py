"""How often a sum of exponentials is zero: what decides whether cash flows have one rate of return.

f(x) = sum of ``amount * exp(-x * time)``, with whole, ascending, distinct times that start at 0, is the present value
of the amounts at the rate exp(x) - 1 for each unit of time. All its zeros lie in a range that is found first, which is
halved until f is, on each part, to within ``NOISE`` the polynomial of its Taylor series. A polynomial lies between its
Bernstein coefficients (Farouki 2012, The Bernstein polynomial basis: a centennial retrospective), and its derivative
between their differences. The parts are halved again, which costs the same for any number of amounts, until these show
that one of both has one sign; then there is no zero, or one exactly if f has different signs at the ends.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import accumulate, pairwise
from operator import mul

TERMS_MAX = 1_000_000
"""How many terms are looked at before the search is given up: about a second's work."""
DEGREE = 24
"""Of the polynomials."""
NOISE = 1e-12
"""A sum below this part of its terms is not told from 0."""
REMAINDER = 1e-14
"""The part of the terms that a polynomial may leave out. Its derivative leaves out DEGREE times as much."""
REACH_MAX = 500.0
"""Beyond it terms grow out of what floats hold."""
WIDTH_MIN = 1e-9
"""Intervals, of which the whole time is the unit, that are this narrow and undecided touch zero or cross it twice."""
RANGE_STEPS = 3
"""How often the ends of the range, once they are known to a factor of 2, are sought more closely."""
STEPS_MAX = 100
"""Of the search for a zero that is known to be there; ten are usual."""
NEAR = 1e-14
"""A step this small, or this part of what is looked for, finds no more."""


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

    def value(self, x: float) -> float:
        """The function at ``x``, the largest of its terms being 1."""
        return math.fsum(self.terms(x))

    def edge(self, x: float) -> _Edge:
        return _Edge(x, self.value(x) >= 0)

    def range(self) -> tuple[float, float]:
        """Between these all zeros lie.

        Laguerre: there are at most as many zeros above x as the sums of the first terms, one, two, and so on, change
        their sign at x, and below x as those of the last terms do.
        """

        def is_outside(x: float) -> bool:
            terms = self.terms(x)
            return _has_one_sign(accumulate(terms if x > 0 else reversed(terms)))

        ends = []
        for side in (-1.0, 1.0):
            inside, outside = 0.0, side
            while not is_outside(outside):
                inside, outside = outside, outside * 2
            for _ in range(RANGE_STEPS):
                middle = (inside + outside) / 2
                if is_outside(middle):
                    outside = middle
                else:
                    inside = middle
            ends.append(outside)
        return ends[0], ends[1]

    def polynomial(self, low: float, high: float) -> tuple[list[float], float] | None:
        """The function between these as Bernstein coefficients, and the noise in them; None where it is none there.

        It is taken times an exponential, which has the same zeros, and puts the start of time amid the largest terms.
        """
        powers = self.terms((low + high) / 2)
        sizes = list(map(abs, powers))
        total = sum(sizes)
        center = sum(map(mul, sizes, self.times)) / total
        half = (high - low) / 2
        steps = [(center - time) * half for time in self.times]
        if max(steps[0], -steps[-1]) > REACH_MAX:
            return None
        reaches = map(abs, steps)
        remainder = sum([size * reach**_NEXT * math.exp(reach) for size, reach in zip(sizes, reaches, strict=True)])
        if not remainder < REMAINDER * _FACTORIALS[_NEXT] * total:
            return None
        taylor = [sum(powers)]
        for degree in range(1, DEGREE + 1):
            powers = list(map(mul, powers, steps))
            taylor.append(sum(powers) / _FACTORIALS[degree])
        return [sum(map(mul, row, taylor)) for row in _TO_BERNSTEIN], NOISE * total


def _to_bernstein(row: int) -> list[float]:
    """What a Bernstein coefficient on -1..1 takes of each power (its blossom, of which ``row`` arguments are 1)."""
    return [
        sum(
            (-1) ** (degree - ones) * math.comb(row, ones) * math.comb(DEGREE - row, degree - ones)
            for ones in range(degree + 1)
        )
        / math.comb(DEGREE, degree)
        for degree in range(DEGREE + 1)
    ]


_TO_BERNSTEIN = [_to_bernstein(row) for row in range(DEGREE + 1)]
_NEXT = DEGREE + 1
_FACTORIALS = [math.factorial(degree) for degree in range(_NEXT + 1)]


def _has_one_sign(sums: "accumulate[float]") -> bool:
    values = list(sums)
    return min(values) >= 0 or max(values) <= 0


def single_root(times: Sequence[int], amounts: Sequence[int]) -> float | RootCount:
    """The one x, for a unit of the times, at which the sum of ``amount * exp(-x * time)`` is 0; or why there is not
    one.

    ``times`` ascend from 0, without repetition; no amount is 0; there are two at least. The value is as good as floats
    allow. Touching zero counts as crossing it twice.
    """
    function = _Sum(times, amounts)
    low, high = function.range()
    open_intervals = [(function.edge(low), function.edge(high))]
    if sum(one != other for one, other in pairwise(function.signs)) == 1:
        # Descartes: there is one zero.
        return _solve(function, *open_intervals[0]) / times[-1]
    found: list[tuple[_Edge, _Edge]] = []
    for _ in range(TERMS_MAX // len(times)):
        if len(found) > 1:
            return RootCount.SEVERAL
        if not open_intervals:
            return _solve(function, *found[0]) / times[-1] if found else RootCount.NONE
        lower, upper = open_intervals.pop()
        polynomial = function.polynomial(lower.x, upper.x)
        if polynomial is None:
            middle = function.edge((lower.x + upper.x) / 2)
            open_intervals += [(lower, middle), (middle, upper)]
            continue
        crossings = _crossings(lower, upper, *polynomial)
        if crossings is None:
            return RootCount.SEVERAL
        found += crossings
    return RootCount.UNDECIDED


def _crossings(lower: _Edge, upper: _Edge, coefficients: list[float], noise: float) -> list[tuple[_Edge, _Edge]] | None:
    """Edges around the zeros between two edges, each crossed once; two at most. None where one is touched."""
    pieces = [(lower, upper, coefficients)]
    found: list[tuple[_Edge, _Edge]] = []
    while pieces and len(found) < 2:
        lower, upper, coefficients = pieces.pop()
        if min(coefficients) > noise or max(coefficients) < -noise:
            continue
        steps = [later - earlier for earlier, later in pairwise(coefficients)]
        if min(steps) > 2 * noise or max(steps) < -2 * noise:
            if lower.is_positive != upper.is_positive:
                found.append((lower, upper))
        elif upper.x - lower.x < WIDTH_MIN:
            return None
        else:
            left, right = _halves(coefficients)
            middle = _Edge((lower.x + upper.x) / 2, right[0] >= 0)
            pieces += [(lower, middle, left), (middle, upper, right)]
    return found


def _halves(coefficients: list[float]) -> tuple[list[float], list[float]]:
    """The Bernstein coefficients of both halves (de Casteljau)."""
    left, right = [coefficients[0]], [coefficients[-1]]
    while len(coefficients) > 1:
        coefficients = [(one + other) / 2 for one, other in pairwise(coefficients)]
        left.append(coefficients[0])
        right.append(coefficients[-1])
    return left, right[::-1]


def _solve(function: _Sum, lower: _Edge, upper: _Edge) -> float:
    """The zero between two edges, as near as floats allow, by the Illinois method (Dowell and Jarratt 1971)."""
    low, high = lower.x, upper.x
    below, above = function.value(low), function.value(high)
    if (below >= 0) == (above >= 0):
        # One of them is 0 but for noise.
        return low if abs(below) < abs(above) else high
    for _ in range(STEPS_MAX):
        x = high - above * (high - low) / (above - below)
        value = function.value(x)
        if (value >= 0) is (above >= 0):
            below /= 2
        else:
            low, below = high, above
        is_near = abs(x - high) <= NEAR * max(1, abs(x))
        high, above = x, value
        if is_near or not value:
            break
    return high
