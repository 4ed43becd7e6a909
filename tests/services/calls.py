"""Allocations put straight into the database, and calls against them by the services, as those of an organization."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import count
from typing import Any, TypeVar

import asyncpg
from pydantic import TypeAdapter

from api.db.pools import Database
from api.domain.access import Principal, Role
from api.services.capital_calls import change_capital_call_status, create_capital_call
from api.services.commands import Command, Writer
from api.services.distributions import record_distribution
from api.services.due_calls import check_due_calls
from api.services.payments import Paid, record_capital_call_payment

T = TypeVar("T")
DAY = date(2025, 6, 30)
"""Today, unless a test says so."""
_NUMBERS = count(1)


@dataclass
class Calls:
    """The calls of an organization, and what a day makes of them. ``today`` is what the clock says."""

    owner: asyncpg.Connection
    database: Database
    organization_id: int
    today: date = DAY
    writer: Writer = field(init=False)

    def __post_init__(self) -> None:
        self.writer = Writer(self.database)

    async def fund(self) -> int:
        """The id of a new fund of unknown size."""
        statement = "INSERT INTO funds (organization_id, name, currency) VALUES ($1, $2, 'USD') RETURNING id"
        fund_id: int = await self.owner.fetchval(statement, self.organization_id, f"Fund of calls {next(_NUMBERS)}")
        return fund_id

    async def deal(self) -> int:
        """The id of a new deal."""
        statement = "INSERT INTO deals (organization_id, name) VALUES ($1, $2) RETURNING id"
        deal_id: int = await self.owner.fetchval(statement, self.organization_id, f"Deal {next(_NUMBERS)}")
        return deal_id

    async def allocate(self, amount_cents: int = 1000, *, status: str = "COMMITTED") -> int:
        """An allocation of a fund and a deal of its own; returns its id."""
        allocation_id: int = await self.owner.fetchval(
            """
            INSERT INTO deal_allocations (organization_id, fund_id, deal_id, amount_cents, security_type, status,
              allocated_on, approval, decided_by_id, decided_at)
            SELECT $1, $2, $3, $4, 'EQUITY', $5::text, '2025-01-01',
              CASE $5::text WHEN 'PENDING_APPROVAL' THEN 'PENDING' WHEN 'REJECTED' THEN 'REJECTED' END,
              CASE $5::text WHEN 'REJECTED' THEN user_id END, CASE $5::text WHEN 'REJECTED' THEN now() END
            FROM memberships WHERE organization_id = $1 LIMIT 1 RETURNING id
            """,
            self.organization_id,
            await self.fund(),
            await self.deal(),
            amount_cents,
            status,
        )
        return allocation_id

    async def run(
        self,
        mutation: str,
        work: Callable[[Command], Awaitable[T]],
        result_type: type[T],
        principal: Principal | None = None,
    ) -> T:
        """What a command makes, the system's unless somebody else's; raises Refused."""
        principal = principal or Principal(self.organization_id, None, Role.EDITOR)
        return (await self.writer.run(principal, mutation, work, result_type=TypeAdapter(result_type))).result

    async def call(self, allocation_id: int, amount_cents: int | None = None, **values: Any) -> int:
        given = {"allocation_id": allocation_id, "amount_cents": amount_cents, "today": self.today, **values}
        return await self.run("createCapitalCall", lambda command: create_capital_call(command, **given), int)

    async def pay(self, call_id: int, amount_cents: int, **values: Any) -> Paid:
        given = {"call_id": call_id, "amount_cents": amount_cents, "today": self.today, **values}
        mutation = "recordCapitalCallPayment"
        return await self.run(mutation, lambda command: record_capital_call_payment(command, **given), Paid)

    async def change(self, call_id: int, status: str, *, version: int | None = None) -> int:
        given: dict[str, Any] = {
            "call_id": call_id,
            "status": status,
            "expected_version": version or (await self.row(call_id))["version"],
            "today": self.today,
        }
        return await self.run(
            "changeCapitalCallStatus", lambda command: change_capital_call_status(command, **given), int
        )

    async def distribute(self, allocation_id: int, amount_cents: int, **values: Any) -> int:
        values = {"distribution_type": "DIVIDEND", **values}
        given = {"allocation_id": allocation_id, "amount_cents": amount_cents, "today": self.today, **values}
        return await self.run("recordDistribution", lambda command: record_distribution(command, **given), int)

    async def check(self, after: int = 0) -> None:
        """What a worker does when it looks, so many days later."""
        self.today += timedelta(days=after)
        await check_due_calls(self.database, self.writer, lambda: self.today)

    async def row(self, call_id: int) -> asyncpg.Record:
        return await self.owner.fetchrow("SELECT * FROM capital_calls WHERE id = $1", call_id)

    async def status(self, call_id: int) -> str:
        status: str = (await self.row(call_id))["status"]
        return status

    async def allocation(self, allocation_id: int) -> asyncpg.Record:
        return await self.owner.fetchrow("SELECT * FROM deal_allocations WHERE id = $1", allocation_id)

    async def told(self, call_id: int) -> list[str]:
        """What the log says of a call, in order."""
        rows = await self.owner.fetch(
            "SELECT action FROM audit_events WHERE subject_type = 'CapitalCall' AND subject_id = $1 ORDER BY sequence",
            str(call_id),
        )
        return [row["action"].removeprefix("capital_call.") for row in rows]
