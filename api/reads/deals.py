"""What the calls of an allocation come to."""

from dataclasses import dataclass

from api.reads.declarations import BatchSelect


@dataclass(frozen=True)
class AllocationSums:
    """In cents: what is committed (0 while an approval is missing), what of it was called, what of that was paid."""

    committed_cents: int
    called_cents: int
    paid_cents: int


ALLOCATION_SUMS = BatchSelect(
    lambda _arguments: (
        """
    SELECT ROW(CASE WHEN allocation.status IN ('PENDING_APPROVAL', 'REJECTED') THEN 0 ELSE allocation.amount_cents END,
      calls.called, calls.paid)
    FROM deal_allocations AS allocation
    CROSS JOIN LATERAL (
      SELECT coalesce(sum(amount_cents) FILTER (WHERE status <> 'SCHEDULED'), 0)::bigint AS called,
        coalesce(sum(paid_cents), 0)::bigint AS paid
      FROM capital_calls AS call WHERE call.organization_id = {organization} AND call.allocation_id = {key}
    ) AS calls
    WHERE allocation.organization_id = {organization} AND allocation.id = {key}
    """
    ),
    lambda rows: AllocationSums(*rows[0]),
)
"""The sums of an allocation: calls never come to more than its amount, so all of them are within 64 bits."""
