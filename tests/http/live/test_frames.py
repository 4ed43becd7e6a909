"""Frames that no client library would send, on a real socket: it is closed for them, and nothing fails."""

import asyncio
import json

import pytest
from structlog.testing import capture_logs
from websockets.frames import Close, CloseCode, Frame, Opcode

from tests.fuzz.frames import HANDSHAKE, close_code
from tests.http.live.clients import LiveServer

pytestmark = pytest.mark.asyncio(loop_scope="module")

NO_TEXT = Frame(Opcode.TEXT, b"\xff")
IN_PARTS = [Frame(Opcode.TEXT, b"\xc3", fin=False), Frame(Opcode.CONT, b"\x28")]
NO_BEGINNING = Frame(Opcode.CONT, b"{}")
GOODBYE = Frame(Opcode.CLOSE, Close(CloseCode.NORMAL_CLOSURE, "").serialize())


def text(**message: object) -> Frame:
    return Frame(Opcode.TEXT, json.dumps(message).encode())


async def exchange(live: LiveServer, *frames: Frame) -> int | None:
    """The code with which the server closes a socket that brings all of these frames at once."""
    reader, writer = await asyncio.open_connection("127.0.0.1", live.port)
    try:
        writer.write(HANDSHAKE.replace("{extra}", "").encode())
        head = await reader.readuntil(b"\r\n\r\n")
        writer.write(b"".join(frame.serialize(mask=True) for frame in frames))
        return close_code(head + await reader.read())
    finally:
        writer.close()


@pytest.mark.parametrize(
    ("last", "code"),
    [
        ([NO_TEXT], 1007),
        (IN_PARTS, 1007),
        ([NO_BEGINNING], 1002),
        ([GOODBYE, NO_TEXT], 1000),
        ([NO_TEXT, NO_TEXT], 1007),
    ],
    ids=["no UTF-8", "no UTF-8 in parts", "a continuation of nothing", "no UTF-8 after the close", "no UTF-8 twice"],
)
@pytest.mark.parametrize("is_answering", [False, True])
async def test_socket_is_closed_for_what_is_no_frame_and_nothing_fails(
    shared_live: LiveServer, caplog: pytest.LogCaptureFixture, last: list[Frame], code: int, is_answering: bool
) -> None:
    init = text(type="connection_init", payload={"authorization": shared_live.token()})
    queries = [text(type="subscribe", id=str(number), payload={"query": "{ __typename }"}) for number in range(5)]
    first = [init, *queries] if is_answering else []
    with capture_logs() as events:
        assert await exchange(shared_live, *first, *last) == code
        await shared_live.followers(0)
        await asyncio.sleep(0.05)
    assert [event for event in events if event["log_level"] == "error"] == []
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []
