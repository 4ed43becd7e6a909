"""The database that a command works on: the one in the settings, or the embedded one, started for it."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from api.config import Settings
from api.db import embedded
from api.db.pools import Database
from api.db.provisioning import owner_connection, prepare
from api.errors import ConfigurationError
from api.http.app import pool_limits

T = TypeVar("T")


@contextmanager
def found_database(settings: Settings) -> Iterator[str]:
    """The owner's URL of the database in the settings; the embedded one is joined or started meanwhile."""
    if settings.database_url is not None:
        yield settings.database_url.get_secret_value()
    elif settings.application_database_url is not None:
        raise ConfigurationError("TRANCHE_DATABASE_URL must be set for this: it needs the owner of the schema.")
    else:
        settings.check_database()
        with embedded.start(settings.state_dir, binaries=settings.postgres_bin_dir) as database:
            yield database.url


def with_database(settings: Settings, work: Callable[[str, Database], Coroutine[Any, Any, T]]) -> T:
    """Runs ``work`` with the owner's URL and the open pools of a database that is ready to serve."""

    async def run(owner_url: str) -> T:
        url = await prepare(owner_url, settings.state_dir)
        database = await Database.open(url, pool_limits(settings))
        try:
            return await work(owner_url, database)
        finally:
            await database.close()

    with found_database(settings) as owner_url:
        return asyncio.run(run(owner_url))


async def organization_of(owner_url: str, slug: str) -> int:
    """The id of the organization of this slug; raises ConfigurationError where there is none."""
    async with owner_connection(owner_url) as owner, owner.transaction():
        await owner.execute("SET LOCAL ROLE tranche_maintenance")
        organization_id: int | None = await owner.fetchval("SELECT id FROM organizations WHERE slug = $1", slug)
    if organization_id is None:
        raise ConfigurationError(f"There is no organization {slug}.")
    return organization_id
