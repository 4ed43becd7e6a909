"""Whatever is done to committed money in whatever order, the database agrees with a model and no sum is broken."""

import os
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from api.domain.access import Role
from api.domain.business_rules import DEFAULT_BUSINESS_RULES
from api.reads import global_ids
from api.reads.kept import KeptAnswers
from api.services.deal_allocations import Written, create_deal_allocation
from api.services.deal_decisions import (
    approve_deal_allocation,
    change_deal_allocation_status,
    reject_deal_allocation,
)
from tests.services.calls import DAY
from tests.services.money_model import ModelAllocation, ModelCall, fund_sums
from tests.services.money_world import World, opened_world

RUNS = int(os.environ.get("TRANCHE_MONEY_RUNS", "30"))
STEPS = 30
ALLOCATIONS_MAX = 3
WHICH = st.integers(0, 11)
SELDOM = st.integers(0, 9).map(lambda number: number == 9)
LEAST = DEFAULT_BUSINESS_RULES.allocation_min_cents
THRESHOLD = DEFAULT_BUSINESS_RULES.approval_above_cents
NO_CALLS = [(None, None, None, None)]
STATUSES = ["SCHEDULED", "CALLED", "PARTIALLY_PAID", "PAID", "OVERDUE", "DEFAULTED"]
RECOUNT = """
SELECT allocation.id AS allocation_id, allocation.status AS allocation_status, allocation.amount_cents AS committed,
  call.id, call.status, call.amount_cents, call.paid_cents, call.version,
  (SELECT coalesce(sum(payment.amount_cents), 0)::bigint FROM capital_call_payments AS payment
    WHERE payment.capital_call_id = call.id) AS received,
  (SELECT count(*) FROM audit_events AS event WHERE event.subject_type = 'CapitalCall'
    AND event.subject_id = call.id::text AND event.action NOT LIKE 'capital_call.due_in%') AS changes
FROM deal_allocations AS allocation LEFT JOIN capital_calls AS call ON call.allocation_id = allocation.id
WHERE allocation.fund_id = $1 ORDER BY allocation.id, call.id
"""

SHOWN = """
query ($id: ID!, $asOf: Date) {
  fund(id: $id) {
    allocations { nodes { id calledCents paidCents uncalledCents unpaidCents } }
    metrics(asOf: $asOf) {
      committedCents calledCents paidCents uncalledCents unpaidCents overdueCents distributedCents
      weights { weight }
    }
  }
}
"""


@pytest.fixture
def world(database_url: str, state_directory: Path) -> Iterator[World]:
    with opened_world(database_url, state_directory) as world:
        yield world


class MoneyMachine(RuleBasedStateMachine):
    """One fund's allocations, with all that can be done to them. Ids are the database's."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        self.calls = world.calls
        self.calls.today = DAY
        self.fund_id, _ = world.do(self.calls.fund())
        self.model: dict[int, ModelAllocation] = {}
        self.kept = KeptAnswers()

    @initialize(amount=st.integers(LEAST, 2 * LEAST))
    def begin(self, amount: int) -> None:
        """Without a call to begin with, many runs would never come to have one."""
        self.allocated(amount)
        self.called(min(self.model), amount // 3, self.calls.today + timedelta(days=30), is_scheduled=False)

    @precondition(lambda self: len(self.model) < ALLOCATIONS_MAX)
    @rule(amount=st.integers(LEAST, 2 * LEAST) | st.sampled_from([THRESHOLD, THRESHOLD + 1]))
    def allocate(self, amount: int) -> None:
        self.allocated(amount)

    def allocated(self, amount: int) -> None:
        deal_id, _ = self.world.do(self.calls.deal())
        given = {"fund_id": self.fund_id, "deal_id": deal_id, "amount_cents": amount, "security_type": "EQUITY"}
        written, code = self.world.as_member(
            Role.EDITOR, "createDealAllocation", create_deal_allocation, Written, today=DAY, **given
        )
        assert code is None
        self.model[written.allocation_id] = ModelAllocation(amount, is_pending=amount > THRESHOLD)

    @rule(which=WHICH, is_approved=st.booleans(), is_meant=SELDOM)
    def decide(self, which: int, is_approved: bool, is_meant: bool) -> None:
        allocation_id, model = self.allocation(which)
        if not (is_meant or model.is_pending):
            return
        mutation, decide, type_ = (
            ("approveDealAllocation", approve_deal_allocation, Written)
            if is_approved
            else ("rejectDealAllocation", reject_deal_allocation, int)
        )
        given = {"allocation_id": allocation_id, "expected_version": self.version("deal_allocations", allocation_id)}
        _, code = self.world.as_member(Role.ADMIN, mutation, decide, type_, **given)
        assert code == (None if model.is_pending else "INVALID_TRANSITION")
        if code is None:
            model.is_pending, model.is_rejected = False, not is_approved

    @rule(which=WHICH, is_meant=SELDOM)
    def write_off(self, which: int, is_meant: bool) -> None:
        if not is_meant:
            return
        allocation_id, model = self.allocation(which)
        given = {"allocation_id": allocation_id, "expected_version": self.version("deal_allocations", allocation_id)}
        mutation = "changeDealAllocationStatus"
        _, code = self.world.as_member(
            Role.EDITOR, mutation, change_deal_allocation_status, int, status="WRITTEN_OFF", **given
        )
        assert (code is None) is (model.refusal() is None)
        model.is_written_off |= code is None

    @rule(
        which=WHICH,
        share=st.integers(0, 5) | st.integers(-1, 12),
        due_in=st.integers(0, 40),
        is_scheduled=SELDOM,
    )
    def call(self, which: int, share: int, due_in: int, is_scheduled: bool) -> None:
        """Calls so many tenths of the commitment."""
        allocation_id, model = self.allocation(which)
        self.called(allocation_id, share * model.amount // 10, self.calls.today + timedelta(days=due_in), is_scheduled)

    def called(self, allocation_id: int, amount: int, due_on: date, is_scheduled: bool) -> None:
        model = self.model[allocation_id]
        status = "SCHEDULED" if is_scheduled else None
        call_id, code = self.world.do(self.calls.call(allocation_id, amount, due_on=due_on, status=status))
        assert code == model.refusal_of_call(amount)
        if code is None:
            model.calls[call_id] = ModelCall(amount, due_on, is_scheduled)

    @rule(which=WHICH, tenths=st.integers(1, 9) | st.integers(0, 11))
    def pay_part(self, which: int, tenths: int) -> None:
        """Pays so many tenths of the call."""
        allocation_id, call_id, call = self.made(which)
        self.paid(allocation_id, call_id, tenths * call.amount // 10)

    @rule(which=WHICH)
    def pay_rest(self, which: int) -> None:
        allocation_id, call_id, call = self.made(which)
        self.paid(allocation_id, call_id, call.amount - call.paid)

    def paid(self, allocation_id: int, call_id: int, amount: int) -> None:
        allocation = self.model[allocation_id]
        call = allocation.calls[call_id]
        _, code = self.world.do(self.calls.pay(call_id, amount))
        assert code == (allocation.refusal() or call.refusal_of_payment(amount))
        if code is None:
            call.pay(amount)

    @rule(which=WHICH, status=st.sampled_from(STATUSES))
    def change_status(self, which: int, status: str) -> None:
        allocation_id, call_id, call = self.made(which)
        _, code = self.world.do(self.calls.change(call_id, status))
        refusal = call.refusal_of_status(status, self.calls.today)
        assert code == (refusal or (self.model[allocation_id].refusal() if status == "CALLED" else None))
        if code is None:
            call.give_status(status)

    @rule(which=WHICH, amount=st.integers(0, 100))
    def distribute(self, which: int, amount: int) -> None:
        allocation_id, model = self.allocation(which)
        _, code = self.world.do(self.calls.distribute(allocation_id, amount))
        if amount == 0:
            assert code == "INVALID_INPUT"
        else:
            assert code == (None if model.is_written_off else model.refusal())
        if code is None:
            model.distributions.append(amount)

    @rule(days=st.integers(0, 20))
    def pass_time(self, days: int) -> None:
        self.world.do(self.calls.check(after=days))
        for allocation in self.model.values():
            for call in allocation.calls.values():
                call.look_at(self.calls.today)

    @invariant()
    def database_agrees_with_the_model(self) -> None:
        rows, _ = self.world.do(self.calls.owner.fetch(RECOUNT, self.fund_id))
        expected: set[tuple[Any, ...]] = set()
        for allocation_id, one in self.model.items():
            calls: list[tuple[Any, ...]] = [
                (key, call.status, call.amount, call.paid) for key, call in one.calls.items()
            ]
            expected |= {(allocation_id, one.status, one.amount, *call) for call in calls or NO_CALLS}
        assert {tuple(row)[:7] for row in rows} == expected
        for row in rows:
            # What was received is what is kept as paid, and each change of a call has raised its version.
            assert row["id"] is None or (row["received"], row["changes"]) == (row["paid_cents"], row["version"])

    @invariant()
    def no_sum_is_broken(self) -> None:
        for one in self.model.values():
            assert one.called <= one.amount
            assert all(call.paid <= call.amount for call in one.calls.values())

    @invariant()
    def what_is_kept_is_what_is_worked_out_anew(self) -> None:
        self.world.compare(self.kept, self.fund_id, [DAY, DAY + timedelta(days=30)])

    def teardown(self) -> None:
        self.look()

    @rule()
    def look(self) -> None:
        """What clients are shown of the fund is what the model comes to, and never what it came to before."""
        fund_id = global_ids.encode("Fund", self.fund_id)
        answer, _ = self.world.do(self.world.server.execute(SHOWN, {"id": fund_id, "asOf": str(self.calls.today)}))
        shown = {node.pop("id"): node for node in answer.data["fund"]["allocations"]["nodes"]}
        assert shown == {
            global_ids.encode("DealAllocation", allocation_id): {name: str(cents) for name, cents in one.sums.items()}
            for allocation_id, one in self.model.items()
        }
        metrics = answer.data["fund"]["metrics"]
        weights = [Decimal(one["weight"]) for one in metrics.pop("weights")]
        assert sum(weights) == (1 if weights else 0)
        sums = fund_sums(self.model.values(), self.calls.today)
        assert metrics == {name: str(cents) for name, cents in sums.items()}

    def allocation(self, which: int) -> tuple[int, ModelAllocation]:
        """One of the allocations."""
        return list(self.model.items())[which % len(self.model)]

    def made(self, which: int) -> tuple[int, int, ModelCall]:
        """One of the calls, with the id of its allocation before its own."""
        made = [(key, *call) for key, one in self.model.items() for call in one.calls.items()]
        return made[which % len(made)]

    def version(self, table: str, row_id: int) -> int:
        found, _ = self.world.do(self.calls.owner.fetchval(f"SELECT version FROM {table} WHERE id = $1", row_id))
        return int(found)


def test_no_order_of_operations_breaks_a_sum(world: World) -> None:
    run_state_machine_as_test(
        partial(MoneyMachine, world),  # type: ignore[arg-type]
        settings=settings(
            max_examples=RUNS,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
