"""Keyset cursors: the sort key and id of a row, bound to the order they were made for."""

import base64
import binascii
import re
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson

from api.errors import BadUserInput
from api.reads.declarations import Order
from api.reads.global_ids import BIGINT_MAX

CURSOR_LENGTH_MAX = 2000

_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?", re.ASCII)

Position = tuple[Any, int | UUID]
"""A sort key (None where it is null, or where the order has none) and an id."""


def encode(order: Order, position: Position) -> str:
    """The cursor of a row at this position in this order."""
    key, row_id = position
    payload = [order.signature, _plain(key), _plain(row_id)]
    return base64.urlsafe_b64encode(orjson.dumps(payload)).rstrip(b"=").decode()


def decode(cursor: str, order: Order, id_type: str, argument: str) -> Position:
    """The position that a cursor stands for; raises BadUserInput where it is malformed or of another order."""
    if len(cursor) > CURSOR_LENGTH_MAX:
        raise BadUserInput(f"{argument}: this is not a cursor of this server.")
    try:
        payload = orjson.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
        signature, key, row_id = payload
        if signature != order.signature:
            raise BadUserInput(f"{argument}: this cursor belongs to another sort order.")
        return _parse_key(key, order), _parse(row_id, id_type)
    except (binascii.Error, ValueError, TypeError, OverflowError):
        raise BadUserInput(f"{argument}: this is not a cursor of this server.") from None


def _plain(value: Any) -> Any:
    if isinstance(value, (Decimal, UUID)):
        return str(value)
    if isinstance(value, (date, datetime)):
        return value.isoformat()
    return value


def _parse_key(key: Any, order: Order) -> Any:
    if order.key is None or (key is None and order.key.is_nullable):
        if key is not None:
            raise ValueError("a key where the order has none")
        return None
    return _parse(key, order.key.type_name)


def _parse(value: Any, type_name: str) -> Any:
    """The value that a cursor holds, strictly as the SQL type wants it; ValueError or TypeError otherwise."""
    if type_name in ("bigint", "smallint"):
        limit = BIGINT_MAX if type_name == "bigint" else 2**15 - 1
        if type(value) is not int or not -limit - 1 <= value <= limit:
            raise ValueError("not an integer of this size")
        return value
    if not isinstance(value, str):
        raise TypeError("not a string")
    match type_name:
        case "text":
            if "\x00" in value:
                raise ValueError("not a text")
            return value
        case "uuid":
            return UUID(value)
        case "date":
            return date.fromisoformat(value)
        case "timestamptz":
            moment = datetime.fromisoformat(value)
            if moment.tzinfo is None:
                raise ValueError("no time zone")
            return moment.astimezone(UTC)
        case "numeric":
            if not _NUMBER.fullmatch(value):
                raise ValueError("not a number")
            return Decimal(value)
    raise ValueError(f"no cursor for {type_name}")
