"""What a client may send over a WebSocket: messages of the protocol that are often wrong, and frames that are none."""

import asyncio
import json
import random
from typing import Any

from websockets.frames import Frame, Opcode

from tests.fuzz.wire import SILENCE_SECONDS, pieces_of, spoil, write
from tests.http.live.clients import EVENTS

MESSAGES_MAX = 12
INTERNAL_ERROR = 1011
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
HANDSHAKE = (
    "GET /graphql HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    "Sec-WebSocket-Protocol: graphql-transport-ws\r\n{extra}\r\n"
)
EXTRAS = [
    "Origin: https://app.example",
    "Sec-WebSocket-Extensions: permessage-deflate",
    "Sec-WebSocket-Protocol: graphql-ws",
    "Sec-WebSocket-Version: 8",
    "Content-Length: 5",
    "Transfer-Encoding: chunked",
]
LENGTHS = [0, 1, 125, 126, 127, 65_535, 65_536, 1_000_001]


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
    """What one frame carries: a message, at times cut short, or as bytes where text is wanted."""
    text = json.dumps(message(generator, token))
    chance = generator.random()
    if chance < 0.02:
        return text[: generator.randint(0, len(text))]
    return text.encode() if chance < 0.03 else text


def raw_frames(generator: random.Random, token: str) -> bytes:
    """Frames as bytes: some in fragments, of kinds that do not exist, too long, unmasked, or spoiled altogether."""
    made = [_raw(Opcode.TEXT, json.dumps({"type": "connection_init", "payload": {"authorization": token}}).encode())]
    for _ in range(generator.randint(1, MESSAGES_MAX)):
        data = frame(generator, token)
        content = data if isinstance(data, bytes) else data.encode(errors="surrogatepass")
        chance = generator.random()
        if chance < 0.4:
            made.append(_raw(Opcode.TEXT, content))
        elif chance < 0.6:
            parts = pieces_of(generator, content)
            kinds = [Opcode.TEXT, *[Opcode.CONT] * (len(parts) - 1)]
            ends = [*[False] * (len(parts) - 1), generator.random() < 0.9]
            made += [_raw(kind, part, fin=end) for kind, part, end in zip(kinds, parts, ends, strict=True)]
        elif chance < 0.8:
            made.append(_raw(generator.choice(list(Opcode)), generator.randbytes(generator.choice([0, 1, 2, 125]))))
        elif chance < 0.9:
            length = generator.choice(LENGTHS)
            made.append(_raw(Opcode.TEXT, b'"' + b"x" * length + b'"'))
        else:
            # Any opcode, any of the reserved bits, any length said.
            made.append(generator.randbytes(generator.choice([2, 4, 10, 14])) + content)
    sent = b"".join(made)
    return spoil(generator, sent) if generator.random() < 0.4 else sent


def _raw(kind: Opcode, content: bytes, *, fin: bool = True) -> bytes:
    """One frame, masked as a client's must be. (A client library would not write all that is asked for here.)"""
    return Frame(kind, content, fin=fin).serialize(mask=True)


async def talk_in_frames(port: int, seed: int, token: str) -> bytes:
    """Opens a WebSocket by hand and sends such frames; all that came back until the server hung up or said no more."""
    generator = random.Random(seed)
    extra = f"{generator.choice(EXTRAS)}\r\n" if generator.random() < 0.2 else ""
    handshake = HANDSHAKE.replace("{extra}", extra).encode()
    if generator.random() < 0.1:
        handshake = spoil(generator, handshake)
    pieces = pieces_of(generator, raw_frames(generator, token))
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    received = b""
    try:
        writer.write(handshake)
        async with asyncio.timeout(SILENCE_SECONDS):
            received = await reader.readuntil(b"\r\n\r\n")
        await write(writer, pieces)
        async with asyncio.timeout(None) as silence:
            while True:
                silence.reschedule(asyncio.get_running_loop().time() + SILENCE_SECONDS)
                chunk = await reader.read(65_536)
                if not chunk:
                    break
                received += chunk
    except (OSError, TimeoutError, asyncio.IncompleteReadError):
        pass  # The server need not read what it has refused.
    finally:
        writer.transport.abort()
    return received


def close_code(received: bytes) -> int | None:
    """The code with which the server closed the socket; None where it did not, or never opened it."""
    head, _, rest = received.partition(b"\r\n\r\n")
    if b" 101 " not in head.partition(b"\r\n")[0]:
        return None
    while len(rest) >= 2:
        length, start = rest[1], 2
        if length >= 126:
            start = 4 if length == 126 else 10
            length = int.from_bytes(rest[2:start])
        content, kind = rest[start : start + length], rest[0] & 0x0F
        if kind == Opcode.CLOSE:
            return int.from_bytes(content[:2])
        rest = rest[start + length :]
    return None
