"""Totals of holdings, portfolios and exposures: each holding by its latest statement on or before a date."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from api.domain.performance import Totals, totals
from api.reads.declarations import BatchSelect

_HOLDINGS = """
FROM portfolio_funds AS holding
LEFT JOIN LATERAL (
  SELECT id, committed_cents, paid_in_cents, distributed_cents, nav_cents FROM holding_statements AS statement
  WHERE statement.organization_id = {organization} AND statement.holding_id = holding.id
    AND statement.as_of <= {as_of}
  ORDER BY statement.as_of DESC LIMIT 1
) AS statement ON true
"""

_SUMS = """
count(*), count(statement.id),
count(*) FILTER (WHERE statement.id IS NULL OR statement.committed_cents IS NULL OR statement.paid_in_cents IS NULL
  OR statement.distributed_cents IS NULL OR statement.nav_cents IS NULL),
sum(statement.committed_cents), sum(statement.paid_in_cents), sum(statement.distributed_cents), sum(statement.nav_cents)
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


def _totals(rows: Sequence[Sequence[Any]]) -> Totals:
    """The totals in the first of the rows; raises Refused (LIMIT_EXCEEDED) beyond 64 bits."""
    _, statement_count, incomplete_count, *sums = rows[0]
    committed, paid_in, distributed, nav = (None if value is None else int(value) for value in sums)
    return totals(
        committed=committed,
        paid_in=paid_in,
        distributed=distributed,
        nav=nav,
        statement_count=statement_count,
        incomplete_count=incomplete_count,
    )


def _exposure(rows: Sequence[Sequence[Any]]) -> list[ExposureGroup]:
    return [ExposureGroup(label, fund_id, sums[0], _totals([sums])) for label, fund_id, *sums in rows]


def _exposure_sql(arguments: Mapping[str, Any]) -> str:
    label = DIMENSIONS[arguments["by"]]
    fund_id = "fund.id" if arguments["by"] == "FUND" else "NULL::bigint"
    return (
        f"SELECT ROW({label}, {fund_id}, {_SUMS}) {_HOLDINGS}"
        " JOIN funds AS fund ON fund.organization_id = {organization} AND fund.id = holding.fund_id"
        " WHERE holding.organization_id = {organization} AND holding.portfolio_id = {key}"
        f" GROUP BY {label}, {fund_id}"
        f" ORDER BY sum(statement.nav_cents) DESC NULLS LAST, {label} NULLS LAST, {fund_id}"
    )


def _totals_by(column: str) -> BatchSelect:
    where = f" WHERE holding.organization_id = {{organization}} AND {column} = {{key}}"
    return BatchSelect(lambda _arguments: f"SELECT ROW({_SUMS}) {_HOLDINGS} {where}", _totals, {"as_of": "date"})


HOLDING_TOTALS = _totals_by("holding.id")
"""The totals of a holding as of a date."""

PORTFOLIO_TOTALS = _totals_by("holding.portfolio_id")
"""The totals of a portfolio as of a date."""

EXPOSURES = BatchSelect(_exposure_sql, _exposure, {"as_of": "date"})
"""A portfolio's holdings grouped by a dimension of their funds, largest NAV first."""
