"""Forecasts of funds, frozen at a time, and the reserves that are planned by them."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    DateTime,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from api.tables.columns import VersionedRow, cents, ratio, same_organization, timestamp


class ForecastSnapshot(VersionedRow, table=True):
    """A fund's forecast. Created PENDING; a worker does the rest.

    ``next_attempt_at`` is when a worker may claim it: at once, after a failed attempt later, and while one is at it,
    when that one counts as lost; null once it is final. Each claim adds to ``attempts``, by which whoever was taken
    for lost finds out. ``source_hash`` is of all that ``metrics`` were computed from: 16 bytes of the companies, 16 of
    the lots. ``metrics`` are stored uncompressed.
    """

    __tablename__ = "forecast_snapshots"
    __table_args__ = (
        same_organization("fund_id", "funds"),
        Index(
            "forecast_snapshots_unfinished_idx",
            "organization_id",
            "next_attempt_at",
            "id",
            postgresql_where=text("next_attempt_at IS NOT NULL"),
        ),
        Index(
            "forecast_snapshots_cursor_idx",
            "organization_id",
            "fund_id",
            text("snapshot_at DESC"),
            text("id DESC"),
        ),
        Index(
            "forecast_snapshots_fund_idem_key_idx",
            "organization_id",
            "fund_id",
            "idempotency_key",
            unique=True,
            postgresql_where=text("idempotency_key IS NOT NULL"),
        ),
        CheckConstraint("length(name) BETWEEN 1 AND 255", name="name"),
        CheckConstraint("status IN ('PENDING', 'CALCULATING', 'COMPLETE', 'ERROR')", name="status"),
        CheckConstraint("(status IN ('COMPLETE', 'ERROR')) = (next_attempt_at IS NULL)", name="next_attempt"),
        CheckConstraint("(status = 'COMPLETE') = (metrics IS NOT NULL)", name="metrics"),
        CheckConstraint("status <> 'COMPLETE' OR calculated_at IS NOT NULL", name="calculated"),
        CheckConstraint("status <> 'ERROR' OR error IS NOT NULL", name="error"),
        CheckConstraint("length(source_hash) = 32", name="source_hash"),
        CheckConstraint("attempts >= 0", name="attempts"),
        CheckConstraint("length(idempotency_key) BETWEEN 1 AND 128", name="idem_key_len"),
    )

    fund_id: int = Field(sa_type=BigInteger)
    name: str
    status: str = Field(default="PENDING", sa_column_kwargs={"server_default": text("'PENDING'")})
    snapshot_at: datetime = timestamp()
    metrics: dict[str, Any] | None = Field(
        default=None, sa_type=JSONB, sa_column_kwargs={"info": {"storage": "EXTERNAL"}}
    )
    error: str | None = None
    source_hash: bytes | None = Field(default=None, sa_type=LargeBinary)
    attempts: int = Field(default=0, sa_type=SmallInteger, sa_column_kwargs={"server_default": text("0")})
    claimed_at: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))
    next_attempt_at: datetime | None = Field(
        default=None, sa_type=DateTime(timezone=True), sa_column_kwargs={"server_default": text("now()")}
    )
    calculated_at: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))
    idempotency_key: str | None = Field(default=None, sa_type=Text)


class ReserveAllocation(VersionedRow, table=True):
    """One company's planned reserve within a snapshot of its fund."""

    __tablename__ = "reserve_allocations"
    __table_args__ = (
        same_organization("snapshot_id", "forecast_snapshots"),
        same_organization("company_id", "portfolio_companies"),
        UniqueConstraint("organization_id", "snapshot_id", "company_id"),
        Index(
            "reserve_allocations_cursor_idx",
            "organization_id",
            "snapshot_id",
            text("created_at DESC"),
            text("id DESC"),
        ),
        Index(
            "reserve_allocations_snapshot_idem_key_idx",
            "organization_id",
            "snapshot_id",
            "idempotency_key",
            unique=True,
            postgresql_where=text("idempotency_key IS NOT NULL"),
        ),
        CheckConstraint("planned_reserve_cents >= 0", name="planned_reserve"),
        CheckConstraint("priority BETWEEN 0 AND 1000000", name="priority"),
        CheckConstraint("length(rationale) <= 1000", name="rationale"),
        CheckConstraint("length(idempotency_key) BETWEEN 1 AND 128", name="idem_key_len"),
    )

    snapshot_id: int = Field(sa_type=BigInteger)
    company_id: int = Field(sa_type=BigInteger)
    planned_reserve_cents: int = cents(nullable=False)
    score: Decimal | None = ratio()
    priority: int | None = Field(default=None, sa_type=Integer)
    rationale: str | None = None
    idempotency_key: str | None = Field(default=None, sa_type=Text)
