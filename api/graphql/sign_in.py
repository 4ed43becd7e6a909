"""Signing in and out: passwords in, tokens out. These fields need no token, but for signing out."""

from datetime import datetime
from typing import Annotated

import strawberry
from pydantic import TypeAdapter

from api.errors import ErrorCode, Problem, Refused, invalid
from api.graphql.context import Context, Info, People
from api.graphql.mutations import Payload, refusal, write
from api.reads import memberships
from api.reads.memberships import FoundMembership
from api.services import sessions
from api.services.commands import Command
from api.services.passwords import LENGTH_MAX, LENGTH_MIN, check_new_password
from api.services.sessions import OpenSession
from api.services.sign_in import Attempt, Failure

_SESSION = TypeAdapter(OpenSession)
_USER = TypeAdapter(int)
_REFRESHED = TypeAdapter(OpenSession | None)


@strawberry.input(description="Who signs in.")
class SignInInput:
    """Who signs in."""

    email: str = strawberry.field(description="The address.")
    password: str = strawberry.field(description="The password.")
    organization: str | None = strawberry.field(
        default=None, description="The organization's slug; a member of several must name one."
    )


@strawberry.input(description="The session to go on with.")
class RefreshSessionInput:
    """The session to go on with."""

    refresh_token: str = strawberry.field(description="The refresh token that came last. It is good for one use.")


@strawberry.input(description="The signed-in user's password, and the one to have from now on.")
class ChangePasswordInput:
    """The signed-in user's password, and the one to have from now on."""

    current_password: str = strawberry.field(description="The present password.")
    new_password: str = strawberry.field(description=f"The new one, {LENGTH_MIN} to {LENGTH_MAX} characters.")


@strawberry.type(description="The tokens of a session.")
class SignInPayload(Payload):
    """The tokens of a session."""

    access_token: str | None = strawberry.field(
        default=None, description="To be sent as Authorization: Bearer TOKEN until it expires."
    )
    refresh_token: str | None = strawberry.field(
        default=None,
        description="To be sent to refreshSession, once; that gives the next. Used twice, it ends the session.",
    )
    expires_at: datetime | None = strawberry.field(default=None, description="When the access token expires.")


@strawberry.type(description="The end of a session.")
class SignOutPayload(Payload):
    """The end of a session."""


@strawberry.type(description="The password was changed.")
class ChangePasswordPayload(Payload):
    """The password was changed."""


def people_of(context: Context) -> People:
    """What signing in takes."""
    if context.people is None:
        raise LookupError("this process signs nobody in")
    return context.people


@strawberry.type
class SignInMutation:
    """Signing in and out."""

    @strawberry.mutation(
        description="Starts a session. Whether address, password or organization was wrong is not told."
    )
    async def sign_in(
        self, info: Info, input: Annotated[SignInInput, strawberry.argument(description="Who signs in.")]
    ) -> SignInPayload | None:
        """Starts a session."""
        context = info.context
        people = people_of(context)
        try:
            membership = await _sign_in(context, people, input)
            outcome = await context.writer.run(
                membership.principal,
                "signIn",
                lambda command: sessions.start_session(command, network=context.network, lifetimes=people.lifetimes),
                result_type=_SESSION,
                request_id=context.request_id,
            )
        except Refused as refused:
            return refusal(SignInPayload, refused)
        return _payload(people, outcome.result, membership.user_id, membership.email, membership.organization_slug)

    @strawberry.mutation(description="Changes a refresh token for new tokens.")
    async def refresh_session(
        self, info: Info, input: Annotated[RefreshSessionInput, strawberry.argument(description="The session.")]
    ) -> SignInPayload | None:
        """Changes a refresh token for new tokens."""
        context, token = info.context, input.refresh_token
        people = people_of(context)
        try:
            found = await sessions.find_session(context.database, token)
            if found is None:
                raise sessions.not_refreshed()
            session_id = found.session_id
            outcome = await context.writer.run(
                found.principal,
                "refreshSession",
                lambda command: sessions.refresh_session(
                    command, session_id=session_id, refresh_token=token, lifetimes=people.lifetimes
                ),
                result_type=_REFRESHED,
                request_id=context.request_id,
            )
            if outcome.result is None:
                raise sessions.not_refreshed()
        except Refused as refused:
            return refusal(SignInPayload, refused)
        user_id = found.principal.user_id or 0
        return _payload(people, outcome.result, user_id, found.email, found.organization_slug)

    @strawberry.mutation(description="Ends the session of the access token that is sent.")
    async def sign_out(self, info: Info) -> SignOutPayload | None:
        """Ends the session."""
        signed_in = info.context.signed_in
        session_id = None if signed_in is None else signed_in.session_id
        if session_id is None:
            problem = Problem(ErrorCode.INVALID_TRANSITION, "The token that was sent belongs to no session.")
            return refusal(SignOutPayload, Refused([problem]))
        try:
            await write(info, lambda command: sessions.sign_out(command, session_id=session_id), int)
        except Refused as refused:
            return refusal(SignOutPayload, refused)
        return SignOutPayload()

    @strawberry.mutation(
        description="Changes the signed-in user's password, and ends their sessions in all organizations but the one "
        "that asks. A wrong present password counts as a failed sign-in."
    )
    async def change_password(
        self,
        info: Info,
        input: Annotated[ChangePasswordInput, strawberry.argument(description="The old and the new password.")],
    ) -> ChangePasswordPayload | None:
        """Changes the signed-in user's password."""
        context = info.context
        try:
            user_id, password_hash = await _new_password(context, input)
            session_id = context.signed_in.session_id if context.signed_in else None
            await write(
                info,
                lambda command: sessions.change_password(command, password_hash=password_hash, session_id=session_id),
                int,
            )
            await _tell_other_organizations(context, user_id)
        except Refused as refused:
            return refusal(ChangePasswordPayload, refused)
        return ChangePasswordPayload()


async def _sign_in(context: Context, people: People, given: SignInInput) -> FoundMembership:
    """The membership that the password opens; raises Refused (INVALID_INPUT), the same whatever is wrong."""
    attempt = Attempt(given.email, given.password, context.network, context.request_id)
    user_id = await people.sign_ins.check(attempt)
    if user_id is None:
        raise _wrong()
    found = await memberships.memberships_of_user(context.database, user_id)
    membership = memberships.choose(found, given.organization)
    if membership is not None:
        return membership
    await people.sign_ins.record_failure(attempt, Failure.NO_MEMBERSHIP)
    if found and given.organization is None:
        slugs = ", ".join(membership.organization_slug for membership in found)
        raise Refused([invalid("organization", f"Name one of your organizations: {slugs}.", expected=slugs)])
    raise _wrong()


def _wrong() -> Refused:
    return Refused([Problem(ErrorCode.INVALID_INPUT, "The address, the password or the organization is wrong.")])


async def _new_password(context: Context, given: ChangePasswordInput) -> tuple[int, str]:
    """The signed-in user and the hash of the new password, where the present one is right; raises Refused."""
    signed_in, people = context.signed_in, people_of(context)
    if signed_in is None or signed_in.principal.user_id is None:
        raise Refused([Problem(ErrorCode.INVALID_TRANSITION, "An API key has no password.")])
    problems = check_new_password(given.new_password, "new_password")
    if problems:
        raise Refused(problems)
    attempt = Attempt(signed_in.email, given.current_password, context.network, context.request_id)
    user_id = signed_in.principal.user_id
    if await people.sign_ins.check(attempt) != user_id:
        raise Refused([invalid("current_password", "This is not your present password.")])
    with people.sign_ins.passwords.place(context.network):
        return user_id, await people.sign_ins.passwords.hash(given.new_password)


async def _tell_other_organizations(context: Context, user_id: int) -> None:
    """Says in the logs of the user's other organizations that the password was changed."""

    async def note(command: Command) -> int:
        return sessions.note_password_change(command)

    for membership in await memberships.memberships_of_user(context.database, user_id):
        if membership.organization_id != context.principal.organization_id:
            await context.writer.run(
                membership.principal, "changePassword", note, result_type=_USER, request_id=context.request_id
            )


def _payload(people: People, session: OpenSession, user_id: int, email: str, slug: str) -> SignInPayload:
    access = people.issue(
        user_id=user_id,
        email=email,
        organization_slug=slug,
        session_id=session.session_id,
        until=session.expires_at,
    )
    return SignInPayload(access_token=access.token, refresh_token=session.refresh_token, expires_at=access.expires_at)
