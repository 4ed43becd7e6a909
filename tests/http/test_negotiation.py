"""GraphQL over HTTP: media types, asked for and sent."""

import httpx
import pytest

from tests.http.wire import GRAPHQL, JSON, ROLE, only_error, request_body, send
from tests.server import RunningServer

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
def server(shared_server: RunningServer) -> RunningServer:
    return shared_server


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
