"""Global ids: the type's name and the row's id, as Relay wants them. Opaque to clients, not secret."""

import base64
import binascii
from uuid import UUID

BIGINT_MAX = 2**63 - 1
GLOBAL_ID_LENGTH_MAX = 128

RowId = int | UUID


def encode(type_name: str, row_id: RowId) -> str:
    """The global id of a row."""
    return base64.b64encode(f"{type_name}:{row_id}".encode()).decode()


def decode(global_id: str) -> tuple[str, RowId] | None:
    """The type's name and the row's id; None for what no row of ours could have."""
    if len(global_id) > GLOBAL_ID_LENGTH_MAX:
        return None
    try:
        type_name, _, row_id = binascii.a2b_base64(global_id, strict_mode=True).decode("ascii").partition(":")
    except (binascii.Error, ValueError):
        return None
    if row_id.isdecimal() and not (len(row_id) > 1 and row_id.startswith("0")):
        number = int(row_id)
        return (type_name, number) if 1 <= number <= BIGINT_MAX else None
    try:
        identifier = UUID(row_id)
    except ValueError:
        return None
    return (type_name, identifier) if str(identifier) == row_id else None


def decode_as(type_name: str, global_id: str) -> int | None:
    """The row's bigint id where the global id is one of this type; else None."""
    decoded = decode(global_id)
    if decoded is None or decoded[0] != type_name or not isinstance(decoded[1], int):
        return None
    return decoded[1]
