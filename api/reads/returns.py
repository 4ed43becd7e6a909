"""Returns as of a date: the stored one where it is not stale, else what it is to be computed from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from api.domain.activities import FUND_SWITCHES, SIGNS
from api.domain.irr import Irr, IrrMethod, IrrReason, Valuation, flows_of, irr
from api.domain.returns import Dated, Position, portfolio_flows, portfolio_valuations
from api.reads.declarations import BatchSelect

_MONEY_IN = ", ".join(f"'{kind}'" for kind, sign in SIGNS.items() if sign < 0)

_COMPUTED = """
SELECT ROW(valuation.valued_on, valuation.value_cents, stored.value, stored.reason, activity.occurred_on,
  CASE WHEN activity.activity_type IN ({money_in}) THEN -activity.amount_cents ELSE activity.amount_cents END)
FROM portfolio_funds AS holding
LEFT JOIN LATERAL (
  SELECT valued_on, value_cents FROM portfolio_fund_valuations AS valuation
  WHERE valuation.organization_id = {{organization}} AND valuation.holding_id = holding.id
    AND valuation.valued_on <= {{as_of}}
  ORDER BY valuation.valued_on DESC LIMIT 1
) AS valuation ON true
LEFT JOIN portfolio_fund_irr_values AS stored ON stored.organization_id = {{organization}}
  AND stored.holding_id = holding.id AND stored.as_of = valuation.valued_on AND stored.method = '{method}'
  AND (holding.returns_stale_from IS NULL OR holding.returns_stale_from > valuation.valued_on)
LEFT JOIN holding_activity_log AS activity ON activity.organization_id = {{organization}}
  AND activity.holding_id = holding.id AND stored.id IS NULL
  AND activity.occurred_on <= coalesce(valuation.valued_on, {{as_of}})
WHERE holding.organization_id = {{organization}} AND holding.id = {{key}}
"""

_REPORTED = """
SELECT ROW(statement.as_of, NULL::bigint, statement.reported_irr, NULL::text, NULL::date, NULL::bigint)
FROM holding_statements AS statement
WHERE statement.organization_id = {organization} AND statement.holding_id = {key} AND statement.as_of <= {as_of}
  AND statement.reported_irr IS NOT NULL
ORDER BY statement.as_of DESC LIMIT 1
"""

_SWITCHES = ", ".join(f"'{kind}'" for kind in sorted(FUND_SWITCHES))

# The stored return, where nothing that it rests on is stale; else all flows and valuations of the holdings, later ones
# too: they tell until when a holding that is closed was held.
_OF_PORTFOLIO = """
WITH stored AS MATERIALIZED (
  SELECT as_of, value, reason FROM portfolio_irr_values AS stored
  WHERE stored.organization_id = {{organization}} AND stored.portfolio_id = {{key}} AND stored.method = '{method}'
    AND stored.as_of <= {{as_of}} AND NOT EXISTS (
      SELECT FROM portfolio_funds AS holding WHERE holding.organization_id = {{organization}}
        AND holding.portfolio_id = {{key}} AND holding.returns_stale_from <= {{as_of}})
  ORDER BY stored.as_of DESC LIMIT 1
)
SELECT ROW(as_of, value, reason, NULL::bigint, NULL::boolean, NULL::text, NULL::date, NULL::bigint) FROM stored
UNION ALL
SELECT ROW(NULL::date, NULL::numeric, NULL::text, holding.id, holding.status = 'ACTIVE', dated.kind, dated.day,
  dated.cents)
FROM portfolio_funds AS holding
LEFT JOIN LATERAL (
  SELECT CASE WHEN activity_type IN ({switches}) THEN 'SWITCH' ELSE 'FLOW' END AS kind, occurred_on AS day,
    CASE WHEN activity_type IN ({money_in}) THEN -amount_cents ELSE amount_cents END AS cents
  FROM holding_activity_log AS activity
  WHERE activity.organization_id = {{organization}} AND activity.holding_id = holding.id
  UNION ALL
  SELECT 'VALUATION', valued_on, value_cents FROM portfolio_fund_valuations AS valuation
  WHERE valuation.organization_id = {{organization}} AND valuation.holding_id = holding.id
) AS dated ON true
WHERE holding.organization_id = {{organization}} AND holding.portfolio_id = {{key}} AND NOT EXISTS (SELECT FROM stored)
"""

# No row, but all the parameters.
_NOTHING = """
SELECT ROW(portfolio.id) FROM portfolios AS portfolio
WHERE portfolio.organization_id = {organization} AND portfolio.id = {key} AND {as_of} IS NULL
"""


@dataclass(frozen=True, slots=True)
class FoundReturn:
    """What there is of a return: it, the last valuation, or the flows until then. All None: nothing at all."""

    valued_on: date | None
    value_cents: int | None
    stored: Irr | None
    flows: Sequence[tuple[date, int]]

    def on(self, as_of: date, method: IrrMethod) -> tuple[Irr, date]:
        """The return as of a day, and the day to which it is measured: that of the last valuation, if there is one."""
        if self.stored is not None:
            return self.stored, self.valued_on or as_of
        if method is IrrMethod.REPORTED:
            return Irr(None, IrrReason.NOT_REPORTED), as_of
        if self.valued_on is None or self.value_cents is None:
            return irr(flows_of(self.flows), None, as_of, method), as_of
        return irr(flows_of(self.flows), Valuation(self.valued_on, self.value_cents), as_of, method), self.valued_on


def _sql(arguments: Mapping[str, Any]) -> str:
    method = IrrMethod[arguments["method"]]
    return _REPORTED if method is IrrMethod.REPORTED else _COMPUTED.format(method=method.value, money_in=_MONEY_IN)


def _found(rows: Sequence[Sequence[Any]]) -> FoundReturn:
    if not rows:
        return FoundReturn(None, None, None, ())
    valued_on, value_cents, value, reason, _, _ = rows[0]
    stored = None if value is None and reason is None else Irr(value, reason and IrrReason(reason))
    return FoundReturn(valued_on, value_cents, stored, [(day, cents) for *_, day, cents in rows if day is not None])


HOLDING_IRR = BatchSelect(_sql, _found, {"as_of": "date"})
"""What there is of a holding's return as of a date, by a method."""


@dataclass(frozen=True, slots=True)
class FoundPortfolioReturn:
    """What there is of a portfolio's return: it and its day, or else the positions that it is to be computed from."""

    stored: Irr | None
    stored_on: date | None
    positions: Sequence[Position]

    def on(self, as_of: date, method: IrrMethod) -> tuple[Irr, date]:
        """The return as of a day, and the day to which it is measured: the last on which all was valued, if any."""
        if method is IrrMethod.REPORTED:
            return Irr(None, IrrReason.NOT_REPORTED), as_of
        if self.stored is not None:
            return self.stored, self.stored_on or as_of
        flows = portfolio_flows(self.positions)
        valuations = [one for one in portfolio_valuations(self.positions, date.min) if one.valued_on <= as_of]
        last = valuations[-1] if valuations else None
        return irr(flows, last, as_of, method), last.valued_on if last else as_of


def _portfolio_sql(arguments: Mapping[str, Any]) -> str:
    method = IrrMethod[arguments["method"]]
    if method is IrrMethod.REPORTED:
        return _NOTHING
    return _OF_PORTFOLIO.format(method=method.value, money_in=_MONEY_IN, switches=_SWITCHES)


def _portfolio_found(rows: Sequence[Sequence[Any]]) -> FoundPortfolioReturn:
    if rows and rows[0][0] is not None:
        stored_on, value, reason = rows[0][:3]
        return FoundPortfolioReturn(Irr(value, reason and IrrReason(reason)), stored_on, ())
    active: dict[int, bool] = {}
    dated: dict[tuple[int, str | None], list[Dated]] = {}
    for _, _, _, holding_id, is_active, kind, day, cents in rows:
        active[holding_id] = is_active
        dated.setdefault((holding_id, kind), []).append((day, cents))
    return FoundPortfolioReturn(
        None,
        None,
        [
            Position(
                one,
                is_active,
                dated.get((one, "FLOW"), ()),
                sorted(dated.get((one, "VALUATION"), ())),
                dated.get((one, "SWITCH"), ()),
            )
            for one, is_active in active.items()
        ],
    )


PORTFOLIO_IRR = BatchSelect(_portfolio_sql, _portfolio_found, {"as_of": "date"})
"""What there is of a portfolio's return as of a date, by a method."""
