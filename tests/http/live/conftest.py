"""The application under uvicorn on a port of its own, as WebSockets and streams need it."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.http.live.clients import LiveServer, listening
from tests.server import RunningServer


@pytest.fixture
async def live(server: RunningServer) -> AsyncIterator[LiveServer]:
    """The application of ``server``, listening."""
    async with listening(server) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_live(shared_server: RunningServer) -> AsyncIterator[LiveServer]:
    """The application of ``shared_server``, listening; its tests must run in the module's loop."""
    async with listening(shared_server) as running:
        yield running
