"""The text of a file from outside, or why there is none to read."""

from typing import NoReturn

from api.errors import ErrorCode, Problem, Refused

FILE_BYTES_MAX = 50_000_000


def text_of(data: bytes) -> str:
    """What UTF-8 says, a byte order mark left out; raises Refused for too many bytes or other ones."""
    if len(data) > FILE_BYTES_MAX:
        refuse_file(f"The file has {len(data)} bytes; at most {FILE_BYTES_MAX} are read.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        refuse_file(f"The file is not UTF-8 at byte {error.start}.")


def refuse_file(message: str) -> NoReturn:
    """Raises Refused for a file as a whole."""
    raise Refused([Problem(ErrorCode.INVALID_INPUT, message)])
