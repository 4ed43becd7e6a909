"""Subscribers and writers that cost next to nothing: bare sockets, and of the WebSocket protocol what they need."""

import asyncio
import base64
import re
import time
from collections.abc import Callable, Sequence
from typing import Any, cast

import orjson

SUBSCRIPTION = """
subscription {
  capitalChanged {
    cursor
    entry { id sequence action effectiveOn name annualRate availableCents previousAmountCents recordedAt }
    source { id name annualRate availableCents version }
  }
}
"""
WRITE = """
mutation ($input: UpdateCapitalAmountInput!) {
  updateCapitalAmount(input: $input) { entry { id sequence } userErrors { code } }
}
"""
ENTRY_ID = re.compile(rb'"entry":{"id":"([^"]+)"')
NEXT = b'{"type":"next",'
TEXT, PING, PONG = 0x1, 0x9, 0xA
# A frame of a client must be masked; with this mask that changes nothing.
MASK = b"\0\0\0\0"


def frame(payload: bytes, opcode: int = TEXT) -> bytes:
    """One frame of a client."""
    length = len(payload)
    size = bytes((0x80 | length,)) if length < 126 else b"\xfe" + length.to_bytes(2, "big")
    return bytes((0x80 | opcode,)) + size + MASK + payload


def message(**values: Any) -> bytes:
    """A message of graphql-transport-ws in its frame."""
    return frame(orjson.dumps(values))


class Audience:
    """All subscribers, and when what they were sent in the measured time arrived, in seconds since 1970."""

    def __init__(self) -> None:
        self.arrivals: list[tuple[float, bytes]] = []
        self.is_measuring = False
        self.fault: str | None = None
        self.subscribers: list[Subscriber] = []

    async def open(self, port: int, tokens: Sequence[str]) -> None:
        """Opens one subscriber for each token, some at a time."""
        loop = asyncio.get_running_loop()
        for start in range(0, len(tokens), 50):
            opened = [
                loop.create_connection(lambda token=token: Subscriber(self, token), "127.0.0.1", port)  # type: ignore[misc]
                for token in tokens[start : start + 50]
            ]
            self.subscribers += [protocol for _, protocol in await asyncio.gather(*opened)]
            await self.until(lambda: all(one.is_subscribed for one in self.subscribers))

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Returns once this is so; raises RuntimeError where a subscriber has failed, or it takes a minute."""
        deadline = time.monotonic() + 60
        while self.fault is None and time.monotonic() < deadline:
            if is_so():
                return
            await asyncio.sleep(0.01)
        raise RuntimeError(self.fault or "It takes too long.")

    def begin(self) -> None:
        """Begins to note what arrives."""
        self.arrivals, self.is_measuring = [], True

    def end(self) -> list[tuple[float, int]]:
        """What has arrived since the beginning: when, and the id of its entry. Reading it takes longer than noting."""
        self.is_measuring = False
        arrivals, self.arrivals = self.arrivals, []
        return [(at, _entry_id(payload)) for at, payload in arrivals]

    def close(self) -> None:
        """Hangs up."""
        for one in self.subscribers:
            one.transport.abort()
        self.subscribers.clear()


class Subscriber(asyncio.Protocol):
    """One socket that follows the capital of one organization."""

    def __init__(self, audience: Audience, token: str) -> None:
        self.audience = audience
        self.token = token
        self.buffer = b""
        self.is_open = self.is_subscribed = False
        self.count = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asks for a WebSocket."""
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(
            b"GET /graphql HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n"
        )

    def data_received(self, data: bytes) -> None:
        """Takes all frames that are complete."""
        now = time.time()
        buffer = self.buffer + data if self.buffer else data
        if not self.is_open:
            head, separator, buffer = buffer.partition(b"\r\n\r\n")
            if not separator:
                self.buffer = head
                return
            if not head.startswith(b"HTTP/1.1 101"):
                self.audience.fault = head.decode(errors="replace")
            self.is_open = True
            self.transport.write(message(type="connection_init", payload={"authorization": f"Bearer {self.token}"}))
        at = 0
        while len(buffer) >= at + 2:
            length, start = buffer[at + 1], at + 2
            if length == 126:
                length, start = int.from_bytes(buffer[at + 2 : at + 4], "big"), at + 4
            if len(buffer) < start + length:
                break
            self.take(buffer[at] & 0xF, buffer[start : start + length], now)
            at = start + length
        self.buffer = buffer[at:]

    def take(self, opcode: int, payload: bytes, now: float) -> None:
        """Answers one frame, or notes when its event came."""
        if opcode == PING:
            self.transport.write(frame(payload, PONG))
        elif opcode == TEXT and not self.is_subscribed and payload == b'{"type":"connection_ack"}':
            self.transport.write(message(type="subscribe", id="1", payload={"query": SUBSCRIPTION}))
            self.is_subscribed = True
        elif opcode == TEXT and payload.startswith(NEXT):
            self.count += 1
            if self.audience.is_measuring:
                self.audience.arrivals.append((now, payload))
        else:
            self.audience.fault = payload.decode(errors="replace")

    def connection_lost(self, exc: Exception | None) -> None:
        """A server must not hang up."""
        if self in self.audience.subscribers:
            self.audience.fault = f"The server has closed a socket: {exc}"


def _entry_id(payload: bytes) -> int:
    found = ENTRY_ID.search(payload)
    if found is None:
        raise RuntimeError(payload.decode(errors="replace"))
    return int(base64.b64decode(found[1]).decode().partition(":")[2])


class Writing:
    """What writers write: one change of an organization's only source after the other, by turns."""

    def __init__(self, port: int, organizations: Sequence[tuple[str, str]]) -> None:
        self.port = port
        self.organizations = organizations
        self.number = time.time_ns()
        self.answered = 0

    def request(self) -> bytes:
        """The next write."""
        self.number += 1
        token, source_id = self.organizations[self.number % len(self.organizations)]
        values = {
            "sourceId": source_id,
            "availableCents": str(self.number % 10**9 + 1),
            "effectiveOn": "2025-01-01",
            "idempotencyKey": str(self.number),
        }
        body = orjson.dumps({"query": WRITE, "variables": {"input": values}})
        head = (
            "POST /graphql HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer {token}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body

    async def write(self, connections: int, seconds: float, per_second: float | None = None) -> float:
        """Writes for so long; returns how many writes per second were answered.

        Without a rate each connection has one request in flight at any time; with one, requests are sent when they
        are due, as soon as a connection is free.
        """
        started, before = time.perf_counter(), self.answered
        due = started
        places = asyncio.Semaphore(connections)
        idle = [await asyncio.open_connection("127.0.0.1", self.port) for _ in range(connections)]
        async with asyncio.TaskGroup() as tasks:
            while time.perf_counter() < started + seconds:
                if per_second is not None:
                    due += 1 / per_second
                    await asyncio.sleep(max(0.0, due - time.perf_counter()))
                await places.acquire()
                tasks.create_task(self._one(idle, places))
        count, spent = self.answered - before, time.perf_counter() - started
        for _, writer in idle:
            writer.close()
        return count / spent

    async def _one(
        self, idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]], places: asyncio.Semaphore
    ) -> None:
        reader, writer = idle.pop()
        writer.write(self.request())
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
        body = await reader.readexactly(length)
        if b'"userErrors":[]' not in body:
            raise RuntimeError(body.decode())
        self.answered += 1
        idle.append((reader, writer))
        places.release()
