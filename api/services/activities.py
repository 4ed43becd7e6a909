"""Recording, correcting and deleting the cash flows of holdings.

Each change leaves behind, with its holdings, the earliest date whose stored returns it made stale; computing those anew
is not done here, see recalculation.
"""

import hashlib
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import Enum, StrEnum
from typing import Any, NamedTuple

import asyncpg

from api.domain.activities import NOTE_LENGTH_MAX, check_activity
from api.errors import ErrorCode, Problem, Refused, invalid, not_found, version_conflict
from api.services import rows
from api.services.audit import Subject, canonical_json
from api.services.checks import check_present, check_text
from api.services.commands import Command

ACTIVITIES_MAX = 10_000
REASON_LENGTH_MAX = 1000
COLUMNS = ("activity_type", "amount_cents", "occurred_on", "is_recallable", "note")
FLOW_COLUMNS = ("activity_type", "amount_cents", "occurred_on")
"""What of a cash flow counts for returns."""


class BulkMode(StrEnum):
    """What becomes of a batch with bad rows."""

    ALL_OR_NOTHING = "ALL_OR_NOTHING"
    CONTINUE = "CONTINUE"


class Locks(Enum):
    """Which holdings are locked until the end of the transaction, always in the order of their ids."""

    NONE = "id = ANY ($2)"
    HOLDINGS = "id = ANY ($2) ORDER BY id FOR NO KEY UPDATE"
    PORTFOLIOS = """portfolio_id = ANY (ARRAY(
      SELECT portfolio_id FROM portfolio_funds WHERE organization_id = $1 AND id = ANY ($2)
    )) ORDER BY id FOR NO KEY UPDATE"""
    """All of the portfolios of these, whose own returns follow from all."""


class NewActivity(NamedTuple):
    """A cash flow to record; a positive amount in cents. ``holding_id`` None: an id that no holding can have."""

    holding_id: int | None
    activity_type: str
    amount_cents: int
    occurred_on: date
    is_recallable: bool = False
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """Cash flows that are good, and are to be inserted; of which holdings they are, each with its first day; and which
    holdings were found, and locked where they were to be.
    """

    activities: Sequence[NewActivity]
    earliest: Mapping[int, date]
    known: Collection[int]
    insert: Callable[[], Awaitable[None]]


Settle = Callable[[Command, Batch], Awaitable[None]]
"""Has a batch inserted, and does something about the returns of its holdings."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What a batch stored: the new ids in the order given, the holdings that changed, and what was left out, why."""

    ids: list[int]
    holding_ids: list[int]
    rejected: list[Problem] = field(default_factory=list)


class DryRun(Exception):
    """Carries what a batch would store out of its transaction, which is thereby rolled back."""

    def __init__(self, would: Stored) -> None:
        super().__init__("nothing was written")
        self.would = would


async def create_holding_activities(
    command: Command,
    activities: Sequence[NewActivity],
    *,
    mode: BulkMode = BulkMode.ALL_OR_NOTHING,
    dry_run: bool = False,
    settle: Settle | None = None,
) -> Stored:
    """Stores cash flows in one statement: all of them, or with CONTINUE those that are good.

    ``settle`` has them inserted and says what becomes of the returns; it finds all holdings of the portfolios locked.
    Without, they are marked.

    Raises Refused with every problem by index and field (INVALID_INPUT, NEGATIVE_AMOUNT, NOT_FOUND) where any row is
    bad, with CONTINUE where all are; and DryRun in the place of a result.
    """
    if not 1 <= len(activities) <= ACTIVITIES_MAX:
        limit = f"1 to {ACTIVITIES_MAX}"
        raise Refused([invalid("activities", f"Give {limit} activities.", expected=limit, actual=str(len(activities)))])
    locks = Locks.NONE if settle is None else Locks.PORTFOLIOS
    known = await known_holdings(command, {activity.holding_id for activity in activities}, locks)
    problems = _check(activities, known)
    bad = {problem.index for problem in problems}
    if bad and (mode is BulkMode.ALL_OR_NOTHING or len(bad) == len(activities)):
        raise Refused(problems)
    good = [activity for index, activity in enumerate(activities) if index not in bad] if bad else activities
    columns: list[tuple[Any, ...]] = list(zip(*good, strict=True))
    earliest: dict[int, date] = {}
    for holding_id, occurred_on in zip(columns[0], columns[3], strict=True):
        if occurred_on < earliest.get(holding_id, date.max):
            earliest[holding_id] = occurred_on
    if dry_run:
        raise DryRun(Stored([0] * len(good), sorted(earliest), problems))
    ids: list[int] = []

    async def insert() -> None:
        ids.extend(await _insert(command, columns))
        subject = batch_subject(command, known, earliest)
        command.record("holding_activities.created", subject, after=_summary(ids, columns, earliest, len(bad)))

    await (settle or _mark)(command, Batch(good, earliest, known.keys(), insert))
    return Stored(ids, sorted(earliest), problems)


async def update_holding_activity(
    command: Command, *, activity_id: int, expected_version: int, changes: Mapping[str, Any], reason: str | None = None
) -> int:
    """Corrects a cash flow and returns its holding's id.

    Raises Refused: INVALID_INPUT, NEGATIVE_AMOUNT, NOT_FOUND, VERSION_CONFLICT.
    """
    problems = check_present(changes, *(name for name in COLUMNS if name != "note")) + check_reason(reason)
    before = await _lock(command, "holding_activity_log", activity_id, "activity")
    wanted = {**before, **changes}
    if not problems:
        check_activity(
            amount_cents=wanted["amount_cents"],
            occurred_on=wanted["occurred_on"],
            note=wanted["note"],
            report=problems.append,
        )
    if problems:
        raise Refused(problems)
    after = await rows.update(command, "holding_activity_log", activity_id, expected_version, changes, noun="activity")
    holding_id: int = after["holding_id"]
    if any(before[name] != after[name] for name in FLOW_COLUMNS):
        await leave_behind(command, {holding_id: min(before["occurred_on"], after["occurred_on"])})
    old, new = rows.changed(before, after, COLUMNS)
    subject = Subject("HoldingActivity", activity_id)
    command.record("holding_activity.updated", subject, before=old, after=new | {"reason": reason})
    return holding_id


async def delete_holding_activity(
    command: Command, *, activity_id: int, expected_version: int, reason: str | None = None
) -> int:
    """Deletes a cash flow, which the log goes on to hold, and returns its holding's id.

    Raises Refused: INVALID_INPUT, NOT_FOUND, VERSION_CONFLICT.
    """
    before = await delete_row(
        command, "holding_activity_log", activity_id, expected_version, noun="activity", reason=reason
    )
    await leave_behind(command, {before["holding_id"]: before["occurred_on"]})
    values = {name: before[name] for name in ("holding_id", *COLUMNS, "version")}
    subject = Subject("HoldingActivity", activity_id)
    command.record("holding_activity.deleted", subject, before=values, after={"reason": reason})
    holding_id: int = before["holding_id"]
    return holding_id


async def delete_row(
    command: Command, table: str, row_id: int, expected_version: int, *, noun: str, reason: str | None
) -> asyncpg.Record:
    """Deletes one row under its optimistic lock and returns it; raises Refused like an update does."""
    problems = check_reason(reason)
    if problems:
        raise Refused(problems)
    before = await _lock(command, table, row_id, noun)
    if before["version"] != expected_version:
        raise version_conflict(expected_version, before["version"])
    await command.connection.execute(
        f"DELETE FROM {table} WHERE organization_id = $1 AND id = $2", command.organization_id, row_id
    )
    return before


async def known_holdings(
    command: Command, holding_ids: Collection[int | None], locks: Locks = Locks.NONE
) -> dict[int, int]:
    """Which of the ids are holdings, each with the id of its portfolio; and others of these portfolios, if locked."""
    found = await command.connection.fetch(
        f"SELECT id, portfolio_id FROM portfolio_funds WHERE organization_id = $1 AND {locks.value}",
        command.organization_id,
        [holding_id for holding_id in holding_ids if holding_id is not None],
    )
    return {row["id"]: row["portfolio_id"] for row in found}


async def leave_behind(command: Command, changed: Mapping[int, date]) -> None:
    """Notes that the flows of holdings have changed from a day on, so that their returns are computed anew."""
    await command.connection.execute(
        """
        WITH locked AS MATERIALIZED (
          SELECT id FROM portfolio_funds WHERE organization_id = $1 AND id = ANY ($2) ORDER BY id FOR NO KEY UPDATE
        )
        UPDATE portfolio_funds AS holding SET flows_version = holding.flows_version + 1,
          returns_stale_from = least(holding.returns_stale_from, changed.since)
        FROM locked JOIN unnest($2::bigint[], $3::date[]) AS changed (id, since) ON changed.id = locked.id
        WHERE holding.organization_id = $1 AND holding.id = locked.id
        """,
        command.organization_id,
        list(changed),
        list(changed.values()),
    )


def batch_subject(command: Command, portfolios: Mapping[int, int], holding_ids: Collection[int]) -> Subject:
    """What a batch is about: the holding, else the portfolio, else the organization that all of it belongs to."""
    if len(holding_ids) == 1:
        return Subject("Holding", next(iter(holding_ids)))
    portfolio_ids = {portfolios[holding_id] for holding_id in holding_ids}
    if len(portfolio_ids) == 1:
        return Subject("Portfolio", portfolio_ids.pop())
    return Subject("Organization", command.organization_id)


def check_reason(reason: str | None) -> list[Problem]:
    """A reason is at most so long."""
    return check_text("reason", reason, REASON_LENGTH_MAX)


def problem_at(field: str, index: int, problem: Problem) -> Problem:
    """A problem of one row, by its place in the input's list ``field``."""
    path = (field, str(index), *(problem.field or ()))
    return Problem(problem.code, problem.message, path, index, problem.expected, problem.actual)


def _check(activities: Sequence[NewActivity], known: Mapping[int, int]) -> list[Problem]:
    problems: list[Problem] = []
    for index, (holding_id, _, amount_cents, occurred_on, _, note) in enumerate(activities):
        if holding_id in known and amount_cents > 0 and (note is None or len(note) <= NOTE_LENGTH_MAX):
            continue
        found: list[Problem] = []
        if holding_id not in known:
            found.append(Problem(ErrorCode.NOT_FOUND, "There is no such holding.", ("holding_id",)))
        check_activity(amount_cents=amount_cents, occurred_on=occurred_on, note=note, report=found.append)
        problems += [problem_at("activities", index, problem) for problem in found]
    return problems


async def _mark(command: Command, batch: Batch) -> None:
    await batch.insert()
    await leave_behind(command, batch.earliest)


async def _insert(command: Command, columns: Sequence[tuple[Any, ...]]) -> list[int]:
    stored = await command.connection.fetch(
        """
        INSERT INTO holding_activity_log
          (organization_id, holding_id, activity_type, amount_cents, occurred_on, is_recallable, note)
        SELECT $1, * FROM unnest($2::bigint[], $3::text[], $4::bigint[], $5::date[], $6::boolean[], $7::text[])
        RETURNING id
        """,
        command.organization_id,
        *columns,
    )
    return [row[0] for row in stored]


def _summary(
    ids: Sequence[int], columns: Sequence[tuple[Any, ...]], earliest: Mapping[int, date], rejected_count: int
) -> dict[str, object]:
    """What the log says of a batch: how much, of whom and when, and the digest of its rows with their ids."""
    return {
        "count": len(ids),
        "rejected_count": rejected_count,
        "first_id": min(ids),
        "last_id": max(ids),
        "holding_ids": sorted(earliest),
        "from": min(columns[3]),
        "to": max(columns[3]),
        "sha256": hashlib.sha256(canonical_json([ids, *columns])).digest(),
    }


async def _lock(command: Command, table: str, row_id: int, noun: str) -> asyncpg.Record:
    """A holding's row; the holding first, as whoever changes rows of it locks them in this order."""
    await command.connection.execute(
        f"""
        SELECT 1 FROM portfolio_funds WHERE organization_id = $1
          AND id = (SELECT holding_id FROM {table} WHERE organization_id = $1 AND id = $2) FOR NO KEY UPDATE
        """,
        command.organization_id,
        row_id,
    )
    row = await command.connection.fetchrow(
        f"SELECT * FROM {table} WHERE organization_id = $1 AND id = $2 FOR UPDATE", command.organization_id, row_id
    )
    if row is None:
        raise not_found("id", noun)
    return row
