"""The shapes of values that Python has made: what batches answer and computed fields give."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphql import (
    FieldNode,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
    is_object_type,
)

from api.reads import declarations as reads
from api.reads.compiled import nodes
from api.reads.compiled.selection import Selection, UnsupportedError


@dataclass(frozen=True, slots=True)
class DeclaredFields:
    """What the schema's fields read, by type and field; ``attributes`` are those that show an attribute as it is."""

    reads: Mapping[tuple[str, str], reads.Read]
    attributes: Mapping[tuple[str, str], str]


@dataclass(slots=True)
class PlainCompiler:
    """Compiles shapes. ``defer_rows`` reserves the rows of an entity, by id, as a deferred field."""

    selection: Selection
    declared: DeclaredFields
    defer_rows: Callable[[str, Sequence[FieldNode]], int]

    def shape(self, type_: GraphQLOutputType, field_nodes: Sequence[FieldNode]) -> nodes.Shape:
        """The shape of a value, as the schema's type would write it."""
        if not isinstance(type_, GraphQLNonNull):
            return nodes.Nullable(self.shape(GraphQLNonNull(type_), field_nodes))
        inner: Any = type_.of_type
        if is_list_type(inner):
            return nodes.ListOf(self.shape(inner.of_type, field_nodes))
        if is_leaf_type(inner):
            return nodes.Leaf(inner.coerce_output_value)
        if not is_object_type(inner):
            raise UnsupportedError(f"a value of the type {inner}")
        collected = self.selection.collect([node.selection_set for node in field_nodes], inner)
        return nodes.Plain({key: self._attribute(inner, merged) for key, merged in collected.items()})

    def _attribute(self, type_: GraphQLObjectType, field_nodes: Sequence[FieldNode]) -> Any:
        name = field_nodes[0].name.value
        if name == "__typename":
            return nodes.Constant(repr(type_.name))
        attribute = self.declared.attributes.get((type_.name, name))
        definition = type_.fields[name]
        if attribute is not None:
            return attribute, self.shape(definition.type, field_nodes)
        match self.declared.reads.get((type_.name, name)):
            case reads.AttributeEdgeRead() as read if not is_non_null_type(definition.type):
                return nodes.PlainEdge(self.defer_rows(read.entity, field_nodes), read.attribute)
            case reads.ColumnRead(column):
                # Of a list of rows that a batch has found.
                return f"row[{column!r}]", self.shape(definition.type, field_nodes)
            case reads.GlobalIdRead():
                return "global_id", self.shape(definition.type, field_nodes)
        raise UnsupportedError(f"the field {type_.name}.{name}")
