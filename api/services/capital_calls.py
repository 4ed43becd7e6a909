"""Calling money against a deal allocation, and changing the status of a call.

Who writes locks the allocation first and the call second, so that sums over an allocation's calls hold still.
"""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

import asyncpg

from api.domain.capital_calls import (
    CallChange,
    amount_of,
    check_allocated,
    check_asked,
    check_called,
    check_due,
    due_on_default,
    next_check_on,
    overdue_on,
)
from api.domain.fund_metric_changes import of_call, of_status
from api.domain.states import CAPITAL_CALL, TAKES_CALLS, AllocationStatus, CallStatus
from api.errors import ErrorCode, Problem, Refused, invalid, not_found, version_conflict
from api.services import rows
from api.services.audit import Subject
from api.services.checks import check_day, check_text
from api.services.commands import Command
from api.services.deal_allocations import called_of
from api.services.due_calls import OVERDUE, REMINDERS
from api.services.fund_versions import touch

REASON_LENGTH_MAX = 1000
CREATED, STATUS_CHANGED, PAID = "capital_call.created", "capital_call.status_changed", "capital_call.paid"
CHANGES = {
    CREATED: CallChange.CREATED,
    STATUS_CHANGED: CallChange.STATUS_CHANGED,
    PAID: CallChange.PAYMENT,
    OVERDUE: CallChange.OVERDUE,
    **dict.fromkeys(REMINDERS, CallChange.REMINDER),
}
"""All that the log says of a call itself, by the name of the action."""


async def create_capital_call(
    command: Command,
    *,
    today: date,
    allocation_id: int,
    amount_cents: int | None = None,
    percentage: Decimal | None = None,
    called_on: date | None = None,
    due_on: date | None = None,
    status: str | None = None,
) -> int:
    """Calls an amount in cents, or a fraction of what is committed, and returns the id of the call.

    CALLED ``today`` (UTC) and due 30 days after that unless given; SCHEDULED ones count as much towards what is
    committed. Raises Refused: NOT_FOUND, INVALID_INPUT, APPROVAL_REQUIRED, INVALID_TRANSITION for an allocation that
    takes no calls, LIMIT_EXCEEDED with what is committed and what all calls would come to.
    """
    begun = CallStatus(status or CallStatus.CALLED)
    called_on = called_on or today
    due_on = due_on or due_on_default(called_on)
    problems = [
        *check_day("called_on", called_on, today),
        *check_due(called_on, due_on),
        *_check_begun(begun),
        *check_asked(amount_cents, percentage),
    ]
    if problems:
        raise Refused(problems)
    allocation = await lock_allocation(command, allocation_id)
    check_takes_calls(allocation)
    committed_cents: int = allocation["amount_cents"]
    amount = amount_of(amount_cents, percentage, committed_cents=committed_cents)
    called = await called_of(command, allocation_id)
    field = "amount_cents" if percentage is None else "percentage"
    problems = [
        *check_allocated("called_on", called_on, allocation["allocated_on"]),
        *check_called(field, amount, called_cents=called.called_cents, committed_cents=committed_cents),
    ]
    if problems:
        raise Refused(problems)
    values: dict[str, object] = {
        "fund_id": allocation["fund_id"],
        "allocation_id": allocation_id,
        "amount_cents": amount,
        "percentage": percentage,
        "called_on": called_on,
        "due_on": due_on,
        "status": begun.value,
    }
    check_on = check_on_while(begun, due_on, today)
    row = await rows.insert(command, "capital_calls", values | {"next_check_on": check_on})
    if row is None:
        raise AssertionError("an insert without ON CONFLICT returns its row")
    record(command, CREATED, row, before=None, after=values)
    await touch(command, allocation["fund_id"], of_call(begun, amount, called_on, due_on))
    call_id: int = row["id"]
    return call_id


async def change_capital_call_status(
    command: Command, *, today: date, call_id: int, expected_version: int, status: str, reason: str | None = None
) -> int:
    """Gives a call another status and returns its id.

    PARTIALLY_PAID and PAID are what payments make of a call, so they cannot be given; OVERDUE only to one that is.
    Raises Refused: NOT_FOUND, VERSION_CONFLICT, INVALID_INPUT, INVALID_TRANSITION.
    """
    problems = check_text("reason", reason, REASON_LENGTH_MAX)
    if problems:
        raise Refused(problems)
    allocation, call = await lock_call(command, call_id, field="id")
    if call["version"] != expected_version:
        raise version_conflict(expected_version, call["version"])
    before, after = CallStatus(call["status"]), CallStatus(status)
    CAPITAL_CALL.check(before, after)
    if after is CallStatus.CALLED:
        check_takes_calls(allocation, "id")
    _check_is_true(call, after, today)
    values = {"status": after.value, "next_check_on": check_on_while(after, call["due_on"], today)}
    row = await rows.update(command, "capital_calls", call_id, expected_version, values, noun="capital call")
    told = {"status": after.value, "fund_id": call["fund_id"], "reason": reason}
    record(command, STATUS_CHANGED, row, before={"status": before.value}, after=told)
    effects = of_status(before, after, call["amount_cents"], call["called_on"], call["due_on"])
    await touch(command, call["fund_id"], effects)
    return call_id


async def lock_allocation(command: Command, allocation_id: int) -> asyncpg.Record:
    """An allocation, which nobody else changes until the commit; raises Refused (NOT_FOUND)."""
    return await rows.lock(command, "deal_allocations", allocation_id, field="allocation_id", noun="deal allocation")


async def lock_call(command: Command, call_id: int, *, field: str) -> tuple[asyncpg.Record, asyncpg.Record]:
    """A call's allocation and the call, which nobody else changes until the commit; raises Refused (NOT_FOUND)."""
    allocation_id = await command.connection.fetchval(
        "SELECT allocation_id FROM capital_calls WHERE organization_id = $1 AND id = $2",
        command.organization_id,
        call_id,
    )
    if allocation_id is None:
        raise not_found(field, "capital call")
    allocation = await lock_allocation(command, allocation_id)
    return allocation, await rows.lock(command, "capital_calls", call_id, field=field, noun="capital call")


def check_approved(allocation: Mapping[str, Any], field: str) -> None:
    """Raises Refused (APPROVAL_REQUIRED) where the allocation waits for its approval."""
    if allocation["status"] == AllocationStatus.PENDING_APPROVAL:
        message = "The allocation has to be approved first."
        raise Refused([Problem(ErrorCode.APPROVAL_REQUIRED, message, (field,), actual=allocation["status"])])


def check_takes_calls(allocation: Mapping[str, Any], field: str = "allocation_id") -> None:
    """Raises Refused where money can neither be called nor paid: APPROVAL_REQUIRED or INVALID_TRANSITION."""
    check_approved(allocation, field)
    status = AllocationStatus(allocation["status"])
    if status not in TAKES_CALLS:
        message = f"An allocation that is {status} takes neither calls nor payments."
        expected = ", ".join(sorted(TAKES_CALLS))
        raise Refused([Problem(ErrorCode.INVALID_TRANSITION, message, (field,), expected=expected, actual=status)])


def check_on_while(status: CallStatus, due_on: date, today: date) -> date | None:
    """When a worker has to look at a call of this status next; None where there is nothing to wait for."""
    return next_check_on(due_on, today) if status in (CallStatus.CALLED, CallStatus.PARTIALLY_PAID) else None


def record(
    command: Command,
    action: str,
    row: asyncpg.Record,
    *,
    before: Mapping[str, object] | None,
    after: Mapping[str, object],
) -> None:
    """Records what has become of a call, whose row is as the commit leaves it."""
    subject = Subject("CapitalCall", row["id"])
    rows_left = {("CapitalCall", row["id"]): row}
    command.record(action, subject, before=before, after=after, rows=lambda _appended: rows_left)


def _check_begun(status: CallStatus) -> list[Problem]:
    if status not in CAPITAL_CALL.initial:
        expected = ", ".join(CAPITAL_CALL.initial)
        return [invalid("status", "A call does not begin like this.", expected=expected, actual=status)]
    return []


def _check_is_true(call: Mapping[str, Any], status: CallStatus, today: date) -> None:
    """Raises Refused (INVALID_TRANSITION) for a status that only payments or time give, and that they have not."""
    if status in (CallStatus.PARTIALLY_PAID, CallStatus.PAID):
        message = f"A capital call that is {call['status']} becomes {status} by payments alone; record them."
        expected, actual = str(call["amount_cents"]), str(call["paid_cents"])
    elif status is CallStatus.OVERDUE and today < overdue_on(call["due_on"]):
        message = f"A capital call that is {call['status']} becomes OVERDUE when its days of grace have passed."
        expected, actual = f"{overdue_on(call['due_on'])} or later", str(today)
    else:
        return
    raise Refused([Problem(ErrorCode.INVALID_TRANSITION, message, ("status",), expected=expected, actual=actual)])
