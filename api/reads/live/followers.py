"""One reader's way along a log: what it missed first, then what comes, nothing missing and nothing twice.

A follower asks for the next event when it is ready for it. As long as it keeps up with the end of the log, it reads
from this process's memory; once it is behind, it reads the database from its own place, so that nobody's slowness
costs others memory or time.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

from api.db.event_bus import EventBus
from api.db.pools import Database
from api.reads.live.positions import Entry, decode_cursor, entries, extent
from api.reads.live.tails import Tail

WINDOW = 500
"""How many sequences a follower that is behind reads at once."""
CATCHING_UP_MAX = 4
"""How many followers of a process read the database at once: others need its connections, too."""


@dataclass(frozen=True, slots=True)
class Interest:
    """What a follower wants to hear of; None: all."""

    kinds: frozenset[str] | None = None
    actions: frozenset[str] | None = None
    fund_id: int | None = None
    capital_source_id: int | None = None

    def includes(self, entry: Entry) -> bool:
        """Whether this entry is wanted."""
        return (
            (self.kinds is None or entry.kind in self.kinds)
            and (self.actions is None or entry.action in self.actions)
            and (self.fund_id is None or entry.fund_id == self.fund_id)
            and (self.capital_source_id is None or entry.capital_source_id == self.capital_source_id)
        )


class LiveLog:
    """The logs of all organizations, as this process's followers see them."""

    def __init__(self, database: Database, bus: EventBus) -> None:
        self._database = database
        self._bus = bus
        self._tails: dict[int, Tail] = {}
        self._catching_up = asyncio.Semaphore(CATCHING_UP_MAX)

    async def close(self) -> None:
        """Stops reading; those who still follow hear no more."""
        tails = list(self._tails.values())
        self._tails.clear()
        for tail in tails:
            await tail.close()

    async def follow(self, organization_id: int, interest: Interest, after: str | None) -> AsyncGenerator[Entry, None]:
        """The wanted entries after the cursor, and then as they come; without a cursor from now on.

        Raises BadUserInput, CursorExpired or CursorAhead before there is anything to iterate over; iterating raises
        CursorExpired where the reader is so slow that what comes next has been removed.
        """
        known = await extent(self._database, organization_id)
        if after is None:
            return self._entries(organization_id, interest, known.last, known.last)
        cursor = decode_cursor(organization_id, after)
        known.check(cursor)
        return self._entries(organization_id, interest, cursor, known.last)

    async def _entries(
        self, organization_id: int, interest: Interest, cursor: int, head: int
    ) -> AsyncGenerator[Entry, None]:
        tail = self._join(organization_id, head)
        try:
            while True:
                if cursor < tail.floor:
                    until = min(cursor + WINDOW, tail.head)
                    read = await self._read(organization_id, cursor, until)
                else:
                    await tail.grow_beyond(cursor)
                    until = tail.head
                    read = tail.after(cursor) if cursor >= tail.floor else ()
                    if cursor < tail.floor:
                        continue
                for entry in read:
                    if interest.includes(entry):
                        yield entry
                cursor = until
        finally:
            await self._leave(tail)

    async def _read(self, organization_id: int, cursor: int, until: int) -> Sequence[Entry]:
        """A stretch of the log from the database."""
        async with self._catching_up:
            read = await entries(self._database, organization_id, cursor, until)
            # Asked afterwards: what is kept now was kept when it was read.
            (await extent(self._database, organization_id)).check(cursor)
        return read

    def _join(self, organization_id: int, head: int) -> Tail:
        tail = self._tails.get(organization_id)
        if tail is None:
            tail = self._tails[organization_id] = Tail(self._database, self._bus, organization_id, head)
        tail.users += 1
        return tail

    async def _leave(self, tail: Tail) -> None:
        tail.users -= 1
        if not tail.users and self._tails.get(tail.organization_id) is tail:
            del self._tails[tail.organization_id]
            await tail.close()
