"""Several requests in one, where a setting allows it; everywhere else a list is refused."""

from typing import Any

import httpx
import pytest

from api.domain.access import Role
from tests.server import RunningServer

pytestmark = pytest.mark.asyncio(loop_scope="module")

SETTINGS = {"batch_requests_max": 3}
ROLE = {"query": "{ viewer { role } }"}
CREATE = {"query": 'mutation { createFund(input: {name: "Fund I", idempotencyKey: "k"}) { replayed } }'}
ANSWER = {"data": {"viewer": {"role": "EDITOR"}}}


async def post(server: RunningServer, batch: Any, accept: str = "*/*") -> httpx.Response:
    headers = {"authorization": f"Bearer {server.tokens['alpha', Role.EDITOR]}", "accept": accept}
    return await server.client.post("/graphql", json=batch, headers=headers)


@pytest.mark.parametrize("accept", ["*/*", "application/json", "application/graphql-response+json"])
async def test_batch_is_answered_in_its_order_each_request_for_itself(
    shared_server: RunningServer, accept: str
) -> None:
    response = await post(shared_server, [ROLE, {"query": "{"}, ROLE], accept)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json; charset=utf-8"
    first, second, third = response.json()
    assert first == third == ANSWER
    assert second["errors"][0]["extensions"]["code"] == "GRAPHQL_PARSE_FAILED"


async def test_mutations_of_a_batch_run_one_after_the_other(shared_server: RunningServer) -> None:
    answers = (await post(shared_server, [CREATE, CREATE, CREATE])).json()
    assert [answer["data"]["createFund"]["replayed"] for answer in answers] == [False, True, True]


async def test_single_request_is_answered_as_ever(shared_server: RunningServer) -> None:
    assert (await post(shared_server, ROLE)).json() == ANSWER
    assert (await post(shared_server, [ROLE])).json() == [ANSWER]


@pytest.mark.parametrize("batch", [[], [ROLE] * 4, [ROLE, None], [[ROLE]], [ROLE, 1], [{}]], ids=str)
async def test_malformed_batch_is_refused_as_a_whole(shared_server: RunningServer, batch: list[Any]) -> None:
    response = await post(shared_server, batch)
    assert response.status_code == 400
    [error] = response.json()["errors"]
    assert error["extensions"]["code"] == "BAD_USER_INPUT"


@pytest.mark.asyncio(loop_scope="function")
async def test_batches_are_off_by_default(server: RunningServer) -> None:
    response = await post(server, [ROLE])
    assert response.status_code == 400
    assert "batches are not taken" in response.text
