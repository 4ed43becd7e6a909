"""Allocations of a fund with calls, payments and distributions, written as rows, and their metrics counted slowly."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import asyncpg

from api.domain.capital_calls import overdue_on
from api.domain.irr import Valuation, flows_of, irr

Row = dict[str, Any]


@dataclass
class Commitments:
    """The rows of a fund, each a dictionary with an id of its own."""

    allocations: list[Row] = field(default_factory=list)
    calls: list[Row] = field(default_factory=list)
    payments: list[Row] = field(default_factory=list)
    distributions: list[Row] = field(default_factory=list)
    companies: list[Row] = field(default_factory=list)

    def recount(self, size_cents: int | None, as_of: date, *, is_past: bool) -> dict[str, Any]:
        """The metrics but weights, row by row; nothing tells what companies were worth in the past."""
        committed = [one for one in self.allocations if one["allocated_on"] <= as_of and one["status"] != "REJECTED"]
        live = sum(one["amount_cents"] for one in committed)
        total = sum(one["amount_cents"] for one in committed if one["status"] != "PENDING_APPROVAL")
        called = overdue = 0
        for call in self.calls:
            paid = sum(
                one["amount_cents"]
                for one in self.payments
                if one["capital_call_id"] == call["id"] and one["paid_on"] <= as_of
            )
            if call["status"] == "SCHEDULED" or not (call["called_on"] <= as_of or paid):
                continue
            called += call["amount_cents"]
            if as_of >= overdue_on(call["due_on"]) and call["status"] != "DEFAULTED":
                overdue += call["amount_cents"] - paid
        payments = [(one["paid_on"], -one["amount_cents"]) for one in self.payments if one["paid_on"] <= as_of]
        back = [(one["distributed_on"], one["amount_cents"]) for one in self.distributions]
        back = [(day, cents) for day, cents in back if day <= as_of]
        paid, distributed = -sum(cents for _, cents in payments), sum(cents for _, cents in back)
        nav = sum(one["current_valuation_cents"] for one in self.companies if one["status"] == "ACTIVE")
        rate = irr(flows_of(payments + back), None if is_past else Valuation(as_of, nav), as_of)
        value = sum(one["current_valuation_cents"] + one["realized_cents"] for one in self.companies)
        invested = sum(one["invested_cents"] for one in self.companies)
        worth = {
            "navCents": str(nav),
            "rvpi": _ratio(nav, paid),
            "tvpi": _ratio(distributed + nav, paid),
            "moic": _ratio(value, invested),
        }
        return {
            **(dict.fromkeys(worth) if is_past else worth),
            "committedCents": str(total),
            "calledCents": str(called),
            "paidCents": str(paid),
            "uncalledCents": str(total - called),
            "unpaidCents": str(called - paid),
            "overdueCents": str(overdue),
            "distributedCents": str(distributed),
            "collectionRate": _ratio(paid, called),
            "utilization": _ratio(live, size_cents),
            "dpi": _ratio(distributed, paid),
            "grossIrr": None if rate.value is None else _text(rate.value),
            "grossIrrReason": rate.reason and rate.reason.value,
        }


SELECTED = (
    "asOf committedCents calledCents paidCents uncalledCents unpaidCents overdueCents distributedCents navCents"
    " collectionRate utilization dpi rvpi tvpi moic grossIrr grossIrrReason"
)


def _ratio(numerator: int, denominator: int | None) -> str | None:
    return _text(round(Decimal(numerator) / denominator, 6)) if denominator else None


def _text(value: Decimal) -> str:
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def random_commitments(random: Random, first: date, *, allocations: int = 12) -> Commitments:
    """Allocations in all statuses, with calls in all statuses, from ``first`` on for some two years."""
    made = Commitments()

    def day(since: date, days_max: int) -> date:
        return since + timedelta(days=random.randint(0, days_max))

    for number in range(allocations):
        status = random.choice(["COMMITTED", "PARTIALLY_PAID", "FUNDED", "WRITTEN_OFF", "REJECTED", "PENDING_APPROVAL"])
        allocated = Row(id=number, status=status, amount_cents=random.randint(1, 10**9), allocated_on=day(first, 300))
        made.allocations.append(allocated)
        if status in ("REJECTED", "PENDING_APPROVAL"):
            continue
        for _ in range(random.randint(0, 4)):
            _call(made, random, allocated)
        if random.random() < 0.5:
            made.distributions.append(
                Row(id=len(made.distributions), allocation_id=number, amount_cents=random.randint(1, 10**8))
                | {"distributed_on": day(first + timedelta(days=200), 500)}
            )
    for number in range(random.randint(0, 4)):
        made.companies.append(
            Row(id=number, status=random.choice(["ACTIVE", "EXITED", "WRITTEN_OFF"]), invested_cents=number * 10**6)
            | {"current_valuation_cents": random.randint(0, 10**8), "realized_cents": random.randint(0, 10**7)}
        )
    return made


def _call(made: Commitments, random: Random, allocation: Row) -> None:
    called_on = allocation["allocated_on"] + timedelta(days=random.randint(0, 400))
    amount = random.randint(1, allocation["amount_cents"])
    call = Row(id=len(made.calls), allocation_id=allocation["id"], amount_cents=amount, called_on=called_on)
    call |= {"due_on": called_on + timedelta(days=random.randint(0, 60)), "paid_cents": 0, "next_check_on": None}
    call["status"] = random.choice(["SCHEDULED", "OVERDUE", "DEFAULTED", "CALLED", "PAID", "PAID", "PARTIALLY_PAID"])
    made.calls.append(call)
    left = amount if call["status"] == "PAID" else random.randint(0, amount - 1)
    if call["status"] in ("CALLED", "SCHEDULED"):
        left = 0
    if call["status"] in ("CALLED", "PARTIALLY_PAID"):
        call["next_check_on"] = call["due_on"]
    while left:
        part = random.randint(1, left)
        left -= part
        call["paid_cents"] += part
        # Some come before the call's own date.
        paid_on = called_on + timedelta(days=random.randint(-20, 200))
        made.payments.append(Row(id=len(made.payments), capital_call_id=call["id"], amount_cents=part, paid_on=paid_on))


async def insert(owner: asyncpg.Connection, organization_id: int, fund_id: int, made: Commitments) -> dict[int, int]:
    """Writes the rows, as their owner; returns the allocations' ids by those in ``made``."""
    ids: dict[str, dict[int, int]] = {}

    async def put(table: str, rows: Sequence[Row], points_at: Mapping[str, str], **more: Any) -> None:
        ids[table] = {}
        for row in rows:
            values = {name: value for name, value in row.items() if name != "id"} | more
            values |= {column: ids[target][row[column]] for column, target in points_at.items()}
            values |= {"organization_id": organization_id}
            listed = ", ".join(f"${number}" for number in range(1, len(values) + 1))
            sql = f"INSERT INTO {table} ({', '.join(values)}) VALUES ({listed}) RETURNING id"
            ids[table][row["id"]] = await owner.fetchval(sql, *values.values())

    deals = [Row(id=one["id"], name=f"Deal {one['id']} of {fund_id}") for one in made.allocations]
    await put("deals", deals, {})
    user_id = await owner.fetchval("SELECT min(user_id) FROM memberships WHERE organization_id = $1", organization_id)
    allocations = [
        one | {"deal_id": one["id"], "security_type": "EQUITY"} | _decision(one["status"], user_id)
        for one in made.allocations
    ]
    await put("deal_allocations", allocations, {"deal_id": "deals"}, fund_id=fund_id)
    await put("capital_calls", made.calls, {"allocation_id": "deal_allocations"}, fund_id=fund_id)
    await put("capital_call_payments", made.payments, {"capital_call_id": "capital_calls"}, fund_id=fund_id)
    back = [one | {"distribution_type": "DIVIDEND"} for one in made.distributions]
    await put("distributions", back, {"allocation_id": "deal_allocations"}, fund_id=fund_id)
    companies = [one | {"name": f"Company {one['id']}"} for one in made.companies]
    await put("portfolio_companies", companies, {}, fund_id=fund_id)
    return ids["deal_allocations"]


_DECIDED = datetime(2024, 1, 1, tzinfo=UTC)


def _decision(status: str, user_id: int) -> Row:
    """The approval that goes with an allocation's status."""
    if status == "PENDING_APPROVAL":
        return Row(approval="PENDING", decided_by_id=None, decided_at=None)
    if status == "REJECTED":
        return Row(approval="REJECTED", decided_by_id=user_id, decided_at=_DECIDED)
    return Row(approval=None, decided_by_id=None, decided_at=None)
