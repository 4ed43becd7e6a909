"""WebSockets as uvicorn speaks them, where a text that is no UTF-8 is a client's fault and none of the server's."""

from collections.abc import Callable, Sequence

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode
from websockets.http11 import Request
from websockets.protocol import State

PUSH = "tranche.push"
"""The extension of ASGI by which a socket sends a text at once."""
Push = Callable[[Sequence[bytes]], bool]
TEXT = 0x81
"""The first byte of a frame that is a whole text."""


class BoundedSocket(WebSocketsSansIOProtocol):
    """One connection.

    uvicorn logs such a text with its traceback, and fails where it comes after the client has closed the socket.
    """

    def handle_connect(self, event: Request) -> None:
        """Offers ``push`` to the application, where frames are sent as they are."""
        super().handle_connect(event)
        # A handshake that was refused is complete, and nobody will hear of it.
        if not self.handshake_complete and not self.conn.extensions:
            self.scope["extensions"] = {**self.scope["extensions"], PUSH: self.push}  # type: ignore[dict-item]

    def push(self, texts: Sequence[bytes]) -> bool:
        """Sends texts to a client that keeps up; False, and nothing sent, where it does not, or the socket closes.

        The frames are written here: by the way of ASGI, one costs three times as long as the system takes to send it.
        """
        if self.close_sent or self.disconnected or not self.writable.is_set() or self.transport.is_closing():
            return False
        self.transport.write(b"".join([_head(len(text)) + text for text in texts]))
        return True

    def send_receive_event_to_app(self) -> None:
        """Hands on a message that is whole; closes the socket for a text that cannot be read."""
        if self.curr_msg_data_type == "bytes" or _is_utf8(self.frames):
            super().send_receive_event_to_app()
            return
        self.frames = []
        if self.conn.state is State.OPEN:
            self.conn.send_close(CloseCode.INVALID_DATA)
            self.handle_parser_exception()


def _head(length: int) -> bytes:
    """The head of a frame that is a whole text of so many bytes."""
    if length < 126:
        return bytes((TEXT, length))
    if length < 65_536:
        return bytes((TEXT, 126)) + length.to_bytes(2, "big")
    return bytes((TEXT, 127)) + length.to_bytes(8, "big")


def _is_utf8(frames: list[bytes]) -> bool:
    try:
        b"".join(frames).decode()
    except UnicodeDecodeError:
        return False
    return True
