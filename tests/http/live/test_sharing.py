"""An event is answered once for all who ask the same of it; who asks for something else gets something else."""

import asyncio
from collections.abc import Hashable
from typing import Any

import pytest

from api.domain.access import Principal, Role
from api.graphql.context import SignedIn
from api.graphql.schema import declared_fields, schema
from api.http.documents import Documents
from api.http.live.sharing import Sharing, what_answers_depend_on
from api.http.requests import check_request
from tests.http.live.clients import LiveServer
from tests.services.capital_client import Capital

HISTORY = """
subscription ($after: String, $first: Int) {
  capitalChanged(after: $after) { source { history(first: $first) { nodes { sequence } } } }
}
"""
DOCUMENTS = Documents(schema()._schema, declared_fields())


class Kitchen:
    """Makes answers, counts them, and keeps them back until it is told to serve."""

    def __init__(self) -> None:
        self.made = 0
        self.serve = asyncio.Event()

    async def make(self) -> int:
        self.made += 1
        number = self.made
        await self.serve.wait()
        return number


async def test_an_answer_is_made_once_for_all_who_wait_for_it_and_anew_for_who_comes_later() -> None:
    sharing, kitchen = Sharing[int](), Kitchen()
    waiting = [asyncio.create_task(sharing.answer("key", kitchen.make)) for _ in range(3)]
    other = asyncio.create_task(sharing.answer("other", kitchen.make))
    await asyncio.sleep(0)
    kitchen.serve.set()
    assert await asyncio.gather(*waiting) == [1, 1, 1]
    assert await other == 2
    assert await sharing.answer("key", kitchen.make) == 3


async def test_who_leaves_takes_the_answer_from_nobody() -> None:
    sharing, kitchen = Sharing[int](), Kitchen()
    first, second = (asyncio.create_task(sharing.answer("key", kitchen.make)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    kitchen.serve.set()
    assert await second == 1


async def test_a_failure_is_everybodys() -> None:
    sharing = Sharing[int]()

    async def fail() -> int:
        raise ValueError("no")

    failed = await asyncio.gather(*(sharing.answer("key", fail) for _ in range(2)), return_exceptions=True)
    assert [type(error) for error in failed] == [ValueError, ValueError]


def dependence(
    text: str, variables: dict[str, Any], *, role: Role = Role.VIEWER, organization_id: int = 1, user_id: int = 1
) -> Hashable:
    document = DOCUMENTS.get(text)
    operation = document.operation(None)
    assert operation is not None, document.errors
    request = check_request({"query": text, "variables": variables})
    signed_in = SignedIn(Principal(organization_id, user_id, role), f"{user_id}@alpha.example")
    return what_answers_depend_on(document, operation, request, signed_in)


def test_where_one_began_and_who_one_is_makes_no_difference() -> None:
    for _ in range(2):
        # A document is kept from the second time on.
        DOCUMENTS.get(HISTORY)
    one = dependence(HISTORY, {"after": "a", "first": 1}, user_id=1)
    assert one == dependence(HISTORY, {"first": 1, "after": "b"}, user_id=2)


@pytest.mark.parametrize(
    "other",
    [
        {"variables": {"first": 2}},
        {"variables": {}},
        {"variables": {"first": 1}, "role": Role.ADMIN},
        {"variables": {"first": 1}, "organization_id": 2},
    ],
)
def test_variables_below_the_root_the_role_and_the_organization_do(other: Any) -> None:
    for _ in range(2):
        DOCUMENTS.get(HISTORY)
    assert dependence(HISTORY, {"first": 1}) != dependence(HISTORY, **other)


@pytest.mark.parametrize(
    "selection",
    [
        "capitalChanged { cursor @include(if: $yes) }",
        "...Root } fragment Root on Subscription { capitalChanged { cursor @include(if: $yes) }",
        "capitalChanged { ...Cursor } } fragment Cursor on CapitalChange { cursor @skip(if: $yes)",
    ],
)
def test_variables_are_found_wherever_they_are_used(selection: str) -> None:
    text = f"subscription ($yes: Boolean!) {{ {selection} }}"
    for _ in range(2):
        DOCUMENTS.get(text)
    assert DOCUMENTS.get(text).errors == ()
    assert dependence(text, {"yes": True}) != dependence(text, {"yes": False})


async def test_followers_of_one_event_who_ask_different_things_get_them(live: LiveServer) -> None:
    capital = Capital(live.server)
    source_id = await capital.add("Loan", "0.05", 100, "2025-01-01")
    async with live.session() as session:
        for first in (1, 2):
            await session.subscribe(HISTORY, {"first": first}, id=str(first))
        await live.followers(2)
        await capital.amount(source_id, 200, "2025-01-02")
        messages = [await session.receive() for _ in range(2)]
    heard = {
        message["id"]: message["payload"]["data"]["capitalChanged"]["source"]["history"]["nodes"]
        for message in messages
    }
    assert heard == {"1": [{"sequence": "2"}], "2": [{"sequence": "2"}, {"sequence": "1"}]}
