"""Finding out who is asking, before an organization is known: read as tranche_auth, across organizations."""

from dataclasses import dataclass

from api.db.pools import Database
from api.domain.access import Role


@dataclass(frozen=True, slots=True)
class FoundMembership:
    """A user's present membership in one organization."""

    user_id: int
    email: str
    organization_id: int
    organization_slug: str
    organization_name: str
    role: Role


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


async def _find(database: Database, condition: str, value: object) -> list[FoundMembership]:
    rows = await database.authentication.fetch(_MEMBERSHIPS.format(condition=condition), value)
    return [
        FoundMembership(
            row["user_id"], row["email"], row["organization_id"], row["slug"], row["name"], Role(row["role"])
        )
        for row in rows
    ]


def choose(found: list[FoundMembership], slug: str | None) -> FoundMembership | None:
    """The membership in the named organization, or the only one where none is named."""
    if slug is None:
        return found[0] if len(found) == 1 else None
    return next((membership for membership in found if membership.organization_slug == slug), None)
