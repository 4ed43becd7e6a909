"""Approving, rejecting, changing amounts and statuses of allocations: who may, from what to what."""

import asyncio
from itertools import product
from typing import Any

import pytest

from api.domain.access import Role
from api.domain.states import ALLOCATION, AllocationStatus
from tests.server import RunningServer
from tests.services.deal_client import ALLOCATION as SHOWN_ALLOCATION
from tests.services.deal_client import Deals, codes, errors, warned

APPROVE, REJECT = "approveDealAllocation", "rejectDealAllocation"
UPDATE, CHANGE_STATUS = "updateDealAllocation", "changeDealAllocationStatus"


@pytest.fixture
async def deals(server: RunningServer) -> Deals:
    return await Deals(server).create()


async def shown(deals: Deals, allocation: Any) -> Any:
    """The allocation as it is now."""
    fields = SHOWN_ALLOCATION.removeprefix("allocation")
    query = f"query ($id: ID!) {{ node(id: $id) {{ ... on DealAllocation {fields} }} }}"
    return (await deals.server.execute(query, {"id": allocation["id"]})).data["node"]


async def test_amount_above_the_threshold_waits_for_somebody_else(deals: Deals) -> None:
    made = await deals.allocate(500_000_001, role=Role.ADMIN)
    assert warned(made) == ["APPROVAL_REQUIRED"]
    waiting = made["allocation"]
    assert (waiting["status"], waiting["approval"]["decision"], waiting["uncalledCents"]) == (
        "PENDING_APPROVAL",
        "PENDING",
        "0",
    )
    own = await deals.change(APPROVE, waiting, role=Role.ADMIN)
    assert errors(own) == [("SELF_APPROVAL", "id")]
    assert errors(await deals.change(REJECT, waiting, role=Role.ADMIN)) == [("SELF_APPROVAL", "id")]
    editor = await deals.answer(APPROVE, id=waiting["id"], expectedVersion="1")
    assert editor.codes == ["FORBIDDEN"]
    approved = (await deals.change(APPROVE, waiting, token=deals.other_admin, reason="Good."))["allocation"]
    assert (approved["status"], approved["version"], approved["uncalledCents"]) == ("COMMITTED", "2", "500000001")
    decision = approved["approval"]
    assert decision.pop("decidedAt")
    assert decision == {"decision": "APPROVED", "decidedBy": {"email": "other@alpha.example"}, "reason": "Good."}
    assert errors(await deals.change(REJECT, approved, token=deals.other_admin)) == [("INVALID_TRANSITION", "id")]


async def test_refused_approvals_are_in_the_log(deals: Deals) -> None:
    waiting = (await deals.allocate(600_000_000, role=Role.ADMIN))["allocation"]
    key_input = {"name": "Program", "role": "ADMIN"}
    create = "mutation ($input: CreateApiKeyInput!) { createApiKey(input: $input) { secret } }"
    key = (await deals.server.execute(create, {"input": key_input}, role=Role.ADMIN)).data["createApiKey"]["secret"]
    await deals.change(APPROVE, waiting, role=Role.ADMIN)
    by_key = await deals.answer(APPROVE, token=key, id=waiting["id"], expectedVersion="1")
    assert by_key.codes == ["FORBIDDEN"]
    rows = await deals.server.owner.fetch(
        "SELECT kind, action, email, subject_type FROM audit_events LEFT JOIN users ON users.id = actor_id"
        " WHERE action LIKE '%.refused' ORDER BY sequence"
    )
    assert [tuple(row) for row in rows] == [
        ("SECURITY", f"{APPROVE}.refused", "admin@alpha.example", "DealAllocation"),
        ("SECURITY", f"{APPROVE}.refused", None, None),
    ]
    assert (await shown(deals, waiting))["version"] == "1"


async def test_nobody_approves_what_their_own_api_key_asks_for(deals: Deals) -> None:
    create = "mutation ($input: CreateApiKeyInput!) { createApiKey(input: $input) { secret } }"
    made = await deals.server.execute(create, {"input": {"name": "Program", "role": "EDITOR"}}, role=Role.ADMIN)
    secret = made.data["createApiKey"]["secret"]
    waiting = (await deals.allocate(600_000_000, token=secret))["allocation"]
    assert waiting["author"] == {"email": "admin@alpha.example"}
    assert errors(await deals.change(APPROVE, waiting, role=Role.ADMIN)) == [("SELF_APPROVAL", "id")]
    raised = (await deals.change(UPDATE, waiting, token=secret, amountCents="600000001"))["allocation"]
    assert errors(await deals.change(APPROVE, raised, role=Role.ADMIN)) == [("SELF_APPROVAL", "id")]
    assert (await deals.change(APPROVE, raised, token=deals.other_admin))["allocation"]["status"] == "COMMITTED"


async def test_waiting_allocation_counts_towards_utilization_and_a_rejected_one_does_not(deals: Deals) -> None:
    fund_id = await deals.fund("Small", sizeCents="1000000000")
    waiting = (await deals.allocate(900_000_000, fundId=fund_id))["allocation"]
    more = {"fundId": fund_id, "dealId": await deals.deal("Second")}
    assert errors(await deals.allocate(100_000_000, **more)) == [("INVALID_INPUT", "amountCents")]
    await deals.change(REJECT, waiting, token=deals.other_admin, reason="No.")
    assert warned(await deals.allocate(100_000_000, **more)) == []
    rejected = await shown(deals, waiting)
    assert (rejected["status"], rejected["approval"]["reason"]) == ("REJECTED", "No.")
    assert errors(await deals.change(UPDATE, rejected, notes="x")) == [("IMMUTABLE", "id")]


async def test_approval_has_to_pass_the_rules_as_they_are_then(deals: Deals) -> None:
    waiting = (await deals.allocate(600_000_000))["allocation"]
    await deals.set_rules(allocationMaxCents="599999999")
    assert errors(await deals.change(APPROVE, waiting, token=deals.other_admin)) == [("INVALID_INPUT", "id")]
    await deals.set_rules(allocationMaxCents="600000000", dealTotalCautionCents="1")
    assert warned(await deals.change(APPROVE, waiting, token=deals.other_admin)) == ["DEAL_TOTAL_HIGH"]


async def test_increase_above_the_threshold_waits_again(deals: Deals) -> None:
    made = (await deals.allocate(400_000_000))["allocation"]
    raised = await deals.change(UPDATE, made, amountCents="600000001", role=Role.ADMIN)
    assert warned(raised) == ["INCREASE_LARGE", "APPROVAL_REQUIRED"]
    waiting = raised["allocation"]
    assert (waiting["status"], waiting["author"]["email"]) == ("PENDING_APPROVAL", "admin@alpha.example")
    # Whoever asked for the new amount does not approve it, whoever made the allocation.
    assert errors(await deals.change(APPROVE, waiting, role=Role.ADMIN)) == [("SELF_APPROVAL", "id")]
    approved = (await deals.change(APPROVE, waiting, token=deals.other_admin))["allocation"]
    lowered = (await deals.change(UPDATE, approved, amountCents="600000000"))["allocation"]
    assert (lowered["status"], lowered["approval"]["decision"]) == ("COMMITTED", "APPROVED")
    again = (await deals.change(UPDATE, lowered, amountCents="600000001"))["allocation"]
    assert (again["status"], again["approval"]["decision"], again["approval"]["decidedBy"]) == (
        "PENDING_APPROVAL",
        "PENDING",
        None,
    )
    withdrawn = (await deals.change(UPDATE, again, amountCents="500000000"))["allocation"]
    assert (withdrawn["status"], withdrawn["approval"]) == ("COMMITTED", None)


async def test_what_is_called_can_neither_wait_again_nor_be_undercut(deals: Deals) -> None:
    made = (await deals.allocate(400_000_000))["allocation"]
    await deals.call(made, 300_000_000, 300_000_000, "PAID")
    before = await deals.written()
    raised = await deals.change(UPDATE, made, amountCents="500000001")
    assert errors(raised) == [("APPROVAL_REQUIRED", "amountCents")]
    assert errors(await deals.change(UPDATE, made, amountCents="299999999")) == [("INVALID_INPUT", "amountCents")]
    assert await deals.written() == before
    funded = (await deals.change(UPDATE, made, amountCents="300000000"))["allocation"]
    assert funded["status"] == "FUNDED"
    more = (await deals.change(UPDATE, funded, amountCents="300000001"))["allocation"]
    assert more["status"] == "PARTIALLY_PAID"


APPROVAL_OF = {"PENDING_APPROVAL": "PENDING", "REJECTED": "REJECTED"}


async def test_statuses_change_as_the_table_says_and_in_no_other_way(deals: Deals) -> None:
    made = (await deals.allocate())["allocation"]
    for before, after in product(AllocationStatus, AllocationStatus):
        version = await deals.server.owner.fetchval(
            "UPDATE deal_allocations SET status = $1, approval = $2, decided_at = now(), decided_by_id ="
            " (SELECT id FROM users WHERE email = 'other@alpha.example') RETURNING version::text",
            before.value,
            APPROVAL_OF.get(before),
        )
        answered = await deals.change(CHANGE_STATUS, made | {"version": version}, status=after.value, reason="So.")
        if not ALLOCATION.allows(before, after):
            assert errors(answered) == [("INVALID_TRANSITION", "status")], (before, after)
        elif before is AllocationStatus.PENDING_APPROVAL:
            assert errors(answered) == [("APPROVAL_REQUIRED", "status")], (before, after)
        else:
            assert answered["allocation"]["status"] == after, (before, after)


async def test_recorded_payments_decide_between_the_paid_statuses(deals: Deals) -> None:
    made = (await deals.allocate(1_000_000))["allocation"]
    await deals.call(made, 400_000, 400_000, "PAID")
    denied = await deals.change(CHANGE_STATUS, made, status="FUNDED")
    assert errors(denied) == [("INVALID_TRANSITION", "status")]
    assert denied["userErrors"][0]["expected"] == "PARTIALLY_PAID"
    partly = (await deals.change(CHANGE_STATUS, made, status="PARTIALLY_PAID"))["allocation"]
    assert (await deals.change(CHANGE_STATUS, partly, status="WRITTEN_OFF"))["allocation"]["status"] == "WRITTEN_OFF"


async def test_two_administrators_deciding_at_once_make_one_decision(deals: Deals) -> None:
    third = await deals.member("third@alpha.example", Role.ADMIN)
    for number in range(8):
        made = await deals.allocate(500_000_001, dealId=await deals.deal(f"Deal {number}"))
        waiting = made["allocation"]
        answers = await asyncio.gather(
            deals.change(APPROVE, waiting, token=deals.other_admin, reason="other"),
            deals.change(REJECT, waiting, token=third, reason="third"),
            deals.change(APPROVE, waiting, role=Role.ADMIN, reason="first"),
        )
        assert sorted(codes(answer) for answer in answers) == [[], ["VERSION_CONFLICT"], ["VERSION_CONFLICT"]]
        (decided,) = [answer["allocation"] for answer in answers if not codes(answer)]
        now = await shown(deals, waiting)
        assert (now["version"], now["approval"]["reason"]) == ("2", decided["approval"]["reason"])
        if now["status"] == "COMMITTED":
            await deals.change(UPDATE, now, amountCents="100000")
    assert await deals.events("deal_allocation.approved", "deal_allocation.rejected") == 8


async def test_allocations_made_at_once_never_pass_the_maximum_together(deals: Deals) -> None:
    fund_id = await deals.fund("Small", sizeCents="1000000000")
    deal_ids = [await deals.deal(f"Deal {number}") for number in range(30)]
    answers = await asyncio.gather(
        *(deals.allocate(100_000_000, fundId=fund_id, dealId=deal_id) for deal_id in deal_ids),
        *(deals.allocate(90_000_000, fundId=fund_id, dealId=deal_id) for deal_id in deal_ids),
    )
    refused = {code for answer in answers for code in codes(answer)}
    assert refused <= {"INVALID_INPUT", "ALREADY_EXISTS"}
    total = await deals.server.owner.fetchval("SELECT sum(amount_cents) FROM deal_allocations")
    # No more than may be, and nothing that would still have fitted was refused.
    assert 950_000_000 - 90_000_000 < total <= 950_000_000
    made = sum(answer["allocation"] is not None for answer in answers)
    assert await deals.server.owner.fetchval("SELECT version FROM fund_metrics_versions") == made
