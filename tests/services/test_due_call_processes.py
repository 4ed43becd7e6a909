"""Workers as processes of their own, one of which is killed: every call is overdue once, and reminded of once."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg

from api.domain.access import Role
from api.services.organizations import Member, create_organization
from tests.processes import working
from tests.services.test_worker import PATIENT, until_true

CALLS = 600
"""Half of them are long due, the others in three days."""
ALLOCATE = """
WITH fund AS (INSERT INTO funds (organization_id, name, currency) VALUES ($1, 'Fund', 'USD') RETURNING id),
  deal AS (INSERT INTO deals (organization_id, name) VALUES ($1, 'Deal') RETURNING id)
INSERT INTO deal_allocations (organization_id, fund_id, deal_id, amount_cents, security_type, allocated_on)
SELECT $1, fund.id, deal.id, 1000000, 'EQUITY', '2024-01-01' FROM fund, deal RETURNING fund_id, id
"""
CALL = """
INSERT INTO capital_calls (organization_id, fund_id, allocation_id, amount_cents, called_on, due_on, next_check_on)
SELECT $1, $2, $3, 10, $4::date - 40, due_on, $4::date
FROM generate_series(1, $5) AS number
CROSS JOIN LATERAL (SELECT CASE WHEN number % 2 = 0 THEN $4::date - 20 ELSE $4::date + 3 END) AS due (due_on)
"""
TOLD = """
SELECT action, count(*) AS events, count(DISTINCT subject_id) AS calls, count(actor_id) AS actors
FROM audit_events WHERE action LIKE 'capital_call.%' GROUP BY action ORDER BY action
"""


async def test_worker_that_is_killed_is_replaced_and_nothing_is_done_twice(
    database_url: str, state_directory: Path
) -> None:
    owner = await asyncpg.connect(database_url)
    members = [Member("ada@alpha.example", Role.ADMIN)]
    organization_id = await create_organization(owner, name="Alpha", slug="alpha", currency="USD", members=members)
    allocation = await owner.fetchrow(ALLOCATE, organization_id)
    today = datetime.now(UTC).date()
    await owner.execute(CALL, organization_id, *allocation, today, CALLS)

    async def left() -> int:
        count: int = await owner.fetchval("SELECT count(*) FROM capital_calls WHERE next_check_on <= $1", today)
        return count

    async def has_begun() -> bool:
        return await left() < CALLS

    async def is_done() -> bool:
        return await left() == 0

    async with (
        working(database_url, state_directory, **PATIENT) as killed,
        working(database_url, state_directory, TZ="Pacific/Kiritimati", **PATIENT),
    ):
        await until_true(has_begun)
        killed.kill()
        await until_true(is_done)
    told: list[Any] = [tuple(row) for row in await owner.fetch(TOLD)]
    assert told == [
        ("capital_call.due_in_3_days", CALLS // 2, CALLS // 2, 0),
        ("capital_call.overdue", CALLS // 2, CALLS // 2, 0),
    ]
    await owner.close()
