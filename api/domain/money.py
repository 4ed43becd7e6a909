"""Money as whole minor units, ratios as exact decimals, and the limits of both."""

from collections.abc import Iterable
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Context, Decimal, localcontext
from typing import NewType

from iso4217 import Currency

from api.errors import ErrorCode, Problem, Refused

Cents = NewType("Cents", int)
"""An amount in the currency's minor unit, within 64 bits."""

CENTS_MAX = 2**63 - 1
CENTS_MIN = -(2**63)
RATIO_PLACES = Decimal("0.000001")
_RATIOS = Context(prec=60, rounding=ROUND_HALF_EVEN)


def ratio(numerator: int, denominator: int) -> Decimal:
    """``numerator / denominator`` to six decimals, half to even; the denominator must not be 0."""
    return _RATIOS.quantize(_RATIOS.divide(numerator, denominator), RATIO_PLACES)


def ratio_or_none(numerator: int | None, denominator: int | None) -> Decimal | None:
    """The ratio, or None where either part is missing or the denominator is 0."""
    if numerator is None or not denominator:
        return None
    return ratio(numerator, denominator)


def ratio_above(numerator: int, denominator: int, threshold: Decimal) -> Decimal:
    """A ratio that is above the threshold, to six decimals, as many as that may have: rounded, but never to it."""
    return max(ratio(numerator, denominator), threshold + RATIO_PLACES)


def change_ratio(before: int, after: int) -> Decimal:
    """The change as a fraction of ``before``; from 0 it is 1 where something was added and else 0."""
    if before == 0:
        return Decimal(1) if after > 0 else Decimal(0)
    return ratio(after - before, before)


def total(amounts: Iterable[int]) -> Cents:
    """The exact sum; raises Refused (LIMIT_EXCEEDED) beyond 64 bits."""
    return within_limit(sum(amounts))


def within_limit(amount: int) -> Cents:
    """``amount`` as Cents; raises Refused (LIMIT_EXCEEDED) beyond 64 bits."""
    if not CENTS_MIN <= amount <= CENTS_MAX:
        raise Refused(
            [
                Problem(
                    ErrorCode.LIMIT_EXCEEDED,
                    "The total is beyond 64 bits.",
                    expected=str(CENTS_MAX),
                    actual=str(amount),
                )
            ]
        )
    return Cents(amount)


def share_of(amount: int, fraction: Decimal) -> Cents:
    """``fraction`` of an amount in cents, rounded to the nearest cent, halves away from zero.

    Raises Refused (LIMIT_EXCEEDED) beyond 64 bits.
    """
    with localcontext(prec=60):
        return within_limit(int((amount * fraction).quantize(Decimal(1), rounding=ROUND_HALF_UP)))


def cents_from_millions(millions: Decimal) -> Cents:
    """Millions of the major unit as cents, rounded to the nearest cent, halves away from zero.

    Raises Refused (LIMIT_EXCEEDED) beyond 64 bits.
    """
    with localcontext(prec=60):
        return within_limit(int((millions * 100_000_000).quantize(Decimal(1), rounding=ROUND_HALF_UP)))


def is_currency(code: str) -> bool:
    """True for an ISO 4217 alphabetic code."""
    return code in _CURRENCY_CODES


_CURRENCY_CODES = frozenset(currency.code for currency in Currency)
