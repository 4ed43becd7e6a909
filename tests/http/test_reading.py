"""Documents that are no good are charged to who sends them; good ones are not, and neither is a look at kept ones."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from api.domain.access import Role
from api.graphql.schema import declared_fields, schema
from api.http.documents import Documents
from api.http.reading import read
from tests.server import RunningServer, start_server

PER_MINUTE = 100_000
SIGN_IN = 'mutation {{ signIn(input: {{ email: "{}@x.example", password: "no" }}) {{ userErrors {{ code }} }} }}'
MISTAKE = "{{ funds {{ nodes {{ nam{} }} }} }}"


def bulky(name: str, characters: int = 9_000) -> str:
    items = "1 " * (characters // 2)
    return f"mutation {{ {name}: signIn(input: {{ a: 1 b: 2 c: [{items}] }}) {{ accessToken }} }}"


@pytest.fixture
async def limited(database_url: str, state_directory: Path) -> AsyncIterator[RunningServer]:
    async with start_server(database_url, state_directory, cost_per_minute=PER_MINUTE) as server:
        yield server


async def test_bad_documents_of_anybody_take_from_what_all_without_a_token_share(limited: RunningServer) -> None:
    # 1,000 are for them; each takes all of it.
    answers = [await limited.client.post("/graphql", json={"query": bulky(f"a{n}")}) for n in range(3)]
    assert [answer.status_code for answer in answers] == [400, 429, 429]
    assert 1 <= int(answers[1].headers["retry-after"]) <= 60
    assert answers[1].json()["errors"][0]["extensions"] == {"code": "RATE_LIMITED"}


async def test_who_signs_in_is_not_kept_out_by_what_others_send(limited: RunningServer) -> None:
    for number in range(3):
        await limited.client.post("/graphql", json={"query": bulky(f"a{number}")})
    answer = await limited.client.post("/graphql", json={"query": SIGN_IN.format("somebody")})
    assert answer.status_code == 200


async def test_bad_documents_of_a_member_take_from_its_own_allowance(limited: RunningServer) -> None:
    statuses = [(await limited.execute(bulky(f"a{n}"))).status for n in range(30)]
    assert statuses[:20] == [400] * 20
    assert 429 in statuses
    assert (await limited.execute(bulky("b"), role=Role.VIEWER)).status == 400


async def test_small_mistakes_lock_nobody_out(limited: RunningServer) -> None:
    statuses = {(await limited.execute(MISTAKE.format(n))).status for n in range(200)}
    assert statuses == {400}
    anonymous = [
        (await limited.client.post("/graphql", json={"query": f"{{ __schema {{ nam{n} }} }}"})).status_code
        for n in range(20)
    ]
    assert set(anonymous) == {400}


async def test_good_documents_cost_what_they_ask_for_and_nothing_for_being_read(limited: RunningServer) -> None:
    padding = " " * 90_000
    answers = [await limited.execute(f"{{ viewer {{ a{n}: role }} }}{padding}") for n in range(10)]
    assert [answer.status for answer in answers] == [200] * 10
    signing_in = [SIGN_IN.format(f"user{n}") + " " * 5_000 for n in range(5)]
    statuses = [(await limited.client.post("/graphql", json={"query": text})).status_code for text in signing_in]
    assert statuses == [200] * 5


async def test_a_bad_document_that_is_kept_is_not_read_again(limited: RunningServer) -> None:
    statuses = [(await limited.execute(bulky("same"))).status for _ in range(50)]
    assert statuses == [400] * 50


async def test_others_have_their_turn_after_a_document_was_read_anew() -> None:
    documents = Documents(schema()._schema, declared_fields())
    for is_kept in (False, False, True):
        turns: list[None] = []
        asyncio.get_running_loop().call_soon(turns.append, None)
        document = await read(documents, None, SIGN_IN.format("somebody"), None)
        assert (document.errors, turns) == ((), [] if is_kept else [None])
