"""Finding out who is asking, before an organization is known: read as tranche_auth, across organizations."""

from dataclasses import dataclass
from datetime import datetime

from api.db.pools import Database
from api.domain.access import Principal, Role


@dataclass(frozen=True, slots=True)
class FoundMembership:
    """A user's present membership in one organization."""

    user_id: int
    email: str
    organization_id: int
    organization_slug: str
    organization_name: str
    role: Role

    @property
    def principal(self) -> Principal:
        """The user as a principal of the organization."""
        return Principal(self.organization_id, self.user_id, self.role)


_MEMBERSHIPS = """
SELECT person.id AS user_id, person.email, organization.id AS organization_id, organization.slug, organization.name,
  membership.role
FROM users AS person
JOIN memberships AS membership ON membership.user_id = person.id AND membership.removed_at IS NULL
JOIN organizations AS organization ON organization.id = membership.organization_id
WHERE {condition} ORDER BY organization.id
"""


async def memberships_of_user(database: Database, user_id: int) -> list[FoundMembership]:
    """All present memberships of the user with this id."""
    return await _find(database, "person.id = $1", user_id)


async def memberships_of_email(database: Database, email: str) -> list[FoundMembership]:
    """All present memberships of the user with this address."""
    return await _find(database, "person.email = lower($1)", email)


async def _find(database: Database, condition: str, *values: object) -> list[FoundMembership]:
    rows = await database.authentication.fetch(_MEMBERSHIPS.format(condition=condition), *values)
    return [
        FoundMembership(
            row["user_id"], row["email"], row["organization_id"], row["slug"], row["name"], Role(row["role"])
        )
        for row in rows
    ]


async def membership_of_session(database: Database, user_id: int, session_id: int) -> FoundMembership | None:
    """The membership that a user's session is of; None where either has ended."""
    found = await _find(
        database,
        "person.id = $1 AND EXISTS (SELECT 1 FROM sessions AS session WHERE session.id = $2"
        " AND session.user_id = person.id AND session.organization_id = organization.id"
        " AND session.revoked_at IS NULL AND session.expires_at > now() AND session.idle_expires_at > now())",
        user_id,
        session_id,
    )
    return found[0] if found else None


@dataclass(frozen=True, slots=True)
class FoundApiKey:
    """An API key that holds. ``is_use_noted``: its use has been noted within the last minute."""

    id: int
    organization_id: int
    name: str
    role: Role
    expires_at: datetime
    is_use_noted: bool


async def api_key_of_hash(database: Database, key_hash: bytes) -> FoundApiKey | None:
    """The key whose secret has this SHA-256; None where it is unknown, revoked or has expired."""
    rows = await database.authentication.fetch(
        """
        SELECT id, organization_id, name, role, expires_at,
          coalesce(last_used_at > now() - interval '1 minute', false) AS is_use_noted
        FROM api_keys WHERE hash = $1 AND revoked_at IS NULL AND expires_at > now()
        """,
        key_hash,
    )
    if not rows:
        return None
    (row,) = rows
    return FoundApiKey(
        row["id"], row["organization_id"], row["name"], Role(row["role"]), row["expires_at"], row["is_use_noted"]
    )


def choose(found: list[FoundMembership], slug: str | None) -> FoundMembership | None:
    """The membership in the named organization, or the only one where none is named."""
    if slug is None:
        return found[0] if len(found) == 1 else None
    return next((membership for membership in found if membership.organization_slug == slug), None)
