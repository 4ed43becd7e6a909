"""Funds page by page, and a reallocation: previewed, committed, sent again, and refused as stale."""

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

from gql import Client, GraphQLRequest, gql
from gql.client import AsyncClientSession
from gql.transport.httpx import HTTPXAsyncTransport

FUNDS = gql("""
query Funds($first: Int!, $after: String) {
  funds(first: $first, after: $after, orderBy: { field: NAME }) {
    nodes { id name allocationVersion reserves { companyCount } }
    pageInfo { hasNextPage endCursor }
  }
}
""")

COMPANIES = gql("""
query Companies($fundId: ID!) {
  fund(id: $fundId) {
    companies(first: 2, orderBy: { field: PLANNED_RESERVES, direction: DESC }) {
      nodes { id name plannedReservesCents }
    }
  }
}
""")

PREVIEW = gql("""
mutation Preview($input: PreviewReallocationInput!) {
  previewReallocation(input: $input) {
    preview { isValid deltas { status deltaCents company { name } } issues { severity message } }
    userErrors { code message }
  }
}
""")

COMMIT = gql("""
mutation Commit($input: CommitReallocationInput!) {
  commitReallocation(input: $input) {
    reallocation { newVersion changes { companyName deltaCents } }
    replayed
    userErrors { code message expected actual }
  }
}
""")


async def execute(session: AsyncClientSession, request: GraphQLRequest, **variables: Any) -> dict[str, Any]:
    """The data of one operation; raises TransportQueryError on any top-level error."""
    return await session.execute(GraphQLRequest(request, variable_values=variables))


async def fund_pages(session: AsyncClientSession) -> AsyncIterator[list[dict[str, Any]]]:
    """The organization's funds by name, page by page."""
    after = None
    while True:
        page = (await execute(session, FUNDS, first=2, after=after))["funds"]
        yield page["nodes"]
        if not page["pageInfo"]["hasNextPage"]:
            return
        after = page["pageInfo"]["endCursor"]


async def reallocate(session: AsyncClientSession, fund: dict[str, Any]) -> None:
    """Moves a million from the company with the most planned reserves to the next."""
    source, target = (await execute(session, COMPANIES, fundId=fund["id"]))["fund"]["companies"]["nodes"]
    million = 100_000_000
    plan = {
        "fundId": fund["id"],
        "expectedVersion": fund["allocationVersion"],
        "proposals": [
            {"companyId": source["id"], "plannedReservesCents": int(source["plannedReservesCents"]) - million},
            {"companyId": target["id"], "plannedReservesCents": int(target["plannedReservesCents"]) + million},
        ],
    }
    preview = (await execute(session, PREVIEW, input=plan))["previewReallocation"]["preview"]
    moves = sorted(
        f"{delta['status']} {delta['deltaCents']}" for delta in preview["deltas"] if delta["deltaCents"] != "0"
    )
    print(f"The plan for {fund['name']}: {', '.join(moves)}; {'valid' if preview['isValid'] else preview['issues']}")

    commit = plan | {"reason": "Reserves follow the round", "idempotencyKey": str(uuid4())}
    for _attempt in range(2):
        payload = (await execute(session, COMMIT, input=commit))["commitReallocation"]
        version, changes = payload["reallocation"]["newVersion"], payload["reallocation"]["changes"]
        print(f"Committed as version {version}: {len(changes)} changes{', replayed' if payload['replayed'] else ''}")

    payload = (await execute(session, COMMIT, input=commit | {"idempotencyKey": str(uuid4())}))["commitReallocation"]
    [error] = payload["userErrors"]
    print(f"Refused: {error['code']}, expected {error['expected']}, found {error['actual']}")


async def main() -> None:
    """Runs the example."""
    transport = HTTPXAsyncTransport(
        os.environ["TRANCHE_URL"], headers={"Authorization": f"Bearer {os.environ['TRANCHE_TOKEN']}"}
    )
    async with Client(transport=transport, fetch_schema_from_transport=True) as session:
        pages = [page async for page in fund_pages(session)]
        funds = [fund for page in pages for fund in page]
        print(f"{len(funds)} funds in {len(pages)} pages")
        await reallocate(session, next(fund for fund in funds if fund["reserves"]["companyCount"]))


asyncio.run(main())
