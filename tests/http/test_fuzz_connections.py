"""Hostile connections to a server process: whatever they bring, it goes on answering, and logs no fault."""

import os
from pathlib import Path

from tests.fuzz.frames import INTERNAL_ERROR
from tests.fuzz.server import fuzzed
from tests.fuzz.sessions import hold_sessions
from tests.fuzz.wire import Session, read_request, talk

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


async def test_no_request_of_several_fails_when_the_connection_is_refused(
    database_url: str, state_directory: Path
) -> None:
    async with fuzzed(database_url, state_directory) as server:
        for _ in range(5):
            await talk(server.port, Session(0, [read_request(server.token) * 2 + b"\x00\r\n\r\n"], hangs_up=False))
        # By the time that this is answered, so is all that came before.
        await talk(server.port, Session(0, [read_request(server.token)], hangs_up=False))
        assert server.logged_faults() == []
