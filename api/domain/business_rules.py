"""The thresholds that an organization's rules use, with their defaults."""

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class BusinessRules:
    """Thresholds as fractions: of the fund's total planned reserves, and of the fund's size."""

    concentration_max: Decimal = Decimal("0.30")
    fund_size_share_max: Decimal = Decimal("0.50")


DEFAULT_BUSINESS_RULES = BusinessRules()
