"""Who may follow what: every subscription by everybody, over every transport."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest
from graphql import get_named_type, is_required_argument
from websockets.exceptions import ConnectionClosed

from api.domain.access import REQUIRED_ROLES, Role
from api.reads.live.positions import encode_cursor
from tests.contracts.answers_and_rows import contents
from tests.contracts.operations import SUBSCRIPTIONS, selection
from tests.contracts.two_organizations import call, ended_tokens, populate
from tests.http.live.clients import PARTS, LiveServer, listening
from tests.server import RunningServer

Ask = Callable[[LiveServer, str, str | None, str], Awaitable[Any]]
"""Asks a subscription with a token, or none, for what follows the beginning of an organization's log.

Returns the first event, or the code of the refusal.
"""


@pytest.fixture
async def live(server: RunningServer) -> AsyncIterator[LiveServer]:
    """The application, listening, with data in both organizations."""
    known = {organization: await populate(server, organization) for organization in ("alpha", "beta")}
    async with listening(server) as running:
        running.fund_ids = {organization: one.ids["Fund"] for organization, one in known.items()}
        yield running


def operation(live: LiveServer, name: str, organization: str) -> dict[str, Any]:
    """Follows all there is from the log's beginning, with all that an event leads to."""
    after = encode_cursor(live.server.organization_ids[organization], 0)
    given = ", ".join(f"{one}: {REQUIRED[one](live, organization)}" for one in _required(name))
    query = f"subscription ($after: String) {{ {name}(after: $after, {given}) {_shown(name)} }}"
    return {"query": query, "variables": {"after": after}}


REQUIRED: dict[str, Callable[[LiveServer, str], str]] = {
    "fundId": lambda live, organization: f'"{live.fund_ids[organization]}"'
}
"""What is passed to subscriptions that must be told what to follow, by the argument's name."""


def _required(name: str) -> list[str]:
    return [one for one, argument in SUBSCRIPTIONS[name].args.items() if is_required_argument(argument)]


def _shown(name: str) -> str:
    return selection(get_named_type(SUBSCRIPTIONS[name].type), depth=3)


async def over_socket(live: LiveServer, name: str, token: str | None, organization: str) -> Any:
    async with live.socket() as opened:
        payload = {} if token is None else {"authorization": f"Bearer {token}"}
        await opened.send(type="connection_init", payload=payload)
        try:
            assert await opened.receive() == {"type": "connection_ack"}
        except ConnectionClosed as closed:
            return {4403: "UNAUTHENTICATED"}.get(closed.rcvd.code if closed.rcvd else 0)
        await opened.send(type="subscribe", id="1", payload=operation(live, name, organization))
        message = await opened.receive()
    if message["type"] == "error":
        return _code({"errors": message["payload"]})
    assert message["type"] == "next"
    return message["payload"]["data"][name]


async def _over_http(accept: str, live: LiveServer, name: str, token: str | None, organization: str) -> Any:
    headers = {"accept": accept} | ({} if token is None else {"authorization": f"Bearer {token}"})
    body = operation(live, name, organization)
    async with (
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{live.port}", timeout=20) as client,
        client.stream("POST", "/graphql", json=body, headers=headers) as response,
    ):
        if response.status_code == httpx.codes.UNAUTHORIZED:
            return _code(json.loads(await response.aread()))
        async for line in response.aiter_lines():
            text = line.removeprefix("data: ")
            if text.startswith("{") and text != "{}":
                answer = json.loads(text)
                answer = answer.get("payload", answer)
                return _code(answer) if "errors" in answer else answer["data"][name]
    raise AssertionError("the stream has ended without an answer")


async def as_server_sent_events(live: LiveServer, name: str, token: str | None, organization: str) -> Any:
    return await _over_http("text/event-stream", live, name, token, organization)


async def as_parts(live: LiveServer, name: str, token: str | None, organization: str) -> Any:
    return await _over_http(PARTS, live, name, token, organization)


def _code(answer: dict[str, Any]) -> str:
    assert answer.get("data") is None
    (error,) = answer["errors"]
    code: str = error["extensions"]["code"]
    return code


TRANSPORTS = pytest.mark.parametrize("ask", [over_socket, as_server_sent_events, as_parts])
FOLLOWED = pytest.mark.parametrize("name", SUBSCRIPTIONS)


@TRANSPORTS
@FOLLOWED
async def test_subscription_is_for_its_role_and_those_above_and_for_their_keys(
    live: LiveServer, name: str, ask: Ask
) -> None:
    for role in Role:
        key = await call(live.server, "alpha", "createApiKey", by=Role.ADMIN, name="Program", role=role.value)
        for token in (live.server.tokens["alpha", role], key["secret"]):
            answer = await ask(live, name, token, "alpha")
            if _RANK.index(role) < _RANK.index(REQUIRED_ROLES.get(name, Role.VIEWER)):
                assert answer == "FORBIDDEN"
                last = "SELECT action FROM audit_events WHERE organization_id = $1 ORDER BY sequence DESC LIMIT 1"
                written = await live.server.owner.fetchval(last, live.server.organization_ids["alpha"])
                assert written == f"{name}.refused"
            else:
                assert "__typename" in answer


_RANK = [Role.VIEWER, Role.EDITOR, Role.ADMIN]


@TRANSPORTS
@FOLLOWED
async def test_nobody_follows_without_a_token_or_with_one_that_has_ended(live: LiveServer, name: str, ask: Ask) -> None:
    known = await populate(live.server, "alpha")
    tokens = await ended_tokens(live.server, known)
    before = await contents(live.server.owner)
    for what, token in {"none": None, **tokens}.items():
        assert (what, await ask(live, name, token, "alpha")) == (what, "UNAUTHENTICATED")
    assert await contents(live.server.owner) == before


@TRANSPORTS
@FOLLOWED
async def test_administrator_of_another_organization_follows_its_own_log(live: LiveServer, name: str, ask: Ask) -> None:
    token = live.server.tokens["beta", Role.ADMIN]
    assert await ask(live, name, token, "alpha") == "BAD_USER_INPUT"
    answer = await ask(live, name, token, "beta")
    assert "__typename" in answer
    assert "alpha" not in json.dumps(answer).lower()
