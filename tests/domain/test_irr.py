"""Rates of return: published examples, rates against exact arithmetic, and the reasons for no rate against Sturm."""

import random
from datetime import date, timedelta
from decimal import Decimal, localcontext
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from api.domain.irr import (
    RATE_MAX,
    RATE_PLACES,
    Flows,
    Irr,
    IrrMethod,
    IrrReason,
    Valuation,
    flows_of,
    irr,
    irr_series,
)

DAY = date(2000, 1, 1)
YEARS = [DAY + timedelta(days=365 * year) for year in range(25)]


def of_years(*cents: int) -> Flows:
    return flows_of(zip(YEARS, cents, strict=False))


def alone(flows: Flows) -> Irr:
    """The rate of flows that end their position: the valuation is 0."""
    return irr(flows, Valuation(date(2150, 1, 1), 0), date(2150, 1, 1))


def test_vector_of_three_flows() -> None:
    flows = flows_of([(date(2020, 1, 1), -1000), (date(2021, 1, 1), 750), (date(2022, 1, 1), 500)])
    found = irr(flows, None, date(2022, 1, 1))
    assert found.value is not None
    assert round(found.value, 7) == Decimal("0.1750093")


def test_vector_of_the_monthly_rate() -> None:
    flows = flows_of([(date(2020, 1, 20), -1000)])
    found = irr(flows, Valuation(date(2020, 12, 31), 1100), date(2020, 12, 31), IrrMethod.MONTHLY_NOMINAL)
    assert found.value is not None
    assert round(found.value, 4) == Decimal("0.0957")


def test_microsofts_example_of_xirr() -> None:
    """The page of Excel's XIRR prints 0.373362535; Excel stops within 1e-8 of the rate, which is 0.37336253351883."""
    published = {"2008-01-01": -10000, "2008-03-01": 2750, "2008-10-30": 4250, "2009-02-15": 3250, "2009-04-01": 2750}
    found = alone(flows_of((date.fromisoformat(day), cents) for day, cents in published.items()))
    assert found.value is not None
    assert abs(found.value - Decimal("0.37336253351883")) < Decimal("1e-13")
    assert abs(found.value - Decimal("0.373362535")) < Decimal("1e-8")


@pytest.mark.parametrize(
    ("cents", "printed"),
    [
        # Wikipedia's example of a fund beside an index.
        ([-100, -50, 60, 100, 20], "0.0777"),
        # Excel's example of IRR, as the manual of Cellworks prints it.
        ([-70000, 12000, 15000, 18000, 21000, 26000], "0.0866"),
        # The user guide of GreyTrout's SS.
        ([-700, 750, 900, 600, 850], "1.0462142"),
    ],
)
def test_spreadsheet_examples_of_yearly_flows(cents: list[int], printed: str) -> None:
    found = alone(of_years(*cents))
    assert found.value is not None
    assert round(found.value, len(printed) - 2) == Decimal(printed)


def test_spreadsheet_example_that_has_a_second_rate() -> None:
    """The same guide prints -0.32606171, which is one of two."""
    assert alone(of_years(-80, 90, 67, 72, -90)).reason is IrrReason.MULTIPLE_ROOTS


def test_openoffices_example_of_xirr() -> None:
    """Its wiki prints 0.124."""
    flows = [(date(2008, 2, 5), -2750), (date(2008, 7, 5), 1000), (date(2009, 1, 5), 2000)]
    found = alone(flows_of(flows))
    assert found.value is not None
    assert round(found.value, 3) == Decimal("0.124")


@pytest.mark.parametrize(
    ("cents", "reason"),
    [
        ([], IrrReason.INSUFFICIENT_CASH_FLOWS),
        ([-1000], IrrReason.INSUFFICIENT_CASH_FLOWS),
        ([-1000, -500], IrrReason.NO_SIGN_CHANGE),
        ([1000, 500], IrrReason.NO_SIGN_CHANGE),
        ([-10000, 23000, -13200], IrrReason.MULTIPLE_ROOTS),  # 10 % and 20 %
        ([-10000, 22000, -12100], IrrReason.MULTIPLE_ROOTS),  # 10 %, touched
        ([-10000, 15000, -100], IrrReason.MULTIPLE_ROOTS),  # 49 % and -99 %
        ([-10000, 10000, -10000], IrrReason.DID_NOT_CONVERGE),
    ],
)
def test_reason_for_no_rate(cents: list[int], reason: IrrReason) -> None:
    assert alone(of_years(*cents)) == Irr(None, reason)


def test_several_sign_changes_with_one_root_have_a_rate() -> None:
    found = alone(of_years(-1000, 2500, -1000, 100, 500))
    assert found.value is not None
    assert abs(present_value(of_years(-1000, 2500, -1000, 100, 500), found.value)) < 1


def test_position_is_open_without_a_valuation() -> None:
    assert irr(of_years(-1000, 100), None, YEARS[3]).reason is IrrReason.NO_VALUATION
    assert irr(of_years(), None, YEARS[3]).reason is IrrReason.NO_VALUATION
    assert irr(of_years(-1000, 1100), None, YEARS[0]).reason is IrrReason.NO_VALUATION
    assert irr(of_years(-1000, 1100), None, YEARS[3]).value == Decimal("0.1")


def test_valuation_of_zero_ends_a_position_at_a_loss() -> None:
    assert irr(of_years(-1000, 500), Valuation(YEARS[2], 0), YEARS[2]).value == Decimal("-0.5")


def test_flows_after_the_last_valuation_are_not_in_it() -> None:
    assert irr(of_years(-1000, 0, 0, 5000), Valuation(YEARS[1], 1200), YEARS[5]).value == Decimal("0.2")


def test_flow_on_the_day_of_the_valuation_is_in_it() -> None:
    assert irr(of_years(-1000, -100), Valuation(YEARS[1], 1200), YEARS[1]).value == Decimal("0.1")
    assert irr(of_years(-1000, -1200), Valuation(YEARS[1], 1200), YEARS[1]).value is None


def test_switches_between_holdings_net_to_nothing() -> None:
    one, other = [(YEARS[0], -1000), (YEARS[1], 700)], [(YEARS[1], -700), (YEARS[2], 1210)]
    assert irr(flows_of(one + other), None, YEARS[2]).value == Decimal("0.1")


def test_rates_that_are_as_good_as_none() -> None:
    day = [DAY, DAY + timedelta(days=1)]
    assert alone(flows_of(zip(day, [-10000, 11000], strict=True))).value is not None
    for cents in ([-10000, 12000], [-10000, 1], [-1, 2**63 - 1], [-(2**63), 1]):
        assert alone(flows_of(zip(day, cents, strict=True))).reason is IrrReason.DID_NOT_CONVERGE


@pytest.mark.parametrize("method", [IrrMethod.XIRR, IrrMethod.MONTHLY_NOMINAL])
def test_series_is_each_date_by_itself(method: IrrMethod) -> None:
    generator = random.Random(1)
    flows = flows_of((DAY + timedelta(days=generator.randrange(2000)), generator.randint(-900, 400)) for _ in range(60))
    valuations = [Valuation(DAY + timedelta(days=day), generator.randrange(20_000)) for day in range(0, 2500, 50)]
    found = irr_series(flows, valuations, method)
    assert found == [irr(flows, valuation, valuation.valued_on, method) for valuation in valuations]
    assert len({answer.reason for answer in found}) > 1


def present_value(flows: Flows, rate: Decimal) -> Decimal:
    """The exact value on the first day, and for rates below 0, at which that grows without bound, on the last."""
    with localcontext(prec=100):
        origin = flows.days[0] if rate >= 0 else flows.days[-1]
        growth = 1 + Decimal(rate)
        return sum(
            (
                cents * growth ** (Decimal((origin - day).days) / 365)
                for day, cents in zip(flows.days, flows.cents, strict=True)
            ),
            Decimal(0),
        )


amounts = st.integers(1, 2**63 - 1) | st.integers(1, 10**9)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(amounts, min_size=1, max_size=12),
    st.lists(amounts, min_size=1, max_size=12),
    st.lists(st.integers(1, 900), min_size=24, max_size=24),
)
def test_rate_discounts_flows_to_less_than_a_cent(paid: list[int], received: list[int], gaps: list[int]) -> None:
    cents = [-amount for amount in paid] + received
    days = [DAY + timedelta(days=sum(gaps[:index])) for index in range(len(cents))]
    flows = Flows(days, cents)
    found = alone(flows)
    if found.value is None:
        assert found.reason is IrrReason.DID_NOT_CONVERGE
        lowest = Decimal(1).scaleb(-RATE_PLACES) - 1
        assert present_value(flows, Decimal(RATE_MAX)) >= 0 or present_value(flows, lowest) <= 0
        return
    assert found.value.as_tuple().exponent == -RATE_PLACES
    assume(found.value > Decimal("-0.99"))
    assert abs(present_value(flows, found.value)) < 1


def distinct_roots(coefficients: list[Fraction]) -> int:
    """How many different positive roots a polynomial has, lowest coefficient first and not 0, by Sturm's theorem."""
    chain = [coefficients, derivative(coefficients)]
    while len(chain[-1]) > 1:
        rest = [-part for part in remainder(chain[-2], chain[-1])]
        if not rest:
            break
        chain.append(rest)

    def changes(values: list[Fraction]) -> int:
        signs = [value > 0 for value in values if value]
        return sum(one is not next_one for one, next_one in pairwise(signs))

    return changes([part[0] for part in chain]) - changes([part[-1] for part in chain])


def derivative(coefficients: list[Fraction]) -> list[Fraction]:
    return [power * value for power, value in enumerate(coefficients)][1:]


def remainder(dividend: list[Fraction], divisor: list[Fraction]) -> list[Fraction]:
    rest = list(dividend)
    while len(rest) >= len(divisor):
        factor = rest[-1] / divisor[-1]
        for index, value in enumerate(reversed(divisor), 1):
            rest[-index] -= factor * value
        rest.pop()
    while rest and not rest[-1]:
        rest.pop()
    return rest


def touches(coefficients: list[Fraction]) -> bool:
    """Whether a positive root is one of the derivative as well."""
    common, other = coefficients, derivative(coefficients)
    while other:
        common, other = other, remainder(common, other)
    return len(common) > 1 and distinct_roots(common) > 0


@pytest.mark.parametrize(("longest", "cases"), [(8, 100), (25, 20)])
def test_reasons_agree_with_sturm(longest: int, cases: int) -> None:
    generator = random.Random(7)
    seen = {IrrReason.MULTIPLE_ROOTS: 0, IrrReason.DID_NOT_CONVERGE: 0, None: 0}
    while min(seen.values()) < cases:
        cents = [generator.randint(-6, 6) for _ in range(generator.randint(3, longest))]
        if not (min(cents) < 0 < max(cents) and cents[0] and cents[-1]):
            continue
        polynomial = [Fraction(value) for value in cents]
        expected: IrrReason | None = IrrReason.MULTIPLE_ROOTS
        if not touches(polynomial):
            count = distinct_roots(polynomial)
            expected = {0: IrrReason.DID_NOT_CONVERGE, 1: None}.get(count, expected)
        found = alone(of_years(*cents))
        assert found.reason is expected, cents
        seen[expected] += 1
        if found.value is not None:
            assert abs(present_value(of_years(*cents), found.value)) < Decimal("1e-15")


def test_flows_that_go_back_and_forth_for_years_have_as_many_rates_as_they_are_made_with() -> None:
    """Products of (z - 1/growth), and of parts that have no zero, at the growths of so many months."""
    generator = random.Random(11)
    for growths in ([], [101], [99], [98, 103], [100, 101, 102]):
        cents = [100]
        for growth in growths:
            cents = product(cents, [-100, growth])
        for _ in range(12):
            # z^2 - 2 a z + b with b > a^2
            half = generator.randint(-9, 9)
            cents = product(cents, [half * half + generator.randint(1, 20), -2 * half, 1])
        found = alone(flows_of((DAY + timedelta(days=30 * month), value) for month, value in enumerate(cents)))
        expected = {0: IrrReason.DID_NOT_CONVERGE, 1: None}.get(len(growths), IrrReason.MULTIPLE_ROOTS)
        assert found.reason is expected, growths
        if found.value is not None:
            rate = Decimal(growths[0]) / 100
            with localcontext(prec=60):
                assert abs(found.value - (rate ** (Decimal(365) / 30) - 1)) < Decimal("1e-23")


def product(one: list[int], other: list[int]) -> list[int]:
    made = [0] * (len(one) + len(other) - 1)
    for place, value in enumerate(one):
        for shift, factor in enumerate(other):
            made[place + shift] += value * factor
    return made


def test_search_for_several_rates_is_bounded() -> None:
    """Thousands of flows back and forth: as many terms are looked at as may be, and no more."""
    generator = random.Random(3)
    flows = flows_of((DAY + timedelta(days=day), generator.choice((-1, 1)) * 10**6) for day in range(5_000))
    assert alone(flows).reason in {IrrReason.DID_NOT_CONVERGE, IrrReason.MULTIPLE_ROOTS}
