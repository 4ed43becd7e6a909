"""Pages of connections against a model in plain Python: no skip, no repeat, whatever the order, filter and size."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count, cycle
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.server import RunningServer

FUNDS = """
query ($first: Int, $after: String, $last: Int, $before: String, $filter: FundFilter, $orderBy: FundOrder) {
  page: funds(first: $first, after: $after, last: $last, before: $before, filter: $filter, orderBy: $orderBy) {
    totalCount edges { cursor node { name } } pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  }
}
"""
COMPANIES = """
query ($first: Int, $after: String, $last: Int, $before: String, $filter: PortfolioCompanyFilter,
  $orderBy: PortfolioCompanyOrder) {
  funds(orderBy: {field: NAME}) { nodes {
    page: companies(first: $first, after: $after, last: $last, before: $before, filter: $filter, orderBy: $orderBy) {
      totalCount edges { cursor node { name } } pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    }
  } }
}
"""
MOMENT = datetime(2026, 1, 1, tzinfo=UTC)
NO_FIXTURE_PER_EXAMPLE = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Walked:
    """What a connection is asked for: an order (a column and a direction; None for the default) and a filter."""

    order: tuple[str, str, bool] | None
    filter: Mapping[str, Any]
    matches: Callable[[Row], bool]

    @property
    def variables(self) -> dict[str, Any]:
        if self.order is None:
            return {"filter": self.filter}
        field, _, is_descending = self.order
        return {"filter": self.filter, "orderBy": {"field": field, "direction": "DESC" if is_descending else "ASC"}}

    def model(self, rows: list[Row]) -> list[str]:
        """The names of the rows that match, in the connection's order: nulls last, equal keys by id."""
        matching = [row for row in rows if self.matches(row)]
        if self.order is None:
            return [row["name"] for row in sorted(matching, key=lambda row: int(row["id"]))]
        _, column, is_descending = self.order
        known = [row for row in matching if row[column] is not None]
        known.sort(key=lambda row: (row[column], row["id"]), reverse=is_descending)
        unknown = [row for row in matching if row[column] is None]
        unknown.sort(key=lambda row: int(row["id"]), reverse=is_descending)
        return [row["name"] for row in known + unknown]


def names(page: Any) -> list[str]:
    return [edge["node"]["name"] for edge in page["edges"]]


async def walk(
    ask: Callable[[dict[str, Any]], Any], expected: list[str], sizes: list[int], *, is_backward: bool
) -> dict[str, str]:
    """Walks a connection to its end, checks each page against the model, and returns the cursors by name."""
    left, cursor = len(expected), None
    cursors: dict[str, str] = {}
    for size in cycle(sizes):
        if is_backward:
            page = await ask({"last": size, "before": cursor})
            start, end = max(left - size, 0), left
        else:
            page = await ask({"first": size, "after": cursor})
            start, end = len(expected) - left, min(len(expected) - left + size, len(expected))
        assert names(page) == expected[start:end]
        assert page["totalCount"] == len(expected)
        assert page["pageInfo"]["hasPreviousPage"] is (start > 0)
        assert page["pageInfo"]["hasNextPage"] is (end < len(expected))
        if start == end:
            assert (page["pageInfo"]["startCursor"], page["pageInfo"]["endCursor"]) == (None, None)
            assert expected == []
            return cursors
        cursors |= {edge["node"]["name"]: edge["cursor"] for edge in page["edges"]}
        assert page["pageInfo"]["startCursor"] == page["edges"][0]["cursor"]
        assert page["pageInfo"]["endCursor"] == page["edges"][-1]["cursor"]
        cursor = page["pageInfo"]["startCursor" if is_backward else "endCursor"]
        left -= end - start
        if left == 0:
            return cursors
    raise AssertionError("unreachable")


MOMENTS = st.integers(0, 3).map(lambda number: MOMENT + timedelta(microseconds=number))
TEXTS = st.text("aBé🜁 _%", min_size=1, max_size=2)
FUND_ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "name": TEXTS,
            "vintage_year": st.none() | st.integers(2019, 2021),
            "size_cents": st.none() | st.sampled_from([1, 2, 2**63 - 1]),
            "status": st.sampled_from(["ACTIVE", "CLOSED"]),
            "created_at": MOMENTS,
        }
    ),
    max_size=14,
)
FUND_ORDERS = st.none() | st.tuples(
    st.sampled_from(
        [("NAME", "name"), ("VINTAGE_YEAR", "vintage_year"), ("SIZE", "size_cents"), ("CREATED_AT", "created_at")]
    ),
    st.booleans(),
).map(lambda drawn: (*drawn[0], drawn[1]))
FUND_FILTERS: list[tuple[dict[str, Any], Callable[[Row], bool]]] = [
    ({}, lambda row: True),
    ({"status": ["CLOSED"]}, lambda row: row["status"] == "CLOSED"),
    ({"status": []}, lambda row: False),
    ({"vintageYear": [2019, 2021]}, lambda row: row["vintage_year"] in (2019, 2021)),
    ({"vintageYearMin": 2020}, lambda row: (row["vintage_year"] or 0) >= 2020),
    ({"nameContains": "b"}, lambda row: "b" in row["name"].lower()),
    ({"nameContains": "_", "status": ["ACTIVE"]}, lambda row: "_" in row["name"] and row["status"] == "ACTIVE"),
    ({"nameContains": "%"}, lambda row: "%" in row["name"]),
]
SIZES = st.lists(st.integers(1, 5), min_size=1, max_size=4)


async def insert(server: RunningServer, table: str, rows: list[dict[str, Any]], **more: Any) -> list[Row]:
    """The rows as inserted, with ids that do not follow the order of anything else."""
    columns = list(rows[0] | more) if rows else []
    values = [tuple((row | more)[column] for column in columns) for row in rows]
    slots = ", ".join(f"${number}" for number in range(1, len(columns) + 1))
    if rows:
        await server.owner.executemany(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({slots})", values)
    return [dict(row) for row in await server.owner.fetch(f"SELECT * FROM {table} ORDER BY id")]


def distinct(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows with names of their own, which still begin with equal letters in any order."""
    return [row | {"name": f"{row['name']}{number:02}"} for number, row in enumerate(rows)]


@given(FUND_ROWS, FUND_ORDERS, st.sampled_from(FUND_FILTERS), SIZES, st.data())
@NO_FIXTURE_PER_EXAMPLE
async def test_funds_are_walked_as_the_model_says(
    server: RunningServer, drawn: Any, order: Any, filtered: Any, sizes: list[int], data: st.DataObject
) -> None:
    await server.owner.execute("DELETE FROM funds")
    rows = await insert(
        server, "funds", distinct(drawn), currency="USD", organization_id=server.organization_ids["alpha"]
    )
    walked = Walked(order, *filtered)
    expected = walked.model(rows)

    async def ask(arguments: dict[str, Any]) -> Any:
        return (await server.execute(FUNDS, walked.variables | arguments)).data["page"]

    cursors = await walk(ask, expected, sizes, is_backward=False)
    assert await walk(ask, expected, sizes, is_backward=True) == cursors
    if len(expected) < 2:
        return
    start, end = sorted(data.draw(st.lists(st.integers(0, len(expected) - 1), min_size=2, max_size=2, unique=True)))
    size = data.draw(st.integers(0, 4))
    between = {"after": cursors[expected[start]], "before": cursors[expected[end]]}
    inside = expected[start + 1 : end]
    first, last = await ask({"first": size, **between}), await ask({"last": size, **between})
    assert (names(first), names(last)) == (inside[:size], inside[len(inside) - min(size, len(inside)) :])
    for page in (first, last):
        assert (page["pageInfo"]["hasPreviousPage"], page["pageInfo"]["hasNextPage"]) == (True, True)


COMPANY_ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "name": TEXTS,
            "planned_reserves_cents": st.integers(0, 2),
            "status": st.sampled_from(["ACTIVE", "EXITED"]),
            "sector": st.none() | st.just("Health"),
            "created_at": MOMENTS,
        }
    ),
    max_size=18,
)
COMPANY_ORDERS = st.none() | st.tuples(
    st.sampled_from([("NAME", "name"), ("PLANNED_RESERVES", "planned_reserves_cents"), ("CREATED_AT", "created_at")]),
    st.booleans(),
).map(lambda drawn: (*drawn[0], drawn[1]))
COMPANY_FILTERS: list[tuple[dict[str, Any], Callable[[Row], bool]]] = [
    ({}, lambda row: True),
    ({"status": ["EXITED"]}, lambda row: row["status"] == "EXITED"),
    ({"sector": ["Health"]}, lambda row: row["sector"] == "Health"),
]
PARENTS = 3


@given(COMPANY_ROWS, COMPANY_ORDERS, st.sampled_from(COMPANY_FILTERS), SIZES, st.data())
@NO_FIXTURE_PER_EXAMPLE
async def test_nested_companies_of_several_funds_are_walked_as_the_model_says(
    server: RunningServer, drawn: Any, order: Any, filtered: Any, sizes: list[int], data: st.DataObject
) -> None:
    organization_id = server.organization_ids["alpha"]
    await server.owner.execute("DELETE FROM portfolio_companies; DELETE FROM funds")
    funds = await insert(
        server,
        "funds",
        [{"name": f"Fund {n}"} for n in range(PARENTS)],
        currency="USD",
        organization_id=organization_id,
    )
    # Dealt out one by one, so that the ids of one fund's companies are not next to each other.
    dealt = [row | {"fund_id": funds[number % PARENTS]["id"]} for number, row in enumerate(distinct(drawn))]
    rows = await insert(server, "portfolio_companies", dealt, organization_id=organization_id)
    walked = Walked(order, *filtered)
    expected = [walked.model([row for row in rows if row["fund_id"] == fund["id"]]) for fund in funds]

    async def ask_all(arguments: dict[str, Any]) -> list[Any]:
        answer = await server.execute(COMPANIES, walked.variables | arguments)
        return [node["page"] for node in answer.data["funds"]["nodes"]]

    cursors: dict[str, str] = {}
    for number in range(PARENTS):

        async def ask(arguments: dict[str, Any], number: int = number) -> Any:
            return (await ask_all(arguments))[number]

        for is_backward in (False, True):
            cursors |= await walk(ask, expected[number], sizes, is_backward=is_backward)
    if cursors:
        # A cursor is a place in an order, and means the same for every parent.
        name = data.draw(st.sampled_from(sorted(cursors)))
        everything = walked.model(rows)
        after = everything[everything.index(name) + 1 :]
        pages = await ask_all({"first": 2, "after": cursors[name]})
        assert [names(page) for page in pages] == [[one for one in own if one in after][:2] for own in expected]


INSERT_WHILE_WALKING = "mutation ($input: CreateFundInput!) { createFund(input: $input) { fund { id } } }"


@pytest.mark.parametrize("is_backward", [False, True])
@pytest.mark.parametrize("order", [None, "NAME", "VINTAGE_YEAR", "SIZE", "CREATED_AT"])
async def test_walk_while_others_insert_neither_skips_nor_repeats(
    server: RunningServer, order: str | None, is_backward: bool
) -> None:
    drawn = [
        {"name": f"{n % 10} {n}", "vintage_year": (None, 2019, 2020)[n % 3], "size_cents": (None, 5)[n % 2]}
        for n in range(120)
    ]
    await insert(server, "funds", drawn, currency="USD", organization_id=server.organization_ids["alpha"])
    has_inserted = asyncio.Event()

    async def keep_inserting(client: int) -> None:
        for number in count():
            values = {"name": f"{number % 10} new {client}.{number}", "vintageYear": 2019 + number % 2}
            assert (await server.execute(INSERT_WHILE_WALKING, {"input": values})).data["createFund"]["fund"]
            has_inserted.set()

    inserters = [asyncio.create_task(keep_inserting(client)) for client in range(2)]
    variables: dict[str, Any] = {} if order is None else {"orderBy": {"field": order}}
    seen: list[str] = []
    has_more, cursor = True, None
    while has_more and sum("new" not in name for name in seen) < len(drawn):
        arguments = {"last": 6, "before": cursor} if is_backward else {"first": 6, "after": cursor}
        page = (await server.execute(FUNDS, variables | arguments)).data["page"]
        seen += reversed(names(page)) if is_backward else names(page)
        cursor = page["pageInfo"]["startCursor" if is_backward else "endCursor"]
        has_more = page["pageInfo"]["hasPreviousPage" if is_backward else "hasNextPage"]
        has_inserted.clear()
        await has_inserted.wait()
    for task in inserters:
        task.cancel()
    ends = await asyncio.gather(*inserters, return_exceptions=True)
    assert all(isinstance(end, asyncio.CancelledError) for end in ends)
    assert len(seen) == len(set(seen))
    assert sorted(name for name in seen if "new" not in name) == sorted(str(row["name"]) for row in drawn)
