"""What a process that wants the database does: join the running server, or have a supervisor start one."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import BinaryIO, Self

from api.db.embedded.binaries import find_binaries
from api.db.embedded.cluster import DATABASE, SUPERUSER, remove_unfinished
from api.db.embedded.errors import EmbeddedDatabaseError
from api.db.embedded.invocation import READY, Options
from api.db.embedded.layout import Layout, create_layout, read_announcement
from api.db.embedded.locks import is_locked, locked

_WAIT_SECONDS_MAX = 180.0
_STOP_SECONDS_MAX = 60.0
_POLL_SECONDS = 0.01
_LOG_BYTES_MAX = 16 * 1024 * 1024
_SUPERVISOR_MODULE = "api.db.embedded.supervisor"


class _Registration:
    """An open writing end of the users' FIFO: held until released or until the process ends."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    def release(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


@dataclass(frozen=True)
class EmbeddedDatabase:
    """A share in a running server; `url` names its database `tranche` as the superuser.

    The share lasts until `close` or the end of the process. Children made by a bare fork share it until they end.
    """

    url: str
    _registration: _Registration

    def close(self) -> None:
        """Let go of the server, which stops soon after its last user has let go; may be called again."""
        self._registration.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def start(
    state_directory: Path,
    *,
    settings: Mapping[str, str] = MappingProxyType({}),
    binaries: Path | None = None,
) -> EmbeddedDatabase:
    """Join the running server of this state directory, or start one.

    `settings` (PostgreSQL's names and values) and `binaries` (a folder of PostgreSQL's programs) count only when this
    call starts the server. Raises EmbeddedDatabaseError with a sentence a person can act on.
    """
    layout = create_layout(state_directory)
    deadline = time.monotonic() + _WAIT_SECONDS_MAX
    with _explained(layout), locked(layout.start_lock, wait_seconds_max=_WAIT_SECONDS_MAX):
        while time.monotonic() < deadline:
            descriptor = _register(layout)
            if descriptor is None:
                _launch_supervisor(layout, settings, binaries)
                continue
            announcement = read_announcement(layout)
            if announcement is not None:
                password = layout.password.read_text()
                url = f"postgresql://{SUPERUSER}:{password}@127.0.0.1:{announcement.port}/{DATABASE}"
                return EmbeddedDatabase(url=url, _registration=_Registration(descriptor))
            os.close(descriptor)
            time.sleep(_POLL_SECONDS)
        raise TimeoutError


def remove(state_directory: Path) -> None:
    """Stop an unused server at once and delete the state directory with its cluster, wherever that lives.

    Raises EmbeddedDatabaseError, and deletes nothing, while a process still uses the server.
    """
    layout = create_layout(state_directory)
    with _explained(layout), locked(layout.start_lock, wait_seconds_max=_WAIT_SECONDS_MAX):
        reader = os.open(layout.users, os.O_RDONLY | os.O_NONBLOCK)
        try:
            os.read(reader, 1)
        except BlockingIOError:
            raise EmbeddedDatabaseError(f"A process still uses the embedded PostgreSQL of {layout.home}.") from None
        finally:
            os.close(reader)
        _stop_supervisor(layout)
        remove_unfinished(layout)
        if layout.data.is_symlink():
            shutil.rmtree(layout.data.resolve(), ignore_errors=True)
        shutil.rmtree(layout.state_directory)


@contextmanager
def _explained(layout: Layout) -> Iterator[None]:
    """Turn what the operating system refuses into a sentence."""
    try:
        yield
    except TimeoutError as error:
        raise EmbeddedDatabaseError(
            f"The embedded PostgreSQL of {layout.home} was not ready in {_WAIT_SECONDS_MAX:.0f} s; see {layout.log}."
        ) from error
    except OSError as error:
        raise EmbeddedDatabaseError(
            f"The embedded PostgreSQL of {layout.home} cannot be used ({error.strerror}: {error.filename}); "
            "it may belong to another user: choose another state directory."
        ) from error


def _register(layout: Layout) -> int | None:
    """Open the users' FIFO for writing; None when no supervisor reads it."""
    try:
        return os.open(layout.users, os.O_WRONLY | os.O_NONBLOCK)
    except OSError as error:
        if error.errno == errno.ENXIO:
            return None
        raise


def _launch_supervisor(layout: Layout, settings: Mapping[str, str], binaries: Path | None) -> None:
    """Start a supervisor and wait for its answer; raises EmbeddedDatabaseError with what it complains of."""
    options = Options(settings=settings, binaries=find_binaries(binaries))
    source = str(Path(__file__).parents[3])
    search_path = os.pathsep.join(filter(None, (source, os.environ.get("PYTHONPATH"))))
    with (
        _open_log(layout.log) as log,
        subprocess.Popen(  # noqa: S603 - no shell, and this package's own module
            [sys.executable, "-P", "-m", _SUPERVISOR_MODULE, str(layout.state_directory), options.to_argument()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            cwd="/",
            env=os.environ | {"PYTHONPATH": search_path},
            # Ctrl-C in the caller's terminal must reach neither the supervisor nor the server.
            start_new_session=True,
        ) as process,
    ):
        try:
            answer = process.communicate(timeout=_WAIT_SECONDS_MAX)[0].decode(errors="replace")
        except subprocess.TimeoutExpired:
            answer = f"The embedded PostgreSQL of {layout.home} does not start; see {layout.log}."
    if answer != READY:
        raise EmbeddedDatabaseError(
            answer or f"The supervisor of the embedded PostgreSQL ended without an answer; see {layout.log}."
        )


def _open_log(log: Path) -> BinaryIO:
    """Open the log to append, beginning a new one when it has grown too large."""
    if log.exists() and log.stat().st_size > _LOG_BYTES_MAX:
        log.replace(log.with_name(f"{log.name}.1"))
    return os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")


def _stop_supervisor(layout: Layout) -> None:
    deadline = time.monotonic() + _STOP_SECONDS_MAX
    if is_locked(layout.server_lock) and not is_locked(layout.supervisor_lock):
        # The supervisor was killed: a new one adopts the server, to stop it.
        _launch_supervisor(layout, {}, None)
    announcement = read_announcement(layout)
    if announcement is not None and is_locked(layout.supervisor_lock):
        os.kill(announcement.supervisor_pid, signal.SIGTERM)
    while is_locked(layout.supervisor_lock) or is_locked(layout.server_lock):
        if time.monotonic() > deadline:
            raise EmbeddedDatabaseError(f"The embedded PostgreSQL of {layout.home} does not stop; see {layout.log}.")
        time.sleep(_POLL_SECONDS)
