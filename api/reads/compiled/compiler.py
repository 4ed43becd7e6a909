"""From the selected fields of an operation to the nodes of a plan."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from graphql import (
    FieldNode,
    GraphQLField,
    GraphQLObjectType,
    GraphQLSchema,
    get_named_type,
    is_non_null_type,
)

from api.reads import declarations as reads
from api.reads.compiled import nodes
from api.reads.compiled.leaves import column_value
from api.reads.compiled.plain import DeclaredFields, PlainCompiler
from api.reads.compiled.selection import Selection, UnsupportedError
from api.reads.compiled.texts import TextCompiler
from api.reads.compiled.variables import Arguments
from api.reads.declarations import ENTITIES, Entity

LEVELS_MAX = 15
COLUMNS_MAX = 400
JOINS_MAX = 12
CONNECTIONS_MAX = 60
BATCHES_MAX = 60


@dataclass(slots=True)
class Compiler:
    """Compiles one operation. Raises UnsupportedError for what the resolvers must answer."""

    schema: GraphQLSchema
    declared: DeclaredFields
    selection: Selection
    connections: list[nodes.Connection] = field(default_factory=list)
    batches: list[nodes.Batch] = field(default_factory=list)
    deferred: list[nodes.Waiting] = field(default_factory=list)
    actions: set[str] = field(default_factory=set)
    _aliases: int = 0
    _level: int = 0
    texts: TextCompiler = field(init=False)
    plain: PlainCompiler = field(init=False)

    def __post_init__(self) -> None:
        self.texts = TextCompiler(
            self.selection,
            lambda type_name, name: self.declared.reads.get((type_name, name)),
            self._object_type,
            self._bare_connection,
            self._join,
        )
        self.plain = PlainCompiler(self.selection, self.declared, self._defer_rows)

    def root(self, key: str, field_nodes: Sequence[FieldNode], type_: GraphQLObjectType) -> nodes.Root:
        """A root field."""
        name = field_nodes[0].name.value
        if name == "__typename":
            return key, nodes.Constant(repr(type_.name))
        definition = type_.fields.get(name)
        read = self.declared.reads.get((type_.name, name))
        if definition is None or read is None:
            raise UnsupportedError(f"the root field {name}")
        if isinstance(read, reads.ConnectionRead):
            return nodes.RootConnection(key, self._connection(read, definition, field_nodes))
        arguments = Arguments(definition, field_nodes[0])
        if isinstance(read, reads.RootOneRead):
            return nodes.RootRow(key, arguments, {read.entity: self._by_id(read.entity, field_nodes)})
        if isinstance(read, reads.AnyNodeRead):
            by_type = {name: self._by_id(name, field_nodes) for name in ENTITIES}
            return nodes.RootRows(key, arguments, by_type) if read.is_list else nodes.RootRow(key, arguments, by_type)
        raise UnsupportedError(f"the root field {name}")

    def _by_id(
        self, entity_name: str, field_nodes: Sequence[FieldNode]
    ) -> tuple[Entity, nodes.Layout, nodes.Row | nodes.Text]:
        entity, layout = ENTITIES[entity_name], nodes.Layout()
        layout.index("t0.id")
        return entity, layout, self._row_or_text(entity, "t0", layout, field_nodes)

    def _row_or_text(
        self, entity: Entity, alias: str, layout: nodes.Layout, field_nodes: Sequence[FieldNode]
    ) -> nodes.Row | nodes.Text:
        """A row as JSON text where nothing in it needs Python."""
        if not self.texts.covers_row(entity, field_nodes):
            return self._row(entity, alias, layout, field_nodes)
        parts = self.texts.row(entity, alias, layout, field_nodes)
        index = layout.slot()
        layout.texts[index] = parts
        return nodes.Text(index)

    def _row(self, entity: Entity, alias: str, layout: nodes.Layout, field_nodes: Sequence[FieldNode]) -> nodes.Row:
        type_ = self._object_type(entity.type_name)
        self._level += 1
        if self._level > LEVELS_MAX:
            raise UnsupportedError("the document is nested deeply")
        collected = self.selection.collect([node.selection_set for node in field_nodes], type_)
        parts = {key: self._part(entity, alias, layout, merged, type_) for key, merged in collected.items()}
        self._level -= 1
        if len(layout.expressions) > COLUMNS_MAX or len(layout.joins) > JOINS_MAX:
            raise UnsupportedError("one level selects very much")
        return nodes.Row(parts)

    def _part(
        self,
        entity: Entity,
        alias: str,
        layout: nodes.Layout,
        field_nodes: Sequence[FieldNode],
        type_: GraphQLObjectType,
    ) -> nodes.Part | nodes.Kept | nodes.Slow:
        name = field_nodes[0].name.value
        if name == "__typename":
            return nodes.Constant(repr(type_.name))
        definition = type_.fields[name]
        match self.declared.reads.get((type_.name, name)):
            case reads.GlobalIdRead():
                return nodes.Value(layout.index(f"{alias}.id"), f"global_id_{type_.name}")
            case reads.ColumnRead(column):
                return column_value(entity, f"{alias}.{column}", column, layout, definition)
            case reads.ComputedRead(columns, compute):
                indexes = tuple((column, layout.index(f"{alias}.{column}")) for column in columns)
                return nodes.Computed(compute, indexes, self.plain.shape(definition.type, field_nodes))
            case reads.ToOneRead(target, column):
                return self._to_one(ENTITIES[target], f"{alias}.{column}", layout, definition, field_nodes)
            case reads.ConnectionRead() as read:
                return self._nested(read, alias, layout, definition, field_nodes)
            case reads.BatchRead(is_slow=True) as read:
                number, arguments = self._reserve(), Arguments(definition, field_nodes[0])
                batch = self._batch(read, arguments, alias, layout, self.plain.shape(definition.type, field_nodes))
                self.deferred[number] = nodes.DeferredSlow(batch)
                return nodes.Slow(number, batch)
            case reads.BatchRead() as read:
                arguments = Arguments(definition, field_nodes[0])
                return self._batch(read, arguments, alias, layout, self.plain.shape(definition.type, field_nodes))
            case reads.KeptRead() as read:
                return self._kept(read, alias, layout, definition, field_nodes)
        raise UnsupportedError(f"the field {type_.name}.{name}")

    def _batch(
        self, read: reads.BatchRead, arguments: Arguments, alias: str, layout: nodes.Layout, shape: nodes.Shape
    ) -> nodes.Batch:
        if len(self.batches) >= BATCHES_MAX:
            raise UnsupportedError("the document has many batches")
        batch = nodes.Batch(read, arguments, f"{alias}.id", len(self.batches), layout.slot(), shape)
        self.batches.append(batch)
        layout.batches[batch.index] = batch
        return batch

    def _kept(
        self,
        read: reads.KeptRead,
        alias: str,
        layout: nodes.Layout,
        definition: GraphQLField,
        field_nodes: Sequence[FieldNode],
    ) -> nodes.Kept:
        number, arguments = self._reserve(), Arguments(definition, field_nodes[0])
        shape = self.plain.shape(definition.type, field_nodes)
        self.deferred[number] = nodes.DeferredKept(read, arguments, shape)
        versions = self._batch(read.versions, arguments, alias, layout, nodes.Leaf(int))
        return nodes.Kept(number, layout.index(f"{alias}.id"), versions)

    def _defer_rows(self, entity_name: str, field_nodes: Sequence[FieldNode]) -> int:
        number = self._reserve()
        self.deferred[number] = nodes.DeferredRows(*self._by_id(entity_name, field_nodes))
        return number

    def _reserve(self) -> int:
        """The place of a deferred field, ahead of those within its own answer: they are answered in this order."""
        self.deferred.append(nodes.Pending())
        return len(self.deferred) - 1

    def _to_one(
        self,
        entity: Entity,
        by: str,
        layout: nodes.Layout,
        definition: GraphQLField,
        field_nodes: Sequence[FieldNode],
    ) -> nodes.Row:
        join = self._join(entity, by, layout)
        presence = layout.index(f"{join.alias}.id")
        row = self._row(entity, join.alias, layout, field_nodes)
        return nodes.Row(row.fields, presence, is_non_null_type(definition.type))

    def _join(self, entity: Entity, by: str, layout: nodes.Layout) -> nodes.Join:
        """The join of a to-one edge, one for all that lead the same way."""
        join = next((known for known in layout.joins if known.entity is entity and known.by == by), None)
        if join is None:
            join = nodes.Join(entity, self._alias(), by)
            layout.joins.append(join)
            if len(layout.joins) > JOINS_MAX:
                raise UnsupportedError("one level joins very much")
        return join

    def _nested(
        self,
        read: reads.ConnectionRead,
        alias: str,
        layout: nodes.Layout,
        definition: GraphQLField,
        field_nodes: Sequence[FieldNode],
    ) -> nodes.Nested | nodes.Text:
        if self.texts.covers_connection(read, definition, field_nodes):
            text = self.texts.text_connection(read, definition, alias, field_nodes)
            index = layout.slot()
            layout.texts[index] = [text]
            return nodes.Text(index)
        connection = self._connection(read, definition, field_nodes)
        connection.parent = f"{alias}.id"
        index = layout.slot()
        layout.nested[index] = connection
        total_index = None
        if connection.has_total:
            total_index = layout.slot()
            layout.totals[total_index] = connection
        return nodes.Nested(connection, index, total_index)

    def _connection(
        self, read: reads.ConnectionRead, definition: GraphQLField, field_nodes: Sequence[FieldNode]
    ) -> nodes.Connection:
        connection = self._bare_connection(read, definition, field_nodes[0])
        connection.id_index = connection.layout.index(f"{connection.alias}.id")
        type_ = self._object_type(get_named_type(definition.type).name)
        for key, merged in self.selection.collect([node.selection_set for node in field_nodes], type_).items():
            connection.fields[key] = self._connection_part(connection, merged, type_)
        return connection

    def _bare_connection(
        self, read: reads.ConnectionRead, definition: GraphQLField, node: FieldNode
    ) -> nodes.Connection:
        """A connection of which nothing is selected yet."""
        if len(self.connections) >= CONNECTIONS_MAX:
            raise UnsupportedError("the document has many connections")
        if read.action is not None:
            self.actions.add(read.action)
        arguments = Arguments(definition, node)
        connection = nodes.Connection(read, ENTITIES[read.entity], arguments, self._alias(), len(self.connections))
        self.connections.append(connection)
        return connection

    def _connection_part(
        self, connection: nodes.Connection, field_nodes: Sequence[FieldNode], type_: GraphQLObjectType
    ) -> nodes.ConnectionPart:
        name = field_nodes[0].name.value
        sets = [node.selection_set for node in field_nodes]
        match name:
            case "__typename":
                return nodes.ConnectionPart(name, {"": nodes.Constant(repr(type_.name))})
            case "totalCount":
                connection.has_total = True
                return nodes.ConnectionPart(name)
            case "nodes":
                return nodes.ConnectionPart(name, {"": self._connection_row(connection, field_nodes)})
            case "edges":
                edge = self._object_type(get_named_type(type_.fields["edges"].type).name)
                fields: dict[str, Any] = {}
                for key, merged in self.selection.collect(sets, edge).items():
                    fields[key] = self._edge_part(connection, merged, edge)
                return nodes.ConnectionPart(name, fields)
            case "pageInfo":
                page_info = self._object_type("PageInfo")
                collected = self.selection.collect(sets, page_info)
                names = {key: merged[0].name.value for key, merged in collected.items()}
                if not {"startCursor", "endCursor"}.isdisjoint(names.values()):
                    self._need_cursor(connection)
                return nodes.ConnectionPart(name, names)
        raise UnsupportedError(f"the field {type_.name}.{name}")

    def _edge_part(
        self, connection: nodes.Connection, field_nodes: Sequence[FieldNode], edge: GraphQLObjectType
    ) -> nodes.Row | nodes.Text | nodes.Constant | str:
        name = field_nodes[0].name.value
        if name == "node":
            return self._connection_row(connection, field_nodes)
        if name == "cursor":
            self._need_cursor(connection)
            return name
        return nodes.Constant(repr(edge.name))

    def _connection_row(self, connection: nodes.Connection, field_nodes: Sequence[FieldNode]) -> nodes.Row | nodes.Text:
        return self._row_or_text(connection.entity, connection.alias, connection.layout, field_nodes)

    def _need_cursor(self, connection: nodes.Connection) -> None:
        if connection.key_slot is None:
            connection.key_slot = connection.layout.slot()

    def _object_type(self, name: str) -> GraphQLObjectType:
        type_ = self.schema.get_type(name)
        if not isinstance(type_, GraphQLObjectType):
            raise UnsupportedError(f"{name} is no object type")
        return type_

    def _alias(self) -> str:
        self._aliases += 1
        return f"t{self._aliases}"
