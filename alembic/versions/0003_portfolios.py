"""Portfolios

Revision ID: 0003
Revises: 0002
"""

import sqlalchemy as sa
from alembic import op

from api.db import row_security

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    create_tables()
    statements = [
        *row_security.protect_tenant_table("portfolios", application="SELECT, INSERT, UPDATE"),
        *row_security.protect_tenant_table("portfolio_funds", application="SELECT, INSERT, UPDATE"),
        *row_security.protect_tenant_table("holding_statements", application="SELECT, INSERT"),
    ]
    for statement in statements:
        op.execute(statement)


def create_tables() -> None:
    op.create_table(
        "portfolios",
        sa.Column("organization_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("version", sa.BigInteger(), server_default=sa.text("1"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("currency", sa.String(), nullable=False),
        sa.CheckConstraint("currency ~ '^[A-Z]{3}$'", name=op.f("portfolios_currency_check")),
        sa.CheckConstraint("length(name) BETWEEN 1 AND 200", name=op.f("portfolios_name_check")),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("portfolios_organization_id_fkey")
        ),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("portfolios_pkey")),
        sa.UniqueConstraint("organization_id", "name", name=op.f("portfolios_organization_id_name_key")),
    )
    op.create_table(
        "portfolio_funds",
        sa.Column("organization_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("version", sa.BigInteger(), server_default=sa.text("1"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("portfolio_id", sa.BigInteger(), nullable=False),
        sa.Column("fund_id", sa.BigInteger(), nullable=False),
        sa.Column("commitment_cents", sa.BigInteger(), nullable=True),
        sa.Column("status", sa.String(), server_default=sa.text("'ACTIVE'"), nullable=False),
        sa.CheckConstraint("status IN ('ACTIVE', 'CLOSED')", name=op.f("portfolio_funds_status_check")),
        sa.CheckConstraint("commitment_cents >= 0", name=op.f("portfolio_funds_commitment_check")),
        sa.ForeignKeyConstraint(
            ["organization_id", "fund_id"],
            ["funds.organization_id", "funds.id"],
            name=op.f("portfolio_funds_organization_id_fund_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "portfolio_id"],
            ["portfolios.organization_id", "portfolios.id"],
            name=op.f("portfolio_funds_organization_id_portfolio_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("portfolio_funds_organization_id_fkey")
        ),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("portfolio_funds_pkey")),
        sa.UniqueConstraint(
            "organization_id",
            "portfolio_id",
            "fund_id",
            name=op.f("portfolio_funds_organization_id_portfolio_id_fund_id_key"),
        ),
    )
    op.create_index("portfolio_funds_fund_idx", "portfolio_funds", ["organization_id", "fund_id", "id"], unique=False)
    op.create_index(
        "portfolio_funds_portfolio_idx",
        "portfolio_funds",
        ["organization_id", "portfolio_id", "id"],
        unique=False,
    )
    op.create_table(
        "holding_statements",
        sa.Column("organization_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("holding_id", sa.BigInteger(), nullable=False),
        sa.Column("as_of", sa.Date(), nullable=False),
        sa.Column("committed_cents", sa.BigInteger(), nullable=True),
        sa.Column("paid_in_cents", sa.BigInteger(), nullable=True),
        sa.Column("distributed_cents", sa.BigInteger(), nullable=True),
        sa.Column("nav_cents", sa.BigInteger(), nullable=True),
        sa.Column("reported_irr", sa.Numeric(precision=10, scale=6), nullable=True),
        sa.Column("reported_multiple", sa.Numeric(precision=10, scale=6), nullable=True),
        sa.Column("version", sa.BigInteger(), server_default=sa.text("1"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("committed_cents >= 0", name=op.f("holding_statements_committed_check")),
        sa.CheckConstraint("paid_in_cents >= 0", name=op.f("holding_statements_paid_in_check")),
        sa.ForeignKeyConstraint(
            ["organization_id", "holding_id"],
            ["portfolio_funds.organization_id", "portfolio_funds.id"],
            name=op.f("holding_statements_organization_id_holding_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("holding_statements_organization_id_fkey")
        ),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("holding_statements_pkey")),
        sa.UniqueConstraint(
            "organization_id",
            "holding_id",
            "as_of",
            name=op.f("holding_statements_organization_id_holding_id_as_of_key"),
        ),
    )


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    op.drop_table("holding_statements")
    op.drop_table("portfolio_funds")
    op.drop_table("portfolios")
