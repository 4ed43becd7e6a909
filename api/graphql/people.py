"""Members: inviting, joining, changing roles, removing."""

from datetime import datetime
from typing import Annotated

import strawberry
from pydantic import TypeAdapter

from api import tables
from api.errors import ErrorCode, Problem, Refused, invalid
from api.graphql.connections import Connection
from api.graphql.context import Info
from api.graphql.declare import column, connection, entity, to_one
from api.graphql.mutations import Payload, given, refusal, row_id, write
from api.graphql.nodes import Node
from api.graphql.objects import load
from api.graphql.organizations import GraphQLRole, Membership, User
from api.graphql.scalars import BigInt
from api.graphql.sign_in import people_of
from api.services import people, sessions
from api.services.passwords import LENGTH_MAX, LENGTH_MIN, check_new_password
from api.services.sign_in import Attempt

PASSWORD_IS_KNOWN = (
    "Your password was set with another organization's invitation, whose token somebody else had as well. "
    "Change it first, with changePassword."
)
_ID = TypeAdapter(int)


@entity(tables.Invitation, "An offer to become a member. For administrators.", action="invitations")
class Invitation(Node):
    """An offer to become a member."""

    email: str = column("Whose it is.")
    name: str = column("What the person is called; may be empty.")
    role: GraphQLRole = column("The role that is offered.")
    invited_by: User | None = to_one("Who invited them; null for an API key.", "User", by="invited_by")
    created_at: datetime = column("When it was made.")
    expires_at: datetime = column("Until when it can be accepted.")
    accepted_at: datetime | None = column("When it was accepted; null where it was not.")
    revoked_at: datetime | None = column("When it was revoked or replaced; null where it was not.")


@strawberry.type
class PeopleQuery:
    """The root fields about people who are no members yet."""

    invitations: Connection[Invitation] | None = connection(
        "The organization's invitations. For administrators.",
        "Invitation",
        tables.Invitation,
        by=None,
        action="invitations",
    )


@strawberry.input(description="Whom to invite.")
class InviteMemberInput:
    """Whom to invite."""

    email: str = strawberry.field(description="The address.")
    role: GraphQLRole = strawberry.field(description="The role.")
    name: str = strawberry.field(default="", description="What the person is called, at most 200 characters.")


@strawberry.input(description="The invitation to take back.")
class RevokeInvitationInput:
    """The invitation to take back."""

    id: strawberry.ID = strawberry.field(description="The invitation.")


@strawberry.input(description="The invitation that is accepted.")
class AcceptInvitationInput:
    """The invitation that is accepted."""

    token: str = strawberry.field(description="The invitation's token.")
    password: str = strawberry.field(
        description=f"A new password, {LENGTH_MIN} to {LENGTH_MAX} characters; the present one of somebody who has one."
    )


@strawberry.input(description="The role to give to a member.")
class ChangeMemberRoleInput:
    """The role to give to a member."""

    id: strawberry.ID = strawberry.field(description="The membership.")
    role: GraphQLRole = strawberry.field(description="The new role.")
    expected_version: BigInt = strawberry.field(description="The version that the change is made against.")


@strawberry.input(description="The member to remove.")
class RemoveMemberInput:
    """The member to remove."""

    id: strawberry.ID = strawberry.field(description="The membership.")
    expected_version: BigInt = strawberry.field(description="The version that the change is made against.")


@strawberry.type(description="The invitation, with the token that accepts it.")
class InviteMemberPayload(Payload):
    """The invitation, with the token that accepts it."""

    invitation: Invitation | None = strawberry.field(default=None, description="The invitation.")
    invitation_token: str | None = strawberry.field(
        default=None, description="What the invited person needs for acceptInvitation. Shown here and never again."
    )


@strawberry.type(description="The invitation that was taken back.")
class RevokeInvitationPayload(Payload):
    """The invitation that was taken back."""

    invitation: Invitation | None = strawberry.field(default=None, description="The invitation.")


@strawberry.type(description="What to sign in with from now on.")
class AcceptInvitationPayload(Payload):
    """What to sign in with from now on."""

    email: str | None = strawberry.field(default=None, description="The address.")
    organization: str | None = strawberry.field(default=None, description="The organization's slug.")


@strawberry.type(description="The member with the new role.")
class ChangeMemberRolePayload(Payload):
    """The member with the new role."""

    membership: Membership | None = strawberry.field(default=None, description="The membership.")


@strawberry.type(description="The removed member.")
class RemoveMemberPayload(Payload):
    """The removed member."""

    membership: Membership | None = strawberry.field(default=None, description="The membership.")


@strawberry.type
class PeopleMutation:
    """Writes to members."""

    @strawberry.mutation(
        description="Invites somebody, for two weeks. An earlier invitation of the same address ends. "
        "For administrators."
    )
    async def invite_member(
        self, info: Info, input: Annotated[InviteMemberInput, strawberry.argument(description="Whom to invite.")]
    ) -> InviteMemberPayload | None:
        """Invites somebody."""
        token = sessions.new_token()
        try:
            outcome = await write(
                info,
                lambda command: people.invite_member(
                    command, email=input.email, role=input.role, name=input.name, token=token
                ),
                int,
            )
        except Refused as refused:
            return refusal(InviteMemberPayload, refused)
        invitation = await load(info, "Invitation", outcome.result)
        return InviteMemberPayload(invitation=invitation, invitation_token=token)

    @strawberry.mutation(description="Takes an open invitation back. For administrators.")
    async def revoke_invitation(
        self, info: Info, input: Annotated[RevokeInvitationInput, strawberry.argument(description="The invitation.")]
    ) -> RevokeInvitationPayload | None:
        """Takes an open invitation back."""
        try:
            invitation_id = row_id("Invitation", input.id, "id", "invitation")
            await write(info, lambda command: people.revoke_invitation(command, invitation_id=invitation_id), int)
        except Refused as refused:
            return refusal(RevokeInvitationPayload, refused)
        return RevokeInvitationPayload(invitation=await load(info, "Invitation", invitation_id))

    @strawberry.mutation(
        description="Makes the invited person a member. Somebody who has an account signs in to it first and sends the "
        "access token; somebody who has none needs no token, and gets an account with this password."
    )
    async def accept_invitation(
        self, info: Info, input: Annotated[AcceptInvitationInput, strawberry.argument(description="The invitation.")]
    ) -> AcceptInvitationPayload | None:
        """Makes the invited person a member."""
        context = info.context
        try:
            # First of all, so that it tells nothing of whose the invitation is.
            problems = check_new_password(input.password)
            if problems:
                raise Refused(problems)
            found = await people.find_invitation(context.database, input.token)
            password_hash = await _password_for(info, found, input.password)
            await context.writer.run(
                found.principal,
                "acceptInvitation",
                lambda command: people.accept_invitation(command, invitation=found, password_hash=password_hash),
                result_type=_ID,
                request_id=context.request_id,
            )
        except Refused as refused:
            return refusal(AcceptInvitationPayload, refused)
        return AcceptInvitationPayload(email=found.email, organization=found.organization_slug)

    @strawberry.mutation(
        description="Gives a member another role. The last administrator keeps theirs. For administrators."
    )
    async def change_member_role(
        self, info: Info, input: Annotated[ChangeMemberRoleInput, strawberry.argument(description="The new role.")]
    ) -> ChangeMemberRolePayload | None:
        """Gives a member another role."""
        changes = given(input)
        try:
            membership_id = row_id("Membership", changes["id"], "id", "member")
            await write(
                info,
                lambda command: people.change_member_role(
                    command,
                    membership_id=membership_id,
                    role=input.role,
                    expected_version=changes["expected_version"],
                ),
                int,
            )
        except Refused as refused:
            return refusal(ChangeMemberRolePayload, refused)
        return ChangeMemberRolePayload(membership=await load(info, "Membership", membership_id))

    @strawberry.mutation(
        description="Removes a member, whose sessions end. The last administrator stays. For administrators."
    )
    async def remove_member(
        self, info: Info, input: Annotated[RemoveMemberInput, strawberry.argument(description="The member.")]
    ) -> RemoveMemberPayload | None:
        """Removes a member."""
        changes = given(input)
        try:
            membership_id = row_id("Membership", changes["id"], "id", "member")
            await write(
                info,
                lambda command: people.remove_member(
                    command, membership_id=membership_id, expected_version=changes["expected_version"]
                ),
                int,
            )
        except Refused as refused:
            return refusal(RemoveMemberPayload, refused)
        return RemoveMemberPayload(membership=await load(info, "Membership", membership_id))


async def _password_for(info: Info, found: people.FoundInvitation, password: str) -> str | None:
    """The hash of the password to set, or None where the address has an account; raises Refused.

    Whoever made the invitation holds its token too. So it opens no account: somebody who has one is signed in to it,
    or, being a member of nothing any more, shows its password. Anybody else hears what a wrong token is told.
    """
    context, signed_in = info.context, info.context.signed_in
    sign_ins = people_of(context).sign_ins
    if not found.has_password and not found.was_member:
        with sign_ins.passwords.place(context.network):
            return await sign_ins.passwords.hash(password)
    is_theirs = signed_in is not None and signed_in.principal.user_id == found.user_id
    if not is_theirs and (found.is_member or not found.has_password):
        raise people.not_open()
    if found.has_password:
        attempt = Attempt(found.email, password, context.network, context.request_id)
        if await sign_ins.check(attempt) != found.user_id:
            raise (
                Refused([invalid("password", "This is not your present password.")]) if is_theirs else people.not_open()
            )
        if found.is_password_known:
            raise Refused([Problem(ErrorCode.INVALID_TRANSITION, PASSWORD_IS_KNOWN, ("password",))])
    return None
