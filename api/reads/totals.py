"""Totals of holdings, portfolios and exposures: each holding by its latest statement on or before a date."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from api.db.pools import Snapshot
from api.domain.performance import Totals, totals

_LATEST_STATEMENTS = """
FROM portfolio_funds AS holding
LEFT JOIN LATERAL (
  SELECT * FROM holding_statements AS statement
  WHERE statement.organization_id = $1 AND statement.holding_id = holding.id AND statement.as_of <= $3
  ORDER BY statement.as_of DESC LIMIT 1
) AS statement ON true
"""

_SUMS = """
count(statement.id) AS statement_count,
count(*) FILTER (WHERE statement.id IS NULL OR statement.committed_cents IS NULL OR statement.paid_in_cents IS NULL
  OR statement.distributed_cents IS NULL OR statement.nav_cents IS NULL) AS incomplete_count,
sum(statement.committed_cents) AS committed, sum(statement.paid_in_cents) AS paid_in,
sum(statement.distributed_cents) AS distributed, sum(statement.nav_cents) AS nav
"""

DIMENSIONS = {
    "STRATEGY": "fund.strategy",
    "VINTAGE_YEAR": "fund.vintage_year::text",
    "GENERAL_PARTNER": "fund.general_partner",
    "FUND": "fund.name",
}
"""What an exposure may be broken down by, and the SQL of its label."""


@dataclass(frozen=True, slots=True)
class ExposureGroup:
    """One group of a breakdown: its label (None: not known), its fund where that is the dimension, its totals."""

    label: str | None
    fund_id: int | None
    holding_count: int
    totals: Totals


async def fetch_holding_totals(
    snapshot: Snapshot, keys: Sequence[Any], arguments: Mapping[str, Any]
) -> dict[Any, Totals]:
    """The totals of the holdings with these ids as of a date; raises Refused (LIMIT_EXCEEDED) beyond 64 bits."""
    return await _fetch(snapshot, "holding.id", keys, arguments)


async def fetch_portfolio_totals(
    snapshot: Snapshot, keys: Sequence[Any], arguments: Mapping[str, Any]
) -> dict[Any, Totals]:
    """The totals of the portfolios with these ids as of a date; raises Refused (LIMIT_EXCEEDED) beyond 64 bits."""
    return await _fetch(snapshot, "holding.portfolio_id", keys, arguments)


async def _fetch(snapshot: Snapshot, key: str, keys: Sequence[Any], arguments: Mapping[str, Any]) -> dict[Any, Totals]:
    rows = await snapshot.fetch(
        f"SELECT {key} AS key, {_SUMS} {_LATEST_STATEMENTS}"
        f" WHERE holding.organization_id = $1 AND {key} = ANY ($2::bigint[]) GROUP BY 1",
        snapshot.organization_id,
        list(keys),
        arguments["as_of"],
    )
    return {row["key"]: _totals(row) for row in rows}


async def fetch_exposures(
    snapshot: Snapshot, keys: Sequence[Any], arguments: Mapping[str, Any]
) -> dict[Any, list[ExposureGroup]]:
    """The portfolios' holdings grouped by a dimension of their funds, largest NAV first."""
    dimension = arguments["by"]
    label = DIMENSIONS[dimension]
    fund_id = "fund.id" if dimension == "FUND" else "NULL::bigint"
    rows = await snapshot.fetch(
        f"SELECT holding.portfolio_id AS key, {label} AS label, {fund_id} AS fund_id, count(*) AS holdings, {_SUMS}"
        f" {_LATEST_STATEMENTS} JOIN funds AS fund ON fund.organization_id = $1 AND fund.id = holding.fund_id"
        " WHERE holding.organization_id = $1 AND holding.portfolio_id = ANY ($2::bigint[])"
        " GROUP BY 1, 2, 3 ORDER BY nav DESC NULLS LAST, label NULLS LAST, fund_id",
        snapshot.organization_id,
        list(keys),
        arguments["as_of"],
    )
    groups: dict[Any, list[ExposureGroup]] = defaultdict(list)
    for row in rows:
        groups[row["key"]].append(ExposureGroup(row["label"], row["fund_id"], row["holdings"], _totals(row)))
    return groups


def _totals(row: Any) -> Totals:
    def whole(name: str) -> int | None:
        return None if row[name] is None else int(row[name])

    return totals(
        committed=whole("committed"),
        paid_in=whole("paid_in"),
        distributed=whole("distributed"),
        nav=whole("nav"),
        statement_count=row["statement_count"],
        incomplete_count=row["incomplete_count"],
    )
