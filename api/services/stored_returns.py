"""What stored returns are computed from, in one read, and storing what they come to, in one write."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Protocol

import asyncpg

from api.domain.activities import FUND_SWITCHES, SIGNS
from api.domain.returns import Position, StoredReturn
from api.services.activities import NewActivity
from api.services.audit import Subject
from api.services.commands import Command

Computed = tuple[Sequence[StoredReturn], Sequence[StoredReturn]]
"""Returns of holdings, and of portfolios."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Whose returns: of holdings or of all in a portfolio, with those of their portfolios, and from which day on.

    From ``since``, from the day in ``changed``, which is of changes that are not marked yet, and from the day that is
    marked as the first stale: the earliest of these, if there is any.
    """

    holding_ids: Collection[int] = ()
    portfolio_id: int | None = None
    since: date | None = None
    changed: Mapping[int, date] = field(default_factory=dict)

    def of(self, reading: "Reading") -> list[int]:
        """The ids of those holdings that are wanted, as far as they are there."""
        found = reading.versions.keys()
        return sorted(found if self.portfolio_id is not None else found & set(self.holding_ids))

    @property
    def earliest(self) -> date | None:
        """The earliest day that is given."""
        return min((day for day in (self.since, *self.changed.values()) if day is not None), default=None)

    def first(self, holding_id: int, stale_from: date | None) -> date | None:
        """From which day on a holding's returns are to be computed; None: not at all."""
        is_wanted = self.portfolio_id is not None or holding_id in self.holding_ids
        days = (stale_from, self.changed.get(holding_id), self.since if is_wanted else None)
        return min((day for day in days if day is not None), default=None)


@dataclass(frozen=True, slots=True)
class Reading:
    """One snapshot: the positions of portfolios, how often each holding had changed, and which are to be computed."""

    portfolios: Mapping[int, Sequence[Position]]
    versions: Mapping[int, int]
    since: Mapping[int, date]


class TooMuch(Exception):
    """There are more flows or valuations than were to be read."""


class Fetch(Protocol):
    """Runs one reading statement; see ``asyncpg.Connection.fetch``."""

    async def __call__(self, sql: str, *arguments: Any) -> Sequence[asyncpg.Record]:
        """The rows."""
        ...


def _listed(kinds: Collection[str]) -> str:
    return ", ".join(f"'{kind}'" for kind in sorted(kinds))


_SWITCHES = _listed(FUND_SWITCHES)
_CENTS = f"CASE WHEN activity_type IN ({_listed([kind for kind, sign in SIGNS.items() if sign < 0])})"
_CENTS += " THEN -amount_cents ELSE amount_cents END"

READ = f"""
WITH holding AS MATERIALIZED (
  SELECT id, portfolio_id, status, flows_version, returns_stale_from,
    min(least(returns_stale_from, $4::date)) OVER (PARTITION BY portfolio_id) AS since
  FROM portfolio_funds WHERE organization_id = $1 AND portfolio_id = ANY (ARRAY(
    SELECT $2::bigint UNION SELECT portfolio_id FROM portfolio_funds WHERE organization_id = $1 AND id = ANY ($3)))
), portfolio AS MATERIALIZED (
  SELECT found.portfolio_id, (
    SELECT max(valued_on) FROM portfolio_fund_valuations AS valued
    WHERE valued.organization_id = $1 AND valued.portfolio_id = found.portfolio_id) AS last_valued_on
  FROM (SELECT DISTINCT portfolio_id FROM holding) AS found
)
SELECT holding.*, flow.days, flow.cents, flow.switch_days, flow.switch_cents, valuation.days AS valued_on,
  valuation.cents AS value_cents
FROM holding
JOIN portfolio ON portfolio.portfolio_id = holding.portfolio_id
CROSS JOIN LATERAL (
  SELECT array_agg(occurred_on) FILTER (WHERE activity_type NOT IN ({_SWITCHES})) AS days,
    array_agg({_CENTS}) FILTER (WHERE activity_type NOT IN ({_SWITCHES})) AS cents,
    array_agg(occurred_on) FILTER (WHERE activity_type IN ({_SWITCHES})) AS switch_days,
    array_agg({_CENTS}) FILTER (WHERE activity_type IN ({_SWITCHES})) AS switch_cents
  FROM (
    SELECT occurred_on, activity_type, amount_cents FROM holding_activity_log AS activity
    WHERE activity.organization_id = $1 AND activity.holding_id = holding.id
      AND portfolio.last_valued_on >= holding.since
    LIMIT (SELECT $5::int / greatest(count(*), 1) + 1 FROM holding)
  ) AS activity
) AS flow
CROSS JOIN LATERAL (
  SELECT array_agg(valued_on ORDER BY valued_on) AS days, array_agg(value_cents ORDER BY valued_on) AS cents
  FROM (
    SELECT valued_on, value_cents FROM portfolio_fund_valuations AS valuation
    WHERE valuation.organization_id = $1 AND valuation.holding_id = holding.id
    LIMIT (SELECT $5::int / greatest(count(*), 1) + 1 FROM holding)
  ) AS valuation
) AS valuation
ORDER BY holding.id
"""
"""Flows are left out where nothing is valued since, for then no return follows from them.

Asked with EXISTS for each holding, the planner expects to come upon a valuation soon, and reads everybody's where there
is none.
"""


def _written(table: str, owner: str, first: int) -> str:
    """Stores what was computed of owners, given as five columns from this one on.

    The rates come as text: asyncpg takes a dozen times as long to make a numeric of one as PostgreSQL does.
    """
    columns = ", ".join(
        f"${first + place}::{kind}[]" for place, kind in enumerate(("bigint", "date", "text", "text", "text"))
    )
    return f"""
{owner}_computed AS MATERIALIZED (
  SELECT owner_id, as_of, method, value::numeric, reason
  FROM unnest({columns}) AS given (owner_id, as_of, method, value, reason)
), {owner}_written AS (
  INSERT INTO {table} AS stored (organization_id, {owner}, as_of, method, value, reason)
  SELECT $1, computed.* FROM {owner}_computed AS computed
  ON CONFLICT (organization_id, {owner}, as_of, method) DO UPDATE
    SET value = excluded.value, reason = excluded.reason, computed_at = excluded.computed_at
    WHERE (stored.value, stored.reason) IS DISTINCT FROM (excluded.value, excluded.reason)
)"""


_STORE = f"""
WITH {_written("portfolio_fund_irr_values", "holding_id", 2)}, {_written("portfolio_irr_values", "portfolio_id", 7)},
gone AS (
  DELETE FROM portfolio_irr_values AS stored USING unnest($12::bigint[], $13::date[]) AS scope (portfolio_id, since)
  WHERE stored.organization_id = $1 AND stored.portfolio_id = scope.portfolio_id AND stored.as_of >= scope.since
    AND NOT EXISTS (
      SELECT FROM portfolio_id_computed AS computed WHERE computed.owner_id = stored.portfolio_id
        AND computed.as_of = stored.as_of AND computed.method = stored.method)
)
UPDATE portfolio_funds AS holding SET returns_stale_from = NULL,
  flows_version = holding.flows_version + (holding.id = ANY ($15))::int
WHERE holding.organization_id = $1 AND holding.id = ANY ($14)
  AND (holding.returns_stale_from IS NOT NULL OR holding.id = ANY ($15))
"""
"""A portfolio may have no return any more on a day, when one of its holdings turns out to have been held then. A
holding's goes with the valuation, see ``delete_holding_valuation``.
"""


async def read(
    fetch: Fetch,
    organization_id: int,
    wanted: Wanted,
    *,
    new: Iterable[NewActivity] = (),
    rows_max: int | None = None,
) -> Reading:
    """All flows and valuations of the portfolios, and flows that are ``new`` to them.

    Raises TooMuch where any holding has more of either than its share of ``rows_max``.
    """
    found = await fetch(READ, organization_id, wanted.portfolio_id, list(wanted.holding_ids), wanted.earliest, rows_max)
    added: dict[int | None, list[NewActivity]] = {}
    for activity in new:
        added.setdefault(activity.holding_id, []).append(activity)
    portfolios: dict[int, list[Position]] = {}
    since: dict[int, date] = {}
    for row in found:
        position = _position(row, added.get(row["id"], ()))
        most = max(len(position.flows) + len(position.switches), len(position.valuations))
        if rows_max is not None and most > rows_max // len(found):
            raise TooMuch
        portfolios.setdefault(row["portfolio_id"], []).append(position)
        first = wanted.first(row["id"], row["returns_stale_from"])
        if first is not None:
            since[row["id"]] = first
    return Reading(portfolios, {row["id"]: row["flows_version"] for row in found}, since)


def _position(row: asyncpg.Record, added: Iterable[NewActivity]) -> Position:
    flows = list(zip(row["days"] or (), row["cents"] or (), strict=True))
    switches = list(zip(row["switch_days"] or (), row["switch_cents"] or (), strict=True))
    for activity in added:
        kind, cents = activity.activity_type, activity.amount_cents
        (switches if kind in FUND_SWITCHES else flows).append((activity.occurred_on, SIGNS[kind] * cents))
    valuations = list(zip(row["valued_on"] or (), row["value_cents"] or (), strict=True))
    return Position(row["id"], row["status"] == "ACTIVE", flows, valuations, switches)


async def store(
    command: Command,
    reading: Reading,
    computed: Computed,
    portfolio_ids: Collection[int],
    changed: Collection[int] = (),
) -> list[int]:
    """Stores what was computed of these portfolios, whose holdings the command has locked; the ids of the holdings.

    ``changed`` are those holdings of them whose flows the command has changed, without noting it.
    """
    since = {
        position.holding_id: reading.since[position.holding_id]
        for portfolio_id in portfolio_ids
        for position in reading.portfolios[portfolio_id]
        if position.holding_id in reading.since
    }
    if not since:
        return []
    earliest = {
        portfolio_id: min(since.get(one.holding_id, date.max) for one in reading.portfolios[portfolio_id])
        for portfolio_id in portfolio_ids
    }
    of_holdings = [one for one in computed[0] if one.owner_id in since]
    of_portfolios = [one for one in computed[1] if one.owner_id in earliest]
    await command.connection.execute(
        _STORE,
        command.organization_id,
        *_columns(of_holdings),
        *_columns(of_portfolios),
        list(earliest),
        list(earliest.values()),
        list(since),
        list(changed),
    )
    for portfolio_id in portfolio_ids:
        after = {
            "holding_ids": [one.holding_id for one in reading.portfolios[portfolio_id] if one.holding_id in since],
            "from": earliest[portfolio_id],
        }
        command.record("returns.recalculated", Subject("Portfolio", portfolio_id), after=after)
    return list(since)


def _columns(computed: Sequence[StoredReturn]) -> list[list[object]]:
    return [
        [one.owner_id for one in computed],
        [one.as_of for one in computed],
        [one.method.value for one in computed],
        [None if one.irr.value is None else str(one.irr.value) for one in computed],
        [one.irr.reason and one.irr.reason.value for one in computed],
    ]
