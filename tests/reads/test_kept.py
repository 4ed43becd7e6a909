"""What is kept is answered while its version holds, and worked out once for all who wait for it."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, date, datetime
from random import Random
from typing import Any

import pytest
from pydantic import TypeAdapter

from api import metrics
from api.db.event_bus import EventBus
from api.db.pools import Snapshot
from api.domain.access import Role
from api.domain.fund_metrics import FundMetrics
from api.graphql.schema import declared_fields, schema
from api.http.documents import Documents
from api.reads import global_ids
from api.reads.compiled.execution import Asking, run
from api.reads.declarations import KeptRead
from api.reads.fund_metrics import FUND_METRICS
from api.reads.kept import REFRESHES_AFTER_USE, Kept, KeptAnswers, Place, Reader, VersionMoved
from api.reads.kept_ahead import Refresher
from api.reads.loaders import Loaders
from api.services import funds
from api.services.commands import Command, Writer
from api.services.fund_versions import touch
from tests.commitments import insert, random_commitments
from tests.db.test_event_bus import until
from tests.server import RunningServer

TODAY = datetime.now(UTC).date()
READ = KeptRead(FUND_METRICS, lambda found, _given: found, {"asOf": "as_of"})
ARGUMENTS = READ.arguments({}, TODAY)


class Funds:
    """Three funds of alpha, and readers of their metrics that count statements and can be held up."""

    def __init__(self, server: RunningServer, kept: KeptAnswers) -> None:
        self.server, self.kept = server, kept
        self.organization_id = server.organization_ids["alpha"]
        self.ids: list[int] = []
        self.statements = 0
        self.may_read = asyncio.Event()
        self.may_read.set()
        self.has_asked = asyncio.Event()

    async def create(self) -> "Funds":
        for number in range(3):
            self.ids.append(await self.written(lambda command, n=number: funds.create_fund(command, name=f"Fund {n}")))
            rows = random_commitments(Random(number), date(2025, 1, 1))
            await insert(self.server.owner, self.organization_id, self.ids[-1], rows)
        return self

    async def written(self, work: Any, bus: EventBus | None = None) -> int:
        writer = Writer(self.server.database, bus=bus)
        outcome = await writer.run(self.server.principal(), "createFund", work, result_type=TypeAdapter(int))
        return outcome.result

    async def resize(self, number: int, size_cents: int, bus: EventBus | None = None) -> None:
        """Changes a fund's size, and so its version."""

        async def work(command: Command) -> int:
            fund_id = self.ids[number]
            version = await command.connection.fetchval("SELECT version FROM funds WHERE id = $1", fund_id)
            changes = {"size_cents": size_cents}
            return await funds.update_fund(command, fund_id=fund_id, expected_version=version, changes=changes)

        await self.written(work, bus)

    async def fetch(self, sql: str, *parameters: Any) -> Sequence[Any]:
        self.statements += 1
        self.has_asked.set()
        await self.may_read.wait()
        return await self.server.database.reads.fetch_for(self.organization_id, sql, parameters)

    async def versions(self, *numbers: int) -> dict[int, int]:
        rows = await self.server.owner.fetch("SELECT fund_id, version FROM fund_metrics_versions")
        known = {row["fund_id"]: row["version"] for row in rows}
        return {self.ids[number]: known.get(self.ids[number], 0) for number in numbers}

    async def read(self, *numbers: int) -> dict[int, FundMetrics]:
        """The metrics of funds whose versions have just been read."""
        return await self.get(await self.versions(*numbers))

    async def get(
        self, versions: Mapping[int, int], fetch: Any = None, *, in_transaction: bool = False
    ) -> dict[int, FundMetrics]:
        """The metrics of these versions, without another await before they are looked for."""
        reader = Reader(self.organization_id, fetch or self.fetch, in_transaction)
        return await self.kept.get(READ, ARGUMENTS, versions, reader)


@pytest.fixture
async def three(server: RunningServer) -> Funds:
    return await Funds(server, KeptAnswers()).create()


async def test_answer_is_kept_until_its_version_moves(three: Funds) -> None:
    before = await three.read(0, 1)
    assert await three.read(0, 1) == before
    assert (three.statements, three.kept.hits, three.kept.misses) == (1, 2, 2)
    await three.resize(0, 10**12)
    after = await three.read(0, 1)
    assert after[three.ids[0]].size_cents == 10**12
    assert after[three.ids[1]] is before[three.ids[1]]
    assert (three.statements, three.kept.hits, three.kept.misses) == (2, 3, 3)


async def test_other_days_are_answers_of_their_own_and_a_day_that_has_passed_is_another(three: Funds) -> None:
    later = READ.arguments({"as_of": TODAY}, date.max)
    assert later != ARGUMENTS
    await three.read(0)
    reader = Reader(three.organization_id, three.fetch, in_transaction=False)
    found = await three.kept.get(READ, later, {three.ids[0]: 0}, reader)
    assert (three.statements, found[three.ids[0]].nav_cents) == (2, None)


async def test_fifty_who_want_the_same_wait_for_one_statement(three: Funds) -> None:
    three.may_read.clear()
    versions = await three.versions(0, 1)
    waiting = [asyncio.create_task(three.get(versions)) for _ in range(50)]
    await three.has_asked.wait()
    three.may_read.set()
    found = await asyncio.gather(*waiting)
    assert three.statements == 1
    assert len({id(answers[three.ids[1]]) for answers in found}) == 1
    assert (three.kept.hits, three.kept.misses) == (0, 100)


async def test_who_waited_for_one_that_gave_up_works_it_out(three: Funds) -> None:
    three.may_read.clear()
    versions = await three.versions(0)
    first, second = asyncio.create_task(three.get(versions)), asyncio.create_task(three.get(versions))
    await three.has_asked.wait()
    assert three.statements == 1
    first.cancel()
    three.may_read.set()
    assert three.ids[0] in await second
    assert first.cancelled()
    assert three.statements == 2


async def test_who_waited_for_one_that_failed_works_it_out(three: Funds) -> None:
    async def fail(*_statement: Any) -> Sequence[Any]:
        three.has_asked.set()
        await three.may_read.wait()
        raise ConnectionError

    three.may_read.clear()
    versions = await three.versions(0)
    first, second = asyncio.create_task(three.get(versions, fail)), asyncio.create_task(three.get(versions))
    await three.has_asked.wait()
    three.may_read.set()
    with pytest.raises(ConnectionError):
        await first
    assert three.ids[0] in await second
    assert three.statements == 1


async def test_who_holds_a_connection_waits_for_nobody_who_has_none(three: Funds) -> None:
    """All connections may be held by such as wait; then nobody would ever get one."""
    three.may_read.clear()
    versions = await three.versions(0)
    first = asyncio.create_task(three.get(versions))
    await three.has_asked.wait()
    snapshot = Snapshot(three.server.database, three.organization_id)
    found = await three.get(versions, snapshot.fetch, in_transaction=True)
    await snapshot.close()
    assert not first.done()
    three.may_read.set()
    assert await first == found


async def test_version_that_moves_after_it_was_read_is_told(three: Funds) -> None:
    async def fetch(sql: str, *parameters: Any) -> Sequence[Any]:
        await three.resize(0, 10**12)
        return await three.fetch(sql, *parameters)

    with pytest.raises(VersionMoved):
        await three.get(await three.versions(0), fetch)
    # What was found is newer, and kept as such.
    assert (await three.read(0))[three.ids[0]].size_cents == 10**12
    assert three.kept.hits == 1


class WritingInBetween(Snapshot):
    """Something is written after the first statement that is read alone."""

    three: Funds

    async def fetch_alone(self, sql: str, *arguments: Any) -> Sequence[Any]:
        rows = await Snapshot.fetch_alone(self, sql, *arguments)
        if len(self.statements) == 1:
            await self.three.resize(0, 10**12)
        return rows


async def test_query_is_answered_from_one_snapshot_whatever_is_written_meanwhile(three: Funds) -> None:
    text = "query ($id: ID!) { fund(id: $id) { sizeCents metrics { utilization utilizationReason } } }"
    operation = Documents(schema()._schema, declared_fields()).get(text).operations[0]
    variables = operation.plans.variables.read({"id": global_ids.encode("Fund", three.ids[0])})
    assert variables is not None
    plan = operation.plans.get(variables)
    assert plan is not None
    snapshot = WritingInBetween(three.server.database, three.organization_id)
    snapshot.three = three
    data = await run(plan, snapshot, variables, Asking(Role.VIEWER, TODAY, three.kept))
    assert data is not None
    assert (data["fund"]["sizeCents"], data["fund"]["metrics"]["utilizationReason"]) == ("1000000000000", None)
    # The row, its metrics, and the row again from a snapshot of which the metrics are known.
    assert len(snapshot.statements) == 3
    assert three.server.database.reads.idle_size == three.server.database.reads.size


async def test_older_snapshot_gets_what_it_shows_and_keeps_nothing_of_it(three: Funds) -> None:
    loaders = Loaders(three.server.database, three.organization_id, three.kept)
    await loaders.row("Fund", three.ids[0])
    await three.resize(0, 10**12)
    new = (await three.read(0))[three.ids[0]]
    old = await loaders.kept(READ, three.ids[0], ARGUMENTS)
    await loaders.close()
    assert (old.size_cents, new.size_cents) == (None, 10**12)
    assert (await three.read(0))[three.ids[0]] is new


async def test_memory_is_bounded_and_what_was_asked_for_last_stays(server: RunningServer) -> None:
    three = await Funds(server, KeptAnswers()).create()
    sizes = [FUND_METRICS.weigh(answer) for answer in (await three.read(0, 1, 2)).values()]
    three.kept.bytes_max = sum(sizes) - 1
    await three.resize(2, 1)
    await three.read(0)
    await three.read(2)
    assert len(three.kept) == 2
    assert three.kept.bytes <= three.kept.bytes_max
    hits = three.kept.hits
    await three.read(0, 2)
    assert three.kept.hits == hits + 2
    three.kept.bytes_max = 1
    await three.read(1)
    assert len(three.kept) == 2


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
    await kept.get(READ, ARGUMENTS, {fund_id: 0}, Reader(beta, snapshot.fetch_alone, in_transaction=False))
    assert list(bus._watchers) == [beta]
    await refresher.close()
    assert bus._watchers == {}


async def test_touching_is_part_of_the_write(three: Funds) -> None:
    async def fail(command: Command) -> int:
        await touch(command, three.ids[0])
        raise ZeroDivisionError

    await three.read(0)
    with pytest.raises(ZeroDivisionError):
        await three.written(fail)
    await three.read(0)
    assert three.kept.hits == 1


async def test_caches_are_told_of(server: RunningServer) -> None:
    query = (
        "{ funds { nodes { metrics { paidCents } } } system { caches { name hits misses hitRate entryCount bytes } } }"
    )
    none = {"name": "fundMetrics", "hits": "0", "misses": "0", "hitRate": None, "entryCount": 0, "bytes": "0"}
    assert (await server.execute(query, role=Role.VIEWER)).data["system"]["caches"] == [none]
    await Funds(server, KeptAnswers()).create()
    for _ in range(4):
        await server.execute("{ funds { nodes { metrics { paidCents } } } }")
    answer = await server.execute("{ system { caches { name hits misses hitRate entryCount } } }")
    told = {"name": "fundMetrics", "hits": "9", "misses": "3", "hitRate": "0.75", "entryCount": 3}
    assert answer.data["system"]["caches"] == [told]
    scraped = (await server.client.get("/metrics")).text
    assert 'tranche_cache_lookups_total{cache="fund_metrics",result="hit"}' in scraped
