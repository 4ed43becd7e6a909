"""The end of one organization's log, read once for all of this process who follow it."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

import structlog

from api.db.event_bus import Committed, EventBus
from api.db.pools import Database
from api.reads.live.positions import Entry, entries

ENTRIES_MAX = 1_000
"""How much of the log's end is kept for those who keep up; others read the database from where they are."""
ROWS_MAX = 50
"""Of how many of them the rows are kept, which are larger."""
READ_MAX = 500
LOOK_SECONDS = 1.0
"""How often the log is looked at unasked: what a lost message costs."""

logger = structlog.get_logger(__name__)


class Tail:
    """What the log has grown by while somebody follows it: the entries after ``floor`` until ``head``."""

    def __init__(self, database: Database, bus: EventBus, organization_id: int, head: int) -> None:
        self.organization_id = organization_id
        self.floor = self.head = head
        self.users = 0
        self._database = database
        self._entries: deque[Entry] = deque()
        self._listeners: dict[Callable[[Entry], None], None] = {}
        self._grown = asyncio.Event()
        self._attention = asyncio.Event()
        # What was written since the head was looked up has woken nobody.
        self._attention.set()
        self._end_watch = bus.watch(organization_id, self._hear)
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Stops reading."""
        self._end_watch()
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    def after(self, sequence: int) -> list[Entry]:
        """The entries after this sequence, which must not be below the floor."""
        found: list[Entry] = []
        for entry in reversed(self._entries):
            if entry.sequence <= sequence:
                break
            found.append(entry)
        found.reverse()
        return found

    async def grow_beyond(self, sequence: int) -> None:
        """Waits until the log has come further than this."""
        while self.head <= sequence:
            await self._grown.wait()

    def _hear(self, sequence: int | None, committed: Committed | None) -> None:
        if committed is not None and committed.sequence == self.head + 1:
            entry = Entry.of(committed)
            self._extend([entry])
            self._tell(entry)
        elif sequence is None or sequence > self.head:
            self._attention.set()

    def listen(self, hear: Callable[[Entry], None]) -> Callable[[], None]:
        """Has ``hear`` told what this process commits, when its commit is done; returns what ends that."""
        self._listeners[hear] = None
        return lambda: self._listeners.pop(hear, None)

    def _tell(self, entry: Entry) -> None:
        for hear in tuple(self._listeners):
            try:
                hear(entry)
            except Exception as error:
                # The commit has happened; whoever failed to hear of it reads it.
                logger.warning("listener_failed", organization_id=self.organization_id, error=repr(error))

    async def _run(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._attention.wait()
            self._attention.clear()
            try:
                while await self._read() == READ_MAX:
                    pass
            except Exception as error:
                # Whatever it is, those who follow must not be left behind: it is tried again.
                logger.warning("log_unreadable", organization_id=self.organization_id, error=repr(error))
                await asyncio.sleep(LOOK_SECONDS)

    async def _read(self) -> int:
        """Reads on from the head; returns how many entries there were."""
        read = await entries(self._database, self.organization_id, self.head, self.head + READ_MAX)
        # Meanwhile this process may have committed some of them.
        self._extend([entry for entry in read if entry.sequence > self.head])
        return len(read)

    def _extend(self, entries: Sequence[Entry]) -> None:
        if not entries:
            return
        self._entries.extend(entries)
        while len(self._entries) > ENTRIES_MAX:
            self.floor = self._entries.popleft().sequence
        if len(self._entries) > ROWS_MAX:
            # Who is that far behind can read them anew.
            self._entries[-ROWS_MAX - 1] = replace(self._entries[-ROWS_MAX - 1], rows=None)
        self.head = entries[-1].sequence
        grown, self._grown = self._grown, asyncio.Event()
        grown.set()
