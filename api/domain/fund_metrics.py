"""The metrics of a fund at a date: what it has committed, called, been paid and given back, and what that comes to.

All sums are over all of the fund's allocations; what each is made of is said at ``FundMetrics``. DPI, RVPI and TVPI are
those of ``domain.performance`` with what was paid as paid-in, MOIC is that of ``domain.moic``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from functools import cached_property
from typing import NamedTuple, Self

from api.domain.irr import Flows, Irr, Valuation, irr
from api.domain.money import ratio_or_none, within_limit
from api.errors import ErrorCode, Problem, Refused

WEIGHTS_MAX = 10_000
"""How many allocations a fund may have whose weights are shown."""
_UNITS = 10**6
"""Weights have six decimals."""


class FundMetricReason(StrEnum):
    """Why a figure is missing."""

    NO_FUND_SIZE = "NO_FUND_SIZE"
    NO_VALUATION = "NO_VALUATION"
    NOTHING_CALLED = "NOTHING_CALLED"
    NOTHING_INVESTED = "NOTHING_INVESTED"
    NOTHING_PAID = "NOTHING_PAID"


class CompanyTotals(NamedTuple):
    """A fund's companies, in cents: invested in and realized from all, the value of all, and of the active ones."""

    invested_cents: int
    realized_cents: int
    value_cents: int
    active_value_cents: int


class WeighedAllocations(NamedTuple):
    """Allocations and what each has committed, in cents; both in the order of the ids."""

    ids: Sequence[int]
    cents: Sequence[int]


class AllocationWeight(NamedTuple):
    """One allocation's share of what is committed."""

    allocation_id: int
    weight: Decimal


@dataclass(frozen=True)
class FundMetrics:
    """A fund's metrics at a date; amounts in cents, of any size: see ``checked``.

    committed: allocations but those that wait for approval or were rejected. live: all but rejected ones. called: calls
    but scheduled ones, from their date or their first payment on. overdue: what is outstanding of calls whose days of
    grace are over, but defaulted ones. ``flows`` are distributions, and negative payments. ``companies`` is None where
    nothing tells what they were worth. ``weighed`` are at most one more than ``WEIGHTS_MAX``.
    """

    as_of: date
    size_cents: int | None
    committed_cents: int
    live_cents: int
    called_cents: int
    overdue_cents: int
    paid_cents: int
    distributed_cents: int
    flows: Flows
    companies: CompanyTotals | None
    weighed: WeighedAllocations

    @property
    def uncalled_cents(self) -> int:
        """Committed less called."""
        return self.committed_cents - self.called_cents

    @property
    def unpaid_cents(self) -> int:
        """Called less paid."""
        return self.called_cents - self.paid_cents

    @property
    def nav_cents(self) -> int | None:
        """What the active companies are worth."""
        return None if self.companies is None else self.companies.active_value_cents

    @property
    def collection_rate(self) -> Decimal | None:
        """Paid / called."""
        return ratio_or_none(self.paid_cents, self.called_cents)

    @property
    def utilization(self) -> Decimal | None:
        """Live allocations / the fund's size."""
        return ratio_or_none(self.live_cents, self.size_cents)

    @property
    def dpi(self) -> Decimal | None:
        """Distributed / paid."""
        return ratio_or_none(self.distributed_cents, self.paid_cents)

    @property
    def rvpi(self) -> Decimal | None:
        """NAV / paid."""
        return ratio_or_none(self.nav_cents, self.paid_cents)

    @property
    def tvpi(self) -> Decimal | None:
        """(Distributed + NAV) / paid, rounded once."""
        nav = self.nav_cents
        return None if nav is None else ratio_or_none(self.distributed_cents + nav, self.paid_cents)

    @property
    def moic(self) -> Decimal | None:
        """(Value + realized) / invested, over all companies."""
        found = self.companies
        return found and ratio_or_none(found.value_cents + found.realized_cents, found.invested_cents)

    @cached_property
    def irr(self) -> Irr:
        """The rate at which payments, distributions and the NAV on the date are worth nothing."""
        nav = self.nav_cents
        return irr(self.flows, None if nav is None else Valuation(self.as_of, nav), self.as_of)

    @property
    def gross_irr(self) -> Decimal | None:
        """The value of ``irr``."""
        return self.irr.value

    @property
    def gross_irr_reason(self) -> str | None:
        """Why there is none."""
        return self.irr.reason and self.irr.reason.value

    @property
    def nav_reason(self) -> FundMetricReason | None:
        """Why there is no NAV."""
        return FundMetricReason.NO_VALUATION if self.companies is None else None

    @property
    def collection_rate_reason(self) -> FundMetricReason | None:
        """Why there is no collection rate."""
        return None if self.called_cents else FundMetricReason.NOTHING_CALLED

    @property
    def utilization_reason(self) -> FundMetricReason | None:
        """Why there is no utilization."""
        return None if self.size_cents else FundMetricReason.NO_FUND_SIZE

    @property
    def dpi_reason(self) -> FundMetricReason | None:
        """Why there is no DPI."""
        return None if self.paid_cents else FundMetricReason.NOTHING_PAID

    @property
    def rvpi_reason(self) -> FundMetricReason | None:
        """Why there is no RVPI."""
        return self.nav_reason or self.dpi_reason

    @property
    def tvpi_reason(self) -> FundMetricReason | None:
        """Why there is no TVPI."""
        return self.rvpi_reason

    @property
    def moic_reason(self) -> FundMetricReason | None:
        """Why there is no MOIC."""
        if self.companies is None:
            return FundMetricReason.NO_VALUATION
        return None if self.companies.invested_cents else FundMetricReason.NOTHING_INVESTED

    @property
    def weights(self) -> list[AllocationWeight]:
        """Each allocation's share of what is committed, in the order of the ids; those written off are left out.

        Raises Refused (LIMIT_EXCEEDED) for more than ``WEIGHTS_MAX``.
        """
        ids, cents = self.weighed
        if len(ids) > WEIGHTS_MAX:
            message = f"The fund has more than {WEIGHTS_MAX} allocations; ask for the allocations instead."
            raise Refused([Problem(ErrorCode.LIMIT_EXCEEDED, message, ("weights",), expected=str(WEIGHTS_MAX))])
        return [AllocationWeight(*pair) for pair in zip(ids, shares(cents), strict=True)]

    def checked(self) -> Self:
        """Itself; raises Refused (LIMIT_EXCEEDED) where an amount is beyond 64 bits."""
        for amount in (
            self.committed_cents,
            self.called_cents,
            self.uncalled_cents,
            self.paid_cents,
            self.unpaid_cents,
            self.overdue_cents,
            self.distributed_cents,
            self.nav_cents or 0,
        ):
            within_limit(amount)
        return self


def shares(amounts: Sequence[int]) -> list[Decimal]:
    """Amounts above 0 as fractions of their sum, to six decimals, that sum to exactly 1.

    Each is rounded down; the millionths that are then missing go, one each, to those that lost most by it, of equals to
    the first (largest remainders, Hamilton's method).
    """
    whole = sum(amounts)
    parts = [divmod(amount * _UNITS, whole) for amount in amounts]
    missing = _UNITS - sum(units for units, _ in parts) if parts else 0
    by_loss = sorted(range(len(parts)), key=lambda index: -parts[index][1])
    raised = set(by_loss[:missing])
    return [Decimal(units + (index in raised)).scaleb(-6) for index, (units, _) in enumerate(parts)]
