"""The tutorial's context: a session for one request, and a dataloader for every edge."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, func
from sqlalchemy.orm import aliased
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from strawberry.dataloader import DataLoader
from strawberry.fastapi import BaseContext

from api import tables


class Context(BaseContext):
    """What resolvers share within a request."""

    def __init__(self, session: AsyncSession, organization_id: int) -> None:
        super().__init__()
        self.session = session
        self.organization_id = organization_id
        self.funds: DataLoader[int, tables.Fund | None] = DataLoader(self._load_funds)
        self.users: DataLoader[int, tables.User | None] = DataLoader(self._load_users)
        self._lock = asyncio.Lock()
        self._pages: dict[tuple[Any, int], DataLoader[int, list[Any]]] = {}

    async def rows(self, statement: "Select[Any]") -> Sequence[Any]:
        """The rows of a statement; one at a time, since a session does no two things at once."""
        async with self._lock:
            return (await self.session.exec(statement)).all()  # type: ignore[call-overload, no-any-return]

    async def _load_funds(self, ids: list[int]) -> list[tables.Fund | None]:
        table = tables.Fund
        statement = select(table).where(table.organization_id == self.organization_id, col(table.id).in_(ids))
        found = {row.id: row for row in await self.rows(statement)}
        return [found.get(one) for one in ids]

    async def _load_users(self, ids: list[int]) -> list[tables.User | None]:
        found = {row.id: row for row in await self.rows(select(tables.User).where(col(tables.User.id).in_(ids)))}
        return [found.get(one) for one in ids]

    def page(
        self, table: type[Any], parent: str, order: Sequence[ColumnElement[Any]], first: int
    ) -> DataLoader[int, Any]:
        """A loader of each parent's ``first`` rows of a table, in an order."""
        key = (table, first)
        if key not in self._pages:

            async def load(ids: list[int]) -> list[list[Any]]:
                place = func.row_number().over(partition_by=getattr(table, parent), order_by=order).label("place")
                numbered = (
                    select(table, place)
                    .where(table.organization_id == self.organization_id, getattr(table, parent).in_(ids))
                    .subquery()
                )
                row = aliased(table, numbered)
                statement = select(row).where(numbered.c.place <= first).order_by(numbered.c.place)
                groups = defaultdict(list)
                for found in await self.rows(statement):
                    groups[getattr(found, parent)].append(found)
                return [groups[one] for one in ids]

            self._pages[key] = DataLoader(load)
        return self._pages[key]

    async def portfolio_totals(self, portfolio_id: int) -> Any:
        """The sums of the latest statements of a portfolio's holdings by today."""
        holding, statement = tables.Holding, tables.HoldingStatement
        latest = (
            select(statement)
            .where(
                statement.organization_id == self.organization_id,
                statement.holding_id == holding.id,
                statement.as_of <= datetime.now(UTC).date(),
            )
            .order_by(col(statement.as_of).desc())
            .limit(1)
            .lateral()
        )
        sums = [
            func.sum(latest.c[name]) for name in ("committed_cents", "paid_in_cents", "distributed_cents", "nav_cents")
        ]
        totals = (
            select(*sums)
            .select_from(holding)
            .outerjoin(latest, col(holding.id) == latest.c.holding_id)
            .where(holding.organization_id == self.organization_id, holding.portfolio_id == portfolio_id)
        )
        return (await self.rows(totals))[0]
