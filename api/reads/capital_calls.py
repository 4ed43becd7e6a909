"""The payments of a capital call."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from api.reads.declarations import BatchSelect


@dataclass(frozen=True, slots=True)
class Payment:
    """Money received for a call, in cents."""

    id: int
    amount_cents: int
    paid_on: date
    payment_type: str
    created_at: datetime


def _payments(rows: Sequence[Sequence[Any]]) -> list[Payment]:
    return [Payment(*row) for row in rows]


CALL_PAYMENTS = BatchSelect(
    lambda _arguments: (
        """
    SELECT ROW(payment.id, payment.amount_cents, payment.paid_on, payment.payment_type, payment.created_at)
    FROM capital_call_payments AS payment
    WHERE payment.organization_id = {organization} AND payment.capital_call_id = {key}
    ORDER BY payment.id
    """
    ),
    _payments,
)
"""The payments of a call, in the order in which they were recorded."""
