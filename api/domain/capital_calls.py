"""Capital calls: when they are due, when somebody is reminded of them, when they are overdue, and what a payment does.

All days are UTC days. Which status may follow which is in ``states``.
"""

from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum

from api.domain.money import Cents, share_of
from api.errors import ErrorCode, Problem, invalid

DUE_DAYS_DEFAULT = 30
"""How many days after the call its money is due, unless it says."""
DUE_DAYS_MAX = 3653
"""How many days after the call its money may be due: ten years; more is a slip of the pen."""
GRACE_DAYS = 7
"""How many days after the due date a call may be unpaid without being overdue."""
REMINDER_DAYS = (7, 3, 1)
"""So many days before the due date there is a reminder."""
PERCENTAGE_PLACES_MAX = 6
PAYMENTS_MAX = 1_000
"""How many payments one call takes."""
DISTRIBUTED_CENTS_MAX = Cents(2**62)
"""What all distributions of a fund may come to for one of ``LARGE_DISTRIBUTION_CENTS`` or more to be recorded."""
LARGE_DISTRIBUTION_CENTS = Cents(DISTRIBUTED_CENTS_MAX // 10_000_000)
"""Of smaller ones it would take ten million to fill the half of 64 bits that large ones leave."""


class PaymentKind(StrEnum):
    """How the money of a payment came."""

    WIRE = "WIRE"
    CHECK = "CHECK"
    ACH = "ACH"
    OTHER = "OTHER"


class DistributionKind(StrEnum):
    """What a distribution is made of."""

    DIVIDEND = "DIVIDEND"
    CAPITAL_GAIN = "CAPITAL_GAIN"
    RETURN_OF_CAPITAL = "RETURN_OF_CAPITAL"
    LIQUIDATION = "LIQUIDATION"
    OTHER = "OTHER"


class CallChange(StrEnum):
    """What those who follow capital calls are told of."""

    CREATED = "CREATED"
    STATUS_CHANGED = "STATUS_CHANGED"
    PAYMENT = "PAYMENT"
    OVERDUE = "OVERDUE"
    REMINDER = "REMINDER"


def due_on_default(called_on: date) -> date:
    """The day on which the money of a call is due that does not say so."""
    return called_on + timedelta(days=DUE_DAYS_DEFAULT)


def overdue_on(due_on: date) -> date:
    """The first day on which a call is overdue: the one after the last day of grace."""
    return due_on + timedelta(days=GRACE_DAYS + 1)


def next_check_on(due_on: date, since: date) -> date:
    """The first day from ``since`` on that brings a reminder or makes an unpaid call overdue.

    A day before ``since`` where the call has been overdue since then.
    """
    reminders = (due_on - timedelta(days=days) for days in REMINDER_DAYS)
    return min((day for day in reminders if day >= since), default=overdue_on(due_on))


def reminder_on(due_on: date, today: date) -> int | None:
    """How many days are left of which ``today`` brings a reminder; None where it brings none."""
    days = (due_on - today).days
    return days if days in REMINDER_DAYS else None


def check_due(called_on: date, due_on: date) -> list[Problem]:
    """Money is due on the day of the call or later, within ten years."""
    if not 0 <= (due_on - called_on).days <= DUE_DAYS_MAX:
        message = "A call is due on its day or later, within ten years."
        expected = f"0 to {DUE_DAYS_MAX} days after {called_on}"
        return [invalid("due_on", message, expected=expected, actual=str(due_on))]
    return []


def check_asked(amount_cents: int | None, percentage: Decimal | None) -> list[Problem]:
    """A call is of an amount above 0 or of a percentage, a fraction above 0 and up to 1, and not of both."""
    if (amount_cents is None) == (percentage is None):
        return [invalid("amount_cents", "Give an amount or a percentage.", expected="one of the two")]
    if amount_cents is not None and amount_cents <= 0:
        return [invalid("amount_cents", "A call is above 0.", expected="1 or more", actual=str(amount_cents))]
    # The range first: rounding a number of a hundred digits would raise.
    if percentage is not None and (not 0 < percentage <= 1 or percentage != round(percentage, PERCENTAGE_PLACES_MAX)):
        limit = f"above 0 and at most 1, with at most {PERCENTAGE_PLACES_MAX} decimals"
        return [invalid("percentage", f"A percentage is {limit}.", expected=limit, actual=format(percentage, "f"))]
    return []


def amount_of(amount_cents: int | None, percentage: Decimal | None, *, committed_cents: int) -> int:
    """The amount of a call in cents: as asked, or as a fraction of what is committed, to the nearest cent.

    Halves go up. It is 0 where the fraction comes to less than half a cent.
    """
    return amount_cents or 0 if percentage is None else share_of(committed_cents, percentage)


def check_called(field: str, amount_cents: int, *, called_cents: int, committed_cents: int) -> list[Problem]:
    """All calls of an allocation together, ``called_cents`` so far, stay within what is committed."""
    if amount_cents <= 0:
        return [invalid(field, "This comes to less than a cent.", expected="1 or more", actual=str(amount_cents))]
    total = called_cents + amount_cents
    if total > committed_cents:
        message = "All calls together would be more than is committed."
        code = ErrorCode.LIMIT_EXCEEDED
        return [Problem(code, message, (field,), expected=str(committed_cents), actual=str(total))]
    return []


def check_payment(amount_cents: int, *, outstanding_cents: int) -> list[Problem]:
    """A payment is above 0 and at most what is outstanding."""
    if amount_cents <= 0:
        return [invalid("amount_cents", "A payment is above 0.", expected="1 or more", actual=str(amount_cents))]
    if amount_cents > outstanding_cents:
        message = "This is more than is outstanding."
        expected, actual = str(outstanding_cents), str(amount_cents)
        return [Problem(ErrorCode.OVERPAYMENT, message, ("amount_cents",), expected=expected, actual=actual)]
    return []


def check_distributed(total_cents: int) -> list[Problem]:
    """All distributions of a fund together, of which one is a large one, stay where they can be shown."""
    if total_cents > DISTRIBUTED_CENTS_MAX:
        message = "All that came back to the fund would be more than can be shown."
        expected, actual = str(DISTRIBUTED_CENTS_MAX), str(total_cents)
        return [Problem(ErrorCode.LIMIT_EXCEEDED, message, ("amount_cents",), expected=expected, actual=actual)]
    return []


def check_allocated(field: str, day: date, allocated_on: date) -> list[Problem]:
    """Money is called for an allocation, paid and given back on its day or later."""
    if day < allocated_on:
        message = "This is before the day of the allocation."
        return [invalid(field, message, expected=f"at least {allocated_on}", actual=str(day))]
    return []


def check_received(field: str, day: date, today: date) -> list[Problem]:
    """Money is recorded when it has come: ``today`` (UTC) at the latest."""
    if day > today:
        return [invalid(field, "This is after today (UTC).", expected=f"at most {today}", actual=str(day))]
    return []
