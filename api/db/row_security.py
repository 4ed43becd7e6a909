"""The statements that keep organizations apart, for migrations.

Past migrations call these: what they produce must not change. Write a new function instead.
"""

CURRENT_ORGANIZATION = "(select nullif(current_setting('app.organization_id', true), '')::bigint)"
"""The organization of the transaction; null, and so no row at all, where none was set."""


def protect_tenant_table(table: str, *, application: str) -> list[str]:
    """Row-level security for a table with an organization_id: forced, fail-closed.

    ``application`` lists the privileges of tranche_app, for example ``SELECT, INSERT``.
    """
    return [
        f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
        f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY",
        f"CREATE POLICY tenant ON {table} TO tranche_app USING (organization_id = {CURRENT_ORGANIZATION})",
        f"CREATE POLICY maintenance ON {table} TO tranche_maintenance USING (true)",
        f"GRANT {application} ON {table} TO tranche_app",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO tranche_maintenance",
    ]


def protect_global_table(table: str, *, visible: str, application: str) -> list[str]:
    """Row-level security for a table without an organization_id: tranche_app sees the rows that ``visible`` admits."""
    return [
        f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
        f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY",
        f"CREATE POLICY tenant ON {table} TO tranche_app USING ({visible})",
        f"CREATE POLICY maintenance ON {table} TO tranche_maintenance USING (true)",
        f"GRANT {application} ON {table} TO tranche_app",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO tranche_maintenance",
    ]


def let_authentication_read(table: str) -> list[str]:
    """Lets tranche_auth read a table across organizations: before one is known, that is how it is found."""
    return [
        f"CREATE POLICY authentication ON {table} FOR SELECT TO tranche_auth USING (true)",
        f"GRANT SELECT ON {table} TO tranche_auth",
    ]


def let_authentication_find(table: str, *, columns: str, found: str) -> list[str]:
    """Lets tranche_auth read some columns of the rows that ``found`` admits, across organizations."""
    return [
        f"CREATE POLICY authentication ON {table} FOR SELECT TO tranche_auth USING ({found})",
        f"GRANT SELECT ({columns}) ON {table} TO tranche_auth",
    ]
