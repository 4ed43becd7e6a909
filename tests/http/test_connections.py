"""Connections on a real socket: no request, half of one, no end of headers, several at once, none after an answer."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from api.http import connections
from api.http.connections import HEAD_BYTES_MAX, BoundedHttp, send_whole
from tests.processes import free_port

WHOLE = b"POST /graphql HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}"


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers once the whole body is there."""
    if scope["type"] != "http":
        return
    body = b""
    while (message := await receive()).get("more_body"):
        body += message["body"]
    assert message["type"] == "http.request"
    body += message["body"]
    assert len(body) == int(dict(scope["headers"])[b"content-length"])
    body = b"" if scope["method"] == "HEAD" else b"ok"
    # One path answers as the endpoint does, the other with ASGI's own two messages: on the wire they are the same.
    if scope["path"] == "/graphql":
        await send_whole(scope, send, 200, [(b"content-length", b"2")], body)
    else:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": body})


@pytest.fixture
async def port(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    """The port of a server that waits for a tenth of a second."""
    monkeypatch.setattr(connections, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(connections, "REQUEST_SECONDS_MAX", 0.1)
    chosen = free_port()
    config = uvicorn.Config(
        echo,
        port=chosen,
        http=BoundedHttp,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
    )
    # uvicorn's own setting is in whole seconds.
    config.timeout_keep_alive = 0.2  # type: ignore[assignment]
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server._serve())
    while not server.started:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    yield chosen
    server.should_exit = True
    await serving


async def exchange(port: int, *pieces: bytes) -> tuple[int, dict[str, Any] | bytes]:
    """What comes back when this is sent and nothing more: status and body, until the server ends the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0.01)
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    return int(head.split()[1]), json.loads(body) if b"application/json" in head else body


@pytest.mark.parametrize(
    "pieces",
    [
        [],
        [b"POST /graph"],
        [WHOLE[:40]],
        [WHOLE[:-1]],
        [b"POST /graphql HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n"],
        [b"GET / HTTP/1.1\r\nHost: a\r\nA: a"],
    ],
    ids=["nothing", "half a line", "half of the headers", "half of the body", "half of the chunks", "half a header"],
)
async def test_request_that_does_not_come_is_not_waited_for(port: int, pieces: list[bytes]) -> None:
    status, body = await exchange(port, *pieces)
    assert status == 408
    assert isinstance(body, dict)
    assert body["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"


async def test_headers_without_an_end_are_refused(port: int) -> None:
    line = b"A: " + b"a" * 1_000 + b"\r\n"
    status, body = await exchange(port, b"GET / HTTP/1.1\r\nHost: a\r\n", *[line * 10] * (HEAD_BYTES_MAX // 10_000 + 1))
    assert status == 431
    assert isinstance(body, dict)
    assert str(HEAD_BYTES_MAX) in body["errors"][0]["message"]


@pytest.mark.parametrize("request_line", [b"\x00\x01", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"{}\r\n\r\n"])
async def test_what_is_no_http_is_refused_with_json(port: int, request_line: bytes) -> None:
    status, body = await exchange(port, request_line)
    assert status == 400
    assert isinstance(body, dict)
    assert body["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"


async def test_request_in_pieces_is_answered_and_the_connection_kept(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(3):
        for index in range(len(WHOLE)):
            writer.write(WHOLE[index : index + 1])
            await asyncio.sleep(0)
        assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200 OK")
    writer.close()


@pytest.mark.parametrize(
    "requests",
    [
        [WHOLE],
        [WHOLE, WHOLE, WHOLE],
        [WHOLE.replace(b"POST", b"HEAD")],
        [WHOLE.replace(b"HTTP/1.1", b"HTTP/1.0")],
        [WHOLE.replace(b"Host", b"Connection: close\r\nHost")],
        [WHOLE, WHOLE.replace(b"Host", b"Connection: close\r\nHost")],
        [WHOLE.replace(b"Host", b"Expect: 100-continue\r\nHost")],
    ],
    ids=["one", "three at once", "HEAD", "HTTP/1.0", "the last one", "the last one of two", "Expect"],
)
async def test_whole_answer_is_what_two_messages_are(port: int, requests: list[bytes]) -> None:
    whole = b"".join(requests)
    answers = []
    for sent in (whole, whole.replace(b"/graphql", b"/messages")):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        answers.append(await reader.read())
        writer.close()
    assert answers[0] == answers[1]
    assert answers[0].count(b"HTTP/1.1 200 OK") == len(requests)


@pytest.mark.parametrize(
    "offer",
    [
        b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAAB\r\n",
        b"Connection: upgrade\r\nUpgrade: anything\r\n",
        b"Upgrade: websocket\r\nConnection: Upgrade, keep-alive\r\n",
        b"Upgrade: websocket\r\nConnection: close, Upgrade\r\n",
    ],
    ids=["Java's", "anything", "WebSocket's", "the last one"],
)
@pytest.mark.parametrize("pieces", [1, 2, 5])
async def test_offer_of_another_protocol_is_ignored(port: int, offer: bytes, pieces: int) -> None:
    sent = WHOLE.replace(b"Host", offer + b"Host") + (b"" if b"close" in offer else WHOLE)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    size = -(-len(sent) // pieces)
    for start in range(0, len(sent), size):
        writer.write(sent[start : start + size])
        await writer.drain()
        await asyncio.sleep(0.01)
    answered = await reader.read()
    assert answered.count(b"HTTP/1.1 200 OK") == answered.count(b"ok") == (1 if b"close" in offer else 2)
    writer.close()


async def test_many_offers_at_once_are_ignored(port: int) -> None:
    offered = WHOLE.replace(b"Host", b"Connection: upgrade\r\nUpgrade: a\r\nHost")
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(offered * 500)
    answered = await reader.read()
    assert answered.count(b"HTTP/1.1 200 OK") == answered.count(b"ok") == 500
    writer.close()


async def test_connect_is_answered_like_any_method(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\nContent-Length: 0\r\n\r\n")
    assert b"HTTP/1.1 " in await reader.read()
    writer.close()


async def test_what_is_no_http_after_a_request_does_not_come_before_its_answer(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(WHOLE + b"GARBAGE\r\n\r\n")
    answered = await reader.read()
    assert answered.startswith(b"HTTP/1.1 200 OK")
    assert b"connection: close" in answered
    assert answered.endswith(b"ok")
    writer.close()


async def test_connection_without_a_further_request_is_ended(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(WHOLE)
    assert (await reader.read()).endswith(b"ok")
    writer.close()
