"""Organizations (tenants), users and memberships."""

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, DateTime, Identity, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from api.tables.columns import TenantRow, timestamp


class Organization(SQLModel, table=True):
    """A tenant. Its own id is the organization that row-level security compares with."""

    __tablename__ = "organizations"
    __table_args__ = (
        CheckConstraint("slug ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'", name="slug"),
        CheckConstraint("length(name) BETWEEN 1 AND 200", name="name"),
        CheckConstraint("base_currency ~ '^[A-Z]{3}$'", name="base_currency"),
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=BigInteger, sa_column_args=[Identity()])
    name: str
    slug: str = Field(unique=True)
    base_currency: str = Field(default="USD", sa_column_kwargs={"server_default": text("'USD'")})
    version: int = Field(default=1, sa_type=BigInteger, sa_column_kwargs={"server_default": text("1")})
    created_at: datetime = timestamp()


class User(SQLModel, table=True):
    """A person, global: one may be a member of several organizations."""

    __tablename__ = "users"
    __table_args__ = (
        CheckConstraint("email = lower(email) AND length(email) BETWEEN 3 AND 320", name="email"),
        CheckConstraint("length(name) <= 200", name="name"),
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=BigInteger, sa_column_args=[Identity()])
    email: str = Field(unique=True)
    name: str = Field(default="", sa_column_kwargs={"server_default": text("''")})
    created_at: datetime = timestamp()


class Membership(TenantRow, table=True):
    """A user's role in an organization. A removed one stays, so that history keeps its authors."""

    __tablename__ = "memberships"
    __table_args__ = (
        UniqueConstraint("organization_id", "user_id"),
        CheckConstraint("role IN ('ADMIN', 'EDITOR', 'VIEWER')", name="role"),
    )

    user_id: int = Field(sa_type=BigInteger, foreign_key="users.id", index=True)
    role: str
    version: int = Field(default=1, sa_type=BigInteger, sa_column_kwargs={"server_default": text("1")})
    created_at: datetime = timestamp()
    removed_at: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))
