"""Zeros of long sums of exponentials, counted, against signs on a grid fine enough to tell them apart."""

import math
import random
from itertools import pairwise

from api.domain.roots import RootCount, single_root

STEPS = 6_000


def sign_changes(times: list[int], amounts: list[int]) -> list[float]:
    """Where the sum changes its sign, for a unit of the times: on either side of 0 as far as the outermost one can."""
    span = times[-1]

    def value(x: float) -> float:
        origin = 0 if x >= 0 else 1
        return math.fsum(
            amount * math.exp(-x * (time / span - origin)) for time, amount in zip(times, amounts, strict=True)
        )

    # Beyond, the first or last amount alone outweighs all others, by Cauchy's bound.
    size = math.log(1 + max(map(abs, amounts)) * len(amounts))
    ends = -size * span / (times[-1] - times[-2]), size * span / times[1]
    # Finer near 0: zeros crowd there.
    grid = [end * (step / STEPS) ** 3 for end in ends for step in range(1, STEPS)]
    points = [(x, value(x) > 0) for x in sorted(grid)]
    return [(x + later) / 2 / span for (x, sign), (later, other) in pairwise(points) if sign != other]


def test_zeros_of_long_sums_are_those_of_a_grid() -> None:
    generator = random.Random(2)
    seen = {RootCount.NONE: 0, RootCount.SEVERAL: 0, None: 0}
    while min(seen.values()) < 6:
        times = [0]
        for _ in range(generator.randint(8, 30)):
            times.append(times[-1] + generator.choice((1, 30, 31, 400)))
        amounts = [generator.choice((-1, 1)) * generator.randint(1, 300) for _ in times]
        changes = sign_changes(times, amounts)
        found = single_root(times, amounts)
        expected = {0: RootCount.NONE, 1: None}.get(len(changes), RootCount.SEVERAL)
        assert (found if isinstance(found, RootCount) else None) is expected, (times, amounts)
        if not isinstance(found, RootCount):
            assert math.isclose(found, changes[0], rel_tol=0.05, abs_tol=1e-6)
        seen[expected] += 1
