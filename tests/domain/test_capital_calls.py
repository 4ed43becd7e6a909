"""Days and amounts of capital calls, at their bounds and against day-by-day models."""

from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.domain.capital_calls import (
    amount_of,
    check_called,
    check_due,
    check_payment,
    check_received,
    due_on_default,
    next_check_on,
    overdue_on,
    reminder_on,
)
from api.errors import ErrorCode, Problem

DUE = date(2025, 3, 31)
DAYS = st.dates(date(1900, 1, 1), date(2200, 1, 1))


def after(days: int) -> date:
    return DUE + timedelta(days=days)


def codes(problems: list[Problem]) -> list[ErrorCode]:
    return [problem.code for problem in problems]


def test_call_is_due_thirty_days_later_and_overdue_after_seven_days_of_grace() -> None:
    assert due_on_default(date(2024, 1, 31)) == date(2024, 3, 1)
    assert overdue_on(DUE) == date(2025, 4, 8)


@pytest.mark.parametrize(
    ("percentage", "committed", "expected"),
    [("0.3", 75_000_000, 22_500_000), ("0.5", 5, 3), ("0.333333", 100, 33), ("0.000001", 499_999, 0), ("1", 7, 7)],
)
def test_percentage_is_rounded_to_the_nearest_cent(percentage: str, committed: int, expected: int) -> None:
    assert amount_of(None, Decimal(percentage), committed_cents=committed) == expected


@pytest.mark.parametrize(
    ("since", "expected"),
    [(-30, -7), (-7, -7), (-6, -3), (-3, -3), (-2, -1), (-1, -1), (0, 8), (8, 8), (300, 8)],
)
def test_next_check_is_the_next_reminder_or_else_the_first_day_overdue(since: int, expected: int) -> None:
    assert next_check_on(DUE, after(since)) == after(expected)


def test_reminders_come_seven_three_and_one_days_before() -> None:
    reminded = {days: reminder_on(DUE, after(-days)) for days in range(-10, 20)}
    assert {days: found for days, found in reminded.items() if found is not None} == {7: 7, 3: 3, 1: 1}


@given(due=DAYS, before=st.integers(0, 60))
def test_going_from_check_to_check_finds_each_reminder_and_the_first_day_overdue(due: date, before: int) -> None:
    """Against looking on every single day."""
    start = due - timedelta(days=before)
    found, day = [], next_check_on(due, start)
    while day < overdue_on(due):
        found.append((day, reminder_on(due, day)))
        day = next_check_on(due, day + timedelta(days=1))
    every_day = [due - timedelta(days=days) for days in range(before, -8, -1)]
    assert found == [(one, (due - one).days) for one in every_day if (due - one).days in (7, 3, 1)]
    assert day == due + timedelta(days=8)


def test_call_is_due_on_its_own_day_up_to_ten_years_later() -> None:
    assert check_due(DUE, DUE) == check_due(DUE, after(3653)) == []
    for due_on in (after(-1), after(3654)):
        assert codes(check_due(DUE, due_on)) == [ErrorCode.INVALID_INPUT]


def test_calls_go_up_to_what_is_committed() -> None:
    assert check_called("amount_cents", 4, called_cents=6, committed_cents=10) == []
    (problem,) = check_called("percentage", 5, called_cents=6, committed_cents=10)
    assert (problem.code, problem.field) == (ErrorCode.LIMIT_EXCEEDED, ("percentage",))
    assert (problem.expected, problem.actual) == ("10", "11")


def test_payments_go_from_a_cent_up_to_what_is_outstanding() -> None:
    assert check_payment(1, outstanding_cents=10) == check_payment(10, outstanding_cents=10) == []
    (problem,) = check_payment(11, outstanding_cents=10)
    assert (problem.code, problem.expected, problem.actual) == (ErrorCode.OVERPAYMENT, "10", "11")
    for amount in (0, -1):
        assert codes(check_payment(amount, outstanding_cents=10)) == [ErrorCode.INVALID_INPUT]


def test_money_is_received_today_at_the_latest() -> None:
    assert check_received("paid_on", DUE, DUE) == []
    assert codes(check_received("paid_on", after(1), DUE)) == [ErrorCode.INVALID_INPUT]
