"""Planning a reallocation: the vector of the specification, every error and every warning."""

from collections.abc import Sequence
from decimal import Decimal

import pytest

from api.domain.business_rules import DEFAULT_BUSINESS_RULES, BusinessRules
from api.domain.money import CENTS_MAX, CENTS_MIN
from api.domain.reallocation import (
    CompanyState,
    DeltaStatus,
    FundState,
    Issue,
    IssueCode,
    IssueScope,
    Plan,
    Proposal,
    Severity,
    plan,
)
from api.errors import ErrorCode, Refused

A, B, C = 1, 2, 3


def company(company_id: int, planned: int, cap: int | None = None) -> CompanyState:
    return CompanyState(company_id, "?ABC"[company_id], planned, cap)


def planned(
    companies: Sequence[CompanyState],
    proposals: Sequence[Proposal],
    *,
    size: int | None = None,
    expected_version: int = 7,
    rules: BusinessRules = DEFAULT_BUSINESS_RULES,
) -> Plan:
    """The plan on a fund whose allocation version is 7."""
    return plan(FundState(7, size), companies, proposals, expected_version=expected_version, rules=rules)


def only_error(outcome: Plan) -> Issue:
    (error,) = outcome.errors
    assert error.severity is Severity.ERROR
    return error


def codes(outcome: Plan) -> list[IssueCode]:
    return [issue.code for issue in outcome.issues]


def refusal(companies: Sequence[CompanyState], proposals: Sequence[Proposal]) -> tuple[ErrorCode, str | None]:
    with pytest.raises(Refused) as caught:
        planned(companies, proposals)
    (problem,) = caught.value.problems
    return problem.code, problem.actual


def test_vector_r1() -> None:
    outcome = planned(
        [company(A, 100_000_000), company(B, 50_000_000)],
        [Proposal(A, 150_000_000), Proposal(B, 40_000_000)],
        size=100_000_000_000,
    )
    assert [(delta.company_name, delta.from_cents, delta.to_cents) for delta in outcome.deltas] == [
        ("A", 100_000_000, 150_000_000),
        ("B", 50_000_000, 40_000_000),
    ]
    assert [(delta.delta_cents, delta.ratio, delta.status) for delta in outcome.deltas] == [
        (50_000_000, Decimal("0.5"), DeltaStatus.INCREASED),
        (-10_000_000, Decimal("-0.2"), DeltaStatus.DECREASED),
    ]
    assert (outcome.baseline_version, outcome.before_cents, outcome.after_cents) == (7, 150_000_000, 190_000_000)
    (warning,) = outcome.issues
    assert (warning.code, warning.severity, warning.scope) == (
        IssueCode.HIGH_CONCENTRATION,
        Severity.WARNING,
        IssueScope.COMPANY,
    )
    assert (warning.company_id, warning.index) == (A, None)
    assert (warning.threshold, warning.actual) == (Decimal("0.30"), Decimal("0.789474"))


def test_companies_that_are_not_proposed_get_an_unchanged_delta() -> None:
    outcome = planned([company(A, 10), company(B, 10), company(C, 0)], [Proposal(B, 11)])
    assert [(delta.company_id, delta.delta_cents, delta.status) for delta in outcome.deltas] == [
        (A, 0, DeltaStatus.UNCHANGED),
        (B, 1, DeltaStatus.INCREASED),
        (C, 0, DeltaStatus.UNCHANGED),
    ]
    assert [delta.company_id for delta in outcome.changed] == [B]


@pytest.mark.parametrize(("to", "expected"), [(0, "0"), (1, "1"), (999, "1")])
def test_ratio_of_a_change_from_zero_is_one_or_zero(to: int, expected: str) -> None:
    outcome = planned([company(A, 0)], [Proposal(A, to)])
    assert outcome.deltas[0].ratio == Decimal(expected)


def test_planned_reserves_above_the_stored_cap_are_an_error() -> None:
    error = only_error(planned([company(A, 5, cap=10)], [Proposal(A, 11)]))
    assert (error.code, error.scope, error.company_id, error.index) == (
        IssueCode.CAP_EXCEEDED,
        IssueScope.COMPANY,
        A,
        0,
    )
    assert (error.threshold, error.actual) == (Decimal(10), Decimal(11))


def test_planned_reserves_at_the_cap_are_allowed() -> None:
    assert planned([company(A, 5, cap=10)], [Proposal(A, 10)]).errors == ()


def test_given_cap_replaces_a_higher_stored_one() -> None:
    error = only_error(planned([company(A, 5, cap=100)], [Proposal(A, 11, cap_cents=10)]))
    assert (error.code, error.threshold, error.actual) == (IssueCode.CAP_EXCEEDED, Decimal(10), Decimal(11))


def test_given_cap_replaces_a_lower_stored_one() -> None:
    outcome = planned([company(A, 5, cap=10)], [Proposal(A, 11, cap_cents=11)])
    assert outcome.errors == ()
    assert (outcome.deltas[0].cap_to_cents, outcome.deltas[0].cap_changes) == (11, True)


def test_given_cap_of_zero_is_a_cap() -> None:
    error = only_error(planned([company(A, 0)], [Proposal(A, 1, cap_cents=0)]))
    assert (error.code, error.threshold) == (IssueCode.CAP_EXCEEDED, Decimal(0))


def test_cap_that_changes_alone_is_a_change() -> None:
    outcome = planned([company(A, 5)], [Proposal(A, 5, cap_cents=9)])
    assert outcome.deltas[0].status is DeltaStatus.UNCHANGED
    assert [delta.company_id for delta in outcome.changed] == [A]


def test_stored_cap_stays_where_none_is_given() -> None:
    outcome = planned([company(A, 5, cap=10)], [Proposal(A, 6)])
    assert (outcome.deltas[0].cap_to_cents, outcome.deltas[0].cap_changes) == (10, False)


def test_negative_planned_reserves_are_an_error() -> None:
    error = only_error(planned([company(A, 5)], [Proposal(A, -1)]))
    assert (error.code, error.company_id, error.index) == (IssueCode.NEGATIVE_AMOUNT, A, 0)
    assert (error.threshold, error.actual) == (Decimal(0), Decimal(-1))


def test_negative_cap_is_an_error() -> None:
    error = only_error(planned([company(A, 5)], [Proposal(A, 0, cap_cents=-2)]))
    assert (error.code, error.threshold, error.actual) == (IssueCode.NEGATIVE_AMOUNT, Decimal(0), Decimal(-2))


@pytest.mark.parametrize("unknown", [None, 99])
def test_unknown_company_is_an_error_of_its_proposal(unknown: int | None) -> None:
    error = only_error(planned([company(A, 5)], [Proposal(A, 5), Proposal(unknown, 1)]))
    assert (error.code, error.company_id, error.index) == (IssueCode.COMPANY_NOT_FOUND, None, 1)
    assert (error.threshold, error.actual) == (None, None)


def test_company_listed_twice_is_an_error_of_the_second_and_the_first_counts() -> None:
    outcome = planned([company(A, 5)], [Proposal(A, 6), Proposal(A, 7), Proposal(A, 6)])
    assert [(error.code, error.company_id, error.index) for error in outcome.errors] == [
        (IssueCode.DUPLICATE_COMPANY, A, 1),
        (IssueCode.DUPLICATE_COMPANY, A, 2),
    ]
    assert outcome.deltas[0].to_cents == 6


@pytest.mark.parametrize("expected", [6, 8])
def test_other_version_is_an_error_of_the_fund(expected: int) -> None:
    outcome = planned([company(A, 5)], [Proposal(None, 1)], expected_version=expected)
    assert codes(outcome)[:2] == [IssueCode.VERSION_CONFLICT, IssueCode.COMPANY_NOT_FOUND]
    conflict = outcome.issues[0]
    assert (conflict.scope, conflict.company_id, conflict.index) == (IssueScope.FUND, None, None)
    assert (conflict.threshold, conflict.actual) == (Decimal(expected), Decimal(7))


@pytest.mark.parametrize(("to", "warns"), [(30_000, False), (30_001, True)])
def test_concentration_warns_strictly_above_thirty_percent(to: int, warns: bool) -> None:
    others = [CompanyState(number, f"Other {number}", 10_000, None) for number in range(10, 17)]
    outcome = planned([company(A, 0), *others], [Proposal(A, to)])
    assert [issue.company_id for issue in outcome.issues] == ([A] if warns else [])


def test_concentration_counts_companies_that_are_not_proposed() -> None:
    outcome = planned([company(A, 70), company(B, 0)], [Proposal(B, 30)])
    assert [(issue.code, issue.company_id, issue.actual) for issue in outcome.issues] == [
        (IssueCode.HIGH_CONCENTRATION, A, Decimal("0.7"))
    ]


def test_nothing_planned_is_no_concentration() -> None:
    assert planned([company(A, 5)], [Proposal(A, 0)]).issues == ()


@pytest.mark.parametrize(("to", "scopes"), [(500, []), (501, [IssueScope.COMPANY, IssueScope.FUND])])
def test_share_of_size_warns_strictly_above_half(to: int, scopes: list[IssueScope]) -> None:
    outcome = planned([company(A, 0)], [Proposal(A, to)], size=1000)
    warnings = [issue for issue in outcome.issues if issue.code is IssueCode.UNREALISTIC_MOIC]
    assert [issue.scope for issue in warnings] == scopes
    assert all(issue.threshold == Decimal("0.50") for issue in warnings)
    assert all(issue.actual == Decimal("0.501") for issue in warnings)
    assert [issue.company_id for issue in warnings] == [A, None][: len(scopes)]


def test_fund_total_above_half_of_its_size_warns_though_no_company_is() -> None:
    outcome = planned([company(A, 300), company(B, 300)], [Proposal(A, 301)], size=1000)
    warnings = [issue for issue in outcome.issues if issue.code is IssueCode.UNREALISTIC_MOIC]
    assert [(issue.scope, issue.company_id, issue.actual) for issue in warnings] == [
        (IssueScope.FUND, None, Decimal("0.601"))
    ]


def test_a_share_barely_above_its_threshold_is_not_told_as_the_threshold() -> None:
    outcome = planned([company(A, 0)], [Proposal(A, 5 * 10**9 + 1)], size=10**10)
    told = [(issue.threshold, issue.actual) for issue in outcome.issues if issue.code is IssueCode.UNREALISTIC_MOIC]
    assert told == [(Decimal("0.50"), Decimal("0.500001"))] * 2
    others = [CompanyState(number, f"Other {number}", 10**9, None) for number in range(10, 17)]
    [issue] = planned([company(A, 0), *others], [Proposal(A, 3 * 10**9 + 1)]).issues
    assert (issue.threshold, issue.actual) == (Decimal("0.30"), Decimal("0.300001"))


def test_unknown_size_skips_the_rules_on_size() -> None:
    assert codes(planned([company(A, 0)], [Proposal(A, CENTS_MAX)])) == [IssueCode.HIGH_CONCENTRATION]


def test_thresholds_are_those_of_the_organization() -> None:
    rules = BusinessRules(concentration_max=Decimal("0.8"), fund_size_share_max=Decimal("0.9"))
    assert planned([company(A, 0), company(B, 20)], [Proposal(A, 80)], size=112, rules=rules).issues == ()


def test_total_after_beyond_64_bits_is_refused() -> None:
    companies = [company(A, 0), company(B, 0)]
    assert planned(companies, [Proposal(A, CENTS_MAX), Proposal(B, 0)]).after_cents == CENTS_MAX
    beyond = refusal(companies, [Proposal(A, CENTS_MAX), Proposal(B, 1)])
    assert beyond == (ErrorCode.LIMIT_EXCEEDED, str(CENTS_MAX + 1))


def test_total_before_beyond_64_bits_is_refused() -> None:
    companies = [company(A, CENTS_MAX), company(B, 1)]
    assert refusal(companies, [Proposal(A, 0)]) == (ErrorCode.LIMIT_EXCEEDED, str(CENTS_MAX + 1))


def test_change_beyond_64_bits_is_refused() -> None:
    assert refusal([company(A, 1)], [Proposal(A, CENTS_MIN)]) == (ErrorCode.LIMIT_EXCEEDED, str(CENTS_MIN - 1))
