"""The tutorial's GraphQL types, each made from a row."""

from datetime import date, datetime
from typing import Any, NewType, Self

import strawberry
from sqlalchemy import ColumnElement
from sqlmodel import col
from strawberry.types.scalar import ScalarDefinition

from api import tables
from bench.contestants.tutorial_loaders import Context

Info = strawberry.Info[Context, None]
Cents = NewType("Cents", int)
BigInt = NewType("BigInt", int)
SCALARS: dict[object, ScalarDefinition] = {
    Cents: strawberry.scalar(name="Cents", serialize=str, parse_value=int),
    BigInt: strawberry.scalar(name="BigInt", serialize=str, parse_value=int),
}


def cents(value: int | None) -> Cents | None:
    """An amount that may be missing."""
    return None if value is None else Cents(value)


@strawberry.type
class User:
    """A person."""

    email: str


@strawberry.type
class Company:
    """A company that a fund has invested in."""

    id: strawberry.ID
    name: str
    sector: str | None
    stage: str | None
    status: str
    invested_cents: Cents
    planned_reserves_cents: Cents

    @classmethod
    def from_row(cls, row: tables.PortfolioCompany) -> Self:
        """The company of a row."""
        return cls(
            id=strawberry.ID(str(row.id)),
            name=row.name,
            sector=row.sector,
            stage=row.stage,
            status=row.status,
            invested_cents=Cents(row.invested_cents),
            planned_reserves_cents=Cents(row.planned_reserves_cents),
        )


@strawberry.type
class Reallocation:
    """One change of a fund's reserves."""

    new_version: BigInt
    reason: str | None
    created_at: datetime
    user_id: strawberry.Private[int | None]

    @classmethod
    def from_row(cls, row: tables.Reallocation) -> Self:
        """The reallocation of a row."""
        return cls(
            new_version=BigInt(row.new_version), reason=row.reason, created_at=row.created_at, user_id=row.user_id
        )

    @strawberry.field
    async def actor(self, info: Info) -> User | None:
        """Who did it."""
        row = None if self.user_id is None else await info.context.users.load(self.user_id)
        return None if row is None else User(email=row.email)


@strawberry.type
class Companies:
    """A page of companies."""

    nodes: list[Company]


@strawberry.type
class Reallocations:
    """A page of reallocations."""

    nodes: list[Reallocation]


@strawberry.type
class Fund:
    """An investment vehicle."""

    id: strawberry.ID
    name: str
    strategy: str | None
    vintage_year: int | None
    size_cents: Cents | None
    status: str
    allocation_version: BigInt
    created_at: datetime

    @classmethod
    def from_row(cls, row: tables.Fund) -> Self:
        """The fund of a row."""
        return cls(
            id=strawberry.ID(str(row.id)),
            name=row.name,
            strategy=row.strategy,
            vintage_year=row.vintage_year,
            size_cents=cents(row.size_cents),
            status=row.status,
            allocation_version=BigInt(row.allocation_version),
            created_at=row.created_at,
        )

    @strawberry.field
    async def companies(self, info: Info, first: int = 20) -> Companies:
        """Its companies, by age."""
        table = tables.PortfolioCompany
        rows = await info.context.page(table, "fund_id", [col(table.id).asc()], first).load(int(self.id))
        return Companies(nodes=[Company.from_row(row) for row in rows])

    @strawberry.field
    async def reallocations(self, info: Info, first: int = 20) -> Reallocations:
        """Its history, newest first."""
        table = tables.Reallocation
        order: list[ColumnElement[Any]] = [col(table.created_at).desc(), col(table.id).desc()]
        rows = await info.context.page(table, "fund_id", order, first).load(int(self.id))
        return Reallocations(nodes=[Reallocation.from_row(row) for row in rows])


@strawberry.type
class Funds:
    """A page of funds."""

    nodes: list[Fund]


@strawberry.type
class Statement:
    """What was reported of a holding."""

    as_of: date
    paid_in_cents: Cents | None
    distributed_cents: Cents | None
    nav_cents: Cents | None

    @classmethod
    def from_row(cls, row: tables.HoldingStatement) -> Self:
        """The statement of a row."""
        return cls(
            as_of=row.as_of,
            paid_in_cents=cents(row.paid_in_cents),
            distributed_cents=cents(row.distributed_cents),
            nav_cents=cents(row.nav_cents),
        )


@strawberry.type
class Statements:
    """A page of statements."""

    nodes: list[Statement]


@strawberry.type
class Holding:
    """A position in a fund."""

    id: strawberry.ID
    commitment_cents: Cents | None
    status: str
    version: BigInt
    created_at: datetime
    updated_at: datetime
    fund_id: strawberry.Private[int]

    @classmethod
    def from_row(cls, row: tables.Holding) -> Self:
        """The holding of a row."""
        return cls(
            id=strawberry.ID(str(row.id)),
            commitment_cents=cents(row.commitment_cents),
            status=row.status,
            version=BigInt(row.version),
            created_at=row.created_at,
            updated_at=row.updated_at,
            fund_id=row.fund_id,
        )

    @strawberry.field
    async def fund(self, info: Info) -> Fund | None:
        """The fund."""
        row = await info.context.funds.load(self.fund_id)
        return None if row is None else Fund.from_row(row)

    @strawberry.field
    async def statements(self, info: Info, first: int = 20) -> Statements:
        """Its statements, newest first."""
        table = tables.HoldingStatement
        rows = await info.context.page(table, "holding_id", [col(table.as_of).desc()], first).load(int(self.id))
        return Statements(nodes=[Statement.from_row(row) for row in rows])


@strawberry.type
class Holdings:
    """A page of holdings."""

    nodes: list[Holding]


@strawberry.type
class Totals:
    """Totals of a portfolio."""

    committed_cents: Cents | None
    paid_in_cents: Cents | None
    distributed_cents: Cents | None
    nav_cents: Cents | None


@strawberry.type
class Portfolio:
    """A portfolio of holdings."""

    id: strawberry.ID
    name: str

    @classmethod
    def from_row(cls, row: tables.Portfolio) -> Self:
        """The portfolio of a row."""
        return cls(id=strawberry.ID(str(row.id)), name=row.name)

    @strawberry.field
    async def totals(self, info: Info) -> Totals:
        """Its totals by today."""
        committed, paid_in, distributed, nav = await info.context.portfolio_totals(int(self.id))
        return Totals(
            committed_cents=cents(committed),
            paid_in_cents=cents(paid_in),
            distributed_cents=cents(distributed),
            nav_cents=cents(nav),
        )

    @strawberry.field
    async def holdings(self, info: Info, first: int = 20) -> Holdings:
        """Its holdings, by age."""
        context = info.context
        table = tables.Holding
        rows = await context.page(table, "portfolio_id", [col(table.id).asc()], first).load(int(self.id))
        return Holdings(nodes=[Holding.from_row(row) for row in rows])


@strawberry.type
class Portfolios:
    """A page of portfolios."""

    nodes: list[Portfolio]
