"""Operations as streams of HTTP: server-sent events, or multipart, whichever the client asked for."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Protocol

from starlette.types import Receive, Send

from api.http.authentication import Authenticator
from api.http.live.answers import Response
from api.http.live.event_stream import EventStream
from api.http.live.guard import Caller, until_ended
from api.http.live.multipart import Multipart
from api.http.requests import KNOWN_HEADERS_MAX, BadRequest, media_ranges, negotiate

HEARTBEAT_SECONDS = 10.0
"""After how long of silence the stream says that it is still there, for what lies between."""
LAST_WORD_SECONDS_MAX = 5.0
"""How long a client that reads nothing is waited for when its stream is ended."""

RawHeaders = list[tuple[bytes, bytes]]


class Format(Protocol):
    """How responses are written to a stream."""

    content_type: bytes
    opening: bytes
    heartbeat: bytes
    ending: bytes

    def part(self, response: Response) -> bytes:
        """One response."""

    def failure(self, response: Response) -> bytes:
        """A response after which, for no fault of the operation, nothing more comes."""


EVENT_STREAM: Format = EventStream()
MULTIPART: Format = Multipart()


@dataclass(frozen=True, slots=True)
class Wanted:
    """The formats that a client takes: for a subscription, and for a single response; None: no stream."""

    subscription: Format | None
    single: Format | None


NO_STREAM = Wanted(None, None)


@lru_cache(maxsize=KNOWN_HEADERS_MAX)
def wanted(accept: str | None) -> Wanted:
    """The streams that an Accept header asks for by name.

    A single response comes as events only where nothing else is taken: many clients list all that they know with
    every request.
    """
    if accept is None:
        return NO_STREAM
    ranges = media_ranges(accept)
    takes_events = ranges.get("text/event-stream", 0.0) > 0
    specifications = "".join(accept.split()).lower().replace('"', "")
    takes_parts = ranges.get("multipart/mixed", 0.0) > 0 and "subscriptionspec=1.0" in specifications
    subscription = EVENT_STREAM if takes_events else MULTIPART if takes_parts else None
    try:
        negotiate(accept)
    except BadRequest:
        return Wanted(subscription, subscription)
    return Wanted(subscription, None)


@dataclass(slots=True)
class Streams:
    """Sends streams, and ends them with their credentials."""

    authenticator: Authenticator
    heartbeat_seconds: float = HEARTBEAT_SECONDS
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)

    def stop(self) -> None:
        """Ends all streams, because the server does: it would wait for them."""
        self._stopping.set()

    async def send(
        self,
        format: Format,
        responses: AsyncGenerator[Response, None],
        headers: RawHeaders,
        caller: Caller,
        receive: Receive,
        send: Send,
    ) -> None:
        """Sends the responses until they end, the client goes, or its credentials hold no longer."""
        head = [
            (b"content-type", format.content_type),
            # Proxies that buffer would keep events back.
            (b"x-accel-buffering", b"no"),
            *((name, value) for name, value in headers if name not in (b"content-type", b"content-length")),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        sending = asyncio.create_task(self._pass_on(format, responses, send))
        leaving = asyncio.create_task(_until_disconnected(receive))
        ending = asyncio.create_task(until_ended(self.authenticator, caller))
        stopping = asyncio.create_task(self._stopping.wait())
        tasks: list[asyncio.Task[object]] = [sending, leaving, ending, stopping]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if leaving in done:
            return
        # A stream that ends without its ending is one that clients open again.
        last = b""
        if sending in done:
            sending.result()
            last = format.ending
        elif ending in done:
            error = {"message": ending.result(), "extensions": {"code": "UNAUTHENTICATED"}}
            last = format.failure(Response({"errors": [error]})) + format.ending
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(LAST_WORD_SECONDS_MAX):
                await send({"type": "http.response.body", "body": last, "more_body": False})

    async def _pass_on(self, format: Format, responses: AsyncGenerator[Response, None], send: Send) -> None:
        """Sends every response as it comes, and a heartbeat when none does."""
        await send({"type": "http.response.body", "body": format.opening, "more_body": True})
        coming: asyncio.Task[Response] | None = None
        async with aclosing(responses):
            try:
                while True:
                    if coming is None:
                        coming = asyncio.ensure_future(anext(responses))
                    await asyncio.wait([coming], timeout=self.heartbeat_seconds)
                    if not coming.done():
                        await send({"type": "http.response.body", "body": format.heartbeat, "more_body": True})
                        continue
                    done, coming = coming, None
                    try:
                        response = done.result()
                    except StopAsyncIteration:
                        return
                    await send({"type": "http.response.body", "body": format.part(response), "more_body": True})
            finally:
                if coming is not None:
                    coming.cancel()
                    await asyncio.gather(coming, return_exceptions=True)


async def _until_disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
