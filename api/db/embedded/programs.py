"""Runs PostgreSQL's programs: as the server's account, apart from the caller's terminal, files and environment."""

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from api.db.embedded.account import Account
from api.db.embedded.errors import EmbeddedDatabaseError

_INHERITED_VARIABLES = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT")
_LOG_TAIL_BYTES = 2_000


@dataclass(frozen=True)
class Programs:
    """A folder of programs, whom they run as, and the log that takes whatever they print."""

    folder: Path
    account: Account
    log: Path

    def spawn(
        self, arguments: list[str], *, server_lock: int | None = None, standard_input: int = subprocess.DEVNULL
    ) -> subprocess.Popen[bytes]:
        """Start a program, named first in the arguments; `server_lock` is an open file it shall keep open."""
        # PG* variables would redirect the programs, and the caller's secrets are none of the server's business.
        environment = {name: os.environ[name] for name in _INHERITED_VARIABLES if name in os.environ}
        log = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            return subprocess.Popen(  # noqa: S603 - no shell, and PostgreSQL's own programs
                [str(self.folder / arguments[0]), *arguments[1:]],
                stdin=standard_input,
                stdout=log,
                stderr=log,
                cwd="/",
                env=environment | {"LC_ALL": "C", "TZ": "UTC"},
                user=self.account.user,
                group=self.account.group,
                extra_groups=self.account.extra_groups,
                umask=0o077,
                pass_fds=() if server_lock is None else (server_lock,),
            )
        finally:
            os.close(log)

    def run(self, arguments: list[str], *, server_lock: int, standard_input: str = "") -> None:
        """Run a program to its end; raises EmbeddedDatabaseError with the end of the log when it fails."""
        log_start = self.log_size()
        with self.spawn(arguments, server_lock=server_lock, standard_input=subprocess.PIPE) as process:
            process.communicate(standard_input.encode())
        if process.returncode != 0:
            raise self.failure(f"{arguments[0]} failed", since=log_start)

    def log_size(self) -> int:
        """Return the log's size in bytes, to tell later what has been added since."""
        return self.log.stat().st_size if self.log.exists() else 0

    def failure(self, what: str, *, since: int) -> EmbeddedDatabaseError:
        """Describe a failure by what the log says since a position in bytes."""
        with self.log.open("rb") as file:
            file.seek(max(since, self.log_size() - _LOG_TAIL_BYTES))
            said = " ".join(file.read().decode(errors="replace").split())
        return EmbeddedDatabaseError(f"{what}; {self.log} says: {said or 'nothing'}")


def arguments_of(settings: Mapping[str, str]) -> list[str]:
    """Write settings as `postgres` takes them on its command line."""
    return [argument for name, value in settings.items() for argument in ("-c", f"{name}={value}")]
