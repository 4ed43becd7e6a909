"""Loading what there is and then following what happens: the cursor in between belongs to what was loaded."""

import asyncio

import pytest

from api.domain.access import Role
from api.reads.live.positions import decode_cursor
from tests.http.live.clients import EVENTS, LiveServer

LOAD = "{ eventCursor funds(first: 1) { totalCount } }"


async def load(live: LiveServer, query: str = LOAD) -> tuple[int, int, str]:
    """How many funds there were, up to which sequence of the log, and the cursor of that."""
    data = (await live.server.execute(query, role=Role.VIEWER)).data
    cursor: str = data["eventCursor"]
    return data["funds"]["totalCount"], decode_cursor(live.server.organization_ids["alpha"], cursor), cursor


async def test_what_happens_after_loading_is_what_comes(live: LiveServer) -> None:
    await live.create_fund()
    _, sequence, cursor = await load(live)
    await live.create_fund("beta")
    await live.create_fund()
    await live.create_fund()
    async with live.session() as session:
        await session.subscribe(EVENTS, {"after": cursor})
        for expected in (sequence + 1, sequence + 2):
            event = (await session.next())["eventRecorded"]["event"]
            assert (int(event["sequence"]), event["action"]) == (expected, "fund.created")


@pytest.mark.parametrize("query", [LOAD, "{ funds(first: 1) { totalCount } eventCursor }"])
async def test_cursor_is_of_the_snapshot_that_the_rest_is_from(live: LiveServer, query: str) -> None:
    """Each fund is one event of the log: where funds are made all the time, the two must always agree."""
    funds, sequence, _ = await load(live)
    writing = asyncio.gather(*(_write(live, 15) for _ in range(4)))
    seen = set()
    while not writing.done():
        funds_now, sequence_now, _ = await load(live, query)
        assert funds_now - funds == sequence_now - sequence
        seen.add(sequence_now)
    await writing
    assert len(seen) > 1
    assert (await load(live))[0] == funds + 60


async def _write(live: LiveServer, times: int) -> None:
    for _ in range(times):
        await live.create_fund()


async def test_cursor_of_an_empty_log_is_its_beginning(live: LiveServer) -> None:
    await live.server.owner.execute("DELETE FROM audit_events")
    await live.server.owner.execute("UPDATE audit_heads SET sequence = 0")
    assert (await load(live))[1] == 0
