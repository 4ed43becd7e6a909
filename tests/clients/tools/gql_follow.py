"""gql follows reallocations over a WebSocket and, with the cursor of an event, from that event on."""

import asyncio
import json
import os
from typing import Any

from gql import Client, GraphQLRequest, gql
from gql.transport.httpx import HTTPXAsyncTransport
from gql.transport.websockets import WebsocketsTransport

FUND = """
query {
  funds(first: 1, filter: { nameContains: "Northlight Growth" }) {
    nodes { id allocationVersion companies(first: 1) { nodes { id plannedReservesCents } } }
  }
}
"""
COMMIT = """
mutation ($input: CommitReallocationInput!) {
  commitReallocation(input: $input) { fund { allocationVersion } userErrors { message } }
}
"""
COMMITTED = """
subscription ($fundId: ID, $after: String) {
  reallocationCommitted(fundId: $fundId, after: $after) { cursor reallocation { newVersion changes { deltaCents } } }
}
"""
URL, AUTHORIZATION = os.environ["TRANCHE_URL"], f"Bearer {os.environ['TRANCHE_TOKEN']}"


async def follow(**variables: Any) -> dict[str, Any]:
    """The next reallocation."""
    socket = WebsocketsTransport(URL.replace("http", "ws", 1), init_payload={"authorization": AUTHORIZATION})
    async with Client(transport=socket) as session:
        async for result in session.subscribe(GraphQLRequest(COMMITTED, variable_values=variables)):
            event: dict[str, Any] = result["reallocationCommitted"]
            return event
    raise AssertionError("the stream ended")


async def run() -> dict[str, Any]:
    """What was seen."""
    http = HTTPXAsyncTransport(URL, headers={"Authorization": AUTHORIZATION})
    async with Client(transport=http) as session:
        [fund] = (await session.execute(gql(FUND)))["funds"]["nodes"]
        [company] = fund["companies"]["nodes"]
        version, planned = fund["allocationVersion"], int(company["plannedReservesCents"])

        async def commit() -> None:
            nonlocal version, planned
            planned += 100
            proposals = [{"companyId": company["id"], "plannedReservesCents": planned}]
            given = {"fundId": fund["id"], "expectedVersion": version, "proposals": proposals}
            answer = await session.execute(GraphQLRequest(COMMIT, variable_values={"input": given}))
            version = answer["commitReallocation"]["fund"]["allocationVersion"]

        # What is committed before the stream has begun is not part of it, so this may take more than one.
        coming = asyncio.create_task(follow(fundId=fund["id"]))
        while not coming.done():
            await commit()
            await asyncio.wait([coming], timeout=1)
        event = coming.result()
        await commit()
        missed = await follow(fundId=fund["id"], after=event["cursor"])
    return {
        "deltas": [seen["reallocation"]["changes"][0]["deltaCents"] for seen in (event, missed)],
        "isNext": int(missed["reallocation"]["newVersion"]) == int(event["reallocation"]["newVersion"]) + 1,
    }


print(json.dumps(asyncio.run(run())))  # noqa: T201
