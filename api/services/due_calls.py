"""Reminding of capital calls before they are due, and finding those that are overdue: a worker's duty.

``next_check_on`` of a call is the UTC day on which there is something to do with it. Each step is one command for some
calls of one organization, which it locks: what somebody else holds at the moment is left for the next look.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta

import asyncpg
import structlog
from pydantic import TypeAdapter

from api.db.connections import LOST_CONNECTION
from api.db.pools import Database
from api.domain.access import Principal, Role
from api.domain.capital_calls import REMINDER_DAYS, next_check_on, overdue_on, reminder_on
from api.errors import TryAgain
from api.services.audit import AuditKind, Event, Subject
from api.services.commands import Command, Writer

COMMAND = "checkDueCalls"
COUNT = TypeAdapter(int)
CHECKED_AT_ONCE = 100
OVERDUE = "capital_call.overdue"
REMINDERS = {f"capital_call.due_in_{days}_days": days for days in REMINDER_DAYS}
"""What reminders are called in the log, and how many days before the due date each is."""

logger = structlog.get_logger(__name__)

# As tranche_auth, which sees of calls when unfinished ones are to be looked at, and nothing else.
_WITH_DUE = """
SELECT organization_id FROM capital_calls WHERE next_check_on <= $1 GROUP BY organization_id ORDER BY min(next_check_on)
"""
_DUE = """
SELECT id, due_on, status FROM capital_calls WHERE organization_id = $1 AND next_check_on <= $2
ORDER BY next_check_on, id LIMIT $3 FOR NO KEY UPDATE SKIP LOCKED
"""
_BECOME_OVERDUE = """
UPDATE capital_calls SET status = 'OVERDUE', next_check_on = NULL, version = version + 1, updated_at = now()
WHERE organization_id = $1 AND id = ANY ($2) RETURNING *
"""
_CHECK_LATER = """
UPDATE capital_calls AS call SET next_check_on = later.day FROM unnest($2::bigint[], $3::date[]) AS later(id, day)
WHERE call.organization_id = $1 AND call.id = later.id RETURNING call.*
"""


class NothingDue(Exception):
    """No call of the organization is to be looked at that nobody else is at."""


def utc_today() -> date:
    """The day by which calls are due and overdue, wherever the server, its database or its users are."""
    return datetime.now(UTC).date()


async def check_due_calls(database: Database, writer: Writer, today: Callable[[], date] = utc_today) -> None:
    """Looks at all calls that are to be looked at by now, organizations by turns."""
    while True:
        waiting = await database.authentication.fetch(_WITH_DUE, today())
        checked = [await _take_turn(writer, row["organization_id"], today()) for row in waiting]
        if not any(count == CHECKED_AT_ONCE for count in checked):
            return


async def _take_turn(writer: Writer, organization_id: int, today: date) -> int:
    """Looks at some calls of an organization; returns at how many, 0 where they are not to be had at the moment."""
    principal = Principal(organization_id, None, Role.EDITOR)
    try:
        outcome = await writer.run(
            principal, COMMAND, lambda command: check_some(command, today=today), result_type=COUNT
        )
    except NothingDue:
        return 0
    except (*LOST_CONNECTION, asyncpg.PostgresError, TryAgain, TimeoutError) as error:
        # The next one's may be.
        logger.warning("due_calls_put_off", organization_id=organization_id, error=type(error).__name__)
        return 0
    return outcome.result


async def check_some(command: Command, *, today: date) -> int:
    """Reminds of calls, or has them be overdue, some at once; returns at how many it has looked. Raises NothingDue."""
    due = await command.connection.fetch(_DUE, command.organization_id, today, CHECKED_AT_ONCE)
    if not due:
        raise NothingDue
    late = [row for row in due if overdue_on(row["due_on"]) <= today]
    early = [row for row in due if overdue_on(row["due_on"]) > today]
    await _remind(command, early, today)
    await _become_overdue(command, late)
    return len(due)


async def _become_overdue(command: Command, late: Sequence[asyncpg.Record]) -> None:
    """Has the calls be overdue. To the metrics of their funds they are so by their dates, whatever their status."""
    if not late:
        return
    status = {row["id"]: row["status"] for row in late}
    rows = await command.connection.fetch(_BECOME_OVERDUE, command.organization_id, list(status))
    for row in sorted(rows, key=lambda row: (row["due_on"], row["id"])):
        after = {
            "status": "OVERDUE",
            "fund_id": row["fund_id"],
            "due_on": row["due_on"],
            "outstanding_cents": row["amount_cents"] - row["paid_cents"],
        }
        _record(command, OVERDUE, row, {"status": status[row["id"]]}, after, AuditKind.FINANCIAL)


async def _remind(command: Command, early: Sequence[asyncpg.Record], today: date) -> None:
    """Reminds of calls; those whose day for it has passed are left for their next one."""
    if not early:
        return
    later = [next_check_on(row["due_on"], today + timedelta(days=1)) for row in early]
    rows = await command.connection.fetch(_CHECK_LATER, command.organization_id, [row["id"] for row in early], later)
    missed = []
    for row in sorted(rows, key=lambda row: (row["due_on"], row["id"])):
        days = reminder_on(row["due_on"], today)
        if days is None:
            missed.append(row["id"])
            continue
        after = {"fund_id": row["fund_id"], "due_on": row["due_on"]}
        action = next(name for name, before in REMINDERS.items() if before == days)
        _record(command, action, row, None, after, AuditKind.SYSTEM)
    if missed:
        # Nobody was there on the day; the log says so.
        after = {"capital_call_ids": missed}
        command.events.append(Event(AuditKind.SYSTEM, "capital_call_reminders.missed", after=after))


def _record(
    command: Command,
    action: str,
    row: asyncpg.Record,
    before: dict[str, object] | None,
    after: dict[str, object],
    kind: AuditKind,
) -> None:
    command.record(
        action,
        Subject("CapitalCall", row["id"]),
        before=before,
        after=after,
        kind=kind,
        rows=lambda _appended: {("CapitalCall", row["id"]): row},
    )
