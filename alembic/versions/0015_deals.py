"""Deals, allocations, capital calls and the thresholds of an organization's rules

Revision ID: 0015
Revises: 0012
"""

import sqlalchemy as sa
from alembic import op

from api.db import row_security

revision = "0015"
down_revision = "0012"
branch_labels = None
depends_on = None

TABLES = {
    "business_rules": "SELECT, INSERT",
    "deals": "SELECT, INSERT, UPDATE",
    "deal_allocations": "SELECT, INSERT, UPDATE, DELETE",
    "capital_calls": "SELECT, INSERT, UPDATE",
    "capital_call_payments": "SELECT, INSERT",
    "distributions": "SELECT, INSERT",
    "fund_metrics_versions": "SELECT, INSERT, UPDATE",
}
"""What the application may do to each table, in the order in which they are made."""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    create_business_rules()
    create_deals()
    create_allocations()
    create_calls()
    create_payments()
    create_distributions()
    create_fund_metrics_versions()
    for table, application in TABLES.items():
        for statement in row_security.protect_tenant_table(table, application=application):
            op.execute(statement)
    # Before it works in an organization, a worker sees which have calls to look at, and when.
    for statement in row_security.let_authentication_find(
        "capital_calls", columns="organization_id, next_check_on", found="next_check_on IS NOT NULL"
    ):
        op.execute(statement)


def key_columns() -> list[sa.Column]:
    """The columns of the key of an organization's row."""
    return [
        sa.Column("organization_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
    ]


def row_columns() -> list[sa.Column]:
    """What every versioned row of an organization has."""
    return [
        *key_columns(),
        sa.Column("version", sa.BigInteger(), server_default=sa.text("1"), nullable=False),
        now("created_at"),
        now("updated_at"),
    ]


def now(name: str) -> sa.Column:
    """A time that is the transaction's unless given."""
    return sa.Column(name, sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False)


def whole(name: str, *, nullable: bool = False) -> sa.Column:
    """A BIGINT: cents, an id or a version."""
    return sa.Column(name, sa.BigInteger(), nullable=nullable)


def fraction(name: str, *, nullable: bool = False) -> sa.Column:
    """A fraction with six decimals."""
    return sa.Column(name, sa.Numeric(precision=10, scale=6), nullable=nullable)


def keys(table: str, *primary: str) -> list[sa.Constraint]:
    """The primary key, (organization_id, id) unless given, and the foreign key to the organization."""
    return [
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"], name=op.f(f"{table}_organization_id_fkey")),
        sa.PrimaryKeyConstraint("organization_id", *(primary or ("id",)), name=op.f(f"{table}_pkey")),
    ]


def points_at(table: str, target: str, *columns: str, target_column: str = "id") -> sa.ForeignKeyConstraint:
    """A foreign key whose last column is the target's ``target_column``; the others are of the same name there."""
    shared = ["organization_id", *columns[:-1]]
    return sa.ForeignKeyConstraint(
        ["organization_id", *columns],
        [f"{target}.{name}" for name in (*shared, target_column)],
        name=op.f(f"{table}_{'_'.join(['organization_id', *columns])}_fkey"),
    )


def checks(table: str, **conditions: str) -> list[sa.Constraint]:
    """Check constraints by their names within the table."""
    return [sa.CheckConstraint(sql, name=op.f(f"{table}_{name}_check")) for name, sql in conditions.items()]


def create_business_rules() -> None:
    op.create_table(
        "business_rules",
        whole("organization_id"),
        whole("version"),
        whole("allocation_min_cents"),
        whole("allocation_max_cents"),
        whole("deal_total_caution_cents"),
        whole("approval_above_cents"),
        fraction("utilization_max"),
        fraction("utilization_caution"),
        fraction("increase_caution"),
        fraction("concentration_max"),
        fraction("fund_size_share_max"),
        whole("changed_by_id", nullable=True),
        now("created_at"),
        *checks(
            "business_rules",
            version="version >= 2",
            allocation_min="allocation_min_cents > 0",
            allocation_max="allocation_max_cents >= allocation_min_cents",
            deal_total_caution="deal_total_caution_cents > 0",
            approval_above="approval_above_cents >= 0",
            utilization_max="utilization_max > 0 AND utilization_max <= 10",
            utilization_caution="utilization_caution > 0 AND utilization_caution <= utilization_max",
            increase_caution="increase_caution BETWEEN 0 AND 1000",
            concentration_max="concentration_max BETWEEN 0 AND 1",
            fund_size_share_max="fund_size_share_max BETWEEN 0 AND 10",
        ),
        *keys("business_rules", "version"),
        points_at("business_rules", "memberships", "changed_by_id", target_column="user_id"),
    )


def create_deals() -> None:
    op.create_table(
        "deals",
        *row_columns(),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("sector", sa.String(), nullable=True),
        sa.Column("stage", sa.String(), server_default=sa.text("'INITIAL_REVIEW'"), nullable=False),
        whole("valuation_cents", nullable=True),
        *checks(
            "deals",
            name="length(name) BETWEEN 1 AND 200",
            sector="length(sector) <= 200",
            stage="stage IN ('INITIAL_REVIEW', 'SCREENING', 'DILIGENCE', 'IC_REVIEW', 'CLOSING', 'CLOSED', 'INVESTED',"
            " 'REJECTED')",
            valuation="valuation_cents >= 0",
        ),
        *keys("deals"),
    )
    op.create_index("deals_stage_idx", "deals", ["organization_id", "stage", "id"])


def create_allocations() -> None:
    table = "deal_allocations"
    op.create_table(
        table,
        *row_columns(),
        whole("fund_id"),
        whole("deal_id"),
        whole("amount_cents"),
        fraction("percentage", nullable=True),
        sa.Column("security_type", sa.String(), nullable=False),
        sa.Column("status", sa.String(), server_default=sa.text("'COMMITTED'"), nullable=False),
        sa.Column("allocated_on", sa.Date(), nullable=False),
        sa.Column("notes", sa.String(), nullable=True),
        whole("author_id", nullable=True),
        sa.Column("approval", sa.String(), nullable=True),
        whole("decided_by_id", nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("decision_reason", sa.String(), nullable=True),
        *checks(
            table,
            amount="amount_cents > 0",
            percentage="percentage > 0 AND percentage <= 1",
            security_type="security_type IN ('EQUITY', 'DEBT', 'CONVERTIBLE', 'WARRANT', 'OPTION', 'PREFERRED',"
            " 'COMMON', 'NOTE')",
            status="status IN ('PENDING_APPROVAL', 'COMMITTED', 'FUNDED', 'UNFUNDED', 'PARTIALLY_PAID', 'WRITTEN_OFF',"
            " 'REJECTED')",
            notes="length(notes) <= 1000",
            approval="approval IN ('PENDING', 'APPROVED', 'REJECTED')",
            approval_pending="(status = 'PENDING_APPROVAL') = (approval IS NOT DISTINCT FROM 'PENDING')",
            approval_rejected="(status = 'REJECTED') = (approval IS NOT DISTINCT FROM 'REJECTED')",
            decided="approval NOT IN ('APPROVED', 'REJECTED') OR decided_by_id IS NOT NULL AND decided_at IS NOT NULL",
            own_approval="decided_by_id <> author_id",
            decision_reason="length(decision_reason) <= 1000",
        ),
        *keys(table),
        points_at(table, "funds", "fund_id"),
        points_at(table, "deals", "deal_id"),
        points_at(table, "memberships", "author_id", target_column="user_id"),
        points_at(table, "memberships", "decided_by_id", target_column="user_id"),
    )
    op.create_index("deal_allocations_fund_key", table, ["organization_id", "fund_id", "id"], unique=True)
    op.create_index("deal_allocations_deal_idx", table, ["organization_id", "deal_id", "id"])
    op.create_index(
        "deal_allocations_live_key",
        table,
        ["organization_id", "fund_id", "deal_id"],
        unique=True,
        postgresql_where=sa.text("status <> 'REJECTED'"),
    )


def create_calls() -> None:
    table = "capital_calls"
    op.create_table(
        table,
        *row_columns(),
        whole("fund_id"),
        whole("allocation_id"),
        whole("amount_cents"),
        fraction("percentage", nullable=True),
        sa.Column("called_on", sa.Date(), nullable=False),
        sa.Column("due_on", sa.Date(), nullable=False),
        sa.Column("status", sa.String(), server_default=sa.text("'CALLED'"), nullable=False),
        sa.Column("paid_cents", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("next_check_on", sa.Date(), nullable=True),
        *checks(
            table,
            amount="amount_cents > 0",
            percentage="percentage > 0 AND percentage <= 1",
            due="due_on >= called_on",
            status="status IN ('SCHEDULED', 'CALLED', 'PARTIALLY_PAID', 'PAID', 'OVERDUE', 'DEFAULTED')",
            paid="paid_cents BETWEEN 0 AND amount_cents",
            paid_in_full="paid_cents < amount_cents OR status = 'PAID'",
            next_check="CASE WHEN status IN ('CALLED', 'PARTIALLY_PAID') THEN next_check_on IS NOT NULL"
            " ELSE status = 'SCHEDULED' OR next_check_on IS NULL END",
        ),
        *keys(table),
        points_at(table, "deal_allocations", "fund_id", "allocation_id"),
    )
    op.create_index("capital_calls_fund_key", table, ["organization_id", "fund_id", "id"], unique=True)
    op.create_index("capital_calls_fund_idx", table, ["organization_id", "fund_id", "due_on", "id"])
    op.create_index("capital_calls_allocation_idx", table, ["organization_id", "allocation_id", "due_on", "id"])
    op.create_index("capital_calls_due_idx", table, ["organization_id", "due_on", "id"])
    op.create_index(
        "capital_calls_check_idx",
        table,
        ["organization_id", "next_check_on", "id"],
        postgresql_where=sa.text("next_check_on IS NOT NULL"),
    )


def create_payments() -> None:
    table = "capital_call_payments"
    op.create_table(
        table,
        *key_columns(),
        whole("fund_id"),
        whole("capital_call_id"),
        whole("amount_cents"),
        sa.Column("paid_on", sa.Date(), nullable=False),
        sa.Column("payment_type", sa.String(), server_default=sa.text("'WIRE'"), nullable=False),
        now("created_at"),
        *checks(table, amount="amount_cents > 0", payment_type="payment_type IN ('WIRE', 'CHECK', 'ACH', 'OTHER')"),
        *keys(table),
        points_at(table, "capital_calls", "fund_id", "capital_call_id"),
    )
    op.create_index("capital_call_payments_fund_idx", table, ["organization_id", "fund_id", "paid_on", "id"])
    op.create_index("capital_call_payments_call_idx", table, ["organization_id", "capital_call_id", "id"])


def create_distributions() -> None:
    table = "distributions"
    op.create_table(
        table,
        *key_columns(),
        whole("fund_id"),
        whole("allocation_id"),
        whole("amount_cents"),
        sa.Column("distributed_on", sa.Date(), nullable=False),
        sa.Column("distribution_type", sa.String(), nullable=False),
        sa.Column("is_recallable", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        now("created_at"),
        *checks(
            table,
            amount="amount_cents > 0",
            distribution_type="distribution_type IN ('DIVIDEND', 'CAPITAL_GAIN', 'RETURN_OF_CAPITAL', 'LIQUIDATION',"
            " 'OTHER')",
        ),
        *keys(table),
        points_at(table, "deal_allocations", "fund_id", "allocation_id"),
    )
    op.create_index("distributions_fund_idx", table, ["organization_id", "fund_id", "distributed_on", "id"])
    op.create_index("distributions_allocation_idx", table, ["organization_id", "allocation_id", "distributed_on", "id"])


def create_fund_metrics_versions() -> None:
    op.create_table(
        "fund_metrics_versions",
        whole("organization_id"),
        whole("fund_id"),
        whole("version"),
        *checks("fund_metrics_versions", version="version >= 1"),
        *keys("fund_metrics_versions", "fund_id"),
        points_at("fund_metrics_versions", "funds", "fund_id"),
    )


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    for table in reversed(TABLES):
        op.drop_table(table)
