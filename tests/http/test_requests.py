"""GraphQL over HTTP: which requests are taken, and how the others are refused. Nothing that a client sends is a 500."""

import json
from typing import Any

import pytest

from api.http import documents
from tests.http.wire import ROLE, call, only_error, request_body, send
from tests.server import RunningServer

pytestmark = pytest.mark.asyncio(loop_scope="module")

CREATE = 'mutation { createFund(input: {name: "Fund I"}) { replayed } }'
CREATE_AND_READ = 'mutation A { createFund(input: {name: "Fund I"}) { replayed } } query B { viewer { role } }'
TWO = "query A { viewer { role } } query B { viewer { role } }"


@pytest.fixture
def server(shared_server: RunningServer) -> RunningServer:
    return shared_server


async def test_post_answers_a_query(server: RunningServer) -> None:
    response = await send(server, content=request_body(query=ROLE, variables=None, operationName=None, extensions=None))
    assert (response.status_code, response.json()) == (200, {"data": {"viewer": {"role": "EDITOR"}}})


async def test_get_answers_a_query(server: RunningServer) -> None:
    document = "query A($id: ID!) { node(id: $id) { id } } query B { viewer { role } }"
    parameters = {"query": document, "operationName": "A", "variables": '{"id": "x"}'}
    response = await send(server, "GET", params=parameters)
    assert (response.status_code, response.json()) == (200, {"data": {"node": None}})


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


@pytest.mark.parametrize("name", [b"host", b"authorization", b"content-type", b"origin"])
async def test_header_that_decides_something_may_not_come_twice(server: RunningServer, name: bytes) -> None:
    sent: list[dict[str, Any]] = []
    body = {"type": "http.request", "body": request_body(query=ROLE), "more_body": False}
    headers = [(b"content-type", b"application/json"), (b"x-a", b"1"), (b"x-a", b"2"), (name, b"a"), (name, b"a")]
    await call(server, {"headers": headers}, [body], sent)
    assert sent[0]["status"] == 400
    assert name.decode() in sent[1]["body"].decode().lower()
