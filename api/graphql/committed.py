"""Events of this process's own commits, answered from the rows that these have left, without asking the database."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    GraphQLObjectType,
    GraphQLSchema,
    OperationDefinitionNode,
    get_named_type,
)

from api.graphql.subscriptions import EVENT_EDGES, EVENT_FACTS
from api.reads.compiled.known import Rows, show_row
from api.reads.compiled.plain import DeclaredFields
from api.reads.compiled.selection import Selection, UnsupportedError
from api.reads.live.positions import Entry, encode_cursor

ShowEvent = Callable[[int, Entry], Mapping[str, Any]]
"""The data of the response to an event of an organization. Raises KeyError where a row is not at hand."""


def show_event(
    schema: GraphQLSchema,
    declared: DeclaredFields,
    document: DocumentNode,
    operation: OperationDefinitionNode,
    conditions: Mapping[str, Any],
) -> ShowEvent | None:
    """What answers the events of a subscription; None where it asks for more than rows at hand can tell.

    ``conditions`` are the values of the variables in its @skip and @include.
    """
    fragments = {
        definition.name.value: definition
        for definition in document.definitions
        if isinstance(definition, FragmentDefinitionNode)
    }
    selection = Selection(schema, fragments, conditions)
    root = schema.subscription_type
    if root is None:
        return None
    try:
        ((key, field_nodes),) = selection.collect([operation.selection_set], root).items()
        type_ = get_named_type(root.fields[field_nodes[0].name.value].type)
        if not isinstance(type_, GraphQLObjectType):
            return None
        collected = selection.collect([node.selection_set for node in field_nodes], type_)
        shown = {key: _show(schema, declared, selection, type_, merged) for key, merged in collected.items()}
    except (UnsupportedError, KeyError):
        return None
    return lambda organization_id, entry: {
        key: {key: show(organization_id, entry, entry.rows or {}) for key, show in shown.items()}
    }


def _show(
    schema: GraphQLSchema,
    declared: DeclaredFields,
    selection: Selection,
    type_: GraphQLObjectType,
    field_nodes: Sequence[FieldNode],
) -> Callable[[int, Entry, Rows], Any]:
    name = field_nodes[0].name.value
    if name == "__typename":
        return lambda _organization_id, _entry, _rows: type_.name
    if name == "cursor":
        return lambda organization_id, entry, _rows: encode_cursor(organization_id, entry.sequence)
    if (type_.name, name) in EVENT_FACTS:
        tell = EVENT_FACTS[type_.name, name]
        return lambda _organization_id, entry, _rows: tell(entry)
    if (type_.name, name) not in EVENT_EDGES:
        raise UnsupportedError(f"the field {type_.name}.{name}")
    entity, row_id = EVENT_EDGES[type_.name, name]
    show = show_row(schema, declared, selection, entity, field_nodes)

    def show_edge(_organization_id: int, entry: Entry, rows: Rows) -> Any:
        return show(rows[entity, row_id(entry)], rows)

    return show_edge
