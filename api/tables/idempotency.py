"""Claimed idempotency keys and the identity of what each one made."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, DateTime, Index, LargeBinary, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from api.tables.columns import TenantRow, timestamp


class IdempotencyKey(TenantRow, table=True):
    """A key that a caller gave for one write, in the same transaction as its effect."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (
        UniqueConstraint("organization_id", "mutation", "parent", "key", name="idempotency_keys_claim_key"),
        Index("idempotency_keys_expiry_idx", "organization_id", "expires_at"),
        CheckConstraint("length(key) BETWEEN 1 AND 128", name="key"),
        CheckConstraint("length(fingerprint) = 32", name="fingerprint"),
    )

    mutation: str
    parent: str = Field(default="", sa_column_kwargs={"server_default": text("''")})
    key: str
    fingerprint: bytes = Field(sa_type=LargeBinary)
    result: dict[str, Any] | None = Field(default=None, sa_type=JSONB)
    created_at: datetime = timestamp()
    expires_at: datetime = Field(sa_type=DateTime(timezone=True))
