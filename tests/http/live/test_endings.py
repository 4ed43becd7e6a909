"""Streams and sockets end with the credentials that opened them; and which streams an Accept header asks for."""

import time
from typing import Any

import pytest
from joserfc import jwt

from api.domain.access import Role
from api.http.live import guard
from api.http.live.streams import EVENT_STREAM, MULTIPART, wanted
from api.http.tokens import Tokens
from tests.http.live.clients import PARTS, URQL, Bytes, LiveServer
from tests.people_client import CREATE_KEY, SIGN_OUT, anonymous, signed_in

LIVE = "subscription { eventRecorded { event { action } } }"


def expiring_token(live: LiveServer, seconds: int) -> str:
    """A token of alpha's administrator that expires so soon."""
    tokens = Tokens(live.server.settings)
    decoded = jwt.decode(live.server.tokens["alpha", Role.ADMIN], tokens._key, algorithms=[tokens._algorithm])
    claims: dict[str, Any] = {**decoded.claims, "exp": int(time.time()) + seconds}
    header = {"alg": tokens._algorithm, "kid": tokens._key.kid}
    return "Bearer " + jwt.encode(header, claims, tokens._key, algorithms=[tokens._algorithm])


@pytest.mark.parametrize(
    ("accept", "last"),
    [
        ("text/event-stream", b"event: complete\ndata:\n\n"),
        (PARTS, b"--graphql--\r\n"),
    ],
)
async def test_stream_ends_with_its_token(live: LiveServer, accept: str, last: bytes) -> None:
    async with live.stream(LIVE, accept=accept, authorization=expiring_token(live, 2)) as response:
        rest = await Bytes(response).rest()
    assert b'"extensions":{"code":"UNAUTHENTICATED"}' in rest
    assert rest.endswith(last)
    assert (b'{"payload":null,"errors":' in rest) == (accept == PARTS)


async def test_stream_ends_with_the_membership(live: LiveServer) -> None:
    async with live.stream(LIVE) as response:
        body = Bytes(response)
        await body.take(b":\n\n")
        await live.server.owner.execute("UPDATE memberships SET removed_at = now() WHERE role = 'ADMIN'")
        assert (await body.rest()).endswith(b"event: complete\ndata:\n\n")


async def test_socket_ends_with_its_token(live: LiveServer) -> None:
    async with live.socket() as opened:
        await opened.send(type="connection_init", payload={"authorization": expiring_token(live, 2)})
        assert await opened.receive() == {"type": "connection_ack"}
        assert await opened.closed() == (4403, "The bearer token has expired.")


def test_unreadable_expiry_is_left_to_the_authenticator() -> None:
    for text in ("Bearer tranche_key", "Bearer a.b.c", "Bearer a.e30.c", "Bearer a.W10.c"):
        assert guard.expiry(text) is None


@pytest.mark.parametrize(
    ("accept", "subscription", "single"),
    [
        (None, None, None),
        ("text/event-stream", EVENT_STREAM, EVENT_STREAM),
        ("TEXT/Event-Stream; charset=utf-8", EVENT_STREAM, EVENT_STREAM),
        ("text/*", None, None),
        (URQL, EVENT_STREAM, None),
        (PARTS, MULTIPART, None),
        ("multipart/mixed; subscriptionSpec=1.0", MULTIPART, MULTIPART),
        ("multipart/mixed; deferSpec=20220824, application/json", None, None),
        ("text/event-stream, " + PARTS, EVENT_STREAM, None),
    ],
)
def test_streams_are_chosen_by_name(accept: str | None, subscription: object, single: object) -> None:
    chosen = wanted(accept)
    assert (chosen.subscription, chosen.single) == (subscription, single)


COMMITTED = "subscription { reallocationCommitted { cursor } }"


async def test_connection_ends_with_its_session(live: LiveServer) -> None:
    joined = await signed_in(live.server)
    token = f"Bearer {joined.access}"
    async with live.socket() as opened, live.stream(COMMITTED, authorization=token) as response:
        body = Bytes(response)
        await body.take(b":\n\n")
        await opened.send(type="connection_init", payload={"authorization": token})
        assert await opened.receive() == {"type": "connection_ack"}
        assert (await anonymous(live.server, SIGN_OUT, token=joined.access)).data["signOut"]["userErrors"] == []
        assert (await opened.closed())[0] == 4403
        assert (await body.rest()).endswith(b"event: complete\ndata:\n\n")


async def test_connection_ends_with_its_key(live: LiveServer) -> None:
    given = {"input": {"name": "Key", "role": "VIEWER"}}
    made = (await live.server.execute(CREATE_KEY, given, role=Role.ADMIN)).data["createApiKey"]
    async with live.socket() as opened:
        await opened.send(type="connection_init", payload={"authorization": f"Bearer {made['secret']}"})
        assert await opened.receive() == {"type": "connection_ack"}
        await opened.subscribe(COMMITTED)
        await live.followers(1)
        revoke = "mutation ($input: RevokeApiKeyInput!) { revokeApiKey(input: $input) { userErrors { code } } }"
        revoked = await live.server.execute(revoke, {"input": {"id": made["apiKey"]["id"]}}, role=Role.ADMIN)
        assert revoked.data["revokeApiKey"]["userErrors"] == []
        assert (await opened.closed())[0] == 4403
    await live.followers(0)
