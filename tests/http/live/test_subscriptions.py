"""What the subscriptions show, to whom: reallocations by fund, the log by kind, and nothing of anybody else."""

import json
from typing import Any

import pytest
from graphql import GraphQLError

from api.db.connections import ConnectionPool
from api.domain.access import REQUIRED_ROLES, Role
from api.http.live import answers
from api.reads.live.positions import encode_cursor
from tests.contracts.operations import SUBSCRIPTIONS
from tests.http.live.clients import EVENTS, LiveServer, Socket
from tests.services.fund_client import Fund, proposal

COMMITTED = """
subscription ($fundId: ID, $after: String) {
  reallocationCommitted(fundId: $fundId, after: $after) {
    cursor
    reallocation { id newVersion reason fund { id allocationVersion } actor { email } changes { companyName toCents } }
  }
}
"""
CURSORS = {
    "reallocationCommitted": "subscription ($after: String) { reallocationCommitted(after: $after) { cursor } }",
    "capitalChanged": "subscription ($after: String) { capitalChanged(after: $after) { cursor } }",
    "capitalCallChanged": "subscription ($after: String) { capitalCallChanged(after: $after) { cursor } }",
    "eventRecorded": "subscription ($after: String) { eventRecorded(after: $after) { cursor } }",
    "snapshotChanged": "subscription ($fundId: ID!, $after: String) "
    "{ snapshotChanged(fundId: $fundId, after: $after) { id } }",
}


def cursor(live: LiveServer, sequence: int, organization: str = "alpha") -> str:
    return encode_cursor(live.server.organization_ids[organization], sequence)


async def refused(session: Socket, query: str, variables: dict[str, Any]) -> list[dict[str, Any]]:
    """The errors with which an operation is refused."""
    await session.subscribe(query, variables, id="refused")
    message = await session.receive()
    assert (message["type"], message["id"]) == ("error", "refused")
    errors: list[dict[str, Any]] = message["payload"]
    return errors


def test_every_subscription_has_its_case() -> None:
    assert set(SUBSCRIPTIONS) == set(CURSORS)


async def test_reallocations_come_with_their_objects(live: LiveServer) -> None:
    fund = await Fund(live.server).create()
    async with live.session(Role.VIEWER) as session:
        await session.subscribe(COMMITTED, {"fundId": fund.fund_id})
        await live.followers(1)
        committed = await fund.commit(proposal(fund.a, 2000), reason="Series B")
        event = (await session.next())["reallocationCommitted"]
        assert event["reallocation"] == {
            "id": committed["reallocation"]["id"],
            "newVersion": "4",
            "reason": "Series B",
            "fund": {"id": fund.fund_id, "allocationVersion": "4"},
            "actor": {"email": "editor@alpha.example"},
            "changes": [{"companyName": "A", "toCents": "2000"}],
        }
    async with live.session(Role.VIEWER) as session:
        await session.subscribe(COMMITTED, {"after": event["cursor"]})
        await live.followers(1)
        for version, cents in ((4, 3000), (5, 4000)):
            await fund.commit(proposal(fund.a, cents), version=version)
        versions = [(await session.next())["reallocationCommitted"]["reallocation"]["newVersion"] for _ in range(2)]
        assert versions == ["5", "6"]


async def test_each_event_is_read_anew(live: LiveServer) -> None:
    """An object that came with one event is not what it was when it comes with the next."""
    fund = await Fund(live.server).create()
    start = cursor(live, 0)
    async with live.session(Role.VIEWER) as session:
        await session.subscribe(COMMITTED, {"after": start})
        for version, cents in ((3, 2000), (4, 3000)):
            await fund.commit(proposal(fund.a, cents), version=version)
            shown = (await session.next())["reallocationCommitted"]["reallocation"]
            assert shown["fund"]["allocationVersion"] == str(version + 1)


async def test_reallocations_of_other_funds_do_not_come(live: LiveServer) -> None:
    one, other = await Fund(live.server).create(), Fund(live.server)
    other.fund_id = await live.create_fund()
    company = "mutation ($input: CreatePortfolioCompanyInput!) { createPortfolioCompany(input: $input) { company { id } userErrors { code } } }"  # noqa: E501
    other.a = await other.made(company, "company", fundId=other.fund_id, name="Other", plannedReservesCents=1)
    async with live.session(Role.VIEWER) as session:
        await session.subscribe(COMMITTED, {"fundId": other.fund_id})
        await live.followers(1)
        await one.commit(proposal(one.a, 2000))
        await other.commit(proposal(other.a, 3), version=2)
        shown = (await session.next())["reallocationCommitted"]["reallocation"]
        assert shown["changes"] == [{"companyName": "Other", "toCents": "3"}]


async def test_log_comes_by_kind_and_from_its_beginning(live: LiveServer) -> None:
    await live.create_fund()
    await live.server.execute("{ auditEvents { totalCount } }", role=Role.VIEWER)
    query = """
    subscription ($kinds: [AuditKind!], $after: String) {
      eventRecorded(kinds: $kinds, after: $after) { event { kind action actor { email } } }
    }
    """
    async with live.session() as session:
        await session.subscribe(query, {"kinds": ["SECURITY"], "after": cursor(live, 0)})
        events = [(await session.next())["eventRecorded"]["event"]]
        while events[-1]["action"] != "auditEvents.refused":
            events.append((await session.next())["eventRecorded"]["event"])
        assert {event["kind"] for event in events} == {"SECURITY"}
        assert events[-1]["actor"] == {"email": "viewer@alpha.example"}


@pytest.mark.parametrize("name", CURSORS)
async def test_subscription_is_for_its_role_and_those_above(live: LiveServer, name: str) -> None:
    ranks, fund_id = list(Role), await live.create_fund()
    for role in ranks:
        async with live.session(role) as session:
            await session.subscribe(CURSORS[name], {"after": None, "fundId": fund_id})
            if ranks.index(role) >= ranks.index(REQUIRED_ROLES.get(name, Role.VIEWER)):
                await live.followers(1)
                await session.send(type="complete", id="1")
                await live.followers(0)
                continue
            message = await session.receive()
            assert (message["type"], message["payload"][0]["extensions"]["code"]) == ("error", "FORBIDDEN")
            action = "SELECT action FROM audit_events WHERE organization_id = $1 ORDER BY sequence DESC LIMIT 1"
            written = await live.server.owner.fetchval(action, live.server.organization_ids["alpha"])
            assert written == f"{name}.refused"


@pytest.mark.parametrize("name", CURSORS)
async def test_cursor_that_leads_nowhere_is_refused(live: LiveServer, name: str) -> None:
    fund_id, *_ = [await live.create_fund() for _ in range(5)]
    last = await live.server.owner.fetchval(
        "SELECT sequence FROM audit_heads WHERE organization_id = $1", live.server.organization_ids["alpha"]
    )
    await live.server.owner.execute("DELETE FROM audit_events WHERE sequence <= $1", last - 3)
    cases = {
        "x": "BAD_USER_INPUT",
        cursor(live, last, "beta"): "BAD_USER_INPUT",
        cursor(live, last + 1): "CURSOR_AHEAD",
        cursor(live, last - 4): "CURSOR_EXPIRED",
    }
    async with live.session() as session:
        for after, code in cases.items():
            (error,) = await refused(session, CURSORS[name], {"after": after, "fundId": fund_id})
            assert (error["extensions"]["code"], error["path"]) == (code, [name])
            assert error["message"].startswith("after: ")


async def test_fund_of_another_organization_is_refused_like_an_unknown_one(live: LiveServer) -> None:
    theirs = await live.create_fund("beta")
    seen = []
    async with live.session() as session:
        for fund_id in (theirs, "RnVuZDo5OTk5OTk=", "", "x", "UG9ydGZvbGlvOjE="):
            seen.append(json.dumps(await refused(session, COMMITTED, {"fundId": fund_id})))
    assert len(set(seen)) == 1
    (error,) = json.loads(seen[0])
    assert (error["message"], error["extensions"]["code"]) == ("fundId: there is no such fund.", "BAD_USER_INPUT")


async def test_nothing_of_another_organization_comes(live: LiveServer) -> None:
    async with live.session(organization="beta") as theirs, live.session() as ours:
        for session in (theirs, ours):
            await session.subscribe(EVENTS)
        await live.followers(2)
        await live.create_fund("alpha")
        await ours.next()
        await theirs.send(type="ping")
        assert await theirs.receive() == {"type": "pong"}
        await live.create_fund("beta")
        event = (await theirs.next())["eventRecorded"]
        assert event["cursor"] == cursor(live, int(event["event"]["sequence"]), "beta")


async def test_event_that_cannot_be_answered_is_tried_again(live: LiveServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "RETRY_SECONDS", (0.01, 0.01))
    failures = [OSError("gone"), OSError("gone")]
    execute = answers.Answers._execute

    async def failing(self: answers.Answers, *arguments: Any) -> Any:
        result = await execute(self, *arguments)
        if failures:
            result.data, error = None, failures.pop()
            result.errors = [GraphQLError("x", original_error=error)]
        return result

    monkeypatch.setattr(answers.Answers, "_execute", failing)
    async with live.session() as session:
        await session.subscribe(EVENTS)
        await live.followers(1)
        await live.create_fund()
        assert (await session.next())["eventRecorded"]["event"]["action"] == "fund.created"
        failures += [OSError("gone")] * 3
        await live.create_fund()
        message = await session.receive()
        assert (message["type"], message["id"]) == ("error", "1")
        assert "gone" not in json.dumps(message)


async def test_queries_go_on_while_many_follow(live: LiveServer) -> None:
    """Events go to all at once, and leave connections to those who ask something else."""
    pool: ConnectionPool = live.server.database.reads
    async with live.session() as session:
        for number in range(60):
            await session.subscribe(EVENTS, id=str(number))
        await live.followers(60)
        await live.create_fund()
        assert (await live.server.execute("{ funds { totalCount } }")).data == {"funds": {"totalCount": 1}}
        assert {(await session.receive())["id"] for _ in range(60)} == {str(number) for number in range(60)}
    await live.followers(0)
    assert pool.idle_size == pool.size
