"""Connections that bring no request, half of one, or no end of headers, on a real socket."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from api.http import connections
from api.http.connections import HEAD_BYTES_MAX, BoundedHttp
from tests.processes import free_port

WHOLE = b"POST /graphql HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}"


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers once the whole body is there."""
    if scope["type"] != "http":
        return
    while (message := await receive()).get("more_body"):
        pass
    assert message["type"] == "http.request"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.fixture
async def port(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    """The port of a server that waits for a tenth of a second."""
    monkeypatch.setattr(connections, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(connections, "REQUEST_SECONDS_MAX", 0.1)
    chosen = free_port()
    config = uvicorn.Config(echo, port=chosen, http=BoundedHttp, lifespan="off", log_config=None, access_log=False)
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
