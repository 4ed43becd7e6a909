"""One reader's way along a log: what it missed first, then what comes, nothing missing and nothing twice.

A follower asks for the next event when it is ready for it. As long as it keeps up with the end of the log, it reads
from this process's memory; once it is behind, it reads the database from its own place, so that nobody's slowness
costs others memory or time.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
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

    async def follow(self, organization_id: int, interest: Interest, after: str | None) -> "Follower":
        """A follower of the wanted entries after the cursor; without a cursor from now on.

        Raises BadUserInput, CursorExpired or CursorAhead.
        """
        known = await extent(self._database, organization_id)
        if after is None:
            return Follower(self, organization_id, interest, known.last, known.last)
        cursor = decode_cursor(organization_id, after)
        known.check(cursor)
        return Follower(self, organization_id, interest, cursor, known.last)

    async def read(self, organization_id: int, cursor: int, until: int) -> Sequence[Entry]:
        """A stretch of the log from the database; raises CursorExpired where it is no longer kept."""
        async with self._catching_up:
            read = await entries(self._database, organization_id, cursor, until)
            # Asked afterwards: what is kept now was kept when it was read.
            (await extent(self._database, organization_id)).check(cursor)
        return read

    def join(self, organization_id: int, head: int) -> Tail:
        """The end of a log, to be left again; it begins at ``head`` where nobody else follows."""
        tail = self._tails.get(organization_id)
        if tail is None:
            tail = self._tails[organization_id] = Tail(self._database, self._bus, organization_id, head)
        tail.users += 1
        return tail

    async def leave(self, tail: Tail) -> None:
        """Is over for one who has joined."""
        tail.users -= 1
        if not tail.users and self._tails.get(tail.organization_id) is tail:
            del self._tails[tail.organization_id]
            await tail.close()


class Follower:
    """One reader's way along a log. ``cursor`` is the sequence up to which it has read."""

    def __init__(self, log: LiveLog, organization_id: int, interest: Interest, cursor: int, head: int) -> None:
        self.organization_id = organization_id
        self.interest = interest
        self.cursor = cursor
        self._log = log
        self._head = head
        self._tail: Tail | None = None
        self._next: deque[Entry] = deque()

    def companion(self) -> "Follower":
        """Another follower with the same interest, that goes on from here."""
        return Follower(self._log, self.organization_id, self.interest, self.cursor, max(self.cursor, self._head))

    async def read(self) -> Sequence[Entry]:
        """What is wanted of the next entries, maybe nothing, once there are any; the cursor goes past all of them.

        Raises CursorExpired where the reader is so slow that what comes next has been removed.
        """
        await self.wait()
        tail = self._joined()
        until = tail.head
        if self.cursor >= tail.floor:
            read: Sequence[Entry] = tail.after(self.cursor)
        else:
            until = min(self.cursor + WINDOW, until)
            read = await self._log.read(self.organization_id, self.cursor, until)
        self.cursor = until
        return [entry for entry in read if self.interest.includes(entry)]

    async def wait(self) -> None:
        """Waits until there is something to be read."""
        await self._joined().grow_beyond(self.cursor)

    @property
    def is_behind(self) -> bool:
        """Whether there is something to be read."""
        return self._joined().head > self.cursor

    @contextmanager
    def heard_by(self, hear: Callable[[Entry], None]) -> Iterator[None]:
        """Has ``hear`` told meanwhile what this process commits, as soon as it has."""
        end = self._joined().listen(hear)
        try:
            yield
        finally:
            end()

    def _joined(self) -> Tail:
        if self._tail is None:
            self._tail = self._log.join(self.organization_id, max(self.cursor, self._head))
        return self._tail

    def __aiter__(self) -> "Follower":
        return self

    async def __anext__(self) -> Entry:
        while not self._next:
            self._next.extend(await self.read())
        return self._next.popleft()

    async def aclose(self) -> None:
        """Follows no longer."""
        tail, self._tail = self._tail, None
        if tail is not None:
            await self._log.leave(tail)
