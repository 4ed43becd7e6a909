"""The rules of an allocation, each at its threshold and one cent beyond."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.domain.business_rules import DEFAULT_BUSINESS_RULES, NAMES, BusinessRules, check_rules
from api.domain.deal_rules import Proposal, RuleCode, Standing, Verdict, judge
from api.domain.money import share_of
from api.errors import Refused

SIZE = 10_000_000_000
ROOMY = Standing(SIZE, 0, 0)
UNKNOWN_SIZE = Standing(None, 10**15, 0)


def found(proposal: Proposal, standing: Standing = ROOMY, rules: BusinessRules = DEFAULT_BUSINESS_RULES) -> list[str]:
    """The codes of what the rules find."""
    return [finding.code.value for finding in judge(proposal, standing, rules).findings]


@pytest.mark.parametrize(
    ("proposal", "standing", "expected"),
    [
        (Proposal(100_000), ROOMY, []),
        (Proposal(99_999), ROOMY, ["ALLOCATION_TOO_SMALL"]),
        (Proposal(0), ROOMY, ["ALLOCATION_TOO_SMALL"]),
        (Proposal(500_000_000), ROOMY, []),
        (Proposal(500_000_001), ROOMY, ["APPROVAL_REQUIRED"]),
        (Proposal(5_000_000_000), UNKNOWN_SIZE, ["DEAL_TOTAL_HIGH", "APPROVAL_REQUIRED"]),
        (Proposal(5_000_000_001), UNKNOWN_SIZE, ["ALLOCATION_TOO_LARGE", "DEAL_TOTAL_HIGH", "APPROVAL_REQUIRED"]),
        (Proposal(100_000), Standing(SIZE, 8_000_000_000 - 100_000, 0), []),
        (Proposal(100_000), Standing(SIZE, 8_000_000_001 - 100_000, 0), ["UTILIZATION_HIGH"]),
        (Proposal(100_000), Standing(SIZE, 9_500_000_000 - 100_000, 0), ["UTILIZATION_HIGH"]),
        (Proposal(100_000), Standing(SIZE, 9_500_000_001 - 100_000, 0), ["UTILIZATION_EXCEEDED"]),
        (Proposal(100_000), UNKNOWN_SIZE, []),
        (Proposal(100_000), Standing(None, 2**63 - 100_001, 0), []),
        (Proposal(100_000), Standing(None, 2**63 - 100_000, 0), ["FUND_TOTAL_TOO_LARGE"]),
        (Proposal(100_000, 100_001, 100_001), Standing(None, 2**63, 0), []),
        (Proposal(100_000), Standing(SIZE, 0, 1_000_000_000 - 100_000), []),
        (Proposal(100_000), Standing(SIZE, 0, 1_000_000_001 - 100_000), ["DEAL_TOTAL_HIGH"]),
        (Proposal(300_000, 200_000, 200_000), ROOMY, []),
        (Proposal(300_001, 200_000, 200_000), ROOMY, ["INCREASE_LARGE"]),
    ],
)
def test_threshold_is_within_and_a_cent_more_is_beyond(
    proposal: Proposal, standing: Standing, expected: list[str]
) -> None:
    assert found(proposal, standing) == expected


def test_change_is_judged_by_what_it_changes() -> None:
    full = Standing(SIZE, 9_900_000_000, 2_000_000_000)
    # Lowered, though still above what may be: nothing forbids it, nor warns.
    assert found(Proposal(5_999_999_999, 6_000_000_000, 6_000_000_000), full) == []
    assert found(Proposal(6_000_000_001, 6_000_000_000, 6_000_000_000), full) == [
        "ALLOCATION_TOO_LARGE",
        "UTILIZATION_EXCEEDED",
        "DEAL_TOTAL_HIGH",
        "APPROVAL_REQUIRED",
    ]
    # Raised, though still below what must be.
    assert found(Proposal(60_000, 50_000, 50_000)) == []
    assert found(Proposal(40_000, 50_000, 50_000)) == ["ALLOCATION_TOO_SMALL"]


def test_approval_is_for_more_than_is_committed() -> None:
    assert found(Proposal(600_000_000, 700_000_000, 700_000_000)) == []
    assert found(Proposal(700_000_001, 700_000_000, 700_000_000)) == ["APPROVAL_REQUIRED"]
    # What still waits is not committed, so that less than it waits, too.
    assert found(Proposal(600_000_000, 700_000_000, 0)) == ["APPROVAL_REQUIRED"]
    assert found(Proposal(500_000_000, 700_000_000, 0)) == []


def test_what_waits_is_judged_like_a_new_one() -> None:
    full = Standing(SIZE, 9_900_000_000, 0)
    assert found(Proposal(100_000, 700_000_000, 0), full) == ["UTILIZATION_EXCEEDED"]
    assert found(Proposal(50_000, 40_000, 0)) == ["ALLOCATION_TOO_SMALL"]
    assert found(Proposal(300_001, 200_000, 0)) == ["INCREASE_LARGE"]


def test_findings_say_threshold_and_actual() -> None:
    verdict = judge(Proposal(600_000_000), Standing(1_000_000_000, 300_000_000, 500_000_000), DEFAULT_BUSINESS_RULES)
    assert [(one.code, one.is_error, one.threshold, one.actual) for one in verdict.findings] == [
        (RuleCode.UTILIZATION_HIGH, False, Decimal("0.80"), Decimal("0.9")),
        (RuleCode.DEAL_TOTAL_HIGH, False, Decimal(1_000_000_000), Decimal(1_100_000_000)),
        (RuleCode.APPROVAL_REQUIRED, False, Decimal(500_000_000), Decimal(600_000_000)),
    ]
    assert (verdict.errors, verdict.requires_approval) == ((), True)
    refused = judge(Proposal(1), ROOMY, DEFAULT_BUSINESS_RULES)
    assert [(one.threshold, one.actual) for one in refused.errors] == [(Decimal(100_000), Decimal(1))]
    assert Verdict(()).requires_approval is False


cents = st.integers(min_value=1, max_value=2**63 - 1)


@given(
    amount=cents, size=cents, allocated=st.integers(min_value=0, max_value=2**63 - 1), places=st.integers(1, 9_999_999)
)
def test_utilization_is_compared_exactly(amount: int, size: int, allocated: int, places: int) -> None:
    """In whole numbers: (allocated + amount) / size > places / 10^6, without any division."""
    rules = replace(DEFAULT_BUSINESS_RULES, utilization_max=Decimal(places) / 10**6, utilization_caution=Decimal(0))
    exceeded = (allocated + amount) * 10**6 > places * size
    assert ("UTILIZATION_EXCEEDED" in found(Proposal(amount), Standing(size, allocated, 0), rules)) is exceeded


@given(amount=cents, size=cents, allocated=st.integers(min_value=0, max_value=2**63 - 1), places=st.integers(1, 10**7))
def test_what_exceeds_a_threshold_is_told_above_it(amount: int, size: int, allocated: int, places: int) -> None:
    threshold = Decimal(places) / 10**6
    rules = replace(DEFAULT_BUSINESS_RULES, utilization_max=threshold, utilization_caution=threshold / 2)
    for finding in judge(Proposal(amount, allocated), Standing(size, allocated, 0), rules).findings:
        is_too_little = finding.code is RuleCode.ALLOCATION_TOO_SMALL
        assert finding.actual < finding.threshold if is_too_little else finding.actual > finding.threshold


@pytest.mark.parametrize(
    ("proposal", "allocated", "threshold", "told"),
    [
        (Proposal(10**10), 85 * 10**9 + 1, "0.95", "0.950001"),
        (Proposal(10**10), 85 * 10**9 + 60_000, "0.95", "0.950001"),
        (Proposal(10**10), 85 * 10**9 + 160_000, "0.95", "0.950002"),
        (Proposal(10**10), 70 * 10**9 + 1, "0.80", "0.800001"),
        (Proposal(15 * 10**9 + 1, 10**10), 0, "0.50", "0.500001"),
    ],
)
def test_a_share_barely_above_its_threshold_is_not_told_as_the_threshold(
    proposal: Proposal, allocated: int, threshold: str, told: str
) -> None:
    rules = replace(
        DEFAULT_BUSINESS_RULES,
        allocation_max_cents=10**18,
        deal_total_caution_cents=10**18,
        approval_above_cents=10**18,
    )
    [finding, *_] = judge(proposal, Standing(10**11, allocated, 0), rules).findings
    assert (finding.threshold, str(finding.actual)) == (Decimal(threshold), told)
    assert told in finding.message


def test_percentages_are_rounded_to_the_cent_halves_up() -> None:
    assert share_of(1, Decimal("0.5")) == 1
    assert share_of(3, Decimal("0.5")) == 2
    assert share_of(5, Decimal("0.1")) == 1
    assert share_of(100_000_000_001, Decimal("0.333333")) == 33_333_300_000
    assert share_of(2**63 - 1, Decimal(1)) == 2**63 - 1
    with pytest.raises(Refused):
        share_of(2**63 - 1, Decimal("1.1"))


@given(size=cents, places=st.integers(1, 10**6))
def test_percentage_is_never_off_by_more_than_half_a_cent(size: int, places: int) -> None:
    amount = share_of(size, Decimal(places) / 10**6)
    assert -(10**6) < 2 * (amount * 10**6 - size * places) <= 10**6


def test_defaults_are_those_of_the_domain() -> None:
    assert {name: str(getattr(DEFAULT_BUSINESS_RULES, name)) for name in NAMES} == {
        "allocation_min_cents": "100000",
        "allocation_max_cents": "5000000000",
        "deal_total_caution_cents": "1000000000",
        "approval_above_cents": "500000000",
        "utilization_max": "0.95",
        "utilization_caution": "0.80",
        "increase_caution": "0.50",
        "concentration_max": "0.30",
        "fund_size_share_max": "0.50",
    }
    assert list(check_rules(DEFAULT_BUSINESS_RULES)) == []


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"allocation_min_cents": 0}, "allocation_min_cents"),
        ({"allocation_min_cents": 5_000_000_001}, "allocation_min_cents"),
        ({"allocation_max_cents": 10**18 + 1}, "allocation_max_cents"),
        ({"deal_total_caution_cents": 0}, "deal_total_caution_cents"),
        ({"approval_above_cents": -1}, "approval_above_cents"),
        ({"utilization_max": Decimal("10.000001")}, "utilization_max"),
        ({"utilization_max": Decimal("0.79")}, "utilization_caution"),
        ({"utilization_caution": Decimal(0)}, "utilization_caution"),
        ({"increase_caution": Decimal(1001)}, "increase_caution"),
        ({"increase_caution": Decimal("0.0000001")}, "increase_caution"),
        ({"concentration_max": Decimal("1.1")}, "concentration_max"),
        ({"fund_size_share_max": Decimal(-1)}, "fund_size_share_max"),
    ],
)
def test_rules_have_bounds(changes: dict[str, object], field: str) -> None:
    problems = check_rules(replace(DEFAULT_BUSINESS_RULES, **changes))  # type: ignore[arg-type]
    assert [problem.field for problem in problems] == [(field,)]
    assert problems[0].expected
    assert problems[0].actual
