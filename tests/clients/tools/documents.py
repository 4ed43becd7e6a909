"""What documentation shows: the commands of a file, and what it says that they print."""

import json
import re
from dataclasses import dataclass
from typing import Any

BLOCK = re.compile(
    r"^```sh\n(?P<commands>.*?)^```\n(?:\n*^```(?:json|text)\n(?P<output>.*?)^```\n)?", re.DOTALL | re.MULTILINE
)
ANYTHING = "…"


@dataclass(frozen=True)
class Step:
    """Commands for a shell, and what they print; None where the text does not say."""

    commands: str
    output: str | None


def steps(text: str) -> list[Step]:
    """The steps of a Markdown text: each block of shell commands with the block of output that follows it."""
    return [Step(found["commands"], found["output"]) for found in BLOCK.finditer(text)]


def fits(shown: str, printed: str) -> bool:
    """Whether what was printed is what is shown: the same JSON, or else the same lines; ``…`` stands for anything."""
    try:
        return _fits_json(json.loads(shown), json.loads(printed))
    except json.JSONDecodeError:
        return _fits_text(shown.strip(), printed.strip())


def _fits_json(shown: Any, printed: Any) -> bool:
    if isinstance(shown, dict) and isinstance(printed, dict):
        return list(shown) == list(printed) and all(_fits_json(shown[key], printed[key]) for key in shown)
    if isinstance(shown, list) and isinstance(printed, list):
        return len(shown) == len(printed) and all(map(_fits_json, shown, printed))
    if isinstance(shown, str) and isinstance(printed, str):
        return _fits_text(shown, printed)
    return type(shown) is type(printed) and bool(shown == printed)


def _fits_text(shown: str, printed: str) -> bool:
    pattern = ".*".join(map(re.escape, shown.split(ANYTHING)))
    return re.fullmatch(pattern, printed, re.DOTALL) is not None
