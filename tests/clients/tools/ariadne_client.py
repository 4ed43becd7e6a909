"""The client that ariadne-codegen has generated reads pages, follows global ids, writes and is refused."""

import asyncio
import json
import os
from decimal import Decimal
from typing import Any

from tranche_client import Client, UpdateFundInput


async def run() -> dict[str, Any]:
    """What was seen."""
    headers = {"Authorization": f"Bearer {os.environ['TRANCHE_TOKEN']}"}
    async with Client(os.environ["TRANCHE_URL"], headers) as client:
        page = (await client.funds(first=4)).funds
        rest = (await client.funds(first=4, after=page.page_info.end_cursor)).funds
        funds = page.nodes + rest.nodes
        moics = [company.exit_moic for fund in funds for company in fund.companies.nodes]
        assert all(isinstance(moic, Decimal) for moic in moics if moic is not None)
        fund = funds[-1]
        objects = await client.objects(ids=[fund.id, "nothing"])
        # What is not set is not sent, and so stays as it is; None clears.
        change = UpdateFundInput(id=fund.id, expected_version=fund.version, size_cents=2**53 + 1)
        written = (await client.update_fund(change)).update_fund
        refused = (await client.update_fund(change)).update_fund
        assert written is not None
        assert refused is not None
        return {
            "names": [fund.name for fund in funds],
            "zone": str(fund.created_at.tzinfo),
            "objects": [found and found.typename__ for found in objects.nodes],
            "written": written.fund.model_dump() if written.fund else None,
            "errors": [error.model_dump() for error in refused.user_errors],
        }


print(json.dumps(asyncio.run(run())))  # noqa: T201
