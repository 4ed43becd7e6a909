"""Other sites' pages: what they may read, and that they cannot make a browser ask unnoticed."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from api.domain.access import Role
from api.http.cross_origin import CrossOrigin
from tests.server import RunningServer, start_server

pytestmark = pytest.mark.asyncio(loop_scope="module")

ORIGIN = "https://app.example"
OTHER = "https://evil.example"
TYPENAME = {"query": "{ __typename }"}
GRAPHQL = "application/graphql-response+json"
CROSS = "cross-site"
SETTINGS = {"cors_origins": f"{ORIGIN}, http://localhost:3000", "public_host": "own.example"}
PREFLIGHT = {"access-control-request-method": "POST", "access-control-request-headers": "authorization,content-type"}


@pytest.fixture
def server(shared_server: RunningServer) -> RunningServer:
    """The application that pages of two origins may read."""
    return shared_server


async def get(server: RunningServer, **headers: str) -> httpx.Response:
    """The answer to a GET with these headers, underscores for hyphens; Accept is what a browser's fetch sends."""
    given = {"accept": "*/*"} | {name.replace("_", "-"): value for name, value in headers.items()}
    return await server.client.get("/graphql", params=TYPENAME, headers=given)


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "TOKEN"},
        {"apollo_require_preflight": "true"},
        {"x_apollo_operation_name": "A"},
        {"x_tranche_require_preflight": "1"},
        {"x_apollo_operation_name": "A", "origin": OTHER, "sec_fetch_site": "cross-site"},
        {"content_type": "application/json"},
        {"content_type": "application/json; charset=utf-8"},
        {"accept": GRAPHQL},
        {"accept": "application/json, */*;q=0.1"},
        {"accept": GRAPHQL, "sec_fetch_site": "same-origin"},
        {"accept": GRAPHQL, "sec_fetch_site": "none"},
        {"accept": GRAPHQL, "origin": ORIGIN, "sec_fetch_site": "cross-site"},
        {"accept": GRAPHQL, "origin": "http://localhost:8000", "host": "localhost:8000"},
        {"accept": GRAPHQL, "origin": "http://127.0.0.1", "host": "127.0.0.1", "sec_fetch_site": "same-origin"},
        {"accept": GRAPHQL, "origin": "http://[::1]:8000", "host": "[::1]:8000"},
        {"accept": GRAPHQL, "origin": "https://own.example", "host": "own.example"},
    ],
    ids=str,
)
async def test_get_that_no_foreign_page_can_send_is_answered(server: RunningServer, headers: dict[str, str]) -> None:
    if "authorization" in headers:
        headers = {"authorization": f"Bearer {server.tokens['alpha', Role.VIEWER]}"}
    response = await get(server, **headers)
    assert (response.status_code, response.json()) == (200, {"data": {"__typename": "Query"}})


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"},
        {"accept": "image/avif,image/webp,*/*;q=0.8"},
        {"x_apollo_operation_name": ""},
        {"x_requested_with": "XMLHttpRequest"},
        {"accept": GRAPHQL, "sec_fetch_site": "cross-site"},
        {"accept": GRAPHQL, "sec_fetch_site": "same-site"},
        {"accept": "application/json", "origin": OTHER},
        {"accept": "application/json", "origin": "null"},
        {"accept": "application/json", "origin": "https://app.example.evil.example"},
        {"accept": "application/json", "origin": "http://app.example"},
        {"accept": "application/json", "origin": OTHER, "host": "evil.example"},
        {"accept": "application/json", "origin": "http://localhost:8000", "host": "localhost:8001"},
        {"accept": "application/json", "origin": "https://own.example", "host": "own.example", "sec_fetch_site": CROSS},
        {"accept": "application/json", "origin": "http://[::1", "host": "[::1"},
    ],
    ids=str,
)
async def test_get_that_a_foreign_page_can_send_is_refused(server: RunningServer, headers: dict[str, str]) -> None:
    response = await get(server, **headers)
    assert response.status_code == 400
    [error] = response.json()["errors"]
    assert "CSRF" in error["message"]
    assert error["extensions"]["code"] == "BAD_USER_INPUT"


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "message/x", "", "a"]
)
async def test_get_with_another_content_type_is_refused(server: RunningServer, content_type: str) -> None:
    response = await get(server, content_type=content_type, x_apollo_operation_name="A")
    assert response.status_code == 415


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
async def test_post_as_of_a_form_is_refused_whatever_else_it_carries(server: RunningServer, content_type: str) -> None:
    headers = {"content-type": content_type, "x-apollo-operation-name": "A", "apollo-require-preflight": "true"}
    response = await server.client.post("/graphql", content=b'{"query": "{ __typename }"}', headers=headers)
    assert response.status_code == 415


@pytest.mark.parametrize(
    "host", ["localhost", "a.localhost:8000", "127.0.0.1:8000", "[::1]:1", "APP.example", "own.example:8"]
)
async def test_server_is_known_by_addresses_and_configured_names(host: str) -> None:
    assert CrossOrigin([ORIGIN], "own.example").is_own_host(host)


@pytest.mark.parametrize(
    "host", ["", "evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "app.example.evil", "[", "a@b:x"]
)
async def test_server_is_not_known_by_names_that_anybody_may_have_lead_here(host: str) -> None:
    assert not CrossOrigin([ORIGIN], "own.example").is_own_host(host)
    assert not CrossOrigin().is_own_host(host)


async def preflight(server: RunningServer, origin: str | None, **more: Any) -> httpx.Response:
    headers = PREFLIGHT | ({"origin": origin} if origin else {}) | more
    return await server.client.options("/graphql", headers=headers)


@pytest.mark.parametrize("origin", [ORIGIN, "http://localhost:3000"])
async def test_preflight_of_a_listed_origin_is_permitted_and_remembered(server: RunningServer, origin: str) -> None:
    response = await preflight(server, origin)
    assert (response.status_code, response.content) == (204, b"")
    assert response.headers["access-control-allow-origin"] == origin
    assert response.headers["access-control-allow-methods"] == "GET, POST"
    assert response.headers["access-control-max-age"] == "7200"
    assert response.headers["vary"] == "Origin"
    assert "access-control-allow-credentials" not in response.headers
    allowed = response.headers["access-control-allow-headers"].lower().split(", ")
    assert {"authorization", "content-type", "apollo-require-preflight", "x-apollo-operation-name"} <= set(allowed)


@pytest.mark.parametrize("origin", [OTHER, "null", f"{ORIGIN}:8443", f"{ORIGIN}/", ORIGIN.upper(), None])
async def test_preflight_of_any_other_origin_is_refused(server: RunningServer, origin: str | None) -> None:
    response = await preflight(server, origin)
    assert response.status_code == 405
    assert response.headers["vary"] == "Origin"
    assert not [name for name in response.headers if name.startswith("access-control-")]
    assert response.json()["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"


@pytest.mark.parametrize(("origin", "permitted"), [(ORIGIN, ORIGIN), (OTHER, None), ("null", None), (None, None)])
async def test_answer_tells_the_browser_whether_the_page_may_read_it(
    server: RunningServer, origin: str | None, permitted: str | None
) -> None:
    for query in ("{ __typename }", "{", "{ viewer { role } }"):
        response = await server.client.post(
            "/graphql", json={"query": query}, headers={"origin": origin} if origin else {}
        )
        assert response.headers.get("access-control-allow-origin") == permitted
        assert response.headers["vary"] == "Origin"
        assert "access-control-allow-credentials" not in response.headers


async def test_nobody_else_is_permitted_anything_by_default(database_url: str, state_directory: Path) -> None:
    async with start_server(database_url, state_directory) as running:
        response = await preflight(running, ORIGIN)
        answered = await running.client.post("/graphql", json=TYPENAME, headers={"origin": ORIGIN})
    assert response.status_code == 405
    assert answered.status_code == 200
    assert not {"vary", "access-control-allow-origin"} & {*response.headers, *answered.headers}
