"""The organization's log, append-only and hash-chained, and the head that hands out its sequence."""

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, DateTime, Index, LargeBinary, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from api.tables.columns import TenantRow, same_organization


class AuditHead(SQLModel, table=True):
    """The end of an organization's log, and of its capital history. Locked by every write just before it commits."""

    __tablename__ = "audit_heads"

    organization_id: int = Field(primary_key=True, sa_type=BigInteger, foreign_key="organizations.id")
    sequence: int = Field(default=0, sa_type=BigInteger, sa_column_kwargs={"server_default": text("0")})
    recorded_at: datetime = Field(
        sa_type=DateTime(timezone=True),
        sa_column_kwargs={"server_default": text("'epoch'")},
    )
    hash: bytes = Field(sa_type=LargeBinary, sa_column_kwargs={"server_default": text(r"'\x'::bytea")})
    capital_sequence: int = Field(default=0, sa_type=BigInteger, sa_column_kwargs={"server_default": text("0")})


class AuditEvent(TenantRow, table=True):
    """One entry of the log. ``body`` is the canonical JSON text that ``digest`` was made of, byte for byte."""

    __tablename__ = "audit_events"
    __table_args__ = (
        same_organization("actor_id", "memberships", target_column="user_id"),
        UniqueConstraint("organization_id", "sequence"),
        Index("audit_events_kind_idx", "organization_id", "kind", "sequence"),
        Index("audit_events_subject_idx", "organization_id", "subject_type", "subject_id", "sequence"),
        CheckConstraint("kind IN ('FINANCIAL', 'SECURITY', 'SYSTEM')", name="kind"),
        CheckConstraint("length(digest) = 32 AND length(hash) = 32", name="hash"),
    )

    sequence: int = Field(sa_type=BigInteger)
    kind: str
    action: str
    actor_id: int | None = Field(default=None, sa_type=BigInteger)
    subject_type: str | None = None
    subject_id: str | None = None
    request_id: str | None = None
    body: str | None = None
    digest: bytes = Field(sa_type=LargeBinary)
    hash: bytes = Field(sa_type=LargeBinary)
    recorded_at: datetime = Field(sa_type=DateTime(timezone=True))
