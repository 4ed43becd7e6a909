"""A server that is killed in the middle of a batch has stored none of it, and stores all of it when asked again."""

import asyncio
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from api.config import Settings
from api.domain.access import Role
from api.http.tokens import Tokens
from api.reads import global_ids
from api.services.organizations import Member, create_organization
from tests.processes import free_port, serving

ROWS = 10_000
CREATE = """mutation ($input: CreateHoldingActivitiesInput!) { createHoldingActivities(input: $input) {
  acceptedCount replayed userErrors { code } } }"""
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%append_audit%'"

SESSIONS = (
    "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'tranche app' AND datname = current_database()"
)


async def prepared(owner: asyncpg.Connection) -> str:
    """The global id of the only holding."""
    await create_organization(owner, name="A", slug="a", currency="USD", members=[Member("a@a.example", Role.ADMIN)])
    await owner.execute("INSERT INTO funds (organization_id, name, currency) VALUES (1, 'Fund', 'USD')")
    await owner.execute("INSERT INTO portfolios (organization_id, name, currency) VALUES (1, 'Portfolio', 'USD')")
    holding_id = await owner.fetchval(
        "INSERT INTO portfolio_funds (organization_id, portfolio_id, fund_id) VALUES (1, 1, 1) RETURNING id"
    )
    return global_ids.encode("Holding", holding_id)


async def test_kill_in_the_middle_of_a_batch_stores_none_of_it(database_url: str, state_directory: Path) -> None:
    owner = await asyncpg.connect(database_url)
    flow = {"holdingId": await prepared(owner), "activityType": "INVESTMENT", "occurredOn": "2024-01-31"}
    activities = [flow | {"amountCents": str(1 + number)} for number in range(ROWS)]
    body = {"query": CREATE, "variables": {"input": {"activities": activities, "idempotencyKey": "batch"}}}
    user_id = await owner.fetchval("SELECT id FROM users")
    port = free_port()

    async def post() -> Any:
        token = Tokens(Settings(state_dir=state_directory)).issue(
            user_id=user_id, email="a@a.example", organization_slug="a"
        )
        async with httpx.AsyncClient(headers={"Authorization": f"Bearer {token}"}, timeout=60) as client:
            return (await client.post(f"http://127.0.0.1:{port}/graphql", json=body)).json()

    async with serving(database_url, state_directory, port) as process:
        async with owner.transaction():
            # All rows are inserted by the time that the batch wants the head of the log, which is held.
            await owner.execute("SELECT FROM audit_heads FOR UPDATE")
            sent = asyncio.ensure_future(post())
            watcher = await asyncpg.connect(database_url)
            while not await watcher.fetchval(WAITING):  # noqa: ASYNC110 - nobody tells when a lock is waited for
                await asyncio.sleep(0.01)
            process.kill()
            with pytest.raises(httpx.TransportError):
                await sent
        while await watcher.fetchval(SESSIONS):  # noqa: ASYNC110 - nor when a session is over
            await asyncio.sleep(0.01)
        assert await watcher.fetchval("SELECT count(*) FROM holding_activity_log") == 0
        await watcher.close()
    async with serving(database_url, state_directory, port):
        stored = (await post())["data"]["createHoldingActivities"]
        assert stored == {"acceptedCount": ROWS, "replayed": False, "userErrors": []}
        assert (await post())["data"]["createHoldingActivities"]["replayed"]
    assert await owner.fetchval("SELECT count(*) FROM holding_activity_log") == ROWS
    await owner.close()
