"""`python -m bench.snapshots`: a snapshot of a large fund beside the SQL alone that reads the fund.

All by turns, on one database: the SQL that a snapshot reads by, in a hand-written transaction; of that the one
statement that reads companies and the sums of their lots, by itself; snapshots of a fund of which a company has
changed, of which only a lot has, and of which nothing has, from the claim to the commit of its metrics. Writes
SNAPSHOTS.md; fails where a snapshot costs more than RATIO_MAX times the one statement.
"""

import asyncio
import gc
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import asyncpg
import typer

from api.db.pools import Database, PoolLimits
from api.http.app import COLLECTED_AFTER
from api.services.commands import Writer
from api.services.snapshot_calculation import COMPANIES, FUND, KNOWN, Calculator, calculate_next
from bench import report
from bench.database import BenchDatabase, filled_database

COMPANY_COUNT = 1_000
LOTS_EACH = 50
RATIO_MAX = 3.0
MEMORY = Path("/dev/shm")  # noqa: S108 - a directory of our own is made in it

_FUND = "INSERT INTO funds (organization_id, name, currency) VALUES ($1, 'Fund', 'USD') RETURNING id"
_COMPANIES = """
INSERT INTO portfolio_companies (organization_id, fund_id, name, invested_cents, current_valuation_cents,
  realized_cents, planned_reserves_cents, deployed_reserves_cents, exit_moic, exit_probability)
SELECT $1, $2, 'Company ' || number, 1000000 * number, 1700000 * number, 1000 * number, 500000 + number, 1000 * number,
  1 + number % 70 * 0.1, 0.05 * (number % 20)
FROM generate_series(1, $3::int) AS number
"""
_INVESTMENTS = """
INSERT INTO investments (organization_id, fund_id, company_id, invested_on, amount_cents)
SELECT $1, $2, id, '2024-01-01', 1000000 FROM portfolio_companies WHERE fund_id = $2
"""
# Lots of all companies by turns, as they are bought in time: those of one company do not lie beside each other.
_LOTS = """
INSERT INTO investment_lots (organization_id, company_id, investment_id, lot_type, share_price_cents, shares_acquired,
  cost_basis_cents, acquired_on)
SELECT $1, company_id, id, (ARRAY['INITIAL', 'FOLLOW_ON', 'SECONDARY'])[number % 3 + 1], 100 + number,
  100 * number + 0.5, round((100 + number) * (100 * number + 0.5)), '2024-01-01'
FROM generate_series(1, $3::int) AS number, investments WHERE fund_id = $2 ORDER BY number, id
"""
_ASK = "INSERT INTO forecast_snapshots (organization_id, fund_id, name) VALUES ($1, $2, 'Snapshot')"
_CHANGE_COMPANY = """
UPDATE portfolio_companies SET version = version + 1, realized_cents = realized_cents + 1
WHERE id = (SELECT min(id) FROM portfolio_companies WHERE fund_id = $1)
"""
_CHANGE_LOT = """
UPDATE investment_lots SET version = version + 1
WHERE id = (SELECT min(lot.id) FROM investment_lots AS lot
  JOIN portfolio_companies AS company ON company.id = lot.company_id WHERE fund_id = $1)
"""


@dataclass
class Times:
    """Milliseconds, round by round."""

    statement: list[float] = field(default_factory=list)
    sql: list[float] = field(default_factory=list)
    changed: list[float] = field(default_factory=list)
    changed_lot: list[float] = field(default_factory=list)
    unchanged: list[float] = field(default_factory=list)


def main(
    rounds: Annotated[int, typer.Option(help="How often everything is measured.", min=3)] = 40,
    output: Annotated[Path, typer.Option(help="The report.")] = Path(__file__).parent / "SNAPSHOTS.md",
) -> None:
    """Measures and writes the report."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None, prefix="tranche-snapshots-") as directory:
        # The database's own user has to get through to its data.
        Path(directory).chmod(0o755)
        with filled_database(Path(directory) / "state", ("bench",), _load) as database:
            times = asyncio.run(_measure(database, rounds))
            version = database.version
    dearest = max(statistics.median(times.changed), statistics.median(times.changed_lot))
    ratio = dearest / statistics.median(times.statement)
    text = _render(times, ratio, version, rounds)
    output.write_text(text)
    typer.echo(text)
    sys.exit(ratio > RATIO_MAX)


async def _load(owner: asyncpg.Connection, organization_ids: Sequence[int]) -> None:
    (organization_id,) = organization_ids
    fund_id = await owner.fetchval(_FUND, organization_id)
    await owner.execute(_COMPANIES, organization_id, fund_id, COMPANY_COUNT)
    await owner.execute(_INVESTMENTS, organization_id, fund_id)
    await owner.execute(_LOTS, organization_id, fund_id, LOTS_EACH)


async def _measure(database: BenchDatabase, rounds: int) -> Times:
    (organization_id,) = database.organization_ids
    owner = await asyncpg.connect(database.owner_url)
    pools = await Database.open(database.server_url, PoolLimits())
    plain = await asyncpg.connect(database.server_url, server_settings={"role": "tranche_app", "jit": "off"})
    fund_id = await owner.fetchval("SELECT id FROM funds")
    calculator = Calculator(pools, Writer(pools), seconds_max=60)
    times = Times()
    # As in a server.
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTED_AFTER)

    async def snapshot(change: str | None = None) -> float:
        if change is not None:
            await owner.execute(change, fund_id)
        await owner.execute(_ASK, organization_id, fund_id)
        started = time.perf_counter()
        await calculate_next(calculator, organization_id)
        return (time.perf_counter() - started) * 1000

    async def sql(*before: tuple[str, tuple[object, ...]]) -> float:
        started = time.perf_counter()
        await plain.execute(
            f"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL app.organization_id = '{organization_id:d}'"
        )
        for statement, values in before:
            await plain.fetch(statement, organization_id, fund_id, *values)
        rows = await plain.fetch(COMPANIES, organization_id, fund_id)
        await plain.execute("COMMIT")
        milliseconds = (time.perf_counter() - started) * 1000
        if len(rows) != COMPANY_COUNT:
            raise RuntimeError("The statement does not read what there is.")
        return milliseconds

    before = ((FUND, ()), (KNOWN, (bytes(16),)))
    # The first two warm up.
    for number in range(-2, rounds):
        if number % 2:
            alone = (await sql(), await sql(*before))
        snapshots = (await snapshot(_CHANGE_COMPANY), await snapshot(_CHANGE_LOT), await snapshot())
        if not number % 2:
            alone = (await sql(), await sql(*before))
        kinds = (times.statement, times.sql, times.changed, times.changed_lot, times.unchanged)
        for samples, milliseconds in zip(kinds, (*alone, *snapshots), strict=True) if number >= 0 else ():
            samples.append(milliseconds)
    statuses = await owner.fetch("SELECT DISTINCT status, metrics ->> 'copiedFrom' IS NULL FROM forecast_snapshots")
    if sorted(tuple(row) for row in statuses) != [("COMPLETE", False), ("COMPLETE", True)]:
        raise RuntimeError("Not all snapshots were calculated, or none was copied.")
    await asyncio.gather(owner.close(), plain.close(), pools.close())
    return times


def _render(times: Times, ratio: float, postgresql: str, rounds: int) -> str:
    median = statistics.median(times.statement)
    rows = [
        [
            name,
            f"{statistics.median(samples):.1f} ms",
            f"{statistics.quantiles(samples, n=20)[-1]:.1f} ms",
            f"{statistics.median(samples) / median:.2f} x",
        ]
        for name, samples in (
            ("the statement that reads companies and lots, alone", times.statement),
            ("all the SQL that a snapshot reads by where a company has changed, alone", times.sql),
            ("a snapshot of a fund of which a company has changed", times.changed),
            ("of which only a lot has changed", times.changed_lot),
            ("of which nothing has changed", times.unchanged),
        )
    ]
    goal = "kept" if ratio <= RATIO_MAX else "missed"
    return (
        "\n\n".join(
            [
                f"# A snapshot of {COMPANY_COUNT:,} companies and {COMPANY_COUNT * LOTS_EACH:,} lots",
                report.measured_with(postgresql, f"{rounds} rounds by turns"),
                report.markdown(["", "median", "p95", "ratio of medians"], rows),
                "A snapshot is timed from its claim to the commit of its metrics: two transactions with their log, the"
                " reading, the figures, and the metrics as JSON. The SQL is the same, in a hand-written read-only"
                " transaction, its rows received and left alone: whether the fund's companies have changed, and they"
                " with the sums of their lots. Where only a lot has changed, all lots are looked through for that"
                f" first. The goal: a snapshot of a fund that has changed at most {RATIO_MAX:g} x; {goal}.",
            ]
        )
        + "\n"
    )


if __name__ == "__main__":
    application = typer.Typer(pretty_exceptions_enable=False, add_completion=False)
    application.command()(main)
    application()
