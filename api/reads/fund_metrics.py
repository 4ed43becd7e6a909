"""The metrics of funds at a date, with one statement for all funds that are asked for, kept by the funds' versions.

Sums of the past are made of dates: what was allocated, called, paid or distributed by then, with the statuses of today,
since those of then are not kept. ``fund_metrics_versions`` moves with everything that this statement reads, and holds
what the latest writes have changed of it, as ``domain.fund_metric_changes`` tells it.
"""

from array import array
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from api.domain.capital_calls import GRACE_DAYS
from api.domain.fund_metric_changes import brought_up, read_between
from api.domain.fund_metrics import WEIGHTS_MAX, CompanyTotals, FundMetrics, WeighedAllocations
from api.domain.irr import flows_of
from api.reads.declarations import BatchSelect, KeptSelect, Version

FLOW_DAYS_MAX = 100
"""Of so many days' flows a rate of return takes a tenth of a millisecond; where they go back and forth, a few."""

_LATE = f"call.due_on < {{as_of}} - {GRACE_DAYS} AND call.status NOT IN ('SCHEDULED', 'DEFAULTED')"

# A call that was paid something before its date counts as called by then, so that never more is paid than called; none
# is due before its date, by which such calls are found.
#
# The sum of a call's payments is on the call. So what is paid of late calls is read with them, and only what was paid
# after the date is looked for among the payments: today, that is nothing.
_SUMS = f"""
CROSS JOIN LATERAL (
  SELECT coalesce(sum(amount_cents) FILTER (WHERE status <> 'PENDING_APPROVAL'), 0) AS committed,
    coalesce(sum(amount_cents), 0) AS live
  FROM deal_allocations AS allocation
  WHERE allocation.organization_id = {{organization}} AND allocation.fund_id = fund.id
    AND allocation.status <> 'REJECTED' AND allocation.allocated_on <= {{as_of}}
) AS allocated
CROSS JOIN LATERAL (
  SELECT array_agg(weighed.id) AS ids, array_agg(weighed.amount_cents) AS cents
  FROM (
    SELECT id, amount_cents FROM deal_allocations AS allocation
    WHERE allocation.organization_id = {{organization}} AND allocation.fund_id = fund.id
      AND allocation.status NOT IN ('PENDING_APPROVAL', 'REJECTED', 'WRITTEN_OFF')
      AND allocation.allocated_on <= {{as_of}}
    ORDER BY id LIMIT {WEIGHTS_MAX + 1}
  ) AS weighed
) AS weighed
CROSS JOIN LATERAL (
  SELECT coalesce(sum(amount_cents) FILTER (WHERE called_on <= {{as_of}}), 0) AS cents,
    coalesce(sum(amount_cents - paid_cents) FILTER (WHERE {_LATE}), 0) AS late
  FROM capital_calls AS call
  WHERE call.organization_id = {{organization}} AND call.fund_id = fund.id AND call.status <> 'SCHEDULED'
) AS called
CROSS JOIN LATERAL (
  SELECT coalesce(sum(call.amount_cents), 0) AS cents
  FROM capital_calls AS call
  WHERE call.organization_id = {{organization}} AND call.fund_id = fund.id AND call.status <> 'SCHEDULED'
    AND call.called_on > {{as_of}} AND call.due_on > {{as_of}} AND EXISTS (
      SELECT 1 FROM capital_call_payments AS payment
      WHERE payment.organization_id = {{organization}} AND payment.capital_call_id = call.id
        AND payment.paid_on <= {{as_of}}
    )
) AS called_early
CROSS JOIN LATERAL (
  SELECT coalesce(sum(payment.amount_cents), 0) AS late
  FROM capital_call_payments AS payment
  JOIN capital_calls AS call ON call.organization_id = {{organization}} AND call.id = payment.capital_call_id
  WHERE payment.organization_id = {{organization}} AND payment.fund_id = fund.id AND payment.paid_on > {{as_of}}
    AND {_LATE}
) AS paid_later
CROSS JOIN LATERAL (
  SELECT array_agg(day.paid_on) AS days, array_agg(day.cents) AS cents
  FROM (
    SELECT paid_on, sum(amount_cents) AS cents FROM capital_call_payments AS payment
    WHERE payment.organization_id = {{organization}} AND payment.fund_id = fund.id AND payment.paid_on <= {{as_of}}
    GROUP BY paid_on
  ) AS day
) AS paid
CROSS JOIN LATERAL (
  SELECT array_agg(day.distributed_on) AS days, array_agg(day.cents) AS cents
  FROM (
    SELECT distributed_on, sum(amount_cents) AS cents FROM distributions AS distribution
    WHERE distribution.organization_id = {{organization}} AND distribution.fund_id = fund.id
      AND distribution.distributed_on <= {{as_of}}
    GROUP BY distributed_on
  ) AS day
) AS distributed
"""

_WORTH_TODAY = """
CROSS JOIN LATERAL (
  SELECT coalesce(sum(invested_cents), 0) AS invested, coalesce(sum(realized_cents), 0) AS realized,
    coalesce(sum(current_valuation_cents), 0) AS value,
    coalesce(sum(current_valuation_cents) FILTER (WHERE status = 'ACTIVE'), 0) AS active_value
  FROM portfolio_companies AS company WHERE company.organization_id = {organization} AND company.fund_id = fund.id
) AS worth
"""

_WORTH_THEN = """
LEFT JOIN LATERAL (
  SELECT (metrics #>> '{{totals,investedCents}}')::numeric AS invested,
    (metrics #>> '{{totals,realizedCents}}')::numeric AS realized,
    (metrics #>> '{{totals,currentValuationCents}}')::numeric AS value,
    (SELECT coalesce(sum((company ->> 'currentValuationCents')::numeric), 0)
      FROM jsonb_array_elements(metrics -> 'companies') AS company WHERE company ->> 'status' = 'ACTIVE'
    ) AS active_value
  FROM forecast_snapshots AS snapshot
  WHERE snapshot.organization_id = {organization} AND snapshot.fund_id = fund.id AND snapshot.status = 'COMPLETE'
    AND snapshot.snapshot_at < ({as_of} + 1)::timestamp AT TIME ZONE 'UTC'
  ORDER BY snapshot.snapshot_at DESC, snapshot.id DESC LIMIT 1
) AS worth ON true
"""
"""The companies as the latest complete snapshot of the date or before has them; what they were is kept nowhere else."""

_VERSION = """
SELECT ROW(version, changes) FROM fund_metrics_versions AS held
WHERE held.organization_id = {organization} AND held.fund_id = {key}
"""


def _version(rows: Sequence[Sequence[Any]]) -> Version:
    return Version(*rows[0]) if rows else Version(0)


def _sql(arguments: Mapping[str, Any]) -> str:
    worth = _WORTH_THEN if arguments["is_past"] else _WORTH_TODAY
    return f"""
    SELECT fund.id, coalesce(held.version, 0), fund.size_cents, allocated.committed, allocated.live,
      called.cents + called_early.cents, called.late + paid_later.late,
      paid.days, paid.cents, distributed.days, distributed.cents,
      worth.invested, worth.realized, worth.value, worth.active_value, weighed.ids, weighed.cents
    FROM funds AS fund
    LEFT JOIN fund_metrics_versions AS held
      ON held.organization_id = {{organization}} AND held.fund_id = fund.id
    {_SUMS} {worth}
    WHERE fund.organization_id = {{organization}} AND fund.id = ANY ({{keys}})
    """


def _metrics(record: Sequence[Any], arguments: Mapping[str, Any]) -> FundMetrics:
    """The metrics in a record, after its id and version."""
    _, _, size, committed, live, called, overdue, paid_on, paid, distributed_on, distributed, *others = record
    *worth, ids, cents = others
    given_back = [*zip(distributed_on or (), map(int, distributed or ()), strict=True)]
    paid_in = [*zip(paid_on or (), map(int, paid or ()), strict=True)]
    metrics = FundMetrics(
        as_of=arguments["as_of"],
        size_cents=size,
        committed_cents=int(committed),
        live_cents=int(live),
        called_cents=int(called),
        overdue_cents=int(overdue),
        paid_cents=sum(cents for _, cents in paid_in),
        distributed_cents=sum(cents for _, cents in given_back),
        flows=flows_of([*given_back, *((day, -cents) for day, cents in paid_in)]),
        companies=None if worth[0] is None else CompanyTotals(*map(int, worth)),
        weighed=WeighedAllocations(array("q", ids or ()), array("q", cents or ())),
    )
    # Worked out here, once; of thousands of days that takes some milliseconds.
    _ = metrics.irr
    return metrics


def _bytes(metrics: FundMetrics) -> int:
    """What an answer takes of memory, by estimate: figures, 150 bytes for each day, 16 for each weight."""
    return 4_000 + 150 * len(metrics.flows.days) + 16 * len(metrics.weighed.ids)


def _brought_up(metrics: FundMetrics, number: int, version: Version) -> FundMetrics | None:
    effects = read_between(version.changes, number, version.number)
    return None if effects is None else brought_up(metrics, effects)


def _finish(metrics: FundMetrics) -> Callable[[], object] | None:
    """The rate of return of more than some days, which may take longer than others should wait."""
    return (lambda: metrics.irr) if len(metrics.flows.days) > FLOW_DAYS_MAX else None


FUND_METRICS = KeptSelect(
    "fund_metrics",
    BatchSelect(lambda _arguments: _VERSION, _version),
    _sql,
    _metrics,
    {"as_of": "date"},
    _bytes,
    _brought_up,
    _finish,
)
"""The metrics of a fund at ``as_of``; ``is_past`` says whether that is before today."""
