"""Deals, and allocations to them: created, changed, deleted."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.contracts.two_organizations import call
from tests.server import RunningServer
from tests.services.deal_client import Deals, errors, warned

TODAY = datetime.now(UTC).date()


@pytest.fixture
async def deals(server: RunningServer) -> Deals:
    return await Deals(server).create()


async def stage(deals: Deals) -> str:
    """The deal's stage."""
    query = "query ($id: ID!) { deal(id: $id) { stage } }"
    shown: str = (await deals.server.execute(query, {"id": deals.deal_id})).data["deal"]["stage"]
    return shown


async def test_deal_begins_in_initial_review_and_is_changed_against_its_version(deals: Deals) -> None:
    made = await deals.write("createDeal", name="New", idempotencyKey="one")
    again = await deals.write("createDeal", name="New", idempotencyKey="one")
    deal = {"name": "New", "sector": None, "stage": "INITIAL_REVIEW", "valuationCents": None, "version": "1"}
    assert made["deal"] == deal | {"id": made["deal"]["id"]}
    assert again == made | {"replayed": True}
    named = {"id": made["deal"]["id"], "expectedVersion": "1"}
    changed = await deals.write("updateDeal", **named, stage="CLOSING", valuationCents="5", sector="Software")
    assert (changed["deal"]["stage"], changed["deal"]["valuationCents"], changed["deal"]["version"]) == (
        "CLOSING",
        "5",
        "2",
    )
    assert errors(await deals.write("updateDeal", **named, name="x")) == [("VERSION_CONFLICT", "expectedVersion")]


BAD_DEALS: list[tuple[dict[str, Any], tuple[str, str]]] = [
    ({"name": " "}, ("INVALID_INPUT", "name")),
    ({"name": "x", "sector": "x" * 201}, ("INVALID_INPUT", "sector")),
    ({"name": "x", "valuationCents": "-1"}, ("NEGATIVE_AMOUNT", "valuationCents")),
]


async def test_bad_deal_is_refused(deals: Deals) -> None:
    before = await deals.written()
    for values, expected in BAD_DEALS:
        assert errors(await deals.write("createDeal", **values)) == [expected]
    cleared = await deals.write("updateDeal", id=deals.deal_id, expectedVersion="1", stage=None)
    assert errors(cleared) == [("INVALID_INPUT", "stage")]
    assert await deals.written() == before


async def test_fund_deal_amount_and_security_type_are_complete(deals: Deals) -> None:
    made = await deals.allocate(1_000_000)
    assert warned(made) == []
    assert made["allocation"] | {"id": ""} == {
        "id": "",
        "fund": {"id": deals.fund_id},
        "deal": {"id": deals.deal_id, "stage": "INITIAL_REVIEW"},
        "amountCents": "1000000",
        "percentage": None,
        "securityType": "EQUITY",
        "status": "COMMITTED",
        "allocatedOn": str(TODAY),
        "notes": None,
        "author": {"email": "editor@alpha.example"},
        "approval": None,
        "calledCents": "0",
        "paidCents": "0",
        "uncalledCents": "1000000",
        "unpaidCents": "0",
        "version": "1",
    }


async def test_percentage_becomes_an_amount_and_stays_one(deals: Deals) -> None:
    fund_id = await deals.fund("Odd", sizeCents="1000000001")
    made = await deals.allocate(None, fundId=fund_id, percentage="0.0005")
    # 500,000.0005 cents.
    assert (made["allocation"]["amountCents"], made["allocation"]["percentage"]) == ("500000", "0.0005")
    half = await deals.allocate(None, fundId=fund_id, percentage="0.5", dealId=await deals.deal("Half"))
    # 500,000,000.5 cents, halves up, are above the threshold of an approval by one.
    assert (half["allocation"]["amountCents"], half["allocation"]["status"]) == ("500000001", "PENDING_APPROVAL")
    await deals.write("updateFund", id=fund_id, expectedVersion="1", sizeCents="5")
    unchanged = await deals.change("updateDealAllocation", made["allocation"], notes="x")
    assert (unchanged["allocation"]["amountCents"], unchanged["allocation"]["percentage"]) == ("500000", "0.0005")
    by_amount = await deals.change("updateDealAllocation", unchanged["allocation"], amountCents="400000")
    assert (by_amount["allocation"]["amountCents"], by_amount["allocation"]["percentage"]) == ("400000", None)


BAD_ALLOCATIONS: list[tuple[dict[str, Any], tuple[str, str]]] = [
    ({"amountCents": "-1"}, ("NEGATIVE_AMOUNT", "amountCents")),
    ({"amountCents": "99999"}, ("INVALID_INPUT", "amountCents")),
    ({"amountCents": "5000000001"}, ("INVALID_INPUT", "amountCents")),
    ({}, ("INVALID_INPUT", "amountCents")),
    ({"amountCents": "100000", "percentage": "0.1"}, ("INVALID_INPUT", "amountCents")),
    ({"percentage": "0"}, ("INVALID_INPUT", "percentage")),
    ({"percentage": "1.1"}, ("INVALID_INPUT", "percentage")),
    ({"percentage": "0.0000001"}, ("INVALID_INPUT", "percentage")),
    ({"percentage": "0.000009"}, ("INVALID_INPUT", "percentage")),
    ({"amountCents": "100000", "notes": "x" * 1001}, ("INVALID_INPUT", "notes")),
    ({"amountCents": "100000", "allocatedOn": str(TODAY + timedelta(days=367))}, ("INVALID_INPUT", "allocatedOn")),
    ({"amountCents": "100000", "fundId": "x"}, ("NOT_FOUND", "fundId")),
    ({"amountCents": "100000", "dealId": "x"}, ("NOT_FOUND", "dealId")),
]


async def test_bad_allocation_is_refused_and_nothing_written(deals: Deals) -> None:
    before = await deals.written()
    for values, expected in BAD_ALLOCATIONS:
        assert errors(await deals.allocate(None, **values, idempotencyKey="one")) == [expected]
        asked = await deals.validate(**values)
        assert asked["isValid"] is False
        assert asked["errors"] or [(one["code"], *one["field"]) for one in asked["userErrors"]] == [expected]
    assert await deals.written() == before


async def test_percentage_of_an_unknown_size_is_refused_and_rules_on_size_are_skipped(deals: Deals) -> None:
    unknown = await deals.fund("Unknown", sizeCents=None)
    assert errors(await deals.allocate(None, fundId=unknown, percentage="0.1")) == [("INVALID_INPUT", "percentage")]
    assert warned(await deals.allocate(500_000_000, fundId=unknown)) == []


async def test_fund_has_one_live_allocation_to_a_deal(deals: Deals) -> None:
    first = await deals.allocate(600_000_000)
    assert errors(await deals.allocate()) == [("ALREADY_EXISTS", "dealId")]
    await deals.change("rejectDealAllocation", first["allocation"], token=deals.other_admin)
    second = await deals.allocate()
    assert warned(second) == []
    await deals.change("changeDealAllocationStatus", second["allocation"], status="WRITTEN_OFF")
    assert errors(await deals.allocate()) == [("ALREADY_EXISTS", "dealId")]


async def test_replay_shows_the_warnings_of_the_first_time(deals: Deals) -> None:
    first = await deals.allocate(600_000_000, idempotencyKey="one")
    assert warned(first) == ["APPROVAL_REQUIRED"]
    await deals.set_rules(approvalAboveCents="900000000")
    assert await deals.allocate(600_000_000, idempotencyKey="one") == first | {"replayed": True}
    assert errors(await deals.allocate(7, idempotencyKey="one")) == [("IDEMPOTENCY_KEY_REUSED", "idempotencyKey")]
    await deals.change("deleteDealAllocation", first["allocation"])
    gone = await deals.allocate(600_000_000, idempotencyKey="one")
    assert (gone["allocation"], gone["replayed"]) == (None, True)


@pytest.mark.parametrize("closed", ["CLOSED", "REJECTED"])
async def test_deal_that_is_over_takes_nothing_more(deals: Deals, closed: str) -> None:
    made = await deals.allocate(1_000_000)
    await deals.write("updateDeal", id=deals.deal_id, expectedVersion="1", stage=closed)
    other = await deals.fund("Other")
    assert errors(await deals.allocate(fundId=other)) == [("INVALID_TRANSITION", "dealId")]
    assert (await deals.validate(fundId=other, amountCents="100000"))["userErrors"] == [
        {"code": "INVALID_TRANSITION", "field": ["dealId"]}
    ]
    raised = await deals.change("updateDealAllocation", made["allocation"], amountCents="1000001")
    assert errors(raised) == [("INVALID_TRANSITION", "amountCents")]
    assert warned(await deals.change("updateDealAllocation", made["allocation"], amountCents="999999")) == []


async def test_closed_fund_takes_nothing_more_and_goes_on_with_what_it_has(deals: Deals) -> None:
    made, waiting = await deals.allocate(1_000_000), await deals.allocate(600_000_000, dealId=await deals.deal("Big"))
    await deals.write("updateFund", id=deals.fund_id, expectedVersion="1", status="CLOSED")
    other = await deals.deal("Other")
    assert errors(await deals.allocate(dealId=other)) == [("INVALID_TRANSITION", "fundId")]
    assert (await deals.validate(dealId=other, amountCents="100000"))["userErrors"] == [
        {"code": "INVALID_TRANSITION", "field": ["fundId"]}
    ]
    approved = await deals.change("approveDealAllocation", waiting["allocation"], token=deals.other_admin)
    assert errors(approved) == [("INVALID_TRANSITION", "id")]
    raised = await deals.change("updateDealAllocation", made["allocation"], amountCents="1000001")
    assert errors(raised) == [("INVALID_TRANSITION", "amountCents")]
    assert warned(await deals.change("updateDealAllocation", made["allocation"], amountCents="999999")) == []
    called = await call(
        deals.server, "alpha", "createCapitalCall", allocationId=made["allocation"]["id"], amountCents="9"
    )
    await call(
        deals.server, "alpha", "recordCapitalCallPayment", capitalCallId=called["capitalCall"]["id"], amountCents="9"
    )
    await deals.write("updateFund", id=deals.fund_id, expectedVersion="2", status="ACTIVE")
    assert warned(await deals.allocate(dealId=other)) == []


async def test_allocations_of_a_fund_stay_where_their_total_can_be_shown(deals: Deals) -> None:
    most, left = 10**18, 2**63 - 1 - 9 * 10**18
    await deals.set_rules(allocationMaxCents=str(most), approvalAboveCents=str(most))
    unknown = await deals.fund("Unknown", sizeCents=None)
    for number in range(9):
        made = await deals.allocate(most, fundId=unknown, dealId=await deals.deal(f"Deal {number}"))
        assert warned(made) == ["DEAL_TOTAL_HIGH"]
    given = {"fundId": unknown, "dealId": await deals.deal("Last")}
    found = (await deals.validate(**given, amountCents=str(left + 1)))["errors"]
    assert found == [{"code": "FUND_TOTAL_TOO_LARGE", "threshold": str(2**63 - 1), "actual": str(2**63)}]
    assert errors(await deals.allocate(left + 1, **given)) == [("INVALID_INPUT", "amountCents")]
    assert warned(await deals.allocate(left, **given)) == ["DEAL_TOTAL_HIGH"]


async def test_what_waits_is_not_committed_to_a_deal_that_is_over(deals: Deals) -> None:
    waiting = (await deals.allocate(600_000_000))["allocation"]
    await deals.write("updateDeal", id=deals.deal_id, expectedVersion="1", stage="REJECTED")
    approved = await deals.change("approveDealAllocation", waiting, token=deals.other_admin)
    assert errors(approved) == [("INVALID_TRANSITION", "id")]
    lowered = await deals.change("updateDealAllocation", waiting, amountCents="500000000")
    assert errors(lowered) == [("INVALID_TRANSITION", "amountCents")]
    rejected = await deals.change("rejectDealAllocation", waiting, token=deals.other_admin)
    assert rejected["allocation"]["status"] == "REJECTED"


async def test_first_allocation_invests_a_deal_that_is_closing(deals: Deals) -> None:
    for before in ("INITIAL_REVIEW", "SCREENING", "DILIGENCE", "IC_REVIEW", "CLOSING", "INVESTED"):
        made = await deals.allocate(dealId=await deals.deal(before, stage=before))
        assert warned(made) == []
        assert made["allocation"]["deal"]["stage"] == ("INVESTED" if before == "CLOSING" else before)


async def test_deal_is_invested_once_something_is_committed(deals: Deals) -> None:
    await deals.write("updateDeal", id=deals.deal_id, expectedVersion="1", stage="CLOSING")
    waiting = await deals.allocate(600_000_000)
    assert await stage(deals) == "CLOSING"
    await deals.change("approveDealAllocation", waiting["allocation"], token=deals.other_admin)
    assert await stage(deals) == "INVESTED"
    assert await deals.events("deal.updated") == 2


async def test_validation_says_what_creating_would_come_to_and_writes_nothing(deals: Deals) -> None:
    before = await deals.written()
    asked = await deals.validate(percentage="0.9")
    assert asked == {
        "isValid": False,
        "requiresApproval": True,
        "amountCents": "9000000000",
        "errors": [{"code": "ALLOCATION_TOO_LARGE", "threshold": "5000000000", "actual": "9000000000"}],
        "warnings": [
            {"code": "UTILIZATION_HIGH", "threshold": "0.8", "actual": "0.9"},
            {"code": "DEAL_TOTAL_HIGH", "threshold": "1000000000", "actual": "9000000000"},
            {"code": "APPROVAL_REQUIRED", "threshold": "500000000", "actual": "9000000000"},
        ],
        "userErrors": [],
    }
    assert (await deals.validate(amountCents="100000"))["isValid"] is True
    assert await deals.written() == before


async def test_deal_total_is_over_all_funds_of_the_currency(deals: Deals) -> None:
    euro = await deals.fund("Euro", currency="EUR")
    assert warned(await deals.allocate(500_000_000, fundId=euro)) == []
    assert warned(await deals.allocate(500_000_000, fundId=await deals.fund("Second"))) == []
    assert warned(await deals.allocate(500_000_000)) == []
    third = await deals.allocate(100_000, fundId=await deals.fund("Third"))
    assert third["warnings"] == [{"code": "DEAL_TOTAL_HIGH", "threshold": "1000000000", "actual": "1000100000"}]


async def test_allocation_with_calls_or_distributions_is_not_deleted(deals: Deals) -> None:
    made = (await deals.allocate())["allocation"]
    await deals.call(made, 100)
    assert errors(await deals.change("deleteDealAllocation", made)) == [("IMMUTABLE", "id")]
    await deals.server.owner.execute("DELETE FROM capital_calls")
    await deals.server.owner.execute(
        "INSERT INTO distributions (organization_id, fund_id, allocation_id, amount_cents, distributed_on,"
        " distribution_type) SELECT organization_id, fund_id, id, 1, now(), 'OTHER' FROM deal_allocations"
    )
    assert errors(await deals.change("deleteDealAllocation", made)) == [("IMMUTABLE", "id")]
    await deals.server.owner.execute("DELETE FROM distributions")
    assert (await deals.change("deleteDealAllocation", made))["deletedId"] == made["id"]
    kept = await deals.server.owner.fetchval(
        "SELECT body::jsonb #>> '{before,amount_cents}' FROM audit_events WHERE action = 'deal_allocation.deleted'"
    )
    assert kept == "1000000"
    assert errors(await deals.change("deleteDealAllocation", made)) == [("NOT_FOUND", "id")]


async def test_sums_follow_the_calls(deals: Deals) -> None:
    made = (await deals.allocate(75_000_000))["allocation"]
    await deals.call(made, 22_500_000, 22_500_000, "PAID")
    await deals.call(made, 10_000_000, 6_000_000, "PARTIALLY_PAID")
    await deals.call(made, 1_000_000, 0, "SCHEDULED")
    sums = "calledCents paidCents uncalledCents unpaidCents"
    query = f"query ($id: ID!) {{ fund(id: $id) {{ allocations {{ nodes {{ {sums} }} }} }} }}"
    shown = (await deals.server.execute(query, {"id": deals.fund_id})).data["fund"]["allocations"]["nodes"]
    assert shown == [
        {"calledCents": "32500000", "paidCents": "28500000", "uncalledCents": "42500000", "unpaidCents": "4000000"}
    ]
