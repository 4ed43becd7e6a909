"""The application as tests drive it: over its ASGI interface, on a real database, with real tokens."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import httpx
from pydantic import SecretStr

from api.config import Settings
from api.db.pools import Database
from api.db.provisioning import application_url
from api.domain.access import Principal, Role
from api.http.app import create_app
from api.http.tokens import Tokens
from api.services.organizations import Member, create_organization

ORGANIZATIONS = ("alpha", "beta")
CHEAP: dict[str, Any] = {
    "read_connections_max": 8,
    "password_memory_kib": 8,
    "password_iterations": 1,
    # What is taken of a caller's bucket is written: tests that compare all rows would see it.
    "cost_per_minute": 0,
    # So is what a worker does, whenever it gets to it.
    "worker": False,
}


@dataclass(frozen=True)
class Answer:
    """A GraphQL response with its status."""

    status: int
    body: dict[str, Any]

    @property
    def data(self) -> dict[str, Any]:
        """The data; fails on any error."""
        assert "errors" not in self.body, self.body["errors"]
        data: dict[str, Any] = self.body["data"]
        return data

    @property
    def codes(self) -> list[str]:
        """The codes of the top-level errors."""
        return [error["extensions"]["code"] for error in self.body.get("errors", [])]

    @property
    def statements(self) -> list[str]:
        """The SQL of the statements that were run, where ``debug`` was asked for."""
        return [statement["sql"] for statement in self.body["extensions"]["debug"]["statements"]]


@dataclass
class RunningServer:
    """The application, a client, the owner's connection and tokens by (organization, role)."""

    client: httpx.AsyncClient
    owner: asyncpg.Connection
    database: Database
    database_url: str
    settings: Settings
    organization_ids: dict[str, int] = field(default_factory=dict)
    tokens: dict[tuple[str, Role], str] = field(default_factory=dict)

    async def execute(
        self,
        query: str,
        variables: Mapping[str, Any] | None = None,
        *,
        role: Role = Role.EDITOR,
        organization: str = "alpha",
        token: str | None = None,
        debug: bool = False,
    ) -> Answer:
        """The answer to one operation, as a member of this role."""
        headers = {"Authorization": f"Bearer {token or self.tokens[organization, role]}"}
        if debug:
            headers["X-Tranche-Debug"] = "1"
        response = await self.client.post(
            "/graphql", json={"query": query, "variables": dict(variables or {})}, headers=headers
        )
        return Answer(response.status_code, response.json())

    def principal(self, role: Role = Role.EDITOR, organization: str = "alpha") -> Principal:
        """The system's principal in an organization."""
        return Principal(self.organization_ids[organization], None, role)


@asynccontextmanager
async def start_server(database_url: str, state_directory: Path, **settings: Any) -> AsyncIterator[RunningServer]:
    """The application on this database, which gets its organizations and members first."""
    chosen = Settings(
        state_dir=state_directory,
        application_database_url=SecretStr(application_url(database_url, state_directory)),
        **CHEAP | settings,
    )
    async with AsyncExitStack() as stack:
        owner = await asyncpg.connect(database_url)
        stack.push_async_callback(owner.close)
        organization_ids = {slug: await _create_organization(owner, slug) for slug in ORGANIZATIONS}
        app = create_app(chosen)
        await stack.enter_async_context(app.router.lifespan_context(app))
        client = await stack.enter_async_context(
            httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://tranche.test", timeout=60)
        )
        running = RunningServer(client, owner, app.state.database, database_url, chosen, organization_ids)
        await _issue_tokens(running)
        yield running


async def _create_organization(owner: asyncpg.Connection, slug: str) -> int:
    members = [Member(f"{role.value.lower()}@{slug}.example", role) for role in Role]
    return await create_organization(owner, name=slug.title(), slug=slug, currency="USD", members=members)


async def _issue_tokens(running: RunningServer) -> None:
    tokens = Tokens(running.settings)
    for slug in ORGANIZATIONS:
        for role in Role:
            email = f"{role.value.lower()}@{slug}.example"
            user_id = await running.owner.fetchval("SELECT id FROM users WHERE email = $1", email)
            running.tokens[slug, role] = tokens.issue(user_id=user_id, email=email, organization_slug=slug)
