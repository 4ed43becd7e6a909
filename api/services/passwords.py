"""Hashing and checking passwords with argon2id, in a few threads of low priority that only so many may wait for."""

import asyncio
import os
import sys
import threading
import time
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from api.errors import Problem, RateLimited, invalid

LENGTH_MIN = 8
LENGTH_MAX = 200
RESTS = 2.0
"""How long a thread rests between two passwords, for each second that it worked: others want the processor, too."""
NETWORK_SHARE = 0.5
"""How much of the places the attempts from one client network may hold."""

T = TypeVar("T")


def check_new_password(password: str, field: str = "password") -> list[Problem]:
    """A new password is neither too short nor too long; what is in it is its owner's business."""
    if LENGTH_MIN <= len(password) <= LENGTH_MAX:
        return []
    expected = f"{LENGTH_MIN} to {LENGTH_MAX} characters"
    return [invalid(field, f"A password has {expected}.", expected=expected, actual=str(len(password)))]


class Passwords:
    """The passwords of one process: ``threads`` are hashed at a time, ``queue_max`` wait, any more are refused."""

    def __init__(self, *, memory_kib: int, iterations: int, threads: int, queue_max: int) -> None:
        self._hasher = PasswordHasher(time_cost=iterations, memory_cost=memory_kib, parallelism=1)
        self._places_max = threads + queue_max
        self._places_of_one_max = max(1, int(self._places_max * NETWORK_SHARE))
        self._places: Counter[str] = Counter()
        self._executor = ThreadPoolExecutor(threads, "passwords", initializer=_give_way)
        self._rests = threading.local()
        self._decoy: str | None = None

    def close(self) -> None:
        """Ends the threads once they are done."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    @contextmanager
    def place(self, network: str) -> Iterator[None]:
        """One of the places, for the whole of an attempt; raises RateLimited at once where there is none."""
        if self._places.total() >= self._places_max or self._places[network] >= self._places_of_one_max:
            raise RateLimited("Too many people are signing in just now. Try again in a few seconds.")
        self._places[network] += 1
        try:
            yield
        finally:
            self._places[network] -= 1
            if not self._places[network]:
                del self._places[network]

    async def hash(self, password: str) -> str:
        """The argon2id hash of a password. Wants a place."""
        return await self._apart(lambda: self._hasher.hash(_normal(password)))

    def hash_now(self, password: str) -> str:
        """The same, at once: for the command line."""
        return self._hasher.hash(_normal(password))

    async def matches(self, hashed: str | None, password: str) -> bool:
        """Whether this is the password; takes as long where there is none to compare with. Wants a place."""
        return await self._apart(lambda: self._matches(hashed, _normal(password)))

    def is_outdated(self, hashed: str) -> bool:
        """Whether the hash was made with other parameters than those of now."""
        return self._hasher.check_needs_rehash(hashed)

    def _matches(self, hashed: str | None, password: str) -> bool:
        # Made for whoever comes first, known or not, so that its making tells nothing.
        if self._decoy is None:
            self._decoy = self._hasher.hash("decoy")
        try:
            return self._hasher.verify(hashed or self._decoy, password) and hashed is not None
        except (VerificationError, InvalidHashError):
            return False

    async def _apart(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._after_rest, work)

    def _after_rest(self, work: Callable[[], T]) -> T:
        """Rests before and not after it works: whoever comes alone waits for nothing."""
        rest = self._rests
        time.sleep(max(0.0, getattr(rest, "until", 0.0) - time.monotonic()))
        started = time.thread_time()
        try:
            return work()
        finally:
            rest.until = time.monotonic() + (time.thread_time() - started) * RESTS


def _normal(password: str) -> str:
    """The password as it is hashed: the same however a keyboard composes its letters."""
    return unicodedata.normalize("NFKC", password)


def _give_way() -> None:
    """Lets everything else on the machine go first, where a thread can have a priority of its own.

    A thread that is merely nice is left to end its turn of some milliseconds, and whoever wakes up waits for it.
    """
    if sys.platform == "linux":
        with suppress(OSError):
            os.sched_setscheduler(threading.get_native_id(), os.SCHED_IDLE, os.sched_param(0))
