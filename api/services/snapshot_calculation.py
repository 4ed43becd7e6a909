"""Calculating the snapshots that are due: a worker's duty, outside of any request.

One snapshot at a time, one organization after the other. All that a snapshot's metrics rest on is read from one
snapshot of the database, and worked out in a thread of its own.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Any, TypeVar

import asyncpg
import structlog
from pydantic import TypeAdapter

from api.db.connections import LOST_CONNECTION
from api.db.pools import Database, Snapshot
from api.domain.access import Principal, Role
from api.domain.forecasts import Source, companies_hash, lots_hash, metrics
from api.domain.moic import Position, Purchased
from api.errors import Refused, TryAgain
from api.services import snapshot_states as states
from api.services.commands import Command, Writer
from api.services.snapshot_states import Calculated, Claim, ClaimLost, NothingDue

COMMAND = "calculateSnapshot"
CLAIMED: TypeAdapter[Claim | None] = TypeAdapter(Claim | None)
ENDED = TypeAdapter(int)
NOTHING = Decimal(0)
OTHERS_SECONDS = 0.05
"""How long to leave alone what is due, and held by somebody else at the moment."""

T = TypeVar("T")
logger = structlog.get_logger(__name__)

# As tranche_auth, which sees of snapshots when unfinished ones are due, and nothing else.
_DUE = """
SELECT organization_id, extract(epoch FROM min(next_attempt_at) - now())::float8 AS seconds
FROM forecast_snapshots WHERE next_attempt_at IS NOT NULL GROUP BY organization_id ORDER BY min(next_attempt_at)
"""
FUND = """
SELECT fund.currency, companies.*
FROM funds AS fund
CROSS JOIN LATERAL (
  SELECT count(*) AS company_count, coalesce(sum(version), 0)::bigint AS company_versions
  FROM portfolio_companies WHERE organization_id = $1 AND fund_id = $2
) AS companies
WHERE fund.organization_id = $1 AND fund.id = $2
"""
# Whether an earlier snapshot had the same companies; where none had, the lots need not be looked through.
KNOWN = """
SELECT EXISTS (
  SELECT FROM forecast_snapshots
  WHERE organization_id = $1 AND fund_id = $2 AND status = 'COMPLETE' AND substring(source_hash FOR 16) = $3
) AS is_known
"""
LOTS = """
SELECT count(*) AS lot_count, coalesce(sum(lot.version), 0)::bigint AS lot_versions
FROM portfolio_companies AS company
JOIN investment_lots AS lot ON lot.organization_id = $1 AND lot.company_id = company.id
WHERE company.organization_id = $1 AND company.fund_id = $2
"""
# The first with these metrics: later ones are copies.
SAME = """
SELECT min(id) AS id FROM forecast_snapshots
WHERE organization_id = $1 AND fund_id = $2 AND status = 'COMPLETE' AND source_hash = $3
"""
COMPANIES = """
SELECT company.id, company.name, company.status, company.invested_cents, company.current_valuation_cents,
  company.realized_cents, company.planned_reserves_cents, company.exit_moic, company.exit_probability,
  company.deployed_reserves_cents, lots.*
FROM portfolio_companies AS company
LEFT JOIN (
  SELECT lot.company_id, count(*) AS lot_count, sum(lot.version)::bigint AS lot_versions,
    sum(shares_acquired) FILTER (WHERE lot_type = 'INITIAL') AS initial,
    sum(share_price_cents * shares_acquired) FILTER (WHERE lot_type = 'INITIAL') AS initial_paid,
    sum(shares_acquired) FILTER (WHERE lot_type = 'FOLLOW_ON') AS follow_on,
    sum(share_price_cents * shares_acquired) FILTER (WHERE lot_type = 'FOLLOW_ON') AS follow_on_paid,
    sum(shares_acquired) AS shares
  FROM portfolio_companies AS owner
  JOIN investment_lots AS lot ON lot.organization_id = $1 AND lot.company_id = owner.id
  WHERE owner.organization_id = $1 AND owner.fund_id = $2
  GROUP BY lot.company_id
) AS lots ON lots.company_id = company.id
WHERE company.organization_id = $1 AND company.fund_id = $2 ORDER BY company.id
"""


@dataclass(frozen=True, slots=True)
class Calculator:
    """Where snapshots are found and written, and how many seconds all attempts at one have together."""

    database: Database
    writer: Writer
    seconds_max: float

    async def run(
        self, organization_id: int, work: Callable[[Command], Awaitable[T]], result_type: TypeAdapter[T]
    ) -> T:
        """What a command of the system's makes. Whoever is cancelled meanwhile is so once it is done."""
        principal = Principal(organization_id, None, Role.EDITOR)
        running = asyncio.ensure_future(self.writer.run(principal, COMMAND, work, result_type=result_type))
        try:
            return (await asyncio.shield(running)).result
        except asyncio.CancelledError:
            try:
                return (await running).result
            finally:
                _cancel_later()


async def calculate_due(calculator: Calculator) -> float | None:
    """Calculates until nothing is due; returns in how many seconds something will be, None where nothing waits."""
    while True:
        waiting = await calculator.database.authentication.fetch(_DUE)
        due = [row["organization_id"] for row in waiting if row["seconds"] <= 0]
        if not due:
            return min((row["seconds"] for row in waiting), default=None)
        # By turns, so that no organization waits for all that another has asked for.
        done = [await _take_turn(calculator, organization_id) for organization_id in due]
        if not any(done):
            return OTHERS_SECONDS


async def _take_turn(calculator: Calculator, organization_id: int) -> bool:
    """``calculate_next``; False as well where the organization's log or rows are not to be had at the moment."""
    try:
        return await calculate_next(calculator, organization_id)
    except (*LOST_CONNECTION, asyncpg.PostgresError, TryAgain, TimeoutError) as error:
        # The next one's may be.
        logger.warning("snapshots_put_off", organization_id=organization_id, error=type(error).__name__)
        return False


async def calculate_next(calculator: Calculator, organization_id: int) -> bool:
    """Calculates the snapshot of an organization that has been due longest; False where there is none to be had."""
    claiming = partial(states.claim, seconds_max=calculator.seconds_max)
    try:
        held = await calculator.run(organization_id, claiming, CLAIMED)
    except NothingDue:
        return False
    if held is not None:
        try:
            await _attempt(calculator, organization_id, held)
        except ClaimLost:
            logger.warning("snapshot_claim_lost", snapshot_id=held.snapshot_id, attempt=held.attempt)
    return True


async def _attempt(calculator: Calculator, organization_id: int, held: Claim) -> None:
    """Calculates a claimed snapshot, or says why that was not to be. Raises ClaimLost."""

    async def end(step: Callable[..., Awaitable[int]], *given: object, **named: object) -> None:
        await calculator.run(organization_id, lambda command: step(command, held, *given, **named), ENDED)

    try:
        async with asyncio.timeout(held.seconds):
            calculated = await _calculate(Snapshot(calculator.database, organization_id), held.fund_id)
        await end(states.complete, calculated)
    except asyncio.CancelledError:
        # Whoever takes over need not wait until the claim runs out.
        try:
            await end(states.give_back)
        finally:
            _cancel_later()
        raise
    except Refused as refused:
        reason = " ".join(problem.message for problem in refused.problems)
        await end(states.fail, f"The fund's figures allow no forecast: {reason}")
    except ClaimLost:
        raise
    except Exception as error:
        # Whatever it is, a snapshot that fails must not keep the others from being calculated.
        logger.warning("snapshot_attempt_failed", snapshot_id=held.snapshot_id, attempt=held.attempt, exc_info=error)
        await end(states.postpone, _reason(error), seconds_max=calculator.seconds_max)


def _cancel_later() -> None:
    """Cancels the present task at its next step."""
    task = asyncio.current_task()
    if task is not None:
        task.cancel()


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError | asyncpg.QueryCanceledError):
        return "Calculating it took too long."
    if isinstance(error, (*LOST_CONNECTION, asyncpg.PostgresError, TryAgain)):
        return "The database did not answer."
    return "The server failed in calculating it; its log says more."


async def _calculate(snapshot: Snapshot, fund_id: int) -> Calculated:
    """The metrics of a fund, from one snapshot of the database; raises Refused where they cannot be."""
    try:
        organization_id = snapshot.organization_id
        (fund,) = await snapshot.fetch(FUND, organization_id, fund_id)
        of_companies = companies_hash(fund_id, *fund)
        (earlier,) = await snapshot.fetch(KNOWN, organization_id, fund_id, of_companies)
        if earlier["is_known"]:
            (lots,) = await snapshot.fetch(LOTS, organization_id, fund_id)
            source_hash = of_companies + lots_hash(*lots)
            (same,) = await snapshot.fetch(SAME, organization_id, fund_id, source_hash)
            if same["id"] is not None:
                return Calculated(source_hash, same_as=same["id"])
        rows = await snapshot.fetch(COMPANIES, organization_id, fund_id)
    finally:
        await snapshot.close()
    source_hash = of_companies + lots_hash(
        sum(row["lot_count"] or 0 for row in rows), sum(row["lot_versions"] or 0 for row in rows)
    )
    return Calculated(source_hash, await asyncio.to_thread(_metrics, fund["currency"], rows))


def _metrics(currency: str, rows: Sequence[Any]) -> Any:
    return metrics(currency, [_source(row) for row in rows])


def _source(row: Any) -> Source:
    position = Position(
        invested_cents=row["invested_cents"],
        current_valuation_cents=row["current_valuation_cents"],
        realized_cents=row["realized_cents"],
        planned_reserves_cents=row["planned_reserves_cents"],
        exit_moic=row["exit_moic"],
        exit_probability=row["exit_probability"],
        is_active=row["status"] == "ACTIVE",
        initial=Purchased(row["initial"] or NOTHING, row["initial_paid"] or NOTHING),
        follow_on=Purchased(row["follow_on"] or NOTHING, row["follow_on_paid"] or NOTHING),
        shares=row["shares"] or NOTHING,
    )
    return Source(
        row["id"], row["name"], row["status"], position, row["deployed_reserves_cents"], row["lot_count"] or 0
    )
