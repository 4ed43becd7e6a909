"""graphql-transport-ws: several operations on one socket, which leave each other alone and leave nothing behind."""

import pytest

from api.domain.access import Role
from api.http import reports
from api.http.cross_origin import CrossOrigin
from tests.http.live.clients import CREATE_FUND, EVENTS, LiveServer

FUND_NAMES = "{ funds(first: 1) { nodes { status } } }"
LIVE = "subscription { eventRecorded { event { action } } }"


async def test_query_answers_next_and_complete(live: LiveServer) -> None:
    await live.create_fund()
    async with live.session(Role.VIEWER) as session:
        await session.subscribe(FUND_NAMES, id="a")
        assert await session.receive() == {
            "type": "next",
            "id": "a",
            "payload": {"data": {"funds": {"nodes": [{"status": "ACTIVE"}]}}},
        }
        assert await session.receive() == {"type": "complete", "id": "a"}
        await session.subscribe(FUND_NAMES, id="a")
        assert (await session.receive())["type"] == "next"


async def test_operation_over_a_socket_is_counted_like_any_other(
    live: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reports, "_names", set())
    async with live.session(Role.VIEWER) as session:
        await session.subscribe("query OverASocket { viewer { role } }")
        assert (await session.next())["viewer"]["role"] == "VIEWER"
        assert await session.receive() == {"type": "complete", "id": "1"}
    samples = (await live.server.client.get("/metrics")).text
    assert 'tranche_operation_seconds_count{operation="OverASocket",type="query"} 1.0' in samples


async def test_mutation_works_over_a_socket(live: LiveServer) -> None:
    async with live.session(Role.EDITOR) as session:
        await session.subscribe(CREATE_FUND, {"input": {"name": "Fund"}})
        assert (await session.next())["createFund"]["userErrors"] == []
        assert await session.receive() == {"type": "complete", "id": "1"}


async def test_subscription_delivers_what_is_committed_after_it(live: LiveServer) -> None:
    await live.create_fund()
    async with live.session() as session:
        await session.subscribe(EVENTS)
        await live.followers(1)
        await live.create_fund()
        event = (await session.next())["eventRecorded"]["event"]
        assert (event["action"], event["kind"]) == ("fund.created", "FINANCIAL")


async def test_several_operations_share_a_socket_and_complete_ends_one(live: LiveServer) -> None:
    async with live.session() as session:
        await session.subscribe(LIVE, id="a")
        await session.subscribe(LIVE, id="b")
        await session.subscribe(FUND_NAMES, id="c")
        assert {(await session.receive())["id"] for _ in range(2)} == {"c"}
        await live.followers(2)
        await live.create_fund()
        assert {(await session.receive())["id"] for _ in range(2)} == {"a", "b"}
        await session.send(type="complete", id="a")
        await session.send(type="ping")
        assert await session.receive() == {"type": "pong"}
        await live.create_fund()
        await live.create_fund()
        assert [(await session.receive())["id"] for _ in range(2)] == ["b", "b"]
        await session.subscribe(FUND_NAMES, id="a")
        assert (await session.receive())["id"] == "a"


async def test_silence_closes_with_4408(live: LiveServer) -> None:
    live.app.sockets.limits = type(live.app.sockets.limits)(init_seconds_max=0.1)
    async with live.socket() as opened:
        await opened.send(type="ping")
        assert await opened.receive() == {"type": "pong"}
        assert await opened.closed() == (4408, "Connection initialisation timeout")


async def test_operations_of_one_socket_are_limited(live: LiveServer) -> None:
    live.app.sockets.limits = type(live.app.sockets.limits)(operations_max=2)
    async with live.session() as session:
        for number in range(3):
            await session.subscribe(LIVE, id=str(number))
        message = await session.receive()
        assert (message["type"], message["id"]) == ("error", "2")
        assert message["payload"][0]["extensions"]["code"] == "RATE_LIMITED"
        await session.send(type="complete", id="0")
        await session.subscribe(FUND_NAMES, id="3")
        assert (await session.receive())["id"] == "3"


async def test_pages_of_our_own_and_of_listed_origins_may_connect(live: LiveServer) -> None:
    live.app.sockets.cross_origin = CrossOrigin(["https://app.example"])
    for origin in ("https://app.example", f"http://127.0.0.1:{live.port}"):
        async with live.socket(additional_headers={"origin": origin}) as opened:
            await opened.send(type="ping")
            assert await opened.receive() == {"type": "pong"}


async def test_removed_member_is_cut_off(live: LiveServer) -> None:
    async with live.session() as session:
        await session.subscribe(LIVE)
        await live.server.owner.execute(
            "UPDATE memberships SET removed_at = now() WHERE user_id = (SELECT id FROM users WHERE email = $1)",
            "admin@alpha.example",
        )
        assert (await session.closed())[0] == 4403


async def test_changed_role_ends_what_the_old_one_allowed(live: LiveServer) -> None:
    async with live.session() as session:
        await session.subscribe(LIVE)
        await live.server.owner.execute(
            "UPDATE memberships SET role = 'VIEWER' WHERE user_id = (SELECT id FROM users WHERE email = $1)",
            "admin@alpha.example",
        )
        assert (await session.closed())[0] == 4403


async def test_socket_that_drops_leaves_nothing_behind(live: LiveServer) -> None:
    async with live.session() as session:
        for number in range(5):
            await session.subscribe(LIVE, id=str(number))
        await live.followers(5)
        session.connection.transport.abort()
    await live.followers(0)
    assert live.app.state.bus._watchers == {}
