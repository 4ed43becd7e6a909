"""Sessions: started by a sign-in, kept by refresh tokens that are good for one use, ended by signing out or misuse."""

import base64
import hashlib
import hmac
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from api.db.pools import Database
from api.domain.access import Principal, Role
from api.errors import Refused, invalid
from api.services.audit import AuditKind, Subject
from api.services.commands import Command

TOKEN_BYTES = 32
GRACE_SECONDS = 10
"""How long a refresh token that was used may be used again while what it was changed for was not: answers get lost."""


class RevokedFor(StrEnum):
    """Why a session ended before its time."""

    SIGNED_OUT = "SIGNED_OUT"
    REFRESH_TOKEN_REUSED = "REFRESH_TOKEN_REUSED"
    MEMBER_REMOVED = "MEMBER_REMOVED"
    PASSWORD_CHANGED = "PASSWORD_CHANGED"


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long sessions last: in all, and without being refreshed; ``key`` is the secret that makes refresh tokens."""

    days: int
    idle_hours: int
    key: bytes


@dataclass(frozen=True, slots=True)
class OpenSession:
    """A session with the refresh token that it goes on with; only here is the token to be had."""

    session_id: int
    refresh_token: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class FoundSession:
    """The session that a refresh token belongs to, which may have ended or been reused."""

    session_id: int
    principal: Principal
    email: str
    organization_slug: str


def new_token() -> str:
    """A random secret of 256 bits."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def token_hash(token: str) -> bytes:
    """What is kept of a random secret: it has too many bits to be guessed from that."""
    return hashlib.sha256(token.encode()).digest()


def successor(key: bytes, token: str) -> str:
    """The refresh token that this one is changed for: always the same, and nobody without the key can tell it."""
    digest = hmac.digest(key, token.encode(), hashlib.sha256)
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


@asynccontextmanager
async def as_authentication(command: Command) -> AsyncIterator[None]:
    """A part of the transaction as tranche_auth, which alone reaches sessions and passwords."""
    await command.connection.execute("SET LOCAL ROLE tranche_auth")
    yield
    # After a failure the transaction is rolled back, and the role with it.
    await command.connection.execute("SET LOCAL ROLE tranche_app")


async def start_session(command: Command, *, network: str, lifetimes: Lifetimes) -> OpenSession:
    """Starts a session of the command's user in its organization, and clears away what is left of ended ones."""
    user_id = command.principal.user_id
    token = new_token()
    async with as_authentication(command):
        await _delete_ended(command)
        row = await command.connection.fetchrow(
            """
            INSERT INTO sessions (organization_id, user_id, network, expires_at, idle_expires_at)
            VALUES ($1, $2, $3, now() + make_interval(days => $4), now() + make_interval(hours => $5))
            RETURNING id, expires_at
            """,
            command.organization_id,
            user_id,
            network,
            lifetimes.days,
            lifetimes.idle_hours,
        )
        await _keep_token(command, row["id"], token, previous_hash=None)
    command.record("session.started", _subject(row["id"]), after={"network": network}, kind=AuditKind.SECURITY)
    return OpenSession(row["id"], token, row["expires_at"])


async def find_session(database: Database, refresh_token: str) -> FoundSession | None:
    """The session of a refresh token whose user is a member still; None for an unknown token."""
    rows = await database.authentication.fetch(
        """
        SELECT session.id, session.organization_id, session.user_id, person.email, organization.slug, membership.role
        FROM refresh_tokens AS token
        JOIN sessions AS session ON session.id = token.session_id AND session.revoked_at IS NULL
        JOIN users AS person ON person.id = session.user_id
        JOIN organizations AS organization ON organization.id = session.organization_id
        JOIN memberships AS membership ON membership.organization_id = session.organization_id
          AND membership.user_id = session.user_id AND membership.removed_at IS NULL
        WHERE token.hash = $1
        """,
        token_hash(refresh_token),
    )
    if not rows:
        return None
    (row,) = rows
    principal = Principal(row["organization_id"], row["user_id"], Role(row["role"]))
    return FoundSession(row["id"], principal, row["email"], row["slug"])


async def refresh_session(
    command: Command, *, session_id: int, refresh_token: str, lifetimes: Lifetimes
) -> OpenSession | None:
    """Changes a refresh token for the next; None where it had been used before, which ends the session.

    Within the grace a used token gives the same successor again, so that whoever asks at once goes on together.
    Raises Refused (INVALID_INPUT) where the session has ended.
    """
    given, next_token = token_hash(refresh_token), successor(lifetimes.key, refresh_token)
    async with as_authentication(command):
        session = await command.connection.fetchrow(
            """
            UPDATE sessions SET idle_expires_at = now() + make_interval(hours => $2)
            WHERE id = $1 AND revoked_at IS NULL AND expires_at > now() AND idle_expires_at > now()
            RETURNING expires_at
            """,
            session_id,
            lifetimes.idle_hours,
        )
        if session is None:
            raise not_refreshed()
        is_first_use = await command.connection.fetchval(
            """
            UPDATE refresh_tokens SET replaced_at = clock_timestamp()
            WHERE hash = $2 AND session_id = $1 AND replaced_at IS NULL RETURNING true
            """,
            session_id,
            given,
        )
        if is_first_use:
            await _keep_token(command, session_id, next_token, previous_hash=given)
        is_good = is_first_use or await _is_within_grace(command, given, token_hash(next_token))
    if not is_good:
        await _revoke(command, "id = $1", session_id, RevokedFor.REFRESH_TOKEN_REUSED)
        return None
    command.record("session.refreshed", _subject(session_id), kind=AuditKind.SECURITY)
    return OpenSession(session_id, next_token, session["expires_at"])


async def _is_within_grace(command: Command, given: bytes, following: bytes) -> bool:
    """Whether a used token was used so lately, and what it was changed for was not."""
    is_within: bool = await command.connection.fetchval(
        """
        SELECT EXISTS (SELECT 1 FROM refresh_tokens AS given
        JOIN refresh_tokens AS live ON live.hash = $2 AND live.previous_hash = given.hash AND live.replaced_at IS NULL
        WHERE given.hash = $1 AND given.replaced_at > clock_timestamp() - make_interval(secs => $3))
        """,
        given,
        following,
        GRACE_SECONDS,
    )
    return is_within


async def sign_out(command: Command, *, session_id: int) -> int:
    """Ends the session and returns its id; raises Refused (INVALID_TRANSITION) where it has ended."""
    if not await _revoke(command, "id = $1", session_id, RevokedFor.SIGNED_OUT):
        raise not_refreshed()
    return session_id


async def revoke_sessions_of_member(command: Command, user_id: int) -> None:
    """Ends all sessions of a user in the command's organization."""
    condition = "user_id = $1 AND organization_id = $3"
    await _revoke(command, condition, user_id, RevokedFor.MEMBER_REMOVED, command.organization_id)


async def change_password(command: Command, *, password_hash: str, session_id: int | None) -> int:
    """Sets the password of the command's user, whose present one was checked, and returns the user's id.

    Ends the user's sessions in all organizations but the one with this id.
    """
    user_id = command.principal.user_id
    async with as_authentication(command):
        await command.connection.execute(
            "UPDATE user_passwords SET hash = $2, changed_at = now() WHERE user_id = $1", user_id, password_hash
        )
        rows = await command.connection.fetch(
            """
            UPDATE sessions SET revoked_at = now(), revoked_for = $2
            WHERE user_id = $1 AND id IS DISTINCT FROM $3 AND revoked_at IS NULL RETURNING id, organization_id
            """,
            user_id,
            RevokedFor.PASSWORD_CHANGED.value,
            session_id,
        )
    changed = note_password_change(command)
    for row in rows:
        # A session of another organization is none of this log's business.
        if row["organization_id"] == command.organization_id:
            after = {"reason": RevokedFor.PASSWORD_CHANGED}
            command.record("session.revoked", _subject(row["id"]), after=after, kind=AuditKind.SECURITY)
    return changed


def note_password_change(command: Command) -> int:
    """Says in the organization's log that the command's user has another password; returns the user's id."""
    user_id = command.principal.user_id
    if user_id is None:
        raise LookupError("nobody has changed a password")
    command.record("password.changed", Subject("User", user_id), kind=AuditKind.SECURITY)
    return user_id


def not_refreshed() -> Refused:
    """The one refusal of a refresh token, whatever is wrong with it."""
    return Refused([invalid("refresh_token", "The session has ended. Sign in again.")])


async def _revoke(command: Command, condition: str, value: int, reason: RevokedFor, *more: int) -> int:
    async with as_authentication(command):
        rows = await command.connection.fetch(
            f"UPDATE sessions SET revoked_at = now(), revoked_for = $2 WHERE {condition} AND revoked_at IS NULL"
            " RETURNING id",
            value,
            reason.value,
            *more,
        )
    for row in rows:
        command.record("session.revoked", _subject(row["id"]), after={"reason": reason}, kind=AuditKind.SECURITY)
    return len(rows)


async def _keep_token(command: Command, session_id: int, token: str, *, previous_hash: bytes | None) -> None:
    await command.connection.execute(
        "INSERT INTO refresh_tokens (hash, session_id, previous_hash) VALUES ($1, $2, $3)",
        token_hash(token),
        session_id,
        previous_hash,
    )


async def _delete_ended(command: Command) -> None:
    """Deletes the user's sessions that ended more than a day ago."""
    ended = (
        "SELECT id FROM sessions WHERE user_id = $1"
        " AND least(coalesce(revoked_at, expires_at), expires_at, idle_expires_at) < now() - interval '1 day'"
    )
    for statement in (
        f"DELETE FROM refresh_tokens WHERE session_id IN ({ended})",
        f"DELETE FROM sessions WHERE id IN ({ended})",
    ):
        await command.connection.execute(statement, command.principal.user_id)


def _subject(session_id: int) -> Subject:
    return Subject("Session", session_id)
