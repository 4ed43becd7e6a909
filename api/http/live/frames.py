"""WebSockets as uvicorn speaks them, where a text that is no UTF-8 is a client's fault and none of the server's."""

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode
from websockets.protocol import State


class BoundedSocket(WebSocketsSansIOProtocol):
    """One connection.

    uvicorn logs such a text with its traceback, and fails where it comes after the client has closed the socket.
    """

    def send_receive_event_to_app(self) -> None:
        """Hands on a message that is whole; closes the socket for a text that cannot be read."""
        if self.curr_msg_data_type == "bytes" or _is_utf8(self.frames):
            super().send_receive_event_to_app()
            return
        self.frames = []
        if self.conn.state is State.OPEN:
            self.conn.send_close(CloseCode.INVALID_DATA)
            self.handle_parser_exception()


def _is_utf8(frames: list[bytes]) -> bool:
    try:
        b"".join(frames).decode()
    except UnicodeDecodeError:
        return False
    return True
