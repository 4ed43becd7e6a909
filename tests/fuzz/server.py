"""A server process of its own to be fuzzed: what it logs, and how much memory it takes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import psutil

from api.config import Settings
from api.domain.access import Role
from api.http.tokens import Tokens
from api.services.organizations import Member, create_organization
from tests.processes import free_port, serving

ADMIN = "admin@alpha.example"
ENVIRONMENT = {
    # So that nothing is refused for having been asked for too often.
    "TRANCHE_COST_PER_MINUTE": "0",
    "TRANCHE_BATCH_REQUESTS_MAX": "3",
    "TRANCHE_CORS_ORIGINS": "https://app.example",
    "TRANCHE_LOG_LEVEL": "WARNING",
}
FAULTS = (b"Traceback", b'"level":"error"', b'"level":"critical"', b"never awaited", b"never retrieved")


@dataclass(frozen=True)
class FuzzedServer:
    """A running server; ``token`` is a whole Authorization header of an administrator's."""

    port: int
    token: str
    process: psutil.Process
    log: Path

    @property
    def url(self) -> str:
        """Where it answers GraphQL."""
        return f"http://127.0.0.1:{self.port}/graphql"

    @property
    def memory(self) -> int:
        """Bytes that it has in memory."""
        resident: int = self.process.memory_info().rss
        return resident

    def logged_faults(self) -> list[str]:
        """The lines of its log that tell of a fault."""
        told = [line for line in self.log.read_bytes().splitlines() if any(part in line for part in FAULTS)]
        return [line.decode(errors="replace")[:2_000] for line in told]


@asynccontextmanager
async def fuzzed(owner_url: str, state_directory: Path) -> AsyncIterator[FuzzedServer]:
    """A server on a migrated database without organizations."""
    owner = await asyncpg.connect(owner_url)
    members = [Member(ADMIN, Role.ADMIN)]
    await create_organization(owner, name="Alpha", slug="alpha", currency="USD", members=members)
    user_id = await owner.fetchval("SELECT id FROM users WHERE email = $1", ADMIN)
    await owner.close()
    token = Tokens(Settings(state_dir=state_directory)).issue(user_id=user_id, email=ADMIN, organization_slug="alpha")
    port, log = free_port(), state_directory / "fuzzed.log"
    with log.open("wb") as written:
        async with serving(owner_url, state_directory, port, log=written, **ENVIRONMENT) as process:
            yield FuzzedServer(port, f"Bearer {token}", psutil.Process(process.pid), log)
