"""HTTP as uvicorn speaks it, with bounds on what it waits for and JSON for what is no HTTP.

uvicorn waits for ever for the rest of a request, and takes any number of headers. Both are looked at here at next to no
cost for requests that come whole: by a timer for each connection, and only where data ends in the middle of headers.
"""

import asyncio
from http import HTTPStatus

import orjson
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from api.http.security_headers import ALWAYS

REQUEST_SECONDS_MAX = 30
"""How long a request may take to come, headers and body."""
LOOK_SECONDS = 5
HEAD_BYTES_MAX = 65_536
"""The longest headers that are waited for, to the length of what the network brings at once."""


class BoundedHttp(HttpToolsProtocol):
    """One connection."""

    _timer: asyncio.TimerHandle | None = None
    _looks = 0
    _looked_at: object = None
    _head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Starts looking at the connection."""
        super().connection_made(transport)
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
        if self._is_in_head():
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES_MAX and not self.transport.is_closing():
                self._refuse(431, f"The headers are too long; at most {HEAD_BYTES_MAX} bytes are read.")
        else:
            self._head_bytes = 0

    def send_400_response(self, msg: str) -> None:
        """Refuses what is no HTTP."""
        self._refuse(400, msg)

    def _is_in_head(self) -> bool:
        """Whether no request has come yet, or the headers of the last one have not come to their end."""
        cycle = self.cycle
        return cycle is None or cycle.scope is not self.scope

    def _look(self) -> None:
        """Ends the connection whose request has been coming for too long."""
        if self.transport.is_closing():
            return
        is_coming = self._is_in_head() or self.cycle.more_body
        self._looks = self._looks + 1 if is_coming and self._looked_at is self.scope else 0
        self._looked_at = self.scope
        if self._looks * LOOK_SECONDS < REQUEST_SECONDS_MAX:
            self._timer = self.loop.call_later(LOOK_SECONDS, self._look)
        elif self._may_answer():
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
