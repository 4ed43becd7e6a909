"""GraphQL over HTTP: which requests are taken, and how the others are refused. Nothing that a client sends is a 500."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from api.domain.access import Role
from api.http import documents
from tests.server import RunningServer

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROLE = "{ viewer { role } }"
CREATE = 'mutation { createFund(input: {name: "Fund I"}) { replayed } }'
CREATE_AND_READ = 'mutation A { createFund(input: {name: "Fund I"}) { replayed } } query B { viewer { role } }'
TWO = "query A { viewer { role } } query B { viewer { role } }"
GRAPHQL = "application/graphql-response+json"
JSON = "application/json"
BODY_BYTES_MAX = 1_000_000


@pytest.fixture
def server(shared_server: RunningServer) -> RunningServer:
    return shared_server


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


async def test_post_answers_a_query(server: RunningServer) -> None:
    response = await send(server, content=request_body(query=ROLE, variables=None, operationName=None, extensions=None))
    assert (response.status_code, response.json()) == (200, {"data": {"viewer": {"role": "EDITOR"}}})


async def test_get_answers_a_query(server: RunningServer) -> None:
    document = "query A($id: ID!) { node(id: $id) { id } } query B { viewer { role } }"
    parameters = {"query": document, "operationName": "A", "variables": '{"id": "x"}'}
    response = await send(server, "GET", params=parameters)
    assert (response.status_code, response.json()) == (200, {"data": {"node": None}})


@pytest.mark.parametrize(
    ("lines", "media_type"),
    [
        (["text/html", GRAPHQL], GRAPHQL),
        (["text/html", JSON, "image/png"], JSON),
        ([JSON, GRAPHQL], GRAPHQL),
        (["*/*", f"{GRAPHQL};q=0.1"], JSON),
        (["text/html", "image/png"], None),
    ],
)
async def test_all_accept_headers_count(server: RunningServer, lines: list[str], media_type: str | None) -> None:
    headers = [("content-type", JSON), *(("accept", line) for line in lines)]
    response = await server.client.request(
        "POST", "/graphql", content=request_body(query="{ __typename }"), headers=httpx.Headers(headers)
    )
    assert response.status_code == (200 if media_type else 406)
    assert response.headers["content-type"] == f"{media_type or JSON}; charset=utf-8"


async def test_head_is_refused_without_a_body(server: RunningServer) -> None:
    response = await send(server, "HEAD", params={"query": "{ __typename }"})
    assert (response.status_code, response.headers["allow"], response.content) == (405, "GET, POST", b"")


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS", "BREW"])
async def test_other_methods_are_refused_with_the_allowed_ones(server: RunningServer, method: str) -> None:
    response = await send(server, method, content=request_body(query=ROLE))
    assert (response.status_code, response.headers["allow"]) == (405, "GET, POST")
    assert only_error(response)["extensions"]["code"] == "BAD_USER_INPUT"


@pytest.mark.parametrize("parameters", [{"query": CREATE}, {"query": CREATE_AND_READ, "operationName": "A"}])
async def test_get_never_writes(server: RunningServer, parameters: dict[str, str]) -> None:
    response = await send(server, "GET", params=parameters)
    assert (response.status_code, response.headers["allow"]) == (405, "POST")
    assert only_error(response)["message"] == "A GET may only query."
    assert await server.owner.fetchval("SELECT count(*) FROM funds") == 0


@pytest.mark.parametrize(
    "query_string",
    [
        b"",
        b"query=",
        b"query=%FF",
        b"query=%ED%A0%80",
        b"query=\xc3\xa9",
        b"query={__typename}&variables={",
        b"query={__typename}&variables=[]",
        b"query={__typename}&variables=1",
        b"query={__typename}&variables=" + b"[" * 5_000,
        b"query={__typename}&extensions=[]",
        b"query={__typename}&operationName=B",
        b"&".join([b"query={__typename}"] * 21),
    ],
)
async def test_malformed_address_is_refused(server: RunningServer, query_string: bytes) -> None:
    messages: list[dict[str, Any]] = []
    await call(server, {"method": "GET", "query_string": query_string}, [], messages)
    assert messages[0]["status"] == 400
    assert json.loads(messages[1]["body"])["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"


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


async def test_client_that_goes_away_is_no_fault(server: RunningServer) -> None:
    messages: list[dict[str, Any]] = []
    received: list[dict[str, Any]] = [
        {"type": "http.request", "body": b"{", "more_body": True},
        {"type": "http.disconnect"},
    ]
    await call(server, {"headers": [(b"content-type", b"application/json")]}, received, messages)
    assert messages[0]["status"] == 400


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"null",
        b"1",
        b'"text"',
        b"[]",
        b'[{"query": "{ __typename }"}]',
        b"{",
        b"NaN",
        b"\xef\xbb\xbf{}",
        b"\xff\xfe{\x00}\x00",
        b'{"query": "\xff"}',
        b'{"query": "\\ud800"}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"query": "{ __typename }", "variables": ' + b"[" * 100_000,
        b'{"query": "{ __typename }", "variables": {"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}}",
        b"{}",
        request_body(query=None),
        request_body(query=""),
        request_body(query=1),
        request_body(query=["{ __typename }"]),
        request_body(query={}),
        request_body(query=ROLE, variables=[]),
        request_body(query=ROLE, variables=1),
        request_body(query=ROLE, variables="{}"),
        request_body(query=ROLE, variables=False),
        request_body(query=ROLE, operationName=1),
        request_body(query=ROLE, operationName=["A"]),
        request_body(query=ROLE, extensions=[]),
        request_body(query=ROLE, operationName="A"),
        request_body(query=TWO),
        request_body(query=TWO, operationName="C"),
        request_body(query=TWO, operationName=""),
    ],
    ids=lambda content: content[:50].decode("latin-1"),
)
async def test_what_is_no_graphql_request_is_refused(server: RunningServer, content: bytes) -> None:
    response = await send(server, content=content)
    assert response.status_code == 400
    assert only_error(response)["extensions"]["code"] == "BAD_USER_INPUT"


@pytest.mark.parametrize("query", [" ", "#", "{", "{ a", "}", "\u0000", "{ viewer { role } } \ufffe", "query"])
async def test_document_that_does_not_parse_is_refused(server: RunningServer, query: str) -> None:
    response = await send(server, content=request_body(query=query))
    assert response.status_code == 400
    assert only_error(response)["extensions"]["code"] == "GRAPHQL_PARSE_FAILED"


async def test_anonymous_document_is_refused_before_it_is_validated(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: object, **_options: object) -> None:
        raise AssertionError("validated")

    monkeypatch.setattr(documents, "validate", fail)
    monkeypatch.setattr(documents, "excess", fail)
    for query in (
        "{ viewer { nothing } }",
        "{ ...F } fragment F on Query { funds { a } }",
        CREATE,
        "{ nothing funds { a } }",
    ):
        response = await send(server, content=request_body(query=query), headers={"authorization": None})
        assert response.status_code == 401
        assert only_error(response)["extensions"]["code"] == "UNAUTHENTICATED"


async def test_anonymous_caller_is_told_of_faults_of_what_anybody_may_ask(server: RunningServer) -> None:
    for query in ("{ nothing }", "{ __typename { a } }", "fragment F on Query { viewer { role } }"):
        response = await send(server, content=request_body(query=query), headers={"authorization": None})
        assert response.status_code == 400
        assert response.json()["errors"][0]["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"


async def test_refusal_names_the_operations_there_are(server: RunningServer) -> None:
    response = await send(server, content=request_body(query=TWO, operationName="C"))
    assert only_error(response)["message"] == "operationName: must name one of the document's operations: A, B."


@pytest.mark.parametrize("accept", ["text/html", "image/*", "application/json;q=0", "application/json; Q=0.0", "a/b,c"])
async def test_answer_that_nobody_wants_is_refused(server: RunningServer, accept: str) -> None:
    response = await send(server, content=request_body(query=ROLE), headers={"accept": accept})
    assert (response.status_code, response.headers["content-type"]) == (406, f"{JSON}; charset=utf-8")
    assert GRAPHQL in only_error(response)["message"]


@pytest.mark.parametrize(
    ("accept", "media_type", "status"),
    [
        (None, JSON, 400),
        ("*/*", JSON, 400),
        ("application/*", JSON, 400),
        ("text/html, */*;q=0.1", JSON, 400),
        (JSON, JSON, 200),
        (f"text/html, {JSON};q=0.9", JSON, 200),
        (f"{GRAPHQL};q=0, {JSON}", JSON, 200),
        (GRAPHQL, GRAPHQL, 400),
        (GRAPHQL.upper(), GRAPHQL, 400),
        (f"{JSON}, {GRAPHQL}; charset=utf-8", GRAPHQL, 400),
        (f"{GRAPHQL};q=0.5, {JSON};q=0.9", JSON, 200),
        (f"{JSON};q=0.5, {GRAPHQL};q=0.50", GRAPHQL, 400),
        (f"{GRAPHQL}; q=0.1, {JSON}; q=0.11", JSON, 200),
        (f"{JSON}, text/plain, */*", JSON, 200),
        (f"{GRAPHQL}, */*;q=0.8", GRAPHQL, 400),
        (f"{JSON};q=0, */*", GRAPHQL, 400),
        (f"{JSON};q=0.1, application/*", GRAPHQL, 400),
        ("application/*;q=0, */*;q=0.1, " + JSON, JSON, 200),
        (f"{JSON};q=x", JSON, 200),
        (f"{JSON};q=9e9;q=0", JSON, 200),
        (f"{JSON};charset=koi8-r;q=0.3, a;;;=,,;q", JSON, 200),
    ],
)
async def test_media_type_and_status_follow_the_accept_header(
    server: RunningServer, accept: str | None, media_type: str, status: int
) -> None:
    faulty = {
        "GRAPHQL_VALIDATION_FAILED": "{ nothing }",
        "GRAPHQL_PARSE_FAILED": "{",
        "BAD_USER_INPUT": "query ($id: ID!) { node(id: $id) { id } }",
    }
    for code, query in faulty.items():
        response = await send(server, content=request_body(query=query), headers={"accept": accept})
        assert (response.status_code, response.headers["content-type"]) == (status, f"{media_type}; charset=utf-8")
        assert only_error(response)["extensions"]["code"] == code


@pytest.mark.parametrize(
    "content_type",
    [None, "", "text/plain", "application/graphql", "multipart/form-data; boundary=x", f"{JSON}; charset=latin-1"],
)
async def test_other_content_types_are_refused(server: RunningServer, content_type: str | None) -> None:
    response = await send(server, content=request_body(query=ROLE), headers={"content-type": content_type})
    assert response.status_code == 415
    assert JSON in only_error(response)["message"]


@pytest.mark.parametrize(
    "content_type", [f"{JSON}; charset=utf-8", 'Application/JSON;charset="UTF-8"', f"{JSON}; charset=utf8; profile=x"]
)
async def test_json_in_utf8_is_taken_however_it_is_written(server: RunningServer, content_type: str) -> None:
    response = await send(server, content=request_body(query=ROLE), headers={"content-type": content_type})
    assert response.status_code == 200


@pytest.mark.parametrize(("length", "status"), [(BODY_BYTES_MAX, 200), (BODY_BYTES_MAX + 1, 413), (10_000_000, 413)])
async def test_body_is_taken_up_to_its_limit(server: RunningServer, length: int, status: int) -> None:
    response = await send(server, content=request_body(query=ROLE).ljust(length))
    assert response.status_code == status
    assert status == 200 or "1000000" in only_error(response)["message"]


async def test_body_without_a_length_is_not_read_beyond_the_limit(server: RunningServer) -> None:
    pieces = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal pieces
        for _ in range(160):
            pieces += 1
            yield b" " * 65_536

    response = await send(server, content=body())
    assert response.status_code == 413
    assert "1000000" in only_error(response)["message"]
    assert pieces <= 18


@pytest.mark.parametrize("length", ["5", "0", "-1", "abc", "1e9", "\u00b2"])
async def test_body_longer_than_it_says_is_not_read_beyond_the_limit(server: RunningServer, length: str) -> None:
    response = await send(server, content=b" " * 2_000_000, headers={"content-length": length.encode("latin-1")})
    assert response.status_code == 413


@pytest.mark.parametrize("length", [str(BODY_BYTES_MAX + 1), "9" * 5_000])
async def test_body_that_says_to_be_too_long_is_refused(server: RunningServer, length: str) -> None:
    response = await send(server, content=b"{}", headers={"content-length": length})
    assert response.status_code == 413


@pytest.mark.parametrize("request_id", ["a", "0b5e7b1c-7f43-4d6e-9d0f-3f1f0f1d2c3b", "x" * 64])
async def test_harmless_request_id_is_echoed(server: RunningServer, request_id: str) -> None:
    for content in (request_body(query=ROLE), b"null"):
        response = await send(server, content=content, headers={"x-request-id": request_id})
        assert response.headers["x-request-id"] == request_id


@pytest.mark.parametrize("request_id", [None, "", "-", "x" * 65, "a b", "a;b", '{"a":1}', "\u00e9", "\u00b2"])
async def test_other_request_ids_are_replaced(server: RunningServer, request_id: str | None) -> None:
    headers = {"x-request-id": None if request_id is None else request_id.encode("latin-1")}
    first, second = [await send(server, content=request_body(query=ROLE), headers=headers) for _ in range(2)]
    assert len(first.headers["x-request-id"]) == 24
    assert first.headers["x-request-id"] != second.headers["x-request-id"]
