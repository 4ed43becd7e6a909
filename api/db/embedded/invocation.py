"""What passes between a process that starts a supervisor and that supervisor."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

READY = "ready"


@dataclass(frozen=True)
class Options:
    """How to run a server, should it have to be started."""

    settings: Mapping[str, str]
    binaries: Path

    def to_argument(self) -> str:
        """Write the options for the command line."""
        return json.dumps({"settings": dict(self.settings), "binaries": str(self.binaries)})

    @staticmethod
    def from_argument(text: str) -> "Options":
        """Read the options from the command line."""
        content = json.loads(text)
        return Options(settings=content["settings"], binaries=Path(content["binaries"]))
