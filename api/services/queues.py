"""Where writes wait inside the process, before they take a connection: waiters must not eat the pool."""

import asyncio
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass(slots=True)
class _Queue:
    semaphore: asyncio.Semaphore
    users: int = 0


@dataclass(slots=True)
class Queues:
    """Named semaphores that exist while somebody uses them."""

    capacity: int = 1
    _queues: dict[Hashable, _Queue] = field(default_factory=dict)

    @asynccontextmanager
    async def place(self, name: Hashable) -> AsyncIterator[None]:
        """Waits for one of the places under this name, first come first served."""
        queue = self._queues.setdefault(name, _Queue(asyncio.Semaphore(self.capacity)))
        queue.users += 1
        try:
            async with queue.semaphore:
                yield
        finally:
            queue.users -= 1
            if queue.users == 0:
                del self._queues[name]
