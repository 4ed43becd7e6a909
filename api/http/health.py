"""Whether the process lives, and whether it can serve."""

from api.db import migrations
from api.db.pools import Database

CHECK_SECONDS_MAX = 3


async def readiness(database: Database) -> dict[str, str]:
    """What the server depends on, each ``ok`` or a word for what is wrong."""
    try:
        async with database.reads.acquire(timeout=CHECK_SECONDS_MAX) as connection:
            revision = await connection.fetchval("SELECT version_num FROM alembic_version", timeout=CHECK_SECONDS_MAX)
    except Exception:
        return {"database": "unreachable", "migrations": "unknown"}
    newest = migrations.newest_revision()
    return {"database": "ok", "migrations": "ok" if revision == newest else f"at {revision}, not {newest}"}
