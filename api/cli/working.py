"""The worker as a process of its own."""

import asyncio
import gc
import signal

from api.config import Settings
from api.db.event_bus import EventBus
from api.db.pools import Database
from api.http.app import COLLECTED_AFTER, pool_limits
from api.services.commands import Writer
from api.services.worker import worker_for


def run_worker(settings: Settings, url: str) -> None:
    """Works on the database at ``url``, as the server's login, until SIGINT or SIGTERM."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTED_AFTER)
    asyncio.run(_work(settings, url))


async def _work(settings: Settings, url: str) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    database = await Database.open(url, pool_limits(settings))
    bus = EventBus(url)
    bus.start()
    writer = Writer(database, settings.idempotency_days, bus)
    worker = worker_for(database, writer, bus, snapshot_seconds_max=settings.snapshot_seconds_max)
    worker.start()
    try:
        await stopped.wait()
    finally:
        await worker.close()
        await bus.close()
        await database.close()
