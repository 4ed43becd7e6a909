"""The returns that are stored: what is shared between them changes none of them."""

import random
from datetime import date, timedelta

import pytest

from api.domain.irr import IrrMethod, Valuation, flows_of, irr
from api.domain.returns import Dated, Position, StoredReturn, compute, effort

DAY = date(2000, 1, 1)
METHODS = (IrrMethod.XIRR, IrrMethod.MONTHLY_NOMINAL)


def random_position(generator: random.Random, holding_id: int, *, switches: int = 0) -> Position:
    """Flows on any days, several on some, and valuations, all but one of them of month's ends."""

    def some(count: int) -> list[Dated]:
        return [
            (DAY + timedelta(days=generator.randrange(900)), generator.randint(-900, 600) or 1) for _ in range(count)
        ]

    days = sorted({DAY + timedelta(days=30 * month) for month in range(0, 36, 5)} | {DAY + timedelta(days=431)})
    valuations = [(day, generator.choice((0, generator.randint(1, 20_000)))) for day in days]
    return Position(holding_id, True, some(generator.randrange(30)), valuations, some(switches))


def expected(owner_id: int, flows: list[Dated], valuations: list[Dated], since: date) -> set[StoredReturn]:
    """Each by itself, from nothing but what had happened by its day."""
    return {
        StoredReturn(
            owner_id,
            day,
            method,
            irr(flows_of(one for one in flows if one[0] <= day), Valuation(day, cents), day, method),
        )
        for day, cents in valuations
        for method in METHODS
        if day >= since
    }


@pytest.mark.parametrize("seed", range(30))
def test_returns_are_those_of_each_day_alone(seed: int) -> None:
    generator = random.Random(seed)
    switches = seed % 3
    position = random_position(generator, 1, switches=switches)
    since = DAY + timedelta(days=generator.randrange(600))
    of_holdings, of_portfolios = compute({7: [position]}, {1: since})
    flows, own = list(position.flows), list(position.switches)
    valuations = list(position.valuations)
    assert set(of_holdings) == expected(1, flows + own, valuations, since)
    # The portfolio of this holding alone has the same, but for what was switched.
    assert set(of_portfolios) == expected(7, flows, valuations, since)


@pytest.mark.parametrize("seed", range(10))
def test_portfolio_adds_up_its_holdings(seed: int) -> None:
    generator = random.Random(seed)
    one, other = random_position(generator, 1), random_position(generator, 2, switches=2)
    of_holdings, of_portfolios = compute({7: [one, other]}, {2: DAY})
    assert {found.owner_id for found in of_holdings} == {2}
    both = [(day, cents + more) for (day, cents), (_, more) in zip(one.valuations, other.valuations, strict=True)]
    assert set(of_portfolios) == expected(7, [*one.flows, *other.flows], both, DAY)


def test_effort_counts_the_flows_of_each_return() -> None:
    valuations = [(DAY + timedelta(days=year * 365), 5) for year in range(1, 4)]
    one = Position(1, True, [(DAY, -1)] * 10, valuations, [(DAY, -1)])
    other = Position(2, True, [(DAY, -1)] * 20, valuations[:1])
    # Two days of one holding and of the portfolio, by two methods.
    assert effort({7: [one, other]}, {1: valuations[1][0]}) == 2 * 2 * ((10 + 1 + 30) + (10 + 20 + 30))
    assert effort({7: [one, other]}, {}) == 0
