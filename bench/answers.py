"""Whether the contestants say the same: nobody is to win by answering less."""

import re
from datetime import UTC, datetime
from typing import Any

_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")


def essential(value: Any) -> Any:
    """A value as all contestants may say it: ids, which each writes its own way, only by being there; times in UTC."""
    if isinstance(value, dict):
        return {key: bool(inner) if key == "id" else essential(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [essential(inner) for inner in value]
    if isinstance(value, str) and _TIMESTAMP.match(value):
        return datetime.fromisoformat(value).astimezone(UTC).isoformat()
    return value


def difference(left: Any, right: Any, path: str = "data") -> str | None:
    """The first place where two essential values differ, in words; None where they are the same."""
    if isinstance(left, dict) and isinstance(right, dict) and left.keys() == right.keys():
        pairs = [(f"{path}.{key}", left[key], right[key]) for key in left]
    elif isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        pairs = [(f"{path}[{index}]", *both) for index, both in enumerate(zip(left, right, strict=True))]
    elif left == right and type(left) is type(right):
        return None
    else:
        return f"{path}: {str(left)[:200]} is not {str(right)[:200]}"
    found = (difference(one, other, place) for place, one, other in pairs)
    return next((text for text in found if text is not None), None)
