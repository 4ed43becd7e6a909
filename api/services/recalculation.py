"""Computing stored returns anew, from the day on from which flows or valuations have changed.

The flows are read in one statement, solved in a thread, and written in one more transaction, which stores the returns
of a portfolio where none of its holdings has changed meanwhile: so nothing is locked while it is computed. What is not
stored stays marked, and is found again.
"""

import asyncio
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum

import asyncpg
import structlog
from pydantic import TypeAdapter

from api.db.faults import fault_of
from api.domain.access import Principal
from api.domain.activities import FUND_SWITCHES, SIGNS
from api.domain.dates import DATE_MIN
from api.domain.irr import Valuation
from api.domain.returns import Flow, Position, StoredReturn, TooLong, compute
from api.services.audit import Subject
from api.services.commands import Command, Writer

ATTEMPTS_MAX = 3
COMPUTE_SECONDS_MAX = 10
"""How long returns are computed for one request: enough for some ten thousand that are searched for several rates."""
EVERYTHING = DATE_MIN
"""The day from which all returns are computed."""

_HOLDING_IDS = TypeAdapter(list[int])
logger = structlog.get_logger(__name__)


class RecalculationStatus(StrEnum):
    """What came of computing a holding's returns."""

    OK = "OK"
    STALE = "STALE"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class Recalculation:
    """What came of computing one holding's returns: from which day on (None: none was stale), and why not, if not."""

    holding_id: int
    status: RecalculationStatus
    since: date | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class _Reading:
    """One snapshot: the positions of portfolios, how often each holding had changed, and which are to be computed."""

    portfolios: Mapping[int, Sequence[Position]]
    versions: Mapping[int, int]
    since: Mapping[int, date]


class _Overtaken(Exception):
    """All that was computed has changed meanwhile; there is nothing to write."""


_READ = """
WITH due AS (
  SELECT portfolio_id, least(min(returns_stale_from), $6::date) AS since FROM portfolio_funds
  WHERE organization_id = $1 AND (portfolio_id = $2 OR portfolio_id IN (
    SELECT portfolio_id FROM portfolio_funds WHERE organization_id = $1 AND id = ANY ($3)))
  GROUP BY portfolio_id
)
SELECT holding.id, holding.portfolio_id, holding.status, holding.flows_version, holding.returns_stale_from,
  flow.days, flow.cents, flow.switches, valuation.days AS valued_on, valuation.cents AS value_cents
FROM due
JOIN portfolio_funds AS holding ON holding.organization_id = $1 AND holding.portfolio_id = due.portfolio_id
CROSS JOIN LATERAL (
  SELECT array_agg(occurred_on) AS days,
    array_agg(CASE WHEN activity_type = ANY ($4) THEN -amount_cents ELSE amount_cents END) AS cents,
    array_agg(activity_type = ANY ($5)) AS switches
  FROM holding_activity_log AS activity
  WHERE activity.organization_id = $1 AND activity.holding_id = holding.id AND EXISTS (
    SELECT FROM portfolio_fund_valuations AS valued WHERE valued.organization_id = $1
      AND valued.portfolio_id = holding.portfolio_id AND valued.valued_on >= due.since)
) AS flow
CROSS JOIN LATERAL (
  SELECT array_agg(valued_on ORDER BY valued_on) AS days, array_agg(value_cents ORDER BY valued_on) AS cents
  FROM portfolio_fund_valuations AS valuation
  WHERE valuation.organization_id = $1 AND valuation.holding_id = holding.id
) AS valuation
ORDER BY holding.id
"""
"""Flows are left out where nothing is valued since, for then no return follows from them."""


def _replace(table: str, owner: str, first: int) -> str:
    """Makes what is stored of owners from their days on what was computed, given as seven columns from this one on."""
    columns = ", ".join(
        f"${first + place}::{kind}[]" for place, kind in enumerate(("bigint", "date", "text", "numeric", "text"))
    )
    return f"""
{owner}_computed AS MATERIALIZED (
  SELECT * FROM unnest({columns}) AS given (owner_id, as_of, method, value, reason)
), {owner}_gone AS (
  DELETE FROM {table} AS stored USING unnest(${first + 5}::bigint[], ${first + 6}::date[]) AS scope (owner_id, since)
  WHERE stored.organization_id = $1 AND stored.{owner} = scope.owner_id AND stored.as_of >= scope.since
    AND stored.method <> 'REPORTED' AND NOT EXISTS (
      SELECT FROM {owner}_computed AS computed WHERE computed.owner_id = stored.{owner}
        AND computed.as_of = stored.as_of AND computed.method = stored.method)
), {owner}_written AS (
  INSERT INTO {table} AS stored (organization_id, {owner}, as_of, method, value, reason)
  SELECT $1, computed.* FROM {owner}_computed AS computed
  ON CONFLICT (organization_id, {owner}, as_of, method) DO UPDATE
    SET value = excluded.value, reason = excluded.reason, computed_at = excluded.computed_at
    WHERE (stored.value, stored.reason) IS DISTINCT FROM (excluded.value, excluded.reason)
)"""


_STORE = f"""
WITH {_replace("portfolio_fund_irr_values", "holding_id", 2)}, {_replace("portfolio_irr_values", "portfolio_id", 9)}
UPDATE portfolio_funds SET returns_stale_from = NULL
WHERE organization_id = $1 AND id = ANY ($7) AND returns_stale_from IS NOT NULL
"""
_MONEY_IN = [kind.value for kind, sign in SIGNS.items() if sign < 0]
_SWITCHES = [kind.value for kind in FUND_SWITCHES]


async def recalculate(
    writer: Writer,
    principal: Principal,
    *,
    holding_ids: Collection[int] = (),
    portfolio_id: int | None = None,
    since: date | None = None,
    request_id: str | None = None,
) -> list[Recalculation]:
    """Computes the returns of holdings, or of all in a portfolio, and of the portfolios that they are in.

    ``since`` is the day from which on; None: for each holding the first day that is stale, if any is. Answers what came
    of each; raises nothing but for what the caller's role does not allow.
    """
    await writer.authorise(principal, "recalculateIrr", request_id)
    outcomes: dict[int, Recalculation] = {
        holding_id: Recalculation(holding_id, RecalculationStatus.STALE) for holding_id in holding_ids
    }
    late_at = time.monotonic() + COMPUTE_SECONDS_MAX
    try:
        for _ in range(ATTEMPTS_MAX):
            reading = await _read(writer, principal.organization_id, holding_ids, portfolio_id, since)
            wanted = reading.versions.keys() if portfolio_id is not None else set(holding_ids)
            outcomes = {
                holding_id: Recalculation(
                    holding_id,
                    RecalculationStatus.STALE if holding_id in reading.since else RecalculationStatus.OK,
                    reading.since.get(holding_id),
                )
                for holding_id in sorted(wanted & reading.versions.keys())
            }
            if not reading.since:
                break
            computed = await asyncio.to_thread(
                compute, reading.portfolios, reading.since, lambda: time.monotonic() > late_at
            )
            stored = await _store(writer, principal, reading, computed, request_id)
            for holding_id in stored & outcomes.keys():
                outcomes[holding_id] = replace(outcomes[holding_id], status=RecalculationStatus.OK)
            if stored >= reading.since.keys():
                break
    except TooLong:
        _fail(outcomes, f"There are too many returns to compute within {COMPUTE_SECONDS_MAX} s.")
    except Exception as error:
        # Whatever it was: what the returns are computed from has been committed, and is marked.
        logger.exception("recalculation_failed", request_id=request_id)
        _fail(outcomes, str(fault_of(error) or "The returns could not be computed; the log knows more."))
    return [
        replace(outcome, reason="The flows have changed meanwhile; recalculate again.")
        if outcome.status is RecalculationStatus.STALE
        else outcome
        for outcome in outcomes.values()
    ]


def _fail(outcomes: dict[int, Recalculation], reason: str) -> None:
    for holding_id, outcome in outcomes.items():
        if outcome.status is not RecalculationStatus.OK:
            outcomes[holding_id] = replace(outcome, status=RecalculationStatus.FAILED, reason=reason)


async def _read(
    writer: Writer,
    organization_id: int,
    holding_ids: Collection[int],
    portfolio_id: int | None,
    since: date | None,
) -> _Reading:
    """All flows and valuations of the portfolios, in one statement."""
    arguments = (organization_id, portfolio_id, list(holding_ids), _MONEY_IN, _SWITCHES, since)
    found = await writer.database.reads.fetch_for(organization_id, _READ, arguments)
    portfolios: dict[int, list[Position]] = {}
    stale: dict[int, date] = {}
    for row in found:
        portfolios.setdefault(row["portfolio_id"], []).append(_position(row))
        is_wanted = portfolio_id is not None or row["id"] in holding_ids
        first = since if since is not None and is_wanted else None
        if row["returns_stale_from"] is not None and (first is None or row["returns_stale_from"] < first):
            first = row["returns_stale_from"]
        if first is not None:
            stale[row["id"]] = first
    return _Reading(portfolios, {row["id"]: row["flows_version"] for row in found}, stale)


def _position(row: asyncpg.Record) -> Position:
    return Position(
        row["id"],
        row["status"] == "ACTIVE",
        list(map(Flow, row["days"] or (), row["cents"] or (), row["switches"] or ())),
        list(map(Valuation, row["valued_on"] or (), row["value_cents"] or ())),
    )


async def _store(
    writer: Writer,
    principal: Principal,
    reading: _Reading,
    computed: tuple[Sequence[StoredReturn], Sequence[StoredReturn]],
    request_id: str | None,
) -> set[int]:
    """Stores what was computed, but of portfolios that have changed; the holdings whose returns are stored."""

    async def work(command: Command) -> list[int]:
        unchanged = await _lock_unchanged(command, reading)
        since = {
            position.holding_id: reading.since[position.holding_id]
            for portfolio_id in unchanged
            for position in reading.portfolios[portfolio_id]
            if position.holding_id in reading.since
        }
        if not since:
            raise _Overtaken
        of_holdings = [one for one in computed[0] if one.owner_id in since]
        of_portfolios = [one for one in computed[1] if one.owner_id in unchanged]
        earliest = {
            portfolio_id: min(since.get(one.holding_id, date.max) for one in reading.portfolios[portfolio_id])
            for portfolio_id in unchanged
        }
        await command.connection.execute(
            _STORE, command.organization_id, *_columns(of_holdings, since), *_columns(of_portfolios, earliest)
        )
        for portfolio_id in unchanged:
            after = {
                "holding_ids": [one.holding_id for one in reading.portfolios[portfolio_id] if one.holding_id in since],
                "from": earliest[portfolio_id],
            }
            command.record("returns.recalculated", Subject("Portfolio", portfolio_id), after=after)
        return list(since)

    try:
        outcome = await writer.run(principal, "recalculateIrr", work, result_type=_HOLDING_IDS, request_id=request_id)
    except _Overtaken:
        return set()
    return set(outcome.result)


async def _lock_unchanged(command: Command, reading: _Reading) -> list[int]:
    """Locks the holdings of the portfolios, and finds those portfolios that are as they were read."""
    found = await command.connection.fetch(
        "SELECT id, portfolio_id, flows_version FROM portfolio_funds WHERE organization_id = $1"
        " AND portfolio_id = ANY ($2) ORDER BY id FOR NO KEY UPDATE",
        command.organization_id,
        [
            portfolio_id
            for portfolio_id, positions in reading.portfolios.items()
            if any(position.holding_id in reading.since for position in positions)
        ],
    )
    changed = {row["portfolio_id"] for row in found if reading.versions.get(row["id"]) != row["flows_version"]}
    return sorted({row["portfolio_id"] for row in found} - changed)


def _columns(computed: Sequence[StoredReturn], since: Mapping[int, date]) -> list[list[object]]:
    return [
        [one.owner_id for one in computed],
        [one.as_of for one in computed],
        [one.method.value for one in computed],
        [one.irr.value for one in computed],
        [one.irr.reason and one.irr.reason.value for one in computed],
        list(since),
        list(since.values()),
    ]
