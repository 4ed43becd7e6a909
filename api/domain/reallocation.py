"""Planning a reallocation: what proposals would change, what forbids them, what to be warned of.

Preview and commit use the same function, ``plan``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum

from api.domain.business_rules import BusinessRules
from api.domain.money import change_ratio, ratio_above, total, within_limit

PROPOSALS_MAX = 1000
REASON_LENGTH_MAX = 1000


class DeltaStatus(StrEnum):
    """Which way a company's planned reserves move."""

    INCREASED = "INCREASED"
    DECREASED = "DECREASED"
    UNCHANGED = "UNCHANGED"


class Severity(StrEnum):
    """Whether an issue blocks a commit."""

    ERROR = "ERROR"
    WARNING = "WARNING"


class IssueCode(StrEnum):
    """What is wrong, or worth a look, with a plan."""

    CAP_EXCEEDED = "CAP_EXCEEDED"
    NEGATIVE_AMOUNT = "NEGATIVE_AMOUNT"
    COMPANY_NOT_FOUND = "COMPANY_NOT_FOUND"
    DUPLICATE_COMPANY = "DUPLICATE_COMPANY"
    VERSION_CONFLICT = "VERSION_CONFLICT"
    HIGH_CONCENTRATION = "HIGH_CONCENTRATION"
    UNREALISTIC_MOIC = "UNREALISTIC_MOIC"


class IssueScope(StrEnum):
    """What an issue is about: one company or the whole fund."""

    COMPANY = "COMPANY"
    FUND = "FUND"


@dataclass(frozen=True, slots=True)
class FundState:
    """A fund as the plan sees it. ``size_cents`` None: unknown, and the rules on size are skipped."""

    allocation_version: int
    size_cents: int | None


@dataclass(frozen=True, slots=True)
class CompanyState:
    """A company's reserves as stored, in cents. ``cap_cents`` None: no cap."""

    id: int
    name: str
    planned_cents: int
    cap_cents: int | None


@dataclass(frozen=True, slots=True)
class Proposal:
    """New planned reserves for a company, in cents; a cap replaces the stored one. ``company_id`` None: unknown id."""

    company_id: int | None
    planned_cents: int
    cap_cents: int | None = None


@dataclass(frozen=True, slots=True)
class Delta:
    """What the plan does to one company and to its cap, in cents."""

    company_id: int
    company_name: str
    from_cents: int
    to_cents: int
    cap_from_cents: int | None
    cap_to_cents: int | None

    @property
    def delta_cents(self) -> int:
        """The change; negative for a decrease."""
        return self.to_cents - self.from_cents

    @property
    def cap_changes(self) -> bool:
        """Whether another cap holds after it."""
        return self.cap_to_cents != self.cap_from_cents

    @property
    def ratio(self) -> Decimal:
        """The change as a fraction of what was there."""
        return change_ratio(self.from_cents, self.to_cents)

    @property
    def status(self) -> DeltaStatus:
        """Which way the amount moves."""
        if self.to_cents == self.from_cents:
            return DeltaStatus.UNCHANGED
        return DeltaStatus.INCREASED if self.to_cents > self.from_cents else DeltaStatus.DECREASED


@dataclass(frozen=True, slots=True)
class Issue:
    """An error or a warning; ``index`` is the position of the proposal, where one is to blame."""

    code: IssueCode
    severity: Severity
    scope: IssueScope
    message: str
    company_id: int | None = None
    index: int | None = None
    threshold: Decimal | None = None
    actual: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """The outcome of planning: a delta for every company of the fund, in the order they were given."""

    baseline_version: int
    deltas: tuple[Delta, ...]
    before_cents: int
    after_cents: int
    issues: tuple[Issue, ...]

    @property
    def errors(self) -> tuple[Issue, ...]:
        """The issues that block a commit."""
        return tuple(issue for issue in self.issues if issue.severity is Severity.ERROR)

    @property
    def changed(self) -> tuple[Delta, ...]:
        """The deltas that a commit would write."""
        return tuple(delta for delta in self.deltas if delta.status is not DeltaStatus.UNCHANGED or delta.cap_changes)


def plan(
    fund: FundState,
    companies: Sequence[CompanyState],
    proposals: Sequence[Proposal],
    *,
    expected_version: int,
    rules: BusinessRules,
) -> Plan:
    """Plans the proposals on all of a fund's companies.

    Raises Refused (LIMIT_EXCEEDED) where a total or a change leaves 64 bits; everything else is in the plan's issues.
    """
    known = {company.id: company for company in companies}
    accepted, errors = _check_proposals(known, proposals)
    if expected_version != fund.allocation_version:
        errors.insert(0, _version_conflict(expected_version, fund.allocation_version))
    deltas = tuple(_delta(company, accepted.get(company.id)) for company in companies)
    before = total(delta.from_cents for delta in deltas)
    after = total(delta.to_cents for delta in deltas)
    for change in (after - before, *(delta.delta_cents for delta in deltas)):
        within_limit(change)
    warnings = _warnings(fund, deltas, after, rules)
    return Plan(fund.allocation_version, deltas, before, after, (*errors, *warnings))


def _check_proposals(
    known: Mapping[int, CompanyState], proposals: Sequence[Proposal]
) -> tuple[dict[int, Proposal], list[Issue]]:
    """The proposals by company (the first of duplicates), and what is wrong with them."""
    accepted: dict[int, Proposal] = {}
    errors: list[Issue] = []
    for index, proposal in enumerate(proposals):
        company = known.get(proposal.company_id) if proposal.company_id is not None else None
        if company is None:
            errors.append(_error(IssueCode.COMPANY_NOT_FOUND, index, "The fund has no such company."))
            continue
        if company.id in accepted:
            message = f"{company.name} is listed more than once."
            errors.append(_error(IssueCode.DUPLICATE_COMPANY, index, message, company_id=company.id))
            continue
        accepted[company.id] = proposal
        errors.extend(_check_amounts(company, proposal, index))
    return accepted, errors


def _check_amounts(company: CompanyState, proposal: Proposal, index: int) -> list[Issue]:
    negative = [amount for amount in (proposal.planned_cents, proposal.cap_cents or 0) if amount < 0]
    if negative:
        message = f"The amounts of {company.name} must not be negative."
        return [
            replace(
                _error(IssueCode.NEGATIVE_AMOUNT, index, message, company_id=company.id),
                threshold=Decimal(0),
                actual=Decimal(negative[0]),
            )
        ]
    cap = proposal.cap_cents if proposal.cap_cents is not None else company.cap_cents
    if cap is not None and proposal.planned_cents > cap:
        message = (
            f"{company.name} would have {proposal.planned_cents} cents of planned reserves, above its cap of {cap}."
        )
        return [
            replace(
                _error(IssueCode.CAP_EXCEEDED, index, message, company_id=company.id),
                threshold=Decimal(cap),
                actual=Decimal(proposal.planned_cents),
            )
        ]
    return []


def _error(code: IssueCode, index: int, message: str, *, company_id: int | None = None) -> Issue:
    return Issue(code, Severity.ERROR, IssueScope.COMPANY, message, company_id, index)


def _version_conflict(expected: int, actual: int) -> Issue:
    message = f"The fund's allocations have moved from version {expected} to {actual}. Read them again."
    return Issue(
        IssueCode.VERSION_CONFLICT,
        Severity.ERROR,
        IssueScope.FUND,
        message,
        threshold=Decimal(expected),
        actual=Decimal(actual),
    )


def _delta(company: CompanyState, proposal: Proposal | None) -> Delta:
    planned, cap = company.planned_cents, company.cap_cents
    if proposal is not None:
        planned, cap = proposal.planned_cents, cap if proposal.cap_cents is None else proposal.cap_cents
    return Delta(company.id, company.name, company.planned_cents, planned, company.cap_cents, cap)


def _warnings(fund: FundState, deltas: Sequence[Delta], after: int, rules: BusinessRules) -> list[Issue]:
    warnings = [
        Issue(
            IssueCode.HIGH_CONCENTRATION,
            Severity.WARNING,
            IssueScope.COMPANY,
            f"{delta.company_name} would hold {share} of the fund's planned reserves.",
            delta.company_id,
            threshold=rules.concentration_max,
            actual=share,
        )
        for delta in deltas
        if after > 0 and delta.to_cents > rules.concentration_max * after
        for share in [ratio_above(delta.to_cents, after, rules.concentration_max)]
    ]
    if fund.size_cents is None:
        return warnings
    size, limit = fund.size_cents, rules.fund_size_share_max * fund.size_cents
    for delta in deltas:
        if delta.to_cents > limit:
            share = ratio_above(delta.to_cents, size, rules.fund_size_share_max)
            message = f"{delta.company_name} would have planned reserves of {share} of the fund's size."
            warnings.append(_unrealistic(IssueScope.COMPANY, message, rules, share, delta.company_id))
    if after > limit:
        share = ratio_above(after, size, rules.fund_size_share_max)
        message = f"The fund would have planned reserves of {share} of its size."
        warnings.append(_unrealistic(IssueScope.FUND, message, rules, share, None))
    return warnings


def _unrealistic(
    scope: IssueScope, message: str, rules: BusinessRules, share: Decimal, company_id: int | None
) -> Issue:
    return Issue(
        IssueCode.UNREALISTIC_MOIC,
        Severity.WARNING,
        scope,
        message,
        company_id,
        threshold=rules.fund_size_share_max,
        actual=share,
    )
