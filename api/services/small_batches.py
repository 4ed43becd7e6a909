"""Small batches of cash flows: their returns are stored in the transaction that inserts them.

What the returns follow from is read, on another connection, and the returns are computed while the flows are inserted.
"""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import asyncpg
import structlog

from api.db.faults import IS_CROWDED
from api.db.pools import Database
from api.domain.returns import TooLong, effort
from api.services.activities import Batch, leave_behind
from api.services.commands import Command
from api.services.recalculation import Recalculation, RecalculationStatus, solve
from api.services.stored_returns import Computed, Reading, TooMuch, Wanted, read, store

ACTIVITIES_MAX = 500
ROWS_MAX = 4_000
"""How many flows and valuations the portfolios may have, which are locked while their returns are computed."""
EFFORT_MAX = 40_000
"""What is computed meanwhile, see ``effort``: some twenty milliseconds, for which others who change them wait."""
EFFORT_MAX_AT_ONCE = 8_000
"""What is computed without a thread: three or four milliseconds, for which nobody is answered."""
READ_SECONDS_MAX = 1
"""How long is waited for what the returns follow from. The holdings are locked meanwhile, and PostgreSQL does not see
that who waits here may be in the way of whom it waits for.
"""
COMPUTE_SECONDS_MAX = 0.05
COMPUTE_SECONDS_MAX_AT_ONCE = 0.01
"""How long either may take of the processor, where zeros have to be counted."""

logger = structlog.get_logger(__name__)


class PutOff(Exception):
    """Returns could not be computed in the transaction that has changed what they follow from.

    What was changed must not be lost with them: the command is to be run again without, and they are computed after it.
    """


class SmallBatch:
    """The returns of a batch of at most ``ACTIVITIES_MAX`` cash flows.

    ``recalculations`` is what came of them, once they are stored with it.
    """

    def __init__(self, database: Database) -> None:
        self.recalculations: list[Recalculation] | None = None
        self._database = database

    async def settle(self, command: Command, batch: Batch) -> None:
        """Has a batch inserted, and computes and stores the returns that follow from it.

        The command has locked all holdings of their portfolios. Where it would take too long the holdings are marked:
        computing is left to ``recalculate`` after the commit. Raises PutOff for whatever else goes wrong, but for what
        inserting raises.
        """
        # An attempt before this one may have been rolled back.
        self.recalculations = None
        inserting = asyncio.ensure_future(batch.insert())
        try:
            with _putting_off(command):
                reading = await self._read(command, batch)
                computed = None if reading is None else await _compute(reading)
        finally:
            await inserting
        if reading is None or computed is None:
            await leave_behind(command, batch.earliest)
            return
        with _putting_off(command):
            await store(command, reading, computed, sorted(reading.portfolios), batch.earliest.keys())
        self.recalculations = [
            Recalculation(holding_id, RecalculationStatus.OK, reading.since[holding_id])
            for holding_id in sorted(batch.earliest)
        ]

    async def _read(self, command: Command, batch: Batch) -> Reading | None:
        """All that the returns follow from: the batch, and what is committed.

        Nobody can change that while the holdings are locked. None where it is too much or takes too long, and where
        there is a holding that is not locked, as it was not yet there.
        """
        connections = self._database.reads

        async def fetch(sql: str, *arguments: object) -> Sequence[asyncpg.Record]:
            return await connections.fetch_for(command.organization_id, sql, arguments)

        if not connections.has_room:
            return None
        wanted = Wanted(batch.earliest.keys(), changed=batch.earliest)
        try:
            async with asyncio.timeout(READ_SECONDS_MAX):
                reading = await read(fetch, command.organization_id, wanted, new=batch.activities, rows_max=ROWS_MAX)
        except (TooMuch, TimeoutError):
            return None
        return reading if reading.versions.keys() <= set(batch.known) else None


async def _compute(reading: Reading) -> Computed | None:
    """The returns; None where there are too many to compute them now."""
    expected = effort(reading.portfolios, reading.since)
    if expected > EFFORT_MAX:
        return None
    try:
        if expected > EFFORT_MAX_AT_ONCE:
            return await asyncio.to_thread(solve, reading, COMPUTE_SECONDS_MAX)
        return solve(reading, COMPUTE_SECONDS_MAX_AT_ONCE)
    except TooLong:
        return None


@contextmanager
def _putting_off(command: Command) -> Iterator[None]:
    try:
        yield
    except IS_CROWDED:
        raise
    except Exception as error:
        logger.exception("recalculation_put_off", request_id=command.request_id)
        raise PutOff from error
