"""API keys: how a program signs in, with a role of its own and an end."""

from datetime import datetime, timedelta

from api.db.pools import Database
from api.domain.access import Role
from api.errors import ErrorCode, Problem, Refused, invalid, not_found
from api.services.audit import AuditKind, Subject
from api.services.checks import check_name
from api.services.commands import Command
from api.services.sessions import new_token, token_hash

SECRET_START = "tranche_"
SHOWN_CHARACTERS = len(SECRET_START) + 6
DAYS_DEFAULT = 365
DAYS_MAX = 731
LAST_USED_SECONDS = 60
"""How exactly the time of the last use is kept."""


def new_secret() -> str:
    """A secret of 256 random bits that is recognised as one of ours, by people and by scanners for secrets."""
    return SECRET_START + new_token()


async def create_api_key(
    command: Command, *, name: str, role: Role, secret: str, now: datetime, expires_at: datetime | None = None
) -> int:
    """Makes a key of this secret, which is not kept, and returns its id; it ends after a year unless told otherwise.

    Raises Refused (INVALID_INPUT).
    """
    expires_at = expires_at or now + timedelta(days=DAYS_DEFAULT)
    problems = check_name("name", name)
    if not now < expires_at <= now + timedelta(days=DAYS_MAX):
        expected = f"from now to {DAYS_MAX} days from now"
        problems.append(invalid("expires_at", f"Must be {expected}.", expected=expected, actual=expires_at.isoformat()))
    if problems:
        raise Refused(problems)
    key_id: int = await command.connection.fetchval(
        """
        INSERT INTO api_keys (organization_id, name, role, prefix, hash, created_by, expires_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id
        """,
        command.organization_id,
        name,
        role.value,
        secret[:SHOWN_CHARACTERS],
        token_hash(secret),
        command.principal.user_id,
        expires_at,
    )
    after = {"name": name, "role": role, "expires_at": expires_at}
    command.record("apiKey.created", Subject("ApiKey", key_id), after=after, kind=AuditKind.SECURITY)
    return key_id


async def revoke_api_key(command: Command, *, key_id: int) -> int:
    """Ends a key for good and returns its id; raises Refused: NOT_FOUND, or INVALID_TRANSITION where it was revoked."""
    row = await command.connection.fetchrow(
        "UPDATE api_keys SET revoked_at = now() WHERE organization_id = $1 AND id = $2 AND revoked_at IS NULL"
        " RETURNING name, role",
        command.organization_id,
        key_id,
    )
    if row is None:
        known = "SELECT true FROM api_keys WHERE organization_id = $1 AND id = $2"
        if not await command.connection.fetchval(known, command.organization_id, key_id):
            raise not_found("id", "API key")
        raise Refused([Problem(ErrorCode.INVALID_TRANSITION, "The key has been revoked.", ("id",))])
    command.record("apiKey.revoked", Subject("ApiKey", key_id), before=dict(row), kind=AuditKind.SECURITY)
    return key_id


async def note_use(database: Database, organization_id: int, key_id: int) -> None:
    """Keeps the time of use, at most once a minute.

    No command: nobody has asked for this write, and the log would hold nothing else.
    """
    await database.sign_ins.fetch(
        """
        UPDATE api_keys SET last_used_at = now() WHERE organization_id = $1 AND id = $2
        AND (last_used_at IS NULL OR last_used_at < now() - make_interval(secs => $3))
        """,
        organization_id,
        key_id,
        LAST_USED_SECONDS,
    )
