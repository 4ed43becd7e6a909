"""What tutorials teach: Strawberry's GraphQLRouter in FastAPI, SQLModel rows through an AsyncSession, dataloaders.

Kinder than most: the models are the project's own, every edge has a loader, and a page is cut off in the database.
Started as `uvicorn bench.contestants.tutorial:application`.
"""

import os
from collections.abc import AsyncIterator

import orjson
import strawberry
from fastapi import FastAPI, HTTPException, Request
from sqlalchemy.ext.asyncio import create_async_engine
from sqlmodel import col, select, text
from sqlmodel.ext.asyncio.session import AsyncSession
from strawberry.fastapi import GraphQLRouter
from strawberry.schema.config import StrawberryConfig

from api import tables
from bench.contestants.tutorial_loaders import Context
from bench.contestants.tutorial_types import SCALARS, Fund, Funds, Info, Portfolio, Portfolios

ORGANIZATIONS: dict[str, str] = orjson.loads(os.environ["BENCH_TOKENS"])

engine = create_async_engine(
    os.environ["BENCH_DATABASE_URL"].replace("postgresql://", "postgresql+asyncpg://"),
    pool_size=int(os.environ["BENCH_POOL"]),
    max_overflow=0,
    connect_args={"server_settings": {"role": "tranche_app", "timezone": "UTC", "jit": "off"}},
)


async def get_context(request: Request) -> AsyncIterator[Context]:
    """The context of one request: a session in a transaction of the organization that the token is for."""
    organization_id = ORGANIZATIONS.get(request.headers.get("authorization", "").removeprefix("Bearer "))
    if organization_id is None:
        raise HTTPException(401)
    async with AsyncSession(engine) as session, session.begin():
        await session.exec(text(f"SET LOCAL app.organization_id = '{int(organization_id):d}'"))  # type: ignore[call-overload]
        yield Context(session, int(organization_id))


@strawberry.type
class Query:
    """What can be read."""

    @strawberry.field
    async def fund(self, info: Info, id: strawberry.ID) -> Fund | None:
        """The fund with this id."""
        row = await info.context.funds.load(int(id))
        return None if row is None else Fund.from_row(row)

    @strawberry.field
    async def funds(self, info: Info, first: int = 20) -> Funds:
        """Funds by age."""
        context = info.context
        table = tables.Fund
        statement = select(table).where(table.organization_id == context.organization_id).order_by(col(table.id))
        return Funds(nodes=[Fund.from_row(row) for row in await context.rows(statement.limit(first))])

    @strawberry.field
    async def portfolio(self, info: Info, id: strawberry.ID) -> Portfolio | None:
        """The portfolio with this id."""
        context = info.context
        table = tables.Portfolio
        statement = select(table).where(table.organization_id == context.organization_id, table.id == int(id))
        rows = await context.rows(statement)
        return Portfolio.from_row(rows[0]) if rows else None

    @strawberry.field
    async def portfolios(self, info: Info, first: int = 20) -> Portfolios:
        """Portfolios by age."""
        context = info.context
        table = tables.Portfolio
        statement = select(table).where(table.organization_id == context.organization_id).order_by(col(table.id))
        return Portfolios(nodes=[Portfolio.from_row(row) for row in await context.rows(statement.limit(first))])


schema = strawberry.Schema(query=Query, config=StrawberryConfig(scalar_map=SCALARS))
application = FastAPI()
application.include_router(GraphQLRouter(schema, context_getter=get_context, graphql_ide=None), prefix="/graphql")
