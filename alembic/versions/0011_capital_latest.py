"""An index of all that capital sources were set to

Revision ID: 0011
Revises: 0010
"""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

NAME = "capital_history_latest_idx"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    with op.get_context().autocommit_block():
        op.execute("SET lock_timeout = '3s'")
        # What a build that was broken off has left is INVALID, and in the way of the next one.
        op.drop_index(NAME, "capital_history", if_exists=True, postgresql_concurrently=True)
        op.create_index(
            NAME,
            "capital_history",
            ["organization_id", "source_id", "effective_on", "sequence"],
            postgresql_include=["action", "available_cents", "annual_rate"],
            postgresql_concurrently=True,
        )
        op.execute("RESET lock_timeout")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    op.drop_index(NAME, "capital_history")
