"""Whatever a client sends over a socket: answered, or closed for a reason, and never a failure of the server's."""

import asyncio
import json
import random
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from tests.http.live.clients import EVENTS, LiveServer, Socket

pytestmark = pytest.mark.asyncio(loop_scope="module")

SESSIONS = 150
MESSAGES_MAX = 12
REASONS = {1007, 1009, 4400, 4401, 4403, 4409, 4429}
DOCUMENTS = [
    "{ __typename }",
    "{",
    "",
    "\ud800",
    "{ funds { nodes { id } } }",
    "mutation { x }",
    "subscription { eventRecorded { cursor } }",
    "subscription A { eventRecorded { cursor } } query B { __typename }",
    EVENTS,
    "{ viewer { role } } # " + "x" * 5_000,
]
VALUES: list[Any] = [None, True, 0, -1, 1e400, 2**70, "", "x", "\x00", "1", [], [[]], {}, {"a": None}, "é" * 200]


def message(generator: random.Random, token: str) -> Any:
    """A message of the protocol, mostly; and then something about it is changed, often."""
    ids = [str(generator.randint(0, 3)), generator.choice(VALUES)]
    payload: dict[str, Any] = {"query": generator.choice(DOCUMENTS)}
    if generator.random() < 0.3:
        payload["variables"] = generator.choice([{"after": generator.choice(VALUES)}, generator.choice(VALUES)])
    if generator.random() < 0.2:
        payload["operationName"] = generator.choice(["A", "B", *VALUES])
    if generator.random() < 0.1:
        payload["extensions"] = {"persistedQuery": generator.choice(VALUES)}
    made: dict[str, Any] = generator.choice(
        [
            {"type": "connection_init", "payload": {"authorization": token}},
            {"type": "ping", "payload": {"a": generator.choice(VALUES)}},
            {"type": "pong"},
            {"type": "subscribe", "id": ids[0], "payload": payload},
            {"type": "subscribe", "id": ids[0], "payload": payload},
            {"type": "complete", "id": ids[0]},
        ]
    )
    if generator.random() < 0.1:
        made[generator.choice(["type", "id", "payload", "other"])] = generator.choice(VALUES)
    return made if generator.random() < 0.98 else generator.choice(VALUES)


def frame(generator: random.Random, token: str) -> str | bytes:
    text = json.dumps(message(generator, token))
    chance = generator.random()
    if chance < 0.02:
        return text[: generator.randint(0, len(text))]
    return text.encode() if chance < 0.03 else text


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
