"""The load generator, a process of its own: reads one job a line, asks, and writes what it saw; JSON both ways.

Each connection keeps one request in flight. A job is measured after its warm-up; ``measuring`` and ``done`` are
written the moment the measured time begins and ends, for whoever reads the processes' CPU time.
"""

import asyncio
import sys
import time
from array import array
from dataclasses import dataclass, field
from typing import cast

import orjson
import uvloop

from bench.questions import COUNTER

CHECKED_EVERY = 16
"""Of so many answers one is searched for errors; each one's status is looked at."""


@dataclass
class Job:
    """What to ask, and what came of it. ``latencies`` are seconds, of requests answered in the measured time."""

    requests: list[bytes]
    counts_up: bool
    latencies: "array[float]" = field(default_factory=lambda: array("d"))
    is_measuring: bool = False
    is_over: bool = False
    asked: int = 0
    fault: str | None = None


class Asker(asyncio.Protocol):
    """One connection: asks, waits for the whole answer, asks again."""

    counter = 0

    def __init__(self, job: Job) -> None:
        self.job = job
        self.buffer = b""
        self.missing = 0
        self.is_chunked = False
        self.started = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asks for the first time."""
        self.transport = cast(asyncio.Transport, transport)
        self.ask()

    def ask(self) -> None:
        """Sends the next request."""
        job = self.job
        request = job.requests[job.asked % len(job.requests)]
        job.asked += 1
        if job.counts_up:
            Asker.counter += 1
            request = request.replace(COUNTER, b"%010d" % Asker.counter)
        self.started = time.perf_counter()
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Goes on with an answer, and asks again when it is complete."""
        if self.missing > 0:
            self.missing -= len(data)
            if self.missing <= 0:
                self.answered(data)
            return
        self.buffer += data
        if self.is_chunked or self.read_head():
            if not self.is_chunked:
                if self.missing <= 0:
                    self.answered(self.buffer)
            # One request is in flight, and JSON holds no bare CR LF: this can only be the end.
            elif self.buffer.endswith(b"0\r\n\r\n"):
                self.answered(self.buffer)

    def read_head(self) -> bool:
        """Whether the head is complete; then ``missing`` or ``is_chunked`` tell what is to come."""
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return False
        head = self.buffer[:end].lower()
        if not head.startswith(b"http/1.1 200"):
            self.job.fault = self.buffer[:500].decode(errors="replace")
        at = head.find(b"content-length:")
        if at < 0:
            self.is_chunked = True
        else:
            length = int(head[at + 15 :].split(b"\r\n", 1)[0])
            self.missing = length - (len(self.buffer) - end - 4)
        return True

    def answered(self, data: bytes) -> None:
        """Notes the time of an answer."""
        job = self.job
        if job.is_measuring:
            job.latencies.append(time.perf_counter() - self.started)
        if job.asked % CHECKED_EVERY == 0 and b'"errors"' in data:
            job.fault = data[:500].decode(errors="replace")
        self.buffer, self.missing, self.is_chunked = b"", 0, False
        if not job.is_over:
            self.ask()

    def connection_lost(self, exc: Exception | None) -> None:
        """A server must not hang up."""
        if not self.job.is_over:
            self.job.fault = f"The server has closed a connection: {exc}"


async def run(line: bytes) -> None:
    """One job: ``port``, ``connections``, ``warm_up`` and ``seconds``, ``requests``, ``counts_up``."""
    given = orjson.loads(line)
    job = Job([request.encode() for request in given["requests"]], given["counts_up"])
    loop = asyncio.get_running_loop()
    pairs = [
        await loop.create_connection(lambda: Asker(job), "127.0.0.1", given["port"])
        for _ in range(given["connections"])
    ]
    await asyncio.sleep(given["warm_up"])
    cpu_started, started = time.process_time(), time.perf_counter()
    job.is_measuring = True
    say({"state": "measuring"})
    await asyncio.sleep(given["seconds"])
    job.is_measuring = False
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu_started
    say({"state": "done"})
    job.is_over = True
    latencies = sorted(job.latencies)
    await asyncio.sleep(0.05)
    for transport, _ in pairs:
        transport.abort()
    say(
        {
            "count": len(latencies),
            "seconds": seconds,
            "cpu_seconds": cpu_seconds,
            "p50_ms": quantile(latencies, 0.5) * 1000,
            "p95_ms": quantile(latencies, 0.95) * 1000,
            "fault": job.fault,
        }
    )


def quantile(ordered: list[float], part: float) -> float:
    """The value below which ``part`` of the ordered values lie; 0 for none."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))] if ordered else 0.0


def say(message: dict[str, object]) -> None:
    """Writes one line."""
    sys.stdout.buffer.write(orjson.dumps(message) + b"\n")
    sys.stdout.buffer.flush()


def main() -> None:
    """Answers jobs until there are no more."""
    for line in sys.stdin.buffer:
        uvloop.run(run(line))


if __name__ == "__main__":
    main()
