"""Public-market equivalents: a published example, the reasons for none, and that an index equals itself."""

from datetime import date, timedelta
from decimal import Decimal

from api.domain.irr import Flows, Valuation, flows_of
from api.domain.pme import Pme, PmeReason, Prices, public_market_equivalent

YEARS = [date(2000, 1, 1) + timedelta(days=365 * year) for year in range(6)]


def of_years(*cents: int) -> Flows:
    return flows_of(zip(YEARS, cents, strict=False))


def index_of(*prices: int) -> Prices:
    return Prices(YEARS[: len(prices)], [Decimal(price) for price in prices])


def equivalents(flows: Flows, value: int, prices: Prices) -> Pme:
    return public_market_equivalent(flows, Valuation(YEARS[4], value), prices, YEARS[5])


def test_published_example() -> None:
    """Wikipedia's "Public Market Equivalent": the index investment ends at 104.28 and returns 5.30 %."""
    found = equivalents(of_years(-100, -50, 60, 10), 110, index_of(100, 105, 115, 117, 120))
    assert found.ks_pme is not None
    assert found.ln_pme is not None
    assert found.pme_plus is not None
    assert found.direct_alpha is not None
    # By hand: (60 x 120/115 + 10 x 120/117 + 110) / (100 x 120/100 + 50 x 120/105).
    assert found.ks_pme == Decimal("1.032303017226")
    assert round(found.ln_pme, 4) == Decimal("0.0530")
    assert round(found.pme_plus, 4) == Decimal("0.0524")
    assert round(found.direct_alpha, 4) == Decimal("0.0109")
    assert found.reason is None


def test_index_equals_itself() -> None:
    prices = index_of(100, 80, 130, 125, 160)
    found = equivalents(of_years(-1000, -800, 1300), 160 * 10, prices)
    assert found.ks_pme == 1
    assert found.ln_pme is not None
    assert found.pme_plus is not None
    assert found.direct_alpha is not None
    assert abs(found.ln_pme - found.pme_plus) < Decimal("1e-9")
    assert abs(found.direct_alpha) < Decimal("1e-9")


def test_price_is_the_last_on_or_before_the_day() -> None:
    prices = Prices([YEARS[0], YEARS[2]], [Decimal(100), Decimal(200)])
    assert [prices.on(day) for day in (YEARS[0] - timedelta(days=1), YEARS[0], YEARS[1], YEARS[2], YEARS[5])] == [
        None,
        100,
        100,
        200,
        200,
    ]


def test_flow_before_the_first_price_has_no_equivalent() -> None:
    prices = Prices(YEARS[1:3], [Decimal(100), Decimal(110)])
    assert equivalents(of_years(-100), 110, prices) == Pme(None, None, None, None, PmeReason.NO_PRICE)


def test_open_position_needs_a_valuation() -> None:
    prices = index_of(100, 110)
    assert public_market_equivalent(of_years(-100), None, prices, YEARS[1]).reason is PmeReason.NO_VALUATION
    ended = public_market_equivalent(of_years(-100, 121), None, prices, YEARS[5])
    assert (ended.ks_pme, ended.reason) == (Decimal("1.1"), None)


def test_nothing_paid_in_and_nothing_distributed() -> None:
    prices = index_of(100, 105, 110, 115, 120)
    assert equivalents(of_years(100), 5, prices).reason is PmeReason.NO_PAID_IN
    found = equivalents(of_years(-100), 132, prices)
    assert (found.ks_pme, found.pme_plus, found.reason) == (Decimal("1.1"), None, PmeReason.NO_DISTRIBUTION)
    assert found.ln_pme is not None
    assert found.direct_alpha is not None
