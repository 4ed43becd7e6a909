"""sgqlc builds an operation out of the classes that it has generated from the server's introspection."""

import json
import os

import tranche_schema as tranche
from sgqlc.endpoint.http import HTTPEndpoint
from sgqlc.operation import Operation

endpoint = HTTPEndpoint(os.environ["TRANCHE_URL"], {"Authorization": f"Bearer {os.environ['TRANCHE_TOKEN']}"})

query = Operation(tranche.Query)
funds = query.funds(filter=tranche.FundFilter(name_contains="Northlight"), order_by=tranche.FundOrder(field="NAME"))
funds.nodes.__fields__("id", "name", "size_cents", "created_at")
funds.page_info.__fields__("has_next_page")
answer = endpoint(query)
read = (query + answer).funds

mutation = Operation(tranche.Mutation)
create = mutation.create_portfolio(
    input=tranche.CreatePortfolioInput(name="Sandpiper", currency="USD", idempotency_key="sgqlc")
)
create.portfolio.__fields__("name", "currency")
create.user_errors.__fields__("code")
written = (mutation + endpoint(mutation)).create_portfolio

print(  # noqa: T201
    json.dumps(
        {
            "names": [fund.name for fund in read.nodes],
            "sizes": [fund.size_cents for fund in read.nodes],
            "next": read.page_info.has_next_page,
            "zone": str(read.nodes[0].created_at.tzinfo),
            "written": [written.portfolio.name, written.portfolio.currency],
            "errors": list(written.user_errors),
        }
    )
)
