"""API keys: a program's way in, with a role and an end, named in the log of what it does."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from api.domain.access import Role
from tests.people_client import CREATE_KEY, codes
from tests.server import RunningServer

VIEWER = "{ viewer { role user { email } organization { slug } memberships { role } } }"
CREATE_FUND = 'mutation { createFund(input: {name: "Fund I"}) { fund { id } userErrors { code } } }'
REVOKE = """
mutation ($input: RevokeApiKeyInput!) {
  revokeApiKey(input: $input) { apiKey { revokedAt } userErrors { code message field } }
}
"""
KEYS = "{ apiKeys { nodes { id name role lastUsedAt createdBy { email } } } }"
VERIFY = "{ auditVerification { isIntact } }"


async def create(server: RunningServer, *, role: str = "EDITOR", name: str = "Loader", **more: Any) -> Any:
    given = {"name": name, "role": role, **more}
    return (await server.execute(CREATE_KEY, {"input": given}, role=Role.ADMIN)).data["createApiKey"]


async def revoke(server: RunningServer, key_id: str) -> Any:
    return (await server.execute(REVOKE, {"input": {"id": key_id}}, role=Role.ADMIN)).data["revokeApiKey"]


def days(number: float) -> str:
    return (datetime.now(UTC) + timedelta(days=number)).isoformat()


async def test_key_acts_in_its_organization_with_its_role(server: RunningServer) -> None:
    key = await create(server)
    answer = await server.execute(VIEWER, token=key["secret"])
    nobody: dict[str, Any] = {"role": "EDITOR", "user": None, "organization": {"slug": "alpha"}, "memberships": []}
    assert answer.data["viewer"] == nobody
    assert (await server.execute(CREATE_FUND, token=key["secret"])).data["createFund"]["userErrors"] == []
    refused = await server.execute(KEYS, token=key["secret"])
    assert (refused.body["data"], refused.codes) == ({"apiKeys": None}, ["FORBIDDEN"])


async def test_log_names_the_key_and_stays_intact(server: RunningServer) -> None:
    key = await create(server)
    await server.execute(CREATE_FUND, token=key["secret"])
    await server.execute(KEYS, token=key["secret"])
    rows = await server.owner.fetch("SELECT action, actor_id, body FROM audit_events ORDER BY id DESC LIMIT 2")
    assert [(row["action"], row["actor_id"], json.loads(row["body"])["apiKey"]) for row in rows] == [
        ("apiKeys.refused", None, 1),
        ("fund.created", None, 1),
    ]
    verdict = await server.execute(VERIFY, role=Role.ADMIN)
    assert verdict.data["auditVerification"]["isIntact"] is True


async def test_secret_is_shown_once_and_kept_as_a_hash(server: RunningServer) -> None:
    key = await create(server, idempotencyKey="one")
    assert key["secret"].startswith(key["apiKey"]["prefix"])
    again = await create(server, idempotencyKey="one")
    assert (again["replayed"], again["secret"], again["apiKey"]["id"]) == (True, None, key["apiKey"]["id"])
    rows = await server.owner.fetch(
        "SELECT k::text AS text FROM api_keys k UNION ALL SELECT i::text FROM idempotency_keys i"
        " UNION ALL SELECT body FROM audit_events"
    )
    assert not any(key["secret"] in row["text"] for row in rows)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"name": " "}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"expiresAt": days(-0.001)}, "expiresAt"),
        ({"expiresAt": days(732)}, "expiresAt"),
    ],
)
async def test_key_with_a_fault_is_refused(server: RunningServer, given: dict[str, str], field: str) -> None:
    found = await create(server, **given)
    assert (codes(found), found["secret"]) == ([("INVALID_INPUT", [field])], None)


async def test_key_that_was_revoked_writes_nothing_at_once_and_reads_for_a_second(server: RunningServer) -> None:
    key = await create(server)
    assert (await server.execute(VIEWER, token=key["secret"])).status == 200
    assert (await revoke(server, key["apiKey"]["id"]))["apiKey"]["revokedAt"] is not None
    answer = await server.execute(CREATE_FUND, token=key["secret"])
    assert (answer.body["data"], answer.codes) == ({"createFund": None}, ["UNAUTHENTICATED"])
    await asyncio.sleep(1.05)
    assert (await server.execute(VIEWER, token=key["secret"])).codes == ["UNAUTHENTICATED"]
    assert codes(await revoke(server, key["apiKey"]["id"])) == [("INVALID_TRANSITION", ["id"])]


async def test_expired_key_is_refused(server: RunningServer) -> None:
    key = await create(server)
    await server.owner.execute("UPDATE api_keys SET expires_at = now()")
    assert (await server.execute(VIEWER, token=key["secret"])).codes == ["UNAUTHENTICATED"]


async def test_key_that_expires_is_not_remembered_for_longer(server: RunningServer) -> None:
    key = await create(server, expiresAt=days(0.3 / 86400))
    await asyncio.sleep(0.35)
    assert (await server.execute(VIEWER, token=key["secret"])).codes == ["UNAUTHENTICATED"]


@pytest.mark.parametrize("secret", ["tranche_", "tranche_x", "tranche_" + "x" * 43, "tranche_" + "x" * 5000])
async def test_unknown_key_is_refused(server: RunningServer, secret: str) -> None:
    await create(server)
    assert (await server.execute(VIEWER, token=secret)).codes == ["UNAUTHENTICATED"]


async def test_last_use_is_kept_to_the_minute(server: RunningServer) -> None:
    key = await create(server)
    assert key["apiKey"]["lastUsedAt"] is None

    async def used() -> Any:
        await server.execute(VIEWER, token=key["secret"])
        return await server.owner.fetchval("SELECT last_used_at FROM api_keys")

    first = await used()
    assert first is not None
    await asyncio.sleep(1.05)
    assert await used() == first
    await server.owner.execute("UPDATE api_keys SET last_used_at = last_used_at - interval '61 seconds'")
    await asyncio.sleep(1.05)
    assert await used() > first


async def test_administrators_list_keys(server: RunningServer) -> None:
    await create(server, name="First")
    await create(server, name="Second", role="VIEWER")
    nodes = (await server.execute(KEYS, role=Role.ADMIN)).data["apiKeys"]["nodes"]
    assert [(node["name"], node["role"], node["createdBy"]["email"]) for node in nodes] == [
        ("First", "EDITOR", "admin@alpha.example"),
        ("Second", "VIEWER", "admin@alpha.example"),
    ]
