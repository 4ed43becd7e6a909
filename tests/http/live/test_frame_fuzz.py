"""Whatever a client sends over a socket: answered, or closed for a reason, and never a failure of the server's."""

import asyncio
import json
import random

import pytest
from websockets.exceptions import ConnectionClosed

from tests.fuzz.frames import MESSAGES_MAX, frame
from tests.http.live.clients import LiveServer, Socket

pytestmark = pytest.mark.asyncio(loop_scope="module")

SESSIONS = 150
REASONS = {1007, 1009, 4400, 4401, 4403, 4409, 4429}


async def talk(opened: Socket, generator: random.Random, token: str) -> int | None:
    """The code with which the server closes; None where it still answers in the end."""
    try:
        if generator.random() < 0.9:
            await opened.send(type="connection_init", payload={"authorization": token})
        for _ in range(generator.randint(1, MESSAGES_MAX)):
            await opened.connection.send(frame(generator, token))
        await opened.send(type="ping", payload={"last": "word"})
        answer = None
        while answer != {"type": "pong", "payload": {"last": "word"}}:
            answer = await opened.receive()
            assert "INTERNAL_SERVER_ERROR" not in json.dumps(answer)
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else 0
    return None


async def test_no_frame_makes_the_server_fail(shared_live: LiveServer) -> None:
    token, codes = shared_live.token(), set()
    for seed in range(SESSIONS):
        async with shared_live.socket() as opened, asyncio.timeout(60):
            code = await talk(opened, random.Random(seed), token)
            assert code is None or code in REASONS, (seed, code)
            codes.add(code)
    assert {None, 4400, 4401, 4409, 4429} <= codes
    await shared_live.followers(0)
    assert shared_live.app.state.bus._watchers == {}
