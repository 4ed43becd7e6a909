"""Multiples of totals, and why one is missing."""

from decimal import Decimal

import pytest

from api.domain.money import CENTS_MAX, CENTS_MIN
from api.domain.performance import NO_TOTALS, Totals, TotalsReason, totals
from api.errors import ErrorCode, Refused

MILLION = 100_000_000


def totals_of(
    *,
    committed: int | None = 10 * MILLION,
    paid_in: int | None = 6 * MILLION,
    distributed: int | None = 150_000_000,
    nav: int | None = 5 * MILLION,
    incomplete_count: int = 0,
) -> Totals:
    """Totals of one statement."""
    return totals(
        committed=committed,
        paid_in=paid_in,
        distributed=distributed,
        nav=nav,
        statement_count=1,
        incomplete_count=incomplete_count,
    )


def test_vector_of_calls_distributions_and_nav() -> None:
    found = totals_of()
    assert (found.dpi, found.rvpi, found.tvpi) == (Decimal("0.25"), Decimal("0.833333"), Decimal("1.083333"))
    assert (found.pic, found.unfunded_cents, found.reason) == (Decimal("0.6"), 4 * MILLION, None)


@pytest.mark.parametrize("paid_in", [0, None])
def test_multiples_without_paid_in_are_none_with_the_reason(paid_in: int | None) -> None:
    found = totals_of(paid_in=paid_in)
    assert (found.dpi, found.rvpi, found.tvpi) == (None, None, None)
    assert found.reason is TotalsReason.NO_PAID_IN


def test_unfunded_and_pic_need_both_committed_and_paid_in() -> None:
    assert (totals_of(committed=None).unfunded_cents, totals_of(committed=None).pic) == (None, None)
    assert (totals_of(paid_in=None).unfunded_cents, totals_of(paid_in=None).pic) == (None, None)
    assert (totals_of(paid_in=0).unfunded_cents, totals_of(paid_in=0).pic) == (10 * MILLION, Decimal(0))
    assert totals_of(committed=0).pic is None


def test_tvpi_needs_both_distributed_and_nav() -> None:
    without_nav, without_distributed = totals_of(nav=None), totals_of(distributed=None)
    assert (without_nav.dpi, without_nav.rvpi, without_nav.tvpi) == (Decimal("0.25"), None, None)
    assert (without_distributed.dpi, without_distributed.rvpi) == (None, Decimal("0.833333"))
    assert without_distributed.tvpi is None


def test_negative_reports_are_kept() -> None:
    found = totals_of(distributed=-3 * MILLION, nav=-MILLION)
    assert (found.dpi, found.rvpi, found.tvpi) == (Decimal("-0.5"), Decimal("-0.166667"), Decimal("-0.666667"))


def test_more_paid_in_than_committed_is_a_negative_unfunded() -> None:
    assert totals_of(committed=5 * MILLION).unfunded_cents == -MILLION


def test_figure_left_empty_by_some_holding_is_said() -> None:
    assert totals_of(incomplete_count=1).reason is TotalsReason.INCOMPLETE


def test_no_statement_is_no_totals() -> None:
    found = totals(committed=None, paid_in=None, distributed=None, nav=None, statement_count=0, incomplete_count=3)
    assert found == NO_TOTALS
    assert found.reason is TotalsReason.NO_STATEMENT
    assert (found.dpi, found.rvpi, found.tvpi, found.pic, found.unfunded_cents) == (None, None, None, None, None)


@pytest.mark.parametrize("amount", [CENTS_MAX + 1, CENTS_MIN - 1])
@pytest.mark.parametrize("figure", ["committed", "paid_in", "distributed", "nav"])
def test_sum_beyond_64_bits_is_refused(figure: str, amount: int) -> None:
    figures: dict[str, int | None] = {"committed": 0, "paid_in": 0, "distributed": 0, "nav": 0, figure: amount}
    with pytest.raises(Refused) as caught:
        totals_of(**figures)  # type: ignore[arg-type]
    assert [problem.code for problem in caught.value.problems] == [ErrorCode.LIMIT_EXCEEDED]
