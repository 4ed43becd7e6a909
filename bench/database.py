"""The benchmarks' database: an embedded PostgreSQL with default durability, organizations of the same data."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import asyncpg
import psutil
from pydantic import SecretStr

from api.config import Settings
from api.db import embedded
from api.db.provisioning import owner_connection, prepare
from api.domain.access import Role
from api.http.tokens import Tokens
from api.services.organizations import Member, create_organization

ORGANIZATIONS = ("bench", "other")
CONNECTIONS_MAX = 300
HERE = Path(__file__).parent


@dataclass(frozen=True)
class BenchDatabase:
    """A filled database. ``tokens`` and ``organization_ids`` are in the order of its organizations."""

    owner_url: str
    server_url: str
    state_directory: Path
    version: str
    postmaster: psutil.Process
    organization_ids: tuple[int, ...]
    tokens: tuple[str, ...]


Load = Callable[[asyncpg.Connection, Sequence[int]], Awaitable[None]]
"""Fills the organizations of these ids, as the owner."""


async def load_queried(owner: asyncpg.Connection, _organization_ids: Sequence[int]) -> None:
    """What the five queries ask for, in two organizations."""
    async with owner.transaction():
        await owner.execute("SET LOCAL ROLE tranche_maintenance")
        await owner.execute((HERE / "data.sql").read_text())
    await owner.execute((HERE / "postgraphile.sql").read_text())


@contextmanager
def filled_database(
    state_directory: Path,
    slugs: Sequence[str] = ORGANIZATIONS,
    load: Load = load_queried,
    settings: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[BenchDatabase]:
    """A running, filled, vacuumed and analysed database below this directory, which is removed afterwards.

    ``settings`` are PostgreSQL's, beside those that all benchmarks have.
    """
    settings = {"max_connections": str(CONNECTIONS_MAX), **settings}
    with embedded.start(state_directory, settings=settings) as running:
        yield asyncio.run(_fill(running.url, state_directory, slugs, load))
    embedded.remove(state_directory)


async def _fill(owner_url: str, state_directory: Path, slugs: Sequence[str], load: Load) -> BenchDatabase:
    server_url = await prepare(owner_url, state_directory)
    tokens = Tokens(Settings(state_dir=state_directory, application_database_url=SecretStr(server_url)))
    async with owner_connection(owner_url) as owner:
        ids, issued = [], []
        for slug in slugs:
            members = [Member(f"{role.value.lower()}@{slug}.example", role) for role in Role]
            ids.append(await create_organization(owner, name=slug, slug=slug, currency="USD", members=members))
            email = members[-1].email
            user_id = await owner.fetchval("SELECT id FROM users WHERE email = $1", email)
            issued.append(tokens.issue(user_id=user_id, email=email, organization_slug=slug))
        await load(owner, ids)
        await owner.execute("VACUUM (FREEZE, ANALYZE)")
        await owner.execute("CHECKPOINT")
        backend = psutil.Process(await owner.fetchval("SELECT pg_backend_pid()"))
        postmaster = backend.parent()
        if postmaster is None:
            raise RuntimeError("PostgreSQL's backend has no parent.")
        version = await owner.fetchval("SHOW server_version")
    return BenchDatabase(owner_url, server_url, state_directory, version, postmaster, tuple(ids), tuple(issued))
