"""Row-level security at work, in raw SQL: what the application's role sees and writes, whatever statement it sends."""

import asyncio
from collections.abc import Mapping

import asyncpg
import pytest

from api.db.pools import Database, PoolLimits, Snapshot
from api.db.provisioning import application_url
from api.tables import AUTHENTICATION_TABLES, metadata
from tests.contracts.answers_and_rows import contents
from tests.contracts.privileges import (
    APPLICATION_TABLES,
    COLUMNS_TO_FIND,
    COLUMNS_TO_UPDATE,
    FOREIGN_KEYS,
    GLOBAL_TABLES,
    MAY_AUTHENTICATE_BY,
    PRIVILEGES,
    TABLES,
    TENANT_TABLES,
    acting_as,
)
from tests.contracts.two_organizations import populate
from tests.server import RunningServer


async def counts(owner: asyncpg.Connection) -> dict[str, int]:
    """How many rows of each table the application's role sees."""
    return {table: await owner.fetchval(f"SELECT count(*) FROM {table}") for table in APPLICATION_TABLES}


async def test_no_organization_no_rows(server: RunningServer) -> None:
    await populate(server, "alpha")
    async with acting_as(server.owner, "tranche_app", None):
        assert await counts(server.owner) == dict.fromkeys(APPLICATION_TABLES, 0)


async def test_after_a_local_setting_has_ended_no_rows_and_no_error(server: RunningServer) -> None:
    await populate(server, "alpha")
    async with server.owner.transaction():
        await server.owner.execute(f"SET LOCAL app.organization_id = '{server.organization_ids['alpha']}'")
    assert await server.owner.fetchval("SELECT current_setting('app.organization_id', true)") == ""
    async with acting_as(server.owner, "tranche_app", None):
        assert await counts(server.owner) == dict.fromkeys(APPLICATION_TABLES, 0)


async def test_an_organization_sees_all_of_its_own_rows_and_no_others(server: RunningServer) -> None:
    owner, alpha = server.owner, server.organization_ids["alpha"]
    await populate(server, "alpha")
    everything = await contents(owner)
    await populate(server, "beta")
    scopes: Mapping[str, str] = {
        "organizations": f"id = {alpha}",
        "users": f"id IN (SELECT user_id FROM memberships WHERE organization_id = {alpha})",
    }
    own = {
        table: await owner.fetchval(
            f"SELECT count(*) FROM {table} WHERE {scopes.get(table, f'organization_id = {alpha}')}"
        )
        for table in APPLICATION_TABLES
    }
    assert min(own.values()) > 0, "populate() must add to every table"
    async with acting_as(owner, "tranche_app", alpha):
        assert await counts(owner) == own
        seen = await contents(owner, APPLICATION_TABLES)
    assert all(set(rows) <= set(everything[table]) for table, rows in seen.items())
    assert not any("beta" in row for rows in seen.values() for row in rows)


@pytest.mark.parametrize("table", TENANT_TABLES)
async def test_nothing_can_be_written_into_another_organization(server: RunningServer, table: str) -> None:
    owner, (alpha, beta) = server.owner, server.organization_ids.values()
    await populate(server, "alpha")
    await populate(server, "beta")
    columns = ", ".join(column.name for column in metadata.tables[table].columns if column.name != "organization_id")
    before = await contents(owner)
    own_row = await owner.fetchval(f"SELECT to_jsonb(t)::text FROM {table} t WHERE organization_id = $1 LIMIT 1", alpha)
    insert = (
        f"INSERT INTO {table} (organization_id, {columns})"
        f" SELECT $2, {columns} FROM jsonb_populate_record(NULL::{table}, $1::jsonb)"
    )
    async with acting_as(owner, "tranche_app", alpha):
        refusal = "row-level security" if "INSERT" in PRIVILEGES[table] else "permission denied"
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match=refusal):
            await owner.execute(insert, own_row, beta)
    columns_to_update = COLUMNS_TO_UPDATE.get((table, "tranche_app"))
    if columns_to_update:
        async with acting_as(owner, "tranche_app", alpha):
            touched = f"UPDATE {table} SET version = version WHERE organization_id = {beta}"
            assert await owner.execute(touched) == "UPDATE 0"
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied"):
                await owner.execute(f"UPDATE {table} SET organization_id = {beta}")
    elif "UPDATE" in PRIVILEGES[table]:
        async with acting_as(owner, "tranche_app", alpha):
            touched = f"UPDATE {table} SET organization_id = organization_id WHERE organization_id = {beta}"
            assert await owner.execute(touched) == "UPDATE 0"
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
                await owner.execute(f"UPDATE {table} SET organization_id = {beta}")
    for statement in ("UPDATE {} SET organization_id = organization_id", "DELETE FROM {}", "TRUNCATE {}"):
        if statement.split()[0] not in PRIVILEGES[table]:
            async with acting_as(owner, "tranche_app", alpha):
                with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied"):
                    await owner.execute(statement.format(table))
    assert await contents(owner) == before


async def test_no_row_can_point_at_another_organizations(server: RunningServer) -> None:
    """As the superuser, whom no policy holds: the foreign keys alone refuse it."""
    owner, (alpha, beta) = server.owner, server.organization_ids.values()
    await populate(server, "alpha")
    await populate(server, "beta")
    tried = []
    keys = await owner.fetch(FOREIGN_KEYS)
    for key in keys:
        if key["target"] in GLOBAL_TABLES:
            continue
        column, target_column = key["columns"][1], key["target_columns"][1]
        parent = await owner.fetchval(
            f"SELECT {target_column} FROM {key['target']} WHERE organization_id = $1 LIMIT 1", beta
        )
        # What points at the row and repeats the column holds it, too, and may say so first.
        repeated = [one["conname"] for one in keys if one["target"] == key["source"] and column in one["columns"]]
        row = f"(SELECT ctid FROM {key['source']} WHERE organization_id = $2 LIMIT 1)"
        with pytest.raises(asyncpg.ForeignKeyViolationError, match="|".join([key["conname"], *repeated])):
            await owner.execute(f"UPDATE {key['source']} SET {column} = $1 WHERE ctid = {row}", parent, alpha)
        tried.append(key["conname"])
    assert len(tried) == 30


async def test_authentication_does_to_tables_what_is_stated_and_no_more(server: RunningServer) -> None:
    await populate(server, "alpha")
    for table in TABLES:
        statements = {
            "SELECT": f"SELECT 1 FROM {table}",
            "INSERT": f"INSERT INTO {table} DEFAULT VALUES",
            "UPDATE": f"UPDATE {table} SET {metadata.tables[table].columns.keys()[0]} = DEFAULT",
            "DELETE": f"DELETE FROM {table}",
        }
        for command, statement in statements.items():
            if command in MAY_AUTHENTICATE_BY.get(table, ()) and command != "UPDATE":
                continue
            async with acting_as(server.owner, "tranche_auth", None):
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await server.owner.execute(statement)


@pytest.mark.parametrize("table", COLUMNS_TO_FIND)
async def test_authentication_finds_what_is_stated_of_a_table_and_no_more(server: RunningServer, table: str) -> None:
    await populate(server, "alpha")
    columns, found = COLUMNS_TO_FIND[table]
    if table == "idempotency_keys":
        await server.owner.execute("UPDATE idempotency_keys SET expires_at = now() WHERE mutation = 'createFund'")
    expected = await server.owner.fetchval(f"SELECT count(*) FROM {table} WHERE {found}")
    assert expected > 0
    async with acting_as(server.owner, "tranche_auth", None):
        assert len(await server.owner.fetch(f"SELECT {columns} FROM {table}")) == expected
    for column in set(metadata.tables[table].columns.keys()) - set(columns.split(", ")):
        async with acting_as(server.owner, "tranche_auth", None):
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied"):
                await server.owner.execute(f"SELECT {column} FROM {table}")


@pytest.mark.parametrize("table", sorted(AUTHENTICATION_TABLES))
async def test_application_cannot_reach_what_is_authentications(server: RunningServer, table: str) -> None:
    column = metadata.tables[table].columns.keys()[0]
    for statement in (
        f"SELECT 1 FROM {table}",
        f"INSERT INTO {table} DEFAULT VALUES",
        f"UPDATE {table} SET {column} = {column}",
        f"DELETE FROM {table}",
    ):
        async with acting_as(server.owner, "tranche_app", server.organization_ids["alpha"]):
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied"):
                await server.owner.execute(statement)


UNINVITED = {
    "a user": "INSERT INTO users (email) VALUES ('nobody@alpha.example')",
    "a member": "INSERT INTO memberships (organization_id, user_id, role) SELECT $1, id, 'ADMIN' FROM users"
    " WHERE email = 'admin@beta.example'",
    "a password": "INSERT INTO user_passwords (user_id, hash) SELECT id, 'x' FROM users"
    " WHERE email = 'admin@alpha.example' AND $1::bigint IS NOT NULL",
    "a session": "INSERT INTO sessions (organization_id, user_id, network, expires_at, idle_expires_at)"
    " SELECT $1, id, '', now(), now() FROM users WHERE email = 'admin@beta.example'",
}
"""What authentication may make where there is an invitation or a membership, and here is none."""


@pytest.mark.parametrize("what", UNINVITED)
async def test_authentication_makes_nothing_uninvited(server: RunningServer, what: str) -> None:
    await populate(server, "alpha")
    statement = UNINVITED[what]
    values = (server.organization_ids["alpha"],) if "$1" in statement else ()
    async with acting_as(server.owner, "tranche_auth", None):
        with pytest.raises(asyncpg.PostgresError, match="row-level security"):
            await server.owner.execute(statement, *values)


async def test_authentication_does_not_bring_back_what_has_ended(server: RunningServer) -> None:
    """Nor does it delete what goes on: sessions, their tokens, recent failures."""
    owner = server.owner
    await populate(server, "alpha")
    async with acting_as(owner, "tranche_auth", None):
        for table in ("refresh_tokens", "sessions", "sign_in_failures"):
            assert await owner.execute(f"DELETE FROM {table}") == "DELETE 0"
        assert await owner.execute("UPDATE sessions SET revoked_at = now(), revoked_for = 'SIGNED_OUT'") != "UPDATE 0"
        assert await owner.execute("UPDATE sessions SET revoked_at = NULL, revoked_for = NULL") == "UPDATE 0"
        await owner.execute("UPDATE refresh_tokens SET replaced_at = now()")
        assert await owner.execute("UPDATE refresh_tokens SET replaced_at = NULL") == "UPDATE 0"


OWN_ADDRESSES = "SELECT email FROM users ORDER BY email"
"""A statement that names no organization: what it shows is the policy's doing."""


def addresses(organization: str) -> list[str]:
    return [f"{role}@{organization}.example" for role in ("admin", "editor", "viewer")]


async def test_one_connection_serves_organizations_in_turn(server: RunningServer) -> None:
    """Inside a transaction and outside of one, after failures and cancelled statements: never the one before."""
    url = application_url(server.database_url, server.settings.state_dir)
    database = await Database.open(url, PoolLimits(read_connections_max=1))
    for _ in range(3):
        for organization, organization_id in server.organization_ids.items():
            snapshot = Snapshot(database, organization_id)
            alone = await snapshot.fetch_alone(OWN_ADDRESSES)
            within = await snapshot.fetch(OWN_ADDRESSES)
            await snapshot.renew()
            with pytest.raises(asyncpg.DivisionByZeroError):
                await snapshot.fetch_alone("SELECT 1 / 0")
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(snapshot.fetch("SELECT pg_sleep(10)"), 0.05)
            await snapshot.close()
            again = await snapshot.fetch_alone(OWN_ADDRESSES)
            for rows in (alone, within, again):
                assert [row["email"] for row in rows] == addresses(organization)
    await database.close()


async def test_write_connection_given_back_belongs_to_no_organization(server: RunningServer) -> None:
    await populate(server, "alpha")
    for _ in range(server.settings.write_connections_max):
        async with server.database.writes.lent() as connection:
            assert not await connection.fetchval("SELECT current_setting('app.organization_id', true)")
            assert await connection.fetchval("SELECT count(*) FROM funds") == 0
