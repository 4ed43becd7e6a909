"""The returns that are stored: of holdings on the days of their valuations, of portfolios where all is valued."""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import chain, starmap
from typing import NamedTuple

from api.domain.irr import Flows, Irr, IrrMethod, Valuation, flows_of, irr_each

COMPUTED = (IrrMethod.XIRR, IrrMethod.MONTHLY_NOMINAL)
"""The methods whose returns follow from flows and valuations."""
_OWN_EFFORT = 30


Dated = tuple[date, int]
"""Cents and their day."""


@dataclass(frozen=True, slots=True)
class Position:
    """What is known of one holding: its flows from the investor's side, in any order, negative where money went in, and
    its valuations, ascending by day. ``switches`` are flows from and to the portfolio's other funds.
    """

    holding_id: int
    is_active: bool
    flows: Sequence[Dated]
    valuations: Sequence[Dated]
    switches: Sequence[Dated] = ()

    def held(self) -> tuple[date, date]:
        """From which day until before which one a portfolio's return takes a valuation of it.

        It does not before the holding's first flow or valuation, nor from the last of one that is closed: one that has
        just been added, and has neither, changes no return.
        """
        dated = [some for some in (self.flows, self.switches, self.valuations) if some]
        if not dated:
            return date.max, date.max
        return min(map(min, dated))[0], date.max if self.is_active else max(map(max, dated))[0]


class StoredReturn(NamedTuple):
    """A return to be stored for a day by a method."""

    owner_id: int
    as_of: date
    method: IrrMethod
    irr: Irr


def holding_returns(position: Position, since: date) -> Iterator[StoredReturn]:
    """A holding's returns on the days of its valuations from ``since`` on."""
    valuations = _since(position.valuations, since)
    if valuations:
        yield from _returns(position.holding_id, flows_of(chain(position.flows, position.switches)), valuations)


def portfolio_returns(portfolio_id: int, positions: Sequence[Position], since: date) -> Iterator[StoredReturn]:
    """A portfolio's returns on the days from ``since`` on on which every holding that it then holds is valued.

    Fund switches between its holdings are no flows of the portfolio.
    """
    valuations = portfolio_valuations(positions, since)
    if valuations:
        yield from _returns(portfolio_id, portfolio_flows(positions), valuations)


def portfolio_flows(positions: Sequence[Position]) -> Flows:
    """The flows of a portfolio, which are those of its holdings without the switches between them."""
    return flows_of(chain.from_iterable(position.flows for position in positions))


def portfolio_valuations(positions: Sequence[Position], since: date) -> list[Valuation]:
    """What all holdings together are worth on the days from ``since`` on on which all are valued, ascending."""
    values: dict[date, int] = {}
    valued: dict[date, set[int]] = {}
    for position in positions:
        for day, cents in _since(position.valuations, since):
            values[day] = values.get(day, 0) + cents
            valued.setdefault(day, set()).add(position.holding_id)
    held = [(position.holding_id, *position.held()) for position in positions]
    return [
        Valuation(day, values[day])
        for day in sorted(values)
        if all(holding_id in valued[day] or not first <= day < end for holding_id, first, end in held)
    ]


def effort(portfolios: Mapping[int, Sequence[Position]], since: Mapping[int, date]) -> int:
    """How much there is to compute: for each return the flows that it may be of, and as much for itself as for 30.

    A thousand are some third of a millisecond's work, as long as no zeros have to be counted.
    """
    total = 0
    for positions in portfolios.values():
        days_max = 0
        for position in positions:
            if position.holding_id in since:
                first = bisect_left(position.valuations, (since[position.holding_id],))
                days = len(position.valuations) - first
                days_max = max(days_max, days)
                total += days * (len(position.flows) + len(position.switches) + _OWN_EFFORT)
        total += days_max * (sum(len(position.flows) for position in positions) + _OWN_EFFORT)
    return total * len(COMPUTED)


class TooLong(Exception):
    """There was no time to compute all returns."""


def compute(
    portfolios: Mapping[int, Sequence[Position]], since: Mapping[int, date], is_late: Callable[[], bool] = lambda: False
) -> tuple[list[StoredReturn], list[StoredReturn]]:
    """The returns of holdings, each from its day in ``since`` on, and of their portfolios from the first of these on.

    ``portfolios`` holds all positions of each; what is not in ``since`` is not computed, but its portfolio is. Raises
    TooLong once it ``is_late``, which is asked after each return.
    """
    of_holdings: list[StoredReturn] = []
    of_portfolios: list[StoredReturn] = []
    for portfolio_id, positions in portfolios.items():
        before = len(of_holdings)
        changed = [position for position in positions if position.holding_id in since]
        for position in changed:
            of_holdings += _in_time(holding_returns(position, since[position.holding_id]), is_late)
        # What a portfolio of one holding has earned is what the holding has.
        if changed and len(positions) == 1 and not positions[0].switches:
            of_portfolios += [one._replace(owner_id=portfolio_id) for one in of_holdings[before:]]
        elif changed:
            earliest = min(since[position.holding_id] for position in changed)
            of_portfolios += _in_time(portfolio_returns(portfolio_id, positions, earliest), is_late)
    return of_holdings, of_portfolios


def _in_time(returns: Iterator[StoredReturn], is_late: Callable[[], bool]) -> Iterator[StoredReturn]:
    for one in returns:
        if is_late():
            raise TooLong
        yield one


def _since(valuations: Sequence[Dated], since: date) -> list[Valuation]:
    """Those of a day on and later, of valuations that ascend."""
    return list(starmap(Valuation, valuations[bisect_left(valuations, (since,)) :]))


def _returns(owner_id: int, flows: Flows, valuations: Sequence[Valuation]) -> Iterator[StoredReturn]:
    for method in COMPUTED:
        for valuation, irr in zip(valuations, irr_each(flows, valuations, method), strict=True):
            yield StoredReturn(owner_id, valuation.valued_on, method, irr)
