"""Clients of the live transports, as thin as they can be: what tests see is what came over the wire."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import httpx
import pytest
import uvicorn
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from api.domain.access import Role
from api.http.live.frames import BoundedSocket
from tests.server import RunningServer

SECONDS_MAX = 20
SUBPROTOCOL = "graphql-transport-ws"
_NUMBERS = count(1)

EVENTS = "subscription ($after: String) { eventRecorded(after: $after) { cursor event { sequence action kind } } }"
PARTS = 'multipart/mixed;boundary="graphql";subscriptionSpec="1.0",application/json'
URQL = (
    "application/graphql-response+json, application/graphql+json, application/json, text/event-stream, multipart/mixed"
)
CREATE_FUND = "mutation ($input: CreateFundInput!) { createFund(input: $input) { fund { id } userErrors { code } } }"


@dataclass
class LiveServer:
    """A running server, its port, and the application behind it."""

    server: RunningServer
    port: int
    app: Any
    fund_ids: dict[str, str] = field(default_factory=dict)
    """A fund of each organization, where somebody has put one there."""

    def token(self, role: Role = Role.ADMIN, organization: str = "alpha") -> str:
        return f"Bearer {self.server.tokens[organization, role]}"

    async def create_fund(self, organization: str = "alpha") -> str:
        """Writes one event to the organization's log; returns the id of the fund."""
        name = f"Fund {next(_NUMBERS)}"
        answer = await self.server.execute(CREATE_FUND, {"input": {"name": name}}, organization=organization)
        fund_id: str = answer.data["createFund"]["fund"]["id"]
        return fund_id

    async def followers(self, number: int) -> None:
        """Returns once so many follow a log: what is written from now on is live to them."""
        answers = self.app.endpoint.answers
        await until(lambda: answers.following == number)

    @asynccontextmanager
    async def socket(self, **options: Any) -> AsyncIterator["Socket"]:
        """An open socket that has said nothing yet."""
        options = {"subprotocols": [SUBPROTOCOL], "compression": None, **options}
        async with connect(f"ws://127.0.0.1:{self.port}/graphql", **options) as connection:
            yield Socket(connection)

    @asynccontextmanager
    async def session(self, role: Role = Role.ADMIN, organization: str = "alpha") -> AsyncIterator["Socket"]:
        """A socket whose connection_init has been acknowledged."""
        async with self.socket() as opened:
            await opened.send(type="connection_init", payload={"authorization": self.token(role, organization)})
            assert await opened.receive() == {"type": "connection_ack"}
            yield opened

    @asynccontextmanager
    async def stream(
        self,
        query: str,
        variables: dict[str, Any] | None = None,
        *,
        accept: str = "text/event-stream",
        authorization: str | None = None,
    ) -> AsyncIterator[httpx.Response]:
        """The open response to one request."""
        headers = {"accept": accept, "authorization": authorization or self.token()}
        async with (
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}", timeout=SECONDS_MAX) as client,
            client.stream(
                "POST", "/graphql", json={"query": query, "variables": variables or {}}, headers=headers
            ) as response,
        ):
            yield response


@dataclass
class Socket:
    """A WebSocket that speaks JSON."""

    connection: ClientConnection

    async def send(self, **message: Any) -> None:
        await self.connection.send(json.dumps(message))

    async def subscribe(self, query: str, variables: dict[str, Any] | None = None, *, id: str = "1") -> None:
        await self.send(type="subscribe", id=id, payload={"query": query, "variables": variables})

    async def receive(self) -> Any:
        async with asyncio.timeout(SECONDS_MAX):
            return json.loads(await self.connection.recv())

    async def next(self, id: str = "1") -> Any:
        """The data of the next response to an operation."""
        message = await self.receive()
        assert (message["type"], message["id"]) == ("next", id), message
        assert "errors" not in message["payload"], message
        return message["payload"]["data"]

    async def closed(self) -> tuple[int, str]:
        """Code and reason with which the server closes; fails on any message before."""
        with pytest.raises(ConnectionClosed) as closed:
            await self.receive()
        frame = closed.value.rcvd
        assert frame is not None
        return frame.code, frame.reason


class Bytes:
    """What has come of a body so far."""

    def __init__(self, response: httpx.Response) -> None:
        self._chunks = response.aiter_raw()
        self.buffer = b""

    async def take(self, expected: bytes) -> None:
        """The body goes on with exactly this."""
        while len(self.buffer) < len(expected):
            self.buffer += await anext(self._chunks)
        assert self.buffer[: len(expected)] == expected
        self.buffer = self.buffer[len(expected) :]

    async def until(self, delimiter: bytes) -> bytes:
        """What the body holds before the delimiter."""
        while delimiter not in self.buffer:
            self.buffer += await anext(self._chunks)
        part, _, self.buffer = self.buffer.partition(delimiter)
        return part

    async def rest(self) -> bytes:
        """All that is left of it."""
        async for chunk in self._chunks:
            self.buffer += chunk
        return self.buffer


async def until(is_so: Callable[[], bool]) -> None:
    """Returns once this is so; fails where it does not come to be."""
    for _ in range(SECONDS_MAX * 100):
        if is_so():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come to be")


@asynccontextmanager
async def listening(server: RunningServer) -> AsyncIterator[LiveServer]:
    """The application of a running server under uvicorn."""
    app = server.client._transport.app  # type: ignore[attr-defined]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(
            app,
            lifespan="off",
            http="httptools",
            ws=BoundedSocket,
            ws_max_size=server.settings.body_bytes_max,
            log_config=None,
            timeout_graceful_shutdown=1,
        )
        running = uvicorn.Server(config)
        task = asyncio.create_task(running.serve(sockets=[listener]))
        await until(lambda: running.started)
        try:
            yield LiveServer(server, listener.getsockname()[1], app)
        finally:
            running.should_exit = True
            await task
