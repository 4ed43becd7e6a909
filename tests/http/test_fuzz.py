"""Random requests and random values: whatever comes, the answer is GraphQL and no fault of the server."""

import hashlib
import json
import os
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis_graphql import from_schema

from api.domain.access import Role
from api.graphql.schema import print_schema
from tests.fuzz.scalars import SCALARS
from tests.server import RunningServer

pytestmark = pytest.mark.asyncio(loop_scope="module")

EXAMPLES_MAX = int(os.environ.get("TRANCHE_FUZZ_EXAMPLES", "150"))
SETTINGS = {"batch_requests_max": 3, "cors_origins": "https://app.example"}
bounded = settings(max_examples=EXAMPLES_MAX, deadline=None, suppress_health_check=list(HealthCheck))
bounded_documents = settings(bounded, max_examples=EXAMPLES_MAX * 3)

CODES = {
    "UNAUTHENTICATED",
    "FORBIDDEN",
    "BAD_USER_INPUT",
    "GRAPHQL_PARSE_FAILED",
    "GRAPHQL_VALIDATION_FAILED",
    "QUERY_TOO_COMPLEX",
    "PERSISTED_QUERY_NOT_FOUND",
    # After ten failures to sign in with one address, which generated ones come to.
    "RATE_LIMITED",
}
STATUSES = {200, 400, 401, 405, 406, 413, 415, 429}
MUTATIONS = {
    "createFund": ("CreateFundInput", ["name", "currency", "sizeCents", "vintageYear", "strategy", "idempotencyKey"]),
    "createPortfolio": ("CreatePortfolioInput", ["name", "currency", "idempotencyKey"]),
    "createPortfolioCompany": (
        "CreatePortfolioCompanyInput",
        ["fundId", "name", "stage", "investedCents", "allocationCapCents", "exitMoic", "ownership", "idempotencyKey"],
    ),
    "commitReallocation": (
        "CommitReallocationInput",
        ["fundId", "expectedVersion", "proposals", "reason", "idempotencyKey"],
    ),
    "recordHoldingStatements": ("RecordHoldingStatementsInput", ["statements", "idempotencyKey"]),
}
DOCUMENTS = [
    "{ viewer { role } }",
    "{ funds { totalCount nodes { id } } }",
    "query ($id: ID!, $after: String) { node(id: $id) { id } funds(after: $after) { totalCount } }",
    "query A { __typename } query B { organization { slug } }",
    "mutation ($input: CreateFundInput!) { createFund(input: $input) { replayed userErrors { code } } }",
]

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(), max_size=30)
    | st.sampled_from(
        ["USD", "1", "-1", "0.5", "2020-02-29", "RnVuZDox", "SEED", "9223372036854775807", "\x00", "\ud800"]
    )
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)
proposals = st.fixed_dictionaries({}, optional={"companyId": scalars, "plannedReservesCents": scalars, "x": scalars})
statements = st.fixed_dictionaries(
    {}, optional={"holdingId": scalars, "asOf": scalars, "navCents": scalars, "reportedIrr": scalars}
)
HASHES = [hashlib.sha256(document.encode()).hexdigest() for document in DOCUMENTS]
persisted_queries = (
    st.fixed_dictionaries(
        {}, optional={"version": st.just(1) | scalars, "sha256Hash": st.sampled_from(HASHES) | scalars, "x": scalars}
    )
    | values
)
payloads = st.fixed_dictionaries(
    {},
    optional={
        "query": st.sampled_from(DOCUMENTS) | st.text("{}()[]!:$@|.\"'\\#,&= \naqfn0-\u00e9", max_size=60) | values,
        "variables": st.dictionaries(st.sampled_from(["id", "after", "input"]), values) | values,
        "operationName": st.sampled_from(["A", "B", ""]) | values,
        "extensions": values | st.fixed_dictionaries({"persistedQuery": persisted_queries}),
        "documentId": st.sampled_from(HASHES).map(lambda digest: f"sha256:{digest}") | values,
    },
)
bodies = (payloads | st.lists(payloads, max_size=4) | values).map(lambda payload: json.dumps(payload).encode())
addresses = st.dictionaries(
    st.sampled_from(["query", "documentId", "operationName", "variables", "extensions", "x"]),
    st.sampled_from([*DOCUMENTS, *HASHES, "{}", "[]", "A"])
    | persisted_queries.map(lambda persisted: json.dumps({"persistedQuery": persisted}))
    | st.text(st.characters(codec="utf-8"), max_size=20),
)
HEADER_NAMES = [
    b"accept",
    b"content-type",
    b"content-length",
    b"authorization",
    b"x-request-id",
    b"origin",
    b"sec-fetch-site",
    b"apollo-require-preflight",
    b"access-control-request-method",
]
header_values = st.binary(max_size=40).map(lambda value: value.replace(b"\r", b"").replace(b"\n", b""))
headers = st.dictionaries(
    st.sampled_from(HEADER_NAMES),
    header_values
    | st.sampled_from([b"application/json", b"*/*", b"Bearer a.b.c", b"https://app.example", b"cross-site"]),
)


async def answer(
    server: RunningServer, content: bytes, given: dict[bytes, bytes], method: str = "POST", **more: Any
) -> dict[str, Any]:
    """The answer to a request, which is a well-formed GraphQL response; the last one of a batch."""
    token = server.tokens["alpha", Role.EDITOR].encode()
    sent = {b"content-type": b"application/json", b"authorization": b"Bearer " + token} | given
    response = await server.client.request(method, "/graphql", content=content, headers=sent, **more)
    assert response.status_code in STATUSES, response.text
    assert response.headers["x-content-type-options"] == "nosniff"
    answered = response.json()
    body: dict[str, Any] = {}
    for body in answered if isinstance(answered, list) else [answered]:
        assert body.keys() <= {"data", "errors", "extensions"}
        assert body.keys() & {"data", "errors"}
        for error in body.get("errors", ()):
            assert error["message"]
            assert error["extensions"]["code"] in CODES
    return body


@bounded
@given(content=st.binary(max_size=200) | bodies, given_headers=st.just({}) | headers)
async def test_any_request_gets_a_well_formed_answer(
    shared_server: RunningServer, content: bytes, given_headers: dict[bytes, bytes]
) -> None:
    await answer(shared_server, content, given_headers)


@bounded
@given(data=st.data())
async def test_any_value_is_taken_or_refused(shared_server: RunningServer, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(MUTATIONS)))
    type_name, fields = MUTATIONS[name]
    strategies: dict[str, st.SearchStrategy[Any]] = dict.fromkeys(fields, scalars)
    strategies["proposals"] = st.lists(proposals, max_size=3)
    strategies["statements"] = st.lists(statements, max_size=3)
    required = {field: strategies[field] for field in fields[:1]}
    value = data.draw(st.fixed_dictionaries(required, optional={field: strategies[field] for field in fields[1:]}))
    document = f"mutation ($input: {type_name}!) {{ {name}(input: $input) {{ userErrors {{ code message }} }} }}"
    body = await answer(shared_server, json.dumps({"query": document, "variables": {"input": value}}).encode(), {})
    if "data" in body:
        assert all(error["message"] for error in body["data"][name]["userErrors"])


@bounded
@given(parameters=addresses, given_headers=st.just({}) | headers, method=st.sampled_from(["GET", "OPTIONS", "PUT"]))
async def test_any_address_gets_a_well_formed_answer(
    shared_server: RunningServer, parameters: dict[str, str], given_headers: dict[bytes, bytes], method: str
) -> None:
    if method == "OPTIONS" and given_headers.get(b"origin") == b"https://app.example":
        given_headers = {name: value for name, value in given_headers.items() if name != b"origin"}
    await answer(shared_server, b"", given_headers, method, params=parameters)


@bounded_documents
@given(document=from_schema(print_schema(), custom_scalars=SCALARS, codec="utf-8"))
async def test_any_valid_document_is_answered_or_refused(shared_server: RunningServer, document: str) -> None:
    """Documents with all fields and arguments that the schema allows."""
    await answer(shared_server, json.dumps({"query": document}).encode(), {})
