"""What is kept is worked out anew ahead of being asked for, for those who ask, and no more often than that."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from api import metrics
from api.db.event_bus import EventBus
from api.db.pools import Snapshot
from api.reads.declarations import Version
from api.reads.kept import REFRESHES_AFTER_USE, Kept, KeptAnswers, Place, Reader
from api.reads.kept_ahead import Refresher
from tests.db.test_event_bus import until
from tests.reads.kept_funds import ARGUMENTS, READ, Funds
from tests.server import RunningServer


class Observed(KeptAnswers):
    """Says when something was worked out."""

    def __init__(self) -> None:
        super().__init__()
        self.done = asyncio.Event()

    async def work_out(self, wanted: Any, reader: Reader) -> dict[Place, Kept]:
        landed = await super().work_out(wanted, reader)
        self.done.set()
        return landed


class ObservedFunds(Funds):
    """Funds with answers that say when they were worked out."""

    kept: Observed


@pytest.fixture
async def ahead(server: RunningServer) -> AsyncIterator[tuple[ObservedFunds, EventBus]]:
    """The funds with a refresher, and another process's event bus."""
    bus, other = EventBus(server.database_url), EventBus(server.database_url)
    kept = Observed()
    refresher = Refresher(kept, server.database, bus)
    for part in (bus, other, refresher):
        part.start()
    try:
        await until(lambda: bus.is_listening and other.is_listening)
        three = ObservedFunds(server, kept)
        await three.create()
        yield three, other
    finally:
        for closing in (refresher, bus, other):
            await closing.close()


async def worked_out(three: ObservedFunds) -> None:
    """Waits until something has been worked out since the last time."""
    async with asyncio.timeout(10):
        await three.kept.done.wait()
    three.kept.done.clear()


async def test_what_another_process_writes_is_worked_out_before_it_is_asked_for(
    ahead: tuple[ObservedFunds, EventBus],
) -> None:
    three, other = ahead
    before = metrics.CACHE_REFRESHES.labels("fund_metrics")._value.get()
    for _ in range(2):
        await three.read(0, 1)
    await worked_out(three)
    await three.resize(0, 10**12, other)
    await worked_out(three)
    assert (await three.read(0))[three.ids[0]].size_cents == 10**12
    assert (three.kept.hits, three.kept.misses, three.statements) == (3, 2, 1)
    assert metrics.CACHE_REFRESHES.labels("fund_metrics")._value.get() == before + 1


async def test_what_nobody_asks_for_is_worked_out_so_often_and_no_more(ahead: tuple[ObservedFunds, EventBus]) -> None:
    three, other = ahead
    for _ in range(2):
        await three.read(0, 1)
    await worked_out(three)
    for number in range(REFRESHES_AFTER_USE):
        await three.resize(0, 1 + number, other)
        await worked_out(three)
    await three.resize(0, 10**6, other)
    # What comes of this write comes after what might come of the last.
    await three.resize(1, 10**6, other)
    await worked_out(three)
    hits = three.kept.hits
    await three.read(1)
    assert three.kept.hits == hits + 1
    await three.read(0)
    assert three.kept.hits == hits + 1


async def test_what_was_asked_for_once_is_not_worked_out_ahead(ahead: tuple[ObservedFunds, EventBus]) -> None:
    three, other = ahead
    await three.read(0, 1)
    await three.read(1)
    await worked_out(three)
    await three.resize(0, 10**6, other)
    await three.resize(1, 10**6, other)
    await worked_out(three)
    await three.read(0, 1)
    assert (three.kept.hits, three.kept.misses) == (2, 3)
    # Now it was asked for again.
    three.kept.done.clear()
    await three.resize(0, 10**7, other)
    await worked_out(three)
    await three.read(0)
    assert three.kept.hits == 3


async def test_nothing_is_listened_for_where_nothing_is_kept(server: RunningServer) -> None:
    bus, kept = EventBus(server.database_url), KeptAnswers()
    refresher = Refresher(kept, server.database, bus)
    refresher.start()
    three = await Funds(server, kept).create()
    assert bus._watchers == {}
    await three.read(0)
    await three.resize(0, 5)
    await three.read(0)
    assert list(bus._watchers) == [three.organization_id]
    # Another organization's takes the room.
    kept.bytes_max = kept.bytes
    beta = server.organization_ids["beta"]
    fund_id = await server.owner.fetchval(
        "INSERT INTO funds (organization_id, name, currency) VALUES ($1, 'Fund', 'USD') RETURNING id", beta
    )
    snapshot = Snapshot(server.database, beta)
    await kept.get(READ, ARGUMENTS, {fund_id: Version(0)}, Reader(beta, snapshot.fetch_alone, in_transaction=False))
    assert list(bus._watchers) == [beta]
    await refresher.close()
    assert bus._watchers == {}
