"""Computing stored returns anew, from the day on from which flows or valuations have changed.

The flows are read in one statement, solved in a thread, and written in one more transaction, which stores the returns
of a portfolio where none of its holdings has changed meanwhile: so nothing is locked while it is computed. What is not
stored stays marked, and is found again. Small batches of flows store their returns with them, see small_batches.
"""

import asyncio
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum

import asyncpg
import structlog
from pydantic import TypeAdapter

from api.db.faults import fault_of
from api.domain.access import Principal
from api.domain.dates import DATE_MIN
from api.domain.returns import TooLong, compute
from api.services.commands import Command, Writer
from api.services.stored_returns import Computed, Reading, Wanted, read, store

ATTEMPTS_MAX = 3
COMPUTE_SECONDS_MAX = 10
"""How long returns are computed at once, of processor time: some ten thousand that are searched for several rates."""
EVERYTHING = DATE_MIN
"""The day from which all returns are computed."""

_HOLDING_IDS = TypeAdapter(list[int])
logger = structlog.get_logger(__name__)


class RecalculationStatus(StrEnum):
    """What came of computing a holding's returns."""

    OK = "OK"
    STALE = "STALE"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class Recalculation:
    """What came of computing one holding's returns: from which day on (None: none was stale), and why not, if not."""

    holding_id: int
    status: RecalculationStatus
    since: date | None = None
    reason: str | None = None


class _Overtaken(Exception):
    """All that was computed has changed meanwhile; there is nothing to write."""


def solve(reading: Reading, seconds_max: float) -> Computed:
    """All returns of a reading; raises TooLong once that has taken so long of the processor."""
    late_at, not_before = time.thread_time() + seconds_max, time.perf_counter() + seconds_max

    def is_late() -> bool:
        # The processor's time cannot have run further than the clock, and takes ten times as long to be told.
        return time.perf_counter() > not_before and time.thread_time() > late_at

    return compute(reading.portfolios, reading.since, is_late)


async def recalculate(
    writer: Writer,
    principal: Principal,
    *,
    holding_ids: Collection[int] = (),
    portfolio_id: int | None = None,
    since: date | None = None,
    request_id: str | None = None,
) -> list[Recalculation]:
    """Computes the returns of holdings, or of all in a portfolio, and of the portfolios that they are in.

    ``since`` is the day from which on; None: for each holding the first day that is stale, if any is. Answers what came
    of each; raises nothing but for what the caller's role does not allow, and where a portfolio's could not be read.
    """
    wanted = Wanted(holding_ids, portfolio_id, since)
    await writer.authorise(principal, "recalculateIrr", request_id)
    outcomes: dict[int, Recalculation] = {
        holding_id: Recalculation(holding_id, RecalculationStatus.STALE) for holding_id in holding_ids
    }
    try:
        for _ in range(ATTEMPTS_MAX):
            # By turns: whoever comes next, or was overtaken and comes again, finds what the others have done for it.
            async with writer.recalculations.place(principal.organization_id):
                if await _recalculate(writer, principal, wanted, outcomes, request_id):
                    break
    except TooLong:
        _fail(outcomes, f"There are too many returns to compute within {COMPUTE_SECONDS_MAX} s.")
    except Exception as error:
        # Whatever it was: what the returns are computed from has been committed, and is marked.
        logger.exception("recalculation_failed", request_id=request_id)
        if not outcomes:
            raise
        _fail(outcomes, str(fault_of(error) or "The returns could not be computed; the log knows more."))
    return [
        replace(outcome, reason="The flows have changed meanwhile; recalculate again.")
        if outcome.status is RecalculationStatus.STALE
        else outcome
        for outcome in outcomes.values()
    ]


async def _recalculate(
    writer: Writer,
    principal: Principal,
    wanted: Wanted,
    outcomes: dict[int, Recalculation],
    request_id: str | None,
) -> bool:
    """Computes and stores, and notes what came of it; whether all is stored, for nothing has changed meanwhile."""

    async def fetch(sql: str, *arguments: object) -> Sequence[asyncpg.Record]:
        return await writer.database.reads.fetch_for(principal.organization_id, sql, arguments)

    reading = await read(fetch, principal.organization_id, wanted)
    outcomes.clear()
    for holding_id in wanted.of(reading):
        status = RecalculationStatus.STALE if holding_id in reading.since else RecalculationStatus.OK
        outcomes[holding_id] = Recalculation(holding_id, status, reading.since.get(holding_id))
    if not reading.since:
        return True
    computed = await asyncio.to_thread(solve, reading, COMPUTE_SECONDS_MAX)
    stored = await _store(writer, principal, reading, computed, request_id)
    for holding_id in stored & outcomes.keys():
        outcomes[holding_id] = replace(outcomes[holding_id], status=RecalculationStatus.OK)
    return stored >= reading.since.keys()


def _fail(outcomes: dict[int, Recalculation], reason: str) -> None:
    for holding_id, outcome in outcomes.items():
        if outcome.status is not RecalculationStatus.OK:
            outcomes[holding_id] = replace(outcome, status=RecalculationStatus.FAILED, reason=reason)


async def _store(
    writer: Writer, principal: Principal, reading: Reading, computed: Computed, request_id: str | None
) -> set[int]:
    """Stores what was computed, but of portfolios that have changed; the holdings whose returns are stored."""

    async def work(command: Command) -> list[int]:
        stored = await store(command, reading, computed, await _lock_unchanged(command, reading))
        if not stored:
            raise _Overtaken
        return stored

    try:
        outcome = await writer.run(principal, "recalculateIrr", work, result_type=_HOLDING_IDS, request_id=request_id)
    except _Overtaken:
        return set()
    return set(outcome.result)


async def _lock_unchanged(command: Command, reading: Reading) -> list[int]:
    """Locks the holdings of the portfolios, and finds those portfolios that are as they were read."""
    found = await command.connection.fetch(
        "SELECT id, portfolio_id, flows_version FROM portfolio_funds WHERE organization_id = $1"
        " AND portfolio_id = ANY ($2) ORDER BY id FOR NO KEY UPDATE",
        command.organization_id,
        [
            portfolio_id
            for portfolio_id, positions in reading.portfolios.items()
            if any(position.holding_id in reading.since for position in positions)
        ],
    )
    changed = {row["portfolio_id"] for row in found if reading.versions.get(row["id"]) != row["flows_version"]}
    return sorted({row["portfolio_id"] for row in found} - changed)
