"""Compiled plans and resolvers give the same bytes, whatever is asked."""

import os
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import httpx
import orjson
import pytest

from api.domain.access import Role
from api.graphql.schema import schema
from api.http.app import create_app
from api.reads import global_ids
from tests.reads.generated_queries import QueryWriter
from tests.reads.population import populate
from tests.server import RunningServer

GENERATED = int(os.environ.get("TRANCHE_GENERATED_QUERIES", "2000"))
SEED = int(os.environ.get("TRANCHE_GENERATED_SEED", "1"))


@asynccontextmanager
async def resolvers_only(server: RunningServer) -> AsyncIterator[httpx.AsyncClient]:
    """A second application on the same database that answers everything by resolvers."""
    app = create_app(server.settings.model_copy(update={"compiled_queries": False}))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://resolvers.test") as client,
    ):
        yield client


async def ask(
    client: httpx.AsyncClient, server: RunningServer, query: str, variables: dict[str, Any]
) -> tuple[bytes, str]:
    """The response byte for byte, but for its debug extension and all of errors but their codes, and its path."""
    headers = {"Authorization": f"Bearer {server.tokens['alpha', Role.ADMIN]}", "X-Tranche-Debug": "1"}
    headers["X-Request-Id"] = "same"
    response = await client.post("/graphql", json={"query": query, "variables": variables}, headers=headers)
    content = response.content
    body = orjson.loads(content)
    path = body.get("extensions", {}).get("debug", {}).get("path", "refused")
    content = content.rpartition(b',"extensions":{"debug"')[0] or content
    if "errors" in body:
        # Errors come from the resolvers on both paths; which of several failing siblings is first, time decides.
        codes = sorted({error["extensions"]["code"] for error in body["errors"]})
        content = content.partition(b'"data":')[2] + orjson.dumps(codes)
    return content, path


# graphql-core drops the coroutines of fields whose sibling has failed; Python warns of each.
@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_generated_queries_get_the_same_bytes_on_both_paths(server: RunningServer) -> None:
    await populate(server)
    ids = await known_ids(server)
    cursors = await known_cursors(server)
    paths: Counter[str] = Counter()
    async with resolvers_only(server) as slow:
        for number in range(GENERATED):
            writer = QueryWriter(schema()._schema, Random(f"{SEED}/{number}"), ids, cursors)
            query, variables = writer.write()
            compiled, path = await ask(server.client, server, query, variables)
            resolved, _ = await ask(slow, server, query, variables)
            assert b"INTERNAL_SERVER_ERROR" not in resolved, (number, query, variables)
            assert compiled == resolved, (number, query, variables)
            paths[path] += 1
    # Errors are the resolvers' to say; of what is left, nearly everything has a plan.
    assert paths["compiled"] > 0.6 * GENERATED, paths


@pytest.mark.parametrize(
    "query",
    [
        # Edges of which nothing is left.
        "{ funds(last: 1) { nodes { companies(first: 2) { edges { node @skip(if: true) { id } } } } } }",
        # More root fields than plans take.
        "{ " + " ".join(f'f{number}: fund(id: "{number}") {{ name }}' for number in range(60)) + " }",
        # Arguments beside paging: defaults, null for a default, and ids that nobody has.
        "{ capitalSources { nodes { name isActive } } a: capitalSources(includeRemoved: null) { totalCount }"
        " b: capitalSources(includeRemoved: true, last: 2) { totalCount edges { cursor node { removedOn } } }"
        ' c: capitalHistory(sourceId: "x") { totalCount nodes { id } }'
        ' d: capitalHistory(from: "2024-12-30", actions: [REMOVED, ADDED]) { nodes { effectiveOn action } } }',
        # What belongs to a row out of other rows, with an argument's default, and JSON that is computed.
        "{ funds { nodes { reserveRanking { rank company { name } exitOnPlannedReserves plannedCents }"
        " none: reserveRanking(first: 0) { rank } one: reserveRanking(first: 1) { rank exitOnPlannedReservesReason }"
        " companies { nodes { moic { current onInitial onInitialReason onFollowOn exitOnPlannedReserves } } }"
        " snapshots { nodes { status metrics error } } } } }",
        # Sums out of other rows, an object that is computed of the row, edges from both ends, and rows that look alike.
        "{ funds { nodes { allocations(orderBy: {field: AMOUNT, direction: DESC}) { totalCount edges { cursor node {"
        " amountCents percentage status approval { decision decidedBy { email } reason } author { email } calledCents"
        " uncalledCents unpaidCents paidCents deal { name stage allocations(last: 2) { nodes { fund { name } } } }"
        " } } } } } deals(orderBy: {field: NAME}, filter: {stage: [INVESTED, CLOSING, INITIAL_REVIEW]}) { totalCount"
        " pageInfo { endCursor } nodes { name sector valuationCents allocations(filter: {status: PENDING_APPROVAL})"
        " { totalCount nodes { notes allocatedOn securityType } } } } }",
        # A list out of other rows beside what is computed, with edges to what it belongs to.
        "{ capitalCalls { nodes { id status outstandingCents overdueOn payments { id amountCents paidOn paymentType"
        " createdAt } allocation { status distributions { edges { cursor node { kind isRecallable } } }"
        " capitalCalls(filter: {status: [PAID, OVERDUE]}) { totalCount nodes { percentage paidCents } } } } }"
        ' none: capitalCalls(filter: {fundId: "x"}) { totalCount nodes { id } } }',
        # Equal values of a sort key that is unique only within a parent.
        "{ portfolios { nodes { holdings { nodes { statements { edges { cursor node { asOf } } } } } } } }",
    ],
)
async def test_documents_that_need_care_get_the_same_bytes_on_both_paths(server: RunningServer, query: str) -> None:
    await populate(server)
    async with resolvers_only(server) as slow:
        compiled, _ = await ask(server.client, server, query, {})
        resolved, _ = await ask(slow, server, query, {})
    assert b"errors" not in resolved
    assert compiled == resolved


NULL_FOR_DEFAULTS: list[tuple[str, dict[str, Any]]] = [
    ('query ($a: ID = "x") { node(id: $a) { id } }', {"a": None}),
    ('query ($a: ID = "x") { nodes(ids: ["y", $a]) { id } }', {"a": None}),
    ("query ($d: OrderDirection = DESC) { funds(orderBy: {field: NAME, direction: $d}) { totalCount } }", {"d": None}),
    ("query ($d: FundStatus = ACTIVE) { funds(filter: {status: [$d]}) { nodes { id } } }", {"d": None}),
    ("query ($d: ExposureDimension = FUND) { portfolios { nodes { exposure(by: $d) { label } } } }", {"d": None}),
    ("query ($d: CapitalAction = ADDED) { capitalHistory(actions: [$d]) { nodes { id } } }", {"d": None}),
    ("query ($d: Boolean = true) { funds(first: 1) { totalCount @skip(if: $d) } }", {"d": None}),
    ("query ($d: Boolean = false) { funds(first: 1) { totalCount x: totalCount @include(if: $d) } }", {"d": None}),
]


@pytest.mark.parametrize(("query", "variables"), NULL_FOR_DEFAULTS)
async def test_null_where_a_default_would_do_is_refused_on_both_paths(
    server: RunningServer, query: str, variables: dict[str, Any]
) -> None:
    """A nullable variable with a default may stand where null may not: only the request can tell that it is null."""
    await populate(server)
    async with resolvers_only(server) as slow:
        compiled, _ = await ask(server.client, server, query, variables)
        resolved, _ = await ask(slow, server, query, variables)
    assert b"BAD_USER_INPUT" in resolved
    assert compiled == resolved


async def test_conditions_of_another_operation_do_not_matter(server: RunningServer) -> None:
    query = "query One { funds { totalCount } } query Other ($s: Boolean!) { funds { totalCount @skip(if: $s) } }"
    headers = {"Authorization": f"Bearer {server.tokens['alpha', Role.ADMIN]}", "X-Tranche-Debug": "1"}
    response = await server.client.post("/graphql", json={"query": query, "operationName": "One"}, headers=headers)
    assert response.json()["data"] == {"funds": {"totalCount": 0}}
    assert response.json()["extensions"]["debug"]["path"] == "compiled"


async def known_ids(server: RunningServer) -> list[str]:
    """Global ids of rows of every table, of another organization's, and of nothing."""
    types = {"Fund": "funds", "PortfolioCompany": "portfolio_companies", "Portfolio": "portfolios"}
    types |= {"Holding": "portfolio_funds", "HoldingStatement": "holding_statements", "User": "users"}
    types |= {"Reallocation": "reallocation_audit", "Membership": "memberships", "Organization": "organizations"}
    types |= {"AuditEvent": "audit_events", "CapitalSource": "capital_sources"}
    types |= {"CapitalHistoryEntry": "capital_history", "Investment": "investments", "InvestmentLot": "investment_lots"}
    types |= {"ForecastSnapshot": "forecast_snapshots", "ReserveAllocation": "reserve_allocations"}
    types |= {"Deal": "deals", "DealAllocation": "deal_allocations"}
    types |= {
        "CapitalCall": "capital_calls",
        "CapitalCallPayment": "capital_call_payments",
        "Distribution": "distributions",
    }
    found = ["", "x", global_ids.encode("Fund", 999_999), global_ids.encode("Nothing", 1)]
    for type_name, table in types.items():
        for row in await server.owner.fetch(f"SELECT id FROM {table} ORDER BY id::text LIMIT 6"):
            found.append(global_ids.encode(type_name, row["id"]))
    return found


async def known_cursors(server: RunningServer) -> list[str]:
    """Cursors of several orders, and what is none."""
    query = """{
      byId: funds { edges { cursor } }
      byYear: funds(orderBy: { field: VINTAGE_YEAR }) { edges { cursor } }
      capitalCalls { edges { cursor node { allocation { distributions { edges { cursor } } } } } }
      capitalSources { edges { cursor node { history(first: 1) { edges { cursor } } } } }
      portfolios { edges { cursor node { holdings { edges { cursor node { statements { edges { cursor } } } } } } } }
    }"""
    found = ["", "nonsense"]
    pending: list[Any] = [(await server.execute(query, role=Role.ADMIN)).data]
    while pending:
        current = pending.pop()
        if isinstance(current, dict):
            found += [current["cursor"]] if "cursor" in current else []
            pending.extend(current.values())
        elif isinstance(current, list):
            pending.extend(current)
    return found[:30]
