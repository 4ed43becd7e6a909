"""Hostile connections to a server process: whatever they bring, it goes on answering, and logs no fault."""

import os
from pathlib import Path

from tests.fuzz.frames import INTERNAL_ERROR
from tests.fuzz.server import fuzzed
from tests.fuzz.sessions import hold_sessions

SESSIONS = int(os.environ.get("TRANCHE_FUZZ_SESSIONS", "5000"))


async def test_server_stands_whatever_connections_bring(database_url: str, state_directory: Path) -> None:
    async with fuzzed(database_url, state_directory) as server:
        report = await hold_sessions(server, iter(range(SESSIONS)))
        assert report.faults == []
        assert server.logged_faults() == []
    assert report.sessions == SESSIONS
    # The sessions come to where they are meant to.
    assert {"200", "400", "silence", "close 1002", "close 1007", "close 4400"} <= report.ends.keys()
    assert f"close {INTERNAL_ERROR}" not in report.ends
