"""Public-market equivalents: what the flows of a position would have come to in an index.

Prices are taken as of each flow: the last on or before its day. pyxirr moves the flows to the index in floats; rates
are by the dates of the flows (see api.domain.irr), where pyxirr's own take one period for each.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum

from pyxirr import pe

from api.domain.irr import Flows, Irr, IrrMethod, Valuation, ends_position, flows_of, irr_series

RATIO_PLACES = 12
"""Decimals of the Kaplan-Schoar ratio: what its floats are good for."""

_PARTS_OF_CENT = 1_000_000


class PmeReason(StrEnum):
    """Why a public-market equivalent is missing; where several are for different reasons, the first of them."""

    NO_VALUATION = "NO_VALUATION"
    NO_PRICE = "NO_PRICE"
    NO_PAID_IN = "NO_PAID_IN"
    NO_DISTRIBUTION = "NO_DISTRIBUTION"
    INSUFFICIENT_CASH_FLOWS = "INSUFFICIENT_CASH_FLOWS"
    NO_SIGN_CHANGE = "NO_SIGN_CHANGE"
    DID_NOT_CONVERGE = "DID_NOT_CONVERGE"
    MULTIPLE_ROOTS = "MULTIPLE_ROOTS"


@dataclass(frozen=True, slots=True)
class Prices:
    """An index: its prices by day, the days ascending."""

    days: Sequence[date]
    prices: Sequence[Decimal]

    def on(self, day: date) -> Decimal | None:
        """The last price on or before a day; None before the first."""
        count = bisect_right(self.days, day)
        return self.prices[count - 1] if count else None


@dataclass(frozen=True, slots=True)
class Pme:
    """Four answers to one question; ``reason`` says why those are None that are.

    ``ks_pme``: what came out and is left, over what went in, each worth what the index made of it (Kaplan and Schoar
    2005); above 1 the position beat it. ``ln_pme``: the rate of return of the same flows in the index (Long and Nickels
    1996). ``pme_plus``: likewise with distributions scaled so that the index ends at the position's value (Rouvinez
    2003). ``direct_alpha``: the yearly rate by which the position beat the index (Gredil, Griffiths and Stucke 2014).
    """

    ks_pme: Decimal | None
    ln_pme: Decimal | None
    pme_plus: Decimal | None
    direct_alpha: Decimal | None
    reason: PmeReason | None


def public_market_equivalent(flows: Flows, valuation: Valuation | None, prices: Prices, as_of: date) -> Pme:
    """The equivalents as of a day on which ``valuation`` is the last one known, measured to its day as ``irr`` is."""
    if valuation is None:
        until = bisect_right(flows.days, as_of)
        flows = Flows(flows.days[:until], flows.cents[:until])
        if not ends_position(flows):
            return _none(PmeReason.NO_VALUATION)
        valuation = Valuation(flows.days[-1], 0)
    end, value = valuation
    count = bisect_right(flows.days, end)
    days, cents = [*flows.days[:count], end], [*flows.cents[:count], 0]
    found = [prices.on(day) for day in days]
    index = [float(price) for price in found if price is not None]
    if len(index) < len(days):
        return _none(PmeReason.NO_PRICE)
    if min(cents) >= 0:
        return _none(PmeReason.NO_PAID_IN)
    ratio = pe.ks_pme(cents, index, value)
    parts = [
        _rate(days, cents, pe.ln_pme_nav(cents, index)),
        _rate(days, pe.pme_plus_flows(cents, index, value), value) if max(cents) > 0 else None,
        _rate(days, pe.ks_pme_flows(cents, index), value),
    ]
    reasons = [PmeReason.NO_DISTRIBUTION if part is None else part.reason for part in parts]
    rates = [None if part is None else part.value for part in parts]
    reason = next((PmeReason(reason) for reason in reasons if reason is not None), None)
    return Pme(None if ratio is None else round(Decimal(ratio), RATIO_PLACES), rates[0], rates[1], rates[2], reason)


def _none(reason: PmeReason) -> Pme:
    return Pme(None, None, None, None, reason)


def _rate(days: Sequence[date], flows: Sequence[float], value: float) -> Irr:
    """The rate of flows that are parts of cents, and end with a value, which may be below 0, on the last day."""
    whole = [round(flow * _PARTS_OF_CENT) for flow in [*flows, value]]
    position = flows_of(zip([*days, days[-1]], whole, strict=True))
    return irr_series(position, [Valuation(days[-1], 0)], IrrMethod.XIRR)[0]
