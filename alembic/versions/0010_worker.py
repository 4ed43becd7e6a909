"""What a worker finds its work by

Revision ID: 0010
Revises: 0009
"""

from alembic import op

from api.db import row_security

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

FOUND = (
    ("forecast_snapshots", "next_attempt_at", "next_attempt_at IS NOT NULL"),
    ("idempotency_keys", "expires_at", "expires_at <= now()"),
)


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    # Before it works in an organization, a worker sees which have snapshots to be calculated, and when, and which have
    # keys that have expired.
    for table, time, found in FOUND:
        columns = f"organization_id, {time}"
        for statement in row_security.let_authentication_find(table, columns=columns, found=found):
            op.execute(statement)


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    for table, time, _found in FOUND:
        op.execute(f"REVOKE SELECT (organization_id, {time}) ON {table} FROM tranche_auth")
        op.execute(f"DROP POLICY authentication ON {table}")
