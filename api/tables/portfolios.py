"""Portfolios, their positions in funds, and the statements that are reported for them."""

from datetime import date, datetime
from decimal import Decimal

from sqlalchemy import BigInteger, CheckConstraint, Date, Index, UniqueConstraint, text
from sqlmodel import Field

from api.tables.columns import TenantRow, VersionedRow, cents, ratio, same_organization, timestamp


class Portfolio(VersionedRow, table=True):
    """A portfolio of positions in funds, in one currency."""

    __tablename__ = "portfolios"
    __table_args__ = (
        UniqueConstraint("organization_id", "name"),
        CheckConstraint("length(name) BETWEEN 1 AND 200", name="name"),
        CheckConstraint("currency ~ '^[A-Z]{3}$'", name="currency"),
    )

    name: str
    currency: str


class Holding(VersionedRow, table=True):
    """A portfolio's position in one fund.

    ``flows_version`` counts the changes of its activities and valuations; ``returns_stale_from`` is the earliest date
    whose stored returns they left behind, until those are computed anew.
    """

    __tablename__ = "portfolio_funds"
    __table_args__ = (
        same_organization("portfolio_id", "portfolios"),
        same_organization("fund_id", "funds"),
        UniqueConstraint("organization_id", "portfolio_id", "fund_id"),
        Index("portfolio_funds_portfolio_key", "organization_id", "portfolio_id", "id", unique=True),
        Index("portfolio_funds_fund_idx", "organization_id", "fund_id", "id"),
        CheckConstraint("commitment_cents >= 0", name="commitment"),
        CheckConstraint("status IN ('ACTIVE', 'CLOSED')", name="status"),
    )

    portfolio_id: int = Field(sa_type=BigInteger)
    fund_id: int = Field(sa_type=BigInteger)
    commitment_cents: int | None = cents()
    status: str = Field(default="ACTIVE", sa_column_kwargs={"server_default": text("'ACTIVE'")})
    flows_version: int = Field(default=0, sa_type=BigInteger, sa_column_kwargs={"server_default": text("0")})
    returns_stale_from: date | None = Field(default=None, sa_type=Date)


class HoldingStatement(TenantRow, table=True):
    """A holding's reported totals as of a date. Empty stays null; NAV and distributed may be negative."""

    __tablename__ = "holding_statements"
    __table_args__ = (
        same_organization("holding_id", "portfolio_funds"),
        UniqueConstraint("organization_id", "holding_id", "as_of"),
        CheckConstraint("committed_cents >= 0", name="committed"),
        CheckConstraint("paid_in_cents >= 0", name="paid_in"),
    )

    holding_id: int = Field(sa_type=BigInteger)
    as_of: date = Field(sa_type=Date)
    committed_cents: int | None = cents()
    paid_in_cents: int | None = cents()
    distributed_cents: int | None = cents()
    nav_cents: int | None = cents()
    reported_irr: Decimal | None = ratio()
    reported_multiple: Decimal | None = ratio()
    version: int = Field(default=1, sa_type=BigInteger, sa_column_kwargs={"server_default": text("1")})
    created_at: datetime = timestamp()
