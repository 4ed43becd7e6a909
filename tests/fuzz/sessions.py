"""Many sessions at a time with one server, each a connection that sends what it may not; and in between good requests.

Whatever was sent, a good request on another connection is answered, and the server's log tells of no fault.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.fuzz import frames, wire
from tests.fuzz.server import FuzzedServer

AT_ONCE = 12
FAULTS_MAX = 20
ANSWER_SECONDS_MAX = 60
"""Beyond the deadline of an operation: a good request that takes so long is one that hangs."""


@dataclass
class Report:
    """What came of the sessions: how many there were, their ends, and the faults by the seeds that make them again."""

    sessions: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


async def hold_sessions(server: FuzzedServer, seeds: Iterator[int]) -> Report:
    """A session for each of these seeds, some at a time, until there are many faults."""
    report = Report()

    async def work() -> None:
        for seed in seeds:
            await (_frames if seed % 3 == 0 else _bytes)(server, seed, report)
            await _good_request(server, seed, report)
            report.sessions += 1
            if len(report.faults) >= FAULTS_MAX:
                return

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(work())
    return report


async def _bytes(server: FuzzedServer, seed: int, report: Report) -> None:
    spoken = wire.session(seed, server.token)
    received = await wire.talk(server.port, spoken)
    statuses = wire.STATUS_LINES.findall(received)
    report.ends[statuses[-1].decode() if statuses else "silence"] += 1
    report.faults += [f"bytes of seed {seed}: {fault}" for fault in wire.faults_of(spoken, received)]


async def _frames(server: FuzzedServer, seed: int, report: Report) -> None:
    received = await frames.talk_in_frames(server.port, seed, server.token)
    code = frames.close_code(received)
    statuses = wire.STATUS_LINES.findall(received)
    report.ends[f"close {code}" if code else statuses[0].decode() if statuses else "silence"] += 1
    is_fault = code == frames.INTERNAL_ERROR or b"INTERNAL_SERVER_ERROR" in received
    if is_fault or any(int(status) >= 500 for status in statuses):
        report.faults.append(f"frames of seed {seed}: {code} {received[-300:]!r}")


async def _good_request(server: FuzzedServer, seed: int, report: Report) -> None:
    try:
        async with asyncio.timeout(ANSWER_SECONDS_MAX):
            answer = await wire.ask(server.port, server.token, seed)
    except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
        report.faults.append(f"no answer after seed {seed}: {error!r}")
        return
    if wire.GOOD_ANSWER.findall(answer) != [str(seed).encode()]:
        report.faults.append(f"a wrong answer after seed {seed}: {answer[:500]!r}")
