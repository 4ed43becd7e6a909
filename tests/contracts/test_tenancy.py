"""Organizations are kept apart in the database itself: what its catalog says of tables, keys, policies and roles."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from tests.contracts.privileges import (
    APPLICATION_TABLES,
    COLUMNS_TO_UPDATE,
    FOREIGN_KEYS,
    MAY_AUTHENTICATE_BY,
    OTHER_KEYS,
    PRIVILEGES,
    SEQUENCES,
    TABLES,
)

GRANTS = """
SELECT grantee.rolname AS role, relation.relname AS relation, acl.privilege_type AS privilege
FROM pg_class AS relation
CROSS JOIN LATERAL (
  SELECT * FROM aclexplode(relation.relacl)
  UNION ALL
  SELECT exploded.* FROM pg_attribute AS attribute CROSS JOIN LATERAL aclexplode(attribute.attacl) AS exploded
  WHERE attribute.attrelid = relation.oid
) AS acl
LEFT JOIN pg_roles AS grantee ON grantee.oid = acl.grantee
WHERE relation.relnamespace = 'public'::regnamespace AND acl.grantee <> relation.relowner
"""

KEYS = """
SELECT indrelid::regclass::text AS relation, indexrelid::regclass::text AS name, indisprimary,
  (SELECT array_agg(a.attname::text ORDER BY n) FROM unnest(indkey::int2[]) WITH ORDINALITY AS k(attnum, n)
    JOIN pg_attribute AS a ON a.attrelid = indrelid AND a.attnum = k.attnum) AS columns
FROM pg_index JOIN pg_class ON pg_class.oid = indrelid AND relnamespace = 'public'::regnamespace WHERE indisunique
"""


@pytest.fixture
async def owner(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """The owner's connection to an empty migrated database."""
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


async def grants_of(owner: asyncpg.Connection, role: str | None) -> dict[str, set[str]]:
    """The privileges of a role (None: of everybody) on tables, columns and sequences, by relation."""
    granted: dict[str, set[str]] = {}
    for row in await owner.fetch(GRANTS):
        if row["role"] == role:
            granted.setdefault(row["relation"], set()).add(row["privilege"])
    return granted


async def test_tables_are_those_of_the_code_and_no_view_shows_them(owner: asyncpg.Connection) -> None:
    rows = await owner.fetch(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind NOT IN ('i', 'S')"
    )
    assert sorted(row["relname"] for row in rows) == sorted([*TABLES, "alembic_version"])


async def test_row_level_security_is_enabled_and_forced_everywhere(owner: asyncpg.Connection) -> None:
    rows = await owner.fetch("SELECT relname FROM pg_class WHERE relrowsecurity AND relforcerowsecurity")
    assert sorted(row["relname"] for row in rows) == TABLES


async def test_one_policy_bounds_the_application_on_each_table(owner: asyncpg.Connection) -> None:
    """Permissive policies add up: a second one, or one for everybody, would widen what the first admits."""
    rows = await owner.fetch(
        "SELECT tablename, permissive, roles, cmd, qual, with_check FROM pg_policies WHERE roles && $1",
        ["tranche_app", "public"],
    )
    assert sorted(row["tablename"] for row in rows) == APPLICATION_TABLES
    for row in rows:
        assert (row["permissive"], list(row["roles"]), row["cmd"]) == ("PERMISSIVE", ["tranche_app"], "ALL")
        # Without a check of its own, the condition holds for what is written, too.
        assert row["with_check"] is None
        assert "NULLIF(current_setting('app.organization_id'::text, true), ''::text)" in row["qual"]


async def test_policies_of_other_roles_are_those_of_authentication_and_maintenance(owner: asyncpg.Connection) -> None:
    rows = await owner.fetch("SELECT tablename, roles, cmd FROM pg_policies WHERE NOT roles && '{tranche_app}'")
    found = sorted((row["tablename"], *row["roles"], row["cmd"]) for row in rows)
    assert found == sorted(
        [(table, "tranche_maintenance", "ALL") for table in TABLES]
        + [(table, "tranche_auth", command) for table, commands in MAY_AUTHENTICATE_BY.items() for command in commands]
    )


async def test_keys_carry_the_organization(owner: asyncpg.Connection) -> None:
    keys = await owner.fetch(KEYS)
    primary = {row["relation"]: row["columns"] for row in keys if row["indisprimary"]}
    expected = {table: OTHER_KEYS.get(table, ["organization_id", "id"]) for table in TABLES}
    assert primary == expected | {"alembic_version": ["version_num"]}
    unscoped = [row["name"] for row in keys if row["columns"][0] != "organization_id"]
    assert sorted(unscoped) == [
        "alembic_version_pkc",
        "organizations_pkey",
        "organizations_slug_key",
        "refresh_tokens_pkey",
        "sessions_pkey",
        "sign_in_failures_pkey",
        "sign_in_throttles_pkey",
        "user_passwords_pkey",
        "users_email_key",
        "users_pkey",
    ]


async def test_foreign_keys_carry_the_organization_to_the_organization(owner: asyncpg.Connection) -> None:
    for key in await owner.fetch(FOREIGN_KEYS):
        pairs = dict(zip(key["columns"], key["target_columns"], strict=True))
        expected = {"organizations": "id", "users": None, "sessions": None}.get(key["target"], "organization_id")
        assert (key["conname"], pairs.get("organization_id")) == (key["conname"], expected)


async def test_nothing_happens_behind_a_statements_back(owner: asyncpg.Connection) -> None:
    """No triggers, no rules, no row deleted or blanked with another, no function with its owner's rights but these."""
    assert await owner.fetch("SELECT tgname FROM pg_trigger WHERE NOT tgisinternal") == []
    assert await owner.fetch("SELECT rulename FROM pg_rules WHERE schemaname = 'public'") == []
    assert {(key["confdeltype"], key["confupdtype"]) for key in await owner.fetch(FOREIGN_KEYS)} == {(b"a", b"a")}
    with_rights = "pronamespace = 'public'::regnamespace AND prosecdef"
    rows = await owner.fetch(
        f"SELECT proname, pg_get_userbyid(proowner) AS role FROM pg_proc WHERE {with_rights} ORDER BY 1"
    )
    of_sequences = ("repair_sequence", "reserve_ids", "sequence_health")
    assert [tuple(row) for row in rows] == [(name, "tranche_maintenance") for name in of_sequences]
    assert await owner.fetch("SELECT 1 FROM pg_event_trigger") == []


async def test_roles_may_do_what_is_stated_and_no_more(owner: asyncpg.Connection) -> None:
    assert set(PRIVILEGES) == {*APPLICATION_TABLES, "alembic_version"}
    assert await grants_of(owner, "tranche_app") == PRIVILEGES | SEQUENCES
    assert await grants_of(owner, "tranche_auth") == MAY_AUTHENTICATE_BY
    assert await grants_of(owner, "tranche_server") == {}
    assert await grants_of(owner, None) == {}
    assert await owner.fetch("SELECT 1 FROM pg_default_acl") == []
    work = {"SELECT", "INSERT", "UPDATE", "DELETE"}
    rows = await owner.fetch("SELECT sequencename FROM pg_sequences WHERE schemaname = 'public'")
    sequences = {row["sequencename"]: {"SELECT", "UPDATE", "USAGE"} for row in rows}
    assert await grants_of(owner, "tranche_maintenance") == dict.fromkeys(TABLES, work) | sequences


async def test_columns_that_may_be_updated_are_those_stated(owner: asyncpg.Connection) -> None:
    rows = await owner.fetch(
        """
        SELECT relation.relname, grantee.rolname, array_agg(attribute.attname::text) AS columns
        FROM pg_attribute AS attribute JOIN pg_class AS relation ON relation.oid = attribute.attrelid
        CROSS JOIN LATERAL aclexplode(attribute.attacl) AS acl JOIN pg_roles AS grantee ON grantee.oid = acl.grantee
        WHERE relation.relnamespace = 'public'::regnamespace AND acl.privilege_type = 'UPDATE' GROUP BY 1, 2
        """
    )
    assert {(row["relname"], row["rolname"]): set(row["columns"]) for row in rows} == COLUMNS_TO_UPDATE


async def test_functions_are_for_the_roles_that_need_them(owner: asyncpg.Connection) -> None:
    rows = await owner.fetch(
        """
        SELECT proname, coalesce(rolname, 'everybody') AS role FROM pg_proc
        CROSS JOIN LATERAL aclexplode(coalesce(proacl, acldefault('f', proowner))) AS acl
        LEFT JOIN pg_roles ON pg_roles.oid = acl.grantee
        WHERE pronamespace = 'public'::regnamespace AND acl.grantee <> proowner
        """
    )
    assert sorted((row["proname"], row["role"]) for row in rows) == [
        ("append_audit", "tranche_app"),
        ("append_audit", "tranche_maintenance"),
        ("log_reallocation_audit", "tranche_app"),
        ("repair_sequence", "tranche_app"),
        ("reserve_ids", "tranche_app"),
        ("sequence_health", "tranche_app"),
    ]


async def test_roles_of_the_server_own_nothing_and_bypass_nothing(owner: asyncpg.Connection) -> None:
    rows = await owner.fetch("SELECT * FROM pg_roles WHERE rolname ~ '^tranche_'")
    assert sorted(row["rolname"] for row in rows) == [
        "tranche_app",
        "tranche_auth",
        "tranche_maintenance",
        "tranche_server",
    ]
    powers = ("rolsuper", "rolbypassrls", "rolcreaterole", "rolcreatedb", "rolreplication")
    assert [(row["rolname"], power) for row in rows for power in powers if row[power]] == []
    assert [row["rolname"] for row in rows if row["rolcanlogin"]] == ["tranche_server"]
    owned = "SELECT classid::regclass, objid FROM pg_shdepend JOIN pg_roles ON refobjid = pg_roles.oid"
    # The functions of sequences are tranche_maintenance's, which nobody logs in as.
    others = "NOT (rolname = 'tranche_maintenance' AND classid = 'pg_proc'::regclass)"
    assert await owner.fetch(f"{owned} WHERE deptype = 'o' AND rolname ~ '^tranche_' AND {others}") == []
    members = await owner.fetch(
        "SELECT roleid::regrole::text AS role FROM pg_auth_members WHERE member IN"
        " (SELECT oid FROM pg_roles WHERE rolname ~ '^tranche_') ORDER BY 1"
    )
    assert [row["role"] for row in members] == ["tranche_app", "tranche_auth"]
    for role in ("tranche_app", "tranche_auth", "tranche_server"):
        assert not await owner.fetchval("SELECT has_schema_privilege($1, 'public', 'CREATE')", role)
