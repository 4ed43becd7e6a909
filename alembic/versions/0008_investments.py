"""Investments and forecasts

Revision ID: 0008
Revises: 0007
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from api.db import online_changes, row_security

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

TABLES = ("investments", "investment_lots", "forecast_snapshots", "reserve_allocations")


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    with online_changes.statement_by_statement():
        online_changes.create_index(
            "portfolio_companies_fund_key", "portfolio_companies (organization_id, fund_id, id)", unique=True
        )
        online_changes.drop_index("portfolio_companies_fund_idx")
    op.execute("SET LOCAL lock_timeout = '3s'")
    create_investments()
    create_lots()
    create_snapshots()
    create_allocations()
    for table in TABLES:
        for statement in row_security.protect_tenant_table(table, application="SELECT, INSERT, UPDATE"):
            op.execute(statement)
    # Keys that have expired are deleted by whoever comes along.
    op.execute("GRANT DELETE ON idempotency_keys TO tranche_app")


def row_columns() -> list[sa.Column]:
    """What every versioned row of an organization has."""
    return [
        sa.Column("organization_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("version", sa.BigInteger(), server_default=sa.text("1"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
    ]


def keys(table: str) -> list[sa.Constraint]:
    """The primary key, and the foreign key to the organization."""
    return [
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"], name=op.f(f"{table}_organization_id_fkey")),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f(f"{table}_pkey")),
    ]


def points_at(table: str, target: str, *columns: str) -> sa.ForeignKeyConstraint:
    """A foreign key whose last column is the target's id; the others are of the same name there."""
    shared = ["organization_id", *columns[:-1]]
    return sa.ForeignKeyConstraint(
        ["organization_id", *columns],
        [f"{target}.{name}" for name in (*shared, "id")],
        name=op.f(f"{table}_{'_'.join(['organization_id', *columns])}_fkey"),
    )


def create_investments() -> None:
    op.create_table(
        "investments",
        *row_columns(),
        sa.Column("fund_id", sa.BigInteger(), nullable=False),
        sa.Column("company_id", sa.BigInteger(), nullable=False),
        sa.Column("round", sa.String(), nullable=True),
        sa.Column("invested_on", sa.Date(), nullable=False),
        sa.Column("amount_cents", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("length(round) BETWEEN 1 AND 200", name=op.f("investments_round_check")),
        sa.CheckConstraint("amount_cents >= 0", name=op.f("investments_amount_check")),
        *keys("investments"),
        points_at("investments", "portfolio_companies", "fund_id", "company_id"),
    )
    op.create_index("investments_company_key", "investments", ["organization_id", "company_id", "id"], unique=True)
    op.create_index(
        "investments_fund_idx",
        "investments",
        ["organization_id", "fund_id", sa.text("invested_on DESC"), sa.text("id DESC")],
    )


def create_lots() -> None:
    table = "investment_lots"
    op.create_table(
        table,
        *row_columns(),
        sa.Column("company_id", sa.BigInteger(), nullable=False),
        sa.Column("investment_id", sa.BigInteger(), nullable=False),
        sa.Column("lot_type", sa.String(), nullable=False),
        sa.Column("share_price_cents", sa.BigInteger(), nullable=False),
        sa.Column("shares_acquired", sa.Numeric(precision=18, scale=8), nullable=False),
        sa.Column("cost_basis_cents", sa.BigInteger(), nullable=False),
        sa.Column("acquired_on", sa.Date(), nullable=False),
        sa.CheckConstraint("lot_type IN ('INITIAL', 'FOLLOW_ON', 'SECONDARY')", name=op.f(f"{table}_lot_type_check")),
        sa.CheckConstraint("share_price_cents >= 0", name=op.f(f"{table}_share_price_check")),
        sa.CheckConstraint("shares_acquired > 0", name=op.f(f"{table}_shares_check")),
        sa.CheckConstraint(
            "abs(cost_basis_cents - share_price_cents * shares_acquired) <= ceil(shares_acquired)",
            name=op.f(f"{table}_cost_basis_check"),
        ),
        sa.CheckConstraint("cost_basis_cents >= 0", name=op.f(f"{table}_cost_basis_not_negative_check")),
        *keys(table),
        points_at(table, "investments", "company_id", "investment_id"),
    )
    op.create_index(
        "investment_lots_company_idx",
        table,
        ["organization_id", "company_id", sa.text("created_at DESC"), sa.text("id DESC")],
    )


def create_snapshots() -> None:
    table = "forecast_snapshots"
    op.create_table(
        table,
        *row_columns(),
        sa.Column("fund_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("status", sa.String(), server_default=sa.text("'PENDING'"), nullable=False),
        sa.Column("snapshot_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("metrics", postgresql.JSONB(), nullable=True),
        sa.Column("error", sa.String(), nullable=True),
        sa.Column("source_hash", sa.LargeBinary(), nullable=True),
        sa.Column("attempts", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("claimed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=True),
        sa.Column("calculated_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("length(name) BETWEEN 1 AND 255", name=op.f(f"{table}_name_check")),
        sa.CheckConstraint(
            "status IN ('PENDING', 'CALCULATING', 'COMPLETE', 'ERROR')", name=op.f(f"{table}_status_check")
        ),
        sa.CheckConstraint(
            "(status IN ('COMPLETE', 'ERROR')) = (next_attempt_at IS NULL)", name=op.f(f"{table}_next_attempt_check")
        ),
        sa.CheckConstraint("(status = 'COMPLETE') = (metrics IS NOT NULL)", name=op.f(f"{table}_metrics_check")),
        sa.CheckConstraint("status <> 'COMPLETE' OR calculated_at IS NOT NULL", name=op.f(f"{table}_calculated_check")),
        sa.CheckConstraint("status <> 'ERROR' OR error IS NOT NULL", name=op.f(f"{table}_error_check")),
        sa.CheckConstraint("length(source_hash) = 32", name=op.f(f"{table}_source_hash_check")),
        sa.CheckConstraint("attempts >= 0", name=op.f(f"{table}_attempts_check")),
        *keys(table),
        points_at(table, "funds", "fund_id"),
    )
    # Compressing them takes longer than anything else about storing them.
    op.execute(f"ALTER TABLE {table} ALTER COLUMN metrics SET STORAGE EXTERNAL")
    op.create_index(
        "forecast_snapshots_unfinished_idx",
        table,
        ["organization_id", "next_attempt_at", "id"],
        postgresql_where=sa.text("next_attempt_at IS NOT NULL"),
    )


def create_allocations() -> None:
    table = "reserve_allocations"
    op.create_table(
        table,
        *row_columns(),
        sa.Column("snapshot_id", sa.BigInteger(), nullable=False),
        sa.Column("company_id", sa.BigInteger(), nullable=False),
        sa.Column("planned_reserve_cents", sa.BigInteger(), nullable=False),
        sa.Column("score", sa.Numeric(precision=10, scale=6), nullable=True),
        sa.Column("priority", sa.Integer(), nullable=True),
        sa.Column("rationale", sa.String(), nullable=True),
        sa.CheckConstraint("planned_reserve_cents >= 0", name=op.f(f"{table}_planned_reserve_check")),
        sa.CheckConstraint("priority BETWEEN 0 AND 1000000", name=op.f(f"{table}_priority_check")),
        sa.CheckConstraint("length(rationale) <= 1000", name=op.f(f"{table}_rationale_check")),
        *keys(table),
        points_at(table, "forecast_snapshots", "snapshot_id"),
        points_at(table, "portfolio_companies", "company_id"),
        sa.UniqueConstraint(
            "organization_id",
            "snapshot_id",
            "company_id",
            name=op.f(f"{table}_organization_id_snapshot_id_company_id_key"),
        ),
    )


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    op.execute("REVOKE DELETE ON idempotency_keys FROM tranche_app")
    for table in reversed(TABLES):
        op.execute(f"DROP TABLE IF EXISTS {table}")
    with online_changes.statement_by_statement():
        online_changes.create_index(
            "portfolio_companies_fund_idx", "portfolio_companies (organization_id, fund_id, id)"
        )
        online_changes.drop_index("portfolio_companies_fund_key")
