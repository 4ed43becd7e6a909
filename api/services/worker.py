"""What is to be done without anybody asking: a worker goes round its duties, and is woken by what is written.

It may run in any number of processes at once. What it does must stand being done by several, and being cut off at any
point: each step is a command like any other.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import structlog

from api.db.event_bus import EventBus
from api.db.pools import Database
from api.services.commands import Writer
from api.services.due_calls import check_due_calls
from api.services.expired_keys import forget_expired_keys
from api.services.snapshot_calculation import Calculator, calculate_due

LOOK_SECONDS = 1.0
"""How long a snapshot waits of which nobody was told."""
DUE_SECONDS = 5.0
"""How long a capital call may be overdue without being said to be."""
FORGET_SECONDS = 600.0
AFTER_FAILURE_SECONDS = 5.0
REST_SECONDS = 0.2
"""How long it rests at least, however often it is woken: a busy server writes a thousand times a second."""

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Duty:
    """Something to be done at least every ``seconds_max``, and where ``is_woken`` whenever anything was written.

    ``do`` returns in how many seconds there will be more to do; None where nothing is known to come.
    """

    name: str
    do: Callable[[], Awaitable[float | None]]
    seconds_max: float
    is_woken: bool = False


@dataclass(slots=True)
class DutyState:
    """When this process has last done a duty, and last failed to; None where it has not."""

    done_at: datetime | None = None
    failed_at: datetime | None = None


class Worker:
    """One process's worker. ``states`` tells how it fares with each duty."""

    def __init__(self, bus: EventBus, duties: Sequence[Duty]) -> None:
        self.states = {duty: DutyState() for duty in duties}
        self._bus = bus
        self._due = dict.fromkeys(duties, 0.0)
        self._attention = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Works in the background from now on."""
        self._task = asyncio.create_task(self.run())

    async def close(self) -> None:
        """Stops at once; what it was at goes back to be taken up by another."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def run(self) -> None:
        """Works until it is cancelled."""
        clock = asyncio.get_running_loop().time
        end_watch = self._bus.watch_all(self._attention.set)
        try:
            while True:
                is_woken = self._attention.is_set()
                self._attention.clear()
                for duty, due in self._due.items():
                    if due <= clock() or (is_woken and duty.is_woken):
                        self._due[duty] = clock() + await self._do(duty)
                await asyncio.sleep(REST_SECONDS)
                with suppress(TimeoutError):
                    async with asyncio.timeout(max(min(self._due.values()) - clock(), 0)):
                        await self._attention.wait()
        finally:
            end_watch()

    async def _do(self, duty: Duty) -> float:
        """Sees to one duty; returns for how many seconds it may be left alone."""
        try:
            seconds = await duty.do()
        except Exception as error:
            # Whatever it is, the worker must go on: nobody would notice that it does not.
            logger.warning("duty_failed", duty=duty.name, exc_info=error)
            self.states[duty].failed_at = datetime.now(UTC)
            return min(AFTER_FAILURE_SECONDS, duty.seconds_max)
        self.states[duty].done_at = datetime.now(UTC)
        return duty.seconds_max if seconds is None else min(max(seconds, 0), duty.seconds_max)


def worker_for(database: Database, writer: Writer, bus: EventBus, *, snapshot_seconds_max: float) -> Worker:
    """A worker with all the duties that there are."""
    calculator = Calculator(database, writer, snapshot_seconds_max)
    return Worker(
        bus,
        [
            Duty("calculate snapshots", partial(calculate_due, calculator), LOOK_SECONDS, is_woken=True),
            Duty("check due calls", partial(check_due_calls, database, writer), DUE_SECONDS),
            Duty("forget expired keys", partial(forget_expired_keys, database, writer), FORGET_SECONDS),
        ],
    )
