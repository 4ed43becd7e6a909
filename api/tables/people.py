"""How people and programs sign in: passwords, sessions, invitations, API keys, and what failed.

Passwords, sessions and failures belong to no organization's data: the application's role cannot reach them at all.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    DateTime,
    Identity,
    Index,
    LargeBinary,
    PrimaryKeyConstraint,
    text,
)
from sqlmodel import Field, SQLModel

from api.tables.columns import TenantRow, same_organization, timestamp

ROLE_CHECK = "role IN ('ADMIN', 'EDITOR', 'VIEWER')"


def moment(*, nullable: bool = True) -> Any:
    """A TIMESTAMPTZ without a default."""
    return Field(default=None, sa_type=DateTime(timezone=True), nullable=nullable)


class UserPassword(SQLModel, table=True):
    """The argon2id hash of a user's password; a user without a row has none."""

    __tablename__ = "user_passwords"
    __table_args__ = (CheckConstraint("length(hash) BETWEEN 1 AND 500", name="hash"),)

    user_id: int = Field(primary_key=True, sa_type=BigInteger, foreign_key="users.id")
    hash: str
    changed_at: datetime = timestamp()


class Session(SQLModel, table=True):
    """A user signed in to one organization, until it expires, stays unused for too long, or is revoked."""

    __tablename__ = "sessions"
    __table_args__ = (
        same_organization("user_id", "memberships", target_column="user_id"),
        CheckConstraint("(revoked_at IS NULL) = (revoked_for IS NULL)", name="revoked"),
        Index("sessions_member_idx", "organization_id", "user_id"),
        Index("sessions_user_idx", "user_id"),
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=BigInteger, sa_column_args=[Identity()])
    organization_id: int = Field(sa_type=BigInteger)
    user_id: int = Field(sa_type=BigInteger)
    network: str
    created_at: datetime = timestamp()
    expires_at: datetime = moment(nullable=False)
    idle_expires_at: datetime = moment(nullable=False)
    revoked_at: datetime | None = moment()
    revoked_for: str | None = None


class RefreshToken(SQLModel, table=True):
    """The SHA-256 of one refresh token. A session has one that was not replaced; the others tell a reuse."""

    __tablename__ = "refresh_tokens"
    __table_args__ = (
        CheckConstraint("length(hash) = 32", name="hash"),
        Index("refresh_tokens_session_idx", "session_id"),
    )

    hash: bytes = Field(primary_key=True, sa_type=LargeBinary)
    session_id: int = Field(sa_type=BigInteger, foreign_key="sessions.id")
    previous_hash: bytes | None = Field(default=None, sa_type=LargeBinary)
    created_at: datetime = timestamp()
    replaced_at: datetime | None = moment()


class SignInThrottle(SQLModel, table=True):
    """How often an address was tried in vain from one client network, within a window of time."""

    __tablename__ = "sign_in_throttles"
    __table_args__ = (
        PrimaryKeyConstraint("email", "network"),
        Index("sign_in_throttles_expiry_idx", "window_ends_at"),
    )

    email: str
    network: str
    attempts: int = Field(sa_type=BigInteger)
    window_ends_at: datetime = moment(nullable=False)


class SignInFailure(SQLModel, table=True):
    """A failed sign-in: the log outside of the organizations."""

    __tablename__ = "sign_in_failures"
    __table_args__ = (Index("sign_in_failures_time_idx", "occurred_at"),)

    id: int | None = Field(default=None, primary_key=True, sa_type=BigInteger, sa_column_args=[Identity()])
    email: str
    network: str
    reason: str
    request_id: str | None = None
    occurred_at: datetime = timestamp()


class Invitation(TenantRow, table=True):
    """An offer to become a member, for whoever holds its token; one open one for each address."""

    __tablename__ = "invitations"
    __table_args__ = (
        same_organization("invited_by", "memberships", target_column="user_id"),
        CheckConstraint(ROLE_CHECK, name="role"),
        CheckConstraint("email = lower(email) AND length(email) BETWEEN 3 AND 320", name="email"),
        CheckConstraint("length(name) <= 200", name="name"),
        CheckConstraint("length(token_hash) = 32", name="token_hash"),
        Index(
            "invitations_open_idx",
            "organization_id",
            "email",
            unique=True,
            postgresql_where=text("accepted_at IS NULL AND revoked_at IS NULL"),
        ),
        Index("invitations_email_idx", "email"),
        Index("invitations_token_idx", "token_hash"),
    )

    email: str
    name: str = Field(default="", sa_column_kwargs={"server_default": text("''")})
    role: str
    token_hash: bytes = Field(sa_type=LargeBinary)
    invited_by: int | None = Field(default=None, sa_type=BigInteger)
    created_at: datetime = timestamp()
    expires_at: datetime = moment(nullable=False)
    accepted_at: datetime | None = moment()
    revoked_at: datetime | None = moment()


class ApiKey(TenantRow, table=True):
    """A program's way in, with a role of its own. Of its secret only the SHA-256 and the first characters are kept."""

    __tablename__ = "api_keys"
    __table_args__ = (
        same_organization("created_by", "memberships", target_column="user_id"),
        CheckConstraint(ROLE_CHECK, name="role"),
        CheckConstraint("length(name) BETWEEN 1 AND 200", name="name"),
        CheckConstraint("length(hash) = 32", name="hash"),
        Index("api_keys_hash_idx", "hash"),
    )

    name: str
    role: str
    prefix: str
    hash: bytes = Field(sa_type=LargeBinary)
    created_by: int | None = Field(default=None, sa_type=BigInteger)
    created_at: datetime = timestamp()
    expires_at: datetime = moment(nullable=False)
    last_used_at: datetime | None = moment()
    revoked_at: datetime | None = moment()
