"""What a fund has put into its companies: financings, and the purchases of shares within them."""

from datetime import date
from decimal import Decimal

from sqlalchemy import BigInteger, CheckConstraint, Date, Index, Numeric, Text, text
from sqlmodel import Field

from api.tables.columns import VersionedRow, cents, same_organization

SHARES = Numeric(18, 8)


class Investment(VersionedRow, table=True):
    """One financing of a company by its fund."""

    __tablename__ = "investments"
    __table_args__ = (
        same_organization("company_id", "portfolio_companies", within="fund_id"),
        # Unique, so that lots can point at an investment of their company.
        Index("investments_company_key", "organization_id", "company_id", "id", unique=True),
        Index("investments_fund_idx", "organization_id", "fund_id", text("invested_on DESC"), text("id DESC")),
        CheckConstraint("length(round) BETWEEN 1 AND 200", name="round"),
        CheckConstraint("amount_cents >= 0", name="amount"),
    )

    fund_id: int = Field(sa_type=BigInteger)
    company_id: int = Field(sa_type=BigInteger)
    round: str | None = None
    invested_on: date = Field(sa_type=Date)
    amount_cents: int = cents(nullable=False)


class InvestmentLot(VersionedRow, table=True):
    """One purchase of shares within an investment. ``idempotency_key`` is forgotten with the key itself."""

    __tablename__ = "investment_lots"
    __table_args__ = (
        same_organization("investment_id", "investments", within="company_id"),
        Index(
            "investment_lots_company_idx",
            "organization_id",
            "company_id",
            text("created_at DESC"),
            text("id DESC"),
        ),
        Index(
            "investment_lots_cursor_idx",
            "organization_id",
            "investment_id",
            text("created_at DESC"),
            text("id DESC"),
        ),
        Index(
            "investment_lots_investment_idem_key_idx",
            "organization_id",
            "investment_id",
            "idempotency_key",
            unique=True,
            postgresql_where=text("idempotency_key IS NOT NULL"),
        ),
        CheckConstraint("lot_type IN ('INITIAL', 'FOLLOW_ON', 'SECONDARY')", name="lot_type"),
        CheckConstraint("share_price_cents >= 0", name="share_price"),
        CheckConstraint("shares_acquired > 0", name="shares"),
        CheckConstraint(
            "abs(cost_basis_cents - share_price_cents * shares_acquired) <= ceil(shares_acquired)", name="cost_basis"
        ),
        CheckConstraint("cost_basis_cents >= 0", name="cost_basis_not_negative"),
        CheckConstraint("length(idempotency_key) BETWEEN 1 AND 128", name="idem_key_len"),
    )

    company_id: int = Field(sa_type=BigInteger)
    investment_id: int = Field(sa_type=BigInteger)
    lot_type: str
    share_price_cents: int = cents(nullable=False)
    shares_acquired: Decimal = Field(sa_type=SHARES)
    cost_basis_cents: int = cents(nullable=False)
    acquired_on: date = Field(sa_type=Date)
    idempotency_key: str | None = Field(default=None, sa_type=Text)
