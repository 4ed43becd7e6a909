"""Cash flows, valuations and returns

Revision ID: 0013
Revises: 0012
"""

import sqlalchemy as sa
from alembic import op

from api.db import online_changes, row_security

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

ACTIVITY_TYPES = (
    "activity_type IN ('INVESTMENT', 'REGULAR_INVESTMENT', 'TAX_UPLIFT', 'PRODUCT_SWITCH_IN', 'FUND_SWITCH_IN',"
    " 'WITHDRAWAL', 'REGULAR_WITHDRAWAL', 'PRODUCT_SWITCH_OUT', 'FUND_SWITCH_OUT', 'DISTRIBUTION', 'FEE',"
    " 'DIVIDEND_REINVESTED')"
)


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    with online_changes.statement_by_statement():
        extend_holdings()
    op.execute("SET LOCAL lock_timeout = '3s'")
    create_activities()
    create_valuations()
    create_returns(
        "portfolio_fund_irr_values", "holding_id", "portfolio_funds", "'XIRR', 'MONTHLY_NOMINAL', 'REPORTED'"
    )
    create_returns("portfolio_irr_values", "portfolio_id", "portfolios", "'XIRR', 'MONTHLY_NOMINAL'")
    create_prices()
    change, remove = "SELECT, INSERT, UPDATE", "SELECT, INSERT, UPDATE, DELETE"
    statements = [
        *row_security.protect_tenant_table("holding_activity_log", application=remove),
        *row_security.protect_tenant_table("portfolio_fund_valuations", application=remove),
        *row_security.protect_tenant_table("portfolio_fund_irr_values", application=remove),
        *row_security.protect_tenant_table("portfolio_irr_values", application=remove),
        *row_security.protect_tenant_table("benchmark_prices", application=change),
    ]
    for statement in statements:
        op.execute(statement)
    store_reported_returns()


def extend_holdings() -> None:
    for column in ("flows_version bigint NOT NULL DEFAULT 0", "returns_stale_from date"):
        online_changes.change(f"ALTER TABLE portfolio_funds ADD COLUMN IF NOT EXISTS {column}")
    online_changes.create_index(
        "portfolio_funds_portfolio_key", "portfolio_funds (organization_id, portfolio_id, id)", unique=True
    )
    online_changes.drop_index("portfolio_funds_portfolio_idx")


def versioned_columns() -> list[sa.Column]:
    return [
        *key_columns(),
        sa.Column("version", sa.BigInteger(), server_default=sa.text("1"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
    ]


def key_columns() -> list[sa.Column]:
    return [
        sa.Column("organization_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
    ]


def key_constraints(table: str) -> list[sa.Constraint]:
    return [
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"], name=op.f(f"{table}_organization_id_fkey")),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f(f"{table}_pkey")),
    ]


def create_activities() -> None:
    op.create_table(
        "holding_activity_log",
        *versioned_columns(),
        sa.Column("holding_id", sa.BigInteger(), nullable=False),
        sa.Column("activity_type", sa.String(), nullable=False),
        sa.Column("amount_cents", sa.BigInteger(), nullable=False),
        sa.Column("occurred_on", sa.Date(), nullable=False),
        sa.Column("is_recallable", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("note", sa.String(), nullable=True),
        sa.CheckConstraint(ACTIVITY_TYPES, name=op.f("holding_activity_log_activity_type_check")),
        sa.CheckConstraint("amount_cents > 0", name=op.f("holding_activity_log_amount_check")),
        sa.CheckConstraint("length(note) <= 1000", name=op.f("holding_activity_log_note_check")),
        sa.ForeignKeyConstraint(
            ["organization_id", "holding_id"],
            ["portfolio_funds.organization_id", "portfolio_funds.id"],
            name=op.f("holding_activity_log_organization_id_holding_id_fkey"),
        ),
        *key_constraints("holding_activity_log"),
    )
    op.create_index(
        "holding_activity_log_holding_idx",
        "holding_activity_log",
        ["organization_id", "holding_id", "occurred_on", "id"],
    )


def create_valuations() -> None:
    op.create_table(
        "portfolio_fund_valuations",
        *versioned_columns(),
        sa.Column("portfolio_id", sa.BigInteger(), nullable=False),
        sa.Column("holding_id", sa.BigInteger(), nullable=False),
        sa.Column("valued_on", sa.Date(), nullable=False),
        sa.Column("value_cents", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("value_cents >= 0", name=op.f("portfolio_fund_valuations_value_check")),
        sa.ForeignKeyConstraint(
            ["organization_id", "portfolio_id", "holding_id"],
            ["portfolio_funds.organization_id", "portfolio_funds.portfolio_id", "portfolio_funds.id"],
            name=op.f("portfolio_fund_valuations_organization_id_portfolio_id_holding_id_fkey"),
        ),
        *key_constraints("portfolio_fund_valuations"),
        sa.UniqueConstraint(
            "organization_id",
            "holding_id",
            "valued_on",
            name=op.f("portfolio_fund_valuations_organization_id_holding_id_valued_on_key"),
        ),
    )
    op.create_index(
        "portfolio_fund_valuations_portfolio_idx",
        "portfolio_fund_valuations",
        ["organization_id", "portfolio_id", "valued_on", "id"],
    )


def create_returns(table: str, owner: str, target: str, methods: str) -> None:
    op.create_table(
        table,
        *key_columns(),
        sa.Column(owner, sa.BigInteger(), nullable=False),
        sa.Column("as_of", sa.Date(), nullable=False),
        sa.Column("method", sa.String(), nullable=False),
        sa.Column("value", sa.Numeric(), nullable=True),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("computed_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(f"method IN ({methods})", name=op.f(f"{table}_method_check")),
        sa.CheckConstraint("(value IS NULL) <> (reason IS NULL)", name=op.f(f"{table}_reason_check")),
        sa.ForeignKeyConstraint(
            ["organization_id", owner],
            [f"{target}.organization_id", f"{target}.id"],
            name=op.f(f"{table}_organization_id_{owner}_fkey"),
        ),
        *key_constraints(table),
        sa.UniqueConstraint(
            "organization_id",
            owner,
            "as_of",
            "method",
            name=op.f(f"{table}_organization_id_{owner}_as_of_method_key"),
        ),
    )


def create_prices() -> None:
    op.create_table(
        "benchmark_prices",
        *versioned_columns(),
        sa.Column("benchmark", sa.String(), nullable=False),
        sa.Column("priced_on", sa.Date(), nullable=False),
        sa.Column("price", sa.Numeric(precision=20, scale=8), nullable=False),
        sa.CheckConstraint("length(benchmark) BETWEEN 1 AND 100", name=op.f("benchmark_prices_benchmark_check")),
        sa.CheckConstraint("price > 0", name=op.f("benchmark_prices_price_check")),
        *key_constraints("benchmark_prices"),
        sa.UniqueConstraint(
            "organization_id",
            "benchmark",
            "priced_on",
            name=op.f("benchmark_prices_organization_id_benchmark_priced_on_key"),
        ),
    )


def store_reported_returns() -> None:
    """What statements report becomes a stored return. Row-level security would hide all of it from the owner."""
    op.execute("SET LOCAL ROLE tranche_maintenance")
    connection = op.get_bind()
    reported = connection.scalar(sa.text("SELECT count(*) FROM holding_statements WHERE reported_irr IS NOT NULL"))
    stored = connection.execute(
        sa.text(
            "INSERT INTO portfolio_fund_irr_values (organization_id, holding_id, as_of, method, value)"
            " SELECT organization_id, holding_id, as_of, 'REPORTED', reported_irr FROM holding_statements"
            " WHERE reported_irr IS NOT NULL"
        )
    )
    if stored.rowcount != reported:
        raise RuntimeError(f"{reported} returns are reported, {stored.rowcount} were stored")
    op.execute("RESET ROLE")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    for table in (
        "benchmark_prices",
        "portfolio_irr_values",
        "portfolio_fund_irr_values",
        "portfolio_fund_valuations",
        "holding_activity_log",
    ):
        op.drop_table(table)
    with online_changes.statement_by_statement():
        online_changes.create_index(
            "portfolio_funds_portfolio_idx", "portfolio_funds (organization_id, portfolio_id, id)"
        )
        online_changes.drop_index("portfolio_funds_portfolio_key")
        for column in ("returns_stale_from", "flows_version"):
            online_changes.change(f"ALTER TABLE portfolio_funds DROP COLUMN IF EXISTS {column}")
