"""Pages of lots while eight clients record more: what was there is shown once each, in order, in both directions."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.server import RunningServer
from tests.services.forecast_client import Forecasts

WRITERS = 8
SEEDED = 120
LOTS = """
query ($id: ID!, $first: Int, $after: String, $last: Int, $before: String, $filter: InvestmentLotFilter,
  $orderBy: InvestmentLotOrder) {
  node(id: $id) {
    ... on Investment { page: lots(first: $first, after: $after, last: $last, before: $before, filter: $filter,
      orderBy: $orderBy) { ...Page } }
    ... on PortfolioCompany { page: lots(first: $first, after: $after, last: $last, before: $before, filter: $filter,
      orderBy: $orderBy) { ...Page } }
  }
}
fragment Page on InvestmentLotConnection {
  nodes { costBasisCents } pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
}
"""
SEED = f"""
INSERT INTO investment_lots (organization_id, company_id, investment_id, lot_type, share_price_cents, shares_acquired,
  cost_basis_cents, acquired_on, created_at)
SELECT organization_id, company_id, id, 'INITIAL', n, 1, n, date '2024-01-01' + n % 7,
  timestamptz '2024-01-01 00:00:00Z' + n % 10 * interval '1 microsecond'
FROM investments, generate_series(1, {SEEDED}) AS n
"""
ORDERS: dict[str, dict[str, Any]] = {
    "default": {},
    "acquired": {"orderBy": {"field": "ACQUIRED_ON"}},
    "cost": {"orderBy": {"field": "COST_BASIS", "direction": "DESC"}},
}
ORDER_SQL = {
    "default": "created_at DESC, id DESC",
    "acquired": "acquired_on, id",
    "cost": "cost_basis_cents DESC, id DESC",
}


@asynccontextmanager
async def others_recording(forecasts: Forecasts) -> AsyncIterator[asyncio.Event]:
    """Eight clients that record lots, of costs above the seeded ones', and an event that is set by each."""
    recorded = asyncio.Event()

    async def keep_recording(client: int) -> None:
        while True:
            cost = str(SEEDED + 1 + client)
            made = await forecasts.lot(
                sharePriceCents=cost, sharesAcquired="1", costBasisCents=cost, acquiredOn=f"2024-01-0{client + 1}"
            )
            assert made["userErrors"] == []
            recorded.set()

    clients = [asyncio.create_task(keep_recording(client)) for client in range(WRITERS)]
    yield recorded
    for client in clients:
        client.cancel()
    ends = await asyncio.gather(*clients, return_exceptions=True)
    assert all(isinstance(end, asyncio.CancelledError) for end in ends)


@pytest.mark.parametrize("is_backward", [False, True], ids=["forward", "backward"])
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("of", ["investment_id", "company_id"])
async def test_pages_are_exact_while_others_record(
    server: RunningServer, of: str, order: str, is_backward: bool
) -> None:
    forecasts = await Forecasts(server).create()
    await server.owner.execute(SEED)
    found = await server.owner.fetch(f"SELECT cost_basis_cents FROM investment_lots ORDER BY {ORDER_SQL[order]}")
    expected = [row[0] for row in (reversed(found) if is_backward else found)]
    variables = ORDERS[order] | {"id": getattr(forecasts, of)}
    seen: list[int] = []
    cursor: str | None = None
    async with others_recording(forecasts) as recorded:
        while len(seen) < SEEDED:
            arguments = {"last": 7, "before": cursor} if is_backward else {"first": 7, "after": cursor}
            page = (await server.execute(LOTS, variables | arguments)).data["node"]["page"]
            costs = [int(node["costBasisCents"]) for node in page["nodes"]]
            seen += [cost for cost in (reversed(costs) if is_backward else costs) if cost <= SEEDED]
            cursor = page["pageInfo"]["startCursor" if is_backward else "endCursor"]
            assert len(costs) == 7 or not page["pageInfo"]["hasPreviousPage" if is_backward else "hasNextPage"]
            recorded.clear()
            await recorded.wait()
    assert seen == expected


async def test_filters_narrow_lots_investments_snapshots_and_allocations(server: RunningServer) -> None:
    forecasts = await Forecasts(server).create()
    await forecasts.lot(lotType="FOLLOW_ON", acquiredOn="2024-02-01")
    await forecasts.lot(lotType="SECONDARY", acquiredOn="2024-03-01")
    for name, at in (("Q1", "2024-03-31T00:00:00Z"), ("Q2", "2024-06-30T00:00:00Z")):
        snapshot_id = await forecasts.snapshot(name, snapshotAt=at)
    for priority in (2, 1):
        await forecasts.write(
            "createReserveAllocation",
            snapshotId=snapshot_id,
            companyId=await forecasts.company(f"Company {priority}"),
            plannedReserveCents=str(priority),
            priority=priority,
        )
    document = """
    query ($fund: ID!) { fund(id: $fund) {
      investments(filter: { from: "2024-01-31", to: "2024-01-31" }) { totalCount }
      none: investments(filter: { to: "2024-01-30" }) { totalCount }
      companies(first: 1) { nodes {
        lots(filter: { lotType: [FOLLOW_ON, SECONDARY], to: "2024-02-15" }) { nodes { lotType } }
        investments { nodes { lots(filter: { from: "2024-02-15" }) { nodes { lotType } } } }
      } }
      snapshots { nodes { name } }
      early: snapshots(filter: { to: "2024-03-31T00:00:00Z", status: [PENDING] }) { nodes { name } }
      late: snapshots(filter: { nameContains: "2" }) { nodes {
        reserveAllocations(orderBy: { field: PRIORITY }) { nodes { priority company { name } } }
        few: reserveAllocations(filter: { priorityMax: 1 }) { totalCount }
      } }
    } }
    """
    assert (await server.execute(document, {"fund": forecasts.fund_id})).data["fund"] == {
        "investments": {"totalCount": 1},
        "none": {"totalCount": 0},
        "companies": {
            "nodes": [
                {
                    "lots": {"nodes": [{"lotType": "FOLLOW_ON"}]},
                    "investments": {"nodes": [{"lots": {"nodes": [{"lotType": "SECONDARY"}]}}]},
                }
            ]
        },
        "snapshots": {"nodes": [{"name": "Q2"}, {"name": "Q1"}]},
        "early": {"nodes": [{"name": "Q1"}]},
        "late": {
            "nodes": [
                {
                    "reserveAllocations": {
                        "nodes": [
                            {"priority": 1, "company": {"name": "Company 1"}},
                            {"priority": 2, "company": {"name": "Company 2"}},
                        ]
                    },
                    "few": {"totalCount": 1},
                }
            ]
        },
    }
