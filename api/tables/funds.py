"""Funds and the companies they have invested in."""

from datetime import datetime
from decimal import Decimal

from sqlalchemy import BigInteger, CheckConstraint, DateTime, Index, SmallInteger, UniqueConstraint, text
from sqlmodel import Field

from api.tables.columns import VersionedRow, cents, ratio, same_organization


class Fund(VersionedRow, table=True):
    """An investment vehicle. ``allocation_version`` moves with every change of its companies' reserves."""

    __tablename__ = "funds"
    __table_args__ = (
        UniqueConstraint(
            "organization_id", "name", "vintage_year", postgresql_nulls_not_distinct=True, name="funds_identity_key"
        ),
        CheckConstraint("length(name) BETWEEN 1 AND 200", name="name"),
        CheckConstraint("vintage_year BETWEEN 1900 AND 2200", name="vintage_year"),
        CheckConstraint("currency ~ '^[A-Z]{3}$'", name="currency"),
        CheckConstraint("size_cents > 0", name="size"),
        CheckConstraint("status IN ('ACTIVE', 'CLOSED')", name="status"),
        CheckConstraint("allocation_version >= 1", name="allocation_version"),
    )

    name: str
    general_partner: str | None = None
    strategy: str | None = None
    vintage_year: int | None = Field(default=None, sa_type=SmallInteger)
    currency: str
    size_cents: int | None = cents()
    status: str = Field(default="ACTIVE", sa_column_kwargs={"server_default": text("'ACTIVE'")})
    allocation_version: int = Field(default=1, sa_type=BigInteger, sa_column_kwargs={"server_default": text("1")})


class PortfolioCompany(VersionedRow, table=True):
    """A company that a fund has invested in, with the fund's reserves for it."""

    __tablename__ = "portfolio_companies"
    __table_args__ = (
        same_organization("fund_id", "funds"),
        # Unique, so that investments can point at a company of their fund.
        Index("portfolio_companies_fund_key", "organization_id", "fund_id", "id", unique=True),
        CheckConstraint("length(name) BETWEEN 1 AND 200", name="name"),
        CheckConstraint(
            "stage IN ('PRE_SEED', 'SEED', 'SERIES_A', 'SERIES_B', 'SERIES_C', 'GROWTH', 'LATE_STAGE')", name="stage"
        ),
        CheckConstraint("status IN ('ACTIVE', 'EXITED', 'WRITTEN_OFF')", name="status"),
        CheckConstraint("invested_cents >= 0", name="invested"),
        CheckConstraint("current_valuation_cents >= 0", name="current_valuation"),
        CheckConstraint("realized_cents >= 0", name="realized"),
        CheckConstraint("planned_reserves_cents >= 0", name="planned_reserves"),
        CheckConstraint("deployed_reserves_cents >= 0", name="deployed_reserves"),
        CheckConstraint("allocation_cap_cents >= 0", name="allocation_cap"),
        CheckConstraint("exit_moic BETWEEN 0 AND 1000", name="exit_moic"),
        CheckConstraint("exit_probability BETWEEN 0 AND 1", name="exit_probability"),
        CheckConstraint("ownership BETWEEN 0 AND 1", name="ownership"),
    )

    fund_id: int = Field(sa_type=BigInteger)
    name: str
    sector: str | None = None
    stage: str | None = None
    status: str = Field(default="ACTIVE", sa_column_kwargs={"server_default": text("'ACTIVE'")})
    invested_cents: int = cents(nullable=False, sa_column_kwargs={"server_default": text("0")})
    current_valuation_cents: int = cents(nullable=False, sa_column_kwargs={"server_default": text("0")})
    realized_cents: int = cents(nullable=False, sa_column_kwargs={"server_default": text("0")})
    planned_reserves_cents: int = cents(nullable=False, sa_column_kwargs={"server_default": text("0")})
    deployed_reserves_cents: int = cents(nullable=False, sa_column_kwargs={"server_default": text("0")})
    allocation_cap_cents: int | None = cents()
    exit_moic: Decimal | None = ratio()
    exit_probability: Decimal | None = ratio()
    ownership: Decimal | None = ratio()
    allocation_reason: str | None = None
    allocation_count: int = Field(default=0, sa_type=BigInteger, sa_column_kwargs={"server_default": text("0")})
    last_allocation_at: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))
