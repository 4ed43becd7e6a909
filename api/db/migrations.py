"""Alembic from code: bring a database to the newest revision, back, or compare it with the tables."""

from functools import cache
from pathlib import Path

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

MIGRATION_LOCK = 7_261_865_990
"""Advisory lock that keeps two servers from migrating one database at once."""

_INI = Path(__file__).parents[2] / "alembic.ini"


def _configuration(database_url: str) -> Config:
    configuration = Config(_INI)
    configuration.attributes["database_url"] = database_url
    return configuration


def upgrade(database_url: str, revision: str = "head") -> None:
    """Migrates up to ``revision``. Needs the owner's login; must not be called from a running event loop."""
    command.upgrade(_configuration(database_url), revision)


def downgrade(database_url: str, revision: str) -> None:
    """Migrates down to ``revision`` (``base`` empties the database)."""
    command.downgrade(_configuration(database_url), revision)


def check(database_url: str) -> None:
    """Raises alembic's CommandError where the tables and the database differ."""
    command.check(_configuration(database_url))


@cache
def newest_revision() -> str:
    """The revision that this code was written for."""
    head = ScriptDirectory.from_config(Config(_INI)).get_current_head()
    if head is None:
        raise LookupError("There are no migrations.")
    return head


async def current_revision(connection: asyncpg.Connection) -> str | None:
    """The revision that a database is at; None where it was never migrated."""
    if await connection.fetchval("SELECT to_regclass('public.alembic_version')") is None:
        return None
    revision: str | None = await connection.fetchval("SELECT version_num FROM alembic_version")
    return revision
