"""A server that is killed loses nothing that it has acknowledged, and repeats nothing."""

import asyncio
from pathlib import Path

import asyncpg
import httpx

from api.config import Settings
from api.domain.access import Role
from api.http.tokens import Tokens
from api.services.organizations import Member, create_organization
from tests.processes import free_port, serving

CREATES = 1000
CLIENTS = 20
ACKNOWLEDGED_BEFORE_THE_KILL = 300
CREATE = """
mutation ($input: CreateFundInput!) { createFund(input: $input) { fund { id } replayed userErrors { code } } }
"""


async def create(client: httpx.AsyncClient, number: int) -> str | None:
    """The id of the fund of this number, created or replayed; None where no answer came."""
    variables = {"input": {"name": f"Fund {number}", "idempotencyKey": f"key {number}"}}
    try:
        response = await client.post("/graphql", json={"query": CREATE, "variables": variables})
    except httpx.TransportError:
        return None
    payload = response.json()["data"]["createFund"]
    assert payload["userErrors"] == []
    fund_id: str = payload["fund"]["id"]
    return fund_id


async def test_kill_during_a_thousand_creates_loses_and_repeats_nothing(
    database_url: str, state_directory: Path
) -> None:
    owner = await asyncpg.connect(database_url)
    await create_organization(owner, name="A", slug="a", currency="USD", members=[Member("a@a.example", Role.ADMIN)])
    user_id = await owner.fetchval("SELECT id FROM users")
    token = Tokens(Settings(state_dir=state_directory)).issue(
        user_id=user_id, email="a@a.example", organization_slug="a"
    )
    port = free_port()
    # Several clients: the pool of one takes quadratic time for a thousand requests at once.
    clients = [
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers={"Authorization": f"Bearer {token}"}, timeout=60)
        for _ in range(CLIENTS)
    ]
    acknowledged: dict[int, str] = {}
    async with serving(database_url, state_directory, port) as process:

        async def create_and_note(number: int) -> None:
            fund_id = await create(clients[number % CLIENTS], number)
            if fund_id is not None:
                acknowledged[number] = fund_id
                if len(acknowledged) == ACKNOWLEDGED_BEFORE_THE_KILL:
                    process.kill()

        await asyncio.gather(*(create_and_note(number) for number in range(CREATES)))
    assert ACKNOWLEDGED_BEFORE_THE_KILL <= len(acknowledged) < CREATES

    async with serving(database_url, state_directory, port):
        again = await asyncio.gather(*(create(clients[number % CLIENTS], number) for number in range(CREATES)))
    assert {number: again[number] for number in acknowledged} == acknowledged
    assert len(set(again)) == CREATES
    assert await owner.fetchval("SELECT count(*) FROM funds") == CREATES
    assert await owner.fetchval("SELECT count(*) FROM audit_events WHERE action = 'fund.created'") == CREATES
    for client in clients:
        await client.aclose()
    await owner.close()
