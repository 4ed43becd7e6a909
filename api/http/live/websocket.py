"""GraphQL over WebSockets: the protocol graphql-transport-ws, several operations on one socket."""

import asyncio
from collections.abc import AsyncGenerator, Coroutine, MutableMapping
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Any

import structlog
from starlette.types import Receive, Scope, Send

from api.errors import Unauthenticated
from api.graphql.context import CLIENT
from api.http.authentication import Authenticator
from api.http.cross_origin import CrossOrigin
from api.http.live import messages
from api.http.live.answers import Response
from api.http.live.channels import Take
from api.http.live.frames import PUSH, Push
from api.http.live.guard import Caller, until_ended
from api.http.live.messages import NEXT_ENDING, Close, Closing, Message, next_opening, write_message
from api.http.live.perform import Perform
from api.http.requests import Headers, header, headers_of, request_id_of

CLOSE_SECONDS_MAX = 5.0
"""How long a client that reads nothing is waited for when its socket is closed."""

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class SocketLimits:
    """What one socket may hold, and how long it may wait with its connection_init."""

    message_bytes_max: int = 1_000_000
    operations_max: int = 100
    init_seconds_max: float = 3.0


class WebSocketEndpoint:
    """Answers WebSocket connections."""

    def __init__(
        self,
        perform: Perform,
        authenticator: Authenticator,
        *,
        cross_origin: CrossOrigin,
        limits: SocketLimits,
    ) -> None:
        self.perform = perform
        self.authenticator = authenticator
        self.cross_origin = cross_origin
        self.limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one socket until it is closed."""
        with suppress(OSError):
            await self._answer(scope, receive, _as_long_as_open(send))

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        CLIENT.set(scope.get("client"))
        headers = headers_of(scope)
        if not self.cross_origin.takes_page(headers):
            # Before it is accepted, this becomes a 403.
            await send({"type": "websocket.close", "code": messages.FORBIDDEN.code})
            return
        offered: list[str] = scope.get("subprotocols", [])
        if messages.SUBPROTOCOL in offered:
            await send({"type": "websocket.accept", "subprotocol": messages.SUBPROTOCOL})
            push = scope.get("extensions", {}).get(PUSH)
            await _Socket(self, headers, receive, send, push).run()
            return
        # Accepted all the same: only an open socket can be told why it is closed, and clients drop one whose server
        # answers none of the protocols that they offered.
        await send({"type": "websocket.accept", "subprotocol": offered[0] if offered else None})
        close = messages.SUBPROTOCOL_NOT_ACCEPTABLE
        await send({"type": "websocket.close", "code": close.code, "reason": close.reason})


def _as_long_as_open(send: Send) -> Send:
    """Raises ConnectionError where uvicorn has closed the socket: it does so by itself for a frame that is no frame."""

    async def send_if_open(message: MutableMapping[str, Any]) -> None:
        try:
            await send(message)
        except RuntimeError as error:
            raise ConnectionError("the socket is closed") from error

    return send_if_open


class _Socket:
    """One open socket."""

    def __init__(
        self, endpoint: WebSocketEndpoint, headers: Headers, receive: Receive, send: Send, push: Push | None
    ) -> None:
        self.endpoint = endpoint
        self.headers = headers
        self.receive = receive
        self.send = send
        self.push = push
        self.caller = Caller(None, None)
        self.is_initialised = asyncio.Event()
        self.is_acknowledged = asyncio.Event()
        self.operations: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Reads until either side closes."""
        tasks = [asyncio.create_task(self._closed_by(work)) for work in (self._read(), self._watch())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            close = next(task for task in tasks if task in done).result()
        finally:
            # Nothing may be sent after the close.
            await _end(*tasks, *self.operations.values())
        if close is not None:
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(CLOSE_SECONDS_MAX):
                    await self.send({"type": "websocket.close", "code": close.code, "reason": close.short_reason})

    async def _closed_by(self, work: Coroutine[Any, Any, None]) -> Close | None:
        """How the socket must be closed after this work; None where the client has closed it."""
        try:
            await work
        except Closing as closing:
            return closing.close
        except OSError:
            return None
        except Exception as error:
            logger.error("socket_failed", exc_info=error)
            return messages.INTERNAL_ERROR
        return None

    async def _watch(self) -> None:
        """Raises Closing when the client takes too long to begin, or its credentials hold no longer."""
        try:
            async with asyncio.timeout(self.endpoint.limits.init_seconds_max):
                await self.is_initialised.wait()
        except TimeoutError:
            raise Closing(messages.INITIALISATION_TIMEOUT) from None
        await self.is_acknowledged.wait()
        reason = await until_ended(self.endpoint.authenticator, self.caller)
        code = messages.UNAUTHORIZED.code if self.caller.signed_in is None else messages.FORBIDDEN.code
        raise Closing(Close(code, reason))

    async def _read(self) -> None:
        while True:
            event = await self.receive()
            if event["type"] == "websocket.disconnect":
                return
            text = event.get("text")
            if len(text or "") > self.endpoint.limits.message_bytes_max:
                raise Closing(messages.TOO_LONG)
            await self._take(messages.read_message(text))

    async def _take(self, message: Message) -> None:
        match message.type:
            case "connection_init":
                await self._initialise(message)
            case "ping":
                await self._send("pong", payload=message.payload)
            case "subscribe":
                await self._subscribe(message)
            case "complete":
                task = self.operations.pop(message.id, None)
                if task is not None:
                    task.cancel()

    async def _initialise(self, message: Message) -> None:
        if self.is_initialised.is_set():
            raise Closing(messages.TOO_MANY_INITIALISATIONS)
        self.is_initialised.set()
        payload = message.payload or {}
        given = payload.get("authorization", payload.get("Authorization", header(self.headers, b"authorization")))
        if not isinstance(given, str | None):
            raise Closing(messages.FORBIDDEN)
        try:
            self.caller = Caller(given, await self.endpoint.authenticator.sign_in(given))
        except Unauthenticated as error:
            raise Closing(messages.FORBIDDEN) from error
        await self._send("connection_ack")
        self.is_acknowledged.set()

    async def _subscribe(self, message: Message) -> None:
        if not self.is_acknowledged.is_set():
            raise Closing(messages.UNAUTHORIZED)
        if message.id in self.operations:
            raise messages.already_exists(message.id)
        if len(self.operations) >= self.endpoint.limits.operations_max:
            problem = f"At most {self.endpoint.limits.operations_max} operations may run on one connection."
            await self._send("error", message.id, [{"message": problem, "extensions": {"code": "RATE_LIMITED"}}])
            return
        opening = next_opening(message.id)
        responses = self.endpoint.perform.message(
            message.payload, self.caller.signed_in, request_id_of({}), self._taking(opening)
        )
        self.operations[message.id] = asyncio.create_task(self._operate(message.id, opening, responses))

    def _taking(self, opening: bytes) -> Take[Response] | None:
        """What sends the responses of an operation at once, where the server below can."""
        push = self.push
        return push and (lambda responses: push([opening + one.json + NEXT_ENDING for one in responses]))

    async def _operate(self, operation_id: str, opening: bytes, responses: AsyncGenerator[Response, None]) -> None:
        """Sends what an operation answers. Whatever happens to it is told within it."""
        try:
            async with aclosing(responses):
                async for response in responses:
                    if not response.has_data:
                        self._forget(operation_id)
                        await self._send("error", operation_id, response.body["errors"])
                        return
                    text = opening + response.json + NEXT_ENDING
                    await self.send({"type": "websocket.send", "text": text.decode()})
            self._forget(operation_id)
            await self._send("complete", operation_id)
        except OSError:
            pass  # The client has gone, which the reader hears of, too.
        finally:
            self._forget(operation_id)

    def _forget(self, operation_id: str) -> None:
        """Frees the id, unless the client has given it to another operation since."""
        if self.operations.get(operation_id) is asyncio.current_task():
            del self.operations[operation_id]

    async def _send(self, type_: str, operation_id: str = "", payload: object = None) -> None:
        await self.send({"type": "websocket.send", "text": write_message(type_, operation_id, payload)})


async def _end(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
