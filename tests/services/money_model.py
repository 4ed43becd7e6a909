"""What becomes of committed money, in plain Python: slow, and as obvious as it can be."""

from dataclasses import dataclass, field
from datetime import date, timedelta

GRACE = timedelta(days=7)


@dataclass
class ModelCall:
    """A call as the list of what happened to it."""

    amount: int
    due_on: date
    is_scheduled: bool
    payments: list[int] = field(default_factory=list)
    is_overdue: bool = False
    is_defaulted: bool = False

    @property
    def paid(self) -> int:
        return sum(self.payments)

    @property
    def status(self) -> str:
        if self.is_defaulted:
            return "DEFAULTED"
        if self.paid == self.amount:
            return "PAID"
        if self.is_overdue:
            return "OVERDUE"
        if self.payments:
            return "PARTIALLY_PAID"
        return "SCHEDULED" if self.is_scheduled else "CALLED"

    def refusal_of_payment(self, amount: int) -> str | None:
        """The code with which a payment is refused."""
        if amount <= 0:
            return "INVALID_INPUT"
        if self.paid + amount > self.amount:
            return "OVERPAYMENT"
        if self.is_defaulted or (self.status == "SCHEDULED" and amount < self.amount):
            return "INVALID_TRANSITION"
        return None

    def pay(self, amount: int) -> None:
        self.payments.append(amount)
        self.is_overdue = self.is_scheduled = False

    def refusal_of_status(self, status: str, today: date) -> str | None:
        """The code with which a status is refused that somebody wants to give to it."""
        if status == "CALLED" and self.status == "SCHEDULED":
            return None
        if status == "DEFAULTED" and self.status in ("CALLED", "PARTIALLY_PAID", "OVERDUE"):
            return None
        if status == "OVERDUE" and self.status in ("CALLED", "PARTIALLY_PAID") and today > self.due_on + GRACE:
            return None
        return "INVALID_TRANSITION"

    def give_status(self, status: str) -> None:
        self.is_scheduled = False
        self.is_defaulted |= status == "DEFAULTED"
        self.is_overdue = status == "OVERDUE"

    def look_at(self, today: date) -> None:
        """What a worker makes of it."""
        if self.status in ("CALLED", "PARTIALLY_PAID") and today > self.due_on + GRACE:
            self.is_overdue = True


@dataclass
class ModelAllocation:
    """An allocation with its calls."""

    amount: int
    is_pending: bool
    is_rejected: bool = False
    is_written_off: bool = False
    calls: dict[int, ModelCall] = field(default_factory=dict)
    distributions: list[int] = field(default_factory=list)

    @property
    def called(self) -> int:
        return sum(call.amount for call in self.calls.values())

    @property
    def paid(self) -> int:
        return sum(call.paid for call in self.calls.values())

    @property
    def status(self) -> str:
        if self.is_pending:
            return "PENDING_APPROVAL"
        if self.is_rejected:
            return "REJECTED"
        if self.is_written_off:
            return "WRITTEN_OFF"
        if self.paid >= self.amount:
            return "FUNDED"
        return "PARTIALLY_PAID" if self.paid else "COMMITTED"

    @property
    def sums(self) -> dict[str, int]:
        """What it comes to, as the fields of an allocation show it."""
        committed = 0 if self.is_pending or self.is_rejected else self.amount
        called = sum(call.amount for call in self.calls.values() if call.status != "SCHEDULED")
        return {
            "calledCents": called,
            "paidCents": self.paid,
            "uncalledCents": committed - called,
            "unpaidCents": called - self.paid,
        }

    def refusal(self) -> str | None:
        """The code with which it is refused to call against it, or to pay for that."""
        if self.is_pending:
            return "APPROVAL_REQUIRED"
        return "INVALID_TRANSITION" if self.is_rejected or self.is_written_off else None

    def refusal_of_call(self, amount: int) -> str | None:
        """The code with which a call of this amount is refused."""
        if amount <= 0:
            return "INVALID_INPUT"
        return self.refusal() or ("LIMIT_EXCEEDED" if self.called + amount > self.amount else None)
