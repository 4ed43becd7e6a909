"""Planning is linear in the document, statements stay short and few, caches are bounded: whatever is asked.

Nothing here goes by the clock: work is counted in function calls and characters of SQL.
"""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from api.http.documents import DOCUMENTS_MAX
from api.reads import compiled, global_ids
from api.reads.compiled.plans import VARIANTS_MAX
from api.reads.compiled.statements import SHAPES_MAX
from tests.reads.planning import Counted, coerced, documents, plan, plans, statement
from tests.server import RunningServer

CALLS_PER_CHARACTER_MAX = 50
"""Function calls that reading a document and planning it may take for each of its characters."""
SQL_CHARACTERS_MAX = 1_000_000
"""As long as the body of a request may be."""
STATEMENTS_MAX = 1_000
TYPED = {"BAD_USER_INPUT", "GRAPHQL_PARSE_FAILED", "GRAPHQL_VALIDATION_FAILED", "QUERY_TOO_COMPLEX"}


def nested(levels: int, *, of_page: str = "") -> str:
    """Funds, their companies, the fund of each, its companies and so on: so many edges, the first one the root."""
    opening = closing = ""
    for level in range(levels):
        if level == 0:
            opening, closing = f"funds(first: 1) {{ {of_page} nodes {{ name ", "} }"
        elif level % 2:
            opening, closing = f"{opening} companies(first: 1) {{ {of_page} nodes {{ name ", f"}} }} {closing}"
        else:
            opening, closing = f"{opening} fund {{ name ", f"}} {closing}"
    return f"{{ {opening} {closing} }}"


PAGES = pytest.mark.parametrize(
    "of_page", ["", "totalCount", "pageInfo { endCursor hasNextPage }"], ids=["texts", "totals", "records"]
)


@PAGES
async def test_ten_levels_are_compiled_to_one_statement_the_first_time(server: RunningServer, of_page: str) -> None:
    await insert_funds(server, 3)
    answer = await server.execute(nested(10, of_page=of_page), debug=True)
    assert answer.body["extensions"]["debug"]["path"] == "compiled"
    [sql] = answer.statements
    assert len(sql) < 600 * 10
    level, depth = answer.data["funds"]["nodes"][0], 1
    while "companies" in level or "fund" in level:
        level = level["companies"]["nodes"][0] if "companies" in level else level["fund"]
        depth += 1
    assert depth == 10


@PAGES
async def test_statement_grows_with_the_levels_in_a_straight_line(server: RunningServer, of_page: str) -> None:
    lengths = [len(await statement(server, plans(nested(levels, of_page=of_page)), {})) for levels in range(2, 15, 2)]
    steps = [after - before for before, after in pairwise(lengths)]
    # Names of aliases and parameters get longer by a digit here and there.
    assert max(steps) - min(steps) < 40


@PAGES
async def test_fields_are_visited_so_many_times_for_each_level(server: RunningServer, of_page: str) -> None:
    await insert_funds(server, 3)
    visits = []
    # The first one also makes what is made only once.
    for levels in (2, *range(2, 15, 2)):
        operation = plans(nested(levels, of_page=of_page))
        with Counted(str(Path(compiled.__file__).parent)) as counted:
            await statement(server, operation, {})
        visits.append(counted.calls)
    steps = [after - before for before, after in pairwise(visits[1:])]
    assert min(steps) > 0
    assert max(steps) - min(steps) <= 4


@PAGES
def test_reading_and_planning_grow_with_the_levels_in_a_straight_line(of_page: str) -> None:
    def calls(levels: int) -> int:
        with Counted() as counted:
            assert plan(nested(levels, of_page=of_page))
        return counted.calls

    # What is made only once is made before.
    calls(14)
    assert calls(14) - calls(8) <= 1.2 * (calls(8) - calls(2))


def aliased(field: str, count: int, prefix: str = "a") -> str:
    return " ".join(f"{prefix}{number}: {field}" for number in range(count))


def chained(body: str, count: int) -> str:
    """Fragments that each spread the next one wherever ``body`` says NEXT."""
    chain = [f"fragment F{number} on Fund {{ {body.replace('NEXT', f'...F{number + 1}')} }}" for number in range(count)]
    return f"{{ funds {{ nodes {{ ...F0 }} }} }} {' '.join(chain)} fragment F{count} on Fund {{ name }}"


FUND = global_ids.encode("Fund", 1)
CONNECTIONS = "a: companies(first: 1) { nodes { fund { NEXT } } } b: companies(first: 1) { nodes { fund { NEXT } } }"
IN_COMPANIES = "{{ funds(first: 2) {{ nodes {{ companies(first: 2) {{ nodes {{ {} }} }} }} }} }}"
IN_FUNDS = "{{ funds(first: 2) {{ nodes {{ {} }} }} }}"
AT_ROOT = "{{ {} }}"
FUND_ROW = f'fund(id: "{FUND}") {{ name }}'
ELSEWHERE = " fragment F on Fund {{ {}: name }}"
LONG = "long" * 2_500
LITERALS = '"s" ' * 9_000

HOSTILE: dict[str, str] = {
    **{f"fragments that double {count} times": chained(CONNECTIONS, count) for count in (4, 8, 20, 30)},
    "spreads that double 30 times": chained("NEXT ...{ NEXT }", 30),
    "1,000 connections": IN_FUNDS.format(aliased("companies(first: 1) { nodes { name } }", 1_000)),
    "60 connections in a row": IN_FUNDS.format(aliased("companies(first: 1) { nodes { name } }", 59)),
    "61 connections in a row": IN_FUNDS.format(aliased("companies(first: 1) { nodes { name } }", 60)),
    "60 connections with totals and cursors": IN_FUNDS.format(
        aliased("companies(first: 1) { totalCount edges { cursor } nodes { name } }", 59)
    ),
    "45 connections within each other": nested(90),
    "30 pages within each other": nested(60, of_page="pageInfo { endCursor }"),
    "1,900 fields": IN_FUNDS.format(aliased("createdAt", 1_900)),
    "1,900 ids": IN_FUNDS.format(aliased("id", 1_900)),
    "2,100 fields": IN_FUNDS.format(aliased("createdAt", 2_100)),
    **{f"{count} batches": IN_FUNDS.format(aliased("reserves { plannedCents }", count)) for count in (50, 400)},
    "400 edges of a plain object": IN_FUNDS.format(
        f"reallocations {{ nodes {{ changes {{ {aliased('company { name }', 400)} }} }} }}"
    ),
    "900 to-one edges": IN_COMPANIES.format(aliased("fund { name }", 900)),
    **{f"{count} root rows": AT_ROOT.format(aliased(FUND_ROW, count)) for count in (100, 900)},
    "100 root nodes": AT_ROOT.format(aliased('node(id: "x") { id }', 100)),
    "600 root nodes": AT_ROOT.format(aliased('node(id: "x") { ... on Fund { name } }', 600)),
    **{f"{count} root connections": AT_ROOT.format(aliased("funds { nodes { name } }", count)) for count in (60, 100)},
    "180 inline fragments": IN_FUNDS.format("... on Fund { " * 180 + "name" + " }" * 180),
    "an alias of 10,000 characters": IN_FUNDS.format(f"{LONG}: name"),
    "an alias of 10,000 characters in 50 connections": (
        IN_FUNDS.format(aliased("companies(first: 1) { nodes { fund { ...F } } }", 50)) + ELSEWHERE.format(LONG)
    ),
    "an alias of 10,000 characters in 900 edges": (
        IN_COMPANIES.format(aliased("fund { ...F }", 900)) + ELSEWHERE.format(LONG)
    ),
    "90 aliases of 10,000 characters": IN_FUNDS.format(aliased("name", 90, LONG)),
    "a filter of 9,000 literals": AT_ROOT.format(f"funds(filter: {{strategy: [{LITERALS}]}}) {{ totalCount }}"),
    "nodes by 101 literals": "{ nodes(ids: [" + f'"{FUND}" ' * 101 + "]) { id ... on Fund { name } } }",
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_hostile_document_is_refused_or_answered_by_short_statements(server: RunningServer, name: str) -> None:
    await insert_funds(server, 3)
    answer = await server.execute(HOSTILE[name], debug=True)
    assert set(answer.codes) <= TYPED
    if answer.codes:
        return
    assert len(answer.statements) <= STATEMENTS_MAX
    assert sum(map(len, answer.statements)) <= SQL_CHARACTERS_MAX


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_document_takes_a_bounded_number_of_calls(name: str) -> None:
    with Counted() as counted:
        plan(HOSTILE[name])
    assert counted.calls <= CALLS_PER_CHARACTER_MAX * len(HOSTILE[name])


@pytest.mark.parametrize(
    ("query", "values"),
    [
        ("query ($v: [String!]) { funds(filter: { strategy: $v }) { nodes { name } } }", ["s"] * 50_000),
        ("query ($v: [Int!]) { funds(filter: { vintageYear: $v }) { nodes { name } } }", list(range(50_000))),
        ("query ($v: [ID!]!) { nodes(ids: $v) { id } }", [FUND] * 100),
        ("query ($v: [ID!]!) { nodes(ids: $v) { id } }", [FUND] * 40_000),
    ],
)
async def test_long_list_is_a_parameter_of_one_short_statement_or_refused(
    server: RunningServer, query: str, values: list[Any]
) -> None:
    answer = await server.execute(query, {"v": values}, debug=True)
    assert set(answer.codes) <= TYPED
    assert len(answer.statements) == (0 if answer.codes else 1)
    assert sum(map(len, answer.statements)) < 1_000


@pytest.mark.parametrize("of_page", ["totalCount", "pageInfo { hasNextPage }"])
@pytest.mark.parametrize("nested_page", ["", "companies(first: 2) { nodes { name } }", "holdings { totalCount }"])
@pytest.mark.parametrize("selected", ["name", "id reserves { plannedCents }"])
async def test_page_fetches_the_rows_asked_for_and_one_more(
    server: RunningServer, of_page: str, nested_page: str, selected: str
) -> None:
    await insert_funds(server, 120)
    query = f"query ($size: Int) {{ funds(first: $size) {{ {of_page} nodes {{ name {nested_page} }} }} }}"
    for size in (1, 10, 100):
        answer = await server.execute(query, {"size": size}, debug=True)
        first, *others = answer.body["extensions"]["debug"]["statements"]
        assert len(answer.data["funds"]["nodes"]) == size
        # With a total the rows come as one array.
        assert first["rows"] == (1 if of_page == "totalCount" else size + 1)
        assert len(others) <= ("reserves" in selected)
        assert all(other["rows"] <= size + 1 for other in others)


async def insert_funds(server: RunningServer, count: int) -> None:
    """Funds of the organization alpha, the first ones each with three companies."""
    await server.owner.execute(
        f"""
        INSERT INTO funds (organization_id, name, currency)
          SELECT {server.organization_ids["alpha"]}, 'Fund ' || n, 'USD' FROM generate_series(1, {count}) AS n;
        INSERT INTO portfolio_companies (organization_id, fund_id, name)
          SELECT fund.organization_id, fund.id, 'Company ' || n
          FROM (SELECT * FROM funds ORDER BY id LIMIT 3) AS fund, generate_series(1, 3) AS n;
        """
    )


@pytest.mark.parametrize("text", ["{ a%d: __typename }", "{ a%d"], ids=["valid", "refused"])
def test_documents_are_kept_up_to_their_number(text: str) -> None:
    kept = documents()
    for number in range(DOCUMENTS_MAX + 50):
        for _ in range(2):
            kept.get(text % number)
    assert len(kept._documents) == DOCUMENTS_MAX


def test_documents_are_kept_up_to_their_weight(monkeypatch: pytest.MonkeyPatch) -> None:
    # graphql-core takes a second for a few million characters.
    monkeypatch.setattr("api.http.documents.KEPT_BYTES_MAX", 1_000_000)
    kept, comment = documents(), "#" * 50_000
    for number in range(30):
        for _ in range(2):
            kept.get(f"{{ a{number}: __typename }} {comment}")
    assert 500_000 < sum(map(len, kept._documents)) <= 1_000_000


async def test_statements_are_kept_up_to_their_number(server: RunningServer) -> None:
    operation = plans("query ($filter: FundFilter) { funds(filter: $filter) { nodes { name } } }")
    filters = {"status": ["ACTIVE"], "vintageYear": [1], "vintageYearMin": 1, "vintageYearMax": 1, "strategy": ["s"]}
    filters |= {"currency": ["USD"], "nameContains": "n"}
    written = set()
    for number in range(2 ** len(filters)):
        chosen = {name: value for bit, (name, value) in enumerate(filters.items()) if number >> bit & 1}
        written.add(await statement(server, operation, {"filter": chosen}))
    made = operation.get(coerced(operation, {}))
    assert made is not None
    assert len(written) == 2 ** len(filters) > SHAPES_MAX
    assert len(made.statements[0]._kept) == SHAPES_MAX


async def test_variants_are_kept_up_to_their_number(server: RunningServer) -> None:
    names = [f"v{number}" for number in range(40)]
    declared = ", ".join(f"${name}: Boolean!" for name in names)
    selected = " ".join(f"{name}: name @include(if: ${name})" for name in names)
    operation = plans(f"query ({declared}) {{ funds {{ nodes {{ id {selected} }} }} }}")
    written = set()
    for number in range(4 * VARIANTS_MAX):
        chosen = {name: bool(number >> bit & 1) for bit, name in enumerate(names)}
        written.add(await statement(server, operation, chosen))
    assert len(written) == 4 * VARIANTS_MAX
    assert len(operation._variants) == VARIANTS_MAX
