"""The process that owns the server: `python -m api.db.embedded.supervisor STATE_DIRECTORY OPTIONS`.

It starts the server, answers with one line on its standard output, and from then on belongs to nobody: it stops the
server when the last user has gone. Users hold the writing end of a FIFO open, which the kernel closes for the killed.
"""

import enum
import os
import signal
import sys
import threading
import time
from pathlib import Path

from api.db.embedded.account import require_account, server_account
from api.db.embedded.binaries import usable_binaries
from api.db.embedded.errors import EmbeddedDatabaseError
from api.db.embedded.invocation import READY, Options
from api.db.embedded.layout import Announcement, Layout, announce
from api.db.embedded.locks import try_lock
from api.db.embedded.postmaster import Postmaster, run_postmaster
from api.db.embedded.programs import Programs

_TICK_SECONDS = 0.1
_GRACE_SECONDS = 1.0
_RESTARTS_MAX = 5
_POLL_SECONDS = 0.01
_PREDECESSOR_SECONDS_MAX = 60.0


class _Outcome(enum.Enum):
    """Why the supervisor no longer watches a server."""

    ENDED = enum.auto()
    UNNEEDED = enum.auto()


class _EndRequest:
    """Whether a signal has asked the supervisor to end: a flag, so that no signal can interrupt a start half-way."""

    def __init__(self) -> None:
        self.is_made = False
        signal.signal(signal.SIGTERM, self._make)
        signal.signal(signal.SIGINT, self._make)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def _make(self, _signal: int, _frame: object) -> None:
        self.is_made = True


def main(state_directory: str, options: str) -> None:
    """Detach from the caller and supervise; the answer on standard output is `ready` or a sentence of complaint."""
    # The caller waits for the parent and so never has to reap a child.
    if os.fork() != 0:
        os._exit(0)
    layout = Layout(Path(state_directory))
    try:
        _supervise(layout, Options.from_argument(options), _EndRequest())
    except EmbeddedDatabaseError as error:
        _answer(str(error))
        sys.exit(str(error))
    except Exception as error:
        _answer(f"The supervisor of the embedded PostgreSQL failed ({error!r}); see {layout.log}.")
        raise


def _supervise(layout: Layout, options: Options, end_request: _EndRequest) -> None:
    # Held by this open file until the process ends.
    supervisor_lock = _succeed_predecessor(layout)
    if supervisor_lock is None:
        _answer(READY)
        return
    layout.announcement.unlink(missing_ok=True)
    users = os.open(layout.users, os.O_RDONLY | os.O_NONBLOCK)
    account = server_account(layout.data)
    require_account(account)
    folder = usable_binaries(options.binaries, account)
    programs = Programs(folder=folder, account=account, log=layout.log)
    is_new = not layout.data.is_dir()
    postmaster = run_postmaster(layout, programs, options.settings)
    try:
        if is_new and options.settings.get("fsync") != "off":
            _sync(layout, programs)
        _announce(layout, postmaster)
        _answer(READY)
        restarts = 0
        while _watch(layout, postmaster, users, end_request) is _Outcome.ENDED and restarts < _RESTARTS_MAX:
            restarts += 1
            layout.announcement.unlink(missing_ok=True)
            postmaster = run_postmaster(layout, programs, options.settings)
            _announce(layout, postmaster)
    finally:
        layout.announcement.unlink(missing_ok=True)
        os.close(users)
        postmaster.stop()


def _succeed_predecessor(layout: Layout) -> int | None:
    """Wait until an ending supervisor has ended; None when there is one that goes on."""
    deadline = time.monotonic() + _PREDECESSOR_SECONDS_MAX
    while (supervisor_lock := try_lock(layout.supervisor_lock)) is None:
        try:
            os.close(os.open(layout.users, os.O_WRONLY | os.O_NONBLOCK))
        except OSError:
            if time.monotonic() > deadline:
                raise EmbeddedDatabaseError(
                    f"An earlier supervisor of {layout.home} does not end; end it (fuser {layout.supervisor_lock})."
                ) from None
            time.sleep(_POLL_SECONDS)
        else:
            return None
    return supervisor_lock


def _watch(layout: Layout, postmaster: Postmaster, users: int, end_request: _EndRequest) -> _Outcome:
    """Return when the server has ended by itself, or when it shall end because nobody needs it any more."""
    unused_since = time.monotonic()
    while not end_request.is_made and layout.data.is_dir():
        if not postmaster.is_running():
            return _Outcome.ENDED
        if _has_users(users):
            unused_since = time.monotonic()
        elif time.monotonic() - unused_since > _GRACE_SECONDS and _closes_door(layout, users):
            break
        time.sleep(_TICK_SECONDS)
    return _Outcome.UNNEEDED


def _has_users(users: int) -> bool:
    """Whether anybody holds the writing end: a read then has to wait, else it is at the end."""
    try:
        return bool(os.read(users, 4096))
    except BlockingIOError:
        return True


def _closes_door(layout: Layout, users: int) -> bool:
    """Withdraw the announcement unless somebody joins right now: who joins holds the lock until it is counted."""
    start_lock = try_lock(layout.start_lock)
    if start_lock is None:
        return False
    try:
        if _has_users(users):
            return False
        layout.announcement.unlink(missing_ok=True)
        return True
    finally:
        os.close(start_lock)


def _announce(layout: Layout, postmaster: Postmaster) -> None:
    announce(layout, Announcement(port=postmaster.port, supervisor_pid=os.getpid()))


def _sync(layout: Layout, programs: Programs) -> None:
    """Make a new cluster's files durable while the server already runs: initdb leaves that out to be quick."""
    sync = programs.spawn(["initdb", "--sync-only", f"--pgdata={layout.data.resolve()}"])
    threading.Thread(target=sync.wait, daemon=True).start()


def _answer(sentence: str) -> None:
    """Answer the caller, once: afterwards its pipe is closed, and further answers go nowhere."""
    descriptor = sys.stdout.fileno()
    os.write(descriptor, sentence.encode())
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


if __name__ == "__main__":
    main(*sys.argv[1:])
