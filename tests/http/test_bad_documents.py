"""Documents that ask for too much or are nested too deeply: answered or refused in seconds, with code and limit."""

import time
from typing import Any

import httpx
import pytest
from graphql import get_introspection_query

from api.domain.access import Role
from tests.server import Answer, RunningServer

pytestmark = pytest.mark.asyncio(loop_scope="module")

SECONDS_MAX = 10


@pytest.fixture
def server(shared_server: RunningServer) -> RunningServer:
    return shared_server


async def execute(server: RunningServer, document: str, variables: dict[str, Any] | None = None) -> Answer:
    """The answer, which must not keep anybody waiting, nor be a fault."""
    started = time.perf_counter()
    answer = await server.execute(document, variables)
    assert time.perf_counter() - started < SECONDS_MAX
    assert answer.status in (200, 400)
    assert "INTERNAL_SERVER_ERROR" not in answer.codes
    return answer


async def refusal(server: RunningServer, document: str) -> tuple[str, str]:
    """The code and message of the one error of a document that was not run."""
    answer = await execute(server, document)
    assert (answer.status, list(answer.body)) == (400, ["errors"])
    [error] = answer.body["errors"]
    return error["extensions"]["code"], error["message"]


async def test_document_of_10001_tokens_is_refused(server: RunningServer) -> None:
    aliases = " ".join(f"a{index}: __typename" for index in range(3_332))
    answer = await execute(server, f"{{ {aliases} b }}")
    assert answer.codes == ["QUERY_TOO_COMPLEX"]
    code, message = await refusal(server, f"{{ {aliases} b: c d }}")
    assert code == "GRAPHQL_PARSE_FAILED"
    assert "10000 tokens" in message


@pytest.mark.parametrize("depth", [1_000, 5_000])
@pytest.mark.parametrize(
    ("opening", "innermost", "closing"),
    [
        ("{ fund(id: 1) ", "{ id }", " }"),
        ("{ ... on Query ", "{ viewer { role } }", " }"),
        ("{ fund(id: 1) { companies { nodes ", "{ id }", " } } }"),
    ],
)
async def test_document_nested_deeply_is_refused(
    server: RunningServer, depth: int, opening: str, innermost: str, closing: str
) -> None:
    code, _ = await refusal(server, opening * depth + innermost + closing * depth)
    assert code in ("GRAPHQL_PARSE_FAILED", "GRAPHQL_VALIDATION_FAILED", "QUERY_TOO_COMPLEX")


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ("{a: ", "}")])
async def test_value_nested_deeply_is_refused(server: RunningServer, opening: str, closing: str) -> None:
    for depth in (50, 5_000):
        code, _ = await refusal(server, f'{{ fund(id: {opening * depth}"x"{closing * depth}) {{ id }} }}')
        assert code in ("GRAPHQL_PARSE_FAILED", "GRAPHQL_VALIDATION_FAILED")


@pytest.mark.parametrize("depth", [50, 500, 900])
async def test_variable_nested_deeply_is_refused(server: RunningServer, depth: int) -> None:
    value: Any = "x"
    for _ in range(depth):
        value = [value]
    answer = await execute(server, "query ($ids: [ID!]!) { nodes(ids: $ids) { id } }", {"ids": value})
    assert (answer.status, answer.codes) == (400, ["BAD_USER_INPUT"])


def chained(body: str, count: int, innermost: str = "id") -> str:
    """Fragments that each spread the next one wherever ``body`` says NEXT."""
    chain = [f"fragment F{index} on Fund {{ {body.replace('NEXT', f'...F{index + 1}')} }}" for index in range(count)]
    return f'{{ fund(id: "x") {{ ...F0 }} }} {" ".join(chain)} fragment F{count} on Fund {{ {innermost} }}'


TWICE = "a: companies { nodes { fund { NEXT } } } b: companies { nodes { fund { NEXT } } }"


async def test_fragments_that_double_24_times_are_refused(server: RunningServer) -> None:
    code, message = await refusal(server, chained(TWICE, 24))
    assert code == "QUERY_TOO_COMPLEX"
    assert message == "The document asks for 117440507 fields, its fragments written out; at most 5000."


@pytest.mark.parametrize("body", ["NEXT NEXT", "NEXT id NEXT", "... { NEXT } ... on Fund { NEXT }"])
async def test_spreads_that_double_24_times_are_refused(server: RunningServer, body: str) -> None:
    assert (await refusal(server, chained(body, 24)))[0] == "QUERY_TOO_COMPLEX"


async def test_chain_of_fragments_is_answered_while_it_is_short(server: RunningServer) -> None:
    assert (await execute(server, chained("NEXT id", 24))).data == {"fund": None}
    assert (await refusal(server, chained("NEXT", 1_000)))[0] == "GRAPHQL_VALIDATION_FAILED"


async def test_cycle_of_fragments_is_refused(server: RunningServer) -> None:
    document = '{ fund(id: "x") { ...A } } fragment A on Fund { id ...B } fragment B on Fund { ...A }'
    assert (await refusal(server, document))[0] == "GRAPHQL_VALIDATION_FAILED"


@pytest.mark.parametrize(
    "field", ["viewer { role }", 'node(id: "x") { id }', 'fund(id: "x") { id }', "...F", "...G", "__typename"]
)
async def test_thousand_root_fields_are_answered_in_time(server: RunningServer, field: str) -> None:
    aliases = " ".join(field if field.startswith(".") else f"a{index}: {field}" for index in range(1_000))
    used = {"...F": " fragment F on Query { viewer { role } }", "...G": " fragment G on Query { funds { totalCount } }"}
    await execute(server, f"{{ {aliases} }}{used.get(field, '')}")


async def anonymous(server: RunningServer, document: str) -> httpx.Response:
    started = time.perf_counter()
    response = await server.client.post("/graphql", json={"query": document})
    assert time.perf_counter() - started < SECONDS_MAX
    return response


async def test_anonymous_introspection_is_answered_once_a_document(server: RunningServer) -> None:
    query = get_introspection_query(specified_by_url=True, input_value_deprecation=True, directive_is_repeatable=True)
    assert len((await anonymous(server, query)).json()["data"]["__schema"]["types"]) > 50


@pytest.mark.parametrize(
    "listing",
    [
        "__schema { types { name fields { name args { name type { name } } type { name } } } }",
        '__type(name: "Query") { fields { args { type { name ofType { name } } } } }',
    ],
)
async def test_anonymous_introspection_of_a_thousand_aliases_is_refused(server: RunningServer, listing: str) -> None:
    root, _, selection = listing.partition("{")
    aliases = " ".join(f"a{index}: {root} {{ ...F }}" for index in range(600))
    type_name = "__Schema" if "__schema" in root else "__Type"
    response = await anonymous(server, f"{{ {aliases} }} fragment F on {type_name} {{ {selection}")
    assert response.status_code == 400
    [error] = response.json()["errors"]
    assert error["extensions"]["code"] == "QUERY_TOO_COMPLEX"
    assert error["message"].endswith("at most 500.") or error["message"].endswith("at most 5000.")


async def test_introspection_within_introspection_is_refused(server: RunningServer) -> None:
    document = "{ __schema { types { fields { type { fields { type { fields { name } } } } } } } }"
    response = await anonymous(server, document)
    assert (response.status_code, response.json()["errors"][0]["message"]) == (
        400,
        "Maximum introspection depth exceeded",
    )


async def test_at_most_twenty_faults_are_told(server: RunningServer) -> None:
    names = " ".join(f"field{index}" for index in range(4_999))
    answer = await execute(server, f"{{ viewer {{ {names} }} }}")
    assert answer.status == 400
    assert 20 <= len(answer.codes) <= 21
    assert set(answer.codes) == {"GRAPHQL_VALIDATION_FAILED"}


async def test_admin_may_not_make_the_server_verify_the_log_for_ever(server: RunningServer) -> None:
    aliases = " ".join(f"a{index}: auditVerification {{ isIntact }}" for index in range(1_000))
    started = time.perf_counter()
    answer = await server.execute(f"{{ {aliases} }}", role=Role.ADMIN)
    assert time.perf_counter() - started < SECONDS_MAX
    assert answer.status in (200, 400)
