"""Passwords that their owners change, and rate limits that are forgotten

Revision ID: 0006
Revises: 0005
"""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    op.execute("GRANT UPDATE (changed_at) ON user_passwords TO tranche_auth")
    op.execute("GRANT DELETE ON rate_limits TO tranche_app")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    op.execute("REVOKE DELETE ON rate_limits FROM tranche_app")
    op.execute("REVOKE UPDATE (changed_at) ON user_passwords FROM tranche_auth")
