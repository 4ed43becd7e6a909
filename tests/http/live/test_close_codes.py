"""graphql-transport-ws, frame by frame: every close code of its PROTOCOL document, and what is refused to whom."""

import json
from contextlib import suppress
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Origin

from api.domain.access import Role
from tests.http.live.clients import SUBPROTOCOL, LiveServer

pytestmark = pytest.mark.asyncio(loop_scope="module")

FUND_NAMES = "{ funds(first: 1) { nodes { name } } }"
LIVE = "subscription { eventRecorded { event { action } } }"


async def test_field_error_is_a_response_and_no_error_message(shared_live: LiveServer) -> None:
    async with shared_live.session(Role.VIEWER) as session:
        await session.subscribe("{ auditEvents { totalCount } }")
        message = await session.receive()
        assert (message["type"], message["payload"]["data"]) == ("next", {"auditEvents": None})
        assert await session.receive() == {"type": "complete", "id": "1"}


async def test_log_is_for_administrators(shared_live: LiveServer) -> None:
    async with shared_live.session(Role.EDITOR) as session:
        await session.subscribe(LIVE)
        message = await session.receive()
        assert (message["type"], message["payload"][0]["extensions"]["code"]) == ("error", "FORBIDDEN")


async def test_ping_is_answered_before_and_after_the_acknowledgement(shared_live: LiveServer) -> None:
    async with shared_live.socket() as opened:
        await opened.send(type="ping", payload={"a": [1]})
        assert await opened.receive() == {"type": "pong", "payload": {"a": [1]}}
        await opened.send(type="pong")
        await opened.send(type="connection_init", payload={"Authorization": shared_live.token()})
        assert await opened.receive() == {"type": "connection_ack"}
        await opened.send(type="ping")
        assert await opened.receive() == {"type": "pong"}


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "not json",
        '"text"',
        "null",
        "[]",
        "1",
        "{}",
        '{"type": 1}',
        '{"type": null}',
        '{"type": ["ping"]}',
        '{"type": "start"}',
        '{"type": "next", "id": "1", "payload": {}}',
        '{"type": "error", "id": "1", "payload": []}',
        '{"type": "connection_ack"}',
        '{"type": "connection_init", "payload": "x"}',
        '{"type": "ping", "payload": 1}',
        '{"type": "pong", "payload": []}',
        '{"type": "subscribe"}',
        '{"type": "subscribe", "payload": {"query": "{ __typename }"}}',
        '{"type": "subscribe", "id": "", "payload": {"query": "{ __typename }"}}',
        '{"type": "subscribe", "id": 1, "payload": {"query": "{ __typename }"}}',
        '{"type": "subscribe", "id": "1"}',
        '{"type": "subscribe", "id": "1", "payload": {}}',
        '{"type": "subscribe", "id": "1", "payload": {"query": 1}}',
        '{"type": "subscribe", "id": "1", "payload": {"query": "{ __typename }", "variables": []}}',
        '{"type": "subscribe", "id": "1", "payload": {"query": "{ __typename }", "operationName": 1}}',
        '{"type": "subscribe", "id": "1", "payload": {"query": "{ __typename }", "extensions": 1}}',
        '{"type": "complete"}',
        '{"type": "complete", "id": 1}',
        "[" * 10_000,
        '{"type": "ping", "payload": ' + '{"a":' * 2_000 + "1" + "}" * 2_001,
        b'{"type": "ping"}',
    ],
)
async def test_what_is_no_message_closes_with_4400(shared_live: LiveServer, frame: str | bytes) -> None:
    async with shared_live.session() as session:
        await session.connection.send(frame)
        code, reason = await session.closed()
        assert code == 4400
        assert reason


async def test_malformed_message_before_initialisation_closes_with_4400(shared_live: LiveServer) -> None:
    async with shared_live.socket() as opened:
        await opened.connection.send("null")
        assert (await opened.closed())[0] == 4400


async def test_subscribing_without_acknowledgement_closes_with_4401(shared_live: LiveServer) -> None:
    async with shared_live.socket() as opened:
        await opened.subscribe("{ __typename }")
        assert await opened.closed() == (4401, "Unauthorized")


@pytest.mark.parametrize(
    "given", ["Bearer x", "Bearer", "Basic YTpi", "", 1, ["Bearer"], {"a": 1}, "Bearer a.b.c", "bearer " + "x" * 9000]
)
async def test_credentials_that_do_not_hold_close_with_4403(shared_live: LiveServer, given: Any) -> None:
    async with shared_live.socket() as opened:
        await opened.send(type="connection_init", payload={"authorization": given})
        assert await opened.closed() == (4403, "Forbidden")


async def test_other_subprotocols_close_with_4406(shared_live: LiveServer) -> None:
    for offered in (None, ["graphql-ws"], ["soap", "graphql-ws"]):
        async with shared_live.socket(subprotocols=offered) as opened:
            assert await opened.closed() == (4406, "Subprotocol not acceptable")
    async with shared_live.socket(subprotocols=["graphql-ws", SUBPROTOCOL]) as opened:
        assert opened.connection.subprotocol == SUBPROTOCOL


async def test_second_operation_of_one_id_closes_with_4409(shared_live: LiveServer) -> None:
    async with shared_live.session() as session:
        await session.subscribe(LIVE, id="one")
        await session.subscribe(LIVE, id="one")
        assert await session.closed() == (4409, "Subscriber for one already exists")


async def test_long_id_still_fits_into_the_close_frame(shared_live: LiveServer) -> None:
    async with shared_live.session() as session:
        for _ in range(2):
            await session.subscribe(LIVE, id="é" * 500)
        code, reason = await session.closed()
        assert (code, reason[:16]) == (4409, "Subscriber for é")


async def test_second_initialisation_closes_with_4429(shared_live: LiveServer) -> None:
    async with shared_live.session() as session:
        await session.send(type="connection_init")
        assert await session.closed() == (4429, "Too many initialisation requests")


async def test_message_beyond_the_limit_closes_with_1009(shared_live: LiveServer) -> None:
    async with shared_live.session() as session:
        # The server is gone before it has read all of it.
        with suppress(ConnectionClosed):
            await session.send(type="ping", payload={"a": "x" * shared_live.server.settings.body_bytes_max})
        assert (await session.closed())[0] == 1009


async def test_token_in_the_header_signs_in(shared_live: LiveServer) -> None:
    async with shared_live.socket(additional_headers={"authorization": shared_live.token()}) as opened:
        await opened.send(type="connection_init")
        assert await opened.receive() == {"type": "connection_ack"}
        await opened.subscribe("{ viewer { role } }")
        assert await opened.next() == {"viewer": {"role": "ADMIN"}}


async def test_without_a_token_only_what_is_public_is_answered(shared_live: LiveServer) -> None:
    async with shared_live.socket() as opened:
        await opened.send(type="connection_init")
        assert await opened.receive() == {"type": "connection_ack"}
        for query in (FUND_NAMES, LIVE):
            await opened.subscribe(query)
            message = await opened.receive()
            assert (message["type"], message["payload"][0]["extensions"]["code"]) == ("error", "UNAUTHENTICATED")
        await opened.subscribe("{ __typename }")
        assert await opened.next() == {"__typename": "Query"}


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1"])
async def test_pages_of_other_origins_may_not_connect(shared_live: LiveServer, origin: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with shared_live.socket(additional_headers={"origin": origin}):
            pass
    assert refused.value.response.status_code == 403


async def test_page_whose_name_was_made_to_lead_here_may_not_connect(shared_live: LiveServer) -> None:
    """Its Origin is its Host, and still none of ours (DNS rebinding)."""
    host = f"evil.example:{shared_live.port}"
    with pytest.raises(InvalidStatus) as refused:
        async with connect(f"ws://{host}/graphql", host="127.0.0.1", origin=Origin(f"http://{host}")):
            pass
    assert refused.value.response.status_code == 403


async def test_other_paths_take_no_sockets(shared_live: LiveServer) -> None:
    with pytest.raises(InvalidStatus):
        async with connect(f"ws://127.0.0.1:{shared_live.port}/other", subprotocols=[SUBPROTOCOL]):  # type: ignore[list-item]
            pass


async def test_messages_hold_no_null_payloads(shared_live: LiveServer) -> None:
    async with shared_live.session() as session:
        await session.connection.send(json.dumps({"type": "ping", "payload": None}))
        assert await session.receive() == {"type": "pong"}


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("{", "GRAPHQL_PARSE_FAILED"),
        ("{ nothing }", "GRAPHQL_VALIDATION_FAILED"),
        ("", "BAD_USER_INPUT"),
        ("query A { __typename } query B { __typename }", "BAD_USER_INPUT"),
        ("query ($id: ID!) { node(id: $id) { id } }", "BAD_USER_INPUT"),
        ("subscription ($kinds: [AuditKind!]!) { eventRecorded(kinds: $kinds) { cursor } }", "BAD_USER_INPUT"),
        ('subscription { eventRecorded(after: "x") { cursor } }', "BAD_USER_INPUT"),
        ("subscription { eventRecorded { cursor } reallocationCommitted { cursor } }", "GRAPHQL_VALIDATION_FAILED"),
        ("subscription { __typename }", "GRAPHQL_VALIDATION_FAILED"),
        ("subscription { eventRecorded @skip(if: true) { cursor } }", "GRAPHQL_VALIDATION_FAILED"),
    ],
)
async def test_error_of_one_operation_ends_that_one_only(shared_live: LiveServer, query: str, code: str) -> None:
    async with shared_live.session() as session:
        await session.subscribe(LIVE, id="other")
        await session.subscribe(query, id="bad")
        message = await session.receive()
        assert (message["type"], message["id"]) == ("error", "bad")
        assert [error["extensions"]["code"] for error in message["payload"]] == [code]
        await shared_live.followers(1)
        await shared_live.create_fund()
        assert (await session.next("other"))["eventRecorded"]["event"]["action"] == "fund.created"
    await shared_live.followers(0)
