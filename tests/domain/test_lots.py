"""The numbers of a lot of shares agree with each other."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from api.domain.lots import check_cost_basis, check_shares

SHARES = st.integers(1, 10**18 - 1).map(lambda units: Decimal(units).scaleb(-8))


def agrees(cost: int, price: int, shares: str | Decimal) -> bool:
    return not check_cost_basis("cost", cost_basis_cents=cost, share_price_cents=price, shares_acquired=Decimal(shares))


def test_a_million_shares_at_a_dollar() -> None:
    assert agrees(100_000_000, 100, "1000000")
    assert agrees(101_000_000, 100, "1000000")
    assert agrees(99_000_000, 100, "1000000")
    assert not agrees(101_000_001, 100, "1000000")
    assert not agrees(98_999_999, 100, "1000000")
    assert not agrees(102_000_001, 100, "1000000")


def test_a_begun_share_counts_whole() -> None:
    assert agrees(101, 1000, "0.1")
    assert not agrees(102, 1000, "0.1")
    assert agrees(2, 0, "1.00000001")
    assert not agrees(3, 0, "1.00000001")


def test_refusal_says_what_it_should_be() -> None:
    (problem,) = check_cost_basis("cost", cost_basis_cents=7, share_price_cents=1, shares_acquired=Decimal("2.50"))
    assert (problem.field, problem.expected, problem.actual) == (("cost",), "2.5, give or take 3", "7")


@given(st.integers(0, 2**63 - 1), SHARES, st.integers(-(2 * 10**10), 2 * 10**10))
@example(2**63 - 1, Decimal("9999999999.99999999"), 10**10)
def test_rule_is_exact_for_numbers_of_any_size(price: int, shares: Decimal, off: int) -> None:
    product = price * Fraction(shares)
    cost = round(product) + off
    begun = -(-Fraction(shares).numerator // Fraction(shares).denominator)
    assert agrees(cost, price, shares) is (abs(cost - product) <= begun)


@pytest.mark.parametrize("shares", ["0", "-1", "10000000000", "0.000000001", "1.123456789", "1" * 40])
def test_shares_beyond_their_bounds_are_refused(shares: str) -> None:
    (problem,) = check_shares("shares", Decimal(shares))
    assert problem.actual == shares


@pytest.mark.parametrize("shares", ["0.00000001", "9999999999.99999999", "1.50"])
def test_shares_within_their_bounds_are_taken(shares: str) -> None:
    assert check_shares("shares", Decimal(shares)) == []
