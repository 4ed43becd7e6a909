"""Both state machines against the sentences that define them, pair by pair, and what payments make of an allocation."""

from typing import Any

import pytest

from api.domain import state_diagrams
from api.domain.states import (
    ALLOCATION,
    CAPITAL_CALL,
    TAKES_CALLS,
    AllocationStatus,
    CallStatus,
    StateMachine,
    allocation_status,
    call_status,
)
from api.errors import ErrorCode, Refused

ALLOCATION_SENTENCES = """
PENDING_APPROVAL -> COMMITTED REJECTED
COMMITTED -> FUNDED UNFUNDED PARTIALLY_PAID WRITTEN_OFF
UNFUNDED -> COMMITTED FUNDED PARTIALLY_PAID WRITTEN_OFF
PARTIALLY_PAID -> FUNDED WRITTEN_OFF
FUNDED -> PARTIALLY_PAID WRITTEN_OFF
"""
CALL_SENTENCES = """
SCHEDULED -> CALLED PAID
CALLED -> PARTIALLY_PAID PAID OVERDUE DEFAULTED
PARTIALLY_PAID -> PAID OVERDUE DEFAULTED
OVERDUE -> PARTIALLY_PAID PAID DEFAULTED
"""


def pairs(sentences: str) -> set[tuple[str, str]]:
    """All (before, after) that the sentences allow."""
    lines = [line.split(" -> ") for line in sentences.strip().splitlines()]
    return {(before, after) for before, following in lines for after in following.split()}


@pytest.mark.parametrize(
    ("machine", "states", "sentences"),
    [(ALLOCATION, AllocationStatus, ALLOCATION_SENTENCES), (CAPITAL_CALL, CallStatus, CALL_SENTENCES)],
)
def test_machine_allows_what_is_written_and_nothing_else(
    machine: StateMachine[Any], states: type[Any], sentences: str
) -> None:
    written = pairs(sentences)
    for before in states:
        for after in states:
            if (before, after) in written:
                machine.check(before, after)
                continue
            with pytest.raises(Refused) as refused:
                machine.check(before, after)
            problem = refused.value.problems[0]
            assert (problem.code, problem.field, problem.actual) == (
                ErrorCode.INVALID_TRANSITION,
                ("status",),
                after.value,
            )
            following = set((problem.expected or "").split(", ")) - {"nothing"}
            assert following == {one for first, one in written if first == before}


@pytest.mark.parametrize("machine", [ALLOCATION, CAPITAL_CALL])
def test_diagram_has_an_arrow_for_each_transition(machine: StateMachine[Any]) -> None:
    page = state_diagrams.page()
    for before, following in machine.transitions.items():
        for after in following or ["[*]"]:
            assert f"    {before} --> {after}\n" in page
    assert set(machine.descriptions) == set(machine.transitions)


@pytest.mark.parametrize(
    ("present", "paid_cents", "expected"),
    [
        (AllocationStatus.COMMITTED, 0, AllocationStatus.COMMITTED),
        (AllocationStatus.UNFUNDED, 0, AllocationStatus.UNFUNDED),
        (AllocationStatus.COMMITTED, 1, AllocationStatus.PARTIALLY_PAID),
        (AllocationStatus.UNFUNDED, 99, AllocationStatus.PARTIALLY_PAID),
        (AllocationStatus.PARTIALLY_PAID, 100, AllocationStatus.FUNDED),
        (AllocationStatus.FUNDED, 99, AllocationStatus.PARTIALLY_PAID),
        (AllocationStatus.FUNDED, 101, AllocationStatus.FUNDED),
        (AllocationStatus.WRITTEN_OFF, 100, AllocationStatus.WRITTEN_OFF),
    ],
)
def test_what_is_paid_decides_the_status_of_an_allocation(
    present: AllocationStatus, paid_cents: int, expected: AllocationStatus
) -> None:
    assert allocation_status(present, committed_cents=100, paid_cents=paid_cents) is expected


def test_what_is_paid_decides_the_status_of_a_call() -> None:
    assert call_status(amount_cents=100, paid_cents=99) is CallStatus.PARTIALLY_PAID
    assert call_status(amount_cents=100, paid_cents=100) is CallStatus.PAID


def test_money_is_called_against_what_is_committed_and_not_lost() -> None:
    left_out = {AllocationStatus.PENDING_APPROVAL, AllocationStatus.REJECTED, AllocationStatus.WRITTEN_OFF}
    assert set(AllocationStatus) - TAKES_CALLS == left_out
