"""`python -m bench.metrics`: a large fund's metrics from memory, worked out anew, and beside their bare statement.

Then two server processes are read and written at different rates: how often an answer was kept, and whether any was
stale. Writes METRICS.md; fails where a goal is missed.
"""

import asyncio
import socket
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Annotated

import asyncpg
import typer

from api.reads.fund_metrics import FUND_METRICS
from api.reads.pages import Parameters
from bench import questions, report
from bench.contestants import CONTESTANTS, Running, started
from bench.database import BenchDatabase, filled_database
from bench.metrics_data import ALLOCATIONS, CALLS_EACH, SMALL_ALLOCATIONS, SMALL_FUNDS, fill, targets
from bench.staleness import Load, Target, faults, log_since

RATES = (10, 50, 200)
"""Requests in a second of which a tenth are writes, spread over all funds."""
LARGE_RATES = (5, 10, 20)
"""The same, of the large fund alone."""
AT_ONCE = 16
CACHED_MIN, UNCACHED_MAX, HIT_RATE_MIN = 10.0, 1.5, 0.95
MEMORY = Path("/dev/shm")  # noqa: S108 - a directory of our own is made in it
TWO = (CONTESTANTS[0], replace(CONTESTANTS[0], name="tranche-2"))
FIGURES = (
    "asOf committedCents calledCents paidCents uncalledCents unpaidCents overdueCents distributedCents navCents"
    " collectionRate utilization dpi rvpi tvpi moic grossIrr"
)
METRICS = f"query Metrics($id: ID!, $day: Date) {{ fund(id: $id) {{ metrics(asOf: $day) {{ {FIGURES} }} }} }}"


@dataclass(frozen=True)
class Times:
    """Milliseconds of each request: from memory, worked out anew, and the bare statement for the same day."""

    cached: list[float]
    uncached: list[float]
    bare: list[float]


@dataclass(frozen=True)
class Rate:
    """What was seen at a rate: of how many reads how many had an answer that was kept, and what the checker found."""

    what: str
    per_second: int | None
    reads: int
    writes: int
    hit_rate: float
    faults: int
    p50: float
    p95: float


def main(
    rounds: Annotated[int, typer.Option(help="How often each of the three is asked for.", min=5)] = 60,
    seconds: Annotated[float, typer.Option(help="How long at each rate.", min=1)] = 12.0,
    output: Annotated[Path, typer.Option(help="The report.")] = Path(__file__).parent / "METRICS.md",
) -> None:
    """Measures and writes the report."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None, prefix="tranche-metrics-") as directory:
        # The database's own user has to get through to its data.
        Path(directory).chmod(0o755)
        logs = Path(directory) / "logs"
        logs.mkdir()
        with (
            filled_database(Path(directory) / "state", ("bench",), fill) as database,
            started(list(TWO), database, logs) as running,
        ):
            times = asyncio.run(_times(running[0], database, rounds))
            rates = asyncio.run(_rates(running, database, seconds))
        text = _render(times, rates, database.version, rounds)
    output.write_text(text)
    typer.echo(text)
    if missed := _missed(times, rates):
        raise SystemExit(f"Missed: {', '.join(missed)}")


async def _times(running: Running, database: BenchDatabase, rounds: int) -> Times:
    """The three by turns, in an order that changes. A day that was never asked for is worked out anew."""
    fund = (await targets(database))[0][0]
    connection = await asyncpg.connect(
        database.server_url,
        server_settings={
            "role": "tranche_app",
            "plan_cache_mode": "force_generic_plan",
            "jit": "off",
            "app.organization_id": str(database.organization_ids[0]),
        },
    )
    parameters = Parameters(database.organization_ids[0])
    keys, as_of = parameters.add([fund.row_id], "bigint[]"), parameters.add(None, "date")
    text = FUND_METRICS.sql({"is_past": False})
    sql = text.format(organization=Parameters.ORGANIZATION, keys=keys, as_of=as_of)
    today, times = datetime.now(UTC).date(), Times([], [], [])
    with closing(socket.create_connection(("127.0.0.1", running.port))) as asking:

        async def ask(day: date) -> None:
            _answer(asking, _request(database.tokens[0], fund.fund_id, day))

        async def fetch(day: date) -> None:
            await connection.fetch(sql, *parameters[:2], day)

        for number in range(1, rounds + 6):
            day = today + timedelta(number)
            turns = [(times.cached, ask, today), (times.uncached, ask, day), (times.bare, fetch, day)]
            for found, work, on in turns[number % 3 :] + turns[: number % 3]:
                began = time.perf_counter()
                await work(on)
                found.append((time.perf_counter() - began) * 1000)
    await connection.close()
    # The first ones warm up.
    return Times(times.cached[5:], times.uncached[5:], times.bare[5:])


def _request(token: str, fund_id: str, day: date) -> bytes:
    return questions.http_request(token, {"query": METRICS, "variables": {"id": fund_id, "day": day.isoformat()}})


def _answer(asking: socket.socket, request: bytes) -> bytes:
    asking.sendall(request)
    answer = b""
    while (end := answer.find(b"\r\n\r\n")) < 0:
        answer += asking.recv(1 << 16)
    length = int(answer[:end].lower().partition(b"content-length:")[2].split(b"\r\n")[0])
    while len(answer) < end + 4 + length:
        answer += asking.recv(1 << 16)
    if b'"errors"' in answer:
        raise RuntimeError(answer.decode(errors="replace"))
    return answer


async def _rates(running: Sequence[Running], database: BenchDatabase, seconds: float) -> list[Rate]:
    funds, _, _ = await targets(database)
    found = []
    cases = [("all funds", funds, rate) for rate in RATES]
    cases += [("the large fund", funds[:1], rate) for rate in LARGE_RATES]
    for what, some, rate in cases:
        found.append(await _rate(running, database, some, what, seconds, rate))
    found.append(await _rate(running, database, funds, "all funds", seconds, None))
    return found


async def _rate(
    running: Sequence[Running],
    database: BenchDatabase,
    funds: Sequence[Target],
    what: str,
    seconds: float,
    per_second: int | None,
) -> Rate:
    _, states, sequence = await targets(database)
    load = Load([one.port for one in running], database.tokens[0], funds, Random(per_second))  # noqa: S311 - which fund is asked for
    # Everything has been asked for once by each process.
    await load.run(4 * len(funds) * len(running), at_once=2)
    before, (reads, writes) = await load.lookups(), (len(load.reads), len(load.writes))
    await load.run(int(seconds * (per_second or 300)), at_once=AT_ONCE, per_second=per_second)
    after = await load.lookups()
    owner = await asyncpg.connect(database.owner_url)
    log = await log_since(owner, database.organization_ids[0], sequence)
    await owner.close()
    hits, misses = after[0] - before[0], after[1] - before[1]
    times = sorted((one.ended - one.began) * 1000 for one in load.reads[reads:])
    return Rate(
        what,
        per_second,
        len(load.reads) - reads,
        len(load.writes) - writes,
        hits / (hits + misses),
        len(faults(load, log, states)),
        statistics.median(times),
        times[int(len(times) * 0.95)],
    )


def _missed(times: Times, rates: Sequence[Rate]) -> list[str]:
    cached, uncached, bare = (statistics.median(one) for one in (times.cached, times.uncached, times.bare))
    goals: Mapping[str, bool] = {
        f"cached {CACHED_MIN:g} times as fast": uncached >= CACHED_MIN * cached,
        f"uncached at most {UNCACHED_MAX:g} times the bare statement": uncached <= UNCACHED_MAX * bare,
        "no stale answer": not any(rate.faults for rate in rates),
        f"hit rate above {HIT_RATE_MIN:g} at every rate": all(rate.hit_rate > HIT_RATE_MIN for rate in rates),
    }
    return [goal for goal, is_met in goals.items() if not is_met]


def _render(times: Times, rates: Sequence[Rate], postgresql: str, rounds: int) -> str:
    cached, uncached, bare = (statistics.median(one) for one in (times.cached, times.uncached, times.bare))
    rows = [
        ["from memory", f"{cached:.2f} ms", f"{uncached / cached:.1f} x as fast", f"{CACHED_MIN:g} x"],
        ["worked out anew", f"{uncached:.2f} ms", f"{uncached / bare:.2f} x the bare statement", f"{UNCACHED_MAX:g} x"],
        ["the bare statement", f"{bare:.2f} ms", "-", "-"],
    ]
    load_rows = [
        [
            rate.what,
            "as many as there are" if rate.per_second is None else str(rate.per_second),
            f"{rate.reads:,} + {rate.writes:,}",
            f"{rate.hit_rate:.1%}",
            str(rate.faults),
            f"{rate.p50:.1f} ms",
            f"{rate.p95:.1f} ms",
        ]
        for rate in rates
    ]
    head = ["", "requests/s", "reads + writes", "hit rate", "stale or wrong", "p50 of reads", "p95"]
    return (
        "\n\n".join(
            [
                "# A fund's metrics, from memory and worked out anew",
                report.measured_with(postgresql, f"{rounds} requests each, by turns; medians"),
                f"A fund with {ALLOCATIONS:,} allocations and {ALLOCATIONS * CALLS_EACH:,} calls:",
                report.markdown(["", "p50", "", "goal"], rows),
                f"Two server processes, nine reads for each write; that fund and {SMALL_FUNDS} others with"
                f" {SMALL_ALLOCATIONS} allocations each. A third of the writes each are"
                " distributions, new calls and payments, which all change the metrics of a fund that is read:",
                report.markdown(head, load_rows),
                "A hit is an answer that was there, of the version that the reader found, or brought up to it by what"
                " was written since; one that took the statement is a miss, whoever asked for it. Every answer is"
                f" compared with the log, see staleness.py. The goal: above {HIT_RATE_MIN:.0%} at every rate, and no"
                " wrong answer.",
            ]
        )
        + "\n"
    )


if __name__ == "__main__":
    application = typer.Typer(pretty_exceptions_enable=False, add_completion=False)
    application.command()(main)
    application()
