"""What costs too much is refused, and what anything costs is told to who asks."""

from pathlib import Path

import pytest

from api.domain.access import Role
from tests.server import RunningServer, start_server

PAGES_OF_100 = """{ funds(first: 100) { nodes { companies(first: 100) { nodes { fund {
  companies(first: 100) { nodes { fund { companies(first: 100) { nodes { name } } } } } } } } } } }"""


@pytest.mark.parametrize("uses_plans", [True, False])
async def test_operation_that_costs_too_much_is_refused(
    database_url: str, state_directory: Path, uses_plans: bool
) -> None:
    async with start_server(database_url, state_directory, cost_max=1_000, compiled_queries=uses_plans) as server:
        query = "query ($n: Int, $m: Int) { funds(first: $n) { nodes { companies(first: $m) { nodes { name } } } } }"
        # 1 + n * (1 + 1 + m)
        assert (await server.execute(query, {"n": 9, "m": 100})).data == {"funds": {"nodes": []}}
        assert (await server.execute(query, {"n": 27, "m": 35})).data == {"funds": {"nodes": []}}
        for variables, cost in (({"n": 10, "m": 98}, 1_001), ({"n": 100, "m": 100}, 10_201), ({"n": 100}, 2_201)):
            answer = await server.execute(query, variables)
            assert (answer.status, answer.codes) == (400, ["QUERY_TOO_COMPLEX"])
            assert answer.body["errors"][0]["message"] == (
                f"The operation costs {cost}, for so many objects may its answer hold; at most 1000."
                " Ask for smaller pages."
            )
        mutation = "mutation ($i: CreateFundInput!) { " + " ".join(
            f"a{n}: createFund(input: $i) {{ fund {{ companies(first: 98) {{ nodes {{ name }} }} }} }}"
            for n in range(10)
        )
        answer = await server.execute(mutation + " }", {"i": {"name": "Never"}})
        assert (answer.status, answer.codes) == (400, ["QUERY_TOO_COMPLEX"])
        assert await server.owner.fetchval("SELECT count(*) FROM funds") == 0


async def test_four_pages_of_100_within_each_other_are_refused(server: RunningServer) -> None:
    answer = await server.execute(PAGES_OF_100)
    assert (answer.status, answer.codes) == (400, ["QUERY_TOO_COMPLEX"])
    assert "costs 103030201" in answer.body["errors"][0]["message"]


async def test_page_of_100_with_100_each_is_answered(server: RunningServer) -> None:
    query = "{ funds(first: 100) { nodes { companies(first: 100) { nodes { fund { name } } } } } }"
    assert (await server.execute(query)).data == {"funds": {"nodes": []}}


@pytest.mark.parametrize(("query", "cost"), [("{ funds(first: 3) { nodes { name } } }", 4), ("{ viewer { role } }", 1)])
async def test_cost_is_told_to_who_asks_for_it(server: RunningServer, query: str, cost: int) -> None:
    headers = {"Authorization": f"Bearer {server.tokens['alpha', Role.VIEWER]}"}
    silent = await server.client.post("/graphql", json={"query": query}, headers=headers)
    assert "extensions" not in silent.json()
    told = await server.client.post("/graphql", json={"query": query}, headers=headers | {"X-Tranche-Cost": "1"})
    assert told.json()["extensions"] == {"cost": {"value": cost, "max": 50_000}}
    both = headers | {"X-Tranche-Cost": "1", "X-Tranche-Debug": "1"}
    assert set((await server.client.post("/graphql", json={"query": query}, headers=both)).json()["extensions"]) == {
        "cost",
        "debug",
    }
    answer = await server.client.post("/graphql", json={"query": PAGES_OF_100}, headers=both)
    assert answer.json().keys() == {"errors"}
