"""Bytes on the socket: requests of every kind that the server takes, in part spoiled, in pieces, one after another.

Each session is made from its seed alone.
"""

import asyncio
import json
import random
import re
from dataclasses import dataclass
from typing import Any

SILENCE_SECONDS = 0.3
"""How long nothing may come before a session takes the server to be waiting for more, and hangs up."""
MUTATIONS_MAX = 4
STATUS_LINES = re.compile(rb"HTTP/1\.[01] (\d{3}) ")
GOOD_ANSWER = re.compile(rb'HTTP/1\.1 200 OK\r\n(?:[^\r\n]+\r\n)*\r\n\{"data":\{"a(\d+)":"Query"\}\}', re.IGNORECASE)

DOCUMENTS = [
    "{ __typename }",
    "{ viewer { role } }",
    "{ funds { totalCount nodes { id name companies { nodes { id } } } } }",
    "query A($id: ID!) { node(id: $id) { id } } query B { __typename }",
    'mutation { createFund(input: {name: "Wire"}) { fund { id } userErrors { code } } }',
    "subscription { eventRecorded { cursor } }",
    "{ __schema { types { name fields { name } } } }",
    "{",
    "\x00",
    '{ é(a: "\\ud800") }',
]
VALUES: list[Any] = [None, True, -1, 1e300, 2**70, "", "x" * 300, [], [[]], {}, {"id": 1}, "é"]
ACCEPTS = [
    "application/json",
    "application/graphql-response+json",
    "*/*",
    "text/event-stream",
    'multipart/mixed;boundary="graphql";subscriptionSpec="1.0",application/json',
    "text/html;q=0.1, , ;q=x",
    "image/png",
]
TARGETS = ["/graphql", "/graphql?query=%7B__typename%7D", "/graphql?query=%FF&variables=%7B", "/graphiql", "/metrics"]
PATHS = [*TARGETS, "/health/live", "/health/ready", "/", "//", "*", "/graphql/", "http://a/graphql", "/%2e%2e/%00"]
METHODS = ["POST", "POST", "POST", "GET", "GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE", "CONNECT", "PRI"]
HEADERS = [
    "Connection: close",
    "Connection: keep-alive, Upgrade",
    "Upgrade: websocket",
    "Upgrade: h2c",
    "Expect: 100-continue",
    "Expect: nothing",
    "Content-Length: 0",
    "Content-Length: -1",
    "Content-Length: 99999999999999999999999",
    "Content-Length: 5, 5",
    "Transfer-Encoding: chunked",
    "Transfer-Encoding: gzip, chunked",
    "Transfer-Encoding: identity",
    "Content-Encoding: gzip",
    "Content-Type: application/json; charset=utf-16",
    "Content-Type: text/plain",
    "Origin: https://app.example",
    "Origin: null",
    "Access-Control-Request-Method: POST",
    "X-Request-Id: \xff\x80",
    "X-Forwarded-For: 1, 2",
    "X-Tranche-Debug: 1",
    "X-Tranche-Cost: 1",
    "Authorization: Bearer a.b.c",
    "Authorization: Basic \xff",
    "Cookie: a=b",
    "Host: ",
    "A: " + "a" * 3_000,
    " folded",
    "no colon",
    ": no name",
]
PIECES = [
    *(
        b"\r\n",
        b"\n",
        b"\r",
        b"\x00",
        b"\xff",
        b" ",
        b":",
        b"\r\n\r\n",
        b"0\r\n\r\n",
        b"ffffffffffffffff\r\n",
        b"-1\r\n",
    ),
    *(
        b"5;a=b\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Content-Length: 7\r\n",
        b"HTTP/9.9",
        b"HTTP/2.0",
        b"\x16\x03\x01",
    ),
    *(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"[" * 3_000, b'{"query":', b"A" * 70_000),
]


def good_request(token: str, number: int) -> bytes:
    """A request whose answer tells its number."""
    return _request("POST", "/graphql", [], json.dumps({"query": f"{{ a{number}: __typename }}"}).encode(), token)


def read_request(token: str) -> bytes:
    """A good request that the database has to be asked for."""
    return _request("POST", "/graphql", [], b'{"query":"{ funds { nodes { id } } }"}', token)


def any_request(generator: random.Random, token: str) -> bytes:
    """A request that may be a good one."""
    payload: object = {"query": generator.choice(DOCUMENTS)}
    if generator.random() < 0.3:
        names = ["variables", "operationName", "extensions", "documentId", "query"]
        payload = {"query": generator.choice(DOCUMENTS), generator.choice(names): generator.choice(VALUES)}
    if generator.random() < 0.1:
        payload = generator.choice([*VALUES, [payload] * generator.randint(1, 5)])
    body = json.dumps(payload).encode()
    if generator.random() < 0.05:
        body = b'{"query": "{ __typename } #' + b"x" * generator.choice([60_000, 300_000, 1_100_000]) + b'"}'
    headers = [f"Accept: {generator.choice(ACCEPTS)}"] if generator.random() < 0.5 else []
    headers += generator.sample(HEADERS, generator.choice([0, 0, 0, 1, 2, 5]))
    is_plain = generator.random() < 0.6
    method, path = ("POST", "/graphql") if is_plain else (generator.choice(METHODS), generator.choice(PATHS))
    return _request(method, path, headers, body, token, is_chunked=generator.random() < 0.25, generator=generator)


def _request(
    method: str,
    path: str,
    headers: list[str],
    body: bytes,
    token: str,
    *,
    is_chunked: bool = False,
    generator: random.Random | None = None,
) -> bytes:
    given = ["Host: 127.0.0.1", "Content-Type: application/json", f"Authorization: {token}"]
    if is_chunked and generator is not None:
        given.append("Transfer-Encoding: chunked")
        chunks = [b"%x\r\n%s\r\n" % (len(part), part) for part in pieces_of(generator, body) if part]
        body = b"".join(chunks) + b"0\r\n\r\n"
    else:
        given.append(f"Content-Length: {len(body)}")
    lines = [f"{method} {path} HTTP/1.1", *given, *headers]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def spoil(generator: random.Random, content: bytes) -> bytes:
    """The bytes with some of them changed, taken out, repeated, or others put between."""
    for _ in range(generator.randint(1, MUTATIONS_MAX)):
        # Mostly near the start: there are the request line and the headers.
        reach = len(content) if generator.random() < 0.3 else min(len(content), 400)
        start = generator.randint(0, reach)
        end = min(len(content), start + generator.choice([1, 1, 2, 8, 60]))
        match generator.randrange(6):
            case 0:
                content = content[:start] + generator.randbytes(end - start) + content[end:]
            case 1:
                content = content[:start] + content[end:]
            case 2:
                content = content[:end] + content[start:]
            case 3:
                content = content[:start]
            case _:
                content = content[:start] + generator.choice(PIECES) + content[start:]
    return content


def pieces_of(generator: random.Random, content: bytes) -> list[bytes]:
    """The bytes cut at some places."""
    cuts = sorted(generator.randint(0, len(content)) for _ in range(generator.choice([0, 0, 1, 3, 10])))
    return [content[start:end] for start, end in zip([0, *cuts], [*cuts, len(content)], strict=True)]


@dataclass(frozen=True)
class Session:
    """What one connection sends: so many good requests first, then whatever."""

    good: int
    pieces: list[bytes]
    hangs_up: bool


def session(seed: int, token: str) -> Session:
    """The session of this seed."""
    generator = random.Random(seed)
    good = generator.choice([0, 0, 1, 2, 5])
    rest = [any_request(generator, token) for _ in range(generator.choice([1, 1, 1, 2, 4]))]
    rest = [spoil(generator, content) if generator.random() < 0.7 else content for content in rest]
    content = b"".join([*(good_request(token, number) for number in range(good)), *rest])
    return Session(good, pieces_of(generator, content), hangs_up=generator.random() < 0.1)


async def write(writer: asyncio.StreamWriter, pieces: list[bytes]) -> None:
    """Writes the pieces one by one, as long as the server has not hung up."""
    for piece in pieces:
        if writer.transport.is_closing():
            return
        writer.write(piece)
        await asyncio.sleep(0)


async def talk(port: int, spoken: Session) -> bytes:
    """Sends a session's bytes; all that came back until the server hung up or said no more."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    received = b""
    try:
        await write(writer, spoken.pieces)
        if spoken.hangs_up:
            writer.transport.abort()
            return b""
        async with asyncio.timeout(None) as silence:
            while True:
                silence.reschedule(asyncio.get_running_loop().time() + SILENCE_SECONDS)
                chunk = await reader.read(65_536)
                if not chunk:
                    break
                received += chunk
    except (ConnectionError, TimeoutError):
        pass  # The server need not read what it has refused.
    finally:
        writer.transport.abort()
    return received


def faults_of(spoken: Session, received: bytes) -> list[str]:
    """What is wrong with the answers to a session."""
    statuses = [int(status) for status in STATUS_LINES.findall(received)]
    faults = [f"status {status}" for status in statuses if status >= 500]
    if b"INTERNAL_SERVER_ERROR" in received:
        faults.append("an internal error")
    numbers = [int(number) for number in GOOD_ANSWER.findall(received)]
    if numbers[: spoken.good] != list(range(spoken.good))[: len(numbers)]:
        faults.append(f"answers {numbers} to {spoken.good} good requests")
    return faults


async def ask(port: int, token: str, number: int) -> bytes:
    """The answer to a good request on a connection of its own."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(good_request(token, number))
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
        return head + await reader.readexactly(int(length[1]) if length else 0)
    finally:
        writer.transport.abort()
