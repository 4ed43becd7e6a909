"""Commits that race with each other and with other writes to the same companies."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tests.server import RunningServer
from tests.services.fund_client import Fund, codes, proposal

WRITES_PER_CLIENT = 25


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
        query = "query ($id: ID!) { fund(id: $id) { allocationVersion } }"
        read = (await fund.server.execute(query, {"id": fund.fund_id})).data["fund"]
        # The companies the other way round than they are stored: the order of the proposals locks nothing.
        proposals = [proposal(fund.b, 600 + number), proposal(fund.a, 1100 + number)]
        return codes(await fund.commit(*proposals, version=int(read["allocationVersion"])))

    async def updating(company_id: str, **changes: object) -> list[str]:
        query = "query ($id: ID!) { node(id: $id) { ... on PortfolioCompany { version } } }"
        read = (await fund.server.execute(query, {"id": company_id})).data["node"]
        return codes(await fund.update(company_id, int(read["version"]), **changes))

    async def until_written(write: Callable[[int], Awaitable[list[str]]], client: int) -> None:
        """Each client writes so many times, and reads again for as long as another has come first."""
        for number in range(WRITES_PER_CLIENT):
            while refused := await write(1000 * client + number):
                assert refused == ["VERSION_CONFLICT"]
                conflicts.append(client)

    conflicts: list[int] = []
    clients: list[Callable[[int], Awaitable[list[str]]]] = [
        committing,
        committing,
        lambda number: updating(fund.a, plannedReservesCents=5000 + number),
        lambda number: updating(fund.b, plannedReservesCents=5000 + number),
        lambda number: updating(fund.a, sector=str(number)),
        lambda number: updating(fund.b, sector=str(number)),
    ]
    async with asyncio.timeout(60):
        await asyncio.gather(*(until_written(write, client) for client, write in enumerate(clients)))
    assert conflicts
    assert await fund.server.owner.fetchval("SELECT count(*) FROM reallocation_audit") == 2 * WRITES_PER_CLIENT
    assert await fund.allocation_version() == 3 + 4 * WRITES_PER_CLIENT
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
    assert sum(await fund.planned()) == 1500 + changed_by_commits + changed_by_updates
