"""Writers, subscribers and disturbances at once; afterwards everybody must have heard the same history."""

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path

import httpx

from api.reads import global_ids
from api.reads.live.positions import encode_cursor
from tests.chaos.place import Place, place
from tests.chaos.subscribers import Subscriber
from tests.chaos.writers import Written, write

WRITERS = 12
SUBSCRIBERS = 20
SETTLE_SECONDS_MAX = 120
PAUSE_SECONDS = (0.5, 3.0)


@dataclass(frozen=True)
class Outcome:
    """What has happened, in numbers."""

    entries: int
    repeats: int
    drops: int
    kills: int
    cuts: int


async def storm(owner_url: str, state_directory: Path, seconds: float, seed: int = 1) -> Outcome:
    """Has a storm on a migrated database for so long, and fails where anything was lost, repeated or out of order."""
    async with place(owner_url, state_directory, seed) as here, _client(here) as client:
        # Every other one wants all from the beginning on; the others what is to come.
        start = encode_cursor(here.organization_id, 0)
        subscribers = [Subscriber(here, number, start if number % 2 else None, client) for number in range(SUBSCRIBERS)]
        written = Written()
        async with asyncio.TaskGroup() as tasks:
            following = [tasks.create_task(one.run()) for one in subscribers]
            await _write(here, client, written, subscribers, seconds)
            sequence = await here.owner.fetchval(
                "SELECT capital_sequence FROM audit_heads WHERE organization_id = $1", here.organization_id
            )
            async with asyncio.timeout(SETTLE_SECONDS_MAX):
                await asyncio.gather(*(one.has_heard(sequence) for one in subscribers))
            for task in following:
                task.cancel()
        await _check(here, written, subscribers)
        await _verify(here, client)
        drops = sum(one.drops for one in subscribers)
        return Outcome(len(written.entries), written.repeats, drops, here.kills, here.cuts)


def _client(here: Place) -> httpx.AsyncClient:
    """One for all: each would load the certificates of the whole world."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=WRITERS)
    return httpx.AsyncClient(headers=here.headers, limits=limits, timeout=None)  # noqa: S113 - streams may be quiet


async def _write(
    here: Place, client: httpx.AsyncClient, written: Written, subscribers: list[Subscriber], seconds: float
) -> None:
    until = time.monotonic() + seconds

    def is_over() -> bool:
        # Who has heard nothing yet has no cursor to go on from.
        return time.monotonic() > until and all(one.heard for one in subscribers)

    disturbing = asyncio.create_task(here.disturb(PAUSE_SECONDS))
    async with asyncio.TaskGroup() as writers:
        for number in range(WRITERS):
            writers.create_task(write(here, client, written, number, is_over))
    disturbing.cancel()
    await asyncio.gather(disturbing, return_exceptions=True)


async def _check(here: Place, written: Written, subscribers: list[Subscriber]) -> None:
    rows = await here.owner.fetch(
        "SELECT id, sequence, notes, recorded_at FROM capital_history WHERE organization_id = $1 ORDER BY sequence",
        here.organization_id,
    )
    history = [(row["sequence"], global_ids.encode("CapitalHistoryEntry", row["id"])) for row in rows]
    assert [sequence for sequence, _ in history] == list(range(1, len(history) + 1))
    times = [row["recorded_at"] for row in rows]
    assert times == sorted(set(times))
    # Whatever was acknowledged is there, once, and nothing else is.
    assert {row["notes"]: entry_id for row, (_, entry_id) in zip(rows, history, strict=True)} == written.entries
    assert len(history) == len(written.entries)
    for number, one in enumerate(subscribers):
        began = one.heard[0][0]
        assert one.heard == history[began - 1 :], f"subscriber {number} heard something else"
        assert began == 1 or number % 2 == 0


async def _verify(here: Place, client: httpx.AsyncClient) -> None:
    """The log's own opinion: its chain holds, and covers every entry."""
    await here.wait_until_up()
    body = {"query": "{ auditVerification { isIntact firstBrokenSequence } }"}
    answer = (await client.post(here.url(), json=body)).json()
    assert answer == {"data": {"auditVerification": {"isIntact": True, "firstBrokenSequence": None}}}
