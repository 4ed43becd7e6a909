"""What a write changes about a fund's metrics, told as effects by which metrics that are known are brought up.

An effect adds cents to one measure for every date from a day on. What a write does is told with all its effects, or not
at all (None), as where it would take more rows to tell: then the metrics have to be worked out anew. Each function here
follows from what ``reads.fund_metrics`` sums.
"""

from array import array
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from enum import StrEnum
from typing import NamedTuple

from api.domain.capital_calls import overdue_on
from api.domain.fund_metrics import WEIGHTS_MAX, FundMetrics, WeighedAllocations
from api.domain.irr import Flows
from api.domain.states import AllocationStatus, CallStatus


class Measure(StrEnum):
    """What an effect adds to. PAID and DISTRIBUTED flow on their day; WEIGHED gives an allocation a weight."""

    COMMITTED = "committed"
    LIVE = "live"
    WEIGHED = "weighed"
    CALLED = "called"
    OVERDUE = "overdue"
    PAID = "paid"
    DISTRIBUTED = "distributed"


class Effect(NamedTuple):
    """``cents`` more, or less, of a measure on every date from ``since`` on; ``allocation_id`` for WEIGHED alone."""

    measure: Measure
    since: date
    cents: int
    allocation_id: int | None = None


Effects = Sequence[Effect]


def of_distribution(cents: int, distributed_on: date) -> Effects:
    """A distribution."""
    return [Effect(Measure.DISTRIBUTED, distributed_on, cents)]


def of_allocation(allocation_id: int, status: AllocationStatus, cents: int, allocated_on: date) -> Effects:
    """A new allocation, committed or waiting for approval."""
    live = Effect(Measure.LIVE, allocated_on, cents)
    waits = status is AllocationStatus.PENDING_APPROVAL
    return [live] if waits else [live, *of_approval(allocation_id, cents, allocated_on)]


def of_approval(allocation_id: int, cents: int, allocated_on: date) -> Effects:
    """An allocation that waited is committed."""
    return [
        Effect(Measure.COMMITTED, allocated_on, cents),
        Effect(Measure.WEIGHED, allocated_on, cents, allocation_id),
    ]


def of_rejection(cents: int, allocated_on: date) -> Effects:
    """An allocation that waited is rejected."""
    return [Effect(Measure.LIVE, allocated_on, -cents)]


def of_call(status: CallStatus, cents: int, called_on: date, due_on: date) -> Effects:
    """A new call; one that is scheduled counts for nothing."""
    return [] if status is CallStatus.SCHEDULED else _counted(cents, called_on, due_on)


def of_status(before: CallStatus, after: CallStatus, cents: int, called_on: date, due_on: date) -> Effects | None:
    """A call that was given another status. Being OVERDUE is not the status but the date; None for DEFAULTED."""
    if before is CallStatus.SCHEDULED:
        # Nothing was paid of it yet.
        return of_call(after, cents, called_on, due_on)
    return [] if after is CallStatus.OVERDUE else None


class CallBefore(NamedTuple):
    """A call as it was before a payment."""

    status: CallStatus
    amount_cents: int
    paid_cents: int
    called_on: date
    due_on: date


def of_payment(call: CallBefore, cents: int, paid_on: date) -> Effects | None:
    """A payment. None where it, and maybe an earlier one, came before the call's date: a call counts from the first."""
    paid = [
        Effect(Measure.PAID, paid_on, cents),
        Effect(Measure.OVERDUE, max(paid_on, overdue_on(call.due_on)), -cents),
    ]
    if call.status is CallStatus.SCHEDULED:
        # Paid in full, which calls it.
        return [*_counted(call.amount_cents, min(call.called_on, paid_on), call.due_on), *paid]
    if paid_on >= call.called_on:
        return paid
    if call.paid_cents:
        return None
    return [
        Effect(Measure.CALLED, paid_on, call.amount_cents),
        Effect(Measure.CALLED, call.called_on, -call.amount_cents),
        *paid,
    ]


def _counted(cents: int, counted_on: date, due_on: date) -> Effects:
    """A call that counts from a day on, before anything is paid of it."""
    return [Effect(Measure.CALLED, counted_on, cents), Effect(Measure.OVERDUE, overdue_on(due_on), cents)]


def brought_up(metrics: FundMetrics, effects: Effects) -> FundMetrics:
    """Metrics with effects added to them, as far as they concern their date; what does not change is shared."""
    added = dict.fromkeys(Measure, 0)
    flows: list[tuple[date, int]] = []
    weighed = metrics.weighed
    for measure, since, cents, allocation_id in effects:
        if since > metrics.as_of:
            continue
        added[measure] += cents
        if measure is Measure.PAID:
            flows.append((since, -cents))
        elif measure is Measure.DISTRIBUTED:
            flows.append((since, cents))
        elif allocation_id is not None:
            weighed = _weighing(weighed, allocation_id, cents)
    return replace(
        metrics,
        committed_cents=metrics.committed_cents + added[Measure.COMMITTED],
        live_cents=metrics.live_cents + added[Measure.LIVE],
        called_cents=metrics.called_cents + added[Measure.CALLED],
        overdue_cents=metrics.overdue_cents + added[Measure.OVERDUE],
        paid_cents=metrics.paid_cents + added[Measure.PAID],
        distributed_cents=metrics.distributed_cents + added[Measure.DISTRIBUTED],
        flows=_flowing(metrics.flows, flows),
        weighed=weighed,
    )


def _flowing(flows: Flows, more: Sequence[tuple[date, int]]) -> Flows:
    """Flows with some more of them; a day that then nets to 0 is left out."""
    if not more:
        return flows
    days, cents = list(flows.days), list(flows.cents)
    for day, amount in more:
        place = bisect_left(days, day)
        if place == len(days) or days[place] != day:
            days.insert(place, day)
            cents.insert(place, amount)
        elif cents[place] + amount:
            cents[place] += amount
        else:
            del days[place], cents[place]
    return Flows(days, cents)


def _weighing(weighed: WeighedAllocations, allocation_id: int, cents: int) -> WeighedAllocations:
    """Weighed allocations with one more of them, but never more than are ever looked at."""
    ids, amounts = array("q", weighed.ids), array("q", weighed.cents)
    place = bisect_left(ids, allocation_id)
    ids.insert(place, allocation_id)
    amounts.insert(place, cents)
    return WeighedAllocations(ids[: WEIGHTS_MAX + 1], amounts[: WEIGHTS_MAX + 1])


def written(effects: Effects) -> str:
    """Effects as text, without a line's end: see ``read_between``."""
    parts = ((measure, since.isoformat(), str(cents), *others) for measure, since, cents, *others in effects)
    return ";".join(" ".join(str(part) for part in one if part is not None) for one in parts)


def read_between(lines: str, after: int, until: int) -> list[Effect] | None:
    """The effects of all versions after one and until another, from lines that say each a version and its effects.

    None where one of these versions has no line. The first line may have lost its beginning, and is not read.
    """
    told = {}
    for line in lines.split("\n")[1:]:
        version, _, effects = line.partition(" ")
        told[int(version)] = effects
    wanted = range(after + 1, until + 1)
    if not all(version in told for version in wanted):
        return None
    return [_effect(part) for version in wanted for part in told[version].split(";")]


def _effect(text: str) -> Effect:
    measure, since, cents, *others = text.split(" ")
    return Effect(Measure(measure), date.fromisoformat(since), int(cents), *map(int, others))
