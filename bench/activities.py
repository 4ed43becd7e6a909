"""`python -m bench.activities`: what bulks of cash flows and recalculations cost beside their bare statements.

Everything is measured by turns in one run, the bare statements with the server's own login. Writes ACTIVITIES.md.
"""

import asyncio
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from api.reads import global_ids
from bench import questions, report
from bench.activities_place import FEW, FIRST_MONTH, HOLDINGS, MONTHS, YEAR, Bench, opened

ROWS = 10_000
CLIENTS = 10
MEMORY = Path("/dev/shm")  # noqa: S108 - a directory of our own is made in it

BULK = """mutation ($input: CreateHoldingActivitiesInput!) { createHoldingActivities(input: $input) {
  acceptedCount %s recalculations { status } userErrors { message } } }"""
RECALCULATE = """mutation ($input: RecalculateIrrInput!) { recalculateIrr(input: $input) {
  recalculations { status } userErrors { message } } }"""


@dataclass
class Compared:
    """Seconds of what is measured, and of what it is compared with, round by round."""

    ours: list[float] = field(default_factory=list)
    bare: list[float] = field(default_factory=list)

    @property
    def ratio(self) -> float:
        """How many times as long ours takes, by the medians."""
        return statistics.median(self.ours) / statistics.median(self.bare)


def main(
    rounds: Annotated[int, typer.Option(help="How often everything is measured.", min=1)] = 7,
    output: Annotated[Path, typer.Option(help="The report.")] = Path(__file__).parent / "ACTIVITIES.md",
    few: Annotated[bool, typer.Option("--few", help="Only small batches, and only told.")] = False,
) -> None:
    """Measures and writes the report."""
    few_rounds = rounds * 10
    with _directory(MEMORY if MEMORY.is_dir() else None) as name, opened(Path(name)) as bench:
        rows = _measure_few(bench, few_rounds)
        if not few:
            rows = [*_measure_bulks(bench, rounds), *rows, *_measure_beside_all(bench, few_rounds)]
            rows.append(_measure_returns(bench, rounds))
            clients = _measure_clients(bench, rounds)
        version = bench.database.version
    with _directory(None) as name, opened(Path(name)) as bench:
        on_disk = _measure_few(bench, few_rounds)
    if few:
        typer.echo(f"{_table(rows)}\n\n{_table(on_disk)}")
        return
    text = _render(rows, on_disk, clients, version, rounds)
    output.write_text(text)
    typer.echo(text)


def _directory(parent: Path | None) -> tempfile.TemporaryDirectory[str]:
    """In memory, or where temporary files are, which is on a disk unless the machine says otherwise."""
    return tempfile.TemporaryDirectory(dir=parent, prefix="tranche-activities-")


def _activities(holding_ids: Sequence[int], count: int) -> list[tuple[int, str, int, date, bool, str | None]]:
    kinds = ("INVESTMENT", "DISTRIBUTION", "FEE", "WITHDRAWAL")
    return [
        (
            holding_ids[number % len(holding_ids)],
            kinds[number % 4],
            100_000 + number,
            FIRST_MONTH + timedelta(number % 3_650),
            number % 5 == 0,
            f"Row {number}",
        )
        for number in range(count)
    ]


def _bulk_body(rows: Sequence[tuple[Any, ...]], selection: str) -> bytes:
    given = [
        {
            "holdingId": global_ids.encode("Holding", holding_id),
            "activityType": kind,
            "amountCents": str(cents),
            "occurredOn": day,
            "isRecallable": is_recallable,
            "note": note,
        }
        for holding_id, kind, cents, day, is_recallable, note in rows
    ]
    return orjson.dumps({"query": BULK % selection, "variables": {"input": {"activities": given}}})


def _compare(rounds: int, ours: Callable[[], float], bare: Callable[[], float]) -> Compared:
    """Both by turns, every other round in the opposite order, after one of each that does not count."""
    ours()
    bare()
    compared = Compared()
    for number in range(rounds):
        turns = [(compared.ours, ours), (compared.bare, bare)]
        for seconds, measure in turns if number % 2 == 0 else reversed(turns):
            seconds.append(measure())
    return compared


def _measure_bulks(bench: Bench, rounds: int) -> list[tuple[str, str, Compared]]:
    rows = _activities(bench.holdings["bulk"], ROWS)
    found = []
    for shown, selection in (("how many", ""), ("all their ids", "activities { id }")):
        body = _bulk_body(rows, selection)
        compared = _compare(rounds, partial(bench.post, body), partial(bench.insert, rows))
        found.append((f"bulk of {ROWS:,}, answering {shown}", "at most 2.5 x (0.4 x the rows/s)", compared))
    return found


@dataclass(frozen=True)
class Few:
    """A small batch: of which portfolio, said how, on which days."""

    portfolio: str
    title: str
    days: Sequence[date]

    def turns(self, bench: Bench) -> tuple[Callable[[], float], Callable[[], float]]:
        """Ours and the bare insert, each on holdings as they were, and with other amounts every time: the returns that
        are stored always change.
        """
        holding_ids = bench.holdings[self.portfolio]
        batches = [
            [
                (holding_ids[place % len(holding_ids)], "INVESTMENT", cents + place, day, False, f"Row {place}")
                for place, day in enumerate(self.days)
            ]
            for cents in (1_000, 2_000)
        ]
        bodies = itertools.cycle([_bulk_body(batch, "activities { id }") for batch in batches])
        rows = itertools.cycle(batches)

        def ours() -> float:
            bench.forget(holding_ids)
            return bench.post(next(bodies))

        def bare() -> float:
            bench.forget(holding_ids)
            return bench.insert(next(rows))

        return ours, bare


FEW_OF_ONE = Few(
    "one",
    f"{FEW} activities with recalculation, of one holding, before {YEAR} valuations",
    [FIRST_MONTH + timedelta(number) for number in range(FEW)],
)
FEW_OF_MANY = Few(
    "month",
    f"{FEW} activities with recalculation, of {FEW} holdings, before their last valuation",
    [FIRST_MONTH + timedelta(days=30 * (YEAR - 1))] * FEW,
)


def _measure_few(bench: Bench, rounds: int) -> list[tuple[str, str, Compared]]:
    """A year's flows of one holding, whose returns all follow; and a flow of each holding of a portfolio on its last
    day, whose returns follow on that day.
    """
    return [(few.title, "at most 4 x", _compare(rounds, *few.turns(bench))) for few in (FEW_OF_ONE, FEW_OF_MANY)]


def _measure_beside_all(bench: Bench, rounds: int) -> list[tuple[str, str, Compared]]:
    """The same beside all that is read, computed and written."""
    found = []
    for few in (FEW_OF_ONE, FEW_OF_MANY):
        ours, bare = few.turns(bench)
        compute = partial(bench.compute_bare, bench.portfolios[few.portfolio], few.days[0])
        compared = _compare(rounds, ours, lambda bare=bare, compute=compute: bare() + compute())  # type: ignore[misc]
        found.append((f"{few.title}: beside insert, read, pyxirr and write", "", compared))
    return found


def _measure_returns(bench: Bench, rounds: int) -> tuple[str, str, Compared]:
    portfolio_id = bench.portfolios["returns"]
    given = {"portfolioId": global_ids.encode("Portfolio", portfolio_id)}
    body = orjson.dumps({"query": RECALCULATE, "variables": {"input": given}})
    compared = _compare(rounds, lambda: bench.post(body), lambda: bench.compute_bare(portfolio_id))
    return f"recalculation of {HOLDINGS} holdings x {MONTHS} months", "at most 3 x", compared


def _measure_clients(bench: Bench, rounds: int) -> str:
    """What came of many clients that send bulks at once."""
    body = _bulk_body(_activities(bench.holdings["bulk"], ROWS // CLIENTS), "")
    request = questions.http_request(bench.database.tokens[0], body)

    async def client() -> tuple[int, int]:
        reader, writer = await asyncio.open_connection("127.0.0.1", bench.running.port)
        stored = failed = 0
        for _ in range(rounds):
            writer.write(request)
            _, answer = await questions.answer(reader)
            is_good = b'"errors"' not in answer and b'"message"' not in answer and b'"FAILED"' not in answer
            stored, failed = stored + is_good, failed + (not is_good)
        writer.close()
        return stored, failed

    async def together() -> list[tuple[int, int]]:
        return await asyncio.gather(*(client() for _ in range(CLIENTS)))

    began = time.perf_counter()
    outcomes = bench.loop.run_until_complete(together())
    seconds = time.perf_counter() - began
    stored, failed = (sum(part) for part in zip(*outcomes, strict=True))
    return (
        f"{CLIENTS} clients at once, {rounds} bulks of {ROWS // CLIENTS:,} each with recalculation: {stored} stored, "
        f"{failed} failed, {stored * ROWS // CLIENTS / seconds:,.0f} rows/s."
    )


def _table(rows: Sequence[tuple[str, str, Compared]]) -> str:
    cells = [
        [
            name,
            f"{statistics.median(one.ours) * 1000:.1f} ms",
            f"{statistics.median(one.bare) * 1000:.1f} ms",
            f"{one.ratio:.2f} x",
            goal,
        ]
        for name, goal, one in rows
    ]
    return report.markdown(["", "through GraphQL", "bare", "ratio", "goal"], cells)


Rows = Sequence[tuple[str, str, Compared]]


def _render(rows: Rows, on_disk: Rows, clients: str, postgresql: str, rounds: int) -> str:
    rate = ROWS / statistics.median(rows[0][2].ours)
    return (
        "\n\n".join(
            [
                "# Bulks of cash flows, and computing returns anew",
                report.measured_with(postgresql, f"{rounds} rounds of all by turns, medians"),
                _table(rows),
                clients,
                f"A bulk comes to {rate:,.0f} rows/s. Bare is an INSERT from unnest of the same rows, and for returns "
                "one read, pyxirr for each holding, day and method, and one write: in a transaction, with the server's "
                "own login and row-level security. All of that is on a database in memory; the same small batches on "
                "one where the machine keeps its temporary files, which waits for its disk:",
                _table(on_disk),
                "A small batch is one transaction with its returns, seven statements beside three, and an eighth that "
                "reads the portfolio's flows meanwhile. That and two dozen rates, to 24 decimals, take about as long "
                "as the insert, a hundred take longer; the rest goes into storing them, into the request, its 50 "
                "inputs and the log.",
            ]
        )
        + "\n"
    )


if __name__ == "__main__":
    application = typer.Typer(pretty_exceptions_enable=False, add_completion=False)
    application.command()(main)
    application()
