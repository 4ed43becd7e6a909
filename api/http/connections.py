"""HTTP as uvicorn speaks it, with bounds on what it waits for, JSON for what is no HTTP, and answers in one piece.

uvicorn waits for ever for the rest of a request, and takes any number of headers. Both are looked at here at next to no
cost for requests that come whole: by a timer for each connection, and only where data ends in the middle of headers.

It also writes an answer's head and body apart, each a call of the system, and searches every header for line breaks. An
extension of ASGI, offered in the scope, takes a whole answer and writes it at once.
"""

import asyncio
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import orjson
from starlette.types import Scope, Send
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from api.http.security_headers import ALWAYS

REQUEST_SECONDS_MAX = 30
"""How long a request may take to come, headers and body."""
LOOK_SECONDS = 5
"""How often it is looked: so much longer than it should may a connection last."""
HEAD_BYTES_MAX = 65_536
"""The longest headers that are waited for, to the length of what the network brings at once."""


WHOLE_ANSWERS = "tranche.whole_answers"
"""The extension of ASGI: an awaitable function of the scope, the status, the headers and the body.

False where the answer must go the usual way.
"""


async def send_whole(
    scope: Scope, send: Send, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes
) -> None:
    """Sends a whole answer, at once where the server can. ``headers`` hold its length, and no line breaks."""
    extensions = scope.get("extensions")
    if extensions and WHOLE_ANSWERS in extensions and await extensions[WHOLE_ANSWERS](scope, status, headers, body):
        return
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})
    await send({"type": "http.response.body", "body": body})


class BoundedHttp(HttpToolsProtocol):
    """One connection."""

    _extensions: dict[str, Any]
    _timer: asyncio.TimerHandle | None = None
    _looks = 0
    _looked_at: object = None
    _head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Starts looking at the connection."""
        super().connection_made(transport)
        self._extensions = {WHOLE_ANSWERS: self._write_whole}
        self._timer = self.loop.call_later(LOOK_SECONDS, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends looking at it."""
        self._stop_looking()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self) -> None:
        """Leaves the connection to the WebSocket's protocol."""
        self._stop_looking()
        super().handle_websocket_upgrade()

    def data_received(self, data: bytes) -> None:
        """Takes what came, and refuses headers without an end."""
        super().data_received(data)
        cycle = self.cycle
        if cycle is None or cycle.scope is not self.scope:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES_MAX and not self.transport.is_closing():
                self._refuse(431, f"The headers are too long; at most {HEAD_BYTES_MAX} bytes are read.")
        else:
            self._head_bytes = 0

    def on_message_begin(self) -> None:
        """Offers to write the answer whole."""
        super().on_message_begin()
        self.scope["extensions"] = self._extensions

    async def _write_whole(
        self, scope: Scope, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes
    ) -> bool:
        """Does what ``send`` of the request's cycle does with the two messages of a whole answer."""
        cycle = self.cycle
        if cycle.scope is not scope:
            # The client has sent its next request already.
            return False
        if self.flow.write_paused and not cycle.disconnected:
            await self.flow.drain()
        if cycle.disconnected:
            return True
        lines = b"".join([b"%s: %s\r\n" % header for header in headers])
        end = b"\r\n" if cycle.keep_alive else b"connection: close\r\n\r\n"
        self.transport.write(b"%s%s%s%s" % (STATUS_LINE[status], lines, end, body))
        cycle.waiting_for_100_continue = False
        cycle.response_started = cycle.response_complete = True
        cycle.message_event.set()
        if not cycle.keep_alive:
            self.transport.close()
        cycle.on_response()
        return True

    def on_response_complete(self) -> None:
        """Goes on to the next request. Idle connections are ended by the look, not by a timer for each answer."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())

    def send_400_response(self, msg: str) -> None:
        """Refuses what is no HTTP."""
        self._refuse(400, msg)

    def _is_in_head(self) -> bool:
        """Whether no request has come yet, or the headers of the last one have not come to their end."""
        cycle = self.cycle
        return cycle is None or cycle.scope is not self.scope

    def _look(self) -> None:
        """Ends the connection whose request has been coming for too long, or which has been idle for too long."""
        if self.transport.is_closing():
            return
        is_coming = self._is_in_head() or self.cycle.more_body
        is_idle = not is_coming and self.cycle.response_complete
        self._looks = self._looks + 1 if (is_coming or is_idle) and self._looked_at is self.scope else 0
        self._looked_at = self.scope
        if self._looks * LOOK_SECONDS < (self.timeout_keep_alive if is_idle else REQUEST_SECONDS_MAX):
            self._timer = self.loop.call_later(LOOK_SECONDS, self._look)
        elif is_coming and self._may_answer():
            self._refuse(408, f"The request took longer than {REQUEST_SECONDS_MAX} seconds to come.")
        else:
            self.transport.close()

    def _may_answer(self) -> bool:
        """Whether an answer written now would be to the request that does not come, and not in or after another."""
        cycle = self.cycle
        if cycle is None:
            return True
        return cycle.response_complete if self._is_in_head() else not cycle.response_started

    def _stop_looking(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _refuse(self, status: int, message: str) -> None:
        body = orjson.dumps({"errors": [{"message": message, "extensions": {"code": "BAD_USER_INPUT"}}]})
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            (b"connection", b"close"),
            *ALWAYS,
        ]
        lines = b"".join(b"%s: %s\r\n" % header for header in headers)
        phrase = HTTPStatus(status).phrase.encode()
        self.transport.write(b"HTTP/1.1 %d %s\r\n%s\r\n%s" % (status, phrase, lines, body))
        self.transport.close()
