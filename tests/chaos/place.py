"""Two server processes on one database, which are killed and started again, and whose listening is cut."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import asyncpg

from api.config import Settings
from api.domain.access import Role
from api.http.tokens import Tokens
from api.services.organizations import Member, create_organization
from tests.processes import serving

SERVERS = 2
READY_SECONDS_MAX = 60
CUT = (
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
    " WHERE application_name = 'tranche events' AND datname = current_database()"
)


@dataclass
class Place:
    """The servers, and what their clients need. ``kills`` and ``cuts`` count what was done to them."""

    owner: asyncpg.Connection
    organization_id: int
    token: str
    ports: list[int]
    random: Random
    processes: dict[int, asyncio.subprocess.Process] = field(default_factory=dict)
    is_up: asyncio.Event = field(default_factory=asyncio.Event)
    kills: int = 0
    cuts: int = 0

    @property
    def headers(self) -> dict[str, str]:
        """What each request says of who sends it."""
        return {"Authorization": f"Bearer {self.token}"}

    def url(self, scheme: str = "http") -> str:
        """One of the servers, whether or not it is there."""
        return f"{scheme}://127.0.0.1:{self.random.choice(self.ports)}/graphql"

    async def wait_until_up(self) -> None:
        """Returns once all servers answer."""
        async with asyncio.timeout(READY_SECONDS_MAX):
            await self.is_up.wait()

    async def disturb(self, seconds: tuple[float, float]) -> None:
        """By turns kills a server and cuts the listening connections, with pauses of so many seconds, for ever."""
        while True:
            await asyncio.sleep(self.random.uniform(*seconds))
            if self.kills <= self.cuts:
                await self.wait_until_up()
                self.processes[self.random.choice(self.ports)].kill()
                self.kills += 1
            elif await self.owner.fetchval(CUT):
                self.cuts += 1


@asynccontextmanager
async def place(owner_url: str, state_directory: Path, seed: int) -> AsyncIterator[Place]:
    """Both servers on this migrated database, which gets its organization first; each comes back when it is killed."""
    owner = await asyncpg.connect(owner_url)
    member = Member("ada@alpha.example", Role.ADMIN)
    organization_id = await create_organization(owner, name="Alpha", slug="alpha", currency="USD", members=[member])
    user_id = await owner.fetchval("SELECT id FROM users WHERE email = $1", member.email)
    token = Tokens(Settings(state_dir=state_directory)).issue(
        user_id=user_id, email=member.email, organization_slug="alpha"
    )
    random = Random(seed)
    made = Place(owner, organization_id, token, _ports(random), random)
    # A server that does not come back ends everything.
    async with asyncio.TaskGroup() as keepers:
        keeping = [keepers.create_task(_keep(made, port, owner_url, state_directory)) for port in made.ports]
        try:
            await made.wait_until_up()
            yield made
        finally:
            for task in keeping:
                task.cancel()
    await owner.close()


def _ports(random: Random) -> list[int]:
    """Free ports that no client is given for its own end: one of those could be taken while its server is down."""
    found: list[int] = []
    while len(found) < SERVERS:
        port = random.randrange(20_000, 30_000)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            found.append(port)
    return found


async def _keep(made: Place, port: int, owner_url: str, state_directory: Path) -> None:
    while True:
        async with serving(owner_url, state_directory, port) as process:
            made.processes[port] = process
            if len(made.processes) == len(made.ports):
                made.is_up.set()
            await process.wait()
            made.is_up.clear()
            del made.processes[port]
