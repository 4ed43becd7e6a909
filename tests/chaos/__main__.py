"""``python -m tests.chaos [SECONDS]``: a storm on a database of its own; the exit status is 0 where all was well."""

import sys
import tempfile
import time
from pathlib import Path

import uvloop

from api.db import embedded
from api.db.provisioning import prepare
from tests.chaos.storm import Outcome, storm

SECONDS = 60
MEMORY = Path("/dev/shm")  # noqa: S108 - a directory of our own is made in it


async def run(owner_url: str, state_directory: Path, seconds: float) -> Outcome:
    """One storm, of another kind each time."""
    await prepare(owner_url, state_directory)
    seed = int(time.time())
    print(f"{seconds:g} s of storm, seed {seed}.", flush=True)  # noqa: T201
    return await storm(owner_url, state_directory, seconds, seed)


def main() -> None:
    """Runs from the command line."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else SECONDS
    parent = MEMORY if MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="tranche-chaos-", dir=parent, ignore_cleanup_errors=True) as directory:
        # The database's own user has to get through to its data.
        Path(directory).chmod(0o755)
        state_directory = Path(directory) / "state"
        try:
            with embedded.start(state_directory) as cluster:
                outcome = uvloop.run(run(cluster.url, state_directory, seconds))
        finally:
            embedded.remove(state_directory)
    print(f"Everybody has heard the same history, once and in order: {outcome}.")  # noqa: T201


if __name__ == "__main__":
    main()
