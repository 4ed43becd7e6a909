"""`python -m bench.activities`: what bulks of cash flows and recalculations cost beside their bare statements.

Everything is measured by turns in one run, the bare statements with the server's own login. Writes ACTIVITIES.md.
"""

import asyncio
import contextlib
import http.client
import statistics
import tempfile
import time
from bisect import bisect_right
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import asyncpg
import orjson
import pyxirr
import typer

from api.domain.irr import IrrMethod
from api.reads import global_ids
from api.services import recalculation
from bench import questions, report
from bench.contestants import CONTESTANTS, Running, started
from bench.database import BenchDatabase, filled_database

ROWS = 10_000
FEW = 50
HOLDINGS, MONTHS = 100, 120
YEAR = 12
CLIENTS = 10
FIRST_MONTH = date(2010, 1, 31)
MEMORY = Path("/dev/shm")  # noqa: S108 - a directory of our own is made in it

BULK = """mutation ($input: CreateHoldingActivitiesInput!) { createHoldingActivities(input: $input) {
  acceptedCount %s recalculations { status } userErrors { message } } }"""
RECALCULATE = """mutation ($input: RecalculateIrrInput!) { recalculateIrr(input: $input) {
  recalculations { status } userErrors { message } } }"""
INSERT = """
INSERT INTO holding_activity_log
  (organization_id, holding_id, activity_type, amount_cents, occurred_on, is_recallable, note)
SELECT $1, * FROM unnest($2::bigint[], $3::text[], $4::bigint[], $5::date[], $6::boolean[], $7::text[])
"""
_FILL = """
WITH fund AS (
  INSERT INTO funds (organization_id, name, currency)
  SELECT $1, $2 || ' ' || number, 'USD' FROM generate_series(1, $3::int) AS number RETURNING id
), portfolio AS (
  INSERT INTO portfolios (organization_id, name, currency) VALUES ($1, $2, 'USD') RETURNING id
)
INSERT INTO portfolio_funds (organization_id, portfolio_id, fund_id)
SELECT $1, portfolio.id, fund.id FROM portfolio CROSS JOIN fund
"""
_MONTHLY = """
INSERT INTO holding_activity_log (organization_id, holding_id, activity_type, amount_cents, occurred_on)
SELECT $1, holding.id, CASE WHEN month % 3 = 2 THEN 'DISTRIBUTION' ELSE 'INVESTMENT' END, 100000 + month * 17,
  ($3::date + month * interval '1 month')::date
FROM portfolio_funds AS holding
JOIN portfolios AS portfolio ON portfolio.id = holding.portfolio_id AND portfolio.name = $2
CROSS JOIN generate_series(0, $4::int - 1) AS month WHERE holding.organization_id = $1
"""
_FORGET = "DELETE FROM holding_activity_log WHERE organization_id = $1 AND holding_id = ANY ($2) AND note IS NOT NULL"
_VALUED = """
INSERT INTO portfolio_fund_valuations (organization_id, portfolio_id, holding_id, valued_on, value_cents)
SELECT $1, holding.portfolio_id, holding.id, ($3::date + month * interval '1 month')::date, 90000 * (month + 1)
FROM portfolio_funds AS holding
JOIN portfolios AS portfolio ON portfolio.id = holding.portfolio_id AND portfolio.name = $2
CROSS JOIN generate_series(0, $4::int - 1) AS month WHERE holding.organization_id = $1
"""


@dataclass
class Compared:
    """Seconds of what is measured, and of what it is compared with, round by round."""

    ours: list[float] = field(default_factory=list)
    bare: list[float] = field(default_factory=list)

    @property
    def ratio(self) -> float:
        """How many times as long ours takes, by the medians."""
        return statistics.median(self.ours) / statistics.median(self.bare)


@dataclass
class Bench:
    """One running server with its database, and a connection for the bare statements."""

    database: BenchDatabase
    connection: http.client.HTTPConnection
    bare: asyncpg.Connection
    loop: asyncio.AbstractEventLoop
    holdings: dict[str, list[int]]
    portfolios: dict[str, int]

    @property
    def organization_id(self) -> int:
        """The organization that everything happens in."""
        return self.database.organization_ids[0]

    def post(self, body: bytes) -> float:
        """The seconds until the answer to a request is there; raises RuntimeError for any error in it."""
        headers = {"Authorization": f"Bearer {self.database.tokens[0]}", "Content-Type": "application/json"}
        began = time.perf_counter()
        self.connection.request("POST", "/graphql", body, headers)
        answer = self.connection.getresponse().read()
        seconds = time.perf_counter() - began
        if b'"errors"' in answer or b'"message"' in answer or b'"FAILED"' in answer:
            raise RuntimeError(answer[:2000].decode())
        return seconds

    def run_bare(self, work: Callable[[asyncpg.Connection], Awaitable[Any]]) -> float:
        """The seconds of work in a transaction of the organization."""

        async def timed() -> float:
            began = time.perf_counter()
            await self.bare.execute(f"BEGIN; SET LOCAL app.organization_id = '{self.organization_id}'")
            await work(self.bare)
            await self.bare.execute("COMMIT")
            return time.perf_counter() - began

        return self.loop.run_until_complete(timed())


def main(
    rounds: Annotated[int, typer.Option(help="How often everything is measured.", min=1)] = 7,
    output: Annotated[Path, typer.Option(help="The report.")] = Path(__file__).parent / "ACTIVITIES.md",
) -> None:
    """Measures and writes the report."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None, prefix="tranche-activities-") as name:
        # The database's own user has to get through to its data.
        Path(name).chmod(0o755)
        logs = Path(name) / "logs"
        logs.mkdir()
        with (
            filled_database(Path(name) / "state", ("bench",), _load) as database,
            started([CONTESTANTS[0]], database, logs) as (running,),
            _bench(database, running) as bench,
        ):
            rows = [*_measure_bulks(bench, rounds), *_measure_few(bench, rounds * 10), _measure_returns(bench, rounds)]
            clients = _measure_clients(bench, running, rounds)
    text = _render(rows, clients, database.version, rounds)
    output.write_text(text)
    typer.echo(text)


async def _load(owner: asyncpg.Connection, organization_ids: Sequence[int]) -> None:
    async with owner.transaction():
        await owner.execute("SET LOCAL ROLE tranche_maintenance")
        for name, holdings in (("bulk", HOLDINGS), ("one", 1), ("month", FEW), ("returns", HOLDINGS)):
            await owner.execute(_FILL, organization_ids[0], name, holdings)
        for name, months in (("one", YEAR), ("month", YEAR), ("returns", MONTHS)):
            for statement in (_MONTHLY, _VALUED):
                await owner.execute(statement, organization_ids[0], name, FIRST_MONTH, months)


@contextlib.contextmanager
def _bench(database: BenchDatabase, running: Running) -> Iterator[Bench]:
    loop = asyncio.new_event_loop()
    bare = loop.run_until_complete(asyncpg.connect(database.server_url, server_settings={"role": "tranche_app"}))
    loop.run_until_complete(bare.execute(f"SET app.organization_id = '{database.organization_ids[0]}'"))
    found = loop.run_until_complete(
        bare.fetch(
            "SELECT portfolio.name, portfolio.id AS portfolio_id, holding.id FROM portfolio_funds AS holding"
            " JOIN portfolios AS portfolio ON portfolio.id = holding.portfolio_id"
        )
    )
    holdings: dict[str, list[int]] = {}
    for row in found:
        holdings.setdefault(row["name"], []).append(row["id"])
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=60)
    portfolios = {row["name"]: row["portfolio_id"] for row in found}
    yield Bench(database, connection, bare, loop, holdings, portfolios)
    loop.run_until_complete(bare.close())
    loop.close()


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


def _insert(bench: Bench, rows: Sequence[tuple[Any, ...]]) -> float:
    columns = list(zip(*rows, strict=True))
    return bench.run_bare(lambda connection: connection.execute(INSERT, bench.organization_id, *columns))


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
        compared = _compare(rounds, partial(bench.post, body), lambda: _insert(bench, rows))
        found.append((f"bulk of {ROWS:,}, answering {shown}", "at most 2.5 x (0.4 x the rows/s)", compared))
    return found


def _measure_few(bench: Bench, rounds: int) -> list[tuple[str, str, Compared]]:
    """A year's flows of one holding, whose returns all follow; and a flow of each holding of a portfolio on its last
    day, whose returns follow on that day: beside the insert alone, and beside all that is read and written.
    """
    last_month = FIRST_MONTH + timedelta(days=30 * (YEAR - 1))
    found = []
    for name, what, days in (
        (
            "one",
            f"of one holding, before {YEAR} valuations",
            [FIRST_MONTH + timedelta(number) for number in range(FEW)],
        ),
        ("month", f"of {FEW} holdings, before their last valuation", [last_month] * FEW),
    ):
        holding_ids = bench.holdings[name]
        rows = [
            (holding_ids[number % len(holding_ids)], "INVESTMENT", 1_000 + number, day, False, f"Row {number}")
            for number, day in enumerate(days)
        ]
        body = _bulk_body(rows, "activities { id }")

        def clean(holding_ids: Sequence[int] = holding_ids) -> None:
            bench.run_bare(lambda connection: connection.execute(_FORGET, bench.organization_id, holding_ids))

        def ours(body: bytes = body, clean: Callable[[], None] = clean) -> float:
            clean()
            return bench.post(body)

        def bare(rows: Sequence[Any] = rows, clean: Callable[[], None] = clean) -> float:
            clean()
            return _insert(bench, rows)

        def both(name: str = name, days: Sequence[date] = days, bare: Callable[[], float] = bare) -> float:
            return bare() + _bare_returns(bench, bench.portfolios[name], days[0])

        title = f"{FEW} activities with recalculation, {what}"
        found.append((title, "at most 4 x", _compare(rounds, ours, bare)))
        found.append((f"{title}: beside insert, read, pyxirr and write", "", _compare(rounds, ours, both)))
    return found


def _measure_returns(bench: Bench, rounds: int) -> tuple[str, str, Compared]:
    portfolio_id = bench.portfolios["returns"]
    given = {"portfolioId": global_ids.encode("Portfolio", portfolio_id)}
    body = orjson.dumps({"query": RECALCULATE, "variables": {"input": given}})
    compared = _compare(rounds, lambda: bench.post(body), lambda: _bare_returns(bench, portfolio_id))
    return f"recalculation of {HOLDINGS} holdings x {MONTHS} months", "at most 3 x", compared


def _bare_returns(bench: Bench, portfolio_id: int, since: date = date.min) -> float:
    """The one read, pyxirr for each return, and the one write, with nothing around them."""

    async def work(connection: asyncpg.Connection) -> None:
        money_in, switches = recalculation._MONEY_IN, recalculation._SWITCHES
        given: tuple[Any, ...] = (bench.organization_id, portfolio_id, [], money_in, switches, since)
        found = await connection.fetch(recalculation._READ, *given)
        owners, days, rates, methods = [], [], [], []
        for row in found:
            flows = sorted(zip(row["days"], row["cents"], strict=True))
            flow_days, cents = [day for day, _ in flows], [amount for _, amount in flows]
            for day, value in zip(row["valued_on"], row["value_cents"], strict=True):
                if day < since:
                    continue
                count = bisect_right(flow_days, day)
                for method in (IrrMethod.XIRR, IrrMethod.MONTHLY_NOMINAL):
                    amounts = [*cents[:count], value]
                    if method is IrrMethod.XIRR:
                        rate = pyxirr.xirr([*flow_days[:count], day], amounts, silent=True)
                    else:
                        rate = pyxirr.irr(amounts, silent=True)
                    owners.append(row["id"])
                    days.append(day)
                    methods.append(method.value)
                    rates.append(None if rate is None else str(rate))
        await connection.execute(_STORE, bench.organization_id, owners, days, methods, rates)

    return bench.run_bare(work)


_STORE = """
INSERT INTO portfolio_fund_irr_values AS stored (organization_id, holding_id, as_of, method, value, reason)
SELECT $1, given.holding_id, given.as_of, given.method, given.value::numeric,
  CASE WHEN given.value IS NULL THEN 'DID_NOT_CONVERGE' END
FROM unnest($2::bigint[], $3::date[], $4::text[], $5::text[]) AS given (holding_id, as_of, method, value)
ON CONFLICT (organization_id, holding_id, as_of, method) DO UPDATE SET value = excluded.value, reason = excluded.reason
"""


def _measure_clients(bench: Bench, running: Running, rounds: int) -> str:
    """What came of many clients that send bulks at once."""
    body = _bulk_body(_activities(bench.holdings["bulk"], ROWS // CLIENTS), "")
    request = questions.http_request(bench.database.tokens[0], orjson.loads(body))

    async def client() -> tuple[int, int]:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        stored = failed = 0
        for _ in range(rounds):
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
            answer = await reader.readexactly(length)
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


def _render(rows: Sequence[tuple[str, str, Compared]], clients: str, postgresql: str, rounds: int) -> str:
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
    bulk = rows[0][2]
    rate = ROWS / statistics.median(bulk.ours)
    return (
        "\n\n".join(
            [
                "# Bulks of cash flows, and computing returns anew",
                report.measured_with(postgresql, f"{rounds} rounds of all by turns, medians"),
                report.markdown(["", "through GraphQL", "bare", "ratio", "goal"], cells),
                clients,
                f"A bulk comes to {rate:,.0f} rows/s. Bare is an INSERT from unnest of the same rows, and for returns "
                "one read, pyxirr for each holding, day and method, and one write: in a transaction, with the server's "
                "own login and row-level security. What is recalculated is written in a transaction of its own, for "
                "the activities are not to be lost with it: 14 statements and two commits beside three and one.",
            ]
        )
        + "\n"
    )


if __name__ == "__main__":
    application = typer.Typer(pretty_exceptions_enable=False, add_completion=False)
    application.command()(main)
    application()
