"""Rows that are at hand, shown as a selection wants them, without asking the database."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from graphql import (
    FieldNode,
    GraphQLField,
    GraphQLObjectType,
    GraphQLSchema,
    get_named_type,
    get_nullable_type,
    is_leaf_type,
    is_non_null_type,
)

from api.reads import declarations as reads
from api.reads.compiled.leaves import PASSED_TYPES
from api.reads.compiled.plain import DeclaredFields
from api.reads.compiled.selection import Selection, UnsupportedError
from api.reads.declarations import ENTITIES, Record
from api.reads.global_ids import encode

Rows = Mapping[tuple[str, Any], Record]
"""Rows by the name of their entity and by id, with all their columns."""

Show = Callable[[Record, Rows], Any]
"""What is shown of a row, from it and from the others at hand. Raises KeyError for a row that is not among them."""


def show_row(
    schema: GraphQLSchema,
    declared: DeclaredFields,
    selection: Selection,
    entity: str,
    field_nodes: Sequence[FieldNode],
) -> Show:
    """A function that shows an entity's rows as these fields select them.

    Raises UnsupportedError where more is selected than columns, what is computed of them, and edges to one row.
    """
    type_ = schema.get_type(entity)
    if not isinstance(type_, GraphQLObjectType):
        raise UnsupportedError(f"{entity} is no object type")
    collected = selection.collect([node.selection_set for node in field_nodes], type_)
    shown = {key: _show_field(schema, declared, selection, type_, merged) for key, merged in collected.items()}
    return lambda row, rows: {key: show(row, rows) for key, show in shown.items()}


def _show_field(
    schema: GraphQLSchema,
    declared: DeclaredFields,
    selection: Selection,
    type_: GraphQLObjectType,
    field_nodes: Sequence[FieldNode],
) -> Show:
    name = field_nodes[0].name.value
    if name == "__typename":
        return lambda _row, _rows: type_.name
    definition = type_.fields[name]
    match declared.reads.get((type_.name, name)):
        case reads.GlobalIdRead():
            return lambda row, _rows: encode(type_.name, row["id"])
        case reads.ColumnRead(column):
            if is_non_null_type(definition.type) and ENTITIES[type_.name].table.columns[column].nullable:
                raise UnsupportedError(f"{column} may be null and must not be")
            write = _writer(definition)
            return lambda row, _rows: write(row[column])
        case reads.ComputedRead(_, compute):
            write = _writer(definition)
            return lambda row, _rows: write(compute(row))
        case reads.ToOneRead(target, column):
            show = show_row(schema, declared, selection, target, field_nodes)
            return lambda row, rows: None if row[column] is None else show(rows[target, row[column]], rows)
    raise UnsupportedError(f"the field {type_.name}.{name}")


def _writer(definition: GraphQLField) -> Callable[[Any], Any]:
    """What writes a leaf as the schema does."""
    leaf: Any = get_named_type(definition.type)
    if not is_leaf_type(get_nullable_type(definition.type)):
        raise UnsupportedError(f"a value shown as {definition.type}")
    if leaf.name in PASSED_TYPES or hasattr(leaf, "values"):
        return lambda value: value
    write: Callable[[Any], Any] = leaf.coerce_output_value
    return lambda value: None if value is None else write(value)
