"""The rules that an allocation of money to a deal is checked by: small functions, and the tuple of them.

A rule gets the proposal, what fund and deal hold already, and the organization's thresholds, and returns a finding or
None. Thresholds are exclusive: what is at one is within it. A change is judged by what it changes: an amount that is
lowered is not held against a maximum that it was above before.
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from api.domain.business_rules import BusinessRules
from api.domain.money import CENTS_MAX, ratio_above


class RuleCode(StrEnum):
    """Which rule has found something."""

    ALLOCATION_TOO_SMALL = "ALLOCATION_TOO_SMALL"
    ALLOCATION_TOO_LARGE = "ALLOCATION_TOO_LARGE"
    UTILIZATION_EXCEEDED = "UTILIZATION_EXCEEDED"
    UTILIZATION_HIGH = "UTILIZATION_HIGH"
    FUND_TOTAL_TOO_LARGE = "FUND_TOTAL_TOO_LARGE"
    DEAL_TOTAL_HIGH = "DEAL_TOTAL_HIGH"
    INCREASE_LARGE = "INCREASE_LARGE"
    APPROVAL_REQUIRED = "APPROVAL_REQUIRED"


@dataclass(frozen=True, slots=True)
class Proposal:
    """An allocation of ``amount_cents``.

    ``present_cents`` is the amount that it has now, 0 for a new one; ``committed_cents`` what of that needs no approval
    any more, 0 while it waits for one.
    """

    amount_cents: int
    present_cents: int = 0
    committed_cents: int = 0

    @property
    def is_raised(self) -> bool:
        """Whether more is asked for than is committed; always so for a new one, and for one that waits."""
        return self.amount_cents > self.committed_cents


@dataclass(frozen=True, slots=True)
class Standing:
    """What there is beside the proposal, in cents.

    ``fund_allocated_cents`` are the fund's other live allocations, ``deal_allocated_cents`` those into the deal by all
    funds of the fund's currency. ``fund_size_cents`` None: unknown, and the rules on size are skipped.
    """

    fund_size_cents: int | None
    fund_allocated_cents: int
    deal_allocated_cents: int


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule has found: an error, which forbids the allocation, or a warning. Cents or fractions."""

    code: RuleCode
    is_error: bool
    message: str
    threshold: Decimal
    actual: Decimal


Rule = Callable[[Proposal, Standing, BusinessRules], Finding | None]


def minimum(proposal: Proposal, _standing: Standing, rules: BusinessRules) -> Finding | None:
    """An amount below the minimum of one allocation, unless as little is committed: an error."""
    amount, least = proposal.amount_cents, rules.allocation_min_cents
    if amount >= least or 0 < proposal.committed_cents <= amount:
        return None
    message = f"{amount} cents are less than the least of one allocation, {least}."
    return _error(RuleCode.ALLOCATION_TOO_SMALL, message, least, amount)


def maximum(proposal: Proposal, _standing: Standing, rules: BusinessRules) -> Finding | None:
    """A new or raised amount above the maximum of one allocation: an error."""
    amount, most = proposal.amount_cents, rules.allocation_max_cents
    if amount <= most or not proposal.is_raised:
        return None
    message = f"{amount} cents are more than the most of one allocation, {most}."
    return _error(RuleCode.ALLOCATION_TOO_LARGE, message, most, amount)


def utilization(proposal: Proposal, standing: Standing, rules: BusinessRules) -> Finding | None:
    """A fund's allocations over its size: above the maximum an error, above the caution a warning.

    Skipped where the size is unknown, and where the amount is not raised.
    """
    size = standing.fund_size_cents
    if size is None or not proposal.is_raised:
        return None
    allocated = standing.fund_allocated_cents + proposal.amount_cents
    for code, find, threshold in (
        (RuleCode.UTILIZATION_EXCEEDED, _error, rules.utilization_max),
        (RuleCode.UTILIZATION_HIGH, _warning, rules.utilization_caution),
    ):
        if allocated > threshold * size:
            share = ratio_above(allocated, size, threshold)
            return find(code, f"{share} of the fund's size would be allocated.", threshold, share)
    return None


def fund_total(proposal: Proposal, standing: Standing, _rules: BusinessRules) -> Finding | None:
    """A new or raised amount that brings a fund's allocations to more than can be shown: an error, by no threshold."""
    allocated = standing.fund_allocated_cents + proposal.amount_cents
    if allocated <= CENTS_MAX or not proposal.is_raised:
        return None
    message = f"{allocated} cents would be allocated by the fund in all, more than can be shown."
    return _error(RuleCode.FUND_TOTAL_TOO_LARGE, message, CENTS_MAX, allocated)


def deal_total(proposal: Proposal, standing: Standing, rules: BusinessRules) -> Finding | None:
    """A new or raised amount that brings all allocations into the deal above the caution: a warning."""
    allocated = standing.deal_allocated_cents + proposal.amount_cents
    if allocated <= rules.deal_total_caution_cents or not proposal.is_raised:
        return None
    message = f"{allocated} cents would be allocated to the deal in all."
    return _warning(RuleCode.DEAL_TOTAL_HIGH, message, rules.deal_total_caution_cents, allocated)


def increase(proposal: Proposal, _standing: Standing, rules: BusinessRules) -> Finding | None:
    """An increase over the present amount above the caution: a warning."""
    more, present = proposal.amount_cents - proposal.present_cents, proposal.present_cents
    if present == 0 or more <= rules.increase_caution * present:
        return None
    share = ratio_above(more, present, rules.increase_caution)
    message = f"The allocation would increase by {share} of its present amount."
    return _warning(RuleCode.INCREASE_LARGE, message, rules.increase_caution, share)


def approval(proposal: Proposal, _standing: Standing, rules: BusinessRules) -> Finding | None:
    """An amount above the threshold, and above what is committed already: somebody else has to approve it."""
    amount, threshold = proposal.amount_cents, rules.approval_above_cents
    if amount <= threshold or amount <= proposal.committed_cents:
        return None
    message = f"{amount} cents are above {threshold}: another administrator has to approve them."
    return _warning(RuleCode.APPROVAL_REQUIRED, message, threshold, amount)


RULES: tuple[Rule, ...] = (minimum, maximum, utilization, fund_total, deal_total, increase, approval)
"""The engine: to add a rule is to add a function here."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What all rules together have found, in their order."""

    findings: tuple[Finding, ...]

    @property
    def errors(self) -> tuple[Finding, ...]:
        """What forbids the allocation."""
        return tuple(finding for finding in self.findings if finding.is_error)

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """What is worth a look, and forbids nothing."""
        return tuple(finding for finding in self.findings if not finding.is_error)

    @property
    def requires_approval(self) -> bool:
        """Whether the allocation waits until somebody else has approved it."""
        return any(finding.code is RuleCode.APPROVAL_REQUIRED for finding in self.findings)


def judge(proposal: Proposal, standing: Standing, rules: BusinessRules) -> Verdict:
    """What the rules say of a proposal."""
    return Verdict(tuple(found for rule in RULES if (found := rule(proposal, standing, rules)) is not None))


def _error(code: RuleCode, message: str, threshold: int | Decimal, actual: int | Decimal) -> Finding:
    return Finding(code, True, message, Decimal(threshold), Decimal(actual))


def _warning(code: RuleCode, message: str, threshold: int | Decimal, actual: int | Decimal) -> Finding:
    return Finding(code, False, message, Decimal(threshold), Decimal(actual))
