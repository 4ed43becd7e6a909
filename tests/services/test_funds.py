"""Creating funds through GraphQL: exactly once per key, whoever races."""

import asyncio

from tests.server import RunningServer

CREATE = """
mutation ($input: CreateFundInput!) {
  createFund(input: $input) { fund { id name currency version } replayed userErrors { code field expected actual } }
}
"""


async def test_hundred_requests_with_one_key_make_one_fund(server: RunningServer) -> None:
    variables = {"input": {"name": "Fund I", "idempotencyKey": "one"}}
    answers = await asyncio.gather(*(server.execute(CREATE, variables) for _ in range(100)))
    payloads = [answer.data["createFund"] for answer in answers]
    assert sum(payload["replayed"] for payload in payloads) == 99
    assert len({payload["fund"]["id"] for payload in payloads}) == 1
    assert await server.owner.fetchval("SELECT count(*) FROM funds") == 1
    assert await server.owner.fetchval("SELECT count(*) FROM audit_events WHERE action = 'fund.created'") == 1
