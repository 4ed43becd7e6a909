"""Figures of performance that follow from totals: DPI, RVPI, TVPI, PIC and what is unfunded."""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from api.domain.money import Cents, ratio_or_none, within_limit


class TotalsReason(StrEnum):
    """Why figures of totals are missing or rest on less than everything."""

    NO_STATEMENT = "NO_STATEMENT"
    NO_PAID_IN = "NO_PAID_IN"
    INCOMPLETE = "INCOMPLETE"


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums in cents over the holdings that report, and the multiples of those sums.

    ``None`` where nothing is reported. DPI = distributed / paid-in, RVPI = NAV / paid-in, TVPI = DPI + RVPI,
    PIC = paid-in / committed, unfunded = committed - paid-in + recallable distributions (ILPA reporting template).
    ``recallable_cents`` is the part of what was distributed that may be called again; statements tell none.
    """

    committed_cents: Cents | None
    paid_in_cents: Cents | None
    distributed_cents: Cents | None
    nav_cents: Cents | None
    reason: TotalsReason | None
    recallable_cents: int = 0

    @property
    def unfunded_cents(self) -> Cents | None:
        """What may still be called."""
        if self.committed_cents is None or self.paid_in_cents is None:
            return None
        return within_limit(self.committed_cents - self.paid_in_cents + self.recallable_cents)

    @property
    def dpi(self) -> Decimal | None:
        """Distributed to paid-in."""
        return ratio_or_none(self.distributed_cents, self.paid_in_cents)

    @property
    def rvpi(self) -> Decimal | None:
        """Residual value to paid-in."""
        return ratio_or_none(self.nav_cents, self.paid_in_cents)

    @property
    def tvpi(self) -> Decimal | None:
        """Total value to paid-in."""
        if self.distributed_cents is None or self.nav_cents is None:
            return None
        return ratio_or_none(self.distributed_cents + self.nav_cents, self.paid_in_cents)

    @property
    def pic(self) -> Decimal | None:
        """Paid-in to committed."""
        return ratio_or_none(self.paid_in_cents, self.committed_cents)


NO_TOTALS = Totals(None, None, None, None, TotalsReason.NO_STATEMENT)


def totals(
    *,
    committed: int | None,
    paid_in: int | None,
    distributed: int | None,
    nav: int | None,
    statement_count: int,
    incomplete_count: int,
    recallable: int = 0,
) -> Totals:
    """Totals of ``statement_count`` holdings that report, ``incomplete_count`` of them with a figure or more empty.

    An empty figure adds nothing to a sum, and the reason says so. Raises Refused (LIMIT_EXCEEDED) beyond 64 bits.
    """
    if statement_count == 0:
        return NO_TOTALS
    reason = None
    if not paid_in:
        reason = TotalsReason.NO_PAID_IN
    elif incomplete_count:
        reason = TotalsReason.INCOMPLETE
    return Totals(
        committed_cents=_bounded(committed),
        paid_in_cents=_bounded(paid_in),
        distributed_cents=_bounded(distributed),
        nav_cents=_bounded(nav),
        reason=reason,
        recallable_cents=recallable,
    )


def _bounded(amount: int | None) -> Cents | None:
    return None if amount is None else within_limit(amount)
