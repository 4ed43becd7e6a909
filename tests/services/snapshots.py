"""A fund with companies, lots and snapshots, put straight into the database; and what becomes of the snapshots."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg

from api.db.pools import Database
from api.services import snapshot_states as states
from api.services.commands import Writer
from api.services.snapshot_calculation import CLAIMED, ENDED, Calculator
from api.services.snapshot_states import Calculated, Claim
from tests.server import RunningServer

COMPANIES = """
INSERT INTO portfolio_companies (organization_id, fund_id, name, invested_cents, current_valuation_cents,
  planned_reserves_cents, deployed_reserves_cents, exit_moic, exit_probability)
SELECT $1, $2, 'Company ' || number, 1000 * number, 3000 * number, 500, 100, number, 0.5
FROM generate_series(1, $3::int) AS number RETURNING id
"""
INVESTMENTS = """
INSERT INTO investments (organization_id, fund_id, company_id, invested_on, amount_cents)
SELECT $1, $2, id, '2024-01-01', 1000 FROM portfolio_companies WHERE organization_id = $1 AND fund_id = $2
"""
LOTS = """
INSERT INTO investment_lots (organization_id, company_id, investment_id, lot_type, share_price_cents, shares_acquired,
  cost_basis_cents, acquired_on)
SELECT $1, company_id, id, CASE WHEN number % 2 = 1 THEN 'INITIAL' ELSE 'FOLLOW_ON' END, number, 10, number * 10,
  '2024-01-01'
FROM investments, generate_series(1, $3::int) AS number WHERE organization_id = $1 AND fund_id = $2
"""
FINAL = ("COMPLETE", "ERROR")


@dataclass(frozen=True)
class SnapshotFund:
    """A fund of an organization, as the owner of the database sees it."""

    owner: asyncpg.Connection
    organization_id: int
    fund_id: int

    @classmethod
    async def create(
        cls, owner: asyncpg.Connection, organization_id: int, *, companies: int = 2, lots: int = 2
    ) -> "SnapshotFund":
        """A fund with so many companies, each with so many lots."""
        fund_id = await owner.fetchval(
            "INSERT INTO funds (organization_id, name, currency) SELECT $1, 'Fund ' || count(*), 'USD' FROM funds"
            " RETURNING id",
            organization_id,
        )
        await owner.execute(COMPANIES, organization_id, fund_id, companies)
        await owner.execute(INVESTMENTS, organization_id, fund_id)
        await owner.execute(LOTS, organization_id, fund_id, lots)
        return cls(owner, organization_id, fund_id)

    async def ask(self, count: int = 1) -> list[int]:
        """So many PENDING snapshots; nobody is told."""
        rows = await self.owner.fetch(
            "INSERT INTO forecast_snapshots (organization_id, fund_id, name)"
            " SELECT $1, $2, 'Snapshot ' || number FROM generate_series(1, $3::int) AS number RETURNING id",
            self.organization_id,
            self.fund_id,
            count,
        )
        return [row["id"] for row in rows]

    async def row(self, snapshot_id: int) -> Any:
        """A snapshot, its metrics as text."""
        return await self.owner.fetchrow("SELECT * FROM forecast_snapshots WHERE id = $1", snapshot_id)

    async def statuses(self) -> list[str]:
        """The statuses of all snapshots, by id."""
        return [row["status"] for row in await self.owner.fetch("SELECT status FROM forecast_snapshots ORDER BY id")]

    async def steps(self) -> int:
        """How many steps workers have made."""
        count: int = await self.owner.fetchval("SELECT count(*) FROM audit_events WHERE action LIKE 'snapshot.%'")
        return count

    async def make_due(self) -> None:
        """Lets the time pass that unfinished snapshots wait, for a pause or for whoever is at them."""
        await self.owner.execute(
            "UPDATE forecast_snapshots SET next_attempt_at = now() WHERE next_attempt_at IS NOT NULL"
        )


async def actions(owner: asyncpg.Connection, snapshot_id: int) -> list[str]:
    """What the log says of a snapshot, in order, without the noun."""
    rows = await owner.fetch(
        "SELECT action FROM audit_events WHERE subject_type = 'ForecastSnapshot' AND subject_id = $1 ORDER BY sequence",
        str(snapshot_id),
    )
    return [row["action"].removeprefix("snapshot.") for row in rows]


async def assert_ended_once(owner: asyncpg.Connection, snapshot_ids: Sequence[int]) -> None:
    """Each snapshot is COMPLETE or ERROR, with what belongs to it, and the log says so exactly once."""
    rows = await owner.fetch("SELECT * FROM forecast_snapshots WHERE id = ANY($1::bigint[])", list(snapshot_ids))
    assert len(rows) == len(snapshot_ids)
    for row in rows:
        assert row["status"] in FINAL
        assert (row["metrics"] is not None) == (row["status"] == "COMPLETE")
        assert (row["error"] is not None) == (row["status"] == "ERROR")
        said = await actions(owner, row["id"])
        ends = [action for action in said if action in ("completed", "failed")]
        assert ends == ["completed" if row["status"] == "COMPLETE" else "failed"]
        assert said.index(ends[0]) == len(said) - 1


def calculator(database: Database, *, seconds_max: float = 60) -> Calculator:
    """A worker's means, on the pools of a server."""
    return Calculator(database, Writer(database), seconds_max)


METRICS = Calculated(bytes(32), {"format": 1})


async def fund_in(server: RunningServer, organization: str = "alpha", **sizes: int) -> SnapshotFund:
    return await SnapshotFund.create(server.owner, server.organization_ids[organization], **sizes)


async def claimed(by: Calculator, organization_id: int) -> Claim:
    held = await by.run(organization_id, lambda command: states.claim(command, seconds_max=by.seconds_max), CLAIMED)
    assert held is not None
    return held


async def completed(by: Calculator, organization_id: int, held: Claim) -> None:
    await by.run(organization_id, lambda command: states.complete(command, held, METRICS), ENDED)
