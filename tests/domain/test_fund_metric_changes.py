"""Effects of writes: as they are told, as they are written down and read again, and what metrics they make."""

from array import array
from dataclasses import replace
from datetime import date, timedelta

import pytest

from api.domain.fund_metric_changes import (
    CallBefore,
    Effect,
    Effects,
    Measure,
    brought_up,
    of_allocation,
    of_approval,
    of_call,
    of_distribution,
    of_payment,
    of_rejection,
    of_status,
    read_between,
    written,
)
from api.domain.fund_metrics import WEIGHTS_MAX, FundMetrics, WeighedAllocations
from api.domain.irr import flows_of
from api.domain.states import AllocationStatus, CallStatus

DAY = date(2026, 3, 1)
NONE = FundMetrics(DAY, None, 0, 0, 0, 0, 0, 0, flows_of([]), None, WeighedAllocations([], []))


def days(number: int) -> date:
    return DAY + timedelta(days=number)


def call(status: CallStatus = CallStatus.CALLED, paid_cents: int = 0) -> CallBefore:
    return CallBefore(status, 100, paid_cents, days(10), days(20))


def sums(effects: Effects | None, day: date) -> tuple[int, int, int]:
    """What is called, overdue and paid on a day."""
    assert effects is not None
    found = brought_up(replace(NONE, as_of=day), effects)
    return found.called_cents, found.overdue_cents, found.paid_cents


def test_call_counts_from_its_day_and_is_overdue_after_the_days_of_grace() -> None:
    effects = of_call(CallStatus.CALLED, 100, days(10), days(20))
    found = [sums(effects, days(number)) for number in (9, 10, 27, 28)]
    assert found == [(0, 0, 0), (100, 0, 0), (100, 0, 0), (100, 100, 0)]
    assert of_call(CallStatus.SCHEDULED, 100, days(10), days(20)) == []
    assert of_status(CallStatus.SCHEDULED, CallStatus.CALLED, 100, days(10), days(20)) == effects


def test_status_alone_makes_nothing_overdue_and_what_is_given_up_is_not_told() -> None:
    assert of_status(CallStatus.CALLED, CallStatus.OVERDUE, 100, days(10), days(20)) == []
    assert of_status(CallStatus.OVERDUE, CallStatus.DEFAULTED, 100, days(10), days(20)) is None


def test_payment_takes_from_what_is_overdue() -> None:
    in_time, late = of_payment(call(), 60, days(15)), of_payment(call(paid_cents=1), 60, days(40))
    assert [sums(in_time, days(number)) for number in (14, 15, 28)] == [(0, 0, 0), (0, 0, 60), (0, -60, 60)]
    assert [sums(late, days(number)) for number in (28, 39, 40)] == [(0, 0, 0), (0, 0, 0), (0, -60, 60)]


def test_first_payment_before_the_day_of_the_call_has_it_count_from_then() -> None:
    effects = of_payment(call(), 60, days(5))
    assert [sums(effects, days(number)) for number in (4, 5, 10)] == [(0, 0, 0), (100, 0, 60), (0, 0, 60)]
    # Of a second one the day of the first would have to be known.
    assert of_payment(call(paid_cents=1), 60, days(9)) is None
    assert of_payment(call(paid_cents=1), 60, days(10)) is not None


def test_paying_a_scheduled_call_calls_it() -> None:
    early = of_payment(call(CallStatus.SCHEDULED), 100, days(5))
    late = of_payment(call(CallStatus.SCHEDULED), 100, days(30))
    assert [sums(early, days(number)) for number in (4, 5, 28)] == [(0, 0, 0), (100, 0, 100), (100, 0, 100)]
    assert [sums(late, days(number)) for number in (9, 10, 28, 30)] == [
        (0, 0, 0),
        (100, 0, 0),
        (100, 100, 0),
        (100, 0, 100),
    ]


def test_allocation_that_waits_is_live_and_has_no_weight() -> None:
    waiting = brought_up(NONE, of_allocation(7, AllocationStatus.PENDING_APPROVAL, 5, DAY))
    assert (waiting.committed_cents, waiting.live_cents, waiting.weighed.ids) == (0, 5, [])
    approved = brought_up(waiting, of_approval(7, 5, DAY))
    assert approved == brought_up(NONE, of_allocation(7, AllocationStatus.COMMITTED, 5, DAY))
    assert (approved.committed_cents, approved.live_cents, list(approved.weighed.ids)) == (5, 5, [7])
    assert brought_up(waiting, of_rejection(5, DAY)) == NONE


def test_weights_are_in_the_order_of_the_ids_and_no_more_than_are_looked_at() -> None:
    many = WeighedAllocations(array("q", range(2, 2 * WEIGHTS_MAX + 3, 2)), array("q", [1] * (WEIGHTS_MAX + 1)))
    metrics = replace(NONE, weighed=many)
    found = brought_up(metrics, of_approval(3, 9, DAY)).weighed
    assert (len(found.ids), list(found.ids[:3]), list(found.cents[:3])) == (WEIGHTS_MAX + 1, [2, 3, 4], [1, 9, 1])
    assert (len(many.ids), many.ids[1]) == (WEIGHTS_MAX + 1, 4)
    # Nothing is copied where nothing changes.
    assert brought_up(metrics, of_distribution(1, DAY)).weighed is many


def test_flows_of_a_day_are_one_and_none_where_they_are_worth_nothing() -> None:
    paid = of_payment(call(paid_cents=1), 60, days(10))
    assert paid is not None
    one = brought_up(replace(NONE, as_of=days(10)), paid)
    assert (one.flows.days, one.flows.cents) == ([days(10)], [-60])
    more = brought_up(one, [*of_distribution(50, days(10)), *of_distribution(1, days(9))])
    assert (more.flows.days, more.flows.cents) == ([days(9), days(10)], [1, -10])
    none = brought_up(more, of_distribution(10, days(10)))
    assert (none.flows.days, none.flows.cents) == ([days(9)], [1])
    assert (none.paid_cents, none.distributed_cents, one.flows.cents) == (60, 61, [-60])


def test_what_is_written_is_read_again() -> None:
    first = [Effect(Measure.PAID, DAY, 2**63 - 1), Effect(Measure.OVERDUE, days(3), -5)]
    second = [Effect(Measure.WEIGHED, DAY, 5, 17)]
    lines = f"\n8 {written(first)}\n9 {written(second)}"
    assert read_between(lines, 7, 9) == [*first, *second]
    assert read_between(lines, 8, 9) == second
    assert read_between(lines, 7, 8) == first


@pytest.mark.parametrize(
    ("lines", "after", "until"),
    [
        ("", 0, 1),
        ("\n8 live 2026-01-01 1", 6, 8),
        # A version without a line: made by somebody who does not tell.
        ("\n8 live 2026-01-01 1\n10 live 2026-01-01 1", 7, 10),
        ("\n8 live 2026-01-01 1\n9 live 2026-01-01 1", 8, 10),
        # Whatever is before the first line's end has lost its beginning.
        ("18 live 2026-01-01 1\n19 live 2026-01-01 1", 17, 19),
    ],
)
def test_nothing_is_made_of_versions_that_are_not_told(lines: str, after: int, until: int) -> None:
    assert read_between(lines, after, until) is None
