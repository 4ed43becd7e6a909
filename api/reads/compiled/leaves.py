"""Columns as leaves of an answer: which are written as they come, and which PostgreSQL converts."""

from graphql import GraphQLField, get_named_type, get_nullable_type, is_leaf_type, is_non_null_type

from api.reads.compiled import nodes
from api.reads.compiled.selection import UnsupportedError
from api.reads.compiled.texts import CONVERTED_TYPES
from api.reads.declarations import Entity

PASSED_TYPES = frozenset({"String", "Int", "Boolean", "CurrencyCode", "Date", "JSON", "ID"})
"""Leaves that are written as PostgreSQL and asyncpg give them: orjson writes dates as the schema does."""
TEXT_TYPES = frozenset({"Cents", "BigInt"})


def column_value(
    entity: Entity, expression: str, column: str, layout: nodes.Layout, definition: GraphQLField
) -> nodes.Value:
    """The leaf that shows a column of a level; raises UnsupportedError for what the resolvers must answer."""
    if not is_leaf_type(get_nullable_type(definition.type)):
        raise UnsupportedError(f"a column shown as {definition.type}")
    if is_non_null_type(definition.type) and entity.table.columns[column].nullable:
        raise UnsupportedError(f"{column} may be null and must not be")
    leaf = get_named_type(definition.type)
    if leaf.name in TEXT_TYPES:
        return nodes.Value(layout.index(f"{expression}::text"))
    if leaf.name in CONVERTED_TYPES:
        return nodes.Value(layout.index(CONVERTED_TYPES[leaf.name].format(expression)))
    if leaf.name in PASSED_TYPES or hasattr(leaf, "values"):
        return nodes.Value(layout.index(expression))
    raise UnsupportedError(f"a column shown as {leaf.name}")
