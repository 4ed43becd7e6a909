"""What the latest writes have changed of a fund's metrics

Made for a table that is in use. Every statement is a transaction of its own: all of it can run again.

Revision ID: 0016
Revises: 0015
"""

from alembic import op

from api.db import online_changes

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

TABLE = "fund_metrics_versions"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    with online_changes.statement_by_statement():
        online_changes.change(f"ALTER TABLE {TABLE} ADD COLUMN IF NOT EXISTS changes text NOT NULL DEFAULT ''")
        # Rows of a kilobyte that change all the time: their next versions find room beside them.
        online_changes.change(f"ALTER TABLE {TABLE} SET (fillfactor = 50)")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    with online_changes.statement_by_statement():
        online_changes.change(f"ALTER TABLE {TABLE} DROP COLUMN IF EXISTS changes")
        online_changes.change(f"ALTER TABLE {TABLE} RESET (fillfactor)")
