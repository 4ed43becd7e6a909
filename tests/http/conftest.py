"""One application for all tests of a file that expects nothing to be written."""

from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from tests.server import RunningServer, start_server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_server(
    request: pytest.FixtureRequest, template_url: str, state_directory: Path
) -> AsyncIterator[RunningServer]:
    """Like ``server``, but one for the whole file, with its ``SETTINGS``; its tests must run in the module's loop."""
    cluster, _, template = template_url.rpartition("/")
    name = request.module.__name__.rpartition(".")[2]
    maintenance = await asyncpg.connect(f"{cluster}/postgres")
    await maintenance.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
    settings = getattr(request.module, "SETTINGS", {})
    async with start_server(f"{cluster}/{name}", state_directory, **settings) as running:
        yield running
    await maintenance.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await maintenance.close()
