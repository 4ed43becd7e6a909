"""Business rules: read by anyone, changed by administrators under a version, and in force at once everywhere."""

import asyncio
from contextlib import AsyncExitStack
from copy import copy
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from strawberry.utils.str_converters import to_camel_case

from api.domain.access import Role
from api.domain.business_rules import DEFAULT_BUSINESS_RULES, NAMES
from api.graphql.business_rules import UpdateBusinessRulesInput
from tests.processes import free_port, serving
from tests.server import RunningServer
from tests.services.deal_client import Deals, codes, errors, warned
from tests.services.fund_client import Fund, proposal

QUERY = """
{ organization {
  businessRules { version allocationMinCents utilizationMax changedBy { email } changedAt }
  businessRuleChanges { version allocationMinCents utilizationMax changedBy { email } }
} }
"""
DEFAULTS = {
    "version": "1",
    "allocationMinCents": "100000",
    "utilizationMax": "0.95",
    "changedBy": None,
    "changedAt": None,
}


@pytest.fixture
async def deals(server: RunningServer) -> Deals:
    return await Deals(server).create()


async def shown(deals: Deals, organization: str = "alpha") -> Any:
    """The organization's rules and their changes, as a viewer reads them."""
    return (await deals.server.execute(QUERY, role=Role.VIEWER, organization=organization)).data["organization"]


async def test_defaults_hold_until_an_administrator_changes_them(deals: Deals) -> None:
    assert await shown(deals) == {"businessRules": DEFAULTS, "businessRuleChanges": []}
    first = await deals.set_rules(allocationMinCents="200000")
    assert (first["businessRules"]["version"], first["businessRules"]["changedBy"]) == (
        "2",
        {"email": "admin@alpha.example"},
    )
    await deals.set_rules(utilizationMax="0.9", token=deals.other_admin)
    now = await shown(deals)
    assert now["businessRules"]["changedAt"]
    assert now["businessRuleChanges"] == [
        {
            "version": "3",
            "allocationMinCents": "200000",
            "utilizationMax": "0.9",
            "changedBy": {"email": "other@alpha.example"},
        },
        {
            "version": "2",
            "allocationMinCents": "200000",
            "utilizationMax": "0.95",
            "changedBy": {"email": "admin@alpha.example"},
        },
    ]
    assert (await shown(deals, "beta"))["businessRules"] == DEFAULTS
    logged = await deals.server.owner.fetchval(
        "SELECT body::jsonb - 'actor' - 'requestId' FROM audit_events WHERE action = 'business_rules.updated'"
        " ORDER BY sequence LIMIT 1"
    )
    assert '"before": {"allocation_min_cents": 100000}' in logged
    assert '"after": {"version": 2, "allocation_min_cents": 200000}' in logged


async def test_bad_thresholds_are_refused_by_field_and_nothing_changes(deals: Deals) -> None:
    before = await deals.written()
    for values, expected in (
        ({"expectedVersion": "2", "allocationMinCents": "1"}, ("VERSION_CONFLICT", "expectedVersion")),
        ({"utilizationMax": "0.5"}, ("INVALID_INPUT", "utilizationCaution")),
        ({"allocationMaxCents": "99999"}, ("INVALID_INPUT", "allocationMinCents")),
        ({"concentrationMax": "1.01"}, ("INVALID_INPUT", "concentrationMax")),
        ({"increaseCaution": None}, ("INVALID_INPUT", "increaseCaution")),
        ({"approvalAboveCents": "500000000"}, ("INVALID_INPUT", "expectedVersion")),
    ):
        assert errors(await deals.set_rules(**values)) == [expected]
    assert await deals.written() == before
    editor = await deals.answer("updateBusinessRules", expectedVersion="1", allocationMinCents="1")
    assert editor.codes == ["FORBIDDEN"]


async def test_of_ten_changes_at_one_version_one_holds(deals: Deals) -> None:
    answers = await asyncio.gather(
        *(
            deals.write("updateBusinessRules", role=Role.ADMIN, expectedVersion="1", allocationMinCents=str(1 + number))
            for number in range(10)
        )
    )
    refused = [codes(answer) for answer in answers]
    assert sorted(refused) == [[]] + [["VERSION_CONFLICT"]] * 9
    assert (await shown(deals))["businessRules"]["allocationMinCents"] == str(1 + refused.index([]))


DEFAULT_TEXTS = {to_camel_case(name): str(getattr(DEFAULT_BUSINESS_RULES, name)) for name in NAMES}
CHANGES: list[tuple[dict[str, str], list[str], list[str]]] = [
    ({"allocationMinCents": "250001"}, [], ["ALLOCATION_TOO_SMALL"]),
    ({"allocationMaxCents": "249999"}, [], ["ALLOCATION_TOO_LARGE"]),
    ({"dealTotalCautionCents": "249999"}, [], ["DEAL_TOTAL_HIGH"]),
    ({"approvalAboveCents": "249999"}, [], ["APPROVAL_REQUIRED"]),
    ({"utilizationCaution": "0.000024"}, [], ["UTILIZATION_HIGH"]),
    ({"utilizationMax": "0.000024", "utilizationCaution": "0.000001"}, [], ["UTILIZATION_EXCEEDED"]),
    ({"increaseCaution": "0.09"}, [], ["INCREASE_LARGE"]),
    ({"concentrationMax": "0.5"}, ["HIGH_CONCENTRATION"] * 2, ["HIGH_CONCENTRATION"]),
    ({"fundSizeShareMax": "0"}, ["HIGH_CONCENTRATION"] * 2, ["HIGH_CONCENTRATION"] * 2 + ["UNREALISTIC_MOIC"] * 3),
]
"""By change: what is found of the same before and after it."""


async def found(server: RunningServer, deals: Deals, fund: Fund, change: dict[str, str]) -> list[str]:
    """What this server finds where the thresholds of a change matter."""
    there, plan = copy(deals), copy(fund)
    there.server = plan.server = server
    if "increaseCaution" in change:
        query = "query ($id: ID!) { fund(id: $id) { allocations { nodes { id version } } } }"
        answer = await server.execute(query, {"id": deals.fund_id})
        (allocation,) = answer.data["fund"]["allocations"]["nodes"]
        raised = await there.change("updateDealAllocation", allocation, amountCents="110000")
        await there.change("updateDealAllocation", raised["allocation"], amountCents="100000")
        return warned(raised)
    if change.keys() & {"concentrationMax", "fundSizeShareMax"}:
        previewed = await plan.preview(proposal(fund.a, 1000))
        return [issue["code"] for issue in previewed["preview"]["issues"]]
    asked = await there.validate(amountCents="250000", dealId=await there.deal())
    return [finding["code"] for finding in (*asked["errors"], *asked["warnings"])]


async def test_change_of_each_rule_shows_in_the_next_request_of_another_process(
    deals: Deals, state_directory: Path
) -> None:
    fund = await Fund(deals.server).create()
    assert warned(await deals.allocate(100_000)) == []
    tested = {name for change, _, _ in CHANGES for name in change}
    assert tested == {to_camel_case(field.name) for field in fields(UpdateBusinessRulesInput)} - {"expectedVersion"}
    ports = [free_port(), free_port()]
    async with AsyncExitStack() as stack:
        servers = []
        for port in ports:
            await stack.enter_async_context(serving(deals.server.database_url, state_directory, port))
            client = await stack.enter_async_context(httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60))
            servers.append(replace(deals.server, client=client))
        deals.server = servers[0]
        for change, before, after in CHANGES:
            assert await found(servers[1], deals, fund, change) == before, change
            assert codes(await deals.set_rules(**change)) == []
            assert await found(servers[1], deals, fund, change) == after, change
            defaults = {name: DEFAULT_TEXTS[name] for name in change}
            assert codes(await deals.set_rules(**defaults)) == []
            assert await found(servers[1], deals, fund, change) == before, change
