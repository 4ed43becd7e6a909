"""Previewing and committing reallocations through GraphQL."""

import pytest

from api.domain.access import Role
from tests.server import RunningServer
from tests.services.fund_client import COMMIT, CREATE_COMPANY, CREATE_FUND, Fund, codes, proposal


@pytest.fixture
async def fund(server: RunningServer) -> Fund:
    return await Fund(server).create()


async def test_preview_shows_the_plan_and_writes_nothing(fund: Fund) -> None:
    before = await fund.written()
    payload = await fund.preview(proposal(fund.a, 1500), proposal(fund.b, 400), role=Role.VIEWER)
    assert payload["userErrors"] == []
    assert payload["preview"]["isValid"] is True
    assert payload["preview"]["baselineVersion"] == "3"
    assert payload["preview"]["totals"] == {
        "beforeCents": "1500",
        "afterCents": "1900",
        "deltaCents": "400",
        "deltaRatio": "0.266667",
    }
    assert payload["preview"]["deltas"] == [
        {"company": {"id": fund.a}, "fromCents": "1000", "toCents": "1500", "deltaCents": "500", "deltaRatio": "0.5", "status": "INCREASED"},  # noqa: E501
        {"company": {"id": fund.b}, "fromCents": "500", "toCents": "400", "deltaCents": "-100", "deltaRatio": "-0.2", "status": "DECREASED"},  # noqa: E501
    ]  # fmt: skip
    assert payload["preview"]["issues"] == [
        {"code": "HIGH_CONCENTRATION", "severity": "WARNING", "scope": "COMPANY", "company": {"id": fund.a}, "proposalIndex": None, "threshold": "0.3", "actual": "0.789474"}  # noqa: E501
    ]  # fmt: skip
    assert await fund.written() == before


async def test_preview_reports_errors_as_issues(fund: Fund) -> None:
    payload = await fund.preview(proposal(fund.a, 11, cap=10), proposal("nonsense", 1), version=2)
    assert payload["userErrors"] == []
    assert payload["preview"]["isValid"] is False
    assert [(issue["code"], issue["threshold"], issue["actual"]) for issue in payload["preview"]["issues"][:3]] == [
        ("VERSION_CONFLICT", "2", "3"),
        ("CAP_EXCEEDED", "10", "11"),
        ("COMPANY_NOT_FOUND", None, None),
    ]


@pytest.mark.parametrize("count", [0, 1001])
async def test_none_or_too_many_proposals_are_refused(fund: Fund, count: int) -> None:
    proposals = [proposal(fund.a, 1)] * count
    for payload in (await fund.preview(*proposals), await fund.commit(*proposals)):
        assert payload["userErrors"][0] | {"index": None} == {
            "code": "INVALID_INPUT",
            "field": ["proposals"],
            "index": None,
            "expected": "1 to 1000",
            "actual": str(count),
        }


async def test_companies_of_another_fund_or_organization_are_not_found(fund: Fund) -> None:
    other = await Fund(fund.server).made(CREATE_FUND, "fund", name="Other")
    stranger = await fund.made(CREATE_COMPANY, "company", fundId=other, name="C")
    assert codes(await fund.commit(proposal(stranger, 1))) == ["COMPANY_NOT_FOUND"]
    values = {"fundId": fund.fund_id, "expectedVersion": 3, "proposals": [proposal(fund.a, 1)]}
    answer = await fund.server.execute(COMMIT, {"input": values}, organization="beta")
    assert codes(answer.data["commitReallocation"]) == ["NOT_FOUND"]


async def test_commit_carries_out_what_preview_showed(fund: Fund) -> None:
    proposals = [proposal(fund.a, 1500, cap=2000), proposal(fund.b, 400)]
    preview = (await fund.preview(*proposals))["preview"]
    payload = await fund.commit(*proposals, reason="Follow-on")
    assert payload["preview"] == preview
    assert payload["fund"] == {"allocationVersion": "4"}
    assert payload["reallocation"] | {"id": None} == {
        "id": None,
        "baselineVersion": "3",
        "newVersion": "4",
        "reason": "Follow-on",
        "changes": [
            {
                "company": {"id": fund.a},
                "companyName": "A",
                "fromCents": "1000",
                "toCents": "1500",
                "deltaCents": "500",
            },
            {"company": {"id": fund.b}, "companyName": "B", "fromCents": "500", "toCents": "400", "deltaCents": "-100"},
        ],
    }
    row = await fund.server.owner.fetchrow("SELECT * FROM portfolio_companies WHERE name = 'A'")
    assert (row["planned_reserves_cents"], row["allocation_cap_cents"], row["version"]) == (1500, 2000, 2)
    assert (row["allocation_reason"], row["allocation_count"]) == ("Follow-on", 1)
    assert row["last_allocation_at"] is not None


async def test_audit_event_of_a_commit_tells_a_changed_cap(fund: Fund) -> None:
    await fund.commit(proposal(fund.a, 1000, cap=2000))
    body = await fund.server.owner.fetchval(
        "SELECT body::jsonb -> 'after' -> 'changes' FROM audit_events ORDER BY id DESC LIMIT 1"
    )
    assert '"cap_from_cents": null' in body
    assert '"cap_to_cents": 2000' in body


async def test_commit_of_one_company_and_then_of_another_succeeds(fund: Fund) -> None:
    assert codes(await fund.commit(proposal(fund.a, 1001), version=3)) == []
    assert codes(await fund.commit(proposal(fund.b, 501), version=4)) == []
    assert await fund.planned() == [1001, 501]


@pytest.mark.parametrize("version", [2, 4])
async def test_commit_refuses_a_stale_version_and_writes_nothing(fund: Fund, version: int) -> None:
    before = await fund.written()
    payload = await fund.commit(proposal(fund.a, 1001), version=version, idempotencyKey="k")
    assert payload["reallocation"] is None
    (error,) = payload["userErrors"]
    assert (error["code"], error["field"], error["expected"], error["actual"]) == (
        "VERSION_CONFLICT",
        ["expectedVersion"],
        str(version),
        "3",
    )
    assert await fund.written() == before


async def test_blocked_commit_tells_where_and_writes_nothing(fund: Fund) -> None:
    before = await fund.written()
    payload = await fund.commit(
        proposal(fund.a, 11, cap=10), proposal(fund.b, -1), proposal(fund.a, 1), idempotencyKey="k"
    )
    assert payload["userErrors"] == [
        {"code": "CAP_EXCEEDED", "field": ["proposals", "0", "plannedReservesCents"], "index": 0, "expected": "10", "actual": "11"},  # noqa: E501
        {"code": "NEGATIVE_AMOUNT", "field": ["proposals", "1", "plannedReservesCents"], "index": 1, "expected": "0", "actual": "-1"},  # noqa: E501
        {"code": "DUPLICATE_COMPANY", "field": ["proposals", "2", "companyId"], "index": 2, "expected": None, "actual": None},  # noqa: E501
    ]  # fmt: skip
    assert await fund.written() == before


async def test_negative_cap_names_the_cap(fund: Fund) -> None:
    (error,) = (await fund.commit(proposal(fund.a, 0, cap=-5)))["userErrors"]
    assert (error["code"], error["field"]) == ("NEGATIVE_AMOUNT", ["proposals", "0", "allocationCapCents"])


async def test_total_beyond_64_bits_is_refused(fund: Fund) -> None:
    proposals = [proposal(fund.a, 2**63 - 1), proposal(fund.b, 1)]
    assert codes(await fund.preview(*proposals)) == ["LIMIT_EXCEEDED"]
    assert codes(await fund.commit(*proposals)) == ["LIMIT_EXCEEDED"]


async def test_reason_is_at_most_a_thousand_characters(fund: Fund) -> None:
    (error,) = (await fund.commit(proposal(fund.a, 1), reason="é" * 1001))["userErrors"]
    assert (error["code"], error["field"], error["expected"], error["actual"]) == (
        "INVALID_INPUT",
        ["reason"],
        "1000",
        "1001",
    )
    assert codes(await fund.commit(proposal(fund.a, 1), reason="é" * 1000)) == []


async def test_commit_that_changes_nothing_is_refused(fund: Fund) -> None:
    before = await fund.written()
    (error,) = (await fund.commit(proposal(fund.a, 1000), proposal(fund.b, 500)))["userErrors"]
    assert (error["code"], error["field"]) == ("INVALID_INPUT", ["proposals"])
    assert await fund.written() == before


async def test_replay_of_a_commit_shows_the_committed_preview(fund: Fund) -> None:
    proposals = [proposal(fund.a, 1500, cap=2000), proposal(fund.b, 0)]
    first = await fund.commit(*proposals, idempotencyKey="k")
    assert codes(await fund.commit(proposal(fund.a, 1), version=4)) == []
    before = await fund.written()
    again = await fund.commit(*proposals, idempotencyKey="k")
    assert again == first | {"replayed": True, "fund": {"allocationVersion": "5"}}
    assert await fund.written() == before


async def test_key_with_another_input_is_refused(fund: Fund) -> None:
    assert codes(await fund.commit(proposal(fund.a, 1500), idempotencyKey="k")) == []
    before = await fund.written()
    assert codes(await fund.commit(proposal(fund.a, 1501), idempotencyKey="k")) == ["IDEMPOTENCY_KEY_REUSED"]
    assert await fund.written() == before
    other = await Fund(fund.server).made(CREATE_FUND, "fund", name="Other")
    fund.fund_id, fund.a = other, await fund.made(CREATE_COMPANY, "company", fundId=other, name="C")
    assert codes(await fund.commit(proposal(fund.a, 1501), version=2, idempotencyKey="k")) == []
