"""The metrics of a snapshot, as they are stored."""

import json
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.domain.forecasts import Source, companies_hash, lots_hash, metrics
from api.domain.moic import Position, Purchased
from api.domain.money import CENTS_MAX
from api.errors import ErrorCode, Refused


def source(company_id: int, *, deployed: int = 0, lots: int = 0, status: str = "ACTIVE", **figures: Any) -> Source:
    position = Position(is_active=status == "ACTIVE", **figures)
    return Source(company_id, f"Company {company_id}", status, position, deployed, lots)


def found_in(*companies: Source) -> Any:
    """The metrics as they come out of the database."""
    return json.loads(json.dumps(metrics("USD", companies)))


def test_metrics_of_two_companies() -> None:
    one = source(
        7,
        deployed=10,
        lots=2,
        invested_cents=100,
        current_valuation_cents=300,
        realized_cents=50,
        planned_reserves_cents=40,
        exit_moic=Decimal("3.5"),
        exit_probability=Decimal("0.5"),
        initial=Purchased(Decimal(10), Decimal(100)),
        shares=Decimal(10),
    )
    other = source(9, status="EXITED", invested_cents=100, current_valuation_cents=100, realized_cents=250)
    found = found_in(one, other)
    assert found.pop("companies") == [
        {
            "companyId": 7,
            "name": "Company 7",
            "status": "ACTIVE",
            "lotCount": 2,
            "investedCents": "100",
            "currentValuationCents": "300",
            "realizedCents": "50",
            "moic": {
                "current": "3.5",
                "onInitial": "3",
                "onFollowOn": None,
                "onFollowOnReason": "NO_LOTS",
                "exit": "3.5",
                "exitOnPlannedReserves": "1.75",
            },
            "reserves": {
                "plannedCents": "40",
                "deployedCents": "10",
                "remainingCents": "30",
                "utilization": "0.25",
            },
            "reserveRank": 1,
            "valuationShare": "0.75",
            "plannedReservesShare": "1",
        },
        {
            "companyId": 9,
            "name": "Company 9",
            "status": "EXITED",
            "lotCount": 0,
            "investedCents": "100",
            "currentValuationCents": "100",
            "realizedCents": "250",
            "moic": {
                "current": "3.5",
                "onInitial": None,
                "onInitialReason": "NO_LOTS",
                "onFollowOn": None,
                "onFollowOnReason": "NO_LOTS",
                "exit": None,
                "exitReason": "NO_EXIT_MOIC",
                "exitOnPlannedReserves": None,
                "exitOnPlannedReservesReason": "NO_EXIT_MOIC",
            },
            "reserves": {
                "plannedCents": "0",
                "deployedCents": "0",
                "remainingCents": "0",
                "utilization": None,
                "utilizationReason": "NOTHING_PLANNED",
            },
            "reserveRank": None,
            "valuationShare": "0.25",
            "plannedReservesShare": "0",
        },
    ]
    assert found.pop("moic")["current"] == "3.5"
    assert found == {
        "format": 1,
        "copiedFrom": None,
        "currency": "USD",
        "totals": {
            "companyCount": 2,
            "activeCompanyCount": 1,
            "lotCount": 2,
            "investedCents": "200",
            "currentValuationCents": "400",
            "realizedCents": "300",
        },
        "reserves": {
            "plannedCents": "40",
            "deployedCents": "10",
            "remainingCents": "30",
            "utilization": "0.25",
        },
        "concentration": {
            "currentValuation": {
                "largest": [
                    {"companyId": 7, "name": "Company 7", "share": "0.75"},
                    {"companyId": 9, "name": "Company 9", "share": "0.25"},
                ],
                "largestShare": "1",
                "herfindahl": "0.625",
            },
            "plannedReserves": {
                "largest": [{"companyId": 7, "name": "Company 7", "share": "1"}],
                "largestShare": "1",
                "herfindahl": "1",
            },
        },
        "ranking": [{"rank": 1, "companyId": 7}],
    }


def test_fund_without_companies_has_metrics_with_reasons() -> None:
    found = found_in()
    assert found["concentration"]["currentValuation"] == {
        "largest": [],
        "largestShare": None,
        "herfindahl": None,
        "reason": "NOTHING_HELD",
    }
    assert found["concentration"]["plannedReserves"]["reason"] == "NOTHING_PLANNED"
    assert (found["totals"]["investedCents"], found["companies"], found["ranking"]) == ("0", [], [])


def test_largest_are_five_and_equal_ones_come_by_id() -> None:
    found = found_in(*(source(number, current_valuation_cents=1 + (number == 6)) for number in range(8)))
    largest = found["concentration"]["currentValuation"]
    assert [one["companyId"] for one in largest["largest"]] == [6, 0, 1, 2, 3]
    assert largest["largestShare"] == "0.666667"


@pytest.mark.parametrize("field", ["invested_cents", "current_valuation_cents", "planned_reserves_cents"])
def test_totals_beyond_64_bits_are_refused(field: str) -> None:
    beyond: list[dict[str, Any]] = [{field: CENTS_MAX}, {field: 1}]
    with pytest.raises(Refused) as refused:
        metrics("USD", [source(number, **figures) for number, figures in enumerate(beyond)])
    assert [problem.code for problem in refused.value.problems] == [ErrorCode.LIMIT_EXCEEDED]


@settings(deadline=None)
@given(st.lists(st.integers(0, 9) | st.integers(0, CENTS_MAX // 10), max_size=9))
def test_concentration_is_that_of_exact_fractions(amounts: list[int]) -> None:
    found = found_in(*(source(number, current_valuation_cents=amount) for number, amount in enumerate(amounts)))
    held = sum(amounts)
    concentration = found["concentration"]["currentValuation"]
    if not held:
        assert concentration["herfindahl"] is None
        return
    shares = [Fraction(amount, held) for amount in amounts]
    half = Fraction(1, 2 * 10**6)
    assert abs(Fraction(concentration["herfindahl"]) - sum(share * share for share in shares)) <= half
    assert abs(Fraction(concentration["largestShare"]) - sum(sorted(shares)[-5:])) <= half
    for company, share in zip(found["companies"], shares, strict=True):
        assert abs(Fraction(company["valuationShare"]) - share) <= half


def test_hashes_differ_in_every_part() -> None:
    for half, parts in ((companies_hash, [1, "USD", 2, 3]), (lots_hash, [4, 5])):
        digests = {half(*parts)}
        for index in range(len(parts)):
            digests.add(half(*(*parts[:index], "11", *parts[index + 1 :])))
        assert len(digests) == len(parts) + 1
        assert {len(digest) for digest in digests} == {16}
