"""The SQL of batch fields: an array of rows for one parent, as a column beside what else is selected of it."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from api.reads.declarations import BatchSelect
from api.reads.pages import Parameters


def batch_column(select: BatchSelect, key: str, arguments: Mapping[str, Any], parameters: Parameters) -> str:
    """The SQL of the column, for the parent whose id is ``key``."""
    bound = {name: parameters.add(arguments[name], type_name) for name, type_name in select.types.items()}
    return f"ARRAY({select.sql(arguments).format(organization=Parameters.ORGANIZATION, key=key, **bound)})"


def batch_parameters(select: BatchSelect, arguments: Mapping[str, Any]) -> list[Any]:
    """The parameters that ``batch_column`` adds, in its order."""
    return [arguments[name] for name in select.types]


def batch_shape(select: BatchSelect, arguments: Mapping[str, Any]) -> Hashable:
    """What the SQL depends on: batches of one shape differ in their parameters alone."""
    return tuple(value for name, value in sorted(arguments.items()) if name not in select.types)


def batch_sql(
    select: BatchSelect, arguments: Mapping[str, Any], organization_id: int, keys: Sequence[Any]
) -> tuple[str, list[Any]]:
    """One statement for the parents with these ids: rows of (id, array of rows)."""
    parameters = Parameters(organization_id)
    ids = parameters.add(list(keys), "bigint[]")
    column = batch_column(select, "parent.key", arguments, parameters)
    return f"SELECT parent.key, {column} FROM unnest({ids}) AS parent(key)", parameters
