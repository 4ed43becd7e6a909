"""How much CPU time processes have used, to the microsecond where Linux tells, with those of the machine besides."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True)
class Usage:
    """CPU seconds so far, by process, and of the machine as a whole."""

    server: dict[int, float]
    database: dict[int, float]
    machine: float


def read_usage(server: psutil.Process, postmaster: psutil.Process) -> Usage:
    """The usage by now of a server and of PostgreSQL, each with its children."""
    times = psutil.cpu_times()
    machine = sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "guest", 0.0)
    return Usage(_seconds([server]), _seconds([postmaster]), machine)


def spent(before: dict[int, float], after: dict[int, float]) -> float:
    """CPU seconds between two readings; a process that is new has spent all it has."""
    return sum(seconds - before.get(pid, 0.0) for pid, seconds in after.items())


def _seconds(parents: Iterable[psutil.Process]) -> dict[int, float]:
    seconds = {}
    for parent in parents:
        for process in (parent, *parent.children(recursive=True)):
            with suppress(psutil.NoSuchProcess, OSError):
                seconds[process.pid] = _seconds_of(process)
    return seconds


def _seconds_of(process: psutil.Process) -> float:
    tasks = Path(f"/proc/{process.pid}/task")
    if not (tasks / str(process.pid) / "schedstat").exists():
        times = process.cpu_times()
        return float(times.user + times.system)
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks.iterdir()) / 1e9
