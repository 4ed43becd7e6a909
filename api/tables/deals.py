"""Deals in the pipeline, and what funds commit to them."""

from datetime import date, datetime
from decimal import Decimal

from sqlalchemy import BigInteger, CheckConstraint, Date, DateTime, Index, text
from sqlmodel import Field

from api.tables.columns import VersionedRow, cents, ratio, same_organization

DEAL_STAGES = "'INITIAL_REVIEW', 'SCREENING', 'DILIGENCE', 'IC_REVIEW', 'CLOSING', 'CLOSED', 'INVESTED', 'REJECTED'"
SECURITY_TYPES = "'EQUITY', 'DEBT', 'CONVERTIBLE', 'WARRANT', 'OPTION', 'PREFERRED', 'COMMON', 'NOTE'"
ALLOCATION_STATUSES = (
    "'PENDING_APPROVAL', 'COMMITTED', 'FUNDED', 'UNFUNDED', 'PARTIALLY_PAID', 'WRITTEN_OFF', 'REJECTED'"
)


class Deal(VersionedRow, table=True):
    """An opportunity in the pipeline. Any of the organization's funds may commit money to it."""

    __tablename__ = "deals"
    __table_args__ = (
        Index("deals_stage_idx", "organization_id", "stage", "id"),
        CheckConstraint("length(name) BETWEEN 1 AND 200", name="name"),
        CheckConstraint("length(sector) <= 200", name="sector"),
        CheckConstraint(f"stage IN ({DEAL_STAGES})", name="stage"),
        CheckConstraint("valuation_cents >= 0", name="valuation"),
    )

    name: str
    sector: str | None = None
    stage: str = Field(default="INITIAL_REVIEW", sa_column_kwargs={"server_default": text("'INITIAL_REVIEW'")})
    valuation_cents: int | None = cents()


class DealAllocation(VersionedRow, table=True):
    """A fund's commitment of money to a deal, in the fund's currency.

    ``percentage`` is the fraction of the fund's size that the amount was made of, where it was. ``author_id`` is who
    last set an amount that needs an approval, or made the allocation; null for an API key. ``approval`` is null where
    none was ever needed.
    """

    __tablename__ = "deal_allocations"
    __table_args__ = (
        same_organization("fund_id", "funds"),
        same_organization("deal_id", "deals"),
        same_organization("author_id", "memberships", target_column="user_id"),
        same_organization("decided_by_id", "memberships", target_column="user_id"),
        # Unique, so that calls and distributions can point at an allocation of their fund.
        Index("deal_allocations_fund_key", "organization_id", "fund_id", "id", unique=True),
        Index("deal_allocations_deal_idx", "organization_id", "deal_id", "id"),
        Index(
            "deal_allocations_live_key",
            "organization_id",
            "fund_id",
            "deal_id",
            unique=True,
            postgresql_where=text("status <> 'REJECTED'"),
        ),
        CheckConstraint("amount_cents > 0", name="amount"),
        CheckConstraint("percentage > 0 AND percentage <= 1", name="percentage"),
        CheckConstraint(f"security_type IN ({SECURITY_TYPES})", name="security_type"),
        CheckConstraint(f"status IN ({ALLOCATION_STATUSES})", name="status"),
        CheckConstraint("length(notes) <= 1000", name="notes"),
        CheckConstraint("approval IN ('PENDING', 'APPROVED', 'REJECTED')", name="approval"),
        CheckConstraint(
            "(status = 'PENDING_APPROVAL') = (approval IS NOT DISTINCT FROM 'PENDING')", name="approval_pending"
        ),
        CheckConstraint("(status = 'REJECTED') = (approval IS NOT DISTINCT FROM 'REJECTED')", name="approval_rejected"),
        CheckConstraint(
            "approval NOT IN ('APPROVED', 'REJECTED') OR decided_by_id IS NOT NULL AND decided_at IS NOT NULL",
            name="decided",
        ),
        CheckConstraint("decided_by_id <> author_id", name="own_approval"),
        CheckConstraint("length(decision_reason) <= 1000", name="decision_reason"),
    )

    fund_id: int = Field(sa_type=BigInteger)
    deal_id: int = Field(sa_type=BigInteger)
    amount_cents: int = cents(nullable=False)
    percentage: Decimal | None = ratio()
    security_type: str
    status: str = Field(default="COMMITTED", sa_column_kwargs={"server_default": text("'COMMITTED'")})
    allocated_on: date = Field(sa_type=Date)
    notes: str | None = None
    author_id: int | None = Field(default=None, sa_type=BigInteger)
    approval: str | None = None
    decided_by_id: int | None = Field(default=None, sa_type=BigInteger)
    decided_at: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))
    decision_reason: str | None = None
