"""Pages of connections: what is asked for, the SQL that finds it, and the slice that comes out."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import Any

from sqlalchemy import UniqueConstraint

from api.errors import BadUserInput
from api.reads import cursors
from api.reads.declarations import ENTITIES, ConnectionRead, Entity, Order, Record

PAGE_SIZE_DEFAULT = 20
PAGE_SIZE_MAX = 100
NODES_MAX = 100
"""How many global ids ``nodes`` takes."""


@dataclass(frozen=True, slots=True)
class PageRequest:
    """A page of one connection. ``size`` rows after or before ``position``; ``values`` are the
    filter's, by field."""

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
        values=tuple(_conditions(read, values)),
    )


def _conditions(read: ConnectionRead, values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for field, given in sorted(values.items()):
        convert = read.conditions[field].convert
        value = _plain(given if convert is None else convert(given))
        if value is not None:
            yield field, value


def _plain(value: Any) -> Any:
    """A filter's value as the database knows it: enums by their names."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value.name if isinstance(value, Enum) else value


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
        return Page(rows[::-1], has_next=request.before is not None, has_previous=more or request.after is not None)
    return Page(rows, has_next=more or request.before is not None, has_previous=request.after is not None)


def position(order: Order, row: Record) -> cursors.Position:
    """Where a row stands in an order."""
    return (row[order.key.column] if order.key else None, row["id"])


class Parameters(list[Any]):
    """The parameters of a statement, the organization first; adding one gives its placeholder."""

    ORGANIZATION = "$1::bigint"

    def __init__(self, organization_id: int) -> None:
        super().__init__([organization_id])

    def add(self, value: Any, type_name: str) -> str:
        """The placeholder of a new parameter."""
        self.append(value)
        return f"${len(self)}::{type_name}"


def request_shape(request: PageRequest) -> tuple[Any, ...]:
    """What the SQL of a page depends on: requests of one shape differ in their parameters alone."""
    bounds = tuple(bound and (bound[0] is None) for bound in (request.after, request.before))
    return (request.order.signature, request.is_backward, bounds, tuple(field for field, _ in request.values))


def filter_parameters(request: PageRequest) -> list[Any]:
    """The parameters that ``filter_conditions`` adds, in its order."""
    return [value for _, value in request.values]


def page_parameters(request: PageRequest, extra: int = 1) -> list[Any]:
    """The parameters that ``page_clauses`` adds, in its order."""
    parameters = filter_parameters(request)
    for bound in (request.after, request.before):
        if bound is not None:
            key, row_id = bound
            parameters.append(row_id)
            if request.order.key is not None and key is not None:
                parameters.append(key)
    parameters.append(request.size + extra)
    return parameters


def page_sql(
    request: PageRequest, columns: Sequence[str], organization_id: int, parents: Sequence[Any] | None
) -> tuple[str, list[Any]]:
    """One statement for the page of every parent (of the whole table where ``parents`` is None), and its parameters.

    Rows carry ``parent_key``, come in page order within a parent (backward pages reversed), and one more than asked.
    """
    parameters = Parameters(organization_id)
    selected = ", ".join(f"t.{column}" for column in columns)
    table = ENTITIES[request.read.entity].table.name
    if parents is None:
        return f"SELECT {selected} FROM {table} t {page_clauses(request, 't', None, parameters)}", parameters
    keys = parameters.add(list(parents), "bigint[]")
    clauses = page_clauses(request, "t", "parent.key", parameters)
    return (
        f"SELECT parent.key AS parent_key, t.* FROM unnest({keys}) AS parent(key)"
        f" CROSS JOIN LATERAL (SELECT {selected} FROM {table} t {clauses}) t",
        parameters,
    )


def count_sql(request: PageRequest, organization_id: int, parents: Sequence[Any] | None) -> tuple[str, list[Any]]:
    """One statement that counts the connection of every parent, whatever the page; rows of parent_key and total."""
    parameters = Parameters(organization_id)
    table = ENTITIES[request.read.entity].table.name
    where = filter_conditions(request, "t", parameters)
    if parents is None:
        return f"SELECT count(*) AS total FROM {table} t WHERE {' AND '.join(where)}", parameters
    where.append(f"t.{request.read.foreign_column} = ANY ({parameters.add(list(parents), 'bigint[]')})")
    return (
        f"SELECT t.{request.read.foreign_column} AS parent_key, count(*) AS total"
        f" FROM {table} t WHERE {' AND '.join(where)} GROUP BY 1",
        parameters,
    )


def by_ids_sql(
    entity: Entity, columns: Sequence[str], organization_id: int, ids: Sequence[Any]
) -> tuple[str, list[Any]]:
    """One statement for the rows with these ids."""
    parameters = Parameters(organization_id)
    where = f"{scope_condition(entity, 't')} AND t.id = ANY ({parameters.add(list(ids), f'{entity.id_type}[]')})"
    selected = ", ".join(f"t.{column}" for column in columns)
    return f"SELECT {selected} FROM {entity.table.name} t WHERE {where}", parameters


def scope_condition(entity: Entity, alias: str) -> str:
    """The condition that keeps a statement within the organization; users are those who are or were members of it."""
    if entity.scope_column is None:
        return (
            f"EXISTS (SELECT 1 FROM memberships AS shared WHERE shared.organization_id = {Parameters.ORGANIZATION}"
            f" AND shared.user_id = {alias}.id)"
        )
    return f"{alias}.{entity.scope_column} = {Parameters.ORGANIZATION}"


def filter_conditions(request: PageRequest, alias: str, parameters: Parameters) -> list[str]:
    """The organization's condition and the filter's."""
    where = [scope_condition(ENTITIES[request.read.entity], alias)]
    for field, value in request.values:
        condition = request.read.conditions[field]
        placeholder = parameters.add(value, condition.type_name)
        column = f"{alias}.{condition.column}"
        where.append(condition.sql.format(column=column, value=placeholder, organization=Parameters.ORGANIZATION))
    return where


def page_clauses(
    request: PageRequest, alias: str, parent: str | None, parameters: Parameters, *, extra: int = 1
) -> str:
    """WHERE, ORDER BY and LIMIT of a page: of the rows whose foreign column is ``parent``, of the table where None.

    Finds ``extra`` rows more than asked for, where there are more; a backward page comes reversed.
    """
    where = filter_conditions(request, alias, parameters)
    if parent is not None:
        where.append(f"{alias}.{request.read.foreign_column} = {parent}")
    bounds = ((request.after, True), (request.before, False))
    where += [_beyond(request, alias, bound, is_after, parameters) for bound, is_after in bounds if bound is not None]
    limit = parameters.add(request.size + extra, "bigint")
    return f"WHERE {' AND '.join(where)} ORDER BY {sort_sql(request, alias)} LIMIT {limit}"


def sort_sql(request: PageRequest, alias: str, *, reverses: bool = False) -> str:
    """How the rows of a page come out of ``page_clauses``, or the reverse of it."""
    is_backward = request.is_backward != reverses
    direction = "DESC" if request.order.is_descending != is_backward else "ASC"
    key = request.order.key
    if key is None:
        return f"{alias}.id {direction}"
    if _is_unique(request.read.entity, request.read.foreign_column, key.column):
        return f"{alias}.{key.column} {direction}"
    # Nulls are last whichever way the order goes, and so first in a page that is read backwards.
    nulls = "" if not key.is_nullable else f" NULLS {'FIRST' if is_backward else 'LAST'}"
    return f"{alias}.{key.column} {direction}{nulls}, {alias}.id {direction}"


@cache
def _is_unique(entity_name: str, foreign_column: str | None, column: str) -> bool:
    """Whether no two rows of one connection share a value of the column: then it needs no id to order by beside it.

    And an index that ends in the column gives the rows in order, which it could not with the id.
    """
    entity = ENTITIES[entity_name]
    wanted = {name for name in (entity.scope_column, foreign_column, column) if name is not None}
    return not entity.table.c[column].nullable and any(
        isinstance(constraint, UniqueConstraint)
        and column in constraint.columns
        and wanted.issuperset(constraint.columns.keys())
        for constraint in entity.table.constraints
    )


def _beyond(request: PageRequest, alias: str, bound: cursors.Position, is_after: bool, parameters: Parameters) -> str:
    """The condition for what comes after a position, or before it, in the connection's order."""
    key, row_id = bound
    sign = ">" if is_after != request.order.is_descending else "<"
    identifier = parameters.add(row_id, ENTITIES[request.read.entity].id_type)
    sort_key = request.order.key
    if sort_key is None:
        return f"{alias}.id {sign} {identifier}"
    column = f"{alias}.{sort_key.column}"
    if key is None:
        within_nulls = f"{column} IS NULL AND {alias}.id {sign} {identifier}"
        return f"({within_nulls})" if is_after else f"({column} IS NOT NULL OR {within_nulls})"
    value = parameters.add(key, sort_key.type_name)
    beyond = f"({column}, {alias}.id) {sign} ({value}, {identifier})"
    return f"({beyond} OR {column} IS NULL)" if sort_key.is_nullable and is_after else beyond
