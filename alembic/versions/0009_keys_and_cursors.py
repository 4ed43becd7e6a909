"""Idempotency keys and cursors of lots, snapshots and allocations

Made for tables that are full and in use. Every statement is a transaction of its own: all of it can run again.

Revision ID: 0009
Revises: 0008
"""

from alembic import op

from api.db import online_changes

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

TABLES = {
    "forecast_snapshots": ("fund", "snapshot_at"),
    "investment_lots": ("investment", "created_at"),
    "reserve_allocations": ("snapshot", "created_at"),
}
"""By table: what a key is unique within, and the time by which pages go."""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    with online_changes.statement_by_statement():
        for table, (scope, time) in TABLES.items():
            check = f"{table}_idem_key_len_check"
            online_changes.change(
                f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS idempotency_key text,"
                f" DROP CONSTRAINT IF EXISTS {check},"
                f" ADD CONSTRAINT {check} CHECK (length(idempotency_key) BETWEEN 1 AND 128) NOT VALID"
            )
            online_changes.validate(table, check)
            online_changes.create_index(
                f"{table}_{scope}_idem_key_idx",
                f"{table} (organization_id, {scope}_id, idempotency_key) WHERE idempotency_key IS NOT NULL",
                unique=True,
            )
            online_changes.create_index(
                f"{table}_cursor_idx", f"{table} (organization_id, {scope}_id, {time} DESC, id DESC)"
            )


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    with online_changes.statement_by_statement():
        for table, (scope, _time) in reversed(TABLES.items()):
            online_changes.drop_index(f"{table}_cursor_idx")
            online_changes.drop_index(f"{table}_{scope}_idem_key_idx")
            online_changes.change(
                f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {table}_idem_key_len_check,"
                " DROP COLUMN IF EXISTS idempotency_key"
            )
