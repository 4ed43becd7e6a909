"""Answers that are dear to work out, kept in memory, each of one version of what they are made of.

Nobody is told that an answer has gone stale. Whoever wants one reads the version together with the row that it belongs
to. What is kept of exactly that version is what that reader's snapshot would give; what is kept of an earlier one is
brought up to it, where the same row tells what has changed since.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from api import metrics
from api.reads.declarations import KeptRead, KeptSelect, Version
from api.reads.pages import Parameters

BYTES_MAX = 64_000_000
"""How much memory answers may take in one process, by estimate; the one not asked for longest goes first."""
REFRESHES_AFTER_USE = 8
"""How often an answer is worked out anew, ahead of being asked for, after it was last asked for: if not only once."""

Fetch = Callable[..., Awaitable[Sequence[Any]]]


class VersionMoved(Exception):
    """The version is no longer the one that was read: whoever reads without a transaction must do it again in one."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where an answer is kept: a field of a row, with its arguments. ``read`` is compared by what it is."""

    organization_id: int
    read: KeptRead
    arguments: tuple[tuple[str, Any], ...]
    row_id: int

    def __hash__(self) -> int:
        return hash((self.organization_id, self.arguments, self.row_id))


@dataclass(slots=True)
class Kept:
    """An answer, the version that it is of, what it takes of memory, and how often it will be refreshed unasked.

    What was asked for only once will not be: many a day is looked at once. ``finishing``: a thread is at the rest.
    """

    version: int
    answer: Any
    bytes: int
    refreshes_left: int = 0
    finishing: asyncio.Task[object] | None = None

    async def finished(self) -> None:
        """Waits until nothing is left to be worked out."""
        if self.finishing is not None:
            # Shielded: others wait for the same.
            await asyncio.shield(self.finishing)
            self.finishing = None


class Flight:
    """An answer that somebody is working out. ``landed`` holds it with its version; None where nothing came of it."""

    __slots__ = ("has_connection", "landed")

    def __init__(self, *, has_connection: bool) -> None:
        self.has_connection = has_connection
        self.landed: asyncio.Future[Kept | None] = asyncio.get_running_loop().create_future()


@dataclass(frozen=True, slots=True)
class Reader:
    """How somebody reads. ``in_transaction``: all from one snapshot, on a connection that is held meanwhile."""

    organization_id: int
    fetch: Fetch
    in_transaction: bool


def _made(select: KeptSelect, records: Sequence[Any], arguments: Mapping[str, Any]) -> list[tuple[int, Kept]]:
    """What is made of a statement's records, by the rows' ids."""
    made = []
    for record in records:
        answer = select.answer(record, arguments)
        made.append((record[0], Kept(record[1], answer, select.weigh(answer))))
    return made


class KeptAnswers:
    """The kept answers of one process."""

    def __init__(self, bytes_max: int = BYTES_MAX) -> None:
        self.bytes_max = bytes_max
        self.bytes = 0
        self.hits = 0
        self.misses = 0
        self.brought_up = 0
        self.on_first_of: Callable[[int], None] | None = None
        """Told each organization of which an answer is kept that had none."""
        self.on_last_of: Callable[[int], None] | None = None
        """Told each organization of which no answer is kept any more."""
        self._kept: OrderedDict[Place, Kept] = OrderedDict()
        self._places: dict[int, set[Place]] = {}
        self._flights: dict[tuple[Place, int], Flight] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def places(self, organization_id: int) -> Sequence[tuple[Place, Kept]]:
        """What is kept for an organization."""
        return [(place, self._kept[place]) for place in self._places.get(organization_id, ())]

    async def get(
        self, read: KeptRead, arguments: Mapping[str, Any], versions: Mapping[int, Version], reader: Reader
    ) -> dict[int, Any]:
        """The answers for the rows with these ids, whose versions the reader has read, by id.

        What is not kept is worked out with one statement for all rows, unless somebody is at it already. A hit is an
        answer that was kept, of that version or brought up to it; one that took the statement is a miss, also for who
        has only waited. Raises VersionMoved where the reader is not in a transaction and a version has moved since.
        """
        common = tuple(sorted(arguments.items()))
        wanted = {Place(reader.organization_id, read, common, row_id): version for row_id, version in versions.items()}
        held = {place: kept for place, version in wanted.items() if (kept := self._hit(place, version))}
        missing = {place: version.number for place, version in wanted.items() if place not in held}
        hits, misses = len(held), len(missing)
        for kept in held.values():
            await kept.finished()
        found = {place.row_id: kept.answer for place, kept in held.items()}
        asked_again = [place for place in missing if place in self._kept]
        if not reader.in_transaction and any(self._kept[place].version > missing[place] for place in asked_again):
            # What the statement would find is as new, and not for this reader.
            raise VersionMoved
        while missing:
            flights = {place: self._joinable(place, version, reader) for place, version in missing.items()}
            to_do = {place: version for place, version in missing.items() if flights[place] is None}
            landed = await self.work_out(to_do, reader) if to_do else {}
            for place, flight in flights.items():
                # Shielded: others wait for the same.
                done = landed.get(place) if flight is None else await asyncio.shield(flight.landed)
                if done is not None and done.version == missing[place]:
                    found[place.row_id] = done.answer
                    del missing[place]
                elif flight is None:
                    raise VersionMoved
        for place in asked_again:
            self._renew(place)
        self._count(read.select.name, hits, misses)
        return found

    async def work_out(self, wanted: Mapping[Place, int], reader: Reader) -> dict[Place, Kept]:
        """Works out the answers of one field with the same arguments, as they are now, and keeps them."""
        any_place = next(iter(wanted))
        select, arguments = any_place.read.select, dict(any_place.arguments)
        own = {}
        for key in wanted.items():
            if key not in self._flights:
                own[key] = self._flights[key] = Flight(has_connection=reader.in_transaction)
        landed: dict[Place, Kept] = {}
        try:
            parameters = Parameters(reader.organization_id)
            keys = parameters.add([place.row_id for place in wanted], "bigint[]")
            bound = {name: parameters.add(arguments[name], type_name) for name, type_name in select.types.items()}
            sql = select.sql(arguments).format(organization=Parameters.ORGANIZATION, keys=keys, **bound)
            by_id = {place.row_id: place for place in wanted}
            records = await reader.fetch(sql, *parameters)
            # In a thread: what a large answer takes to be made would keep all others from being answered.
            answers = await asyncio.to_thread(_made, select, records, arguments)
            landed = {by_id[row_id]: kept for row_id, kept in answers}
        finally:
            for key, flight in own.items():
                del self._flights[key]
                flight.landed.set_result(landed.get(key[0]))
        for place, kept in landed.items():
            self._keep(place, kept)
        return landed

    def is_under_way(self, place: Place, version: int) -> bool:
        """Whether somebody is working out the answer of this version."""
        return (place, version) in self._flights

    def at(self, place: Place) -> Kept | None:
        """What is kept there, of whatever version."""
        return self._kept.get(place)

    def bring_up(self, place: Place, version: Version) -> Kept | None:
        """What is kept there, brought up to a version where it is of an earlier one.

        None where nothing is kept there, or a later version, or what has changed since is not told.
        """
        kept = self._kept.get(place)
        if kept is None or kept.version == version.number:
            return kept
        select = place.read.select
        answer = select.bring_up(kept.answer, kept.version, version) if kept.version < version.number else None
        if answer is None:
            return None
        brought_up = Kept(version.number, answer, select.weigh(answer))
        finish = select.finish(answer)
        if finish is not None:
            brought_up.finishing = asyncio.create_task(asyncio.to_thread(finish))
        self._keep(place, brought_up)
        self.brought_up += 1
        metrics.cache_brought_up(select.name).inc()
        return brought_up

    def _hit(self, place: Place, version: Version) -> Kept | None:
        kept = self.bring_up(place, version)
        if kept is not None:
            self._renew(place)
        return kept

    def _renew(self, place: Place) -> None:
        """Notes that what is kept there was asked for again."""
        kept = self._kept.get(place)
        if kept is not None:
            kept.refreshes_left = REFRESHES_AFTER_USE
            self._kept.move_to_end(place)

    def _joinable(self, place: Place, version: int, reader: Reader) -> Flight | None:
        """Somebody's work that the reader may wait for.

        Whoever holds a connection must not wait for one who has yet to get one: all might be held by such as wait.
        """
        flight = self._flights.get((place, version))
        return flight if flight and (flight.has_connection or not reader.in_transaction) else None

    def _keep(self, place: Place, kept: Kept) -> None:
        """Keeps an answer, unless a newer one is kept, in the place of an older one."""
        earlier = self._kept.get(place)
        if kept.bytes > self.bytes_max or (earlier is not None and earlier.version > kept.version):
            return
        if earlier is None:
            places = self._places.setdefault(place.organization_id, set())
            if not places and self.on_first_of is not None:
                self.on_first_of(place.organization_id)
            places.add(place)
        else:
            kept.refreshes_left = earlier.refreshes_left
            self.bytes -= earlier.bytes
        self._kept[place] = kept
        self._kept.move_to_end(place)
        self.bytes += kept.bytes
        while self.bytes > self.bytes_max:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        place, kept = self._kept.popitem(last=False)
        self.bytes -= kept.bytes
        left = self._places[place.organization_id]
        left.discard(place)
        if not left:
            del self._places[place.organization_id]
            if self.on_last_of is not None:
                self.on_last_of(place.organization_id)

    def _count(self, name: str, hits: int, misses: int) -> None:
        self.hits += hits
        self.misses += misses
        metrics.cache_lookups(name, "hit").inc(hits)
        metrics.cache_lookups(name, "miss").inc(misses)
