"""What a lot of shares must be: its numbers agree with each other to the cent that rounding explains."""

from decimal import Decimal, localcontext
from enum import StrEnum
from math import ceil

from api.errors import Problem, invalid

SHARES_PLACES_MAX = 8
SHARES_END = Decimal(10) ** 10
"""Shares are fewer than this: 18 digits in all."""


class LotType(StrEnum):
    """How a lot was bought."""

    INITIAL = "INITIAL"
    FOLLOW_ON = "FOLLOW_ON"
    SECONDARY = "SECONDARY"


def check_shares(field: str, shares: Decimal) -> list[Problem]:
    """More than no shares, fewer than ten billion, to eight decimals."""
    if not 0 < shares < SHARES_END or shares != round(shares, SHARES_PLACES_MAX):
        limit = f"more than 0 and less than {SHARES_END}, with at most {SHARES_PLACES_MAX} decimals"
        return [invalid(field, f"Must be {limit}.", expected=limit, actual=format(shares, "f"))]
    return []


def check_cost_basis(
    field: str, *, cost_basis_cents: int, share_price_cents: int, shares_acquired: Decimal
) -> list[Problem]:
    """|cost - price x shares| is at most one cent for each share that was begun: prices are rounded to the cent."""
    with localcontext(prec=60):
        product = share_price_cents * shares_acquired
        tolerance = ceil(shares_acquired)
        if abs(cost_basis_cents - product) <= tolerance:
            return []
        expected = f"{product.normalize():f}, give or take {tolerance}"
    message = "The cost basis is not the share price times the shares, give or take a cent for each share."
    return [invalid(field, message, expected=expected, actual=str(cost_basis_cents))]
