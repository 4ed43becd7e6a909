"""The production profile, and what every answer carries: headers, JSON, a request id for whatever fails."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from joserfc.jwk import ECKey

from api.domain.access import Role
from api.http import app as application
from api.http import endpoint
from tests.server import RunningServer, start_server

PRODUCTION = {
    "environment": "production",
    "password_memory_kib": 7_168,
    "signing_key": json.dumps(ECKey.generate_key("P-256").as_dict(private=True)),
}
INTROSPECTION = "{ __schema { queryType { name } } }"
ALWAYS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


@pytest.fixture
async def production(database_url: str, state_directory: Path) -> AsyncIterator[RunningServer]:
    """The application as production runs it."""
    async with start_server(database_url, state_directory, **PRODUCTION) as running:
        yield running


async def ask(
    server: RunningServer, query: str, *, is_anonymous: bool = False, variables: object = None
) -> tuple[int, dict[str, Any]]:
    headers = {} if is_anonymous else {"authorization": f"Bearer {server.tokens['alpha', Role.VIEWER]}"}
    response = await server.client.post("/graphql", json={"query": query, "variables": variables}, headers=headers)
    return response.status_code, response.json()


def only_code(body: dict[str, Any]) -> str:
    [error] = body["errors"]
    code: str = error["extensions"]["code"]
    return code


async def test_production_shows_the_schema_to_those_signed_in_alone(production: RunningServer) -> None:
    assert await ask(production, INTROSPECTION) == (200, {"data": {"__schema": {"queryType": {"name": "Query"}}}})
    for query in (
        INTROSPECTION,
        '{ __type(name: "Fund") { name } }',
        "{ ... on Query { a: __schema { a: __typename } } }",
    ):
        status, body = await ask(production, query, is_anonymous=True)
        assert (status, only_code(body)) == (401, "UNAUTHENTICATED")
    assert await ask(production, "{ __typename }", is_anonymous=True) == (200, {"data": {"__typename": "Query"}})


@asynccontextmanager
async def server_with(database_url: str, state_directory: Path, **settings: Any) -> AsyncIterator[RunningServer]:
    async with start_server(database_url, state_directory, **settings) as running:
        yield running


@pytest.mark.parametrize(
    ("settings", "signed_in", "anonymous"),
    [
        ({}, 200, 200),
        ({"introspection": "signed_in"}, 200, 401),
        ({"introspection": "off"}, 400, 401),
        (PRODUCTION | {"introspection": "everybody"}, 200, 200),
        (PRODUCTION | {"introspection": "OFF"}, 400, 401),
    ],
    ids=["development", "signed in", "off", "production, everybody", "production, off"],
)
async def test_introspection_is_switched_by_a_setting(
    database_url: str, state_directory: Path, settings: dict[str, Any], signed_in: int, anonymous: int
) -> None:
    hidden = "query A { __typename } query B { ...F } fragment F on Query { ... { __schema { description } } }"
    async with server_with(database_url, state_directory, **settings) as server:
        for query in (INTROSPECTION, '{ viewer { role } __type(name: "Fund") { name } }'):
            status, body = await ask(server, query)
            assert status == signed_in
            if signed_in == 400:
                assert only_code(body) == "GRAPHQL_VALIDATION_FAILED"
                assert "switched off" in body["errors"][0]["message"]
        assert (await ask(server, INTROSPECTION, is_anonymous=True))[0] == anonymous
        assert (await ask(server, hidden))[0] == 400
        assert (await ask(server, "{ __typename viewer { __typename } }"))[0] == 200


MISTAKES: list[tuple[str, object]] = [
    ("{ viewr { role } }", None),
    ("{ viewer { rol } }", None),
    ("{ funds(frst: 1) { totalCount } }", None),
    ("query ($input: CreateFundInputs!) { viewer { role } }", None),
    ("{ viewer @skp(if: true) { role } }", None),
    ('mutation { createFund(input: {nme: "a"}) { replayed } }', None),
    ("mutation ($input: CreateFundInput!) { createFund(input: $input) { replayed } }", {"input": {"nme": "a"}}),
    ("{ viewer { role(a: 1) } }", None),
    ("query ($kind: AuditKind) { auditEvents(kind: $kind) { totalCount } }", {"kind": "SECURTY"}),
]


async def test_production_suggests_no_names_to_those_who_guess(production: RunningServer) -> None:
    for query, variables in MISTAKES:
        status, body = await ask(production, query, variables=variables)
        assert status == 400
        assert "Did you mean" not in json.dumps(body)


async def test_development_suggests_names(server: RunningServer) -> None:
    texts = [json.dumps((await ask(server, query, variables=variables))[1]) for query, variables in MISTAKES]
    assert sum("Did you mean" in text for text in texts) >= 6


@pytest.mark.parametrize(
    "query", ["{ viewer { nothing } }", "{ nothing }", "mutation { nothing }", "{ nothing(", "{ ...F }"]
)
async def test_production_tells_anonymous_callers_nothing_of_what_there_is(
    production: RunningServer, query: str
) -> None:
    """Neither at once nor after somebody else's mistake has been remembered."""
    for _ in range(3):
        _, body = await ask(production, query, is_anonymous=True)
        assert only_code(body) in ("UNAUTHENTICATED", "GRAPHQL_PARSE_FAILED", "GRAPHQL_VALIDATION_FAILED")
        assert "nothing" not in json.dumps(body)
        await ask(production, query)
        await ask(production, query)


@pytest.mark.parametrize("field", ["role", "nothing"])
async def test_production_tells_anonymous_callers_nothing_by_the_way(production: RunningServer, field: str) -> None:
    """Whether a field exists, beside what anybody may ask."""
    documents = [
        f"query A {{ __typename }} query B {{ viewer {{ {field} }} }}",
        f"{{ __typename }} fragment F on Viewer {{ {field} }}",
        f"{{ __typename ... on Viewer {{ {field} }} }}",
    ]
    told = [await ask(production, query, is_anonymous=True) for query in documents]
    assert [(status, only_code(body)) for status, body in told] == [
        (401, "UNAUTHENTICATED"),
        (400, "GRAPHQL_VALIDATION_FAILED"),
        (401, "UNAUTHENTICATED"),
    ]
    assert field not in json.dumps([body for _, body in told])


async def test_production_tells_anonymous_callers_alike_of_a_wrong_literal_and_a_wrong_variable(
    production: RunningServer,
) -> None:
    literal = 'mutation { signIn(input: {emial: "a"}) { accessToken } }'
    variable = "mutation ($input: SignInInput!) { signIn(input: $input) { accessToken } }"
    told = await ask(production, literal, is_anonymous=True)
    for variables in ({"input": {"emial": "a"}}, {"input": {"email": "a"}}, {"input": 1}, {}):
        assert await ask(production, variable, is_anonymous=True, variables=variables) == told
    # Whoever may read the schema is told what is wrong.
    status, body = await ask(production, variable, variables={"input": {"email": "a", "password": 1}})
    assert (status, only_code(body)) == (400, "BAD_USER_INPUT")
    assert "password" in json.dumps(body)


async def test_production_serves_no_page_and_no_debugging(production: RunningServer) -> None:
    for path in (
        "/graphiql",
        "/graphiql/session.json",
        "/live",
        "/live/session.json",
        "/docs",
        "/redoc",
        "/openapi.json",
    ):
        assert (await production.client.get(path)).status_code == 404
    answer = await production.execute("{ viewer { role } }", debug=True)
    assert "extensions" not in answer.body


@pytest.mark.parametrize(
    ("settings", "elsewhere", "here"),
    [
        ({}, 200, 200),
        (PRODUCTION, 404, 200),
        (PRODUCTION | {"metrics": "EVERYBODY"}, 200, 200),
        ({"metrics": "loopback"}, 404, 200),
        ({"metrics": "off"}, 404, 404),
    ],
    ids=["development", "production", "production, everybody", "loopback", "off"],
)
async def test_metrics_are_shown_to_whom_the_setting_says(
    database_url: str, state_directory: Path, settings: dict[str, Any], elsewhere: int, here: int
) -> None:
    async with server_with(database_url, state_directory, **settings) as server:
        for address, headers, status in (
            ("127.0.0.1", {}, here),
            ("::1", {}, here),
            ("192.0.2.1", {}, elsewhere),
            # A proxy on this machine asks for somebody else.
            ("127.0.0.1", {"x-forwarded-for": "192.0.2.1"}, elsewhere),
        ):
            server.client._transport.client = (address, 1)  # type: ignore[attr-defined]
            response = await server.client.get("/metrics", headers=headers)
            assert (response.status_code, "tranche_" in response.text) == (status, status == 200)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/graphql/", 404),
        ("POST", "/nothing", 404),
        ("HEAD", "/nothing", 404),
        ("OPTIONS", "/nothing", 404),
        ("POST", "/health/live", 405),
        ("DELETE", "/metrics", 405),
        ("GET", "/graphiql/static/nothing.js", 404),
    ],
)
async def test_other_paths_are_refused_with_json(server: RunningServer, method: str, path: str, status: int) -> None:
    response = await server.client.request(method, path, headers={"x-request-id": "request-7"})
    assert response.status_code == status
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-request-id"] == "request-7"
    assert method == "HEAD" or only_code(response.json()) == "BAD_USER_INPUT"


async def responses(server: RunningServer) -> AsyncIterator[httpx.Response]:
    """One response of every kind."""
    client = server.client
    for method, path in (("GET", "/"), ("GET", "/health/live"), ("GET", "/health/ready"), ("GET", "/metrics")):
        yield await client.request(method, path)
    for method in ("GET", "HEAD", "PUT", "OPTIONS", "POST"):
        yield await client.request(method, "/graphql")
    for query in ("{ __typename }", "{", "{ viewer { role } }"):
        yield await client.post("/graphql", json={"query": query})
    yield await client.post("/graphql", json={}, headers={"accept": "image/png"})
    yield await client.post("/graphql", content=b" " * 1_000_001, headers={"content-type": "application/json"})


async def test_every_answer_carries_the_security_headers(server: RunningServer) -> None:
    async for response in responses(server):
        assert ALWAYS.items() <= dict(response.headers).items(), response.request.url
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["x-request-id"]
        assert "strict-transport-security" not in response.headers
    page = await server.client.get("/graphiql")
    assert ALWAYS.items() <= dict(page.headers).items()
    assert page.headers.get_list("cache-control") == ["no-cache"]
    assert len(page.headers.get_list("content-security-policy")) == 1


async def test_production_asks_browsers_to_stay_with_https(production: RunningServer) -> None:
    async for response in responses(production):
        assert response.headers["strict-transport-security"] == "max-age=31536000"
        assert ALWAYS.items() <= dict(response.headers).items()


async def test_unexpected_fault_outside_of_graphql_is_masked(
    production: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_arguments: object) -> None:
        raise RuntimeError("the disk is on fire")

    monkeypatch.setattr(application, "readiness", fail)
    response = await production.client.get("/health/ready", headers={"x-request-id": "request-7"})
    assert (response.status_code, response.headers["x-request-id"]) == (500, "request-7")
    [error] = response.json()["errors"]
    assert error["extensions"] == {"code": "INTERNAL_SERVER_ERROR", "requestId": "request-7"}
    assert "fire" not in response.text
    assert ALWAYS.items() <= dict(response.headers).items()


@pytest.mark.parametrize("name", ["_formats", "read_request", "_choose"])
async def test_unexpected_fault_of_the_endpoint_is_masked(
    production: RunningServer, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def fail(*_arguments: object) -> None:
        raise RuntimeError("the disk is on fire")

    monkeypatch.setattr(endpoint, name, fail)
    status, body = await ask(production, "{ viewer { role } }")
    assert (status, only_code(body)) == (500, "INTERNAL_SERVER_ERROR")
    assert "fire" not in json.dumps(body)
