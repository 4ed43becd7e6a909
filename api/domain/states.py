"""The states of deal allocations and of capital calls: a table of transitions each, and what payments make of them.

docs/state-machines.md shows both; ``tranche state-machines`` writes it from here.
"""

from collections.abc import Mapping, Set
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

from api.errors import ErrorCode, Problem, Refused


class AllocationStatus(StrEnum):
    """What has become of a deal allocation."""

    PENDING_APPROVAL = "PENDING_APPROVAL"
    COMMITTED = "COMMITTED"
    UNFUNDED = "UNFUNDED"
    PARTIALLY_PAID = "PARTIALLY_PAID"
    FUNDED = "FUNDED"
    WRITTEN_OFF = "WRITTEN_OFF"
    REJECTED = "REJECTED"


class CallStatus(StrEnum):
    """What has become of a capital call."""

    SCHEDULED = "SCHEDULED"
    CALLED = "CALLED"
    PARTIALLY_PAID = "PARTIALLY_PAID"
    OVERDUE = "OVERDUE"
    PAID = "PAID"
    DEFAULTED = "DEFAULTED"


S = TypeVar("S", bound=StrEnum)


@dataclass(frozen=True)
class StateMachine(Generic[S]):
    """What may follow what. ``descriptions`` says in words what each state means."""

    noun: str
    initial: tuple[S, ...]
    transitions: Mapping[S, Set[S]]
    descriptions: Mapping[S, str]

    def allows(self, before: S, after: S) -> bool:
        """True where ``after`` may follow ``before``. Nothing follows itself."""
        return after in self.transitions[before]

    def check(self, before: S, after: S) -> None:
        """Raises Refused (INVALID_TRANSITION) where ``after`` may not follow ``before``."""
        if self.allows(before, after):
            return
        following = ", ".join(state for state in self.transitions if self.allows(before, state)) or "nothing"
        message = f"A {self.noun} that is {before} does not become {after}."
        raise Refused([Problem(ErrorCode.INVALID_TRANSITION, message, ("status",), expected=following, actual=after)])


ALLOCATION = StateMachine(
    noun="deal allocation",
    initial=(AllocationStatus.COMMITTED, AllocationStatus.PENDING_APPROVAL),
    transitions={
        AllocationStatus.PENDING_APPROVAL: {AllocationStatus.COMMITTED, AllocationStatus.REJECTED},
        AllocationStatus.COMMITTED: {
            AllocationStatus.FUNDED,
            AllocationStatus.UNFUNDED,
            AllocationStatus.PARTIALLY_PAID,
            AllocationStatus.WRITTEN_OFF,
        },
        AllocationStatus.UNFUNDED: {
            AllocationStatus.COMMITTED,
            AllocationStatus.FUNDED,
            AllocationStatus.PARTIALLY_PAID,
            AllocationStatus.WRITTEN_OFF,
        },
        AllocationStatus.PARTIALLY_PAID: {AllocationStatus.FUNDED, AllocationStatus.WRITTEN_OFF},
        AllocationStatus.FUNDED: {AllocationStatus.PARTIALLY_PAID, AllocationStatus.WRITTEN_OFF},
        AllocationStatus.WRITTEN_OFF: frozenset(),
        AllocationStatus.REJECTED: frozenset(),
    },
    descriptions={
        AllocationStatus.PENDING_APPROVAL: "Waits for an administrator other than its author.",
        AllocationStatus.COMMITTED: "The fund has committed the amount.",
        AllocationStatus.UNFUNDED: "Committed, and known not to have been paid.",
        AllocationStatus.PARTIALLY_PAID: "Part of the amount has been paid.",
        AllocationStatus.FUNDED: "All of the amount has been paid.",
        AllocationStatus.WRITTEN_OFF: "Lost. Final.",
        AllocationStatus.REJECTED: "Not approved. Final; fund and deal are free for another one.",
    },
)

CAPITAL_CALL = StateMachine(
    noun="capital call",
    initial=(CallStatus.CALLED, CallStatus.SCHEDULED),
    transitions={
        CallStatus.SCHEDULED: {CallStatus.CALLED, CallStatus.PAID},
        CallStatus.CALLED: {
            CallStatus.PARTIALLY_PAID,
            CallStatus.PAID,
            CallStatus.OVERDUE,
            CallStatus.DEFAULTED,
        },
        CallStatus.PARTIALLY_PAID: {CallStatus.PAID, CallStatus.OVERDUE, CallStatus.DEFAULTED},
        CallStatus.OVERDUE: {CallStatus.PARTIALLY_PAID, CallStatus.PAID, CallStatus.DEFAULTED},
        CallStatus.PAID: frozenset(),
        CallStatus.DEFAULTED: frozenset(),
    },
    descriptions={
        CallStatus.SCHEDULED: "Planned, and not called yet.",
        CallStatus.CALLED: "Called, and nothing has been paid.",
        CallStatus.PARTIALLY_PAID: "Part of it has been paid.",
        CallStatus.OVERDUE: "Not paid in full when due date and days of grace had passed.",
        CallStatus.PAID: "Paid in full. Final.",
        CallStatus.DEFAULTED: "Given up. Final.",
    },
)

TAKES_CALLS = frozenset(
    {
        AllocationStatus.COMMITTED,
        AllocationStatus.UNFUNDED,
        AllocationStatus.PARTIALLY_PAID,
        AllocationStatus.FUNDED,
    }
)
"""The allocations that money can be called against."""


def allocation_status(present: AllocationStatus, *, committed_cents: int, paid_cents: int) -> AllocationStatus:
    """The status of an allocation of ``committed_cents`` for which ``paid_cents`` have been paid in all.

    Whatever is paid decides; while nothing is, and for what is final, the present status stays.
    """
    if paid_cents == 0 or not ALLOCATION.transitions[present]:
        return present
    return AllocationStatus.FUNDED if paid_cents >= committed_cents else AllocationStatus.PARTIALLY_PAID


def call_status(*, amount_cents: int, paid_cents: int) -> CallStatus:
    """The status of a call of ``amount_cents`` right after a payment, with ``paid_cents`` > 0 paid in all."""
    return CallStatus.PAID if paid_cents >= amount_cents else CallStatus.PARTIALLY_PAID
