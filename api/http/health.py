"""Whether the process lives, and whether it can serve."""

import asyncio

from api.db import migrations
from api.db.pools import Database

CHECK_SECONDS_MAX = 3


async def readiness(database: Database) -> dict[str, str]:
    """What the server depends on, each ``ok`` or a word for what is wrong."""
    try:
        async with asyncio.timeout(CHECK_SECONDS_MAX), database.reads.lent() as connection:
            revision = await migrations.current_revision(connection)
    except Exception:
        return {"database": "unreachable", "migrations": "unknown"}
    newest = migrations.newest_revision()
    return {"database": "ok", "migrations": "ok" if revision == newest else f"at {revision}, not {newest}"}
