"""Committed reallocations, append-only: the application may insert and read, never change."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Index, Uuid, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from api.tables.columns import same_organization, timestamp


class Reallocation(SQLModel, table=True):
    """One committed change of planned reserves across a fund's companies. Written by ``log_reallocation_audit``."""

    __tablename__ = "reallocation_audit"
    __table_args__ = (
        same_organization("fund_id", "funds"),
        same_organization("user_id", "memberships", target_column="user_id"),
        Index("idx_reallocation_audit_fund", "organization_id", "fund_id", text("created_at DESC"), text("id DESC")),
        Index("idx_reallocation_audit_user", "organization_id", "user_id", text("created_at DESC")),
        Index("idx_reallocation_audit_versions", "organization_id", "fund_id", "baseline_version", "new_version"),
        Index("idx_reallocation_audit_changes_gin", "changes_json", postgresql_using="gin"),
        CheckConstraint("new_version > baseline_version", name="versions"),
        CheckConstraint("jsonb_typeof(changes_json) = 'array' AND changes_json <> '[]'::jsonb", name="changes_json"),
        CheckConstraint("length(reason) <= 1000", name="reason"),
    )

    organization_id: int = Field(primary_key=True, sa_type=BigInteger, foreign_key="organizations.id")
    id: UUID = Field(primary_key=True, sa_type=Uuid, sa_column_kwargs={"server_default": text("gen_random_uuid()")})
    fund_id: int = Field(sa_type=BigInteger)
    user_id: int | None = Field(default=None, sa_type=BigInteger)
    baseline_version: int = Field(sa_type=BigInteger)
    new_version: int = Field(sa_type=BigInteger)
    changes_json: list[dict[str, Any]] = Field(sa_type=JSONB)
    reason: str | None = None
    created_at: datetime = timestamp()
