"""Statements that several services share: insert one row, update one row under its optimistic lock."""

from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg

from api.errors import not_found, version_conflict
from api.services.commands import Command


async def insert(
    command: Command, table: str, values: Mapping[str, Any], *, on_conflict_nothing: bool = False
) -> asyncpg.Record | None:
    """The inserted row; None where ``on_conflict_nothing`` and a unique key is taken."""
    columns = ["organization_id", *values]
    placeholders = ", ".join(f"${index}" for index in range(1, len(columns) + 1))
    conflict = " ON CONFLICT DO NOTHING" if on_conflict_nothing else ""
    return await command.connection.fetchrow(
        f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({placeholders}){conflict} RETURNING *",
        command.organization_id,
        *values.values(),
    )


async def update(
    command: Command, table: str, row_id: int, expected_version: int, values: Mapping[str, Any], *, noun: str
) -> asyncpg.Record:
    """The updated row, its version one up; raises Refused: NOT_FOUND, or VERSION_CONFLICT with both versions."""
    assignments = "".join(f", {column} = ${index}" for index, column in enumerate(values, start=4))
    row = await command.connection.fetchrow(
        f"UPDATE {table} SET version = version + 1, updated_at = now(){assignments}"
        " WHERE organization_id = $1 AND id = $2 AND version = $3 RETURNING *",
        command.organization_id,
        row_id,
        expected_version,
        *values.values(),
    )
    if row is not None:
        return row
    actual = await command.connection.fetchval(
        f"SELECT version FROM {table} WHERE organization_id = $1 AND id = $2", command.organization_id, row_id
    )
    if actual is None:
        raise not_found("id", noun)
    raise version_conflict(expected_version, actual)


def changed(
    before: Mapping[str, Any], after: Mapping[str, Any], columns: Sequence[str]
) -> tuple[dict[str, object], dict[str, object]]:
    """The values of the columns that differ, before and after."""
    names = [name for name in columns if before[name] != after[name]]
    return {name: before[name] for name in names}, {name: after[name] for name in names}
