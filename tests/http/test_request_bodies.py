"""GraphQL over HTTP: a body is read up to its limit, whatever its length is said to be."""

from collections.abc import AsyncIterator

import pytest

from tests.http.wire import ROLE, only_error, request_body, send
from tests.server import RunningServer

pytestmark = pytest.mark.asyncio(loop_scope="module")

BODY_BYTES_MAX = 4_000_000


@pytest.fixture
def server(shared_server: RunningServer) -> RunningServer:
    return shared_server


@pytest.mark.parametrize(("length", "status"), [(BODY_BYTES_MAX, 200), (BODY_BYTES_MAX + 1, 413), (10_000_000, 413)])
async def test_body_is_taken_up_to_its_limit(server: RunningServer, length: int, status: int) -> None:
    response = await send(server, content=request_body(query=ROLE).ljust(length))
    assert response.status_code == status
    assert status == 200 or str(BODY_BYTES_MAX) in only_error(response)["message"]


async def test_body_without_a_length_is_not_read_beyond_the_limit(server: RunningServer) -> None:
    pieces = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal pieces
        for _ in range(160):
            pieces += 1
            yield b" " * 65_536

    response = await send(server, content=body())
    assert response.status_code == 413
    assert str(BODY_BYTES_MAX) in only_error(response)["message"]
    assert pieces <= BODY_BYTES_MAX // 65_536 + 3


@pytest.mark.parametrize("length", ["5", "0", "-1", "abc", "1e9", "\u00b2"])
async def test_body_longer_than_it_says_is_not_read_beyond_the_limit(server: RunningServer, length: str) -> None:
    response = await send(
        server, content=b" " * (2 * BODY_BYTES_MAX), headers={"content-length": length.encode("latin-1")}
    )
    assert response.status_code == 413


@pytest.mark.parametrize("length", [str(BODY_BYTES_MAX + 1), "9" * 5_000])
async def test_body_that_says_to_be_too_long_is_refused(server: RunningServer, length: str) -> None:
    response = await send(server, content=b"{}", headers={"content-length": length})
    assert response.status_code == 413
