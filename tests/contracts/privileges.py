"""What the roles of the server may do, stated table by table, and acting as one of them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from api.tables import AUTHENTICATION_TABLES, metadata

GLOBAL_TABLES = {"organizations", "users"} | AUTHENTICATION_TABLES
OTHER_KEYS = {
    "organizations": ["id"],
    "users": ["id"],
    "audit_heads": ["organization_id"],
    "rate_limits": ["organization_id", "caller"],
    "business_rules": ["organization_id", "version"],
    "fund_metrics_versions": ["organization_id", "fund_id"],
    "user_passwords": ["user_id"],
    "sessions": ["id"],
    "refresh_tokens": ["hash"],
    "sign_in_throttles": ["email", "network"],
    "sign_in_failures": ["id"],
}
"""The primary keys that are not (organization_id, id)."""

APPEND = {"SELECT", "INSERT"}
CHANGE = APPEND | {"UPDATE"}
PRIVILEGES = {
    "alembic_version": {"SELECT"},
    "api_keys": CHANGE,
    "audit_events": APPEND,
    "audit_heads": {"SELECT", "UPDATE"},
    "benchmark_prices": CHANGE,
    "business_rules": APPEND,
    "capital_call_payments": APPEND,
    "capital_calls": CHANGE,
    "capital_history": APPEND,
    "capital_sources": CHANGE,
    "deal_allocations": CHANGE | {"DELETE"},
    "deals": CHANGE,
    "distributions": APPEND,
    "forecast_snapshots": CHANGE,
    "fund_metrics_versions": CHANGE,
    "funds": CHANGE,
    "holding_activity_log": CHANGE | {"DELETE"},
    "holding_statements": APPEND,
    "idempotency_keys": CHANGE | {"DELETE"},
    "investment_lots": CHANGE,
    "investments": CHANGE,
    "invitations": CHANGE,
    "memberships": {"SELECT", "UPDATE"},
    "organizations": {"SELECT", "UPDATE"},
    "portfolio_companies": CHANGE,
    "portfolio_fund_irr_values": CHANGE | {"DELETE"},
    "portfolio_fund_valuations": CHANGE | {"DELETE"},
    "portfolio_funds": CHANGE,
    "portfolio_irr_values": CHANGE | {"DELETE"},
    "portfolios": CHANGE,
    "rate_limits": CHANGE | {"DELETE"},
    "reallocation_audit": APPEND,
    "reserve_allocations": CHANGE,
    "users": {"SELECT"},
}
"""All that tranche_app may do, by table. What only takes INSERT is append-only."""

SEQUENCES: dict[str, set[str]] = {}
"""The sequences that tranche_app takes ids from: none but through reserve_ids, which holds the table."""

COLUMNS_TO_UPDATE = {
    ("organizations", "tranche_app"): {"version"},
    ("memberships", "tranche_app"): {"role", "version", "removed_at"},
    ("memberships", "tranche_auth"): {"role", "version", "removed_at"},
    ("api_keys", "tranche_auth"): {"last_used_at"},
    ("user_passwords", "tranche_auth"): {"hash", "changed_at"},
    ("sessions", "tranche_auth"): {"idle_expires_at", "revoked_at", "revoked_for"},
    ("refresh_tokens", "tranche_auth"): {"replaced_at"},
    ("sign_in_throttles", "tranche_auth"): {"attempts", "window_ends_at"},
}
"""Where the right to update is one to update these columns alone, by table and role."""

MAY_AUTHENTICATE_BY = {
    "organizations": {"SELECT"},
    "users": {"SELECT", "INSERT"},
    "memberships": {"SELECT", "INSERT", "UPDATE"},
    "invitations": {"SELECT"},
    "api_keys": {"SELECT", "UPDATE"},
    "user_passwords": CHANGE,
    "sessions": CHANGE | {"DELETE"},
    "refresh_tokens": CHANGE | {"DELETE"},
    "sign_in_throttles": CHANGE | {"DELETE"},
    "sign_in_failures": APPEND | {"DELETE"},
    "capital_calls": {"SELECT"},
    "forecast_snapshots": {"SELECT"},
    "idempotency_keys": {"SELECT"},
}
"""All that tranche_auth may do, by table."""

COLUMNS_TO_FIND = {
    "capital_calls": ("organization_id, next_check_on", "next_check_on IS NOT NULL"),
    "forecast_snapshots": ("organization_id, next_attempt_at", "next_attempt_at IS NOT NULL"),
    "idempotency_keys": ("organization_id, expires_at", "expires_at <= now()"),
}
"""Where the right of tranche_auth to read is one to read these columns of these rows alone."""

TABLES = sorted(metadata.tables)
APPLICATION_TABLES = sorted(set(TABLES) - AUTHENTICATION_TABLES)
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
