"""The reference clients, graphql-ws and graphql-sse, under Node against the running server."""

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from api.domain.access import Role
from api.reads.live.positions import encode_cursor, extent
from tests.http.live.clients import LiveServer, listening
from tests.server import RunningServer

HERE = Path(__file__).parent
SECONDS_MAX = 60
NODE = shutil.which("node")

IS_MISSING = NODE is None or not (HERE / "node_modules").is_dir()

pytestmark = pytest.mark.skipif(
    IS_MISSING and os.environ.get("TRANCHE_REQUIRE_NODE") != "1",
    reason="Node or the packages of tests/clients/live are missing",
)


@pytest.fixture
async def live(server: RunningServer) -> AsyncIterator[LiveServer]:
    """The application of ``server``, listening."""
    async with listening(server) as running:
        yield running


@pytest.mark.parametrize("kind", ["ws", "sse"])
async def test_client_queries_writes_and_follows(live: LiveServer, kind: str) -> None:
    alpha = live.server.organization_ids["alpha"]
    cursor = encode_cursor(alpha, (await extent(live.server.database, alpha)).last)
    process = await asyncio.create_subprocess_exec(
        NODE or "",
        str(HERE / "clients.mjs"),
        *(kind, str(live.port), live.server.tokens["alpha", Role.ADMIN]),
        env={"CURSOR": cursor},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(SECONDS_MAX):
            output, faults = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, faults.decode()
    assert json.loads(output) == {
        "query": {"data": {"viewer": {"role": "ADMIN"}}},
        "mutation": {"data": {"createFund": {"fund": {"name": f"{kind} 0"}, "userErrors": []}}},
        "again": ["fund.created"] * 4,
        "live": [1, 2, 3],
        "syntax": ["GRAPHQL_PARSE_FAILED"],
        "validation": ["GRAPHQL_VALIDATION_FAILED"],
        "cursor": ["BAD_USER_INPUT"],
        "two": [{"data": {"viewer": {"role": "ADMIN"}}}, {"data": {"__typename": "Query"}}],
    }
    await live.followers(0)
