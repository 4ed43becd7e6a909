"""`python -m bench.live`: from a commit to those who follow, beside a bare LISTEN/NOTIFY pair on the same database.

A server in one process, twenty organizations, a thousand subscribers to the changes of their capital. Writes LIVE.md.
"""

import asyncio
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import asyncpg
import typer
import uvloop

from bench import questions, report
from bench.contestants import CONTESTANTS, Running, started
from bench.database import BenchDatabase, filled_database
from bench.live_clients import Audience, Writing
from bench.processor_time import read_usage, spent

ORGANIZATIONS = [f"organization-{number}" for number in range(20)]
RATES = (50, 200)
"""Writes per second; what is asked for is the last one."""
CONNECTIONS = 16
WARM_UP_SECONDS = 2.0
SETTLE_SECONDS = 3.0
MEMORY = Path("/dev/shm")  # noqa: S108 - a directory of our own is made in it
COMMIT_TIMES = {"track_commit_timestamp": "on"}
"""A delivery is timed from when PostgreSQL committed what it is about."""
ADD = """
mutation ($input: AddCapitalSourceInput!) { addCapitalSource(input: $input) { source { id } } }
"""


@dataclass(frozen=True)
class Latency:
    """Milliseconds from a commit to the arrival."""

    p50: float
    p99: float
    count: int


@dataclass(frozen=True)
class Paced:
    """What was seen while writes came at a rate; a pair meanwhile, and the cores in use."""

    writes: float
    delivery: Latency
    pair: Latency
    server_cores: float
    database_cores: float
    generator_cores: float
    other_cores: float


@dataclass(frozen=True)
class Round:
    """What one round showed."""

    idle_bytes: float
    writes_alone: float
    writes_followed: float
    paced: list[Paced]
    pair_alone: Latency


def main(
    subscribers: Annotated[int, typer.Option(help="How many, over all organizations.", min=1)] = 1_000,
    rounds: Annotated[int, typer.Option(help="How often everything is measured.", min=1)] = 3,
    seconds: Annotated[float, typer.Option(help="How long each time.", min=0.5)] = 5.0,
    output: Annotated[Path, typer.Option(help="The report.")] = Path(__file__).parent / "LIVE.md",
) -> None:
    """Measures and writes the report."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None, prefix="tranche-live-") as directory:
        # The database's own user has to get through to its data.
        Path(directory).chmod(0o755)
        logs = Path(directory) / "logs"
        logs.mkdir()
        with (
            filled_database(Path(directory) / "state", ORGANIZATIONS, _load_nothing, COMMIT_TIMES) as database,
            started([CONTESTANTS[0]], database, logs) as (running,),
        ):
            measured = uvloop.run(_measure(running, database, subscribers, rounds, seconds))
        text = _render(measured, database.version, subscribers, seconds)
    output.write_text(text)
    typer.echo(text)


async def _load_nothing(_owner: asyncpg.Connection, _organization_ids: Sequence[int]) -> None:
    pass


async def _measure(
    running: Running, database: BenchDatabase, subscribers: int, rounds: int, seconds: float
) -> list[Round]:
    values = {"name": "Credit line", "annualRate": "0.08", "availableCents": "100", "effectiveOn": "2024-01-01"}
    sources = []
    for token in database.tokens:
        body = {"query": ADD, "variables": {"input": values}}
        sources.append((token, questions.ask(running, token, body)["addCapitalSource"]["source"]["id"]))
    writing = Writing(running.port, sources)
    tokens = [database.tokens[number % len(database.tokens)] for number in range(subscribers)]
    # What is made once for a process must not be counted as memory of a socket.
    warm = Audience()
    await warm.open(running.port, tokens[: subscribers // 5])
    await writing.write(CONNECTIONS, WARM_UP_SECONDS)
    warm.close()
    await asyncio.sleep(SETTLE_SECONDS)
    async with _pair(database.owner_url) as pair:
        return [await _round(running, database, writing, pair, tokens, seconds) for _ in range(rounds)]


async def _round(
    running: Running,
    database: BenchDatabase,
    writing: Writing,
    pair: "_Pair",
    tokens: Sequence[str],
    seconds: float,
) -> Round:
    pair_alone = await pair.measure(min(seconds, 2.0))
    writes_alone = await writing.write(CONNECTIONS, seconds)
    await asyncio.sleep(SETTLE_SECONDS)
    before = running.process.memory_info().rss
    audience = Audience()
    await audience.open(running.port, tokens)
    await asyncio.sleep(SETTLE_SECONDS)
    idle_bytes = (running.process.memory_info().rss - before) / len(tokens)
    # Everybody hears of something, so that everybody is known to follow.
    await writing.write(CONNECTIONS, WARM_UP_SECONDS, RATES[0])
    await audience.until(lambda: all(one.count for one in audience.subscribers))
    paced = [await _paced(running, database, writing, pair, audience, rate, seconds) for rate in RATES]
    writes_followed = await writing.write(CONNECTIONS, seconds)
    await audience.until(lambda: True)
    audience.close()
    await asyncio.sleep(SETTLE_SECONDS)
    return Round(idle_bytes, writes_alone, writes_followed, paced, pair_alone)


async def _paced(
    running: Running,
    database: BenchDatabase,
    writing: Writing,
    pair: "_Pair",
    audience: Audience,
    rate: float,
    seconds: float,
) -> Paced:
    usage, own, began = read_usage(running.process, database.postmaster), time.process_time(), time.perf_counter()
    audience.begin()
    noting = asyncio.create_task(pair.measure(seconds))
    writes = await writing.write(CONNECTIONS, seconds, rate)
    spent_seconds = time.perf_counter() - began
    after, own = read_usage(running.process, database.postmaster), time.process_time() - own
    # What is on its way still counts.
    await asyncio.sleep(SETTLE_SECONDS)
    meanwhile = await noting
    delivery = await pair.latency_of_entries(audience.end())
    server, postgresql = spent(usage.server, after.server), spent(usage.database, after.database)
    others = max(0.0, after.machine - usage.machine - server - postgresql - own)
    cores = [amount / spent_seconds for amount in (server, postgresql, own, others)]
    return Paced(writes, delivery, meanwhile, *cores)


def _latency(seconds: Sequence[float]) -> Latency:
    ordered = sorted(seconds)
    p50, p99 = (ordered[int(len(ordered) * part)] * 1000 for part in (0.5, 0.99))
    return Latency(p50, p99, len(ordered))


class _Pair:
    """A connection that notifies and one that listens, and nothing between them."""

    def __init__(self, listening: asyncpg.Connection, notifying: asyncpg.Connection) -> None:
        self._listening, self._notifying = listening, notifying
        self._arrivals: list[tuple[float, str]] = []

    def hear(self, _connection: object, _process: int, _channel: str, payload: object) -> None:
        """Notes when the message of a transaction came."""
        self._arrivals.append((time.time(), str(payload)))

    async def latency_of_entries(self, arrivals: Sequence[tuple[float, int]]) -> Latency:
        """How long after its commit each entry of capital history arrived."""
        async with self._notifying.transaction():
            await self._notifying.execute("SET LOCAL ROLE tranche_maintenance")
            rows = await self._notifying.fetch(
                "SELECT id, extract(epoch FROM pg_xact_commit_timestamp(xmin))::float8 FROM capital_history"
                " WHERE id = ANY($1::bigint[])",
                list({entry_id for _, entry_id in arrivals}),
            )
        committed_at = dict(map(tuple, rows))
        return _latency([at - committed_at[entry_id] for at, entry_id in arrivals])

    async def measure(self, seconds: float) -> Latency:
        """What so many seconds of messages showed, fifty in each."""
        self._arrivals = []
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            await self._notifying.execute("SELECT pg_notify('bench_pair', pg_current_xact_id()::text)")
            await asyncio.sleep(0.02)
        arrivals = self._arrivals
        rows = await self._notifying.fetch(
            "SELECT id, extract(epoch FROM pg_xact_commit_timestamp(id::xid))::float8 FROM unnest($1::text[]) AS id",
            [transaction_id for _, transaction_id in arrivals],
        )
        committed_at = dict(map(tuple, rows))
        return _latency([at - committed_at[transaction_id] for at, transaction_id in arrivals])


@asynccontextmanager
async def _pair(url: str) -> AsyncIterator[_Pair]:
    connections = [await asyncpg.connect(url) for _ in range(2)]
    pair = _Pair(*connections)
    await connections[0].add_listener("bench_pair", pair.hear)
    try:
        yield pair
    finally:
        for connection in connections:
            await connection.close()


def _render(rounds: Sequence[Round], postgresql: str, subscribers: int, seconds: float) -> str:
    def middle(figure: Callable[[Round], float]) -> float:
        return float(statistics.median(map(figure, rounds)))

    writes, followed = middle(lambda one: one.writes_alone), middle(lambda one: one.writes_followed)
    alone50, alone99 = middle(lambda one: one.pair_alone.p50), middle(lambda one: one.pair_alone.p99)
    # Later rounds find what the first one's sockets have given back.
    idle_kilobytes = rounds[0].idle_bytes / 1000
    rows = [
        ["writes/s, as many as it can, nobody follows", f"{writes:.0f}", "1 x", ""],
        [f"with {subscribers:,} subscribers", f"{followed:.0f}", f"{followed / writes:.2f} x", "at least 0.8 x"],
        ["memory of an idle subscriber", f"{idle_kilobytes:.1f} kB", "", "under 50 kB"],
    ]
    parts = [
        "# From a commit to those who follow",
        report.measured_with(postgresql, f"{len(rounds)} rounds of {seconds:g} s each, medians over the rounds"),
        f"One server process, {len(ORGANIZATIONS)} organizations, {subscribers:,} subscribers to `capitalChanged` over"
        " WebSockets; every write goes to all who follow its organization. A delivery is timed from the entry's commit,"
        " as PostgreSQL noted it (`track_commit_timestamp`), until the client has the message; a bare LISTEN/NOTIFY"
        f" pair of asyncpg connections in the same way. With nothing else to do, the pair takes {alone50:.2f} ms (p50)"
        f" and {alone99:.2f} ms (p99).",
    ]
    for place, rate in enumerate(RATES):
        parts += [f"## {rate} writes/s asked for", *_paced_table(rounds, place, seconds)]
    return (
        "\n\n".join([*parts, "## Writes and memory", report.markdown(["", "measured", "ratio", "goal"], rows)]) + "\n"
    )


def _paced_table(rounds: Sequence[Round], place: int, seconds: float) -> list[str]:
    def middle(figure: Callable[[Paced], float]) -> float:
        return float(statistics.median(figure(one.paced[place]) for one in rounds))

    p50, p99 = middle(lambda one: one.delivery.p50), middle(lambda one: one.delivery.p99)
    pair50, pair99 = middle(lambda one: one.pair.p50), middle(lambda one: one.pair.p99)
    rows = [
        ["commit to delivery, p50", f"{p50:.2f} ms", f"{pair50:.2f} ms", f"{p50 / pair50:.1f} x", "at most 5 x"],
        ["commit to delivery, p99", f"{p99:.2f} ms", f"{pair99:.2f} ms", f"{p99 / pair99:.1f} x", "at most 10 x"],
    ]
    writes, delivered = middle(lambda one: one.writes), middle(lambda one: one.delivery.count / seconds)
    cores = ", ".join(
        f"{name} {middle(figure):.2f}"
        for name, figure in (
            ("the server", lambda one: one.server_cores),
            ("PostgreSQL", lambda one: one.database_cores),
            ("the clients", lambda one: one.generator_cores),
            ("others on the machine", lambda one: one.other_cores),
        )
    )
    return [
        report.markdown(["", "measured", "a bare pair meanwhile", "ratio", "goal"], rows),
        f"{writes:.0f} writes/s were answered, and {delivered:.0f} deliveries/s made. Cores in use: {cores}.",
    ]


if __name__ == "__main__":
    application = typer.Typer(pretty_exceptions_enable=False, add_completion=False)
    application.command()(main)
    application()
