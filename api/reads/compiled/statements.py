"""From the nodes of a plan to SQL: one statement for each root field, nested levels as arrays of rows within it."""

from collections.abc import Sequence
from typing import Any

from api.reads.compiled.nodes import Connection, Layout
from api.reads.declarations import Entity
from api.reads.pages import PageRequest, Parameters, filter_conditions, page_clauses, scope_condition


def connection_statement(
    connection: Connection, requests: Sequence[PageRequest], organization_id: int
) -> tuple[str, list[Any]]:
    """The statement for a root connection. With a total: one row of (array of rows, total); else a row for each row."""
    parameters = Parameters(organization_id)
    if not connection.has_total:
        return _select(connection, requests, parameters, is_array=False), parameters
    rows = _select(connection, requests, parameters, is_array=True)
    return f"SELECT ARRAY({rows}), ({_count(connection, requests, parameters)})", parameters


def by_ids_statement(
    entity: Entity, layout: Layout, requests: Sequence[PageRequest], organization_id: int, ids: Sequence[Any]
) -> tuple[str, list[Any]]:
    """The statement for the rows with these ids; the id comes first in each."""
    parameters = Parameters(organization_id)
    where = f"{scope_condition(entity, 't0')} AND t0.id = ANY ({parameters.add(list(ids), f'{entity.id_type}[]')})"
    selected = ", ".join(_expressions(layout, requests, parameters))
    return f"SELECT {selected} FROM {entity.table.name} t0{_joins(layout)} WHERE {where}", parameters


def _select(connection: Connection, requests: Sequence[PageRequest], parameters: Parameters, *, is_array: bool) -> str:
    request = requests[connection.number]
    expressions = _expressions(connection.layout, requests, parameters)
    if connection.key_slot is not None:
        key = request.order.key
        expressions[connection.key_slot] = f"{connection.alias}.{key.column}" if key else "NULL::bigint"
    selected = ", ".join(expressions)
    clauses = page_clauses(request, connection.alias, connection.parent, parameters)
    table = f"{connection.entity.table.name} {connection.alias}{_joins(connection.layout)}"
    return f"SELECT {f'ROW({selected})' if is_array else selected} FROM {table} {clauses}"


def _count(connection: Connection, requests: Sequence[PageRequest], parameters: Parameters) -> str:
    where = filter_conditions(requests[connection.number], connection.alias, parameters)
    if connection.parent is not None:
        where.append(f"{connection.alias}.{connection.read.foreign_column} = {connection.parent}")
    return f"SELECT count(*) FROM {connection.entity.table.name} {connection.alias} WHERE {' AND '.join(where)}"


def _expressions(layout: Layout, requests: Sequence[PageRequest], parameters: Parameters) -> list[str]:
    expressions = list(layout.expressions)
    for index, connection in layout.nested.items():
        expressions[index] = f"ARRAY({_select(connection, requests, parameters, is_array=True)})"
    for index, connection in layout.totals.items():
        expressions[index] = f"({_count(connection, requests, parameters)})"
    return expressions


def _joins(layout: Layout) -> str:
    return "".join(
        f" LEFT JOIN {join.entity.table.name} {join.alias}"
        f" ON {scope_condition(join.entity, join.alias)} AND {join.alias}.id = {join.by}"
        for join in layout.joins
    )
