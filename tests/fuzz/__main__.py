"""Starts a server on a fresh database and has schemathesis send it generated operations.

``python -m tests.fuzz [SECONDS]``; the exit status is 0 where no answer told of a fault of the server, and its memory
did not grow by more than a tenth after a fifth of the time. The cache of documents is filled first: generated documents
take minutes to do so.
"""

import asyncio
import os
import sys
import tempfile
from pathlib import Path

import asyncpg
import httpx
import psutil

from api.config import Settings
from api.db import embedded
from api.db.provisioning import prepare
from api.domain.access import Role
from api.http.documents import DOCUMENTS_MAX
from api.http.tokens import Tokens
from api.services.organizations import Member, create_organization
from tests.processes import free_port, serving

SECONDS = 600
WARM_UP = 0.2
GROWTH_MAX = 0.1
ADMIN = "admin@alpha.example"


async def fuzz(owner_url: str, state_directory: Path, seconds: int) -> int:
    """Runs schemathesis for so many seconds in all on a server of its own; the exit status."""
    await prepare(owner_url, state_directory)
    owner = await asyncpg.connect(owner_url)
    members = [Member(ADMIN, Role.ADMIN)]
    await create_organization(owner, name="Alpha", slug="alpha", currency="USD", members=members)
    user_id = await owner.fetchval("SELECT id FROM users WHERE email = $1", ADMIN)
    await owner.close()
    token = Tokens(Settings(state_dir=state_directory)).issue(user_id=user_id, email=ADMIN, organization_slug="alpha")
    port = free_port()
    async with serving(owner_url, state_directory, port) as server:
        memory = psutil.Process(server.pid).memory_info
        await fill(f"http://127.0.0.1:{port}/graphql", token)
        warm_up = round(seconds * WARM_UP)
        status = await run_schemathesis(port, token, warm_up)
        before = memory().rss
        status = await run_schemathesis(port, token, seconds - warm_up) or status
        growth = memory().rss / before - 1
    print(f"The server's memory: {before / 1e6:.0f} MB after {warm_up} s, then {growth:+.1%}.")  # noqa: T201
    return status or int(growth > GROWTH_MAX)


async def fill(url: str, token: str) -> None:
    """Has the server keep as many documents as it does, of about the size of the generated ones."""
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {token}"}, timeout=60) as client:
        for number in range(DOCUMENTS_MAX):
            fields = " ".join(f"a{number}_{index}: createdAt" for index in range(60))
            for _ in range(2):
                await client.post(url, json={"query": f"{{ funds(first: 1) {{ nodes {{ {fields} }} }} }}"})


async def run_schemathesis(port: int, token: str, seconds: int) -> int:
    """One run of schemathesis's command line; its exit status."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "schemathesis.cli", "run", f"http://127.0.0.1:{port}/graphql"),
        *("--header", f"Authorization: Bearer {token}"),
        *("--checks", "is_explained", "--phases", "fuzzing", "--max-time", str(max(1, seconds))),
        *("--max-examples", "1000000", "--continue-on-failure", "--suppress-health-check", "all"),
        env=os.environ | {"SCHEMATHESIS_HOOKS": "tests.fuzz.hooks"},
    )
    return await process.wait()


def main() -> None:
    """Runs from the command line."""
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else SECONDS
    with tempfile.TemporaryDirectory(prefix="tranche-fuzz-", ignore_cleanup_errors=True) as directory:
        state_directory = Path(directory) / "state"
        try:
            with embedded.start(state_directory) as cluster:
                sys.exit(asyncio.run(fuzz(cluster.url, state_directory, seconds)))
        finally:
            embedded.remove(state_directory)


if __name__ == "__main__":
    main()
