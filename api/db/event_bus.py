"""The event bus: tells every process that the log of an organization has grown.

Its messages carry no events, only how far a log has come: the log itself is the truth, and whoever misses one finds out
by looking. A writer's own process is told directly, of the event itself; the others by NOTIFY on a connection of its
own, never within a writing transaction: there it would queue the commits of the whole cluster.
"""

import asyncio
import random
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import asyncpg
import structlog

from api.db.connections import LOST_CONNECTION

CHANNEL = "tranche_log"
PAYLOAD_BYTES_MAX = 7_900
"""PostgreSQL takes payloads below 8,000 bytes."""
CONNECT_SECONDS_MAX = 10
RECONNECT_SECONDS = 0.5
HEARTBEAT_SECONDS = 10.0
"""How often a quiet connection is asked whether it is still there: one that was cut off in silence hears nothing."""
ANSWER_SECONDS_MAX = 5

Rows = Mapping[tuple[str, Any], Mapping[str, Any]]
"""Rows by the name of their entity and by id."""


@dataclass(frozen=True, slots=True)
class Committed:
    """An event that this process has just committed, with the rows that it is about."""

    sequence: int
    id: int
    kind: str
    action: str
    subject_id: str | None
    rows: Rows


Heard = Callable[[int | None, Committed | None], None]
"""Told the last sequence of a log, None where it may have grown unheard; and what it ends with, where that is known."""

logger = structlog.get_logger(__name__)


class EventBus:
    """One process's part of the bus: one connection, however many watch."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._watchers: dict[int, set[Heard]] = {}
        self._watchers_of_all: set[Callable[[], None]] = set()
        self._unsent: dict[int, int] = {}
        self._attention = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.is_listening = False

    def start(self) -> None:
        """Connects in the background, and again whenever the connection is lost."""
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Ends the connection; what was not sent is found by looking."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    def watch(self, organization_id: int, heard: Heard) -> Callable[[], None]:
        """Has ``heard`` called whenever this log may have grown; returns what ends that."""
        watchers = self._watchers.setdefault(organization_id, set())
        watchers.add(heard)

        def end() -> None:
            watchers.discard(heard)
            if not watchers and self._watchers.get(organization_id) is watchers:
                del self._watchers[organization_id]

        return end

    def watch_all(self, heard: Callable[[], None]) -> Callable[[], None]:
        """Has ``heard`` called whenever any organization's log may have grown; returns what ends that."""
        self._watchers_of_all.add(heard)
        return partial(self._watchers_of_all.discard, heard)

    def publish(self, organization_id: int, sequence: int, committed: Committed | None = None) -> None:
        """Says that the log has come to this sequence: here at once, elsewhere with the next message. Never waits."""
        self._tell(organization_id, sequence, committed)
        if sequence > self._unsent.get(organization_id, 0):
            self._unsent[organization_id] = sequence
        self._attention.set()

    def _tell(self, organization_id: int, sequence: int | None, committed: Committed | None = None) -> None:
        for heard in tuple(self._watchers.get(organization_id, ())):
            heard(sequence, committed)
        for heard_of_any in tuple(self._watchers_of_all):
            heard_of_any()

    async def _run(self) -> None:
        while True:
            try:
                connection = await self._connect()
            except (*LOST_CONNECTION, asyncpg.PostgresError, TimeoutError) as error:
                logger.warning("event_bus_unreachable", error=type(error).__name__)
            else:
                try:
                    await self._serve(connection)
                except (*LOST_CONNECTION, asyncpg.PostgresError, TimeoutError) as error:
                    logger.warning("event_bus_lost", error=type(error).__name__)
                finally:
                    self.is_listening = False
                    connection.terminate()
            # Spread out, so that a server that comes back is not met by all processes at once.
            await asyncio.sleep(RECONNECT_SECONDS * random.uniform(0.5, 1.5))  # noqa: S311

    async def _connect(self) -> asyncpg.Connection:
        return await asyncpg.connect(
            self._url,
            timeout=CONNECT_SECONDS_MAX,
            command_timeout=ANSWER_SECONDS_MAX,
            server_settings={"application_name": "tranche events", "role": "tranche_app"},
        )

    async def _serve(self, connection: asyncpg.Connection) -> None:
        """Listens and sends until the connection is lost."""
        connection.add_termination_listener(lambda _connection: self._attention.set())
        await connection.add_listener(CHANNEL, self._receive)
        self.is_listening = True
        for organization_id in tuple(self._watchers):
            self._tell(organization_id, None)
        # The connection of before may have been woken for what it could not send.
        self._attention.set()
        while not connection.is_closed():
            try:
                async with asyncio.timeout(HEARTBEAT_SECONDS):
                    await self._attention.wait()
            except TimeoutError:
                await connection.fetchval("SELECT 1")
                continue
            self._attention.clear()
            while self._unsent and not connection.is_closed():
                await self._send(connection)

    async def _send(self, connection: asyncpg.Connection) -> None:
        """Sends one message; what is published meanwhile goes into the next."""
        payload, sent = encode(self._unsent)
        for organization_id in sent:
            del self._unsent[organization_id]
        try:
            await connection.execute("SELECT pg_notify($1, $2)", CHANNEL, payload)
        except BaseException:
            for organization_id, sequence in sent.items():
                self._unsent[organization_id] = max(sequence, self._unsent.get(organization_id, 0))
            self._attention.set()
            raise

    def _receive(self, _connection: Any, _process: int, _channel: str, payload: object) -> None:
        for organization_id, sequence in decode(str(payload)).items():
            self._tell(organization_id, sequence)


def encode(sequences: dict[int, int], bytes_max: int = PAYLOAD_BYTES_MAX) -> tuple[str, dict[int, int]]:
    """A payload that holds as many of these sequences by organization as go in, oldest first, and which they are."""
    parts: list[str] = []
    sent: dict[int, int] = {}
    length = 0
    for organization_id, sequence in sequences.items():
        part = f"{organization_id}:{sequence}"
        if length + len(part) + 1 > bytes_max:
            break
        parts.append(part)
        sent[organization_id] = sequence
        length += len(part) + 1
    return " ".join(parts), sent


def decode(payload: str) -> dict[int, int]:
    """The sequences by organization in a payload; what is malformed is passed over: anyone may notify."""
    found: dict[int, int] = {}
    for part in payload.split(" "):
        organization_id, _, sequence = part.partition(":")
        if _is_number(organization_id) and _is_number(sequence):
            found[int(organization_id)] = int(sequence)
    return found


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 20
