"""What returns are made of and come to: valuations, stored returns, and prices of benchmarks."""

from datetime import date, datetime
from decimal import Decimal

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Date,
    DateTime,
    ForeignKeyConstraint,
    Index,
    Numeric,
    UniqueConstraint,
    text,
)
from sqlmodel import Field

from api.tables.columns import TenantRow, VersionedRow, cents, same_organization


class HoldingValuation(VersionedRow, table=True):
    """What a holding is worth at the end of a day. The portfolio is the holding's, and beside it for the index."""

    __tablename__ = "portfolio_fund_valuations"
    __table_args__ = (
        ForeignKeyConstraint(
            ["organization_id", "portfolio_id", "holding_id"],
            ["portfolio_funds.organization_id", "portfolio_funds.portfolio_id", "portfolio_funds.id"],
        ),
        UniqueConstraint("organization_id", "holding_id", "valued_on"),
        Index("portfolio_fund_valuations_portfolio_idx", "organization_id", "portfolio_id", "valued_on", "id"),
        CheckConstraint("value_cents >= 0", name="value"),
    )

    portfolio_id: int = Field(sa_type=BigInteger)
    holding_id: int = Field(sa_type=BigInteger)
    valued_on: date = Field(sa_type=Date)
    value_cents: int = cents(nullable=False)


class StoredIrr(TenantRow):
    """A return as it was computed for a date by a method: a value, or the reason why there is none."""

    as_of: date = Field(sa_type=Date)
    method: str
    value: Decimal | None = Field(default=None, sa_type=Numeric)
    reason: str | None = None
    computed_at: datetime = Field(
        default=None,
        sa_type=DateTime(timezone=True),
        nullable=False,
        sa_column_kwargs={"server_default": text("now()")},
    )


class HoldingIrr(StoredIrr, table=True):
    """A holding's stored return."""

    __tablename__ = "portfolio_fund_irr_values"
    __table_args__ = (
        same_organization("holding_id", "portfolio_funds"),
        UniqueConstraint("organization_id", "holding_id", "as_of", "method"),
        CheckConstraint("method IN ('XIRR', 'MONTHLY_NOMINAL', 'REPORTED')", name="method"),
        CheckConstraint("(value IS NULL) <> (reason IS NULL)", name="reason"),
    )

    holding_id: int = Field(sa_type=BigInteger)


class PortfolioIrr(StoredIrr, table=True):
    """A portfolio's stored return, for a date on which all that it holds is valued."""

    __tablename__ = "portfolio_irr_values"
    __table_args__ = (
        same_organization("portfolio_id", "portfolios"),
        UniqueConstraint("organization_id", "portfolio_id", "as_of", "method"),
        CheckConstraint("method IN ('XIRR', 'MONTHLY_NOMINAL')", name="method"),
        CheckConstraint("(value IS NULL) <> (reason IS NULL)", name="reason"),
    )

    portfolio_id: int = Field(sa_type=BigInteger)


class BenchmarkPrice(VersionedRow, table=True):
    """The price of a benchmark, a public index, at the end of a day."""

    __tablename__ = "benchmark_prices"
    __table_args__ = (
        UniqueConstraint("organization_id", "benchmark", "priced_on"),
        CheckConstraint("length(benchmark) BETWEEN 1 AND 100", name="benchmark"),
        CheckConstraint("price > 0", name="price"),
    )

    benchmark: str
    priced_on: date = Field(sa_type=Date)
    price: Decimal = Field(sa_type=Numeric(20, 8))
