"""What the roles of the server may do, stated table by table, and acting as one of them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from api.tables import metadata

GLOBAL_TABLES = {"organizations", "users"}
OTHER_KEYS = {"organizations": ["id"], "users": ["id"], "audit_heads": ["organization_id"]}
"""The primary keys that are not (organization_id, id)."""

APPEND = {"SELECT", "INSERT"}
CHANGE = APPEND | {"UPDATE"}
PRIVILEGES = {
    "alembic_version": {"SELECT"},
    "audit_events": APPEND,
    "audit_heads": {"SELECT", "UPDATE"},
    "funds": CHANGE,
    "holding_statements": APPEND,
    "idempotency_keys": CHANGE,
    "memberships": {"SELECT"},
    "organizations": {"SELECT"},
    "portfolio_companies": CHANGE,
    "portfolio_funds": CHANGE,
    "portfolios": CHANGE,
    "reallocation_audit": APPEND,
    "users": {"SELECT"},
}
"""All that tranche_app may do, by table. What only takes INSERT is append-only."""

MAY_AUTHENTICATE_BY = {"organizations": {"SELECT"}, "users": {"SELECT"}, "memberships": {"SELECT"}}
"""All that tranche_auth may do, by table."""

TABLES = sorted(metadata.tables)
TENANT_TABLES = sorted(set(metadata.tables) - GLOBAL_TABLES)

FOREIGN_KEYS = """
SELECT conrelid::regclass::text AS source, confrelid::regclass::text AS target, confdeltype, confupdtype, conname,
  (SELECT array_agg(a.attname::text ORDER BY n) FROM unnest(conkey) WITH ORDINALITY AS k(attnum, n)
    JOIN pg_attribute AS a ON a.attrelid = conrelid AND a.attnum = k.attnum) AS columns,
  (SELECT array_agg(a.attname::text ORDER BY n) FROM unnest(confkey) WITH ORDINALITY AS k(attnum, n)
    JOIN pg_attribute AS a ON a.attrelid = confrelid AND a.attnum = k.attnum) AS target_columns
FROM pg_constraint WHERE contype = 'f' ORDER BY 1, 5
"""


@asynccontextmanager
async def acting_as(owner: asyncpg.Connection, role: str, organization_id: int | None) -> AsyncIterator[None]:
    """A transaction as a role of the server's, of an organization or of none, that is rolled back."""
    transaction = owner.transaction()
    await transaction.start()
    try:
        await owner.execute(f"SET LOCAL ROLE {role}")
        if organization_id is not None:
            await owner.execute(f"SET LOCAL app.organization_id = '{organization_id}'")
        yield
    finally:
        await transaction.rollback()
