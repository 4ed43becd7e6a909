"""Filters and sort orders of connections, declared as Strawberry inputs whose fields say what they compare.

A filter's field is made by ``any_of``, ``contains`` and so on; the values of a sort order's enum are columns.
"""

from typing import Any

import strawberry
from sqlmodel import SQLModel
from strawberry.types.base import get_object_definition
from strawberry.types.enum import StrawberryEnumDefinition
from strawberry.types.field import StrawberryField
from strawberry.utils.str_converters import to_camel_case

from api.reads import filters
from api.reads.declarations import Condition, SortKey


def any_of(column: str, description: str, type_name: str = "text") -> Any:
    """A filter field: the column is one of the values."""
    return _field(filters.any_of(column, type_name), description)


def at_least(column: str, description: str, type_name: str, *, name: str | None = None) -> Any:
    """A filter field: the column is the value or more."""
    return _field(filters.at_least(column, type_name), description, name)


def at_most(column: str, description: str, type_name: str) -> Any:
    """A filter field: the column is the value or less."""
    return _field(filters.at_most(column, type_name), description)


def of(column: str, entity: str, description: str) -> Any:
    """A filter field: the column points at the row of ``entity`` with this global id."""
    return _field(filters.of(column, entity), description)


def contains(column: str, description: str) -> Any:
    """A filter field: the column holds the text, in any case."""
    return _field(filters.contains(column), description)


def _field(condition: Condition, description: str, name: str | None = None) -> Any:
    return strawberry.field(default=None, description=description, name=name, metadata={"condition": condition})


def filter_values(given: Any) -> dict[str, Any]:
    """The values of a filter input by its fields' GraphQL names."""
    if given is None:
        return {}
    fields = get_object_definition(type(given), strict=True).fields
    return {_graphql_name(field): getattr(given, field.python_name) for field in fields}


def _graphql_name(field: StrawberryField) -> str:
    return field.graphql_name or to_camel_case(field.python_name)


def conditions(filter_type: Any) -> dict[str, Condition]:
    """The conditions of a filter input by its fields' GraphQL names; none where there is no filter."""
    if filter_type is None:
        return {}
    definition = get_object_definition(filter_type, strict=True)
    return {_graphql_name(field): field.metadata["condition"] for field in definition.fields}


def sort_keys(order_type: Any, table: type[SQLModel]) -> dict[str, SortKey]:
    """The sort keys of an order input by the names of its enum; none where there is no order."""
    if order_type is None:
        return {}
    fields = {field.python_name: field for field in get_object_definition(order_type, strict=True).fields}
    choices = fields["field"].type
    if not isinstance(choices, StrawberryEnumDefinition):
        raise TypeError(f"{order_type.__name__}.field is not an enum")
    return {choice.name: filters.sort_key(table, choice.value) for choice in choices.values}
