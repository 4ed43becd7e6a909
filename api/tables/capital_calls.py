"""Calls of money against deal allocations, the payments for them, and what comes back from allocations."""

from datetime import date, datetime
from decimal import Decimal

from sqlalchemy import BigInteger, CheckConstraint, Date, Index, text
from sqlmodel import Field

from api.tables.columns import TenantRow, VersionedRow, cents, ratio, same_organization, timestamp

CALL_STATUSES = "'SCHEDULED', 'CALLED', 'PARTIALLY_PAID', 'PAID', 'OVERDUE', 'DEFAULTED'"
PAYMENT_TYPES = "'WIRE', 'CHECK', 'ACH', 'OTHER'"
DISTRIBUTION_TYPES = "'DIVIDEND', 'CAPITAL_GAIN', 'RETURN_OF_CAPITAL', 'LIQUIDATION', 'OTHER'"


class CapitalCall(VersionedRow, table=True):
    """A call of money against an allocation.

    ``percentage`` is the fraction of the commitment that the amount was made of, where it was. ``paid_cents`` is the
    sum of its payments, kept by whoever records one. ``next_check_on`` is the day on which a worker has something to
    do with it: remind of it, or find that it is overdue; null where there is nothing left.
    """

    __tablename__ = "capital_calls"
    __table_args__ = (
        same_organization("allocation_id", "deal_allocations", within="fund_id"),
        # Unique, so that payments can point at a call of their fund.
        Index("capital_calls_fund_key", "organization_id", "fund_id", "id", unique=True),
        Index("capital_calls_fund_idx", "organization_id", "fund_id", "due_on", "id"),
        Index("capital_calls_allocation_idx", "organization_id", "allocation_id", "due_on", "id"),
        Index("capital_calls_due_idx", "organization_id", "due_on", "id"),
        Index(
            "capital_calls_check_idx",
            "organization_id",
            "next_check_on",
            "id",
            postgresql_where=text("next_check_on IS NOT NULL"),
        ),
        CheckConstraint("amount_cents > 0", name="amount"),
        CheckConstraint("percentage > 0 AND percentage <= 1", name="percentage"),
        CheckConstraint("due_on >= called_on", name="due"),
        CheckConstraint(f"status IN ({CALL_STATUSES})", name="status"),
        CheckConstraint("paid_cents BETWEEN 0 AND amount_cents", name="paid"),
        CheckConstraint("paid_cents < amount_cents OR status = 'PAID'", name="paid_in_full"),
        CheckConstraint(
            "CASE WHEN status IN ('CALLED', 'PARTIALLY_PAID') THEN next_check_on IS NOT NULL"
            " ELSE status = 'SCHEDULED' OR next_check_on IS NULL END",
            name="next_check",
        ),
    )

    fund_id: int = Field(sa_type=BigInteger)
    allocation_id: int = Field(sa_type=BigInteger)
    amount_cents: int = cents(nullable=False)
    percentage: Decimal | None = ratio()
    called_on: date = Field(sa_type=Date)
    due_on: date = Field(sa_type=Date)
    status: str = Field(default="CALLED", sa_column_kwargs={"server_default": text("'CALLED'")})
    paid_cents: int = cents(nullable=False, sa_column_kwargs={"server_default": text("0")})
    next_check_on: date | None = Field(default=None, sa_type=Date)


class CapitalCallPayment(TenantRow, table=True):
    """Money received for a call. Append-only."""

    __tablename__ = "capital_call_payments"
    __table_args__ = (
        same_organization("capital_call_id", "capital_calls", within="fund_id"),
        Index("capital_call_payments_fund_idx", "organization_id", "fund_id", "paid_on", "id"),
        Index("capital_call_payments_call_idx", "organization_id", "capital_call_id", "id"),
        CheckConstraint("amount_cents > 0", name="amount"),
        CheckConstraint(f"payment_type IN ({PAYMENT_TYPES})", name="payment_type"),
    )

    fund_id: int = Field(sa_type=BigInteger)
    capital_call_id: int = Field(sa_type=BigInteger)
    amount_cents: int = cents(nullable=False)
    paid_on: date = Field(sa_type=Date)
    payment_type: str = Field(default="WIRE", sa_column_kwargs={"server_default": text("'WIRE'")})
    created_at: datetime = timestamp()


class Distribution(TenantRow, table=True):
    """Money that came back from an allocation. Append-only."""

    __tablename__ = "distributions"
    __table_args__ = (
        same_organization("allocation_id", "deal_allocations", within="fund_id"),
        Index("distributions_fund_idx", "organization_id", "fund_id", "distributed_on", "id"),
        Index("distributions_allocation_idx", "organization_id", "allocation_id", "distributed_on", "id"),
        CheckConstraint("amount_cents > 0", name="amount"),
        CheckConstraint(f"distribution_type IN ({DISTRIBUTION_TYPES})", name="distribution_type"),
    )

    fund_id: int = Field(sa_type=BigInteger)
    allocation_id: int = Field(sa_type=BigInteger)
    amount_cents: int = cents(nullable=False)
    distributed_on: date = Field(sa_type=Date)
    distribution_type: str
    is_recallable: bool = Field(default=False, sa_column_kwargs={"server_default": text("false")})
    created_at: datetime = timestamp()
