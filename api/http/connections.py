"""HTTP as uvicorn speaks it, with bounds on what it waits for, JSON for what is no HTTP, and answers in one piece.

uvicorn waits for ever for the rest of a request, and takes any number of headers. Both are looked at here at next to no
cost for requests that come whole: by a timer for each connection, and only where data ends in the middle of headers.

It loses the body of a request that offers to change the protocol, as Java's client does with every POST, and hands
whatever names WebSocket over to the WebSocket's protocol, which waits for ever on what is none.

It also writes an answer's head and body apart, each a call of the system, and searches every header for line breaks. An
extension of ASGI, offered in the scope, takes a whole answer and writes it at once.
"""

import asyncio
import sys
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import httptools
import orjson
from starlette.types import Scope, Send
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from api.http.security_headers import ALWAYS

REQUEST_SECONDS_MAX = 30
"""How long a request may take to come, headers and body."""
LOOK_SECONDS = 5
"""How often it is looked: so much longer than it should may a connection last."""
HEAD_BYTES_MAX = 65_536
"""The longest headers that are waited for, to the length of what the network brings at once."""


WHOLE_ANSWERS = "tranche.whole_answers"
"""The extension of ASGI: an awaitable function of the status, the headers and the body."""


async def send_whole(
    scope: Scope, send: Send, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes
) -> None:
    """Sends a whole answer, at once where the server can. ``headers`` hold its length, and no line breaks."""
    extensions = scope.get("extensions")
    if extensions and WHOLE_ANSWERS in extensions:
        await extensions[WHOLE_ANSWERS](status, headers, body)
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
    _received = b""
    _to_reread = b""
    _is_offer = False
    _answered: RequestResponseCycle | None = None
    """The request that is being answered, of several that have come at once; ``cycle`` is the last of them."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Starts looking at the connection."""
        super().connection_made(transport)
        self._extensions = {WHOLE_ANSWERS: self._write_whole}
        self._timer = self.loop.call_later(LOOK_SECONDS, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends looking at it."""
        self._stop_looking()
        if self._answered is not None and self._answered is not self.cycle:
            # uvicorn tells the last request alone, and what is still answered would write to what is closed.
            self._answered.disconnected = True
            self._answered.message_event.set()
        super().connection_lost(exc)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._answered = cycle
        super()._start_asgi_task(cycle, app)

    def handle_websocket_upgrade(self) -> None:
        """Leaves the connection to the WebSocket's protocol."""
        self._stop_looking()
        super().handle_websocket_upgrade()

    def data_received(self, data: bytes) -> None:
        """Takes what came, and refuses headers without an end."""
        coming = data
        while coming:
            self._received, self._to_reread = coming, b""
            super().data_received(coming)
            coming = self._to_reread
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

    async def _write_whole(self, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> None:
        """Does what ``send`` of the request's cycle does with the two messages of a whole answer."""
        cycle = self._answered
        if cycle is None:
            raise RuntimeError("nothing has been asked")
        if self.flow.write_paused and not cycle.disconnected:
            await self.flow.drain()
        if cycle.disconnected:
            return
        lines = b"".join([b"%s: %s\r\n" % header for header in headers])
        end = b"\r\n" if cycle.keep_alive else b"connection: close\r\n\r\n"
        self.transport.write(b"%s%s%s%s" % (STATUS_LINE[status], lines, end, body))
        cycle.waiting_for_100_continue = False
        cycle.response_started = cycle.response_complete = True
        cycle.message_event.set()
        if not cycle.keep_alive:
            self.transport.close()
        cycle.on_response()

    def on_response_complete(self) -> None:
        """Goes on to the next request. Idle connections are ended by the look, not by a timer for each answer."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())

    def on_headers_complete(self) -> None:
        """Starts to answer, but not yet what offers another protocol: it is read anew without the offer."""
        self._is_offer = (
            bool(self.parser.should_upgrade())
            and any(name == b"upgrade" for name, _ in self.headers)
            and not self._should_upgrade()
        )
        if not self._is_offer:
            super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Ends the request's body."""
        if not self._is_offer:
            super().on_message_complete()

    def _unsupported_upgrade_warning(self) -> None:
        """Has the request read anew without its offer of another protocol: the parser takes no body after one."""
        stopped = sys.exception()
        if not self._is_offer or stopped is None:
            return
        method, version = self.parser.get_method(), self.parser.get_http_version().encode()
        lines = [b"%s %s HTTP/%s\r\n" % (method, self.url, version)]
        for name, value in self.headers:
            if name == b"connection":
                tokens = (token.strip() for token in value.split(b","))
                value = b", ".join(token for token in tokens if token.lower() != b"upgrade")
            if name != b"upgrade":
                lines.append(b"%s: %s\r\n" % (name, value))
        self.parser = httptools.HttpRequestParser(self)
        self._to_reread = b"".join(lines) + b"\r\n" + self._received[stopped.args[0] :]

    def _should_upgrade(self) -> bool:
        """Whether this is a WebSocket's handshake, which is a GET without a body."""
        return (
            super()._should_upgrade()
            and self.parser.get_method() == b"GET"
            and all(
                name != b"transfer-encoding" and (name != b"content-length" or value == b"0")
                for name, value in self.headers
            )
        )

    def send_400_response(self, msg: str) -> None:
        """Refuses what is no HTTP; after a request that is still being answered, by ending the connection."""
        cycle = self.cycle
        if cycle is None or cycle.response_complete or cycle.more_body:
            self._refuse(400, msg)
        else:
            cycle.keep_alive = False

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
