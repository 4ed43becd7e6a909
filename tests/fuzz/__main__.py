"""Starts a server on a fresh database; schemathesis sends it generated operations, and then come hostile connections.

``python -m tests.fuzz [SECONDS]``: so long for the operations, and half as long for the connections. The exit status is
0 where no answer and no line of the server's log told of a fault, and where in either part the server's memory did not
grow by more than a tenth after a fifth of the time. The cache of documents is filled first: generated documents take
minutes to do so.
"""

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from itertools import count, islice
from pathlib import Path

import httpx

from api.db import embedded
from api.db.provisioning import prepare
from api.graphql.schema import schema
from api.http.documents import DOCUMENTS_MAX, KEPT_BYTES_MAX
from tests.fuzz.documents import documents
from tests.fuzz.server import FuzzedServer, fuzzed
from tests.fuzz.sessions import hold_sessions

SECONDS = 600
WARM_UP = 0.2
GROWTH_MAX = 0.1
FULL = 0.95
"""Of the room for documents: one that is let go may be large."""
SIGN_IN = (
    'mutation { signIn(input: { email: "nobody@alpha.example", password: "no password" }) { userErrors { code } } }'
)


async def fuzz(owner_url: str, state_directory: Path, seconds: int) -> bool:
    """Whether a server of its own stands both."""
    await prepare(owner_url, state_directory)
    seeds = count(1)

    async def connections(seconds: int) -> bool:
        report = await hold_sessions(server, _while_there_is_time(seeds, seconds))
        _tell(f"{report.sessions} connections, which ended so: {dict(report.ends.most_common())}", *report.faults)
        return not report.faults

    async with fuzzed(owner_url, state_directory) as server:
        await fill(server)
        stood = [
            await stands(server, "operations", seconds, lambda seconds: run_schemathesis(server, seconds)),
            await stands(server, "connections", seconds // 2, connections),
        ]
        faults = server.logged_faults()
        _tell(f"The server's log: {len(faults)} faults", *faults[:20])
    return all(stood) and not faults


async def stands(server: FuzzedServer, name: str, seconds: int, send: Callable[[int], Awaitable[bool]]) -> bool:
    """Whether the server answers what is sent for so many seconds without a fault, its memory steady."""
    warm_up = round(seconds * WARM_UP)
    was_well = await send(warm_up)
    before = server.memory
    is_well = await send(seconds - warm_up)
    growth = server.memory / before - 1
    _tell(f"The server's memory with {name}: {before / 1e6:.0f} MB after {warm_up} s, then {growth:+.1%}.")
    return was_well and is_well and growth <= GROWTH_MAX


def _while_there_is_time(seeds: Iterator[int], seconds: int) -> Iterator[int]:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        yield next(seeds)


async def fill(server: FuzzedServer) -> None:
    """Has the server keep as many bytes of documents as it may, and makes sure of it; and hash a password.

    For that it takes 20 MB, which the C library keeps for the next.
    """
    made = documents(schema()._schema)
    async with httpx.AsyncClient(headers={"Authorization": server.token}, timeout=60) as client:
        await client.post(server.url, json={"query": SIGN_IN})
        while await _kept_bytes(client, server) < KEPT_BYTES_MAX * FULL:
            for document in islice(made, 50):
                for _ in range(2):
                    await client.post(server.url, json={"query": document})


async def _kept_bytes(client: httpx.AsyncClient, server: FuzzedServer) -> int:
    """What all kept documents weigh by the server's own estimate; fails where as many as may be weigh too little."""
    answer = await client.post(server.url, json={"query": "{ system { caches { name entryCount bytes } } }"})
    [cache] = [cache for cache in answer.json()["data"]["system"]["caches"] if cache["name"] == "documents"]
    assert cache["entryCount"] < DOCUMENTS_MAX, f"{DOCUMENTS_MAX} documents do not fill the cache: {cache}"
    return int(cache["bytes"])


async def run_schemathesis(server: FuzzedServer, seconds: int) -> bool:
    """Whether one run of schemathesis's command line finds nothing."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "schemathesis.cli", "run", server.url),
        *("--header", f"Authorization: {server.token}"),
        *("--checks", "is_explained", "--phases", "fuzzing", "--max-time", str(max(1, seconds))),
        *("--max-examples", "1000000", "--continue-on-failure", "--suppress-health-check", "all"),
        env=os.environ | {"SCHEMATHESIS_HOOKS": "tests.fuzz.hooks"},
    )
    return await process.wait() == 0


def _tell(*lines: str) -> None:
    for line in lines:
        print(line, flush=True)  # noqa: T201


def main() -> None:
    """Runs from the command line."""
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else SECONDS
    with tempfile.TemporaryDirectory(prefix="tranche-fuzz-", ignore_cleanup_errors=True) as directory:
        state_directory = Path(directory) / "state"
        try:
            with embedded.start(state_directory) as cluster:
                sys.exit(0 if asyncio.run(fuzz(cluster.url, state_directory, seconds)) else 1)
        finally:
            embedded.remove(state_directory)


if __name__ == "__main__":
    main()
