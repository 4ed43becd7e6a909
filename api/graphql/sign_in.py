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
from api.services.sessions import OpenSession
from api.services.sign_in import Attempt, Failure

_SESSION = TypeAdapter(OpenSession)
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


async def _sign_in(context: Context, people: People, given: SignInInput) -> FoundMembership:
    """The membership that the password opens; raises Refused (INVALID_INPUT), the same whatever is wrong."""
    wrong = Refused([Problem(ErrorCode.INVALID_INPUT, "The address, the password or the organization is wrong.")])
    attempt = Attempt(given.email, given.password, context.network, context.request_id)
    user_id = await people.sign_ins.check(attempt)
    if user_id is None:
        raise wrong
    found = await memberships.memberships_of_user(context.database, user_id)
    membership = memberships.choose(found, given.organization)
    if membership is not None:
        return membership
    await people.sign_ins.record_failure(attempt, Failure.NO_MEMBERSHIP)
    if found and given.organization is None:
        slugs = ", ".join(membership.organization_slug for membership in found)
        raise Refused([invalid("organization", f"Name one of your organizations: {slugs}.", expected=slugs)])
    raise wrong


def _payload(people: People, session: OpenSession, user_id: int, email: str, slug: str) -> SignInPayload:
    access = people.issue(
        user_id=user_id,
        email=email,
        organization_slug=slug,
        session_id=session.session_id,
        until=session.expires_at,
    )
    return SignInPayload(access_token=access.token, refresh_token=session.refresh_token, expires_at=access.expires_at)
