"""The database itself: which PostgreSQL it is, and how far it is migrated."""

from api.db import migrations
from api.db.pools import Snapshot

VERSION = "SELECT current_setting('server_version')"
REVISION = "SELECT version_num FROM alembic_version"


async def database_version(snapshot: Snapshot) -> str:
    """PostgreSQL's own word for its version, such as ``18.6``."""
    [[version]] = await snapshot.fetch(VERSION)
    return str(version)


async def current_revision(snapshot: Snapshot) -> str | None:
    """The revision that the database is at; None where there is none."""
    rows = await snapshot.fetch(REVISION)
    return rows[0][0] if rows else None


def newest_revision() -> str:
    """The revision that this code was written for."""
    return migrations.newest_revision()
