"""Measuring: one job at a time to the load generator, round by round, the contestants taking turns within a round."""

import statistics
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any

import orjson
import psutil

from bench import questions
from bench.contestants import Running
from bench.database import BenchDatabase
from bench.processor_time import read_usage, spent
from bench.questions import Ids

WARM_UP_SECONDS = 0.4
FIRST_WARM_UP_SECONDS = 1.5


@dataclass(frozen=True)
class Cell:
    """One thing that is measured: a query at so many connections, with documents known or new each time."""

    query: str
    connections: int
    is_cold: bool = False
    tenant_count: int = 1


@dataclass(frozen=True, slots=True)
class Sample:
    """What one job showed. CPU seconds of one job are cores where divided by its seconds."""

    requests_per_second: float
    p50_ms: float
    p95_ms: float
    server_ms_per_request: float
    database_ms_per_request: float
    server_cores: float
    generator_cores: float
    foreign_cores: float


Samples = dict[tuple[Cell, str], list[Sample]]


@dataclass
class Generator:
    """The load generator's process."""

    process: "subprocess.Popen[bytes]"
    database: BenchDatabase

    def warm_up(self, running: Running, cell: Cell, requests: Sequence[bytes], seconds: float) -> None:
        """One job that nobody looks at, but for its faults."""
        output = self._begin(running, cell, requests, 0.0, seconds)
        self._expect(output, "measuring")
        self._expect(output, "done")
        self._result(output, running, cell)

    def measure(self, running: Running, cell: Cell, requests: Sequence[bytes], seconds: float) -> Sample:
        """One job; raises RuntimeError where an answer was not a good one, or there was none."""
        output = self._begin(running, cell, requests, seconds, WARM_UP_SECONDS)
        self._expect(output, "measuring")
        before = read_usage(running.process, self.database.postmaster)
        self._expect(output, "done")
        after = read_usage(running.process, self.database.postmaster)
        result = self._result(output, running, cell)
        elapsed, count, own = result["seconds"], result["count"], result["cpu_seconds"]
        if not count:
            raise RuntimeError(f"{running.name}, {cell.query}: no answer within {seconds} s.")
        server, database = spent(before.server, after.server), spent(before.database, after.database)
        foreign = max(0.0, after.machine - before.machine - server - database - own)
        return Sample(
            requests_per_second=count / elapsed,
            p50_ms=result["p50_ms"],
            p95_ms=result["p95_ms"],
            server_ms_per_request=server * 1000 / count,
            database_ms_per_request=database * 1000 / count,
            server_cores=server / elapsed,
            generator_cores=own / elapsed,
            foreign_cores=foreign / elapsed,
        )

    def _begin(
        self, running: Running, cell: Cell, requests: Sequence[bytes], seconds: float, warm_up: float
    ) -> IO[bytes]:
        assert self.process.stdin is not None and self.process.stdout is not None  # noqa: S101, PT018 - both are pipes
        job = {
            "port": running.port,
            "connections": cell.connections,
            "warm_up": warm_up,
            "seconds": seconds,
            "requests": [request.decode() for request in requests],
            "counts_up": cell.is_cold,
        }
        self.process.stdin.write(orjson.dumps(job) + b"\n")
        self.process.stdin.flush()
        return self.process.stdout

    @staticmethod
    def _result(output: IO[bytes], running: Running, cell: Cell) -> dict[str, Any]:
        result: dict[str, Any] = orjson.loads(output.readline())
        if result["fault"]:
            raise RuntimeError(f"{running.name}, {cell.query}: {result['fault']}\n{running.printed()}")
        return result

    @staticmethod
    def _expect(output: IO[bytes], state: str) -> None:
        line = output.readline()
        if not line or orjson.loads(line).get("state") != state:
            raise RuntimeError(f"The load generator did not say {state!r} but {line!r}.")


@contextmanager
def load_generator(database: BenchDatabase) -> Iterator[Generator]:
    """A running load generator. With four cores or more it has the last one for itself; see README.md."""
    command = [sys.executable, "-m", "bench.load"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:  # noqa: S603 - our own
        try:
            yield Generator(process, database)
        finally:
            if process.stdin is not None:
                process.stdin.close()
            process.wait(10)


def give_cores(processes: Iterable[psutil.Process], generator: Generator) -> str:
    """Keeps the load generator from the servers' cores where there are four or more; tells in words what holds."""
    cores = psutil.cpu_count() or 1
    if cores < 4 or not hasattr(psutil.Process(), "cpu_affinity"):
        return "nothing is pinned: server, PostgreSQL and load generator share the cores"
    for process in processes:
        for one in (process, *process.children(recursive=True)):
            one.cpu_affinity(list(range(cores - 1)))
    psutil.Process(generator.process.pid).cpu_affinity([cores - 1])
    return "the load generator has one core for itself, the server and PostgreSQL share the others"


def requests_of(running: Running, cell: Cell, ids: Sequence[Ids], tokens: Sequence[str]) -> list[bytes]:
    """The requests of a cell, asked in turn; ``ids`` and ``tokens`` by tenant."""
    requests = []
    for number in range(len(ids[0].funds)):
        for tenant in range(cell.tenant_count):
            body = questions.payload(running, cell.query, ids[tenant], number)
            if cell.is_cold:
                body = questions.never_seen(body)
            requests.append(questions.http_request(tokens[tenant], body))
    return requests


def measure(
    generator: Generator,
    plan: Sequence[tuple[Cell, Sequence[Running]]],
    requests: Callable[[Running, Cell], list[bytes]],
    *,
    rounds: int,
    seconds: float,
    tell: Callable[[str], None],
) -> Samples:
    """All samples: in each round every cell, and for each cell its contestants one after the other."""
    asked = {(running.name, cell): requests(running, cell) for cell, contestants in plan for running in contestants}
    for cell, contestants in plan:
        if cell.connections == plan[0][0].connections and cell.tenant_count == 1:
            for running in contestants:
                generator.warm_up(running, cell, asked[running.name, cell], FIRST_WARM_UP_SECONDS)
    samples: Samples = defaultdict(list)
    for number in range(rounds):
        for cell, contestants in plan:
            # Every other round the other way round, so that nobody always follows the same one.
            for running in contestants if number % 2 == 0 else reversed(contestants):
                sample = generator.measure(running, cell, asked[running.name, cell], seconds)
                samples[cell, running.name].append(sample)
        tell(f"Round {number + 1} of {rounds} is done.")
    return samples


def median(samples: Sequence[Sample]) -> Sample:
    """The median of each figure."""
    return Sample(*(statistics.median(getattr(sample, name) for sample in samples) for name in Sample.__slots__))
