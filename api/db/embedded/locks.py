"""Locks that the kernel releases when their holder dies, however it dies.

These are bare `flock`s and not a library's locks because one of them is handed to PostgreSQL as an open file: it stays
held until the last process of that server has gone, which no pid file can tell.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_POLL_SECONDS = 0.01


def try_lock(path: Path) -> int | None:
    """Take the lock and return the open file that holds it, or None when another process has it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def is_locked(path: Path) -> bool:
    """Whether some process holds the lock; a lock whose folder has been deleted counts as free."""
    try:
        descriptor = try_lock(path)
    except FileNotFoundError:
        return False
    if descriptor is None:
        return True
    os.close(descriptor)
    return False


@contextmanager
def locked(path: Path, *, wait_seconds_max: float) -> Iterator[None]:
    """Hold the lock for the block; raises TimeoutError when it does not come free in time."""
    deadline = time.monotonic() + wait_seconds_max
    while (descriptor := try_lock(path)) is None:
        if time.monotonic() > deadline:
            raise TimeoutError(path)
        time.sleep(_POLL_SECONDS)
    try:
        yield
    finally:
        os.close(descriptor)
