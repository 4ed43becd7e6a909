"""An index of all that capital sources were set to

Revision ID: 0011
Revises: 0010
"""

from alembic import op

from api.db import online_changes

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

NAME = "capital_history_latest_idx"
DEFINITION = (
    "capital_history (organization_id, source_id, effective_on, sequence)"
    " INCLUDE (action, available_cents, annual_rate)"
)


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    with online_changes.statement_by_statement():
        online_changes.create_index(NAME, DEFINITION)


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    with online_changes.statement_by_statement():
        online_changes.drop_index(NAME)
