"""Relay connections: pages of rows with opaque keyset cursors."""

from collections.abc import Callable
from enum import Enum
from typing import Any, Generic, TypeVar

import strawberry

from api.graphql.context import Info
from api.reads import cursors
from api.reads.pages import PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX, Page, PageRequest, position

N = TypeVar("N")


@strawberry.enum(description="The direction of a sort order.")
class OrderDirection(Enum):
    """The direction of a sort order."""

    ASC = strawberry.enum_value("ASC", description="Smallest first; nulls last.")
    DESC = strawberry.enum_value("DESC", description="Largest first; nulls last.")


@strawberry.type(description="Where a page stands among the others.")
class PageInfo:
    """Where a page stands among the others."""

    has_next_page: bool = strawberry.field(description="Whether rows follow this page.")
    has_previous_page: bool = strawberry.field(description="Whether rows come before this page.")
    start_cursor: str | None = strawberry.field(description="The cursor of the first row; null on an empty page.")
    end_cursor: str | None = strawberry.field(description="The cursor of the last row; null on an empty page.")


@strawberry.type(description="A row of a connection, with its cursor.")
class Edge(Generic[N]):
    """A row of a connection, with its cursor."""

    cursor: str = strawberry.field(description="Where the row stands; opaque, bound to the sort order.")
    node: N = strawberry.field(description="The row.")


@strawberry.type(description=f"A page of rows: {PAGE_SIZE_DEFAULT} unless asked otherwise, at most {PAGE_SIZE_MAX}.")
class Connection(Generic[N]):
    """A page of rows. Nothing is read before a field asks for it."""

    request: strawberry.Private[PageRequest]
    parent: strawberry.Private[Any]
    make: strawberry.Private[Callable[[Any], Any]]

    async def page(self, info: Info) -> Page:
        """The rows, read once however many fields ask."""
        return await info.context.loaders.page(self.request, self.parent)

    def cursor(self, row: Any) -> str:
        """The cursor of a row."""
        return cursors.encode(self.request.order, position(self.request.order, row))

    @strawberry.field(description="The rows of the page with their cursors.")
    async def edges(self, info: Info) -> list[Edge[N]]:
        """The rows of the page with their cursors."""
        rows = (await self.page(info)).rows
        return [Edge(cursor=self.cursor(row), node=self.make(row)) for row in rows]

    @strawberry.field(description="The rows of the page.")
    async def nodes(self, info: Info) -> list[N]:
        """The rows of the page."""
        return [self.make(row) for row in (await self.page(info)).rows]

    @strawberry.field(description="Where the page stands among the others.")
    async def page_info(self, info: Info) -> PageInfo:
        """Where the page stands among the others."""
        page = await self.page(info)
        return PageInfo(
            has_next_page=page.has_next,
            has_previous_page=page.has_previous,
            start_cursor=self.cursor(page.rows[0]) if page.rows else None,
            end_cursor=self.cursor(page.rows[-1]) if page.rows else None,
        )

    @strawberry.field(description="How many rows there are over all pages; counted only when selected.")
    async def total_count(self, info: Info) -> int:
        """How many rows there are over all pages."""
        return await info.context.loaders.total(self.request, self.parent)
