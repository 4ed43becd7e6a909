"""`python -m bench.capital`: what a day's capital costs with ten thousand entries recorded, and with a million.

Two organizations of as many sources each; both are asked the same, by turns. Writes CAPITAL.md.
"""

import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Any

import asyncpg
import typer

from bench import questions, report
from bench.contestants import CONTESTANTS, Running, started
from bench.database import BenchDatabase, filled_database
from bench.rounds import Cell, Generator, Sample, load_generator

SOURCES = 200
FEW, MANY = 10_000, 1_000_000
SLUGS = ("few", "many")
FIRST_DAY = date(2020, 1, 2)
DAYS = 2_000
ASKED = 12
"""How many different days are asked for."""
RATIO_MAX = 2.0
MEMORY = Path("/dev/shm")  # noqa: S108 - a directory of our own is made in it

STATE = "name annualRate availableCents currency"
WACC = "rate reason totalCents sourceCount"
AS_OF = ("($asOf: Date)", "(asOf: $asOf)")
BOTH = ("($asOf: Date, $knownAt: DateTime)", "(asOf: $asOf, knownAt: $knownAt)")
QUERIES = {
    "capitalState(asOf)": ("capitalState", STATE, AS_OF),
    "capitalState(asOf, knownAt)": ("capitalState", STATE, BOTH),
    "wacc(asOf)": ("wacc", WACC, AS_OF),
    "wacc(asOf, knownAt)": ("wacc", WACC, BOTH),
}

_SOURCES = """
INSERT INTO capital_sources (organization_id, external_key, name, annual_rate, available_cents, currency, added_on)
SELECT $1, 'source ' || number, 'Source ' || number, 0.05 + number * 0.0001, 100000 * number, 'USD', $3::date
FROM generate_series(1, $2::int) AS number
"""
# Every source is added first; then amounts and rates by turns, each dated back by some days, as if by chance.
_ENTRIES = """
INSERT INTO capital_history (organization_id, sequence, source_id, action, effective_on, name, annual_rate,
    available_cents, external_id, recorded_at)
SELECT $1, number, source.id,
  CASE WHEN number <= $2 THEN 'ADDED' WHEN number / $2 % 2 = 0 THEN 'AMOUNT_CHANGED' ELSE 'RATE_CHANGED' END,
  CASE WHEN number <= $2 THEN $4::date ELSE $4::date + (number * 7919 % (number * $5 / $3 + 1))::int END,
  source.name, 0.05 + number % 1000 * 0.0001, 100000 + number, number::text,
  $4::date::timestamp AT TIME ZONE 'UTC' + number * $5 * interval '1 day' / $3
FROM generate_series(1, $3::bigint) AS entry (number)
JOIN (
  SELECT id, name, row_number() OVER (ORDER BY id) AS place FROM capital_sources WHERE organization_id = $1
) AS source ON source.place = (number - 1) % $2 + 1
ORDER BY entry.number
"""


@dataclass(frozen=True)
class Found:
    """What was measured of one query, round by round: with few entries, and with many."""

    few: list[Sample]
    many: list[Sample]


def main(
    rounds: Annotated[int, typer.Option(help="How often everything is measured.", min=1)] = 5,
    seconds: Annotated[float, typer.Option(help="How long each time.", min=0.2)] = 1.0,
    output: Annotated[Path, typer.Option(help="The report.")] = Path(__file__).parent / "CAPITAL.md",
) -> None:
    """Measures and writes the report."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None, prefix="tranche-capital-") as directory:
        # The database's own user has to get through to its data.
        Path(directory).chmod(0o755)
        logs = Path(directory) / "logs"
        logs.mkdir()
        began = time.perf_counter()
        with filled_database(Path(directory) / "state", SLUGS, _load) as database:
            typer.echo(f"Filled in {time.perf_counter() - began:.0f} s.", err=True)
            with started([CONTESTANTS[0]], database, logs) as (running,), load_generator(database) as generator:
                found = {
                    name: _measure(generator, running, database, name, rounds=rounds, seconds=seconds)
                    for name in QUERIES
                }
        text = _render(found, database.version, rounds, seconds)
    output.write_text(text)
    typer.echo(text)


async def _load(owner: asyncpg.Connection, organization_ids: Sequence[int]) -> None:
    async with owner.transaction():
        # As when a dump is restored: references are not looked up row by row.
        await owner.execute("SET LOCAL session_replication_role = replica")
        await owner.execute("SET LOCAL ROLE tranche_maintenance")
        for organization_id, count in zip(organization_ids, (FEW, MANY), strict=True):
            await owner.execute(_SOURCES, organization_id, SOURCES, FIRST_DAY)
            await owner.execute(_ENTRIES, organization_id, SOURCES, count, FIRST_DAY, DAYS, timeout=300)


def _measure(
    generator: Generator, running: Running, database: BenchDatabase, name: str, *, rounds: int, seconds: float
) -> Found:
    """Both organizations by turns, every other round in the opposite order."""
    cell = Cell(name, connections=1)
    asked = [[questions.http_request(token, body) for body in _bodies(name)] for token in database.tokens]
    for token in database.tokens:
        questions.ask(running, token, _bodies(name)[-1])
    found = Found([], [])
    for number in range(rounds):
        turns = [(found.few, asked[0]), (found.many, asked[1])]
        for samples, requests in turns if number % 2 == 0 else reversed(turns):
            if not number:
                generator.warm_up(running, cell, requests, 0.5)
            samples.append(generator.measure(running, cell, requests, seconds))
    return found


def _bodies(name: str) -> list[dict[str, Any]]:
    field, selection, (declared, given) = QUERIES[name]
    text = f"query Capital{declared} {{ {field}{given} {{ {selection} }} }}"
    days = [FIRST_DAY + timedelta(DAYS * number // ASKED) for number in range(1, ASKED + 1)]
    return [
        {"query": text, "variables": {"asOf": (day - timedelta(30)).isoformat(), "knownAt": f"{day}T12:00:00Z"}}
        if given == BOTH[1]
        else {"query": text, "variables": {"asOf": day.isoformat()}}
        for day in days
    ]


def _render(found: dict[str, Found], postgresql: str, rounds: int, seconds: float) -> str:
    rows = []
    for name, one in found.items():
        few, many = (statistics.median(sample.p95_ms for sample in samples) for samples in (one.few, one.many))
        costs = [
            f"{statistics.median(sample.database_ms_per_request for sample in samples):.2f} ms"
            for samples in (one.few, one.many)
        ]
        rows.append([name, f"{few:.2f} ms", f"{many:.2f} ms", f"{many / few:.2f} x", *costs])
    others = statistics.median(sample.foreign_cores for one in found.values() for sample in (*one.few, *one.many))
    head = ["", f"p95, {FEW:,} entries", f"p95, {MANY:,} entries", "ratio", "PostgreSQL's CPU", "and with the million"]
    return (
        "\n\n".join(
            [
                "# Capital on a day, with ten thousand entries and with a million",
                report.measured_with(postgresql, f"{rounds} rounds of {seconds:g} s each, medians over the rounds"),
                report.markdown(head, rows),
                f"{SOURCES} sources in both organizations, whose entries cover {DAYS:,} days, each dated back."
                f" {ASKED} of the days are asked for by turns, over one connection. The goal: below {RATIO_MAX:g} x."
                f" Others used {others:.2f} cores of the machine meanwhile.",
            ]
        )
        + "\n"
    )


if __name__ == "__main__":
    application = typer.Typer(pretty_exceptions_enable=False, add_completion=False)
    application.command()(main)
    application()
