"""The server's main process: started, adopted from a supervisor that was killed, watched and stopped."""

import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from api.db.embedded.cluster import ensure_cluster
from api.db.embedded.errors import EmbeddedDatabaseError
from api.db.embedded.layout import Layout, recorded_port, write_private
from api.db.embedded.locks import is_locked, try_lock
from api.db.embedded.programs import Programs, arguments_of

_DEFAULT_SETTINGS = {
    "max_connections": "200",
    "shared_buffers": "128MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "password_encryption": "scram-sha-256",
}
# Below the ports that systems hand out for outgoing connections, so that the same one is mostly free again.
_PORTS = range(20_000, 32_000)
_PORT_TRIALS_MAX = 20
_START_TRIALS_MAX = 5
_POLL_SECONDS = 0.005
# Recovery after a crash replays the log before the server is ready.
_READY_SECONDS_MAX = 120.0
_ORPHAN_SECONDS_MAX = 30.0
_FAST_STOP_SECONDS_MAX = 30.0
_IMMEDIATE_STOP_SECONDS_MAX = 10.0


@dataclass(frozen=True)
class Postmaster:
    """A running server. `process` is None when another supervisor, now dead, has started it."""

    layout: Layout
    pid: int
    port: int
    process: subprocess.Popen[bytes] | None

    def is_running(self) -> bool:
        """Whether the server is up; reaps it when it has ended."""
        if self.process is not None:
            return self.process.poll() is None
        # The lock tells, unless it was deleted together with the whole state directory.
        is_held = is_locked(self.layout.server_lock) or not self.layout.server_lock.exists()
        return is_held and _exists(self.pid)

    def stop(self) -> None:
        """Stop it cleanly, by force if it does not stop in time, and wait until its last process has gone."""
        for means, seconds_max in (
            (signal.SIGINT, _FAST_STOP_SECONDS_MAX),
            (signal.SIGQUIT, _IMMEDIATE_STOP_SECONDS_MAX),
            (signal.SIGKILL, _IMMEDIATE_STOP_SECONDS_MAX),
        ):
            if self.is_running():
                os.kill(self.pid, means)
            deadline = time.monotonic() + seconds_max
            while time.monotonic() < deadline:
                if not self.is_running() and not is_locked(self.layout.server_lock):
                    return
                time.sleep(_POLL_SECONDS)


@dataclass(frozen=True)
class _PidFile:
    """What the server says of itself in `postmaster.pid`."""

    pid: int
    port: int
    status: str


def run_postmaster(layout: Layout, programs: Programs, settings: Mapping[str, str]) -> Postmaster:
    """Return a server that accepts connections: the one that still runs, else a new one, on a new cluster if need be.

    Raises EmbeddedDatabaseError when it cannot be brought up.
    """
    deadline = time.monotonic() + _ORPHAN_SECONDS_MAX
    while (server_lock := try_lock(layout.server_lock)) is None:
        running = _read_pid_file(layout.data)
        # The lock may be held by orphans of a main process that was killed; only that one listens.
        if running is not None and running.status == "ready" and _exists(running.pid) and not _is_free(running.port):
            return Postmaster(layout=layout, pid=running.pid, port=running.port, process=None)
        if time.monotonic() > deadline:
            raise EmbeddedDatabaseError(
                f"Processes of an earlier server still use {layout.data}; end them (fuser {layout.server_lock})."
            )
        time.sleep(_POLL_SECONDS)
    try:
        _disown_pid_file(layout.data)
        ensure_cluster(layout, programs, server_lock=server_lock)
        return _start(layout, programs, settings, server_lock=server_lock)
    finally:
        os.close(server_lock)


def _start(layout: Layout, programs: Programs, settings: Mapping[str, str], *, server_lock: int) -> Postmaster:
    chosen = {**_DEFAULT_SETTINGS, **settings, "listen_addresses": "127.0.0.1", "unix_socket_directories": ""}
    for _ in range(_START_TRIALS_MAX):
        port = _free_port(recorded_port(layout))
        write_private(layout.port, str(port))
        log_start = programs.log_size()
        process = programs.spawn(
            ["postgres", "-D", str(layout.data.resolve()), *arguments_of({**chosen, "port": str(port)})],
            server_lock=server_lock,
        )
        postmaster = Postmaster(layout=layout, pid=process.pid, port=port, process=process)
        if _becomes_ready(postmaster):
            return postmaster
        if _is_free(port):
            break
    _abandon(process)
    raise programs.failure("PostgreSQL did not start", since=log_start)


def _abandon(process: subprocess.Popen[bytes]) -> None:
    """Make an end of a server that nobody has connected to."""
    process.send_signal(signal.SIGQUIT)
    try:
        process.wait(_IMMEDIATE_STOP_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _becomes_ready(postmaster: Postmaster) -> bool:
    deadline = time.monotonic() + _READY_SECONDS_MAX
    while postmaster.is_running() and time.monotonic() < deadline:
        said = _read_pid_file(postmaster.layout.data)
        if said is not None and said.pid == postmaster.pid and said.status == "ready":
            return True
        time.sleep(_POLL_SECONDS)
    return False


def _read_pid_file(data: Path) -> _PidFile | None:
    """Return the content of `postmaster.pid`, or None when it is absent or not yet complete."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
        return _PidFile(pid=int(lines[0]), port=int(lines[3]), status=lines[7].strip())
    except (FileNotFoundError, IndexError, ValueError):
        return None


def _disown_pid_file(data: Path) -> None:
    """Put this process's number into a `postmaster.pid` that a power loss or a restarted container has left.

    The old number may meanwhile be any process, which PostgreSQL would take for a running server; its parent's it
    knows for stale. It still asks for the old server's shared memory, and so refuses one that was started by hand.
    """
    pid_file = data / "postmaster.pid"
    if pid_file.exists():
        _, *others = pid_file.read_text().split("\n")
        pid_file.write_text("\n".join([str(os.getpid()), *others]))


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _free_port(preferred: int | None) -> int:
    candidates = random.sample(_PORTS, _PORT_TRIALS_MAX)
    for port in candidates if preferred is None else [preferred, *candidates]:
        if _is_free(port):
            return port
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
