"""`python -m bench.soak`: many different documents to one server for a long while; whether its memory is steady.

There are more documents than the server keeps, some asked far more often than others, so that its caches fill and turn
over all the time. Memory that is still growing then is not given back.
"""

import asyncio
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Annotated, Any

import psutil
import typer
import uvloop

from bench import questions
from bench.contestants import CONTESTANTS, Running, started
from bench.database import BenchDatabase, filled_database
from bench.load import Asker, Job
from bench.questions import QUERIES, Ids

READ_EVERY = 5_000
"""Memory is read each time so many requests have been sent."""
REQUESTS_MIN = 8 * READ_EVERY
"""Two readings in each quarter."""
GROWTH_MAX = 0.05
"""How much more the last quarter may take than the second one, both by their medians."""
VARIABLES_COUNT = 4
"""How many different variables a document is asked with."""
SEED = 1
MEMORY = Path("/dev/shm")  # noqa: S108 - a directory of our own is made in it
MEBIBYTE = 2**20


@dataclass(frozen=True)
class Shape:
    """What may be asked of a connection: its rows' fields, its orders, its filters as literals and as variables."""

    type_name: str
    fields: Sequence[str]
    orders: Sequence[str]
    filters: Sequence[tuple[str, dict[str, Any]]]
    nested: str | None = None


SHAPES = {
    "funds": Shape(
        "Fund",
        ("id", "name", "strategy", "vintageYear", "sizeCents", "status", "createdAt", "reserves { plannedCents }"),
        ("NAME", "VINTAGE_YEAR", "SIZE", "CREATED_AT"),
        (
            ("{status: [ACTIVE]}", {"status": ["ACTIVE"]}),
            ("{vintageYearMin: 2005}", {"vintageYearMin": 2005}),
            ('{strategy: ["Buyout", "Growth"]}', {"strategy": ["Buyout", "Growth"]}),
            ('{nameContains: "1", status: [CLOSED]}', {"nameContains": "1", "status": ["CLOSED"]}),
        ),
        "companies",
    ),
    "companies": Shape(
        "PortfolioCompany",
        (
            "id",
            "name",
            "sector",
            "stage",
            "status",
            "investedCents",
            "plannedReservesCents",
            "exitMoic",
            "fund { name }",
        ),
        ("NAME", "PLANNED_RESERVES", "INVESTED", "CURRENT_VALUATION", "CREATED_AT"),
        (("{status: [ACTIVE]}", {"status": ["ACTIVE"]}), ('{sector: ["Health"]}', {"sector": ["Health"]})),
    ),
    "portfolios": Shape("Portfolio", ("id", "name", "currency", "version"), ("NAME", "CREATED_AT"), (), "holdings"),
    "holdings": Shape(
        "Holding",
        ("id", "commitmentCents", "status", "version", "fund { name }", "statements(first: 1) { nodes { navCents } }"),
        ("COMMITMENT", "CREATED_AT"),
        (("{status: [CLOSED]}", {"status": ["CLOSED"]}),),
    ),
}
EXTRAS = ("totalCount", "pageInfo { hasNextPage endCursor }", "edges { cursor }", "")


@dataclass(frozen=True, slots=True)
class Reading:
    """Memory when so many requests had been sent: the server's RSS, and all of PostgreSQL's private memory (USS)."""

    requests: int
    seconds: float
    server_bytes: int
    database_bytes: int


def main(
    requests: Annotated[int, typer.Option(help="How many in all.", min=REQUESTS_MIN)] = 200_000,
    documents: Annotated[int, typer.Option(help="How many different ones.", min=1)] = 5_000,
    connections: Annotated[int, typer.Option(help="Each keeps one request in flight.", min=1)] = 16,
) -> None:
    """Asks, prints a table of memory, and exits with 1 where it is not steady."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None, prefix="tranche-soak-") as directory:
        # The database's own user has to get through to its data.
        Path(directory).chmod(0o755)
        logs = Path(directory) / "logs"
        logs.mkdir()
        with (
            filled_database(Path(directory) / "state") as database,
            started([CONTESTANTS[0]], database, logs) as (running,),
        ):
            asked = _requests(running, database, requests, documents)
            readings = uvloop.run(_soak(running, database, asked, connections))
    is_steady = [
        _tell_growth("the server's RSS", [reading.server_bytes for reading in readings]),
        _tell_growth("PostgreSQL's USS", [reading.database_bytes for reading in readings]),
    ]
    sys.exit(0 if all(is_steady) else 1)


def _requests(running: Running, database: BenchDatabase, count: int, document_count: int) -> list[bytes]:
    """All requests in their order; the first documents are asked most often, the last ones still now and then."""
    random = Random(SEED)  # noqa: S311 - the same requests each time
    token = database.tokens[0]
    ids = questions.find_ids(running, token)
    made = [
        [questions.http_request(token, body) for body in _bodies(random, running, ids, number)]
        for number in range(document_count)
    ]
    return [random.choice(made[int(document_count * random.random() ** 2)]) for _ in range(count)]


def _bodies(random: Random, running: Running, ids: Ids, number: int) -> list[dict[str, Any]]:
    """The bodies with which one document is asked: one of the benchmark's with an alias of its own, or a random one."""
    if number % 2:
        text, choices = _write(random, number)
        return [
            {"query": text, "variables": {name: random.choice(values) for name, values in choices.items()}}
            for _ in range(VARIABLES_COUNT)
        ]
    query = QUERIES[number // 2 % len(QUERIES)]
    bodies = [questions.payload(running, query, ids, random.randrange(1_000)) for _ in range(VARIABLES_COUNT)]
    return [body | {"query": re.sub(r"\{\s*", f"{{ d{number}: ", body["query"], count=1)} for body in bodies]


def _write(random: Random, number: int) -> tuple[str, dict[str, list[Any]]]:
    """A document of one root connection, and the values that each of its variables may have."""
    name = random.choice(["funds", "funds", "portfolios"])
    shape = SHAPES[name]
    declared: list[str] = []
    choices: dict[str, list[Any]] = {}
    given = []
    for argument, type_name, literals, values in _arguments(shape, [5, 10, 20, 40]):
        chance = random.random()
        if chance < 0.35 and literals:
            given.append(f"{argument}: {random.choice(literals)}")
        elif chance < 0.7 and literals:
            declared.append(f"${argument}: {type_name}")
            choices[argument] = values
            given.append(f"{argument}: ${argument}")
    selection = f"{random.choice(EXTRAS)} nodes {{ d{number}: __typename {_fields(random, shape)} }}"
    declarations = f"({', '.join(declared)})" if declared else ""
    return f"query Soak{declarations} {{ {name}{_parenthesized(given)} {{ {selection} }} }}", choices


def _arguments(shape: Shape, sizes: Sequence[int]) -> list[tuple[str, str, list[str], list[Any]]]:
    """The arguments of a connection: name, type, literals, and values of a variable."""
    orders = [(field, direction) for field in shape.orders for direction in ("ASC", "DESC")]
    return [
        ("first", "Int", [str(size) for size in sizes], list(sizes)),
        (
            "orderBy",
            f"{shape.type_name}Order",
            [f"{{field: {field}, direction: {direction}}}" for field, direction in orders],
            [None, *({"field": field, "direction": direction} for field, direction in orders)],
        ),
        (
            "filter",
            f"{shape.type_name}Filter",
            [literal for literal, _ in shape.filters],
            [None, *(value for _, value in shape.filters)],
        ),
    ]


def _fields(random: Random, shape: Shape) -> str:
    """Some fields of a row, sometimes with those of a nested connection."""
    chosen = random.sample(shape.fields, random.randint(1, len(shape.fields)))
    if shape.nested is not None and random.random() < 0.6:
        chosen.append(_nested(random, shape.nested))
    return " ".join(chosen)


def _nested(random: Random, name: str) -> str:
    """A connection within a row; its arguments are literals."""
    shape = SHAPES[name]
    arguments = _arguments(shape, [1, 3, 5])
    given = [
        f"{argument}: {random.choice(literals)}"
        for argument, _, literals, _ in arguments
        if literals and random.random() < 0.5
    ]
    return f"{name}{_parenthesized(given)} {{ {random.choice(EXTRAS)} nodes {{ {_fields(random, shape)} }} }}"


def _parenthesized(given: Sequence[str]) -> str:
    return f"({', '.join(given)})" if given else ""


async def _soak(running: Running, database: BenchDatabase, asked: list[bytes], connections: int) -> list[Reading]:
    """Asks all requests, and reads memory on the way; raises RuntimeError where an answer was not a good one."""
    job = Job(asked, counts_up=False)
    loop = asyncio.get_running_loop()
    typer.echo("| requests | seconds | requests/s | server RSS, MiB | PostgreSQL USS, MiB |\n|---|---|---|---|---|")
    readings = [Reading(0, 0.0, *_memory(running, database))]
    started_at = time.perf_counter()
    pairs = [await loop.create_connection(lambda: Asker(job), "127.0.0.1", running.port) for _ in range(connections)]
    for sent in range(READ_EVERY, len(asked) + 1, READ_EVERY):
        while job.asked < sent:
            if job.fault is not None:
                raise RuntimeError(f"{job.fault}\n{running.printed()}")
            await asyncio.sleep(0.005)
        reading = Reading(sent, time.perf_counter() - started_at, *_memory(running, database))
        _tell(reading, readings[-1])
        readings.append(reading)
    job.is_over = True
    await asyncio.sleep(0.1)
    for transport, _ in pairs:
        transport.abort()
    return readings[1:]


def _memory(running: Running, database: BenchDatabase) -> tuple[int, int]:
    """Bytes of the server's RSS, and of PostgreSQL's private memory over all of its processes."""
    server = sum(process.memory_info().rss for process in (running.process, *running.process.children(recursive=True)))
    private = 0
    for process in (database.postmaster, *database.postmaster.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            private += process.memory_full_info().uss
    return server, private


def _tell(reading: Reading, before: Reading) -> None:
    rate = (reading.requests - before.requests) / (reading.seconds - before.seconds)
    server, database = reading.server_bytes / MEBIBYTE, reading.database_bytes / MEBIBYTE
    typer.echo(f"| {reading.requests} | {reading.seconds:.0f} | {rate:.0f} | {server:.1f} | {database:.1f} |")


def _tell_growth(name: str, readings: Sequence[int]) -> bool:
    """Says how the last quarter stands to the second one, and whether that is steady."""
    quarter = len(readings) // 4
    second, last = statistics.median(readings[quarter : 2 * quarter]), statistics.median(readings[-quarter:])
    growth = last / second - 1
    is_steady = growth <= GROWTH_MAX
    typer.echo(
        f"{name}: {second / MEBIBYTE:.1f} MiB in the second quarter, {last / MEBIBYTE:.1f} in the last,"
        f" {growth:+.1%}: {'steady' if is_steady else f'not steady, more than {GROWTH_MAX:+.0%}'}"
    )
    return is_steady


if __name__ == "__main__":
    application = typer.Typer(pretty_exceptions_enable=False, add_completion=False)
    application.command()(main)
    application()
