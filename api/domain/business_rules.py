"""The thresholds that an organization's rules use: their defaults, and the bounds of what an administrator may set."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from decimal import Decimal

from api.errors import Problem, invalid

VERSION_OF_DEFAULTS = 1
"""The version of the rules of an organization that has changed none."""


@dataclass(frozen=True, slots=True)
class BusinessRules:
    """Thresholds. Amounts are in cents of the fund's currency, the others fractions."""

    allocation_min_cents: int = 100_000
    """An allocation below it is refused."""
    allocation_max_cents: int = 5_000_000_000
    """An allocation above it is refused."""
    deal_total_caution_cents: int = 1_000_000_000
    """All allocations into one deal together: above it, a warning."""
    approval_above_cents: int = 500_000_000
    """An allocation above it needs an approval."""
    utilization_max: Decimal = Decimal("0.95")
    """A fund's allocations over its size: above it, refused."""
    utilization_caution: Decimal = Decimal("0.80")
    """The same: above it, a warning."""
    increase_caution: Decimal = Decimal("0.50")
    """An increase of an allocation over its present amount: above it, a warning."""
    concentration_max: Decimal = Decimal("0.30")
    """A company's planned reserves over those of its fund: above it, a warning."""
    fund_size_share_max: Decimal = Decimal("0.50")
    """A company's planned reserves, or a fund's, over the fund's size: above it, a warning."""


DEFAULT_BUSINESS_RULES = BusinessRules()
NAMES = tuple(field.name for field in fields(BusinessRules))

AMOUNT_MAX = 10**18
"""The most that an amount may be set to, in cents."""
UTILIZATION_LIMIT = Decimal(10)
FRACTION_LIMITS = {
    "utilization_max": UTILIZATION_LIMIT,
    "utilization_caution": UTILIZATION_LIMIT,
    "increase_caution": Decimal(1000),
    "concentration_max": Decimal(1),
    "fund_size_share_max": Decimal(10),
}
"""The most that each fraction may be set to."""
MAY_BE_ZERO = frozenset({"approval_above_cents", "increase_caution", "concentration_max", "fund_size_share_max"})
"""Thresholds of 0: everything is above them. Of the others 0 would allow nothing."""
FRACTION_PLACES = 6


def check_rules(rules: BusinessRules) -> Sequence[Problem]:
    """What is wrong with rules that somebody wants to set: INVALID_INPUT by field."""
    problems = [problem for name in NAMES if (problem := _check_one(name, getattr(rules, name))) is not None]
    for lower, upper in (("allocation_min_cents", "allocation_max_cents"), ("utilization_caution", "utilization_max")):
        if getattr(rules, lower) > getattr(rules, upper):
            limit = f"at most {getattr(rules, upper)}"
            message = f"Must not be above {upper.removesuffix('_cents').replace('_', ' ')}."
            problems.append(invalid(lower, message, expected=limit, actual=str(getattr(rules, lower))))
    return problems


def _check_one(name: str, value: int | Decimal) -> Problem | None:
    most = FRACTION_LIMITS.get(name, AMOUNT_MAX)
    least = "0" if name in MAY_BE_ZERO else "more than 0"
    is_large_enough = value >= 0 if name in MAY_BE_ZERO else value > 0
    if is_large_enough and value <= most and value == round(value, FRACTION_PLACES):
        return None
    limit = f"{least} to {most}" + (f", with at most {FRACTION_PLACES} decimals" if name in FRACTION_LIMITS else "")
    return invalid(
        name, f"Must be {limit}.", expected=limit, actual=format(value, "f" if name in FRACTION_LIMITS else "d")
    )
