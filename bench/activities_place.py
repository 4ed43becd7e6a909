"""Where cash flows are measured: a database with portfolios, a server on it, and the bare statements beside it."""

import asyncio
import contextlib
import time
from bisect import bisect_right
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import asyncpg
import pyxirr

from api.domain.irr import IrrMethod
from api.services import stored_returns
from bench import questions
from bench.contestants import CONTESTANTS, Running, started
from bench.database import BenchDatabase, filled_database

FEW = 50
HOLDINGS, MONTHS = 100, 120
YEAR = 12
FIRST_MONTH = date(2010, 1, 31)

_INSERT = """
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
class Bench:
    """One running server with its database, and a connection for the bare statements."""

    database: BenchDatabase
    running: Running
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
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
        request = questions.http_request(self.database.tokens[0], body)

        async def asked() -> tuple[bytes, bytes]:
            self.writer.write(request)
            return await questions.answer(self.reader)

        began = time.perf_counter()
        _, answer = self.loop.run_until_complete(asked())
        seconds = time.perf_counter() - began
        if b'"errors"' in answer or b'"message"' in answer or b'"FAILED"' in answer:
            raise RuntimeError(answer[:2000].decode())
        return seconds

    def insert(self, rows: Sequence[tuple[Any, ...]]) -> float:
        """The seconds that these cash flows take by themselves."""
        columns = list(zip(*rows, strict=True))
        return self.run_bare(lambda connection: connection.execute(_INSERT, self.organization_id, *columns))

    def forget(self, holding_ids: Sequence[int]) -> None:
        """Deletes what was measured of these holdings, which is what has a note."""
        self.run_bare(lambda connection: connection.execute(_FORGET, self.organization_id, holding_ids))

    def run_bare(self, work: Callable[[asyncpg.Connection], Awaitable[Any]]) -> float:
        """The seconds of work in a transaction of the organization."""

        async def timed() -> float:
            began = time.perf_counter()
            await self.bare.execute(f"BEGIN; SET LOCAL app.organization_id = '{self.organization_id}'")
            await work(self.bare)
            await self.bare.execute("COMMIT")
            return time.perf_counter() - began

        return self.loop.run_until_complete(timed())

    def compute_bare(self, portfolio_id: int, since: date = date.min) -> float:
        """The one read, pyxirr for each return, and the one write, with nothing around them."""

        async def work(connection: asyncpg.Connection) -> None:
            found = await connection.fetch(stored_returns.READ, self.organization_id, portfolio_id, [], since, None)
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
            await connection.execute(_STORE, self.organization_id, owners, days, methods, rates)

        return self.run_bare(work)


@contextlib.contextmanager
def opened(directory: Path) -> Iterator[Bench]:
    """A filled database below this directory, and a server on it."""
    # The database's own user has to get through to its data.
    directory.chmod(0o755)
    logs = directory / "logs"
    logs.mkdir()
    with (
        filled_database(directory / "state", ("bench",), _load) as database,
        started([CONTESTANTS[0]], database, logs) as (running,),
        _connected(database, running) as bench,
    ):
        yield bench


async def _load(owner: asyncpg.Connection, organization_ids: Sequence[int]) -> None:
    async with owner.transaction():
        await owner.execute("SET LOCAL ROLE tranche_maintenance")
        for name, holdings in (("bulk", HOLDINGS), ("one", 1), ("month", FEW), ("returns", HOLDINGS)):
            await owner.execute(_FILL, organization_ids[0], name, holdings)
        for name, months in (("one", YEAR), ("month", YEAR), ("returns", MONTHS)):
            for statement in (_MONTHLY, _VALUED):
                await owner.execute(statement, organization_ids[0], name, FIRST_MONTH, months)


@contextlib.contextmanager
def _connected(database: BenchDatabase, running: Running) -> Iterator[Bench]:
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
    reader, writer = loop.run_until_complete(asyncio.open_connection("127.0.0.1", running.port))
    portfolios = {row["name"]: row["portfolio_id"] for row in found}
    yield Bench(database, running, reader, writer, bare, loop, holdings, portfolios)
    writer.close()
    loop.run_until_complete(bare.close())
    loop.close()


_STORE = """
INSERT INTO portfolio_fund_irr_values AS stored (organization_id, holding_id, as_of, method, value, reason)
SELECT $1, given.holding_id, given.as_of, given.method, given.value::numeric,
  CASE WHEN given.value IS NULL THEN 'DID_NOT_CONVERGE' END
FROM unnest($2::bigint[], $3::date[], $4::text[], $5::text[]) AS given (holding_id, as_of, method, value)
ON CONFLICT (organization_id, holding_id, as_of, method) DO UPDATE SET value = excluded.value, reason = excluded.reason
"""
