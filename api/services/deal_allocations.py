"""Committing a fund's money to deals: creating, changing and deleting allocations.

Locks are taken in one order: the fund, the deal, the allocation. What a fund has allocated changes under its fund's
lock alone, so that allocations made at once cannot pass its maximum together.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import asyncpg

from api.domain.deal_rules import Finding, Proposal, Verdict
from api.domain.deals import Approval
from api.domain.fund_metric_changes import of_allocation
from api.domain.states import ALLOCATION, AllocationStatus, allocation_status
from api.errors import ErrorCode, Problem, Refused, invalid, not_found
from api.services import deals, rows
from api.services.audit import Subject
from api.services.checks import check_present
from api.services.commands import Command
from api.services.deal_validation import amount_of, check_stage, judge_new, refuse_bad_values, refuse_errors, verdict_on
from api.services.fund_versions import touch
from api.services.funds import check_open

ALLOCATION_COLUMNS = (
    "fund_id",
    "deal_id",
    "amount_cents",
    "percentage",
    "security_type",
    "status",
    "allocated_on",
    "notes",
    "approval",
)
NOUN = "deal allocation"


@dataclass(frozen=True, slots=True)
class Written:
    """An allocation that was written, and what the rules warned of."""

    allocation_id: int
    warnings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Locked:
    """An allocation with its fund and deal, all locked; and what its calls come to, in cents."""

    fund: asyncpg.Record
    deal: asyncpg.Record
    allocation: asyncpg.Record
    called: "Called"


@dataclass(frozen=True, slots=True)
class Called:
    """What the calls of an allocation come to, SCHEDULED ones too."""

    count: int
    called_cents: int
    paid_cents: int


async def create_deal_allocation(
    command: Command,
    *,
    today: date,
    fund_id: int,
    deal_id: int,
    security_type: str,
    amount_cents: int | None = None,
    percentage: Decimal | None = None,
    allocated_on: date | None = None,
    notes: str | None = None,
) -> Written:
    """Commits an amount, or that fraction of the fund's size, to a deal; today unless a day is given.

    Above the organization's threshold it waits for approval. Raises Refused: NOT_FOUND, INVALID_INPUT, NEGATIVE_AMOUNT,
    ALREADY_EXISTS, and INVALID_TRANSITION where the fund or the deal takes no allocations.
    """
    values: dict[str, Any] = {"security_type": security_type, "allocated_on": allocated_on or today, "notes": notes}
    refuse_bad_values(values | {"amount_cents": amount_cents, "percentage": percentage}, today)
    fund = await rows.lock(command, "funds", fund_id, field="fund_id", noun="fund")
    deal = await rows.lock(command, "deals", deal_id, field="deal_id", noun="deal")
    judged = await judge_new(command.connection, fund, deal, amount_cents=amount_cents, percentage=percentage)
    refuse_errors(judged.verdict.errors, "percentage" if amount_cents is None else "amount_cents")
    waits = judged.verdict.requires_approval
    values |= {
        "fund_id": fund_id,
        "deal_id": deal_id,
        "amount_cents": judged.amount_cents,
        "percentage": percentage,
        "status": AllocationStatus.PENDING_APPROVAL if waits else AllocationStatus.COMMITTED,
        "approval": Approval.PENDING if waits else None,
    }
    allocation_id = await rows.insert_one(command, "deal_allocations", values | {"author_id": await author_of(command)})
    command.record("deal_allocation.created", Subject("DealAllocation", allocation_id), after=values)
    if not waits:
        await deals.invest(command, deal)
    effects = of_allocation(allocation_id, values["status"], judged.amount_cents, values["allocated_on"])
    await touch(command, fund_id, effects)
    return Written(allocation_id, judged.verdict.warnings)


async def update_deal_allocation(
    command: Command, *, today: date, allocation_id: int, expected_version: int, changes: Mapping[str, Any]
) -> Written:
    """Changes the given columns. What a new amount leads to is what creating it would: see docs/decisions.md.

    Raises Refused: NOT_FOUND, VERSION_CONFLICT, INVALID_INPUT, NEGATIVE_AMOUNT, IMMUTABLE for what is final,
    INVALID_TRANSITION where fund or deal take no more, APPROVAL_REQUIRED where something has been called already.
    """
    refuse_bad_values(changes, today, check_present(changes, "security_type", "allocated_on", "amount_cents"))
    locked = await lock_allocation(command, allocation_id, expected_version)
    status = AllocationStatus(locked.allocation["status"])
    if not ALLOCATION.transitions[status]:
        message = f"An allocation that is {status} can no longer be changed."
        raise Refused([Problem(ErrorCode.IMMUTABLE, message, ("id",), actual=status)])
    await _check_moved(command, locked.allocation, changes.get("allocated_on"))
    verdict, values = Verdict(()), dict(changes)
    if changes.get("amount_cents") is not None or changes.get("percentage") is not None:
        verdict, values = await _revalued(command, locked, changes)
    before = locked.allocation
    after = await rows.update(command, "deal_allocations", allocation_id, expected_version, values, noun=NOUN)
    old, new = rows.changed(before, after, ALLOCATION_COLUMNS)
    command.record("deal_allocation.updated", Subject("DealAllocation", allocation_id), before=old, after=new)
    if (before["status"], after["status"]) == (AllocationStatus.PENDING_APPROVAL, AllocationStatus.COMMITTED):
        await deals.invest(command, locked.deal)
    await touch(command, before["fund_id"], None)
    return Written(allocation_id, verdict.warnings)


async def _revalued(command: Command, locked: Locked, changes: Mapping[str, Any]) -> tuple[Verdict, dict[str, Any]]:
    """What the rules say of the new amount, and the columns to be changed with it."""
    allocation, status = locked.allocation, AllocationStatus(locked.allocation["status"])
    amount = amount_of(locked.fund, changes.get("amount_cents"), changes.get("percentage"))
    field = "amount_cents" if changes.get("amount_cents") is not None else "percentage"
    if amount < locked.called.called_cents:
        least = str(locked.called.called_cents)
        raise Refused(
            [invalid(field, "More than this has been called.", expected=f"at least {least}", actual=str(amount))]
        )
    waits = status is AllocationStatus.PENDING_APPROVAL
    proposal = Proposal(amount, allocation["amount_cents"], 0 if waits else allocation["amount_cents"])
    if proposal.is_raised:
        check_open(locked.fund["status"], field)
        check_stage(locked.deal, field)
    verdict = await verdict_on(
        command.connection, locked.fund, allocation["deal_id"], proposal, allocation_id=allocation["id"]
    )
    refuse_errors(verdict.errors, field)
    values = {**changes, "amount_cents": amount, "percentage": changes.get("percentage")}
    if not verdict.requires_approval:
        paid_status = allocation_status(status, committed_cents=amount, paid_cents=locked.called.paid_cents)
        left = {"status": AllocationStatus.COMMITTED, "approval": None} if waits else {"status": paid_status}
        return verdict, values | left
    if not waits and (status is not AllocationStatus.COMMITTED or locked.called.count):
        message = "This amount needs an approval, for which only a committed allocation without calls can wait again."
        raise Refused([Problem(ErrorCode.APPROVAL_REQUIRED, message, (field,), actual=status)])
    undecided = {"decided_by_id": None, "decided_at": None, "decision_reason": None}
    asked = {"status": AllocationStatus.PENDING_APPROVAL, "approval": Approval.PENDING}
    return verdict, values | asked | undecided | {"author_id": await author_of(command)}


async def _check_moved(command: Command, allocation: asyncpg.Record, allocated_on: date | None) -> None:
    """Raises Refused where a locked allocation is moved to a day before which money was called, paid or distributed."""
    if allocated_on is None or allocated_on <= allocation["allocated_on"]:
        return
    first = await command.connection.fetchval(
        """
        SELECT least(
          (SELECT min(called_on) FROM capital_calls WHERE organization_id = $1 AND allocation_id = $2),
          (SELECT min(payment.paid_on) FROM capital_call_payments AS payment
            JOIN capital_calls AS call ON call.organization_id = $1 AND call.id = payment.capital_call_id
            WHERE payment.organization_id = $1 AND call.allocation_id = $2),
          (SELECT min(distributed_on) FROM distributions WHERE organization_id = $1 AND allocation_id = $2)
        )
        """,
        command.organization_id,
        allocation["id"],
    )
    if first is not None and first < allocated_on:
        message = "Money was called, paid or distributed before this day."
        raise Refused([invalid("allocated_on", message, expected=f"at most {first}", actual=str(allocated_on))])


async def author_of(command: Command) -> int | None:
    """The person who asks; of an API key whoever made it, so that nobody approves what their own key has asked for."""
    principal = command.principal
    if principal.api_key_id is None:
        return principal.user_id
    author_id: int | None = await command.connection.fetchval(
        "SELECT created_by FROM api_keys WHERE organization_id = $1 AND id = $2",
        command.organization_id,
        principal.api_key_id,
    )
    return author_id


async def delete_deal_allocation(command: Command, *, allocation_id: int, expected_version: int) -> int:
    """Deletes an allocation that nothing was called or distributed of, and returns its id; the log keeps what it was.

    Raises Refused: NOT_FOUND, VERSION_CONFLICT, IMMUTABLE.
    """
    row = await rows.lock(
        command, "deal_allocations", allocation_id, field="id", noun=NOUN, expected_version=expected_version
    )
    for table, what in (("capital_calls", "capital calls"), ("distributions", "distributions")):
        has_any = await command.connection.fetchval(
            f"SELECT EXISTS (SELECT 1 FROM {table} WHERE organization_id = $1 AND allocation_id = $2)",
            command.organization_id,
            allocation_id,
        )
        if has_any:
            message = f"An allocation that has {what} is not deleted."
            raise Refused([Problem(ErrorCode.IMMUTABLE, message, ("id",))])
    await command.connection.execute(
        "DELETE FROM deal_allocations WHERE organization_id = $1 AND id = $2", command.organization_id, allocation_id
    )
    before = {column: row[column] for column in ALLOCATION_COLUMNS}
    command.record("deal_allocation.deleted", Subject("DealAllocation", allocation_id), before=before)
    await touch(command, row["fund_id"], None)
    return allocation_id


async def lock_allocation(command: Command, allocation_id: int, expected_version: int) -> Locked:
    """An allocation with its fund and deal; raises Refused: NOT_FOUND that names ``id``, or VERSION_CONFLICT."""
    found = await command.connection.fetchrow(
        "SELECT fund_id, deal_id FROM deal_allocations WHERE organization_id = $1 AND id = $2",
        command.organization_id,
        allocation_id,
    )
    if found is None:
        raise not_found("id", NOUN)
    fund = await rows.lock(command, "funds", found["fund_id"], field="id", noun="fund")
    deal = await rows.lock(command, "deals", found["deal_id"], field="id", noun="deal")
    allocation = await rows.lock(
        command, "deal_allocations", allocation_id, field="id", noun=NOUN, expected_version=expected_version
    )
    return Locked(fund, deal, allocation, await called_of(command, allocation_id))


async def called_of(command: Command, allocation_id: int) -> Called:
    """What the calls of a locked allocation come to."""
    row = await command.connection.fetchrow(
        """
        SELECT count(*) AS count, coalesce(sum(amount_cents), 0) AS called, coalesce(sum(paid_cents), 0) AS paid
        FROM capital_calls WHERE organization_id = $1 AND allocation_id = $2
        """,
        command.organization_id,
        allocation_id,
    )
    return Called(row["count"], int(row["called"]), int(row["paid"]))
