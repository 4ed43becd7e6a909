"""A large fund and some small ones, with what was committed, called, paid and distributed over the years."""

from collections.abc import Sequence

import asyncpg

from api.reads import global_ids
from bench.database import BenchDatabase
from bench.staleness import State, Target

ALLOCATIONS, CALLS_EACH = 10_000, 4
SMALL_FUNDS, SMALL_ALLOCATIONS = 9, 500

_LOAD = (
    """
    INSERT INTO funds (organization_id, name, currency, size_cents)
    SELECT $1, 'Fund ' || number, 'USD', 4000000000000000 FROM generate_series(0, $2::int) AS number ORDER BY number
    """,
    """
    INSERT INTO portfolio_companies (organization_id, fund_id, name, invested_cents, current_valuation_cents)
    SELECT organization_id, id, 'Company ' || number, 600000000 * number::bigint, 700000000 * number::bigint
    FROM funds CROSS JOIN generate_series(1, 100) AS number WHERE organization_id = $1
    """,
    """
    INSERT INTO deals (organization_id, name) SELECT $1, 'Deal ' || number FROM generate_series(1, $2::int) AS number
    """,
    # The allocations of all funds lie among each other, as they would if they had come over the years.
    """
    INSERT INTO deal_allocations (organization_id, fund_id, deal_id, amount_cents, security_type, allocated_on)
    SELECT deal.organization_id, fund.id, deal.id, 1000000000, 'EQUITY', DATE '2020-01-01' + (deal.id % 1000)::int
    FROM deals AS deal JOIN funds AS fund ON fund.organization_id = deal.organization_id
    WHERE deal.organization_id = $1 AND (fund.name = 'Fund 0' OR deal.id % ($2::int / $3::int) = 0)
    ORDER BY deal.id, fund.id
    """,
    """
    INSERT INTO capital_calls (organization_id, fund_id, allocation_id, amount_cents, called_on, due_on, status,
      paid_cents, next_check_on)
    SELECT organization_id, fund_id, id, 200000000, allocated_on + number * 200, allocated_on + number * 200 + 30,
      CASE WHEN number < $2 THEN 'PAID' ELSE 'OVERDUE' END, CASE WHEN number < $2 THEN 200000000 ELSE 0 END, NULL
    FROM generate_series(1, $2::int) AS number CROSS JOIN deal_allocations WHERE organization_id = $1
    ORDER BY number, id
    """,
    """
    INSERT INTO capital_call_payments (organization_id, fund_id, capital_call_id, amount_cents, paid_on)
    SELECT organization_id, fund_id, id, paid_cents, due_on FROM capital_calls
    WHERE organization_id = $1 AND status = 'PAID' ORDER BY id
    """,
    """
    INSERT INTO distributions (organization_id, fund_id, allocation_id, amount_cents, distributed_on, distribution_type)
    SELECT organization_id, fund_id, id, 50000000, allocated_on + 1500, 'DIVIDEND' FROM deal_allocations
    WHERE organization_id = $1 AND id % 2 = 0
    """,
)
_TARGETS = """
SELECT fund.id, min(allocation.id) AS allocation_id, min(call.id) AS call_id,
  (SELECT coalesce(sum(amount_cents), 0) FROM distributions AS one
    WHERE one.organization_id = $1 AND one.fund_id = fund.id)::bigint AS distributed,
  (SELECT sum(amount_cents) FROM capital_calls AS one
    WHERE one.organization_id = $1 AND one.fund_id = fund.id)::bigint AS called,
  (SELECT sum(amount_cents) FROM capital_call_payments AS one
    WHERE one.organization_id = $1 AND one.fund_id = fund.id)::bigint AS paid
FROM funds AS fund
JOIN deal_allocations AS allocation ON allocation.organization_id = $1 AND allocation.fund_id = fund.id
JOIN capital_calls AS call ON call.organization_id = $1 AND call.allocation_id = allocation.id AND call.paid_cents = 0
WHERE fund.organization_id = $1 GROUP BY fund.id ORDER BY fund.id
"""


async def fill(owner: asyncpg.Connection, organization_ids: Sequence[int]) -> None:
    """Writes all of it for the first organization."""
    (organization_id,) = organization_ids
    given = [(SMALL_FUNDS,), (), (ALLOCATIONS,), (ALLOCATIONS, SMALL_ALLOCATIONS), (CALLS_EACH,), (), ()]
    async with owner.transaction():
        # As when a dump is restored: references are not looked up row by row.
        await owner.execute("SET LOCAL session_replication_role = replica")
        await owner.execute("SET LOCAL ROLE tranche_maintenance")
        for statement, values in zip(_LOAD, given, strict=True):
            await owner.execute(statement, organization_id, *values, timeout=300)


async def targets(database: BenchDatabase) -> tuple[list[Target], dict[int, State], int]:
    """The funds, the large one first; the state of each; and the end of the log."""
    organization_id = database.organization_ids[0]
    owner = await asyncpg.connect(database.owner_url)
    rows = await owner.fetch(_TARGETS, organization_id)
    sequence = await owner.fetchval("SELECT sequence FROM audit_heads WHERE organization_id = $1", organization_id)
    await owner.close()
    found = [
        Target(
            global_ids.encode("Fund", row["id"]),
            global_ids.encode("DealAllocation", row["allocation_id"]),
            global_ids.encode("CapitalCall", row["call_id"]),
            row["id"],
        )
        for row in rows
    ]
    return found, {row["id"]: (row["distributed"], row["called"], row["paid"]) for row in rows}, sequence or 0
