"""Filters and sort orders of connections, declared as Strawberry inputs whose fields say what they compare.

A filter's field is made by ``any_of``, ``contains`` and so on; the values of a sort order's enum are columns.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Any

import strawberry
from sqlalchemy import Column, Date, DateTime, Integer, Numeric
from sqlalchemy.types import TypeEngine
from sqlmodel.sql.sqltypes import AutoString
from strawberry.types.base import get_object_definition
from strawberry.types.enum import StrawberryEnumDefinition

from api.reads.declarations import Condition, SortKey


def any_of(name: str, description: str, type_name: str = "text") -> Any:
    """A filter field: the column is one of the values."""
    return _condition(name, "{column} = ANY ({value})", f"{type_name}[]", description)


def equals(name: str, description: str, type_name: str = "text") -> Any:
    """A filter field: the column is the value."""
    return _condition(name, "{column} = {value}", type_name, description)


def at_least(column: str, description: str, type_name: str, *, name: str | None = None) -> Any:
    """A filter field: the column is the value or more."""
    return _condition(column, "{column} >= {value}", type_name, description, name)


def at_most(name: str, description: str, type_name: str) -> Any:
    """A filter field: the column is the value or less."""
    return _condition(name, "{column} <= {value}", type_name, description)


def contains(name: str, description: str) -> Any:
    """A filter field: the column holds the text, in any case."""
    return _condition(name, "strpos(lower({column}), lower({value})) > 0", "text", description)


def _condition(column: str, sql: str, type_name: str, description: str, name: str | None = None) -> Any:
    condition = Condition(column, sql, type_name)
    return strawberry.field(default=None, description=description, name=name, metadata={"condition": condition})


def filter_values(given: Any) -> dict[str, Any]:
    """The values of a filter input by field, enums as their names."""
    if given is None:
        return {}
    return {name: _plain(value) for name, value in vars(given).items() if value is not None}


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value.name if isinstance(value, Enum) else value


def conditions(filter_type: Any) -> dict[str, Condition]:
    """The conditions of a filter input by field; none where there is no filter."""
    if filter_type is None:
        return {}
    definition = get_object_definition(filter_type, strict=True)
    return {field.python_name: field.metadata["condition"] for field in definition.fields}


def sort_keys(order_type: Any, columns: Mapping[str, Column[Any]]) -> dict[str, SortKey]:
    """The sort keys of an order input by the names of its enum; none where there is no order."""
    if order_type is None:
        return {}
    fields = {field.python_name: field for field in get_object_definition(order_type, strict=True).fields}
    choices = fields["field"].type
    if not isinstance(choices, StrawberryEnumDefinition):
        raise TypeError(f"{order_type.__name__}.field is not an enum")
    return {choice.name: sort_key(columns[choice.value]) for choice in choices.values}


_SORTABLE: tuple[tuple[type[TypeEngine[Any]], str], ...] = (
    (Integer, "bigint"),
    (AutoString, "text"),
    (Date, "date"),
    (DateTime, "timestamptz"),
    (Numeric, "numeric"),
)


def sort_key(column: Column[Any]) -> SortKey:
    """The sort key of a column; raises TypeError for a type that no cursor can hold."""
    for sortable, type_name in _SORTABLE:
        if isinstance(column.type, sortable):
            return SortKey(column.name, type_name, bool(column.nullable))
    raise TypeError(f"{column} cannot be ordered by")
