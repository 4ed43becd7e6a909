"""Sending the endpoint what clients send, and what no client library would."""

import json
from typing import Any

import httpx

from api.domain.access import Role
from tests.server import RunningServer

ROLE = "{ viewer { role } }"
GRAPHQL = "application/graphql-response+json"
JSON = "application/json"


async def send(server: RunningServer, method: str = "POST", **request: Any) -> httpx.Response:
    """The response to a request of alpha's editor; a header None is left out. Never a 500, always ours."""
    given = {"content-type": JSON} | request.pop("headers", {})
    headers = {"authorization": f"Bearer {server.tokens['alpha', Role.EDITOR]}"} | given
    built = server.client.build_request(
        method, "/graphql", headers=[(name, value) for name, value in headers.items() if value is not None], **request
    )
    if given.get("accept", "") is None:
        del built.headers["accept"]
    response = await server.client.send(built)
    assert response.status_code < 500, response.text
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-request-id"]
    return response


def only_error(response: httpx.Response) -> dict[str, Any]:
    """The one error of a response without data."""
    body = response.json()
    assert list(body) == ["errors"]
    [error] = body["errors"]
    assert error["message"]
    assert error["extensions"]["code"]
    found: dict[str, Any] = error
    return found


def request_body(**payload: object) -> bytes:
    return json.dumps(payload).encode()


async def call(
    server: RunningServer, scope: dict[str, Any], received: list[dict[str, Any]], sent: list[dict[str, Any]]
) -> None:
    """One bare ASGI call, for what no client library would send."""

    async def receive() -> dict[str, Any]:
        return received.pop(0)

    async def send_message(message: dict[str, Any]) -> None:
        sent.append(message)

    bare = {"type": "http", "path": "/graphql", "query_string": b"", "headers": [], "method": "POST"}
    await server.client._transport.app(bare | scope, receive, send_message)  # type: ignore[attr-defined]
