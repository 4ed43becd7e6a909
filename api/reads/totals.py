"""Totals of holdings, portfolios and exposures on a date.

Each holding counts by its flows and last valuation until then, or by its latest statement where it has no flows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from api.domain.activities import DISTRIBUTED, PAID_IN
from api.domain.performance import Totals, totals
from api.reads.declarations import BatchSelect

_PAID_IN = ", ".join(f"'{kind}'" for kind in sorted(PAID_IN))
_DISTRIBUTED = ", ".join(f"'{kind}'" for kind in sorted(DISTRIBUTED))

_FLOW_SUMS = f"""
count(*) AS flow_count, coalesce(sum(amount_cents) FILTER (WHERE activity_type IN ({_PAID_IN})), 0) AS paid_in,
coalesce(sum(amount_cents) FILTER (WHERE activity_type IN ({_DISTRIBUTED})), 0) AS distributed,
coalesce(sum(amount_cents) FILTER (WHERE activity_type IN ({_DISTRIBUTED}) AND is_recallable), 0) AS recallable
"""

# A holding's figures are those of its flows if it has any by then, else those of its latest statement.
_FIGURE = """
LEFT JOIN LATERAL (
  SELECT TRUE AS is_reported, holding.commitment_cents::numeric AS committed_cents, activity.paid_in AS paid_in_cents,
    activity.distributed AS distributed_cents, (
      SELECT value_cents FROM portfolio_fund_valuations AS valuation
      WHERE valuation.organization_id = {organization} AND valuation.holding_id = holding.id
        AND valuation.valued_on <= {as_of}
      ORDER BY valuation.valued_on DESC LIMIT 1
    )::numeric AS nav_cents
  WHERE activity.flow_count > 0
  UNION ALL (
    SELECT TRUE, committed_cents, paid_in_cents, distributed_cents, nav_cents FROM holding_statements AS statement
    WHERE activity.flow_count = 0 AND statement.organization_id = {organization}
      AND statement.holding_id = holding.id AND statement.as_of <= {as_of}
    ORDER BY statement.as_of DESC LIMIT 1
  )
) AS figure ON true
"""

_HOLDINGS = f"""
FROM portfolio_funds AS holding
LEFT JOIN LATERAL (
  SELECT {_FLOW_SUMS} FROM holding_activity_log AS activity
  WHERE activity.organization_id = {{organization}} AND activity.holding_id = holding.id
    AND activity.occurred_on <= {{as_of}}
) AS activity ON true
{_FIGURE}
"""

_SUMS = """
count(*), count(figure.is_reported),
count(*) FILTER (WHERE figure.is_reported IS NULL OR figure.committed_cents IS NULL OR figure.paid_in_cents IS NULL
  OR figure.distributed_cents IS NULL OR figure.nav_cents IS NULL),
sum(figure.committed_cents), sum(figure.paid_in_cents), sum(figure.distributed_cents), sum(figure.nav_cents),
sum(activity.recallable)
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
    committed, paid_in, distributed, nav, recallable = (None if value is None else int(value) for value in sums)
    return totals(
        committed=committed,
        paid_in=paid_in,
        distributed=distributed,
        nav=nav,
        statement_count=statement_count,
        incomplete_count=incomplete_count,
        recallable=recallable or 0,
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
        f" ORDER BY sum(figure.nav_cents) DESC NULLS LAST, {label} NULLS LAST, {fund_id}"
    )


def _totals_by(column: str) -> BatchSelect:
    where = f" WHERE holding.organization_id = {{organization}} AND {column} = {{key}}"
    return BatchSelect(lambda _arguments: f"SELECT ROW({_SUMS}) {_HOLDINGS} {where}", _totals, {"as_of": "date"})


HOLDING_TOTALS = _totals_by("holding.id")
"""The totals of a holding as of a date."""

PORTFOLIO_TOTALS = _totals_by("holding.portfolio_id")
"""The totals of a portfolio as of a date."""

SERIES_MAX = 120
"""How many days a series may have: ten years of months."""
INTERVALS = {"MONTH": "1 month", "QUARTER": "3 months", "YEAR": "1 year"}
"""At whose ends a series has its days, and the SQL of their lengths."""


def _series_sql(column: str, interval: str) -> str:
    """The totals on each last day: flows are summed once, by the interval that they are in, and then run up.

    Those before the series are in its first one. There is one day more than is allowed, to be told from it.
    """
    unit, length, figure = interval.lower(), INTERVALS[interval], _FIGURE.replace("{as_of}", "point.day")
    return f"""
WITH point AS MATERIALIZED (
  SELECT (start + interval '{length}')::date - 1 AS day FROM generate_series(
    date_trunc('{unit}', {{from_}}::timestamp), {{to}}::timestamp, interval '{length}') AS start
  WHERE (start + interval '{length}')::date - 1 BETWEEN {{from_}} AND {{to}}
  ORDER BY start LIMIT {SERIES_MAX + 1}
), held AS MATERIALIZED (
  SELECT id FROM portfolio_funds AS holding
  WHERE holding.organization_id = {{organization}} AND {column} = {{key}}
), flow AS (
  SELECT activity.holding_id, greatest((SELECT min(day) FROM point),
    (date_trunc('{unit}', occurred_on::timestamp) + interval '{length}')::date - 1) AS day, {_FLOW_SUMS}
  FROM holding_activity_log AS activity
  WHERE activity.organization_id = {{organization}} AND activity.holding_id IN (SELECT id FROM held)
    AND activity.occurred_on <= (SELECT max(day) FROM point)
  GROUP BY 1, 2
), running AS (
  SELECT held.id, point.day, coalesce(sum(flow.flow_count) OVER until, 0) AS flow_count,
    coalesce(sum(flow.paid_in) OVER until, 0) AS paid_in, coalesce(sum(flow.distributed) OVER until, 0) AS distributed,
    coalesce(sum(flow.recallable) OVER until, 0) AS recallable
  FROM held CROSS JOIN point LEFT JOIN flow ON flow.holding_id = held.id AND flow.day = point.day
  WINDOW until AS (PARTITION BY held.id ORDER BY point.day)
)
SELECT ROW(point.day, {_SUMS}) FROM point
LEFT JOIN (running AS activity JOIN portfolio_funds AS holding
  ON holding.organization_id = {{organization}} AND holding.id = activity.id) ON activity.day = point.day
{figure}
GROUP BY point.day ORDER BY point.day
"""


def _series_by(column: str) -> BatchSelect:
    types = {"from_": "date", "to": "date"}
    return BatchSelect(lambda arguments: _series_sql(column, arguments["interval"]), _series, types)


def _series(rows: Sequence[Sequence[Any]]) -> list[tuple[date, Totals]]:
    return [(day, _totals([sums])) for day, *sums in rows]


HOLDING_SERIES = _series_by("holding.id")
"""The totals of a holding on the last days of intervals."""

PORTFOLIO_SERIES = _series_by("holding.portfolio_id")
"""The totals of a portfolio on the last days of intervals."""

EXPOSURES = BatchSelect(_exposure_sql, _exposure, {"as_of": "date"})
"""A portfolio's holdings grouped by a dimension of their funds, largest NAV first."""
