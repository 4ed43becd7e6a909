"""Planning reserves within a snapshot: one allocation for a company, many at once, and changes to one."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from typing import Any

from api.errors import ErrorCode, Problem, Refused, invalid, not_found
from api.services import rows
from api.services.audit import Subject
from api.services.checks import RATIO_PLACES_MAX, check_not_negative, check_present, check_text
from api.services.commands import Command
from api.services.forecasts import lock_open_snapshot

ALLOCATIONS_MAX = 1000
PRIORITY_MAX = 1_000_000
RATIONALE_LENGTH_MAX = 1000
SCORE_END = 10_000
ALLOCATION_COLUMNS = ("planned_reserve_cents", "score", "priority", "rationale")


@dataclass(frozen=True, slots=True)
class NewAllocation:
    """What is planned for one company, in cents. ``company_id`` None: an id that cannot be one."""

    company_id: int | None
    planned_reserve_cents: int
    score: Decimal | None = None
    priority: int | None = None
    rationale: str | None = None


async def create_reserve_allocation(command: Command, *, snapshot_id: int, allocation: NewAllocation) -> int:
    """Adds a company's allocation to a snapshot and returns its id.

    Raises Refused: NOT_FOUND, IMMUTABLE, COMPANY_NOT_FOUND for a company of another fund, ALREADY_EXISTS for one that
    has an allocation, INVALID_INPUT, NEGATIVE_AMOUNT.
    """
    try:
        (allocation_id,) = await _create(command, snapshot_id, [allocation], key=command.idempotency_key)
    except Refused as refused:
        raise Refused([replace(problem, index=None) for problem in refused.problems]) from None
    return allocation_id


async def create_reserve_allocations(
    command: Command, *, snapshot_id: int, allocations: Sequence[NewAllocation]
) -> list[int]:
    """Adds 1 to 1,000 allocations to a snapshot, all or none, and returns their ids in the order given.

    Raises Refused as for one, the problems of an allocation with its index, and DUPLICATE_COMPANY.
    """
    if not 1 <= len(allocations) <= ALLOCATIONS_MAX:
        limit, actual = f"1 to {ALLOCATIONS_MAX}", str(len(allocations))
        raise Refused([invalid("allocations", f"Give {limit} allocations.", expected=limit, actual=actual)])
    try:
        # The key is of all of them together: no single row has it.
        return await _create(command, snapshot_id, allocations, key=None)
    except Refused as refused:
        raise Refused([_in_list(problem) for problem in refused.problems]) from None


async def update_reserve_allocation(
    command: Command, *, allocation_id: int, expected_version: int, changes: Mapping[str, Any]
) -> int:
    """Changes the given columns of an allocation and returns its id.

    Raises Refused: NOT_FOUND, VERSION_CONFLICT, IMMUTABLE, INVALID_INPUT, NEGATIVE_AMOUNT.
    """
    problems = check_present(changes, "planned_reserve_cents") + _check(changes)
    if problems:
        raise Refused(problems)
    snapshot_id = await command.connection.fetchval(
        "SELECT snapshot_id FROM reserve_allocations WHERE organization_id = $1 AND id = $2",
        command.organization_id,
        allocation_id,
    )
    if snapshot_id is None:
        raise not_found("id", "reserve allocation")
    await lock_open_snapshot(command, snapshot_id, field="id")
    table, noun = "reserve_allocations", "reserve allocation"
    before = await rows.lock(command, table, allocation_id, field="id", noun=noun, expected_version=expected_version)
    after = await rows.update(command, table, allocation_id, expected_version, changes, noun=noun)
    old, new = rows.changed(before, after, ALLOCATION_COLUMNS)
    command.record("reserve_allocation.updated", Subject("ReserveAllocation", allocation_id), before=old, after=new)
    return allocation_id


async def _create(
    command: Command, snapshot_id: int, allocations: Sequence[NewAllocation], *, key: str | None
) -> list[int]:
    """Checks and inserts; raises Refused with an index for every problem of an allocation."""
    fund_id = await lock_open_snapshot(command, snapshot_id, field="snapshot_id")
    problems = [
        replace(problem, index=index) for index, one in enumerate(allocations) for problem in _check(asdict(one))
    ]
    problems += await _check_companies(command, fund_id, [one.company_id for one in allocations])
    if problems:
        raise Refused(problems)
    inserted = await command.connection.fetch(
        """
        INSERT INTO reserve_allocations (organization_id, snapshot_id, idempotency_key, company_id,
          planned_reserve_cents, score, priority, rationale)
        SELECT $1, $2, $3, * FROM unnest($4::bigint[], $5::bigint[], $6::numeric[], $7::integer[], $8::text[])
        ON CONFLICT (organization_id, snapshot_id, company_id) DO NOTHING RETURNING *
        """,
        command.organization_id,
        snapshot_id,
        key,
        [one.company_id for one in allocations],
        *([getattr(one, column) for one in allocations] for column in ALLOCATION_COLUMNS),
    )
    ids: dict[int | None, int] = {row["company_id"]: row["id"] for row in inserted}
    taken = [index for index, one in enumerate(allocations) if one.company_id not in ids]
    if taken:
        message = "The company has an allocation in this snapshot."
        raise Refused([Problem(ErrorCode.ALREADY_EXISTS, message, ("company_id",), index) for index in taken])
    for row in inserted:
        command.wrote("reserve_allocations", row)
    for one in allocations:
        command.record(
            "reserve_allocation.created",
            Subject("ReserveAllocation", ids[one.company_id]),
            after={"snapshot_id": snapshot_id} | asdict(one),
        )
    return [ids[one.company_id] for one in allocations]


async def _check_companies(command: Command, fund_id: int, company_ids: Sequence[int | None]) -> list[Problem]:
    """Each is a company of the fund, and listed once."""
    found = await command.connection.fetch(
        "SELECT id FROM portfolio_companies WHERE organization_id = $1 AND fund_id = $2 AND id = ANY ($3)",
        command.organization_id,
        fund_id,
        [company_id for company_id in company_ids if company_id is not None],
    )
    known = {row["id"] for row in found}
    problems, seen = [], set()
    for index, company_id in enumerate(company_ids):
        if company_id not in known:
            message = "The snapshot's fund has no such company."
            problems.append(Problem(ErrorCode.COMPANY_NOT_FOUND, message, ("company_id",), index))
        elif company_id in seen:
            message = "The company is listed more than once."
            problems.append(Problem(ErrorCode.DUPLICATE_COMPANY, message, ("company_id",), index))
        seen.add(company_id)
    return problems


def _check(values: Mapping[str, Any]) -> list[Problem]:
    problems = check_not_negative(values, "planned_reserve_cents")
    problems += check_text("rationale", values.get("rationale"), RATIONALE_LENGTH_MAX)
    score, priority = values.get("score"), values.get("priority")
    if score is not None and (abs(score) >= SCORE_END or score != round(score, RATIO_PLACES_MAX)):
        limit = f"between -{SCORE_END} and {SCORE_END}, both excluded, with at most {RATIO_PLACES_MAX} decimals"
        problems.append(invalid("score", f"Must be {limit}.", expected=limit, actual=format(score, "f")))
    if priority is not None and not 0 <= priority <= PRIORITY_MAX:
        limit = f"0 to {PRIORITY_MAX}"
        problems.append(invalid("priority", f"Must be {limit}.", expected=limit, actual=str(priority)))
    return problems


def _in_list(problem: Problem) -> Problem:
    """The problem of an allocation with its place in the input's list."""
    if problem.index is None:
        return problem
    return replace(problem, field=("allocations", str(problem.index), *(problem.field or ())))
