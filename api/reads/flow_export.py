"""A portfolio's activities and valuations as files hold them."""

from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple

import asyncpg

from api.db.pools import Snapshot
from api.domain.activities import ActivityType
from api.domain.flow_rows import ActivityRow, HoldingName, ValuationRow
from api.reads import global_ids

CHUNK_ROWS = 10_000


class FoundPortfolio(NamedTuple):
    """A portfolio that was asked for by name or global id."""

    id: int
    currency: str


async def find_portfolio(snapshot: Snapshot, name: str) -> FoundPortfolio | None:
    """The portfolio of this name, else of this global id."""
    rows = await snapshot.fetch(
        "SELECT id, currency FROM portfolios WHERE organization_id = $1 AND (name = $2 OR id = $3)"
        " ORDER BY name = $2 DESC LIMIT 1",
        snapshot.organization_id,
        name,
        global_ids.decode_as("Portfolio", name),
    )
    return FoundPortfolio(*rows[0]) if rows else None


async def read_activities(
    snapshot: Snapshot, portfolio_id: int, *, progress: Callable[[int], None] = lambda _: None
) -> list[ActivityRow]:
    """All activities in the order in which they were recorded; ``progress`` is told how many so far."""
    columns = "flow.activity_type, flow.amount_cents, flow.occurred_on, flow.is_recallable, flow.note"
    rows: list[ActivityRow] = []
    async for holding, (kind, *values) in _rows(snapshot, portfolio_id, "holding_activity_log", columns):
        rows.append(ActivityRow(len(rows) + 2, holding, ActivityType(kind), *values))
        if len(rows) % CHUNK_ROWS == 0:
            progress(len(rows))
    progress(len(rows))
    return rows


async def read_valuations(
    snapshot: Snapshot, portfolio_id: int, *, progress: Callable[[int], None] = lambda _: None
) -> list[ValuationRow]:
    """All valuations; ``progress`` is told how many so far."""
    columns = "flow.valued_on, flow.value_cents"
    rows: list[ValuationRow] = []
    async for holding, values in _rows(snapshot, portfolio_id, "portfolio_fund_valuations", columns):
        rows.append(ValuationRow(len(rows) + 2, holding, *values))
        if len(rows) % CHUNK_ROWS == 0:
            progress(len(rows))
    progress(len(rows))
    return rows


async def _rows(
    snapshot: Snapshot, portfolio_id: int, table: str, columns: str
) -> AsyncIterator[tuple[HoldingName, tuple[Any, ...]]]:
    """Each row's holding by its fund, and these columns, in chunks by id."""
    last_id = 0
    while True:
        rows: list[asyncpg.Record] = list(
            await snapshot.fetch(
                f"""
                SELECT flow.id, fund.name, fund.vintage_year, {columns} FROM {table} AS flow
                JOIN portfolio_funds AS holding
                  ON holding.organization_id = flow.organization_id AND holding.id = flow.holding_id
                JOIN funds AS fund ON fund.organization_id = holding.organization_id AND fund.id = holding.fund_id
                WHERE flow.organization_id = $1 AND holding.portfolio_id = $2 AND flow.id > $3
                ORDER BY flow.id LIMIT $4
                """,
                snapshot.organization_id,
                portfolio_id,
                last_id,
                CHUNK_ROWS,
            )
        )
        for row in rows:
            yield HoldingName(None, row["name"], row["vintage_year"]), tuple(row)[3:]
        if len(rows) < CHUNK_ROWS:
            return
        last_id = rows[-1]["id"]
