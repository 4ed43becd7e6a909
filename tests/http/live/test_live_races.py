"""Two server processes, several writers, and subscribers that drop and come back: each hears all, once, in order."""

import asyncio
import json
import random
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import asyncpg
import httpx
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from api.config import Settings
from api.domain.access import Role
from api.http.tokens import Tokens
from api.services.organizations import Member, create_organization
from tests.http.live.clients import CREATE_FUND, EVENTS, SUBPROTOCOL
from tests.processes import free_port, serving

WRITERS = 4
WRITES = 30
SUBSCRIBERS = 6
SECONDS_MAX = 120
CUT = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE application_name = 'tranche events' AND datname = current_database()"
)


class Subscriber:
    """Follows the log from a cursor on, over one process or the other, and stays nowhere for long."""

    def __init__(self, ports: list[int], token: str, cursor: str, seed: int) -> None:
        self.ports, self.token, self.cursor = ports, token, cursor
        self.random = random.Random(seed)
        self.sequences: list[int] = []

    async def follow_until(self, last: "asyncio.Future[int]") -> list[int]:
        """All that it hears until this sequence."""
        while not (last.done() and self.sequences and self.sequences[-1] >= last.result()):
            # Some leave when they have heard so much, wherever they are then; some stay.
            await self._visit(self.random.choice(self.ports), self.random.choice([1, 5, 20, 100_000]), last)
        return self.sequences

    async def _visit(self, port: int, number: int, last: "asyncio.Future[int]") -> None:
        options: dict[str, Any] = {"subprotocols": [SUBPROTOCOL], "compression": None}
        async with connect(f"ws://127.0.0.1:{port}/graphql", **options) as socket:
            await socket.send(json.dumps({"type": "connection_init", "payload": {"authorization": self.token}}))
            assert json.loads(await socket.recv()) == {"type": "connection_ack"}
            payload = {"query": EVENTS, "variables": {"after": self.cursor}}
            await socket.send(json.dumps({"type": "subscribe", "id": "1", "payload": payload}))
            for _ in range(number):
                if last.done() and self.sequences and self.sequences[-1] >= last.result():
                    return
                message = json.loads(await socket.recv())
                assert message["type"] == "next", message
                recorded = message["payload"]["data"]["eventRecorded"]
                self.sequences.append(int(recorded["event"]["sequence"]))
                self.cursor = recorded["cursor"]
                if self.random.random() < 0.02:
                    socket.transport.abort()
                    return


async def write(client: httpx.AsyncClient, port: int, name: str) -> None:
    body = {"query": CREATE_FUND, "variables": {"input": {"name": name}}}
    answer = (await client.post(f"http://127.0.0.1:{port}/graphql", json=body)).json()
    assert answer["data"]["createFund"]["userErrors"] == []


async def first_cursor(port: int, token: str, client: httpx.AsyncClient) -> str:
    """The cursor of an event that is written for it."""
    options: dict[str, Any] = {"subprotocols": [SUBPROTOCOL], "compression": None}
    async with connect(f"ws://127.0.0.1:{port}/graphql", **options) as socket:
        await socket.send(json.dumps({"type": "connection_init", "payload": {"authorization": token}}))
        await socket.send(json.dumps({"type": "subscribe", "id": "1", "payload": {"query": EVENTS}}))
        await socket.recv()
        for number in range(100):
            await write(client, port, f"First {number}")
            try:
                async with asyncio.timeout(0.5):
                    message = json.loads(await socket.recv())
            except TimeoutError:
                continue
            cursor: str = message["payload"]["data"]["eventRecorded"]["cursor"]
            sequence = int(message["payload"]["data"]["eventRecorded"]["event"]["sequence"])
            assert sequence > 0
            return cursor
    raise AssertionError("nothing was heard")


async def test_each_subscriber_hears_all_once_in_order(database_url: str, state_directory: Path) -> None:
    owner = await asyncpg.connect(database_url)
    await create_organization(owner, name="A", slug="a", currency="USD", members=[Member("a@a.example", Role.ADMIN)])
    user_id = await owner.fetchval("SELECT id FROM users")
    tokens = Tokens(Settings(state_dir=state_directory))
    token = "Bearer " + tokens.issue(user_id=user_id, email="a@a.example", organization_slug="a")
    ports = [free_port(), free_port()]
    async with AsyncExitStack() as stack, asyncio.timeout(SECONDS_MAX):
        client = await stack.enter_async_context(httpx.AsyncClient(headers={"authorization": token}, timeout=60))
        for port in ports:
            await stack.enter_async_context(serving(database_url, state_directory, port))
        cursor = await first_cursor(ports[0], token, client)
        last: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        subscribers = [Subscriber(ports, token, cursor, seed) for seed in range(SUBSCRIBERS)]
        following = [asyncio.create_task(subscriber.follow_until(last)) for subscriber in subscribers]

        async def writing(writer: int) -> None:
            for number in range(WRITES):
                await write(client, random.choice(ports), f"Fund {writer} {number}")
                if writer == 0 and number % 10 == 5:
                    await owner.execute(CUT)

        await asyncio.gather(*(writing(writer) for writer in range(WRITERS)))
        last.set_result(await owner.fetchval("SELECT sequence FROM audit_heads"))
        # One more, so that nobody waits for what does not come.
        await write(client, ports[1], "Last")
        heard = await asyncio.gather(*following, return_exceptions=True)
        for sequences in heard:
            assert not isinstance(sequences, BaseException), sequences
            assert len(sequences) >= WRITERS * WRITES
            assert sequences == list(range(sequences[0], sequences[0] + len(sequences)))
            assert sequences[0] == min(one[0] for one in heard if isinstance(one, list))
    await owner.close()


async def test_server_that_ends_ends_its_streams(database_url: str, state_directory: Path) -> None:
    """Without their endings, so that clients come back; and at once, where the server would wait ten seconds."""
    owner = await asyncpg.connect(database_url)
    await create_organization(owner, name="A", slug="a", currency="USD", members=[Member("a@a.example", Role.ADMIN)])
    user_id = await owner.fetchval("SELECT id FROM users")
    await owner.close()
    token = Tokens(Settings(state_dir=state_directory)).issue(
        user_id=user_id, email="a@a.example", organization_slug="a"
    )
    headers = {"authorization": f"Bearer {token}", "accept": "text/event-stream"}
    port = free_port()
    async with (
        serving(database_url, state_directory, port) as process,
        httpx.AsyncClient(headers=headers, timeout=60) as client,
        client.stream("POST", f"http://127.0.0.1:{port}/graphql", json={"query": EVENTS}) as response,
    ):
        chunks = response.aiter_raw()
        assert await anext(chunks) == b":\n\n"
        process.terminate()
        rest = [chunk async for chunk in chunks]
        # No heartbeat: those come every ten seconds.
        assert b"".join(rest) == b""
        await process.wait()


async def test_server_that_ends_tells_its_sockets(database_url: str, state_directory: Path) -> None:
    port = free_port()
    options: dict[str, Any] = {"subprotocols": [SUBPROTOCOL], "compression": None}
    async with serving(database_url, state_directory, port) as process:
        async with connect(f"ws://127.0.0.1:{port}/graphql", **options) as socket:
            await socket.send(json.dumps({"type": "ping"}))
            assert json.loads(await socket.recv()) == {"type": "pong"}
            process.terminate()
            code = 0
            try:
                await socket.recv()
            except ConnectionClosed as closed:
                code = closed.rcvd.code if closed.rcvd else 0
        assert code == 1012
        async with asyncio.timeout(20):
            await process.wait()
