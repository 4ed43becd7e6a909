"""Migrations make the tables that the code declares, undo themselves, and leave what DOMAIN.md names."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateTable

from api.db import migrations
from api.db.pools import Database, PoolLimits
from api.errors import ConfigurationError
from api.tables import metadata
from tests.conftest import named
from tests.contracts.catalog import Catalog, catalog_of
from tests.contracts.verification import verify

ROOT = Path(__file__).parents[2]
SCRIPTS = ScriptDirectory.from_config(Config(ROOT / "alembic.ini"))
REVISIONS = [script.revision for script in SCRIPTS.walk_revisions()][::-1]
DERIVED = ("columns", "constraints", "indexes")
"""What the tables in the code decide of a database; the rest is the migrations' own."""


@pytest.fixture
async def empty_url(template_url: str) -> AsyncIterator[str]:
    """The owner's URL of a database that was never migrated, in the cluster of the migrated ones."""
    maintenance = await asyncpg.connect(named(template_url, "postgres"))
    await maintenance.execute("CREATE DATABASE never_migrated TEMPLATE template0")
    yield named(template_url, "never_migrated")
    await maintenance.execute("DROP DATABASE never_migrated WITH (FORCE)")
    await maintenance.close()


async def apart(work: Callable[..., None], *arguments: str) -> None:
    """Alembic runs its own event loop, so it gets a thread."""
    await asyncio.to_thread(work, *arguments)


def test_revisions_are_one_line() -> None:
    assert SCRIPTS.get_bases() == REVISIONS[:1]
    assert SCRIPTS.get_heads() == REVISIONS[-1:]
    assert migrations.newest_revision() == REVISIONS[-1]


async def test_downgrade_to_base_and_upgrade_again_is_the_same_schema(empty_url: str, template_url: str) -> None:
    untouched = await catalog_of(empty_url)
    await apart(migrations.upgrade, empty_url)
    migrated = await catalog_of(empty_url)
    assert migrated == await catalog_of(template_url)
    await apart(migrations.downgrade, empty_url, "base")
    assert await catalog_of(empty_url) == untouched
    await apart(migrations.upgrade, empty_url)
    assert await catalog_of(empty_url) == migrated


async def test_every_revision_undoes_exactly_itself(empty_url: str) -> None:
    before: dict[str, Catalog] = {}
    for revision in REVISIONS:
        before[revision] = await catalog_of(empty_url)
        await apart(migrations.upgrade, empty_url, revision)
    for revision in reversed(REVISIONS):
        await apart(migrations.downgrade, empty_url, "-1")
        assert (revision, await catalog_of(empty_url)) == (revision, before[revision])


async def test_downgrade_works_with_rows_in_the_tables(empty_url: str) -> None:
    await apart(migrations.upgrade, empty_url)
    connection = await asyncpg.connect(empty_url)
    await connection.execute("INSERT INTO organizations (name, slug) VALUES ('Alpha', 'alpha')")
    await connection.execute("INSERT INTO funds (organization_id, name, currency) VALUES (1, 'Fund I', 'USD')")
    await connection.close()
    await apart(migrations.downgrade, empty_url, "base")
    assert (await catalog_of(empty_url))["tables"] == []


async def test_alembic_finds_nothing_to_change(database_url: str) -> None:
    await apart(migrations.check, database_url)


async def test_tables_in_the_code_make_the_same_columns_constraints_and_indexes(
    empty_url: str, template_url: str
) -> None:
    """Alembic's own check compares neither check constraints nor defaults."""
    connection = await asyncpg.connect(empty_url)
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    for table in metadata.sorted_tables:
        await connection.execute(str(CreateTable(table).compile(dialect=dialect)))
        for column in table.columns:
            # CREATE TABLE takes it from PostgreSQL 16 on.
            if "storage" in column.info:
                storage = f"ALTER COLUMN {column.name} SET STORAGE {column.info['storage']}"
                await connection.execute(f"ALTER TABLE {table.name} {storage}")
        for index in table.indexes:
            await connection.execute(str(CreateIndex(index).compile(dialect=dialect)))
    await connection.close()
    declared, migrated = await catalog_of(empty_url), await catalog_of(template_url)
    assert {kind: declared[kind] for kind in DERIVED} == {kind: migrated[kind] for kind in DERIVED}


@pytest.mark.parametrize("path", sorted((ROOT / "alembic/versions").glob("*.py")), ids=lambda path: path.stem)
def test_migration_waits_for_locks_only_so_long(path: Path) -> None:
    text = path.read_text()
    for function in ("upgrade", "downgrade"):
        assert re.search(rf"def {function}\(\) -> None:\n    op\.execute\(\"SET LOCAL lock_timeout = '3s'\"\)", text)


async def test_catalog_has_what_is_asked_of_it(database_url: str) -> None:
    await verify(database_url)


async def test_amounts_and_versions_are_bigint_and_nothing_is_a_float(database_url: str) -> None:
    columns = (await catalog_of(database_url))["columns"]
    wide = [line for line in columns if re.match(r"\S+(_cents|\bversion|_version|_count|\.sequence) ", line)]
    assert [line for line in wide if line.split()[1] != "bigint"] == []
    assert [
        line for line in columns if re.search(r" (real|double precision|money|json|timestamp without) ", line)
    ] == []


async def test_function_writes_the_history_it_is_given(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute("INSERT INTO organizations (name, slug) VALUES ('Alpha', 'alpha')")
    await connection.execute("INSERT INTO funds (organization_id, name, currency) VALUES (1, 'Fund I', 'USD')")
    log = "SELECT log_reallocation_audit(1, 1, NULL, $1, $2, $3::jsonb, 'Because.')"
    row_id = await connection.fetchval(log, 1, 2, '[{"company_id": 1}]')
    row = await connection.fetchrow("SELECT * FROM reallocation_audit")
    assert (row["id"], row["baseline_version"], row["new_version"], row["reason"]) == (row_id, 1, 2, "Because.")
    for refused in ((2, 2, '[{"company_id": 1}]'), (1, 2, "[]"), (1, 2, '{"company_id": 1}')):
        with pytest.raises(asyncpg.CheckViolationError):
            await connection.fetchval(log, *refused)
    await connection.close()


GRANT_SERVER_ROLES = "GRANT tranche_app, tranche_auth TO tested_login"
LOGINS = {
    "a superuser": (["ALTER ROLE tested_login SUPERUSER"], "is a superuser"),
    "a role that bypasses": (["ALTER ROLE tested_login BYPASSRLS"], "bypasses row-level security"),
    "the owner": (["ALTER TABLE funds OWNER TO tested_login"], "owns the tables"),
    "a member of the owner": (
        ["ALTER TABLE funds OWNER TO tested_group", "GRANT tested_group TO tested_login"],
        "owns the tables",
    ),
    "a member of a role that bypasses": (
        ["ALTER ROLE tested_group BYPASSRLS", "GRANT tested_group TO tested_login"],
        "bypasses row-level security",
    ),
    "a member of a superuser": (
        ["ALTER ROLE tested_group SUPERUSER", "GRANT tested_group TO tested_login"],
        "is a superuser",
    ),
    "maintenance": (["GRANT tranche_maintenance TO tested_login"], "is a member of tranche_maintenance"),
    "no member of the server's roles": (["REVOKE tranche_app FROM tested_login"], "cannot act as tranche_app"),
}
"""Logins that the server must not have: what makes them so, and how the refusal says it."""


@pytest.fixture
async def login(database_url: str) -> AsyncIterator[tuple[asyncpg.Connection, str]]:
    """The superuser's connection, and the URL of a login that may be given too much."""
    owner = await asyncpg.connect(database_url)
    await owner.execute("CREATE ROLE tested_group")
    await owner.execute("CREATE ROLE tested_login LOGIN NOINHERIT PASSWORD 'secret'")
    await owner.execute(GRANT_SERVER_ROLES)
    parts = urlsplit(database_url)
    yield owner, urlunsplit(parts._replace(netloc=f"tested_login:secret@{parts.netloc.rpartition('@')[2]}"))
    await owner.execute("REASSIGN OWNED BY tested_login, tested_group TO CURRENT_USER")
    await owner.execute("DROP OWNED BY tested_login, tested_group")
    await owner.execute("DROP ROLE tested_login, tested_group")
    await owner.close()


async def test_server_opens_its_pools_as_a_member_of_its_roles(login: tuple[asyncpg.Connection, str]) -> None:
    database = await Database.open(login[1], PoolLimits())
    assert await database.reads.fetchval("SELECT current_user::text") == "tranche_app"
    assert await database.authentication.fetchval("SELECT current_user::text") == "tranche_auth"
    await database.close()


@pytest.mark.parametrize("who", LOGINS)
async def test_server_refuses_to_open_its_pools_as(login: tuple[asyncpg.Connection, str], who: str) -> None:
    owner, url = login
    statements, message = LOGINS[who]
    for statement in statements:
        await owner.execute(statement)
    with pytest.raises(ConfigurationError, match=message):
        await Database.open(url, PoolLimits())


async def test_server_refuses_the_cluster_owners_login(database_url: str) -> None:
    with pytest.raises(ConfigurationError, match="is a superuser"):
        await Database.open(database_url, PoolLimits())


@pytest.mark.parametrize("role", ["tranche_app", "tranche_auth"])
async def test_server_refuses_a_role_of_its_own_that_bypasses(login: tuple[asyncpg.Connection, str], role: str) -> None:
    """Roles belong to the cluster: a migration takes one that is there already as it is."""
    owner, url = login
    await owner.execute(f"ALTER ROLE {role} BYPASSRLS")
    try:
        with pytest.raises(ConfigurationError, match="bypasses row-level security"):
            await Database.open(url, PoolLimits())
    finally:
        await owner.execute(f"ALTER ROLE {role} NOBYPASSRLS")
