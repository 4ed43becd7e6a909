"""Where the row tells what has changed since, what is kept is brought up; where it does not, it is worked out anew."""

import asyncio
from datetime import timedelta

import pytest

from api.domain.fund_metric_changes import of_distribution
from api.reads import fund_metrics, global_ids
from api.reads.kept import KeptAnswers, VersionMoved
from api.reads.loaders import Loaders
from api.services.audit import Subject
from api.services.commands import Command
from api.services.fund_versions import CHANGES_LENGTH_MAX, touch
from tests.reads.kept_funds import ARGUMENTS, READ, TODAY, Funds
from tests.reads.test_compiled import ask, resolvers_only
from tests.server import RunningServer


@pytest.fixture
async def three(server: RunningServer) -> Funds:
    return await Funds(server, KeptAnswers()).create()


async def distribute(three: Funds, *cents: int) -> None:
    """Tells of distributions, of which there are no rows: so only what is brought up shows them."""

    async def work(command: Command) -> int:
        for amount in cents:
            await touch(command, three.ids[0], of_distribution(amount, TODAY))
        command.record("distribution.recorded", Subject("Fund", three.ids[0]))
        return 0

    await three.written(work)


async def test_hit_is_brought_up_without_a_statement(three: Funds) -> None:
    before = (await three.read(0))[three.ids[0]]
    await distribute(three, 5)
    after = (await three.read(0))[three.ids[0]]
    assert after.distributed_cents == before.distributed_cents + 5
    assert (three.statements, three.kept.hits, three.kept.misses, three.kept.brought_up) == (1, 1, 1, 1)
    assert (await three.read(0))[three.ids[0]] is after
    await distribute(three, 1, 2)
    assert (await three.read(0))[three.ids[0]].distributed_cents == before.distributed_cents + 8
    assert (three.statements, three.kept.hits, three.kept.brought_up) == (1, 3, 2)


async def test_both_ways_of_answering_bring_up(three: Funds) -> None:
    fund = "query ($id: ID!) { fund(id: $id) { metrics { distributedCents grossIrr } } }"
    variables = {"id": global_ids.encode("Fund", three.ids[0])}
    caches = "{ system { caches { hits misses } } }"
    # Each server works it out from the rows at first.
    before = (await three.read(0))[three.ids[0]].distributed_cents
    async with resolvers_only(three.server) as slow:
        for client, path in ((three.server.client, "compiled"), (slow, "resolvers")):
            await ask(client, three.server, fund, variables)
            await distribute(three, 5)
            content, way = await ask(client, three.server, fund, variables)
            assert (way, f'"distributedCents":"{before + 5}"' in content.decode()) == (path, True)
            told, _ = await ask(client, three.server, caches, {})
            assert b'{"hits":"1","misses":"1"}' in told


async def test_more_changes_than_the_row_holds_are_worked_out(three: Funds) -> None:
    await three.read(0)
    await distribute(three, *range(1, 16))
    await three.read(0)
    assert (three.kept.hits, three.statements) == (1, 1)
    await distribute(three, *range(1, 61))
    assert len((await three.versions(0))[three.ids[0]].changes) == CHANGES_LENGTH_MAX
    await three.read(0)
    assert (three.kept.hits, three.statements) == (1, 2)


async def test_what_is_not_told_ends_what_was_told_before(three: Funds) -> None:
    await three.read(0)
    await distribute(three, 5)
    await three.resize(0, 10**12)
    assert (await three.versions(0))[three.ids[0]].changes == ""
    await distribute(three, 5)
    found = (await three.read(0))[three.ids[0]]
    assert (found.size_cents, three.kept.hits, three.statements) == (10**12, 0, 2)


async def test_version_that_was_moved_by_hand_or_by_an_older_server_is_worked_out(three: Funds) -> None:
    await distribute(three, 5)
    await three.read(0)
    await three.server.owner.execute("UPDATE fund_metrics_versions SET version = version + 1")
    await distribute(three, 5)
    await three.read(0)
    assert (three.kept.hits, three.statements, three.kept.brought_up) == (0, 2, 0)


async def test_older_snapshot_is_not_answered_with_what_came_later(three: Funds) -> None:
    before = (await three.read(0))[three.ids[0]]
    loaders = Loaders(three.server.database, three.organization_id, three.kept)
    await loaders.row("Fund", three.ids[0])
    await distribute(three, 5)
    new = (await three.read(0))[three.ids[0]]
    old = await loaders.kept(READ, three.ids[0], ARGUMENTS)
    await loaders.close()
    assert (old, new.distributed_cents) == (before, before.distributed_cents + 5)
    assert (await three.read(0))[three.ids[0]] is new


async def test_who_finds_later_answers_than_can_be_shown_is_told_so_without_a_statement(three: Funds) -> None:
    await three.read(0)
    versions = await three.versions(0)
    await distribute(three, 5)
    await three.read(0)
    with pytest.raises(VersionMoved):
        await three.get(versions)
    assert (three.kept.hits, three.statements) == (1, 1)


async def test_write_without_effects_leaves_the_version(three: Funds) -> None:
    async def work(command: Command) -> int:
        await touch(command, three.ids[0], [])
        command.record("capital_call.overdue", Subject("Fund", three.ids[0]))
        return 0

    await three.resize(0, 10**12)
    before = await three.versions(0)
    await three.written(work)
    assert await three.versions(0) == before


async def test_rate_of_many_days_is_there_before_it_is_asked_for(three: Funds, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fund_metrics, "FLOW_DAYS_MAX", 0)
    await three.read(0)
    await distribute(three, 5)
    versions = await three.versions(0)
    found = await asyncio.gather(*(three.get(versions) for _ in range(5)))
    metrics = found[0][three.ids[0]]
    assert all(one[three.ids[0]] is metrics for one in found)
    assert "irr" in metrics.__dict__
    assert (three.kept.hits, three.kept.brought_up) == (5, 1)


async def test_days_before_a_change_are_left_as_they_are(three: Funds) -> None:
    arguments = {"as_of": TODAY - timedelta(days=1), "is_past": True}
    loaders = Loaders(three.server.database, three.organization_id, three.kept)
    before = await loaders.kept(READ, three.ids[0], arguments)
    await distribute(three, 5)
    await loaders.reset()
    assert await loaders.kept(READ, three.ids[0], arguments) == before
    assert three.kept.hits == 1
    await loaders.close()
