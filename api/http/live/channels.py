"""Those who have caught up with a log: an event is answered once for all who ask the same, and handed to all at once.

A reader of its own for each of a thousand subscribers, woken for each event, takes longer than all else that an event
costs. So each waits in a channel while it keeps up, and goes on by itself, from its own cursor, when it does not.

While many write, handing out takes at most a part of the process's time, so that a thousand subscribers do not keep
them waiting: where there is more to hand out than goes into that, what happens meanwhile goes out together.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import structlog

from api.reads.live.followers import Follower
from api.reads.live.positions import Entry

AT_ONCE = 100
"""To how many is handed before others have their turn."""
SHARE_MAX = 1 / 16
"""The part of the process's time that handing out takes at most, while many write."""
WRITES_MIN = 5
"""So many writes under way at once are many, where they remain so: each waits for the others already."""
BURST_SECONDS_MAX = 0.25
"""For how long many may be no more than a burst, which is best handed out at once."""
LOOK_SECONDS = 0.002
"""How often it is looked whether there are fewer."""

logger = structlog.get_logger(__name__)


class Shown(Protocol):
    """What an event is answered with."""

    @property
    def has_data(self) -> bool:
        """Whether those who take it go on."""


R = TypeVar("R", bound=Shown)

Take = Callable[[Sequence[R]], bool]
"""Takes responses at once, or none of them: False where whoever they are for does not keep up, or has gone."""


@dataclass(frozen=True, slots=True)
class Answering(Generic[R]):
    """What answers the events of a channel: ``at_hand`` where nothing has to be read for it, else ``read``."""

    at_hand: Callable[[Entry], R | None]
    read: Callable[[Entry], Awaitable[R]]


class Channels(Generic[R]):
    """The channels of a process, by what those in one have in common: what they ask, and of which log."""

    def __init__(self, writes_under_way: Callable[[], int]) -> None:
        self._open: dict[Hashable, _Channel[R]] = {}
        self._turns = _Turns(writes_under_way)

    async def attend(self, key: Hashable, follower: Follower, answering: Answering[R], take: Take[R]) -> R | None:
        """Has ``take`` be given what happens, as long as the follower keeps up, whose cursor moves along.

        Returns None when it has to go on by itself: at once where it is behind the others, or when ``take`` takes no
        more. Else the response with which it must end.
        """
        channel = self._open.get(key)
        if channel is None:
            channel = self._open[key] = _Channel(follower.companion(), answering, self._turns)
            channel.task.add_done_callback(lambda _: self._open.pop(key))
        return await channel.attend(follower, take)


class _Turns:
    """When handing out may begin again: while many write, each time is followed by a rest in which they have theirs."""

    def __init__(self, writes_under_way: Callable[[], int]) -> None:
        self._writes_under_way = writes_under_way
        self._many_since: float | None = None
        self._free_at = 0.0
        self._waiting = asyncio.Lock()

    def is_free(self) -> bool:
        """Whether anybody may begin just now."""
        now = time.perf_counter()
        if self._writes_under_way() < WRITES_MIN:
            self._many_since = None
        elif self._many_since is None:
            self._many_since = now
        is_burst = self._many_since is None or now < self._many_since + BURST_SECONDS_MAX
        return is_burst or now >= self._free_at

    async def rest(self) -> None:
        """Waits for a turn, one after the other."""
        async with self._waiting:
            while not self.is_free():  # noqa: ASYNC110 - writes tell nobody when they are few
                await asyncio.sleep(LOOK_SECONDS)

    def took(self, seconds: float) -> None:
        """Notes how much of the processor's time handing out has taken."""
        self._free_at = max(self._free_at, time.perf_counter()) + seconds * (1 / SHARE_MAX - 1)


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

    def __init__(self, follower: Follower, answering: Answering[R], turns: _Turns) -> None:
        self.position = follower.cursor
        self._follower = follower
        self._answering = answering
        self._turns = turns
        self._members: dict[_Member[R], None] = {}
        self._is_idle = False
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
            with self._follower.heard_by(self._hear):
                while await self._step():
                    pass
        except Exception as error:
            # Each of those who wait meets it on the own way, where it is told.
            logger.info("channel_failed", error=repr(error))
        finally:
            for member in tuple(self._members):
                self._dismiss(member)
            await self._follower.aclose()

    async def _step(self) -> bool:
        """Hands out what has happened next; False where the channel ends with that."""
        self._is_idle = True
        await self._follower.wait()
        self._is_idle = False
        responses: list[tuple[int, R]] = []
        last = await self._answer(responses)
        while responses and last is None and not self._turns.is_free():
            await self._turns.rest()
            # What has happened meanwhile goes out with it.
            last = await self._answer(responses)
        await self._hand_out(responses)
        if last is not None:
            self._end_with(last)
            return False
        self._move_to(self._follower.cursor)
        return True

    async def _answer(self, responses: list[tuple[int, R]]) -> R | None:
        """Adds the responses to what there is to be read; returns the one with which the channel must end."""
        while self._follower.is_behind:
            for entry in await self._follower.read():
                response = self._answering.at_hand(entry) or await self._answering.read(entry)
                if not response.has_data:
                    return response
                responses.append((entry.sequence, response))
        return None

    def _hear(self, entry: Entry) -> None:
        """Hands out what this process has just committed, where nothing is in the way of doing it at once."""
        if not self._is_idle or len(self._members) > AT_ONCE or not self._turns.is_free():
            return
        if self._follower.cursor != entry.sequence - 1 or not self._follower.interest.includes(entry):
            return
        response = self._answering.at_hand(entry)
        if response is not None:
            self._give([(entry.sequence, response)], tuple(self._members))
            self._follower.cursor = entry.sequence
            self._move_to(entry.sequence)

    async def _hand_out(self, responses: Sequence[tuple[int, R]]) -> None:
        """Gives the responses, by their sequences, to all who have not had them."""
        if not responses:
            return
        last = responses[-1][0]
        while behind := [member for member in self._members if member.follower.cursor < last]:
            self._give(responses, behind[:AT_ONCE])
            if len(behind) > AT_ONCE:
                await asyncio.sleep(0)

    def _give(self, responses: Sequence[tuple[int, R]], members: Sequence[_Member[R]]) -> None:
        started = time.thread_time()
        (first, _), (last, _) = responses[0], responses[-1]
        everything = [response for _, response in responses]
        for member in members:
            cursor = member.follower.cursor
            wanted = everything if cursor < first else [one for sequence, one in responses if sequence > cursor]
            if not wanted or member.take(wanted):
                member.follower.cursor = max(cursor, last)
            else:
                self._dismiss(member)
        self._turns.took(time.thread_time() - started)

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
