"""From the nodes of a plan to SQL: one statement for each root field, nested levels as arrays of rows within it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from api.reads.compiled.nodes import Connection, Layout
from api.reads.declarations import Entity
from api.reads.pages import (
    PageRequest,
    Parameters,
    filter_conditions,
    filter_parameters,
    page_clauses,
    page_parameters,
    request_shape,
    scope_condition,
)

SHAPES_MAX = 64
"""How many statements are kept for one root field: orders, filters and cursors make different ones."""


@dataclass(slots=True)
class Writer:
    """Writes one statement, and notes whose parameters come in which order, so that they can be gathered without it."""

    requests: Sequence[PageRequest]
    parameters: Parameters
    sources: list[tuple[bool, int]] = field(default_factory=list)

    def select(self, connection: Connection, *, is_array: bool) -> str:
        """The rows of a connection's page, each as one record where they are to be an array."""
        request = self.requests[connection.number]
        expressions = self.expressions(connection.layout)
        if connection.key_slot is not None:
            key = request.order.key
            expressions[connection.key_slot] = f"{connection.alias}.{key.column}" if key else "NULL::bigint"
        selected = ", ".join(expressions)
        self.sources.append((True, connection.number))
        clauses = page_clauses(request, connection.alias, connection.parent, self.parameters)
        table = f"{connection.entity.table.name} {connection.alias}{joins(connection.layout)}"
        return f"SELECT {f'ROW({selected})' if is_array else selected} FROM {table} {clauses}"

    def count(self, connection: Connection) -> str:
        """How many rows a connection has over all pages."""
        self.sources.append((False, connection.number))
        where = filter_conditions(self.requests[connection.number], connection.alias, self.parameters)
        if connection.parent is not None:
            where.append(f"{connection.alias}.{connection.read.foreign_column} = {connection.parent}")
        return f"SELECT count(*) FROM {connection.entity.table.name} {connection.alias} WHERE {' AND '.join(where)}"

    def expressions(self, layout: Layout) -> list[str]:
        """The columns of a level, nested connections and totals filled in."""
        expressions = list(layout.expressions)
        for index, connection in layout.nested.items():
            expressions[index] = f"ARRAY({self.select(connection, is_array=True)})"
        for index, connection in layout.totals.items():
            expressions[index] = f"({self.count(connection)})"
        return expressions


@dataclass(slots=True)
class ConnectionStatements:
    """The statements of one root connection, by the shapes of the pages asked for.

    With a total, the answer is one row of (array of rows, total); else a row for each row.
    """

    connection: Connection
    has_fixed_shape: bool
    _kept: dict[Any, tuple[str, list[tuple[bool, int]]]] = field(default_factory=dict)

    def get(self, requests: Sequence[PageRequest], organization_id: int) -> tuple[str, list[Any]]:
        """The statement and its parameters."""
        shape = None if self.has_fixed_shape else tuple(request_shape(request) for request in requests)
        kept = self._kept.get(shape)
        if kept is not None:
            parameters: list[Any] = [organization_id]
            for is_page, number in kept[1]:
                parameters += (page_parameters if is_page else filter_parameters)(requests[number])
            return kept[0], parameters
        writer = Writer(requests, Parameters(organization_id))
        if self.connection.has_total:
            rows = writer.select(self.connection, is_array=True)
            sql = f"SELECT ARRAY({rows}), ({writer.count(self.connection)})"
        else:
            sql = writer.select(self.connection, is_array=False)
        if len(self._kept) < SHAPES_MAX:
            self._kept[shape] = (sql, writer.sources)
        return sql, writer.parameters


def by_ids_statement(
    entity: Entity, layout: Layout, requests: Sequence[PageRequest], organization_id: int, ids: Sequence[Any]
) -> tuple[str, list[Any]]:
    """The statement for the rows with these ids; the id comes first in each."""
    writer = Writer(requests, Parameters(organization_id))
    identifiers = writer.parameters.add(list(ids), f"{entity.id_type}[]")
    selected = ", ".join(writer.expressions(layout))
    return (
        f"SELECT {selected} FROM {entity.table.name} t0{joins(layout)}"
        f" WHERE {scope_condition(entity, 't0')} AND t0.id = ANY ({identifiers})",
        writer.parameters,
    )


def joins(layout: Layout) -> str:
    """The joins of a level's to-one edges."""
    return "".join(
        f" LEFT JOIN {join.entity.table.name} {join.alias}"
        f" ON {scope_condition(join.entity, join.alias)} AND {join.alias}.id = {join.by}"
        for join in layout.joins
    )
