"""A server that starts repairs the sequences that were set back meanwhile, and starts where it cannot."""

import asyncio
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from api.config import Settings
from api.db.provisioning import prepare
from api.domain.access import Role
from api.http.tokens import Tokens
from api.services.organizations import Member, create_organization
from api.services.sequences import repair_at_start
from tests.processes import free_port, serving

FUNDS = 120
CREATE = """mutation ($name: String!) { createFund(input: { name: $name }) { fund { name } userErrors { code } } }"""


async def set_back(owner: asyncpg.Connection) -> None:
    """Funds that came with ids of their own, which their sequence knows nothing of."""
    await create_organization(owner, name="A", slug="a", currency="USD", members=[Member("a@a.example", Role.ADMIN)])
    await owner.execute(
        "INSERT INTO funds (id, organization_id, name, currency) SELECT n, 1, 'Loaded ' || n, 'USD'"
        " FROM generate_series(1, $1::int) AS n",
        FUNDS,
    )
    with pytest.raises(asyncpg.UniqueViolationError):
        await owner.execute("INSERT INTO funds (organization_id, name, currency) VALUES (1, 'Next', 'USD')")


@pytest.mark.parametrize("has_owner", [True, False], ids=["as the owner", "with the server's own login"])
async def test_sequence_set_back_is_repaired_before_the_first_insert(
    database_url: str, state_directory: Path, has_owner: bool
) -> None:
    owner = await asyncpg.connect(database_url)
    own_login = await prepare(database_url, state_directory)
    await set_back(owner)
    user_id = await owner.fetchval("SELECT id FROM users")
    port = free_port()
    variables = {} if has_owner else {"TRANCHE_DATABASE_URL": "", "TRANCHE_APPLICATION_DATABASE_URL": own_login}
    async with serving(database_url, state_directory, port, log=None, **variables):
        token = Tokens(Settings(state_dir=state_directory)).issue(
            user_id=user_id, email="a@a.example", organization_slug="a"
        )
        async with httpx.AsyncClient(headers={"Authorization": f"Bearer {token}"}, timeout=60) as client:

            async def create(number: int) -> Any:
                body = {"query": CREATE, "variables": {"name": f"New {number}"}}
                answer = (await client.post(f"http://127.0.0.1:{port}/graphql", json=body)).json()
                return answer["data"]["createFund"]

            made = await asyncio.gather(*(create(number) for number in range(20)))
    assert made == [{"fund": {"name": f"New {number}"}, "userErrors": []} for number in range(20)]
    first, last = await owner.fetchrow("SELECT min(id), max(id) FROM funds WHERE name LIKE 'New %'")
    assert (first, last) == (FUNDS + 1, FUNDS + 20)
    await owner.close()


async def test_writer_that_does_not_end_holds_up_a_start_for_seconds_and_no_longer(
    database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    owner = await asyncpg.connect(database_url)
    await set_back(owner)
    async with owner.transaction():
        await owner.execute("LOCK TABLE funds IN ROW EXCLUSIVE MODE")
        await repair_at_start(database_url, "tranche_maintenance")
    assert "sequences_not_repaired" in capsys.readouterr().out
    await repair_at_start(database_url, "tranche_maintenance")
    assert await owner.fetchval("SELECT nextval('funds_id_seq')") == FUNDS + 1
    await owner.close()
