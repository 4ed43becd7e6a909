"""Subscribers of capital changes that drop at random and go on from their last cursor, over WebSockets and streams."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from random import Random
from typing import Any

import httpx
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidMessage

from tests.chaos.place import Place

CHANGES = (
    "subscription ($after: String) { capitalChanged(after: $after) { cursor entry { id sequence } source { id } } }"
)
SUBPROTOCOL = "graphql-transport-ws"
STAY_SECONDS = (0.1, 0.5, 2.0, 600.0)
"""How long a subscriber stays with a server before it drops, unless the server is gone earlier."""
GONE = (ConnectionClosed, InvalidMessage, httpx.TransportError, OSError, EOFError)


class Subscriber:
    """What one subscriber has heard: the sequences and ids of entries as they came."""

    def __init__(self, place: Place, number: int, after: str | None, client: httpx.AsyncClient) -> None:
        self.place = place
        self._client = client
        self.after = after
        self.heard: list[tuple[int, str]] = []
        self.drops = 0
        self._grown = asyncio.Event()
        self._random = Random(number)
        self._transports = (self._socket, self._stream)

    async def run(self) -> None:
        """Follows for ever: from where it was, with either server, by either transport."""
        while True:
            stay = self._random.choice(STAY_SECONDS)
            try:
                async with asyncio.timeout(stay), self._random.choice(self._transports)() as responses:
                    await self._listen(responses)
            except (TimeoutError, *GONE):
                self.drops += 1
            await asyncio.sleep(0.02)

    async def has_heard(self, sequence: int) -> None:
        """Returns once it has heard of an entry of this sequence or a later one."""
        while not self.heard or self.heard[-1][0] < sequence:
            self._grown.clear()
            await self._grown.wait()

    async def _listen(self, responses: AsyncGenerator[Any, None]) -> None:
        async with aclosing(responses):
            async for response in responses:
                assert "errors" not in response, response
                change = response["data"]["capitalChanged"]
                self.heard.append((int(change["entry"]["sequence"]), change["entry"]["id"]))
                self.after = change["cursor"]
                self._grown.set()

    @property
    def _operation(self) -> dict[str, Any]:
        return {"query": CHANGES, "variables": {"after": self.after}}

    @asynccontextmanager
    async def _socket(self) -> AsyncIterator[AsyncGenerator[Any, None]]:
        async with connect(self.place.url("ws"), subprotocols=[SUBPROTOCOL], compression=None) as socket:  # type: ignore[list-item]
            await socket.send(json.dumps({"type": "connection_init", "payload": self.place.headers}))
            assert json.loads(await socket.recv()) == {"type": "connection_ack"}
            await socket.send(json.dumps({"type": "subscribe", "id": "1", "payload": self._operation}))
            try:
                yield _next_messages(socket)
            finally:
                if self._random.random() < 0.5:
                    # Without a word, as when a network goes away.
                    socket.transport.abort()

    @asynccontextmanager
    async def _stream(self) -> AsyncIterator[AsyncGenerator[Any, None]]:
        headers = self.place.headers | {"accept": "text/event-stream"}
        async with self._client.stream("POST", self.place.url(), json=self._operation, headers=headers) as response:
            assert response.status_code == httpx.codes.OK, response.status_code
            yield _next_events(response)


async def _next_messages(socket: Any) -> AsyncGenerator[Any, None]:
    async for text in socket:
        message = json.loads(text)
        assert message["type"] == "next", message
        yield message["payload"]


async def _next_events(response: httpx.Response) -> AsyncGenerator[Any, None]:
    async for line in response.aiter_lines():
        if line.startswith("data: "):
            yield json.loads(line.removeprefix("data: "))
