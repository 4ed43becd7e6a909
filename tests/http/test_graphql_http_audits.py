"""GraphQL over HTTP as the specification's own audits see it, in Node, against a real server."""

import asyncio
import json
import os
import shutil
from pathlib import Path

import pytest

from tests.processes import free_port, serving

FOLDER = Path(__file__).parents[1] / "clients" / "graphql_http_audits"
FORBIDDEN_BY_CSRF_PREVENTION = "5A70"
"""MAY accept application/x-www-form-urlencoded formatted GET requests: sent with no header, as any page can do it."""


async def run_audits(url: str) -> dict[str, tuple[str, str]]:
    """The outcome of each audit with its name and, where it failed, the reason."""
    process = await asyncio.create_subprocess_exec(
        "node", str(FOLDER / "audit.mjs"), url, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    results = [json.loads(line) for line in output.splitlines()]
    return {result["id"]: (result["status"], f"{result['name']}: {result.get('reason')}") for result in results}


async def test_all_audits_pass_but_the_one_that_would_allow_forgeries(database_url: str, state_directory: Path) -> None:
    if shutil.which("node") is None or not (FOLDER / "node_modules").is_dir():
        if os.environ.get("TRANCHE_REQUIRE_NODE"):
            pytest.fail("Node, or the packages in tests/clients/graphql_http_audits, are missing.")
        pytest.skip("needs Node, and `npm ci` in tests/clients/graphql_http_audits")
    port = free_port()
    async with serving(database_url, state_directory, port):
        outcomes = await run_audits(f"http://127.0.0.1:{port}/graphql")
    failed = {name: reason for name, (status, reason) in outcomes.items() if status != "ok"}
    assert len(outcomes) >= 60
    assert set(failed) == {FORBIDDEN_BY_CSRF_PREVENTION}, failed
