"""Server-sent events and multipart, byte by byte."""

import json

import httpx
import pytest

from tests.http.live.clients import EVENTS, PARTS, URQL, Bytes, LiveServer

pytestmark = pytest.mark.asyncio(loop_scope="module")

LIVE = "subscription { eventRecorded { event { action } } }"
CREATED = {"data": {"eventRecorded": {"event": {"action": "fund.created"}}}}
SINGLE = "{ __typename }"


def event(body: object) -> bytes:
    return b"event: next\ndata: " + json.dumps(body, separators=(",", ":")).encode() + b"\n\n"


async def test_events_come_as_they_happen(shared_live: LiveServer) -> None:
    async with shared_live.stream(LIVE) as response:
        assert response.status_code == 200
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["x-accel-buffering"] == "no"
        assert "content-length" not in response.headers
        body = Bytes(response)
        await body.take(b":\n\n")
        await shared_live.followers(1)
        for _ in range(2):
            await shared_live.create_fund()
            await body.take(event(CREATED))
    await shared_live.followers(0)


async def test_single_response_is_followed_by_complete(shared_live: LiveServer) -> None:
    async with shared_live.stream(SINGLE) as response:
        expected = b":\n\n" + event({"data": {"__typename": "Query"}}) + b"event: complete\ndata:\n\n"
        assert await Bytes(response).rest() == expected


@pytest.mark.parametrize(
    ("query", "code"),
    [("{", "GRAPHQL_PARSE_FAILED"), ("{ nothing }", "GRAPHQL_VALIDATION_FAILED"), (EVENTS, "BAD_USER_INPUT")],
)
async def test_refusal_is_an_event(shared_live: LiveServer, query: str, code: str) -> None:
    async with shared_live.stream(query, {"after": "x"}) as response:
        assert response.status_code == 200
        body = Bytes(response)
        await body.take(b":\n\nevent: next\ndata: ")
        answer = json.loads(await body.until(b"\n"))
        assert [error["extensions"]["code"] for error in answer["errors"]] == [code]
        assert await body.rest() == b"\nevent: complete\ndata:\n\n"


async def test_silence_is_filled_with_comments(shared_live: LiveServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_live.app.endpoint.streams, "heartbeat_seconds", 0.05)
    async with shared_live.stream(LIVE) as response:
        body = Bytes(response)
        await body.take(b":\n\n" * 4)
        await shared_live.create_fund()
        assert (await body.until(b"event: next\ndata: ")).replace(b":\n\n", b"") == b""
        assert (await body.until(b"\n\n")) == json.dumps(CREATED, separators=(",", ":")).encode()


async def test_subscription_may_come_by_get(shared_live: LiveServer) -> None:
    headers = {"accept": "text/event-stream", "authorization": shared_live.token()}
    async with (
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{shared_live.port}") as client,
        client.stream("GET", "/graphql", params={"query": LIVE}, headers=headers) as response,
    ):
        body = Bytes(response)
        await body.take(b":\n\n")
        await shared_live.followers(1)
        await shared_live.create_fund()
        await body.take(event(CREATED))


async def test_parts_come_as_they_happen(shared_live: LiveServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_live.app.endpoint.streams, "heartbeat_seconds", 0.5)
    async with shared_live.stream(LIVE, accept=PARTS) as response:
        assert response.headers["content-type"] == 'multipart/mixed;boundary="graphql";subscriptionSpec="1.0"'
        body = Bytes(response)
        await body.take(b"--graphql\r\nContent-Type: application/json\r\n\r\n{}\r\n--graphql")
        await shared_live.create_fund()
        while True:
            await body.take(b"\r\nContent-Type: application/json\r\n\r\n")
            part = await body.until(b"\r\n--graphql")
            if part != b"{}":
                break
        assert json.loads(part) == {"payload": CREATED}


async def test_refused_subscription_is_a_part(shared_live: LiveServer) -> None:
    async with shared_live.stream(EVENTS, {"after": "x"}, accept=PARTS) as response:
        body = Bytes(response)
        await body.take(b"--graphql\r\nContent-Type: application/json\r\n\r\n")
        part = json.loads(await body.until(b"\r\n--graphql"))
        assert part["payload"]["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"
        assert await body.rest() == b"--\r\n"


@pytest.mark.parametrize("accept", [PARTS, URQL, "application/json, text/event-stream", "*/*, text/event-stream"])
async def test_who_takes_json_gets_single_responses_as_json(shared_live: LiveServer, accept: str) -> None:
    async with shared_live.stream(SINGLE, accept=accept) as response:
        assert response.headers["content-type"].partition(";")[0] in (
            "application/json",
            "application/graphql-response+json",
        )
        assert json.loads(await response.aread()) == {"data": {"__typename": "Query"}}


@pytest.mark.parametrize("accept", ["application/json", "*/*", "multipart/mixed", "text/event-stream;q=0, */*"])
async def test_subscription_is_refused_where_no_stream_is_asked_for(shared_live: LiveServer, accept: str) -> None:
    async with shared_live.stream(LIVE, accept=accept) as response:
        assert response.status_code in (200, 400, 406)
        assert response.headers["content-type"].partition(";")[0] == "application/json"
        assert "errors" in json.loads(await response.aread())


async def test_without_a_token_there_is_no_stream(shared_live: LiveServer) -> None:
    for authorization in ("Bearer x", "Basic x"):
        async with shared_live.stream(LIVE, authorization=authorization) as response:
            assert response.status_code == 401
            assert json.loads(await response.aread())["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


async def test_client_that_goes_leaves_nothing_behind(shared_live: LiveServer) -> None:
    for accept, opening in (("text/event-stream", b":\n\n"), (PARTS, b"--graphql")):
        async with shared_live.stream(LIVE, accept=accept) as response:
            body = Bytes(response)
            await body.take(opening)
            await shared_live.followers(1)
        await shared_live.followers(0)
    assert shared_live.app.state.bus._watchers == {}
