"""Deciding about allocations: approving or rejecting those that wait for it, and changing the status of others."""

from api.domain.deal_rules import Proposal, RuleCode
from api.domain.deals import Approval
from api.domain.fund_metric_changes import of_approval, of_rejection
from api.domain.states import ALLOCATION, AllocationStatus, allocation_status
from api.errors import ErrorCode, Problem, Refused
from api.services import deals, rows
from api.services.audit import Subject
from api.services.checks import check_text
from api.services.commands import Command, PermissionRefused
from api.services.deal_allocations import NOUN, Locked, Written, called_of, lock_allocation
from api.services.deal_validation import check_stage, refuse_errors, verdict_on
from api.services.fund_versions import touch
from api.services.funds import check_open

REASON_LENGTH_MAX = 1000


async def approve_deal_allocation(
    command: Command, *, allocation_id: int, expected_version: int, reason: str | None = None
) -> Written:
    """Commits an allocation that waits for approval; it has to pass the rules as they are now.

    Raises Refused: NOT_FOUND, VERSION_CONFLICT, INVALID_INPUT, INVALID_TRANSITION, SELF_APPROVAL for its author.
    """
    locked = await _lock_undecided(command, allocation_id, expected_version, reason)
    check_open(locked.fund["status"], "id")
    check_stage(locked.deal, "id")
    proposal = Proposal(locked.allocation["amount_cents"])
    verdict = await verdict_on(
        command.connection, locked.fund, locked.allocation["deal_id"], proposal, allocation_id=allocation_id
    )
    refuse_errors(verdict.errors, "id")
    warnings = tuple(warning for warning in verdict.warnings if warning.code is not RuleCode.APPROVAL_REQUIRED)
    await _decide(command, locked, AllocationStatus.COMMITTED, Approval.APPROVED, reason)
    await deals.invest(command, locked.deal)
    row = locked.allocation
    await touch(command, locked.fund["id"], of_approval(allocation_id, row["amount_cents"], row["allocated_on"]))
    return Written(allocation_id, warnings)


async def reject_deal_allocation(
    command: Command, *, allocation_id: int, expected_version: int, reason: str | None = None
) -> int:
    """Rejects an allocation that waits for approval, for good; fund and deal are free for another one.

    Raises Refused: NOT_FOUND, VERSION_CONFLICT, INVALID_INPUT, INVALID_TRANSITION, SELF_APPROVAL for its author.
    """
    locked = await _lock_undecided(command, allocation_id, expected_version, reason)
    await _decide(command, locked, AllocationStatus.REJECTED, Approval.REJECTED, reason)
    row = locked.allocation
    await touch(command, locked.fund["id"], of_rejection(row["amount_cents"], row["allocated_on"]))
    return allocation_id


async def change_deal_allocation_status(
    command: Command, *, allocation_id: int, expected_version: int, status: str, reason: str | None = None
) -> int:
    """Changes the status as the table of transitions allows, and as far as recorded payments do not say otherwise.

    Raises Refused: NOT_FOUND, VERSION_CONFLICT, INVALID_INPUT, INVALID_TRANSITION; APPROVAL_REQUIRED for what waits.
    """
    _refuse_long_reason(reason)
    row = await rows.lock(
        command, "deal_allocations", allocation_id, field="id", noun=NOUN, expected_version=expected_version
    )
    before, after = AllocationStatus(row["status"]), AllocationStatus(status)
    ALLOCATION.check(before, after)
    if before is AllocationStatus.PENDING_APPROVAL:
        message = "An allocation that waits for approval is approved or rejected."
        raise Refused([Problem(ErrorCode.APPROVAL_REQUIRED, message, ("status",))])
    paid_cents = (await called_of(command, allocation_id)).paid_cents
    paid_status = allocation_status(after, committed_cents=row["amount_cents"], paid_cents=paid_cents)
    if paid_status is not after:
        message = f"By the payments that are recorded it is {paid_status}."
        raise Refused([Problem(ErrorCode.INVALID_TRANSITION, message, ("status",), expected=paid_status, actual=after)])
    await rows.update(command, "deal_allocations", allocation_id, expected_version, {"status": after}, noun=NOUN)
    subject = Subject("DealAllocation", allocation_id)
    command.record(
        "deal_allocation.status_changed", subject, before={"status": before}, after={"status": after, "reason": reason}
    )
    await touch(command, row["fund_id"], None)
    return allocation_id


async def _lock_undecided(command: Command, allocation_id: int, expected_version: int, reason: str | None) -> Locked:
    """An allocation that waits for approval, where it is not the caller's own."""
    _refuse_long_reason(reason)
    locked = await lock_allocation(command, allocation_id, expected_version)
    status = locked.allocation["status"]
    if status != AllocationStatus.PENDING_APPROVAL:
        message = f"An allocation that is {status} does not wait for approval."
        raise Refused([Problem(ErrorCode.INVALID_TRANSITION, message, ("id",), actual=status)])
    if locked.allocation["author_id"] == command.principal.user_id:
        message = "Another administrator than the author has to decide."
        raise PermissionRefused(
            [Problem(ErrorCode.SELF_APPROVAL, message, ("id",))], Subject("DealAllocation", allocation_id)
        )
    return locked


async def _decide(
    command: Command, locked: Locked, status: AllocationStatus, approval: Approval, reason: str | None
) -> None:
    row = locked.allocation
    decided_at = await command.connection.fetchval("SELECT now()")
    values = {
        "status": status,
        "approval": approval,
        "decided_by_id": command.principal.user_id,
        "decided_at": decided_at,
        "decision_reason": reason,
    }
    await rows.update(command, "deal_allocations", row["id"], row["version"], values, noun=NOUN)
    command.record(
        f"deal_allocation.{approval.value.lower()}",
        Subject("DealAllocation", row["id"]),
        before={"status": row["status"], "amount_cents": row["amount_cents"], "author_id": row["author_id"]},
        after={"status": status, "reason": reason},
    )


def _refuse_long_reason(reason: str | None) -> None:
    problems = check_text("reason", reason, REASON_LENGTH_MAX)
    if problems:
        raise Refused(problems)
