"""Rows and connections whose JSON text PostgreSQL makes: nothing in them needs Python.

It is the fastest way out of the database: no value is decoded, no object is made. What holds a field that Python
computes, a deferred field or a cursor is left to records.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphql import FieldNode, GraphQLField, GraphQLObjectType, get_named_type, is_leaf_type, is_non_null_type

from api.reads import declarations as reads
from api.reads.compiled import nodes
from api.reads.compiled.selection import Selection
from api.reads.declarations import ENTITIES, Entity

_QUOTED = frozenset({"Cents", "BigInt", "CurrencyCode", "Date"})
_AS_JSON = frozenset({"String", "DateTime"})
_BARE = frozenset({"Int", "Boolean"})

# Strings go through to_json, which escapes as orjson does; nothing else can hold what must be escaped. Times do for its
# speed: to_char takes twice as long.
CONVERTED_TYPES: dict[str, str] = {
    "Decimal": "trim_scale({0})::text",
    "DateTime": "to_json({0}) #>> '{{}}'",
}
"""Leaves whose text PostgreSQL makes just as the schema would: SQL of the column."""


def leaf_text(type_name: str, *, is_enum: bool, is_nullable: bool, expression: str) -> list[str | nodes.Sql] | None:
    """The JSON text of a column; None for a type that Python must write."""
    if type_name in _AS_JSON:
        sql = f"to_json({expression})::text"
        return [nodes.Sql(f"coalesce({sql}, 'null')" if is_nullable else sql)]
    if type_name in _BARE:
        return [nodes.Sql(f"coalesce({expression}::text, 'null')" if is_nullable else f"{expression}::text")]
    if type_name in _QUOTED or is_enum:
        sql = f"{expression}::text"
    elif type_name in CONVERTED_TYPES:
        sql = CONVERTED_TYPES[type_name].format(expression)
    else:
        return None
    if is_nullable:
        return [nodes.Sql(f"coalesce('\"' || {sql} || '\"', 'null')")]
    return ['"', nodes.Sql(sql), '"']


@dataclass(slots=True)
class TextCompiler:
    """Compiles what can be text. ``type_of`` gives the schema's object type by name."""

    selection: Selection
    read_of: Callable[[str, str], reads.Read | None]
    type_of: Callable[[str], GraphQLObjectType]
    connection: Callable[[reads.ConnectionRead, GraphQLField, FieldNode], nodes.Connection]
    join: Callable[[Entity, str, nodes.Layout], nodes.Join]
    _known: dict[Any, bool] = field(default_factory=dict)

    def covers_row(self, entity: Entity, field_nodes: Sequence[FieldNode]) -> bool:
        """Whether the selected fields of a row can be text, edges and all."""
        key = (entity.type_name, *map(id, field_nodes))
        if key not in self._known:
            type_ = self.type_of(entity.type_name)
            collected = self.selection.collect([node.selection_set for node in field_nodes], type_)
            self._known[key] = all(self._covers(entity, type_, merged) for merged in collected.values())
        return self._known[key]

    def _covers(self, entity: Entity, type_: GraphQLObjectType, field_nodes: Sequence[FieldNode]) -> bool:
        name = field_nodes[0].name.value
        if name == "__typename":
            return True
        definition = type_.fields[name]
        match self.read_of(type_.name, name):
            case reads.GlobalIdRead():
                return True
            case reads.ColumnRead(column):
                named = get_named_type(definition.type)
                if not is_leaf_type(named) or (is_non_null_type(definition.type) and _is_nullable(entity, column)):
                    return False
                return _column_text(definition, "") is not None
            case reads.ToOneRead(target, column):
                # A foreign key within the organization always leads somewhere; a user may be out of sight.
                is_certain = ENTITIES[target].scope_column is not None and not _is_nullable(entity, column)
                if is_non_null_type(definition.type) and not is_certain:
                    return False
                return self.covers_row(ENTITIES[target], field_nodes)
            case reads.ConnectionRead() as read:
                return self.covers_connection(read, definition, field_nodes)
        return False

    def covers_connection(
        self, read: reads.ConnectionRead, definition: GraphQLField, field_nodes: Sequence[FieldNode]
    ) -> bool:
        """Whether a connection can be text: its rows can, and it shows neither cursors nor pageInfo."""
        type_ = self.type_of(get_named_type(definition.type).name)
        collected = self.selection.collect([node.selection_set for node in field_nodes], type_)
        return read.action is None and all(self._covers_part(read, type_, merged) for merged in collected.values())

    def _covers_part(
        self, read: reads.ConnectionRead, type_: GraphQLObjectType, field_nodes: Sequence[FieldNode]
    ) -> bool:
        match field_nodes[0].name.value:
            case "__typename" | "totalCount":
                return True
            case "nodes":
                return self.covers_row(ENTITIES[read.entity], field_nodes)
            case "edges":
                parts = self._edge_parts(type_, field_nodes).values()
                names = {merged[0].name.value for merged in parts}
                nodes_ = [merged for merged in parts if merged[0].name.value == "node"]
                return "cursor" not in names and all(
                    self.covers_row(ENTITIES[read.entity], merged) for merged in nodes_
                )
        return False

    def _edge_parts(self, type_: GraphQLObjectType, field_nodes: Sequence[FieldNode]) -> dict[str, list[FieldNode]]:
        edge = self.type_of(get_named_type(type_.fields["edges"].type).name)
        return self.selection.collect([node.selection_set for node in field_nodes], edge)

    def row(
        self, entity: Entity, alias: str, layout: nodes.Layout, field_nodes: Sequence[FieldNode]
    ) -> list[str | nodes.Sql | nodes.TextConnection | nodes.TextOptional]:
        """The text of a row that is covered."""
        type_ = self.type_of(entity.type_name)
        collected = self.selection.collect([node.selection_set for node in field_nodes], type_)
        parts: list[Any] = []
        for key, merged in collected.items():
            parts.append(f'{"," if parts else "{"}"{key}":')
            parts += self._part(entity, type_, alias, layout, merged)
        return [*parts, "}"] if parts else ["{}"]

    def _part(
        self,
        entity: Entity,
        type_: GraphQLObjectType,
        alias: str,
        layout: nodes.Layout,
        field_nodes: Sequence[FieldNode],
    ) -> list[Any]:
        name = field_nodes[0].name.value
        if name == "__typename":
            return [f'"{type_.name}"']
        definition = type_.fields[name]
        match self.read_of(type_.name, name):
            case reads.GlobalIdRead():
                id_ = f"encode(('{type_.name}:' || {alias}.id)::bytea, 'base64')"
                return ['"', nodes.Sql(id_), '"']
            case reads.ColumnRead(column):
                return list(_column_text(definition, f"{alias}.{column}") or ())
            case reads.ToOneRead(target, column):
                join = self.join(ENTITIES[target], f"{alias}.{column}", layout)
                row = self.row(join.entity, join.alias, layout, field_nodes)
                if is_non_null_type(definition.type):
                    return row
                return [nodes.TextOptional(f"{join.alias}.id", row)]
            case reads.ConnectionRead() as read:
                return [self.text_connection(read, definition, alias, field_nodes)]
        raise AssertionError(f"{type_.name}.{name} is not covered")

    def text_connection(
        self,
        read: reads.ConnectionRead,
        definition: GraphQLField,
        alias: str,
        field_nodes: Sequence[FieldNode],
    ) -> nodes.TextConnection:
        """The text of a connection that is covered, of the row under ``alias``."""
        connection = self.connection(read, definition, field_nodes[0])
        connection.parent = f"{alias}.id"
        type_ = self.type_of(get_named_type(definition.type).name)
        parts: list[str | nodes.TextRows | nodes.TextTotal] = []
        collected = self.selection.collect([node.selection_set for node in field_nodes], type_)
        for key, merged in collected.items():
            parts.append(f'{"," if parts else "{"}"{key}":')
            parts += self._connection_part(connection, type_, merged)
        return nodes.TextConnection(connection, [*parts, "}"] if parts else ["{}"])

    def _connection_part(
        self, connection: nodes.Connection, type_: GraphQLObjectType, field_nodes: Sequence[FieldNode]
    ) -> list[str | nodes.TextRows | nodes.TextTotal]:
        match field_nodes[0].name.value:
            case "__typename":
                return [f'"{type_.name}"']
            case "totalCount":
                return [nodes.TextTotal()]
            case "nodes":
                row = self.row(connection.entity, connection.alias, connection.layout, field_nodes)
                return ["[", nodes.TextRows(row), "]"]
        edge: list[Any] = []
        for key, merged in self._edge_parts(type_, field_nodes).items():
            edge.append(f'{"," if edge else "{"}"{key}":')
            if merged[0].name.value == "node":
                edge += self.row(connection.entity, connection.alias, connection.layout, merged)
            else:
                edge.append(f'"{get_named_type(type_.fields["edges"].type).name}"')
        return ["[", nodes.TextRows([*edge, "}"] if edge else ["{}"]), "]"]


def _is_nullable(entity: Entity, column: str) -> bool:
    return bool(entity.table.columns[column].nullable)


def _column_text(definition: GraphQLField, expression: str) -> list[str | nodes.Sql] | None:
    named = get_named_type(definition.type)
    is_nullable = not is_non_null_type(definition.type)
    return leaf_text(named.name, is_enum=hasattr(named, "values"), is_nullable=is_nullable, expression=expression)
