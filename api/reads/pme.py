"""What a public-market equivalent is computed from: a holding's flows, each with the price of an index on its day."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from api.domain.activities import SIGNS
from api.domain.irr import Valuation, flows_of
from api.domain.pme import Pme, Prices, public_market_equivalent
from api.reads.declarations import BatchSelect

_MONEY_IN = ", ".join(f"'{kind}'" for kind, sign in SIGNS.items() if sign < 0)

# A row for each day with flows until the last valuation, and one for the day of that. Its price is the index's last
# one by then.
_SQL = f"""
SELECT ROW(valuation.valued_on, valuation.value_cents, flow.day, flow.cents, indexed.price)
FROM (VALUES (1)) AS one
LEFT JOIN LATERAL (
  SELECT valued_on, value_cents FROM portfolio_fund_valuations AS valuation
  WHERE valuation.organization_id = {{organization}} AND valuation.holding_id = {{key}}
    AND valuation.valued_on <= {{as_of}}
  ORDER BY valuation.valued_on DESC LIMIT 1
) AS valuation ON true
CROSS JOIN LATERAL (
  SELECT activity.occurred_on AS day,
    sum(CASE WHEN activity.activity_type IN ({_MONEY_IN}) THEN -activity.amount_cents ELSE activity.amount_cents END)
      AS cents
  FROM holding_activity_log AS activity
  WHERE activity.organization_id = {{organization}} AND activity.holding_id = {{key}}
    AND activity.occurred_on <= coalesce(valuation.valued_on, {{as_of}})
  GROUP BY activity.occurred_on
  UNION ALL SELECT valuation.valued_on, 0 WHERE valuation.valued_on IS NOT NULL
) AS flow
LEFT JOIN LATERAL (
  SELECT price FROM benchmark_prices AS indexed
  WHERE indexed.organization_id = {{organization}} AND indexed.benchmark = {{benchmark}}
    AND indexed.priced_on <= flow.day
  ORDER BY indexed.priced_on DESC LIMIT 1
) AS indexed ON true
ORDER BY flow.day
"""


@dataclass(frozen=True, slots=True)
class IndexedFlows:
    """A holding's flows and last valuation by a date, and the prices of an index on their days."""

    valuation: Valuation | None
    flows: Sequence[tuple[date, int]]
    prices: Mapping[date, Decimal]

    def on(self, as_of: date) -> tuple[Pme, date]:
        """The equivalents as of a day, and the day to which they are measured: that of the last valuation, if any."""
        prices = Prices(list(self.prices), list(self.prices.values()))
        pme = public_market_equivalent(flows_of(self.flows), self.valuation, prices, as_of)
        return pme, self.valuation.valued_on if self.valuation else as_of


def _found(rows: Sequence[Sequence[Any]]) -> IndexedFlows:
    valuation = Valuation(*rows[0][:2]) if rows and rows[0][0] is not None else None
    return IndexedFlows(
        valuation,
        [(day, int(cents)) for _, _, day, cents, _ in rows],
        {day: price for _, _, day, _, price in rows if price is not None},
    )


HOLDING_PME = BatchSelect(lambda _arguments: _SQL, _found, {"as_of": "date", "benchmark": "text"})
"""What a holding's public-market equivalents as of a date are computed from."""
