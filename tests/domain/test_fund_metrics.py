"""Shares that sum to exactly one, whatever the amounts."""

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.domain.fund_metrics import WEIGHTS_MAX, FundMetrics, WeighedAllocations, shares
from api.domain.irr import flows_of
from api.errors import ErrorCode, Refused

MILLIONTH = Decimal("0.000001")


@given(st.lists(st.integers(1, 2**63 - 1), min_size=1, max_size=300))
def test_shares_sum_to_one_and_none_is_off_by_a_millionth(amounts: list[int]) -> None:
    found = shares(amounts)
    whole = sum(amounts)
    assert sum(found) == 1
    for amount, share in zip(amounts, found, strict=True):
        assert abs(share * whole - amount) < MILLIONTH * whole


@given(st.lists(st.integers(1, 10**12), min_size=2, max_size=50))
def test_more_is_never_less_of_a_share(amounts: list[int]) -> None:
    pairs = sorted(zip(amounts, shares(amounts), strict=True))
    assert [share for _, share in pairs] == sorted(share for _, share in pairs)


def test_what_rounding_leaves_goes_to_the_first_of_equals() -> None:
    assert shares([1, 1, 1]) == [Decimal("0.333334"), Decimal("0.333333"), Decimal("0.333333")]
    assert shares([7]) == [Decimal(1)]
    assert shares([]) == []


def metrics(allocations: int) -> FundMetrics:
    weighed = WeighedAllocations(range(allocations), [1] * allocations)
    return FundMetrics(date(2025, 1, 1), None, 0, 0, 0, 0, 0, 0, flows_of([]), None, weighed)


def test_weights_of_more_allocations_than_are_shown_are_refused() -> None:
    assert len(metrics(WEIGHTS_MAX).weights) == WEIGHTS_MAX
    with pytest.raises(Refused) as refused:
        _ = metrics(WEIGHTS_MAX + 1).weights
    assert refused.value.problems[0].code is ErrorCode.LIMIT_EXCEEDED
