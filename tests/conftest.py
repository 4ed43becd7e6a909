"""A real PostgreSQL for the whole run, and a fresh database, migrated once and copied, for each test that wants one."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
import structlog

from api.db import embedded
from api.db.provisioning import prepare
from tests.server import RunningServer, start_server

SETTINGS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_connections": "300"}
TEMPLATE = "tranche_template"

# As it comes structlog shows a fault with all variables of all frames: with a whole schema among them, for a minute.
structlog.configure(
    processors=[
        structlog.processors.add_log_level,
        structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
    ]
)
_numbers = count(1)


def named(url: str, database: str) -> str:
    """The URL of another database of the same cluster."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{database}"))


async def _run(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


@pytest.fixture(scope="session")
def state_directory() -> Iterator[Path]:
    """Where the run's cluster lives: in memory where there is such a place."""
    memory = Path("/dev/shm")  # noqa: S108
    parent = memory if memory.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="tranche-tests-", dir=parent, ignore_cleanup_errors=True) as directory:
        path = Path(directory) / "state"
        yield path
        with suppress(embedded.EmbeddedDatabaseError):
            embedded.remove(path)


@pytest.fixture(scope="session")
def template_url(state_directory: Path) -> Iterator[str]:
    """The owner's URL of the migrated database that the tests' own are copied from."""
    with embedded.start(state_directory, settings=SETTINGS) as cluster:
        url = named(cluster.url, TEMPLATE)
        asyncio.run(_run(cluster.url, f"CREATE DATABASE {TEMPLATE}"))
        asyncio.run(prepare(url, state_directory))
        yield url


@pytest.fixture
async def database_url(template_url: str) -> AsyncIterator[str]:
    """The owner's URL of a fresh, migrated, empty database."""
    maintenance = named(template_url, "postgres")
    name = f"test_{next(_numbers)}"
    await _run(maintenance, f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} STRATEGY file_copy")
    yield named(template_url, name)
    await _run(maintenance, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def server(database_url: str, state_directory: Path) -> AsyncIterator[RunningServer]:
    """The application on a fresh database with the organizations alpha and beta, each with a member of every role."""
    async with start_server(database_url, state_directory) as running:
        yield running
