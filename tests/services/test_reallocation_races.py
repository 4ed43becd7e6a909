"""Commits that race with each other and with other writes to the same companies."""

import asyncio

import pytest

from tests.server import RunningServer
from tests.services.fund_client import Fund, codes, proposal

ROUNDS = 60


@pytest.fixture
async def fund(server: RunningServer) -> Fund:
    return await Fund(server).create()


async def test_of_twenty_commits_at_one_version_exactly_one_succeeds(fund: Fund) -> None:
    before = await fund.written()
    payloads = await asyncio.gather(
        *(fund.commit(proposal(fund.a, 2000 + number), idempotencyKey=f"key {number}") for number in range(20))
    )
    winners = [number for number, payload in enumerate(payloads) if payload["reallocation"]]
    assert len(winners) == 1
    refused = [payload["userErrors"] for payload in payloads if not payload["reallocation"]]
    assert [(e["code"], e["expected"], e["actual"]) for (e,) in refused] == [("VERSION_CONFLICT", "3", "4")] * 19
    assert await fund.planned() == [2000 + winners[0], 500]
    # One event, one row of history, one key, one version of one company and of the fund.
    assert [new - old for new, old in zip(await fund.written(), before, strict=True)] == [1, 1, 1, 1, 1]


async def test_commits_racing_with_updates_leave_totals_that_agree_with_the_log(fund: Fund) -> None:
    async def committing(number: int) -> list[str]:
        version = await allocation_version()
        proposals = [proposal(fund.b, 600 + number), proposal(fund.a, 1100 + number)]
        return codes(await fund.commit(*proposals, version=version))

    async def updating(number: int, company_id: str) -> list[str]:
        version = await company_version(company_id)
        changes: dict[str, object] = {"plannedReservesCents": 5000 + number} if number % 2 else {"sector": str(number)}
        return codes(await fund.update(company_id, version, **changes))

    async def allocation_version() -> int:
        answer = await fund.server.execute(
            "query ($id: ID!) { fund(id: $id) { allocationVersion } }", {"id": fund.fund_id}
        )
        return int(answer.data["fund"]["allocationVersion"])

    async def company_version(company_id: str) -> int:
        query = "query ($id: ID!) { node(id: $id) { ... on PortfolioCompany { version } } }"
        return int((await fund.server.execute(query, {"id": company_id})).data["node"]["version"])

    outcomes: list[str] = []
    for number in range(0, 2 * ROUNDS, 2):
        answers = await asyncio.gather(
            *(committing(number + offset) for offset in range(2)),
            *(updating(number + offset, company) for offset in range(2) for company in (fund.a, fund.b)),
        )
        outcomes += [code for refused in answers for code in refused or ["written"]]
    assert set(outcomes) == {"written", "VERSION_CONFLICT"}
    changed_by_commits = await fund.server.owner.fetchval(
        """
        SELECT sum((change ->> 'delta_cents')::bigint)
        FROM reallocation_audit, jsonb_array_elements(changes_json) AS change
        """
    )
    changed_by_updates = await fund.server.owner.fetchval(
        """
        SELECT sum((body::jsonb #>> '{after,planned_reserves_cents}')::bigint
          - (body::jsonb #>> '{before,planned_reserves_cents}')::bigint)
        FROM audit_events WHERE action = 'company.updated' AND body::jsonb -> 'after' ? 'planned_reserves_cents'
        """
    )
    assert changed_by_commits
    assert changed_by_updates
    assert sum(await fund.planned()) == 1500 + changed_by_commits + changed_by_updates
