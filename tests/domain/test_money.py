"""Cents, ratios and their limits."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.domain.money import (
    CENTS_MAX,
    CENTS_MIN,
    cents_from_millions,
    change_ratio,
    is_currency,
    ratio,
    ratio_or_none,
    total,
    within_limit,
)
from api.errors import ErrorCode, Refused

CENTS = st.integers(CENTS_MIN, CENTS_MAX)


@pytest.mark.parametrize("amount", [CENTS_MIN, -1, 0, CENTS_MAX])
def test_amounts_within_64_bits_stay(amount: int) -> None:
    assert within_limit(amount) == amount


@pytest.mark.parametrize("amount", [CENTS_MIN - 1, CENTS_MAX + 1])
def test_amounts_beyond_64_bits_are_refused_with_the_limit(amount: int) -> None:
    with pytest.raises(Refused) as caught:
        within_limit(amount)
    (problem,) = caught.value.problems
    assert (problem.code, problem.actual) == (ErrorCode.LIMIT_EXCEEDED, str(amount))


def test_total_is_exact_though_parts_of_it_leave_64_bits() -> None:
    assert total([CENTS_MAX, CENTS_MAX, -CENTS_MAX]) == CENTS_MAX
    assert total([]) == 0


@pytest.mark.parametrize(
    ("numerator", "denominator", "expected"),
    [
        (1, 3, "0.333333"),
        (2, 3, "0.666667"),
        (-2, 3, "-0.666667"),
        (1, 2_000_000, "0.000000"),
        (3, 2_000_000, "0.000002"),
        (CENTS_MAX, 1, "9223372036854775807.000000"),
    ],
)
def test_ratio_has_six_decimals_half_to_even(numerator: int, denominator: int, expected: str) -> None:
    assert str(ratio(numerator, denominator)) == expected


@given(CENTS, CENTS.filter(bool))
def test_ratio_is_the_exact_fraction_to_six_decimals(numerator: int, denominator: int) -> None:
    assert abs(Fraction(ratio(numerator, denominator)) - Fraction(numerator, denominator)) <= Fraction(1, 2 * 10**6)


@pytest.mark.parametrize(("numerator", "denominator"), [(None, 1), (1, None), (1, 0), (0, 0)])
def test_ratio_without_both_parts_is_none(numerator: int | None, denominator: int | None) -> None:
    assert ratio_or_none(numerator, denominator) is None


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [(0, 0, "0"), (0, 5, "1"), (0, -5, "0"), (100, 150, "0.5"), (50, 40, "-0.2"), (4, 0, "-1"), (7, 7, "0")],
)
def test_change_is_a_fraction_of_what_was_there(before: int, after: int, expected: str) -> None:
    assert change_ratio(before, after) == Decimal(expected)


@pytest.mark.parametrize(
    ("millions", "cents"),
    [
        ("1", 100_000_000),
        ("24.096353999999998", 2_409_635_400),
        ("0.000000005", 1),
        ("0.0000000049", 0),
        ("-0.000000005", -1),
        ("-0.0000000049", 0),
        ("92233720368.54775807", CENTS_MAX),
        ("-92233720368.54775808", CENTS_MIN),
    ],
)
def test_millions_become_the_nearest_cent_halves_away_from_zero(millions: str, cents: int) -> None:
    assert cents_from_millions(Decimal(millions)) == cents


def test_millions_beyond_64_bits_are_refused() -> None:
    with pytest.raises(Refused):
        cents_from_millions(Decimal("92233720368.547758075"))


@pytest.mark.parametrize(
    ("code", "is_known"), [("USD", True), ("JPY", True), ("usd", False), ("XYZ", False), ("", False)]
)
def test_currencies_are_those_of_iso_4217(code: str, is_known: bool) -> None:
    assert is_currency(code) is is_known
