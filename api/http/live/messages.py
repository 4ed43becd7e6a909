"""The messages of graphql-transport-ws, read strictly: what is malformed closes the socket with 4400."""

from dataclasses import dataclass
from typing import Any

import orjson

SUBPROTOCOL = "graphql-transport-ws"
REASON_BYTES_MAX = 123
"""What fits into a close frame."""
OPERATION_ID_CHARACTERS_MAX = 1_000
FROM_CLIENTS = ("connection_init", "ping", "pong", "subscribe", "complete")


@dataclass(frozen=True, slots=True)
class Close:
    """A close code with its reason."""

    code: int
    reason: str

    @property
    def short_reason(self) -> str:
        """The reason, cut to what a close frame takes."""
        return self.reason.encode()[:REASON_BYTES_MAX].decode(errors="ignore")


NORMAL = Close(1000, "")
FORBIDDEN = Close(4403, "Forbidden")
UNAUTHORIZED = Close(4401, "Unauthorized")
SUBPROTOCOL_NOT_ACCEPTABLE = Close(4406, "Subprotocol not acceptable")
INITIALISATION_TIMEOUT = Close(4408, "Connection initialisation timeout")
TOO_MANY_INITIALISATIONS = Close(4429, "Too many initialisation requests")
INTERNAL_ERROR = Close(4500, "Internal server error")
TOO_LONG = Close(1009, "The message is too long")


class Closing(Exception):
    """The socket must be closed like this."""

    def __init__(self, close: Close) -> None:
        super().__init__(close.reason)
        self.close = close


def malformed(reason: str) -> Closing:
    """The closing for what is no message of the protocol."""
    return Closing(Close(4400, reason))


def already_exists(operation_id: str) -> Closing:
    """The closing for a second operation of one id."""
    return Closing(Close(4409, f"Subscriber for {operation_id} already exists"))


@dataclass(frozen=True, slots=True)
class Message:
    """A message of a client. ``id`` is empty where its type has none."""

    type: str
    id: str
    payload: dict[str, Any] | None


def read_message(text: str | None) -> Message:
    """The message in a text frame; None stands for a binary frame. Raises Closing (4400)."""
    if text is None:
        raise malformed("Messages must be sent as text")
    try:
        message = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise malformed("The message is not JSON") from None
    if not isinstance(message, dict):
        raise malformed("A message must be an object")
    type_ = message.get("type")
    if type_ not in FROM_CLIENTS:
        raise malformed("The message's type is none that a client sends")
    payload = message.get("payload")
    if payload is not None and not isinstance(payload, dict):
        raise malformed(f"The payload of {type_} must be an object")
    if type_ in ("subscribe", "complete"):
        operation_id = message.get("id")
        if not isinstance(operation_id, str) or not 0 < len(operation_id) <= OPERATION_ID_CHARACTERS_MAX:
            raise malformed(f"The id of {type_} must be a text of 1 to {OPERATION_ID_CHARACTERS_MAX} characters")
        if type_ == "subscribe":
            _check_operation(payload)
        return Message(type_, operation_id, payload)
    return Message(type_, "", payload)


def _check_operation(payload: dict[str, Any] | None) -> None:
    if payload is None:
        raise malformed("subscribe needs a payload")
    is_only_named = payload.get("documentId") is not None or isinstance(payload.get("extensions"), dict)
    if not isinstance(payload.get("query"), str) and not (payload.get("query") is None and is_only_named):
        raise malformed("The query of subscribe must be a text")
    for name in ("variables", "extensions"):
        if not isinstance(payload.get(name), dict | None):
            raise malformed(f"The {name} of subscribe must be an object")
    if not isinstance(payload.get("operationName"), str | None):
        raise malformed("The operationName of subscribe must be a text")


def next_opening(operation_id: str) -> bytes:
    """What a ``next`` message begins with; then come the response and NEXT_ENDING."""
    return b'{"type":"next","id":' + orjson.dumps(operation_id) + b',"payload":'


NEXT_ENDING = b"}"


def write_message(type_: str, operation_id: str = "", payload: object = None) -> str:
    """A message as it is sent."""
    message: dict[str, object] = {"type": type_}
    if operation_id:
        message["id"] = operation_id
    if payload is not None:
        message["payload"] = payload
    return orjson.dumps(message, option=orjson.OPT_UTC_Z).decode()
