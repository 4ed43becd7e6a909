"""Brings kept answers up, or works them out anew, as soon as an organization's log has grown: who asks next finds them.

That is for speed alone: whether an answer holds, each reader finds out for itself. One statement at a time in each
process, and only for answers that have been asked for again, lately: what nobody reads is left alone.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import suppress
from itertools import islice

import structlog

from api import metrics
from api.db.event_bus import EventBus
from api.db.pools import Database, Snapshot
from api.reads.batches import batch_sql
from api.reads.declarations import Version
from api.reads.kept import Kept, KeptAnswers, Place, Reader

ROWS_MAX = 20
"""How many answers are worked out with one statement."""
AFTER_FAILURE_SECONDS = 1.0

logger = structlog.get_logger(__name__)


class Refresher:
    """One process's work ahead."""

    def __init__(self, kept: KeptAnswers, database: Database, bus: EventBus) -> None:
        self._kept = kept
        self._database = database
        self._bus = bus
        self._grown: dict[int, None] = {}
        self._attention = asyncio.Event()
        self._watches: dict[int, Callable[[], None]] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Works in the background from now on."""
        self._kept.on_first_of, self._kept.on_last_of = self._watch, self._leave
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Stops at once."""
        self._kept.on_first_of = self._kept.on_last_of = None
        for organization_id in tuple(self._watches):
            self._leave(organization_id)
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    def _watch(self, organization_id: int) -> None:
        def heard(*_how_far: object) -> None:
            self._grown[organization_id] = None
            self._attention.set()

        self._watches[organization_id] = self._bus.watch(organization_id, heard)

    def _leave(self, organization_id: int) -> None:
        self._watches.pop(organization_id)()
        self._grown.pop(organization_id, None)

    async def _run(self) -> None:
        while True:
            await self._attention.wait()
            self._attention.clear()
            while self._grown:
                organization_id = next(iter(self._grown))
                del self._grown[organization_id]
                try:
                    await self._refresh(organization_id)
                except Exception as error:
                    # Whatever it is, readers work out for themselves what is missing.
                    logger.warning("refresh_failed", organization_id=organization_id, error=repr(error))
                    await asyncio.sleep(AFTER_FAILURE_SECONDS)

    async def _refresh(self, organization_id: int) -> None:
        """Refreshes what has been asked for lately and whose version has moved."""
        used = {place: kept for place, kept in self._kept.places(organization_id) if kept.refreshes_left}
        snapshot = Snapshot(self._database, organization_id)
        reader = Reader(organization_id, snapshot.fetch_alone, in_transaction=False)
        stale = await self._stale(used, reader)
        alike: dict[object, list[Place]] = defaultdict(list)
        for place, version in stale.items():
            kept = self._kept.at(place)
            if kept is None or kept.version >= version.number:
                # Somebody who reads was here meanwhile.
                continue
            kept.refreshes_left -= 1
            kept = self._kept.bring_up(place, version)
            if kept is None:
                alike[place.read.select.name, place.arguments].append(place)
            else:
                await kept.finished()
        for places in alike.values():
            waiting = iter(places)
            while batch := list(islice(waiting, ROWS_MAX)):
                await self._kept.work_out({place: stale[place].number for place in batch}, reader)
                metrics.cache_refreshes(batch[0].read.select.name).inc(len(batch))

    async def _stale(self, used: Mapping[Place, Kept], reader: Reader) -> dict[Place, Version]:
        """Those whose version has moved and that nobody is working out yet, with the version that they have now."""
        by_read: dict[str, list[Place]] = defaultdict(list)
        for place in used:
            by_read[place.read.select.name].append(place)
        stale: dict[Place, Version] = {}
        for places in by_read.values():
            select = places[0].read.select.version
            sql, parameters = batch_sql(select, {}, reader.organization_id, list({place.row_id for place in places}))
            versions = {row[0]: select.answer(row[1]) for row in await reader.fetch(sql, *parameters)}
            for place in places:
                version = versions[place.row_id]
                if version.number != used[place].version and not self._kept.is_under_way(place, version.number):
                    stale[place] = version
        return stale
