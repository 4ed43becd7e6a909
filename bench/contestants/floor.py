"""The floor: what a hand-written server costs at least, one SQL statement for each query, which makes the JSON text.

No GraphQL: the operation's name chooses the statement. Tokens are looked up in a dictionary. A connection remembers its
organization and is set to another one only when that changes. Started as `uvicorn bench.contestants.floor:application`.
"""

import os
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import orjson

from bench.contestants.floor_statements import STATEMENTS

Send = Callable[[dict[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[dict[str, Any]]]

ORGANIZATIONS = {
    f"Bearer {token}".encode(): int(organization_id)
    for token, organization_id in orjson.loads(os.environ["BENCH_TOKENS"]).items()
}


class Connection(asyncpg.Connection):  # type: ignore[misc]
    """A connection that is not reset on release and knows its organization."""

    organization_id: int | None = None

    def get_reset_query(self) -> str:
        """No statement."""
        return ""

    async def answer(self, organization_id: int, statement: str, arguments: list[int]) -> str:
        """The text that a statement makes for an organization."""
        if self.organization_id != organization_id:
            self.organization_id = None
            await self.execute(f"SET app.organization_id = '{organization_id:d}'")
            self.organization_id = organization_id
        text: str = await self.fetchval(statement, organization_id, *arguments)
        return text


class Floor:
    """The ASGI application."""

    def __init__(self) -> None:
        self.pool: asyncpg.Pool | None = None

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Answers the lifespan's messages and POSTs to any path."""
        if scope["type"] == "lifespan":
            await self.live(receive, send)
            return
        organization_id = None
        for name, value in scope["headers"]:
            if name == b"authorization":
                organization_id = ORGANIZATIONS.get(value)
        message = await receive()
        body = message["body"]
        while message.get("more_body"):
            message = await receive()
            body += message["body"]
        status, answer = (401, b"{}") if organization_id is None else (200, await self.answer(body, organization_id))
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answer))]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    async def answer(self, body: bytes, organization_id: int) -> bytes:
        """The response to one request of an organization."""
        assert self.pool is not None  # noqa: S101 - the lifespan has opened it
        request = orjson.loads(body)
        arguments = [int(value) for value in (request.get("variables") or {}).values()]
        async with self.pool.acquire() as connection:
            text: str = await connection.answer(organization_id, STATEMENTS[request["operationName"]], arguments)
        return b'{"data":' + text.encode() + b"}"

    async def live(self, receive: Receive, send: Send) -> None:
        """Opens the pool at the start and closes it in the end."""
        await receive()
        size = int(os.environ["BENCH_POOL"])
        self.pool = await asyncpg.create_pool(
            os.environ["BENCH_DATABASE_URL"],
            min_size=size,
            max_size=size,
            connection_class=Connection,
            server_settings={"role": "tranche_app", "timezone": "UTC", "jit": "off"},
        )
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self.pool.terminate()
        await send({"type": "lifespan.shutdown.complete"})


application = Floor()
