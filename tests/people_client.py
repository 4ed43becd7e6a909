"""Signing in and out, inviting and joining, as a client of the GraphQL interface does it."""

from dataclasses import dataclass
from typing import Any

from api.domain.access import Role
from tests.server import Answer, RunningServer

PASSWORD = "correct horse battery"
VIEWER = "{ viewer { role user { email } organization { slug } memberships { role organization { slug } } } }"
TOKENS = "{ accessToken refreshToken expiresAt userErrors { code message field expected } }"
SIGN_IN = f"mutation ($input: SignInInput!) {{ signIn(input: $input) {TOKENS} }}"
REFRESH = f"mutation ($input: RefreshSessionInput!) {{ refreshSession(input: $input) {TOKENS} }}"
SIGN_OUT = "mutation { signOut { userErrors { code message field expected } } }"
INVITE = """
mutation ($input: InviteMemberInput!) {
  inviteMember(input: $input) { invitation { id email role } invitationToken userErrors { code message field } }
}
"""
ACCEPT = """
mutation ($input: AcceptInvitationInput!) {
  acceptInvitation(input: $input) { email organization userErrors { code message field } }
}
"""
MEMBERS = "{ organization { members(first: 100) { nodes { id role version removedAt user { email name } } } } }"
CREATE_KEY = """
mutation ($input: CreateApiKeyInput!) {
  createApiKey(input: $input) {
    apiKey { id name role prefix expiresAt lastUsedAt revokedAt createdBy { email } } secret replayed
    userErrors { code message field }
  }
}
"""


async def anonymous(
    server: RunningServer, query: str, given: Any = None, *, client: str | None = None, token: str | None = None
) -> Answer:
    """The answer to somebody without a token, at this address."""
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    body = {"query": query, "variables": {} if given is None else {"input": given}}
    if client is not None:
        server.client._transport.client = (client, 1)  # type: ignore[attr-defined]
    response = await server.client.post("/graphql", json=body, headers=headers)
    return Answer(response.status_code, response.json())


async def payload(server: RunningServer, query: str, given: Any = None, **more: Any) -> Any:
    """The payload of a mutation without a token."""
    (found,) = (await anonymous(server, query, given, **more)).data.values()
    return found


async def set_it_oneself(server: RunningServer) -> None:
    """Has everybody's password be as if they had changed it."""
    await server.owner.execute("UPDATE user_passwords SET changed_at = changed_at + interval '1 second'")


async def member(
    server: RunningServer,
    email: str,
    role: Role = Role.EDITOR,
    organization: str = "alpha",
    *,
    token: str | None = None,
) -> None:
    """Makes somebody a member, with the usual password; somebody who is one elsewhere joins with this access token."""
    given = {"email": email, "role": role.value}
    invited = (await server.execute(INVITE, {"input": given}, role=Role.ADMIN, organization=organization)).data
    given = {"token": invited["inviteMember"]["invitationToken"], "password": PASSWORD}
    if token is not None:
        await set_it_oneself(server)
    accepted = await payload(server, ACCEPT, given, token=token)
    assert accepted == {"email": email.lower(), "organization": organization, "userErrors": []}


async def sign_in(
    server: RunningServer, email: str, password: str = PASSWORD, *, client: str | None = None, **more: Any
) -> Any:
    """The payload of signIn."""
    return await payload(server, SIGN_IN, {"email": email, "password": password, **more}, client=client)


@dataclass
class Joined:
    """A member with a password, and the tokens of a session."""

    email: str
    access: str
    refresh: str


async def signed_in(server: RunningServer, email: str = "new@alpha.example", role: Role = Role.EDITOR) -> Joined:
    """A new member of alpha, signed in."""
    await member(server, email, role)
    found = await sign_in(server, email)
    assert found["userErrors"] == []
    return Joined(email, found["accessToken"], found["refreshToken"])


def codes(found: Any) -> list[tuple[str, Any]]:
    """Code and field of each user error."""
    return [(error["code"], error.get("field")) for error in found["userErrors"]]
