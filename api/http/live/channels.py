"""Those who have caught up with a log: an event is answered once for all who ask the same, and handed to all at once.

A reader of its own for each of a thousand subscribers, woken for each event, takes longer than all else that an event
costs. So each waits in a channel while it keeps up, and goes on by itself, from its own cursor, when it does not.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, Protocol, TypeVar

import structlog

from api.reads.live.followers import Follower
from api.reads.live.positions import Entry

AT_ONCE = 100
"""To how many a response is handed before others have their turn."""

logger = structlog.get_logger(__name__)


class Shown(Protocol):
    """What an event is answered with."""

    @property
    def has_data(self) -> bool:
        """Whether those who take it go on."""


R = TypeVar("R", bound=Shown)

Take = Callable[[R], bool]
"""Takes a response at once, or not at all: False where whoever it is for does not keep up, or has gone."""


class Channels(Generic[R]):
    """The channels of a process, by what those in one have in common: what they ask, and of which log."""

    def __init__(self) -> None:
        self._open: dict[Hashable, _Channel[R]] = {}

    async def attend(
        self, key: Hashable, follower: Follower, answer: Callable[[Entry], Awaitable[R]], take: Take[R]
    ) -> R | None:
        """Has ``take`` be given what happens, as long as the follower keeps up, whose cursor moves along.

        Returns None when it has to go on by itself: at once where it is behind the others, or when ``take`` takes no
        more. Else the response with which it must end.
        """
        channel = self._open.get(key)
        if channel is None:
            channel = self._open[key] = _Channel(follower.companion(), answer)
            channel.task.add_done_callback(lambda _: self._open.pop(key))
        return await channel.attend(follower, take)


class _Member(Generic[R]):
    """One of those in a channel."""

    __slots__ = ("follower", "has_left", "last", "take")

    def __init__(self, follower: Follower, take: Take[R]) -> None:
        self.follower = follower
        self.take = take
        self.has_left = asyncio.Event()
        self.last: R | None = None


class _Channel(Generic[R]):
    """Reads along a log until nobody is left. What it has handed to all ends with ``position``."""

    def __init__(self, follower: Follower, answer: Callable[[Entry], Awaitable[R]]) -> None:
        self.position = follower.cursor
        self._follower = follower
        self._answer = answer
        self._members: dict[_Member[R], None] = {}
        self.task = asyncio.create_task(self._run())

    async def attend(self, follower: Follower, take: Take[R]) -> R | None:
        """Waits among the others while they are not ahead."""
        if follower.cursor < self.position or self.task.done():
            return None
        member = _Member(follower, take)
        self._members[member] = None
        try:
            await member.has_left.wait()
        finally:
            self._dismiss(member)
            if not self._members:
                self.task.cancel()
        return member.last

    async def _run(self) -> None:
        try:
            while True:
                for entry in await self._follower.read():
                    response = await self._answer(entry)
                    if not response.has_data:
                        self._end_with(response)
                        return
                    await self._hand_over(entry.sequence, response)
                self._move_to(self._follower.cursor)
        except Exception as error:
            # Each of those who wait meets it on the own way, where it is told.
            logger.info("channel_failed", error=repr(error))
        finally:
            for member in tuple(self._members):
                self._dismiss(member)
            await self._follower.aclose()

    async def _hand_over(self, sequence: int, response: R) -> None:
        while behind := [member for member in self._members if member.follower.cursor < sequence]:
            for member in behind[:AT_ONCE]:
                if member.take(response):
                    member.follower.cursor = sequence
                else:
                    self._dismiss(member)
            if len(behind) > AT_ONCE:
                await asyncio.sleep(0)
        self.position = sequence

    def _end_with(self, response: R) -> None:
        for member in self._members:
            member.last = response

    def _move_to(self, sequence: int) -> None:
        """All know now that nothing more is for them until here."""
        self.position = sequence
        for member in self._members:
            member.follower.cursor = max(member.follower.cursor, sequence)

    def _dismiss(self, member: _Member[R]) -> None:
        self._members.pop(member, None)
        member.has_left.set()
