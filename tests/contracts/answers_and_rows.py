"""What tests compare: raw answers, and the rows of all tables."""

from collections.abc import Iterable

import asyncpg

from api.domain.access import Role
from api.tables import metadata
from tests.contracts.operations import Operation
from tests.server import RunningServer

Contents = dict[str, list[str]]
"""Every row of every table, as text."""


async def ask(
    server: RunningServer, operation: Operation, organization: str = "alpha", role: Role | None = Role.ADMIN
) -> tuple[int, bytes]:
    """The status and the bytes of an answer, to a member of this role or to somebody without a token."""
    headers = {} if role is None else {"Authorization": f"Bearer {server.tokens[organization, role]}"}
    body = {"query": operation.query, "variables": operation.variables}
    response = await server.client.post("/graphql", json=body, headers=headers)
    return response.status_code, response.content


async def contents(owner: asyncpg.Connection, tables: Iterable[str] = tuple(metadata.tables)) -> Contents:
    """Every row of every table."""
    return {
        name: [row["text"] for row in await owner.fetch(f"SELECT t::text AS text FROM {name} t ORDER BY 1")]
        for name in tables
    }


async def rows_of(server: RunningServer, organization: str) -> Contents:
    """Every row of an organization in the tables of tenants."""
    return {
        name: [
            row["text"]
            for row in await server.owner.fetch(
                f"SELECT t::text AS text FROM {name} t WHERE organization_id = $1 ORDER BY 1",
                server.organization_ids[organization],
            )
        ]
        for name, table in metadata.tables.items()
        if "organization_id" in table.columns
    }


async def delete_rows_of(server: RunningServer, organization: str) -> None:
    """Deletes all that an organization has, itself and its members excepted."""
    of_organization = "session_id IN (SELECT id FROM sessions WHERE organization_id = $1)"
    await server.owner.execute(
        f"DELETE FROM refresh_tokens WHERE {of_organization}", server.organization_ids[organization]
    )
    for table in reversed(metadata.sorted_tables):
        if "organization_id" in table.columns and table.name != "memberships":
            statement = f"DELETE FROM {table.name} WHERE organization_id = $1"
            await server.owner.execute(statement, server.organization_ids[organization])


def added(before: Contents, after: Contents) -> Contents:
    """The rows of ``after`` that are not in ``before``, by table; tables without any left out."""
    new = {name: sorted(set(rows) - set(before[name])) for name, rows in after.items()}
    return {name: rows for name, rows in new.items() if rows}
