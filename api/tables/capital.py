"""Capital sources, and the append-only history that is all they change through."""

from datetime import date, datetime
from decimal import Decimal

from sqlalchemy import BigInteger, CheckConstraint, Date, DateTime, Index, UniqueConstraint, text
from sqlmodel import Field

from api.tables.columns import TenantRow, VersionedRow, cents, ratio, same_organization

SETS_AMOUNT = "action IN ('ADDED', 'AMOUNT_CHANGED')"
SETS_RATE = "action IN ('ADDED', 'RATE_CHANGED')"


class CapitalSource(VersionedRow, table=True):
    """A source of financing as its whole history leaves it, kept beside the history by whoever appends to that."""

    __tablename__ = "capital_sources"
    __table_args__ = (
        UniqueConstraint("organization_id", "external_key"),
        CheckConstraint("length(external_key) BETWEEN 1 AND 200", name="external_key"),
        CheckConstraint("length(name) BETWEEN 3 AND 200", name="name"),
        CheckConstraint("annual_rate >= 0", name="annual_rate"),
        CheckConstraint("available_cents > 0", name="available"),
        CheckConstraint("currency ~ '^[A-Z]{3}$'", name="currency"),
        CheckConstraint("removed_on >= added_on", name="removed"),
    )

    external_key: str
    name: str
    annual_rate: Decimal = ratio(nullable=False)
    available_cents: int = cents(nullable=False)
    currency: str
    added_on: date = Field(sa_type=Date)
    removed_on: date | None = Field(default=None, sa_type=Date)


class CapitalHistoryEntry(TenantRow, table=True):
    """One change of a source, written by ``append_audit`` from the event that records it.

    Only what the action sets counts; the other values are the source's as they were known then. ``external_id`` is by
    what files know it: an imported entry's own id, or one that is made up.
    """

    __tablename__ = "capital_history"
    __table_args__ = (
        same_organization("source_id", "capital_sources"),
        same_organization("actor_id", "memberships", target_column="user_id"),
        UniqueConstraint("organization_id", "sequence"),
        UniqueConstraint("organization_id", "external_id"),
        Index("capital_history_recorded_idx", "organization_id", "recorded_at", "sequence"),
        Index("capital_history_effective_idx", "organization_id", "effective_on", "sequence"),
        Index("capital_history_source_idx", "organization_id", "source_id", "sequence"),
        Index(
            "capital_history_added_idx",
            "organization_id",
            "source_id",
            unique=True,
            postgresql_where=text("action = 'ADDED'"),
        ),
        Index(
            "capital_history_removed_idx",
            "organization_id",
            "source_id",
            "effective_on",
            "sequence",
            postgresql_where=text("action = 'REMOVED'"),
        ),
        Index(
            "capital_history_latest_idx",
            "organization_id",
            "source_id",
            "effective_on",
            "sequence",
            postgresql_include=["action", "available_cents", "annual_rate"],
        ),
        Index(
            "capital_history_amount_idx",
            "organization_id",
            "source_id",
            "effective_on",
            "sequence",
            postgresql_include=["available_cents"],
            postgresql_where=text(SETS_AMOUNT),
        ),
        Index(
            "capital_history_rate_idx",
            "organization_id",
            "source_id",
            "effective_on",
            "sequence",
            postgresql_include=["annual_rate"],
            postgresql_where=text(SETS_RATE),
        ),
        CheckConstraint("action IN ('ADDED', 'AMOUNT_CHANGED', 'RATE_CHANGED', 'REMOVED')", name="action"),
        CheckConstraint("effective_on <= (recorded_at AT TIME ZONE 'UTC')::date", name="effective_on"),
        CheckConstraint("length(name) BETWEEN 3 AND 200", name="name"),
        CheckConstraint("annual_rate >= 0", name="annual_rate"),
        CheckConstraint(f"available_cents > 0 OR available_cents = 0 AND NOT {SETS_AMOUNT}", name="available"),
        CheckConstraint(f"available_cents IS NOT NULL OR NOT {SETS_AMOUNT}", name="sets_amount"),
        CheckConstraint(f"annual_rate IS NOT NULL OR NOT {SETS_RATE}", name="sets_rate"),
        CheckConstraint("length(notes) <= 1000", name="notes"),
        CheckConstraint("length(external_id) BETWEEN 1 AND 200", name="external_id"),
    )

    sequence: int = Field(sa_type=BigInteger)
    source_id: int = Field(sa_type=BigInteger)
    action: str
    effective_on: date = Field(sa_type=Date)
    name: str
    annual_rate: Decimal | None = ratio()
    available_cents: int | None = cents()
    previous_rate: Decimal | None = ratio()
    previous_amount_cents: int | None = cents()
    notes: str | None = None
    external_id: str
    actor_id: int | None = Field(default=None, sa_type=BigInteger)
    recorded_at: datetime = Field(sa_type=DateTime(timezone=True))
