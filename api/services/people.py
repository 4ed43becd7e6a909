"""Members: inviting, joining, changing roles, removing. An organization always keeps an administrator."""

from dataclasses import dataclass, replace

import asyncpg

from api.db.pools import Database
from api.domain.access import Principal, Role
from api.errors import ErrorCode, Problem, Refused, invalid, not_found, version_conflict
from api.services.audit import AuditKind, Subject
from api.services.checks import check_text
from api.services.commands import Command
from api.services.organizations import EMAIL, EMAIL_LENGTH_MAX
from api.services.principals import check_principal
from api.services.sessions import as_authentication, revoke_sessions_of_member, token_hash

INVITATION_DAYS = 14
_OPEN = "accepted_at IS NULL AND revoked_at IS NULL AND expires_at > now()"


@dataclass(frozen=True, slots=True)
class FoundInvitation:
    """An open invitation, and what its address has already.

    ``was_member`` anywhere, or still ``is_member``; ``is_password_known``: it was set with the invitation of another
    organization, whose administrator held that token, and has not been changed since.
    """

    id: int
    principal: Principal
    organization_slug: str
    email: str
    user_id: int | None
    has_password: bool
    is_password_known: bool
    was_member: bool
    is_member: bool


async def invite_member(command: Command, *, email: str, role: Role, token: str, name: str = "") -> int:
    """Makes an invitation for whoever holds the token, in the place of an earlier one; returns its id.

    Raises Refused: INVALID_INPUT, or ALREADY_EXISTS where the address is a member's.
    """
    problems = check_text("name", name)
    if not EMAIL.fullmatch(email) or len(email) > EMAIL_LENGTH_MAX:
        problems.append(invalid("email", "Must be an address.", actual=email[:80]))
    if problems:
        raise Refused(problems)
    await _lock_members(command)
    is_member = await command.connection.fetchval(
        """
        SELECT true FROM memberships AS membership JOIN users AS person ON person.id = membership.user_id
        WHERE membership.organization_id = $1 AND person.email = lower($2) AND membership.removed_at IS NULL
        """,
        command.organization_id,
        email,
    )
    if is_member:
        raise Refused([Problem(ErrorCode.ALREADY_EXISTS, "Whoever has this address is a member.", ("email",))])
    await command.connection.execute(
        """
        UPDATE invitations SET revoked_at = now()
        WHERE organization_id = $1 AND email = lower($2) AND accepted_at IS NULL AND revoked_at IS NULL
        """,
        command.organization_id,
        email,
    )
    row = await command.connection.fetchrow(
        """
        INSERT INTO invitations (organization_id, email, name, role, token_hash, invited_by, expires_at)
        VALUES ($1, lower($2), $3, $4, $5, $6, now() + make_interval(days => $7)) RETURNING id, email
        """,
        command.organization_id,
        email,
        name,
        role.value,
        token_hash(token),
        command.principal.user_id,
        INVITATION_DAYS,
    )
    invitation_id: int = row["id"]
    after = {"email": row["email"], "name": name, "role": role}
    command.record("invitation.created", Subject("Invitation", invitation_id), after=after, kind=AuditKind.SECURITY)
    return invitation_id


async def revoke_invitation(command: Command, *, invitation_id: int) -> int:
    """Takes an open invitation back; raises Refused: NOT_FOUND, or INVALID_TRANSITION where it is not open."""
    row = await command.connection.fetchrow(
        f"UPDATE invitations SET revoked_at = now() WHERE organization_id = $1 AND id = $2 AND {_OPEN} RETURNING email",
        command.organization_id,
        invitation_id,
    )
    if row is None:
        known = "SELECT true FROM invitations WHERE organization_id = $1 AND id = $2"
        if not await command.connection.fetchval(known, command.organization_id, invitation_id):
            raise not_found("id", "invitation")
        raise Refused([Problem(ErrorCode.INVALID_TRANSITION, "The invitation is not open any more.", ("id",))])
    before = {"email": row["email"]}
    command.record("invitation.revoked", Subject("Invitation", invitation_id), before=before, kind=AuditKind.SECURITY)
    return invitation_id


async def find_invitation(database: Database, token: str) -> FoundInvitation:
    """The open invitation of this token; raises Refused (INVALID_INPUT) where there is none."""
    rows = await database.authentication.fetch(
        f"""
        SELECT invitation.id, invitation.organization_id, invitation.role, invitation.email, organization.slug,
          person.id AS user_id, password.user_id IS NOT NULL AS has_password,
          EXISTS (SELECT 1 FROM invitations AS earlier WHERE earlier.email = invitation.email
            AND earlier.organization_id <> invitation.organization_id
            -- Both are the time of one transaction.
            AND earlier.accepted_at = password.changed_at) AS is_password_known,
          EXISTS (SELECT 1 FROM memberships WHERE memberships.user_id = person.id) AS was_member,
          EXISTS (SELECT 1 FROM memberships
            WHERE memberships.user_id = person.id AND memberships.removed_at IS NULL) AS is_member
        FROM (SELECT * FROM invitations WHERE token_hash = $1 AND {_OPEN}) AS invitation
        JOIN organizations AS organization ON organization.id = invitation.organization_id
        LEFT JOIN users AS person ON person.email = invitation.email
        LEFT JOIN user_passwords AS password ON password.user_id = person.id
        """,
        token_hash(token),
    )
    if not rows:
        raise not_open()
    (row,) = rows
    return FoundInvitation(
        row["id"],
        Principal(row["organization_id"], None, Role(row["role"])),
        row["slug"],
        row["email"],
        row["user_id"],
        row["has_password"],
        row["is_password_known"],
        row["was_member"],
        row["is_member"],
    )


async def accept_invitation(command: Command, *, invitation: FoundInvitation, password_hash: str | None) -> int:
    """Makes the invited person a member and returns the membership's id.

    With a ``password_hash``, for somebody who has no password yet; else it was checked before. Raises Refused:
    INVALID_INPUT where the invitation is not open any more, or a password has been set meanwhile.
    """
    await _lock_members(command)
    row = await command.connection.fetchrow(
        f"SELECT * FROM invitations WHERE organization_id = $1 AND id = $2 AND {_OPEN} FOR UPDATE",
        command.organization_id,
        invitation.id,
    )
    if row is None:
        raise not_open()
    async with as_authentication(command):
        user_id, membership_id = await _join(command, row, password_hash)
    await command.connection.execute(
        "UPDATE invitations SET accepted_at = now() WHERE organization_id = $1 AND id = $2",
        command.organization_id,
        invitation.id,
    )
    command.principal = replace(command.principal, user_id=user_id)
    after = {"email": row["email"], "role": row["role"], "invitation": row["id"]}
    command.record("member.joined", Subject("Membership", membership_id), after=after, kind=AuditKind.SECURITY)
    return membership_id


async def _join(command: Command, invitation: asyncpg.Record, password_hash: str | None) -> tuple[int, int]:
    """The ids of the user and the membership, both made where they are not there."""
    await command.connection.execute(
        "INSERT INTO users (email, name) VALUES ($1, $2) ON CONFLICT (email) DO NOTHING",
        invitation["email"],
        invitation["name"],
    )
    user_id: int = await command.connection.fetchval("SELECT id FROM users WHERE email = $1", invitation["email"])
    if password_hash is not None:
        is_set = await command.connection.fetchval(
            "INSERT INTO user_passwords (user_id, hash) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING true",
            user_id,
            password_hash,
        )
        if not is_set:
            raise not_open()
    membership_id = await command.connection.fetchval(
        """
        UPDATE memberships SET role = $3, version = version + 1, removed_at = NULL
        WHERE organization_id = $1 AND user_id = $2 AND removed_at IS NOT NULL RETURNING id
        """,
        command.organization_id,
        user_id,
        invitation["role"],
    )
    if membership_id is None:
        membership_id = await command.connection.fetchval(
            """
            INSERT INTO memberships (organization_id, user_id, role) VALUES ($1, $2, $3)
            ON CONFLICT (organization_id, user_id) DO NOTHING RETURNING id
            """,
            command.organization_id,
            user_id,
            invitation["role"],
        )
    if membership_id is None:
        raise not_open()
    return user_id, membership_id


async def change_member_role(command: Command, *, membership_id: int, role: Role, expected_version: int) -> int:
    """Gives a member another role and returns the membership's id.

    Raises Refused: NOT_FOUND, VERSION_CONFLICT, or INVALID_TRANSITION for the last administrator or a removed member.
    """
    before = await _member(command, membership_id, expected_version)
    if before["role"] == Role.ADMIN and role is not Role.ADMIN:
        await _refuse_without_another_administrator(command, membership_id)
    row = await command.connection.fetchrow(
        "UPDATE memberships SET role = $3, version = version + 1 WHERE organization_id = $1 AND id = $2 RETURNING *",
        command.organization_id,
        membership_id,
        role.value,
    )
    command.wrote("memberships", row)
    command.record(
        "member.roleChanged",
        Subject("Membership", membership_id),
        before={"role": before["role"]},
        after={"role": role},
        kind=AuditKind.SECURITY,
    )
    return membership_id


async def remove_member(command: Command, *, membership_id: int, expected_version: int) -> int:
    """Removes a member, ends their sessions here, and returns the membership's id.

    Raises Refused: NOT_FOUND, VERSION_CONFLICT, or INVALID_TRANSITION for the last administrator or a removed member.
    """
    before = await _member(command, membership_id, expected_version)
    if before["role"] == Role.ADMIN:
        await _refuse_without_another_administrator(command, membership_id)
    row = await command.connection.fetchrow(
        "UPDATE memberships SET removed_at = now(), version = version + 1 WHERE organization_id = $1 AND id = $2"
        " RETURNING *",
        command.organization_id,
        membership_id,
    )
    command.wrote("memberships", row)
    command.record(
        "member.removed",
        Subject("Membership", membership_id),
        before={"role": before["role"]},
        kind=AuditKind.SECURITY,
    )
    await revoke_sessions_of_member(command, before["user_id"])
    return membership_id


def not_open() -> Refused:
    """The one refusal of an invitation's token, whether it is none or somebody else's."""
    message = "There is no open invitation of this token for you. If you have an account, sign in to it first."
    return Refused([invalid("token", message)])


async def _lock_members(command: Command) -> None:
    """Takes the lock under which members change, and looks whether the caller may still do it after waiting for it."""
    await command.connection.execute(
        "SELECT 1 FROM organizations WHERE id = $1 FOR NO KEY UPDATE", command.organization_id
    )
    await check_principal(command.connection, command.principal)


async def _member(command: Command, membership_id: int, expected_version: int) -> asyncpg.Record:
    await _lock_members(command)
    row = await command.connection.fetchrow(
        "SELECT * FROM memberships WHERE organization_id = $1 AND id = $2", command.organization_id, membership_id
    )
    if row is None:
        raise not_found("id", "member")
    if row["version"] != expected_version:
        raise version_conflict(expected_version, row["version"])
    if row["removed_at"] is not None:
        raise Refused([Problem(ErrorCode.INVALID_TRANSITION, "This member has been removed.", ("id",))])
    return row


async def _refuse_without_another_administrator(command: Command, membership_id: int) -> None:
    has_another = await command.connection.fetchval(
        """
        SELECT EXISTS (SELECT 1 FROM memberships
          WHERE organization_id = $1 AND id <> $2 AND role = 'ADMIN' AND removed_at IS NULL)
        """,
        command.organization_id,
        membership_id,
    )
    if not has_another:
        message = "This is the last administrator. Make somebody else one first."
        raise Refused([Problem(ErrorCode.INVALID_TRANSITION, message, ("id",))])
