"""Real server processes, for tests that kill them."""

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO

import httpx

READY_SECONDS_MAX = 60


def free_port() -> int:
    """A port that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@asynccontextmanager
async def serving(
    database_url: str, state_directory: Path, port: int, *options: str, log: IO[bytes] | None = None, **variables: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """``tranche serve`` on this database, ready to answer; killed at the end if it still runs.

    It writes to ``log`` where one is given, and has these environment variables beside its parent's.
    """
    own = {"TRANCHE_DATABASE_URL": database_url, "TRANCHE_STATE_DIR": str(state_directory)}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "api", "serve", "--port", str(port), *options),
        env=os.environ | own | variables,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL if log is None else log,
    )
    try:
        await _until_ready(process, port)
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@asynccontextmanager
async def working(
    database_url: str, state_directory: Path, **variables: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """``tranche worker`` on this database, which it may not have reached yet; killed at the end if it still runs."""
    own = {"TRANCHE_DATABASE_URL": database_url, "TRANCHE_STATE_DIR": str(state_directory)}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "api", "worker"),
        env=os.environ | own | variables,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _until_ready(process: asyncio.subprocess.Process, port: int) -> None:
    async with httpx.AsyncClient() as client, asyncio.timeout(READY_SECONDS_MAX):
        while process.returncode is None:
            try:
                if (await client.get(f"http://127.0.0.1:{port}/health/ready")).status_code == httpx.codes.OK:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.05)
    raise AssertionError(f"the server ended with {process.returncode}")
