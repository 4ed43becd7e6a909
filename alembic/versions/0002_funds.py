"""Funds

Revision ID: 0002
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from api.db import row_security

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    create_tables()
    statements = [
        *row_security.protect_tenant_table("funds", application="SELECT, INSERT, UPDATE"),
        *row_security.protect_tenant_table("portfolio_companies", application="SELECT, INSERT, UPDATE"),
        *row_security.protect_tenant_table("reallocation_audit", application="SELECT, INSERT"),
        LOG_REALLOCATION_AUDIT,
        f"REVOKE ALL ON FUNCTION {LOG_REALLOCATION_AUDIT_SIGNATURE} FROM PUBLIC",
        f"GRANT EXECUTE ON FUNCTION {LOG_REALLOCATION_AUDIT_SIGNATURE} TO tranche_app",
    ]
    for statement in statements:
        op.execute(statement)


def create_tables() -> None:
    op.create_table(
        "funds",
        sa.Column("organization_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("version", sa.BigInteger(), server_default=sa.text("1"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("general_partner", sa.String(), nullable=True),
        sa.Column("strategy", sa.String(), nullable=True),
        sa.Column("vintage_year", sa.SmallInteger(), nullable=True),
        sa.Column("currency", sa.String(), nullable=False),
        sa.Column("size_cents", sa.BigInteger(), nullable=True),
        sa.Column("status", sa.String(), server_default=sa.text("'ACTIVE'"), nullable=False),
        sa.Column("allocation_version", sa.BigInteger(), server_default=sa.text("1"), nullable=False),
        sa.CheckConstraint("currency ~ '^[A-Z]{3}$'", name=op.f("funds_currency_check")),
        sa.CheckConstraint("status IN ('ACTIVE', 'CLOSED')", name=op.f("funds_status_check")),
        sa.CheckConstraint("allocation_version >= 1", name=op.f("funds_allocation_version_check")),
        sa.CheckConstraint("length(name) BETWEEN 1 AND 200", name=op.f("funds_name_check")),
        sa.CheckConstraint("size_cents > 0", name=op.f("funds_size_check")),
        sa.CheckConstraint("vintage_year BETWEEN 1900 AND 2200", name=op.f("funds_vintage_year_check")),
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"], name=op.f("funds_organization_id_fkey")),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("funds_pkey")),
        sa.UniqueConstraint(
            "organization_id",
            "name",
            "vintage_year",
            name="funds_identity_key",
            postgresql_nulls_not_distinct=True,
        ),
    )
    op.create_table(
        "portfolio_companies",
        sa.Column("organization_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("version", sa.BigInteger(), server_default=sa.text("1"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("fund_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("sector", sa.String(), nullable=True),
        sa.Column("stage", sa.String(), nullable=True),
        sa.Column("status", sa.String(), server_default=sa.text("'ACTIVE'"), nullable=False),
        sa.Column("invested_cents", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("current_valuation_cents", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("realized_cents", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("planned_reserves_cents", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("deployed_reserves_cents", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("allocation_cap_cents", sa.BigInteger(), nullable=True),
        sa.Column("exit_moic", sa.Numeric(precision=10, scale=6), nullable=True),
        sa.Column("exit_probability", sa.Numeric(precision=10, scale=6), nullable=True),
        sa.Column("ownership", sa.Numeric(precision=10, scale=6), nullable=True),
        sa.Column("allocation_reason", sa.String(), nullable=True),
        sa.Column("allocation_count", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("last_allocation_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "stage IN ('PRE_SEED', 'SEED', 'SERIES_A', 'SERIES_B', 'SERIES_C', 'GROWTH', 'LATE_STAGE')",
            name=op.f("portfolio_companies_stage_check"),
        ),
        sa.CheckConstraint(
            "status IN ('ACTIVE', 'EXITED', 'WRITTEN_OFF')", name=op.f("portfolio_companies_status_check")
        ),
        sa.CheckConstraint("allocation_cap_cents >= 0", name=op.f("portfolio_companies_allocation_cap_check")),
        sa.CheckConstraint("current_valuation_cents >= 0", name=op.f("portfolio_companies_current_valuation_check")),
        sa.CheckConstraint("deployed_reserves_cents >= 0", name=op.f("portfolio_companies_deployed_reserves_check")),
        sa.CheckConstraint("exit_moic BETWEEN 0 AND 1000", name=op.f("portfolio_companies_exit_moic_check")),
        sa.CheckConstraint("exit_probability BETWEEN 0 AND 1", name=op.f("portfolio_companies_exit_probability_check")),
        sa.CheckConstraint("invested_cents >= 0", name=op.f("portfolio_companies_invested_check")),
        sa.CheckConstraint("length(name) BETWEEN 1 AND 200", name=op.f("portfolio_companies_name_check")),
        sa.CheckConstraint("ownership BETWEEN 0 AND 1", name=op.f("portfolio_companies_ownership_check")),
        sa.CheckConstraint("planned_reserves_cents >= 0", name=op.f("portfolio_companies_planned_reserves_check")),
        sa.CheckConstraint("realized_cents >= 0", name=op.f("portfolio_companies_realized_check")),
        sa.ForeignKeyConstraint(
            ["organization_id", "fund_id"],
            ["funds.organization_id", "funds.id"],
            name=op.f("portfolio_companies_organization_id_fund_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("portfolio_companies_organization_id_fkey")
        ),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("portfolio_companies_pkey")),
    )
    op.create_index(
        "portfolio_companies_fund_idx",
        "portfolio_companies",
        ["organization_id", "fund_id", "id"],
        unique=False,
    )
    op.create_table(
        "reallocation_audit",
        sa.Column("organization_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("fund_id", sa.BigInteger(), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=True),
        sa.Column("baseline_version", sa.BigInteger(), nullable=False),
        sa.Column("new_version", sa.BigInteger(), nullable=False),
        sa.Column("changes_json", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "jsonb_typeof(changes_json) = 'array' AND changes_json <> '[]'::jsonb",
            name=op.f("reallocation_audit_changes_json_check"),
        ),
        sa.CheckConstraint("length(reason) <= 1000", name=op.f("reallocation_audit_reason_check")),
        sa.CheckConstraint("new_version > baseline_version", name=op.f("reallocation_audit_versions_check")),
        sa.ForeignKeyConstraint(
            ["organization_id", "fund_id"],
            ["funds.organization_id", "funds.id"],
            name=op.f("reallocation_audit_organization_id_fund_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "user_id"],
            ["memberships.organization_id", "memberships.user_id"],
            name=op.f("reallocation_audit_organization_id_user_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("reallocation_audit_organization_id_fkey")
        ),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("reallocation_audit_pkey")),
    )
    op.create_index(
        "idx_reallocation_audit_changes_gin",
        "reallocation_audit",
        ["changes_json"],
        unique=False,
        postgresql_using="gin",
    )
    op.create_index(
        "idx_reallocation_audit_fund",
        "reallocation_audit",
        ["organization_id", "fund_id", sa.literal_column("created_at DESC"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_index(
        "idx_reallocation_audit_user",
        "reallocation_audit",
        ["organization_id", "user_id", sa.literal_column("created_at DESC")],
        unique=False,
    )
    op.create_index(
        "idx_reallocation_audit_versions",
        "reallocation_audit",
        ["organization_id", "fund_id", "baseline_version", "new_version"],
        unique=False,
    )


LOG_REALLOCATION_AUDIT_SIGNATURE = "log_reallocation_audit(bigint, bigint, bigint, bigint, bigint, jsonb, text)"

LOG_REALLOCATION_AUDIT = """
CREATE FUNCTION log_reallocation_audit(
  p_organization_id bigint, p_fund_id bigint, p_user_id bigint,
  p_baseline_version bigint, p_new_version bigint, p_changes jsonb, p_reason text
) RETURNS uuid
LANGUAGE sql SECURITY INVOKER SET search_path = pg_catalog, public AS $$
  INSERT INTO reallocation_audit
    (organization_id, fund_id, user_id, baseline_version, new_version, changes_json, reason)
  VALUES (p_organization_id, p_fund_id, p_user_id, p_baseline_version, p_new_version, p_changes, p_reason)
  RETURNING id
$$
"""


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    op.drop_table("reallocation_audit")
    op.drop_table("portfolio_companies")
    op.drop_table("funds")
    op.execute(f"DROP FUNCTION {LOG_REALLOCATION_AUDIT_SIGNATURE}")
