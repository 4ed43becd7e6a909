"""What becomes of a snapshot between a worker's claim and its end: each step one command, in the log like any other.

``next_attempt_at`` says when a snapshot may be claimed: while one is at it, when that one counts as lost. ``attempts``
goes up with every claim. Whoever finishes must still hold the claim by both, so that two can never finish.
"""

from dataclasses import dataclass

import asyncpg

from api.domain.forecasts import Metrics
from api.domain.snapshot_attempts import ATTEMPTS_MAX, is_given_up, lease_seconds, pause_seconds
from api.services.audit import AuditKind, Subject
from api.services.commands import Command
from api.services.fund_versions import touch

ACTIONS = frozenset(
    {
        "snapshot.created",
        "snapshot.renamed",
        "snapshot.claimed",
        "snapshot.postponed",
        "snapshot.given_back",
        "snapshot.completed",
        "snapshot.failed",
    }
)
"""All that the log says of a snapshot itself."""

NEVER_DONE = "Whoever calculated it stopped, or took too long, before it was done."


@dataclass(frozen=True, slots=True)
class Claim:
    """A worker's right to calculate a snapshot: for so many seconds, and until somebody claims it again."""

    snapshot_id: int
    fund_id: int
    attempt: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Calculated:
    """Metrics of a fund with the hash of what they rest on, or the snapshot whose metrics hold unchanged."""

    source_hash: bytes
    metrics: Metrics | None = None
    same_as: int | None = None


class NothingDue(Exception):
    """No snapshot of the organization is due that nobody else has just got hold of."""


class ClaimLost(Exception):
    """The snapshot is no longer this worker's to finish: its time was up, or it has ended."""


async def claim(command: Command, *, seconds_max: float) -> Claim | None:
    """Takes the snapshot that has been due longest; None where it is given up instead.

    All attempts at a snapshot together have ``seconds_max``. Raises NothingDue.
    """
    row = await command.connection.fetchrow(
        """
        SELECT id, fund_id, status, attempts, error, extract(epoch FROM now() - coalesce(claimed_at, now()))::float8
          AS seconds
        FROM forecast_snapshots WHERE organization_id = $1 AND next_attempt_at <= now()
        ORDER BY next_attempt_at, id LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED
        """,
        command.organization_id,
    )
    if row is None:
        raise NothingDue
    if is_given_up(row["attempts"], row["seconds"], seconds_max):
        reason = f"{row['error'] or NEVER_DONE} Attempts made: {row['attempts']}."
        await _end(command, row["id"], row["fund_id"], row["status"], reason)
        return None
    seconds = min(lease_seconds(seconds_max), seconds_max - row["seconds"])
    await command.connection.execute(
        """
        UPDATE forecast_snapshots SET status = 'CALCULATING', attempts = attempts + 1,
          claimed_at = coalesce(claimed_at, now()), next_attempt_at = now() + make_interval(secs => $3),
          version = version + 1, updated_at = now()
        WHERE organization_id = $1 AND id = $2
        """,
        command.organization_id,
        row["id"],
        seconds,
    )
    held = Claim(row["id"], row["fund_id"], row["attempts"] + 1, seconds)
    _record(command, "snapshot.claimed", held, AuditKind.SYSTEM, {"status": row["status"]}, {"status": "CALCULATING"})
    return held


async def complete(command: Command, held: Claim, calculated: Calculated) -> int:
    """Ends a snapshot with its metrics; those of an earlier one are copied, and say so. Raises ClaimLost."""
    row = await command.connection.fetchrow(
        """
        UPDATE forecast_snapshots AS snapshot SET status = 'COMPLETE', error = NULL, next_attempt_at = NULL,
          metrics = coalesce($4, (
            SELECT earlier.metrics || jsonb_build_object('copiedFrom', earlier.id) FROM forecast_snapshots AS earlier
            WHERE earlier.organization_id = $1 AND earlier.id = $6)),
          source_hash = $5, calculated_at = clock_timestamp(), version = version + 1, updated_at = now()
        WHERE organization_id = $1 AND id = $2 AND attempts = $3 AND status = 'CALCULATING'
          AND next_attempt_at > clock_timestamp()
        RETURNING id
        """,
        command.organization_id,
        held.snapshot_id,
        held.attempt,
        calculated.metrics,
        calculated.source_hash,
        calculated.same_as,
    )
    _check_held(row)
    after = {
        "status": "COMPLETE",
        "fund_id": held.fund_id,
        "source_hash": calculated.source_hash,
        "copied_from": calculated.same_as,
    }
    _record(command, "snapshot.completed", held, AuditKind.FINANCIAL, {"status": "CALCULATING"}, after)
    # It tells what the fund's companies were worth at the time that it is named for.
    await touch(command, held.fund_id, None)
    return held.snapshot_id


async def fail(command: Command, held: Claim, reason: str) -> int:
    """Ends a snapshot in an error that another attempt would not mend. Raises ClaimLost."""
    await _lock_held(command, held)
    await _end(command, held.snapshot_id, held.fund_id, "CALCULATING", reason)
    return held.snapshot_id


async def postpone(command: Command, held: Claim, reason: str, *, seconds_max: float) -> int:
    """Leaves a snapshot for another attempt after a pause, or ends it after the last one. Raises ClaimLost."""
    await _lock_held(command, held)
    if held.attempt >= ATTEMPTS_MAX:
        await _end(command, held.snapshot_id, held.fund_id, "CALCULATING", f"{reason} Attempts made: {held.attempt}.")
        return held.snapshot_id
    await command.connection.execute(
        """
        UPDATE forecast_snapshots SET error = $3, version = version + 1, updated_at = now(),
          next_attempt_at = least(now() + make_interval(secs => $4), claimed_at + make_interval(secs => $5))
        WHERE organization_id = $1 AND id = $2
        """,
        command.organization_id,
        held.snapshot_id,
        reason,
        pause_seconds(held.attempt, seconds_max),
        seconds_max,
    )
    _record(command, "snapshot.postponed", held, AuditKind.SYSTEM, {}, {"error": reason})
    return held.snapshot_id


async def give_back(command: Command, held: Claim) -> int:
    """Leaves a snapshot to whoever comes next, at once. Raises ClaimLost."""
    await _lock_held(command, held)
    await command.connection.execute(
        """
        UPDATE forecast_snapshots SET next_attempt_at = now(), version = version + 1, updated_at = now()
        WHERE organization_id = $1 AND id = $2
        """,
        command.organization_id,
        held.snapshot_id,
    )
    _record(command, "snapshot.given_back", held, AuditKind.SYSTEM, {}, {})
    return held.snapshot_id


async def _lock_held(command: Command, held: Claim) -> None:
    row = await command.connection.fetchrow(
        """
        SELECT id FROM forecast_snapshots
        WHERE organization_id = $1 AND id = $2 AND attempts = $3 AND status = 'CALCULATING' FOR NO KEY UPDATE
        """,
        command.organization_id,
        held.snapshot_id,
        held.attempt,
    )
    _check_held(row)


def _check_held(row: asyncpg.Record | None) -> None:
    if row is None:
        raise ClaimLost


async def _end(command: Command, snapshot_id: int, fund_id: int, status: str, reason: str) -> None:
    await command.connection.execute(
        """
        UPDATE forecast_snapshots SET status = 'ERROR', error = $3, next_attempt_at = NULL,
          version = version + 1, updated_at = now()
        WHERE organization_id = $1 AND id = $2
        """,
        command.organization_id,
        snapshot_id,
        reason,
    )
    command.record(
        "snapshot.failed",
        Subject("ForecastSnapshot", snapshot_id),
        before={"status": status},
        after={"status": "ERROR", "fund_id": fund_id, "error": reason},
    )


def _record(
    command: Command, action: str, held: Claim, kind: AuditKind, before: dict[str, object], after: dict[str, object]
) -> None:
    command.record(
        action,
        Subject("ForecastSnapshot", held.snapshot_id),
        before=before or None,
        after=after | {"attempt": held.attempt},
        kind=kind,
    )
