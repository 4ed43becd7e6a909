"""What the operator does as tranche_maintenance: creating an organization, and giving somebody a password.

Neither has an organization to be written in.
"""

import re
from dataclasses import dataclass

import asyncpg

from api.domain.access import Role
from api.domain.money import is_currency
from api.errors import ErrorCode, Problem, Refused, invalid, not_found
from api.services.audit import AuditKind, Event, Subject, digest
from api.services.checks import check_name

SLUG = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
EMAIL = re.compile(r"[^@\s\x00]+@[^@\s\x00]+", re.ASCII)
EMAIL_LENGTH_MAX = 320


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody to be made a member: address, name and role."""

    email: str
    role: Role
    name: str = ""


async def create_organization(
    owner: asyncpg.Connection, *, name: str, slug: str, currency: str, members: list[Member]
) -> int:
    """Creates an organization with its log and its first members, and returns its id.

    ``owner`` is a connection of the schema's owner. Raises Refused: INVALID_INPUT, ALREADY_EXISTS for the slug.
    """
    _refuse_bad_values(name, slug, currency, members)
    async with owner.transaction():
        await owner.execute("SET LOCAL ROLE tranche_maintenance")
        organization_id: int | None = await owner.fetchval(
            """
            INSERT INTO organizations (name, slug, base_currency) VALUES ($1, $2, $3)
            ON CONFLICT (slug) DO NOTHING RETURNING id
            """,
            name,
            slug,
            currency,
        )
        if organization_id is None:
            raise Refused([Problem(ErrorCode.ALREADY_EXISTS, "There is an organization of this slug.", ("slug",))])
        await owner.execute("INSERT INTO audit_heads (organization_id) VALUES ($1)", organization_id)
        for member in members:
            await _add_member(owner, organization_id, member)
        event = Event(
            AuditKind.SYSTEM,
            "organization.created",
            Subject("Organization", organization_id),
            after={"name": name, "slug": slug, "members": [member.email.lower() for member in members]},
        )
        await _append(owner, organization_id, event)
    return organization_id


async def set_password(owner: asyncpg.Connection, *, email: str, password_hash: str) -> None:
    """Gives a user a password, ends all their sessions, and says so in the log of each of their organizations.

    ``owner`` is a connection of the schema's owner. Raises Refused: NOT_FOUND.
    """
    async with owner.transaction():
        await owner.execute("SET LOCAL ROLE tranche_maintenance")
        user_id: int | None = await owner.fetchval("SELECT id FROM users WHERE email = lower($1)", email)
        if user_id is None:
            raise not_found("email", "user")
        await owner.execute(
            """
            INSERT INTO user_passwords (user_id, hash) VALUES ($1, $2)
            ON CONFLICT (user_id) DO UPDATE SET hash = excluded.hash, changed_at = now()
            """,
            user_id,
            password_hash,
        )
        await owner.execute(
            "UPDATE sessions SET revoked_at = now(), revoked_for = 'PASSWORD_CHANGED'"
            " WHERE user_id = $1 AND revoked_at IS NULL",
            user_id,
        )
        rows = await owner.fetch(
            "SELECT organization_id FROM memberships WHERE user_id = $1 ORDER BY organization_id", user_id
        )
        for row in rows:
            event = Event(AuditKind.SECURITY, "password.set", Subject("User", user_id))
            await _append(owner, row["organization_id"], event)


async def _append(owner: asyncpg.Connection, organization_id: int, event: Event) -> None:
    """Appends an event of the system's to the organization's log."""
    body = event.body(actor_id=None, request_id=None)
    await owner.execute(
        "SELECT append_audit($1, NULL, NULL, $2, $3, $4, $5, $6, $7)",
        organization_id,
        [event.kind.value],
        [event.action],
        [event.subject and event.subject.type_name],
        [event.subject and str(event.subject.id)],
        [body.decode()],
        [digest(body)],
    )


async def _add_member(owner: asyncpg.Connection, organization_id: int, member: Member) -> None:
    user_id = await owner.fetchval(
        """
        INSERT INTO users (email, name) VALUES (lower($1), $2)
        ON CONFLICT (email) DO UPDATE SET email = users.email RETURNING id
        """,
        member.email,
        member.name,
    )
    await owner.execute(
        "INSERT INTO memberships (organization_id, user_id, role) VALUES ($1, $2, $3)",
        organization_id,
        user_id,
        member.role.value,
    )


def _refuse_bad_values(name: str, slug: str, currency: str, members: list[Member]) -> None:
    problems = check_name("name", name)
    if not SLUG.fullmatch(slug):
        expected = "1 to 63 of a-z, 0-9 and -, no - at either end"
        problems.append(invalid("slug", f"Must be {expected}.", expected=expected, actual=slug[:80]))
    if not is_currency(currency):
        problems.append(invalid("currency", "Must be an ISO 4217 code.", actual=currency[:20]))
    for member in members:
        if not EMAIL.fullmatch(member.email) or len(member.email) > EMAIL_LENGTH_MAX:
            problems.append(invalid("email", "Must be an address.", actual=member.email[:80]))
    if problems:
        raise Refused(problems)
