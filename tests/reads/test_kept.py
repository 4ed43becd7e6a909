"""What is kept is answered while its version holds, and worked out once for all who wait for it."""

import asyncio
from collections.abc import Sequence
from datetime import date
from typing import Any

import pytest

from api.db.pools import Snapshot
from api.domain.access import Role
from api.graphql.schema import declared_fields, schema
from api.http.documents import Documents
from api.reads import global_ids
from api.reads.compiled.execution import Asking, run
from api.reads.declarations import Version
from api.reads.fund_metrics import FUND_METRICS
from api.reads.kept import KeptAnswers, Reader, VersionMoved
from api.reads.loaders import Loaders
from api.services.commands import Command
from api.services.fund_versions import touch
from tests.reads.kept_funds import ARGUMENTS, READ, TODAY, Funds
from tests.server import RunningServer


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
    found = await three.kept.get(READ, later, {three.ids[0]: Version(0)}, reader)
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


async def test_touching_is_part_of_the_write(three: Funds) -> None:
    async def fail(command: Command) -> int:
        await touch(command, three.ids[0], None)
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
    assert (await server.execute(query, role=Role.VIEWER)).data["system"]["caches"][0] == none
    await Funds(server, KeptAnswers()).create()
    for _ in range(4):
        await server.execute("{ funds { nodes { metrics { paidCents } } } }")
    answer = await server.execute("{ system { caches { name hits misses hitRate entryCount } } }")
    told = {"name": "fundMetrics", "hits": "9", "misses": "3", "hitRate": "0.75", "entryCount": 3}
    assert answer.data["system"]["caches"][0] == told
    scraped = (await server.client.get("/metrics")).text
    assert 'tranche_cache_lookups_total{cache="fund_metrics",result="hit"}' in scraped
