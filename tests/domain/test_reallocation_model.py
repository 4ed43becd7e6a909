"""Planning any reallocation agrees with a slow and obvious model of it."""

from collections.abc import Sequence
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from api.domain.business_rules import DEFAULT_BUSINESS_RULES
from api.domain.reallocation import CompanyState, FundState, IssueCode, Plan, Proposal, Severity, plan

THIRTY_PERCENT = Fraction(3, 10)
HALF = Fraction(1, 2)
VERSION = 7

AMOUNTS = st.one_of(st.integers(-3, 12), st.integers(0, 10**12))
CAPS = st.none() | st.integers(-1, 12) | st.integers(0, 10**12)
COMPANIES = st.lists(
    st.tuples(st.integers(0, 12) | st.integers(0, 10**12), st.none() | st.integers(0, 10**12)), max_size=8
).map(lambda rows: [CompanyState(number, f"Company {number}", *row) for number, row in enumerate(rows, start=1)])
PROPOSALS = st.lists(st.builds(Proposal, st.none() | st.integers(1, 9), AMOUNTS, CAPS), min_size=1, max_size=8)
SIZES = st.none() | st.integers(1, 40) | st.integers(1, 10**13)
VERSIONS = st.integers(VERSION - 1, VERSION + 1)


def planned(
    companies: Sequence[CompanyState], proposals: Sequence[Proposal], *, size: int | None, expected_version: int
) -> Plan:
    return plan(
        FundState(VERSION, size), companies, proposals, expected_version=expected_version, rules=DEFAULT_BUSINESS_RULES
    )


def model_of_planned_reserves(companies: Sequence[CompanyState], proposals: Sequence[Proposal]) -> dict[int, int]:
    """What every company has afterwards: the first proposal for it, or what it had."""
    after = {known.id: known.planned_cents for known in companies}
    for proposal in reversed(proposals):
        if proposal.company_id in after:
            after[proposal.company_id] = proposal.planned_cents
    return after


def has_errors_by_the_model(companies: Sequence[CompanyState], proposals: Sequence[Proposal], version: int) -> bool:
    caps = {known.id: known.cap_cents for known in companies}
    ids = [proposal.company_id for proposal in proposals]
    if version != VERSION or len(set(ids)) < len(ids) or any(company_id not in caps for company_id in ids):
        return True
    for proposal in proposals:
        cap = caps[proposal.company_id or 0] if proposal.cap_cents is None else proposal.cap_cents
        if proposal.planned_cents < 0 or (cap is not None and (cap < 0 or proposal.planned_cents > cap)):
            return True
    return False


def recounted_warnings(after: dict[int, int], size: int | None) -> set[tuple[IssueCode, int | None]]:
    total = sum(after.values())
    found: set[tuple[IssueCode, int | None]] = set()
    for company_id, amount in after.items():
        if total > 0 and Fraction(amount, total) > THIRTY_PERCENT:
            found.add((IssueCode.HIGH_CONCENTRATION, company_id))
        if size is not None and Fraction(amount, size) > HALF:
            found.add((IssueCode.UNREALISTIC_MOIC, company_id))
    if size is not None and Fraction(total, size) > HALF:
        found.add((IssueCode.UNREALISTIC_MOIC, None))
    return found


@given(COMPANIES, PROPOSALS, SIZES, VERSIONS)
def test_plan_agrees_with_the_model(
    companies: list[CompanyState], proposals: list[Proposal], size: int | None, version: int
) -> None:
    outcome = planned(companies, proposals, size=size, expected_version=version)
    after = model_of_planned_reserves(companies, proposals)
    assert [(delta.company_id, delta.to_cents) for delta in outcome.deltas] == list(after.items())
    assert sum(delta.delta_cents for delta in outcome.deltas) == outcome.after_cents - outcome.before_cents
    assert bool(outcome.errors) is has_errors_by_the_model(companies, proposals, version)
    warnings = [issue for issue in outcome.issues if issue.severity is Severity.WARNING]
    assert len({(issue.code, issue.company_id) for issue in warnings}) == len(warnings)
    assert {(issue.code, issue.company_id) for issue in warnings} == recounted_warnings(after, size)


@given(COMPANIES, PROPOSALS)
def test_ratios_are_the_exact_fractions_to_six_decimals(
    companies: list[CompanyState], proposals: list[Proposal]
) -> None:
    for delta in planned(companies, proposals, size=None, expected_version=VERSION).deltas:
        if delta.from_cents:
            exact = Fraction(delta.to_cents - delta.from_cents, delta.from_cents)
            assert abs(Fraction(delta.ratio) - exact) <= Fraction(1, 2 * 10**6)
