"""The SQL of filters and sort orders: conditions on one column, and the keys that cursors can hold."""

from typing import Any

from sqlalchemy import Column, Date, DateTime, Integer, Numeric
from sqlalchemy.types import TypeEngine
from sqlmodel import SQLModel
from sqlmodel.sql.sqltypes import AutoString

from api.reads import global_ids
from api.reads.declarations import Condition, SortKey, table_of


def any_of(column: str, type_name: str) -> Condition:
    """The column is one of the values."""
    return Condition(column, "{column} = ANY ({value})", f"{type_name}[]")


def at_least(column: str, type_name: str) -> Condition:
    """The column is the value or more."""
    return Condition(column, "{column} >= {value}", type_name)


def at_most(column: str, type_name: str) -> Condition:
    """The column is the value or less."""
    return Condition(column, "{column} <= {value}", type_name)


def of(column: str, entity: str) -> Condition:
    """The column points at the row of ``entity`` with this global id; at none where that is malformed."""
    # No row has the id 0.
    return Condition(
        column,
        "{column} = {value}",
        "bigint",
        lambda given: None if given is None else global_ids.decode_as(entity, given) or 0,
    )


def contains(column: str) -> Condition:
    """The column holds the text, in any case."""
    return Condition(column, "strpos(lower({column}), lower({value})) > 0", "text")


_SORTABLE: tuple[tuple[type[TypeEngine[Any]], str], ...] = (
    (Integer, "bigint"),
    (AutoString, "text"),
    (Date, "date"),
    (DateTime, "timestamptz"),
    (Numeric, "numeric"),
)


def sort_key(table: type[SQLModel], name: str) -> SortKey:
    """The sort key of a table's column; raises TypeError for a type that no cursor can hold."""
    column: Column[Any] = table_of(table).columns[name]
    for sortable, type_name in _SORTABLE:
        if isinstance(column.type, sortable):
            return SortKey(column.name, type_name, bool(column.nullable))
    raise TypeError(f"{column} cannot be ordered by")
