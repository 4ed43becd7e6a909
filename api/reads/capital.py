"""Capital on a date as known at a time: the sources that were active, and their totals from day to day.

The same as ``api.domain.capital.fold``, by indexes: what an organization has recorded in all costs next to nothing.
A time is turned into a sequence once, because both ascend together.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal

from api.db.pools import Snapshot
from api.domain.capital import CapitalAction
from api.domain.money import within_limit
from api.domain.wacc import Step, Totals
from api.errors import BadUserInput
from api.reads import global_ids
from api.reads.declarations import Condition

STATES_MAX = 10_000
"""How many sources ``capitalState`` shows at once."""

KNOWN_SEQUENCE = """
SELECT known.sequence FROM capital_history AS known
WHERE known.organization_id = {organization} AND known.recorded_at <= {known_at}
ORDER BY known.recorded_at DESC LIMIT 1
"""

_LATEST = 4
"""How many of a source's last entries are looked at, for both its amount and its rate, before each is looked for."""

# As a pair, though the date by itself would say the same: for that, PostgreSQL 18 would look into each of a source's
# days for the sequences that were known then (a skip scan), which costs more than passing over those that were not.
_COUNTS = "(entry.effective_on, entry.sequence) <= ($2, $3) AND entry.sequence <= $3"
_LAST_FIRST = "entry.effective_on DESC, entry.sequence DESC"


def _last(column: str, *actions: CapitalAction) -> str:
    """What a source's last entry of these actions says, in SQL.

    Nearly always one of the last few entries, which lie side by side, tells; where none does, an index of these actions
    alone. It would do without the first, and read twice as many pages.
    """
    listed = ", ".join(f"'{action}'" for action in actions)
    return f"""coalesce(
      (array_agg(entry.{column} ORDER BY {_LAST_FIRST}) FILTER (WHERE entry.action IN ({listed})))[1],
      (SELECT entry.{column} FROM capital_history AS entry
        WHERE entry.organization_id = $1 AND entry.source_id = added.source_id AND entry.action IN ({listed})
          AND {_COUNTS}
        ORDER BY {_LAST_FIRST} LIMIT 1)
    )"""


# For each source that had been added: what was last set by date and sequence, amount and rate each by itself.
_ACTIVE = f"""
active AS (
  SELECT added.source_id, added.name, added.effective_on, added.sequence, latest.available_cents, latest.annual_rate
  FROM capital_history AS added
  CROSS JOIN LATERAL (
    SELECT {_last("available_cents", CapitalAction.ADDED, CapitalAction.AMOUNT_CHANGED)} AS available_cents,
      {_last("annual_rate", CapitalAction.ADDED, CapitalAction.RATE_CHANGED)} AS annual_rate
    FROM (
      SELECT entry.action, entry.effective_on, entry.sequence, entry.available_cents, entry.annual_rate
      FROM capital_history AS entry
      WHERE entry.organization_id = $1 AND entry.source_id = added.source_id AND {_COUNTS}
      ORDER BY {_LAST_FIRST} LIMIT {_LATEST}
    ) AS entry
  ) AS latest
  WHERE added.organization_id = $1 AND added.action = 'ADDED' AND added.effective_on <= $2 AND added.sequence <= $3
    AND NOT EXISTS (
      SELECT FROM capital_history AS removed
      WHERE removed.organization_id = $1 AND removed.source_id = added.source_id AND removed.action = 'REMOVED'
        AND removed.effective_on <= $2 AND removed.sequence <= $3
    )
)
"""

_STATES = f"""
WITH {_ACTIVE}
SELECT state.source_id, state.name, state.annual_rate, state.available_cents, source.currency
FROM (SELECT * FROM active ORDER BY effective_on, sequence LIMIT $4) AS state
JOIN capital_sources AS source ON source.organization_id = $1 AND source.id = state.source_id
ORDER BY state.effective_on, state.sequence
"""

_TOTALS = f"""
WITH {_ACTIVE}
SELECT coalesce(sum(available_cents * annual_rate), 0), coalesce(sum(available_cents), 0), count(*) FROM active
"""

# What the sources are on the first day, then each later day's entries; amounts and rates are carried on from the entry
# that set them (an entry that sets one begins a group of its own), and each source's last state of a day is compared
# with the one before. The totals of a day are the sum of all such changes up to it.
_STEPS = f"""
WITH {_ACTIVE}, entry AS (
  SELECT source_id, $2::date AS day, 0::bigint AS sequence, available_cents, annual_rate,
    true AS opens, false AS closes
  FROM active
  UNION ALL
  SELECT later.source_id, later.effective_on, later.sequence,
    CASE WHEN later.action IN ('ADDED', 'AMOUNT_CHANGED') THEN later.available_cents END,
    CASE WHEN later.action IN ('ADDED', 'RATE_CHANGED') THEN later.annual_rate END,
    later.action = 'ADDED', later.action = 'REMOVED'
  FROM capital_history AS later
  WHERE later.organization_id = $1 AND later.effective_on > $2 AND later.effective_on <= $4 AND later.sequence <= $3
), grouped AS (
  SELECT source_id, day, available_cents, annual_rate,
    count(available_cents) OVER earlier AS amount_group, count(annual_rate) OVER earlier AS rate_group,
    bool_or(opens) OVER earlier AND NOT bool_or(closes) OVER earlier AS is_active,
    lead(day) OVER earlier IS DISTINCT FROM day AS is_last_of_day
  FROM entry WINDOW earlier AS (PARTITION BY source_id ORDER BY day, sequence)
), carried AS (
  SELECT source_id, day, is_active, is_last_of_day,
    max(available_cents) OVER (PARTITION BY source_id, amount_group) AS amount,
    max(annual_rate) OVER (PARTITION BY source_id, rate_group) AS rate
  FROM grouped
), standing AS (
  SELECT source_id, day, CASE WHEN is_active THEN amount * rate ELSE 0 END AS weighted,
    CASE WHEN is_active THEN amount ELSE 0 END AS amount, is_active::int AS source_count
  FROM carried WHERE is_last_of_day
), change AS (
  SELECT day, weighted - lag(weighted, 1, 0::numeric) OVER before AS weighted,
    amount::numeric - lag(amount, 1, 0::bigint) OVER before AS amount,
    source_count - lag(source_count, 1, 0) OVER before AS source_count
  FROM standing WINDOW before AS (PARTITION BY source_id ORDER BY day)
)
SELECT day, sum(sum(weighted)) OVER until, sum(sum(amount)) OVER until, sum(sum(source_count)) OVER until
FROM change GROUP BY day WINDOW until AS (ORDER BY day) ORDER BY day
"""


@dataclass(frozen=True, slots=True)
class SourceState:
    """A source that was active: its annual rate as a fraction and its amount in cents."""

    source_id: int
    name: str
    annual_rate: Decimal
    available_cents: int
    currency: str


async def source_states(snapshot: Snapshot, as_of: date, known_at: datetime | None) -> list[SourceState]:
    """The sources that were active, in the order in which they were added; raises BadUserInput above STATES_MAX."""
    on, sequence = await _bounds(snapshot, as_of, known_at)
    rows = await snapshot.fetch(_STATES, snapshot.organization_id, on, sequence, STATES_MAX + 1)
    if len(rows) > STATES_MAX:
        raise BadUserInput(f"capitalState: more than {STATES_MAX} sources were active then, which is the limit.")
    return [SourceState(*row) for row in rows]


async def totals(snapshot: Snapshot, as_of: date, known_at: datetime | None) -> Totals:
    """The totals of the sources that were active; raises Refused (LIMIT_EXCEEDED) beyond 64 bits."""
    on, sequence = await _bounds(snapshot, as_of, known_at)
    (row,) = await snapshot.fetch(_TOTALS, snapshot.organization_id, on, sequence)
    return _as_totals(*row)


async def steps(snapshot: Snapshot, first: date, last: date, known_at: datetime | None) -> list[Step]:
    """The totals on the first day, where there is a source, and on each later day on which something changed.

    Raises Refused (LIMIT_EXCEEDED) where they are ever beyond 64 bits.
    """
    sequence = await _known_sequence(snapshot, known_at)
    rows = await snapshot.fetch(_STEPS, snapshot.organization_id, first, sequence, last)
    return [Step(day, _as_totals(*sums)) for day, *sums in rows]


def between(steps: Sequence[Step], first: date, last: date) -> Sequence[Step]:
    """Those of the ascending steps that hold on a day from ``first`` to ``last``."""
    start = bisect_right(steps, first, key=lambda step: step.on)
    return steps[max(start - 1, 0) : bisect_right(steps, last, key=lambda step: step.on)]


def _as_totals(weighted: Decimal, total_cents: Decimal, source_count: int) -> Totals:
    return Totals(weighted, within_limit(int(total_cents)), int(source_count))


async def _bounds(snapshot: Snapshot, as_of: date, known_at: datetime | None) -> tuple[date, int]:
    """The last day and the last sequence that count: nothing takes effect after the day on which it is recorded."""
    if known_at is not None:
        as_of = min(as_of, known_at.astimezone(UTC).date())
    return as_of, await _known_sequence(snapshot, known_at)


async def _known_sequence(snapshot: Snapshot, known_at: datetime | None) -> int:
    if known_at is None:
        return global_ids.BIGINT_MAX
    sql = KNOWN_SEQUENCE.format(organization="$1", known_at="$2")
    rows = await snapshot.fetch(sql, snapshot.organization_id, known_at)
    return rows[0]["sequence"] if rows else 0


KNOWN_AT = Condition(
    "sequence",
    # Null where nothing was known yet, which admits no row. Within coalesce the index would not be used: to row-level
    # security that might leak.
    "{column} <= (" + KNOWN_SEQUENCE.format(organization="{organization}", known_at="{value}") + ")",
    "timestamptz",
)
"""Only entries that were recorded by a time."""

OF_SOURCE = Condition(
    "source_id",
    "{column} = {value}",
    "bigint",
    # No row has the id 0: what is unknown, malformed or another organization's has no entries.
    lambda given: None if given is None else global_ids.decode_as("CapitalSource", given) or 0,
)
"""Only entries of the source with a global id."""

INCLUDING_REMOVED = Condition(
    "removed_on", "{column} IS NULL AND {value}", "boolean", lambda given: None if given else True
)
"""Removed sources as well where true is given, and else not."""
