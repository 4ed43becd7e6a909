"""Rate limits

Revision ID: 0005
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op

from api.db import row_security

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    op.create_table(
        "rate_limits",
        sa.Column("organization_id", sa.BigInteger(), nullable=False),
        sa.Column("caller", sa.String(), nullable=False),
        sa.Column("remaining", sa.Numeric(precision=20, scale=6), nullable=False),
        sa.Column("granted", sa.Numeric(precision=20, scale=6), nullable=False),
        sa.Column("refilled_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("length(caller) BETWEEN 1 AND 200", name=op.f("rate_limits_caller_check")),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("rate_limits_organization_id_fkey")
        ),
        sa.PrimaryKeyConstraint("organization_id", "caller", name=op.f("rate_limits_pkey")),
        prefixes=["UNLOGGED"],
    )
    for statement in row_security.protect_tenant_table("rate_limits", application="SELECT, INSERT, UPDATE"):
        op.execute(statement)


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    op.drop_table("rate_limits")
