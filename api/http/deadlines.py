"""Ending operations that take too long.

One timer looks after all of them: a timer for each, as asyncio.timeout has it, costs one part in twenty of what
answering a short query does, and all but none ever go off.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Any

LOOKS = 60
"""How often it is looked within the time that an operation has: by one part in so many it may outlast its deadline."""


@dataclass(slots=True)
class Deadlines:
    """The tasks that answer operations of one process, each of which has ``seconds_max`` from its start.

    Time goes by the number of looks, which are taken only while there is something to look at.
    """

    seconds_max: float
    _running: dict["asyncio.Task[Any]", int] = field(default_factory=dict)
    _look_number: int = 0
    _is_looking: bool = False
    _loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> "asyncio.Task[Any]":
        """The present task, which will be cancelled unless it comes to ``end`` in time."""
        if not self._is_looking:
            self._look_later()
        task = asyncio.current_task(self._loop)
        if task is None:
            raise RuntimeError("operations are answered by tasks")
        self._running[task] = self._look_number
        return task

    def has_ended(self, task: "asyncio.Task[Any]") -> bool:
        """Whether it was cancelled here, and by nobody else."""
        return task not in self._running and task.cancelling() <= 1

    def end(self, task: "asyncio.Task[Any]") -> bool:
        """Lets a task go, which is cancelled no longer; True where it was."""
        if self._running.pop(task, None) is not None:
            return False
        task.uncancel()
        return True

    def _look_later(self) -> None:
        self._is_looking = True
        self._loop = asyncio.get_running_loop()
        self._loop.call_later(self.seconds_max / LOOKS, self._look)

    def _look(self) -> None:
        self._look_number += 1
        # In the order of their start. Whatever began between two looks has begun at the later one.
        late = []
        for task, number in self._running.items():
            if number + LOOKS >= self._look_number:
                break
            late.append(task)
        for task in late:
            del self._running[task]
            task.cancel()
        self._is_looking = False
        if self._running:
            self._look_later()
