"""Pages of connections: what is asked for, the SQL that finds it, and the slice that comes out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from api.errors import BadUserInput
from api.reads import cursors
from api.reads.declarations import ENTITIES, ConnectionRead, Entity, Order, Record

PAGE_SIZE_DEFAULT = 20
PAGE_SIZE_MAX = 100


@dataclass(frozen=True, slots=True)
class PageRequest:
    """A page of one connection. ``size`` rows after or before ``position``; ``values`` are the filter's, by field."""

    read: ConnectionRead
    order: Order
    size: int
    is_backward: bool = False
    after: cursors.Position | None = None
    before: cursors.Position | None = None
    values: tuple[tuple[str, Any], ...] = ()


def page_request(
    read: ConnectionRead,
    *,
    first: int | None,
    after: str | None,
    last: int | None,
    before: str | None,
    order: Order | None,
    values: Mapping[str, Any],
) -> PageRequest:
    """The page that the arguments ask for; raises BadUserInput that names the argument and its limit."""
    if first is not None and last is not None:
        raise BadUserInput("first, last: give one of them, not both.")
    name, size = ("last", last) if last is not None else ("first", PAGE_SIZE_DEFAULT if first is None else first)
    if not 0 <= size <= PAGE_SIZE_MAX:
        raise BadUserInput(f"{name}: must be between 0 and {PAGE_SIZE_MAX}, not {size}.")
    order = order or read.default_order
    id_type = ENTITIES[read.entity].id_type
    return PageRequest(
        read,
        order,
        size,
        is_backward=last is not None,
        after=None if after is None else cursors.decode(after, order, id_type, "after"),
        before=None if before is None else cursors.decode(before, order, id_type, "before"),
        values=tuple(sorted((field, value) for field, value in values.items() if value is not None)),
    )


@dataclass(frozen=True, slots=True)
class Page:
    """The rows of a page in the connection's order, and whether there are more on either side."""

    rows: Sequence[Record]
    has_next: bool
    has_previous: bool


def cut(request: PageRequest, rows: Sequence[Record]) -> Page:
    """The page out of the rows that ``page_sql`` finds, which are one more than asked for where there are more."""
    more = len(rows) > request.size
    rows = rows[: request.size]
    if request.is_backward:
        return Page(rows[::-1], has_next=request.before is not None, has_previous=more)
    return Page(rows, has_next=more, has_previous=request.after is not None)


def position(order: Order, row: Record) -> cursors.Position:
    """Where a row stands in an order."""
    return (row[order.key.column] if order.key else None, row["id"])


class _Parameters(list[Any]):
    """The parameters of a statement; adding one gives its placeholder."""

    def add(self, value: Any, type_name: str) -> str:
        self.append(value)
        return f"${len(self)}::{type_name}"


def page_sql(
    request: PageRequest, columns: Sequence[str], organization_id: int, parents: Sequence[Any] | None
) -> tuple[str, list[Any]]:
    """One statement for the page of every parent (of the whole table where ``parents`` is None), and its parameters.

    Rows carry ``parent_key``, come in page order within a parent (backward pages reversed), and one more than asked.
    """
    entity = ENTITIES[request.read.entity]
    parameters = _Parameters()
    where = _where(request, entity, organization_id, parameters)
    where += _keyset(request, parameters)
    selected = ", ".join(f"t.{column}" for column in columns)
    direction = "DESC" if request.order.is_descending != request.is_backward else "ASC"
    sort = f"t.id {direction}"
    if request.order.key:
        # Nulls are last whichever way the order goes, and so first in a page that is read backwards.
        nulls = "" if not request.order.key.is_nullable else f" NULLS {'FIRST' if request.is_backward else 'LAST'}"
        sort = f"t.{request.order.key.column} {direction}{nulls}, {sort}"
    limit = parameters.add(request.size + 1, "bigint")
    if parents is None:
        return (
            f"SELECT {selected} FROM {entity.table.name} t WHERE {' AND '.join(where)} ORDER BY {sort} LIMIT {limit}",
            parameters,
        )
    keys = parameters.add(list(parents), "bigint[]")
    where.append(f"t.{request.read.foreign_column} = parent.key")
    return (
        f"SELECT parent.key AS parent_key, t.* FROM unnest({keys}) AS parent(key) CROSS JOIN LATERAL"
        f" (SELECT {selected} FROM {entity.table.name} t WHERE {' AND '.join(where)} ORDER BY {sort} LIMIT {limit}) t",
        parameters,
    )


def count_sql(request: PageRequest, organization_id: int, parents: Sequence[Any] | None) -> tuple[str, list[Any]]:
    """One statement that counts the connection of every parent, whatever the page; rows of parent_key and total."""
    entity = ENTITIES[request.read.entity]
    parameters = _Parameters()
    where = _where(request, entity, organization_id, parameters)
    if parents is None:
        sql = f"SELECT count(*) AS total FROM {entity.table.name} t WHERE {' AND '.join(where)}"
        return sql, parameters
    where.append(f"t.{request.read.foreign_column} = ANY ({parameters.add(list(parents), 'bigint[]')})")
    return (
        f"SELECT t.{request.read.foreign_column} AS parent_key, count(*) AS total"
        f" FROM {entity.table.name} t WHERE {' AND '.join(where)} GROUP BY 1",
        parameters,
    )


def by_ids_sql(
    entity: Entity, columns: Sequence[str], organization_id: int, ids: Sequence[Any]
) -> tuple[str, list[Any]]:
    """One statement for the rows with these ids."""
    parameters = _Parameters()
    where = scope_sql(entity, parameters.add(organization_id, "bigint"))
    keys = parameters.add(list(ids), f"{entity.id_type}[]")
    selected = ", ".join(f"t.{column}" for column in columns)
    return f"SELECT {selected} FROM {entity.table.name} t WHERE {where} AND t.id = ANY ({keys})", parameters


def scope_sql(entity: Entity, organization: str) -> str:
    """The condition that keeps a statement within the organization; users are narrowed by their policy alone."""
    if entity.scope_column is None:
        return f"{organization} IS NOT NULL"
    return f"t.{entity.scope_column} = {organization}"


def _where(request: PageRequest, entity: Entity, organization_id: int, parameters: _Parameters) -> list[str]:
    where = [scope_sql(entity, parameters.add(organization_id, "bigint"))]
    for field, value in request.values:
        condition = request.read.conditions[field]
        placeholder = parameters.add(value, condition.type_name)
        where.append(condition.sql.format(column=f"t.{condition.column}", value=placeholder))
    return where


def _keyset(request: PageRequest, parameters: _Parameters) -> list[str]:
    """The conditions for what comes after one position and before another, in the connection's order."""
    bounds = ((request.after, True), (request.before, False))
    return [_beyond(request, bound, is_after, parameters) for bound, is_after in bounds if bound is not None]


def _beyond(request: PageRequest, bound: cursors.Position, is_after: bool, parameters: _Parameters) -> str:
    key, row_id = bound
    sign = ">" if is_after != request.order.is_descending else "<"
    identifier = parameters.add(row_id, ENTITIES[request.read.entity].id_type)
    sort_key = request.order.key
    if sort_key is None:
        return f"t.id {sign} {identifier}"
    column = f"t.{sort_key.column}"
    if key is None:
        within_nulls = f"{column} IS NULL AND t.id {sign} {identifier}"
        return f"({within_nulls})" if is_after else f"({column} IS NOT NULL OR {within_nulls})"
    value = parameters.add(key, sort_key.type_name)
    beyond = f"({column}, t.id) {sign} ({value}, {identifier})"
    return f"({beyond} OR {column} IS NULL)" if sort_key.is_nullable and is_after else beyond
