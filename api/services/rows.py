"""Statements that several services share: insert one row, update one row under its optimistic lock."""

from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg

from api.errors import not_found, version_conflict
from api.services.commands import Command


async def insert(
    command: Command, table: str, values: Mapping[str, Any], *, unless_taken: Sequence[str] = ()
) -> asyncpg.Record | None:
    """The inserted row; None where another of the organization has the same of the columns ``unless_taken``."""
    columns = ["organization_id", *values]
    placeholders = ", ".join(f"${index}" for index in range(1, len(columns) + 1))
    # With its columns: an id that is taken, for its sequence is behind, is something else.
    key = ", ".join(("organization_id", *unless_taken))
    conflict = f" ON CONFLICT ({key}) DO NOTHING" if unless_taken else ""
    row = await command.connection.fetchrow(
        f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({placeholders}){conflict} RETURNING *",
        command.organization_id,
        *values.values(),
    )
    if row is not None:
        command.wrote(table, row)
    return row


async def insert_one(command: Command, table: str, values: Mapping[str, Any]) -> int:
    """The id of the inserted row."""
    row = await insert(command, table, values)
    if row is None:
        raise AssertionError("an insert without ON CONFLICT returns its row")
    row_id: int = row["id"]
    return row_id


async def exists(command: Command, table: str, row_id: int, *, field: str, noun: str) -> None:
    """Raises Refused (NOT_FOUND) that names ``field`` where there is no such row."""
    found = await command.connection.fetchval(
        f"SELECT 1 FROM {table} WHERE organization_id = $1 AND id = $2", command.organization_id, row_id
    )
    if found is None:
        raise not_found(field, noun)


async def lock(
    command: Command, table: str, row_id: int, *, field: str, noun: str, expected_version: int | None = None
) -> asyncpg.Record:
    """The row, which nobody else changes until the commit.

    Raises Refused: NOT_FOUND that names ``field``, or VERSION_CONFLICT with both versions.
    """
    row = await command.connection.fetchrow(
        f"SELECT * FROM {table} WHERE organization_id = $1 AND id = $2 FOR NO KEY UPDATE",
        command.organization_id,
        row_id,
    )
    if row is None:
        raise not_found(field, noun)
    if expected_version is not None and row["version"] != expected_version:
        raise version_conflict(expected_version, row["version"])
    return row


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
        command.wrote(table, row)
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
