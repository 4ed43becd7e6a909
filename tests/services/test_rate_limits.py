"""Limits by cost within a minute: what a caller has is shared by all processes, and most requests find it in memory."""

import asyncio
import math
import time
from collections import Counter
from pathlib import Path

import asyncpg
import httpx
import pytest
from graphql import get_introspection_query

from api.db.pools import Database, PoolLimits
from api.db.provisioning import application_url
from api.domain.access import Principal, Role
from api.errors import RateLimited
from api.services import rate_limits
from api.services.rate_limits import RateLimits
from tests.processes import free_port, serving
from tests.server import RunningServer, start_server

PER_MINUTE = 60_000
PART = PER_MINUTE // 20
PAGE = "{ funds(first: 99) { nodes { name } } }"
"""Costs 100."""


def caller(server: RunningServer, user_id: int = 1, organization: str = "alpha") -> Principal:
    return Principal(server.organization_ids[organization], user_id, Role.EDITOR)


async def spend(limits: RateLimits, principal: Principal, cost: int) -> None:
    if not limits.take(principal, cost):
        await limits.lease(principal, cost)


async def spent(limits: RateLimits, principal: Principal, cost: int) -> bool:
    try:
        await spend(limits, principal, cost)
    except RateLimited:
        return False
    return True


async def remaining(server: RunningServer) -> float:
    found: float = await server.owner.fetchval("SELECT sum(remaining) FROM rate_limits")
    return found


async def test_process_takes_a_part_and_spends_from_it(server: RunningServer) -> None:
    limits, principal = RateLimits(server.database, PER_MINUTE), caller(server)
    for _ in range(PART):
        await spend(limits, principal, 1)
    assert await remaining(server) == PER_MINUTE - PART
    assert not limits.take(principal, 1)
    await spend(limits, principal, 1)
    assert PER_MINUTE - 2 * PART <= await remaining(server) < PER_MINUTE - PART


async def test_operation_that_costs_more_than_a_part_takes_what_it_needs(server: RunningServer) -> None:
    limits, principal = RateLimits(server.database, PER_MINUTE), caller(server)
    await spend(limits, principal, PER_MINUTE)
    assert await remaining(server) == 0
    with pytest.raises(RateLimited, match=r"at most a cost of 60000\. Try again in 60 s\."):
        await spend(limits, principal, PER_MINUTE)


async def test_who_is_refused_is_told_when_there_will_be_enough(server: RunningServer) -> None:
    limits, principal = RateLimits(server.database, PER_MINUTE), caller(server)
    await spend(limits, principal, PER_MINUTE)
    with pytest.raises(RateLimited) as refused:
        await spend(limits, principal, 5_000)
    assert refused.value.retry_after == 5
    await server.owner.execute("UPDATE rate_limits SET refilled_at = refilled_at - interval '5 s'")
    limits._leases.clear()
    await spend(limits, principal, 5_000)
    await server.owner.execute("UPDATE rate_limits SET refilled_at = refilled_at - interval '1 day'")
    await spend(limits, principal, 1)
    assert PER_MINUTE - PART <= await remaining(server) <= PER_MINUTE


async def test_clock_that_was_set_back_takes_nothing_away(server: RunningServer) -> None:
    limits, principal = RateLimits(server.database, PER_MINUTE), caller(server)
    await spend(limits, principal, 1)
    await server.owner.execute("UPDATE rate_limits SET refilled_at = now() + interval '1 day'")
    await spend(limits, principal, PART)
    assert await remaining(server) == PER_MINUTE - 2 * PART


async def test_empty_bucket_is_looked_into_once_a_second(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits, principal, asked = RateLimits(server.database, PER_MINUTE), caller(server), Counter[str]()
    take = limits._take

    async def counted(asking: rate_limits.Caller, wanted: int) -> float:
        asked["times"] += 1
        return await take(asking, wanted)

    await spend(limits, principal, PER_MINUTE)
    monkeypatch.setattr(RateLimits, "_take", lambda _self, asking, wanted: counted(asking, wanted))
    monkeypatch.setattr(rate_limits, "ASK_SECONDS_MIN", 3_600)
    assert [await spent(limits, principal, PER_MINUTE) for _ in range(50)] == [False] * 50
    assert asked["times"] == 1


async def test_callers_have_a_bucket_each(server: RunningServer) -> None:
    limits = RateLimits(server.database, PER_MINUTE)
    callers = [
        caller(server),
        caller(server, 2),
        caller(server, 1, "beta"),
        Principal(server.organization_ids["alpha"], None, Role.ADMIN, api_key_id=1),
        Principal(server.organization_ids["alpha"], None, Role.ADMIN, api_key_id=2),
    ]
    for principal in callers:
        await spend(limits, principal, PER_MINUTE)
        assert not await spent(limits, principal, PER_MINUTE)
    assert await server.owner.fetchval("SELECT count(*) FROM rate_limits") == len(callers)


async def test_buckets_that_are_full_again_are_forgotten(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate_limits, "FORGETS_EVERY", 1)
    limits = RateLimits(server.database, PER_MINUTE)
    for user_id in range(5):
        await spend(limits, caller(server, user_id), PER_MINUTE)
    await spend(limits, caller(server, 1, "beta"), 1)
    await server.owner.execute("UPDATE rate_limits SET refilled_at = now() - interval '61 s' WHERE caller <> 'user 2'")
    await spend(limits, caller(server, 9), 1)
    kept = "SELECT caller FROM rate_limits WHERE organization_id = $1 ORDER BY caller"
    alpha = [row["caller"] for row in await server.owner.fetch(kept, server.organization_ids["alpha"])]
    assert alpha == ["user 2", "user 9"]
    assert await server.owner.fetchval(kept, server.organization_ids["beta"]) == "user 1"
    # Who was forgotten has all there is, and not more.
    limits._leases.clear()
    assert await spent(limits, caller(server, 3), PER_MINUTE)
    assert not await spent(limits, caller(server, 3), PER_MINUTE)


async def test_clearing_away_waits_for_nobody(server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limits, "FORGETS_EVERY", 1)
    limits = RateLimits(server.database, PER_MINUTE)
    await spend(limits, caller(server), 1)
    await server.owner.execute("UPDATE rate_limits SET refilled_at = now() - interval '1 day'")
    async with server.owner.transaction():
        await server.owner.execute("SELECT 1 FROM rate_limits FOR UPDATE")
        await spend(limits, caller(server, 2), 1)
    assert await server.owner.fetchval("SELECT count(*) FROM rate_limits") == 2


async def test_no_limit_is_no_bucket(server: RunningServer) -> None:
    limits = RateLimits(server.database, 0)
    assert limits.take(caller(server), 10**12)
    limits.take_anonymously(10**12)
    assert await server.owner.fetchval("SELECT count(*) FROM rate_limits") == 0


async def test_callers_are_remembered_up_to_their_number(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate_limits, "CALLERS_MAX", 10)
    limits = RateLimits(server.database, PER_MINUTE)
    for user_id in range(30):
        await spend(limits, caller(server, user_id), 1)
    assert [user_id for _, user_id, _ in limits._leases] == list(range(20, 30))


async def test_two_processes_racing_hand_out_no_more_than_there_is(server: RunningServer) -> None:
    url = application_url(server.database_url, server.settings.state_dir)
    others = [await Database.open(url, PoolLimits()) for _ in range(2)]
    sharing = [RateLimits(database, PER_MINUTE) for database in others]
    principal, started = caller(server), time.monotonic()
    answers = await asyncio.gather(*(spent(sharing[number % 2], principal, 1_000) for number in range(400)))
    seconds = time.monotonic() - started
    # What has been taken and is too little to be spent is at most one cost in each process.
    assert 58 <= answers.count(True) <= 60 + seconds
    for database in others:
        await database.close()


async def test_database_that_is_late_limits_nobody(server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limits, "LEASE_SECONDS_MAX", 0.05)
    limits = RateLimits(server.database, PER_MINUTE)
    async with server.owner.transaction():
        await server.owner.execute("LOCK TABLE rate_limits IN ACCESS EXCLUSIVE MODE")
        await spend(limits, caller(server), 1)
    assert await server.owner.fetchval("SELECT count(*) FROM rate_limits") == 0
    assert limits.take(caller(server), PART - 1)
    await spend(limits, caller(server), 1)
    assert await server.owner.fetchval("SELECT count(*) FROM rate_limits") == 1


async def test_fault_of_the_program_is_not_taken_for_a_late_database(server: RunningServer) -> None:
    await server.owner.execute("ALTER TABLE rate_limits RENAME COLUMN granted TO given")
    with pytest.raises(asyncpg.UndefinedColumnError):
        await spend(RateLimits(server.database, PER_MINUTE), caller(server), 1)


async def test_callers_without_a_token_share_what_a_process_has_for_them(
    database_url: str, state_directory: Path
) -> None:
    introspection = {"query": "{ __schema { types { fields { name } } } }"}
    async with start_server(database_url, state_directory, cost_per_minute=50_000) as server:
        headers = {"Authorization": f"Bearer {server.tokens['alpha', Role.VIEWER]}", "X-Tranche-Cost": "1"}
        told = await server.client.post("/graphql", json=introspection, headers=headers)
        price = told.json()["extensions"]["cost"]["value"]
        answers = [await server.client.post("/graphql", json=introspection) for _ in range(10)]
        # A hundredth is for them: 500, and what has come back meanwhile.
        statuses = [answer.status_code for answer in answers]
        assert statuses[: 500 // price] == [200] * (500 // price)
        assert 429 in statuses
        refused = answers[statuses.index(429)]
        assert 1 <= int(refused.headers["retry-after"]) <= math.ceil(price * 60 / 500)
        assert refused.json()["errors"][0]["extensions"]["code"] == "RATE_LIMITED"
        assert (await server.execute(introspection["query"])).status == 200


async def test_introspection_passes_where_little_is_allowed(database_url: str, state_directory: Path) -> None:
    async with start_server(database_url, state_directory, cost_max=4_000, cost_per_minute=4_000) as server:
        introspection = {"query": get_introspection_query()}
        statuses = [(await server.client.post("/graphql", json=introspection)).status_code for _ in range(2)]
        assert statuses == [200, 429]
        assert (await server.execute(introspection["query"])).status == 200


@pytest.mark.parametrize("uses_plans", [True, False])
async def test_caller_who_asks_too_much_is_refused_and_others_are_not(
    database_url: str, state_directory: Path, uses_plans: bool
) -> None:
    async with start_server(
        database_url, state_directory, cost_max=1_000, cost_per_minute=1_000, compiled_queries=uses_plans
    ) as server:
        headers = {"Authorization": f"Bearer {server.tokens['alpha', Role.EDITOR]}"}
        answers = [await server.client.post("/graphql", json={"query": PAGE}, headers=headers) for _ in range(20)]
        statuses = [answer.status_code for answer in answers]
        assert statuses[:10] == [200] * 10
        refused = answers[statuses.index(429)]
        assert 1 <= int(refused.headers["retry-after"]) <= 6
        assert refused.json().keys() == {"errors"}
        assert refused.json()["errors"][0]["extensions"] == {"code": "RATE_LIMITED"}
        await server.owner.execute("UPDATE rate_limits SET remaining = 0, refilled_at = now() + interval '1 hour'")
        create = "mutation ($i: CreateFundInput!) { createFund(input: $i) { fund { id name } } }"
        written = await server.execute(create.replace("name", "companies { nodes { id } }"), {"i": {"name": "Never"}})
        assert (written.status, written.codes) == (429, ["RATE_LIMITED"])
        assert await server.owner.fetchval("SELECT count(*) FROM funds") == 0
        assert (await server.execute(PAGE, role=Role.VIEWER)).status == 200
        assert (await server.execute(PAGE, organization="beta")).status == 200


async def test_two_server_processes_share_what_a_caller_has(
    server: RunningServer, state_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRANCHE_COST_MAX", "1000")
    monkeypatch.setenv("TRANCHE_COST_PER_MINUTE", "3000")
    ports = [free_port(), free_port()]
    headers = {"Authorization": f"Bearer {server.tokens['alpha', Role.EDITOR]}"}
    async with (
        serving(server.database_url, state_directory, ports[0]),
        serving(server.database_url, state_directory, ports[1]),
        httpx.AsyncClient(timeout=60) as client,
    ):
        statuses: dict[int, Counter[int]] = {port: Counter() for port in ports}

        async def ask(port: int) -> None:
            for _ in range(40):
                url = f"http://127.0.0.1:{port}/graphql"
                response = await client.post(url, json={"query": PAGE}, headers=headers)
                statuses[port][response.status_code] += 1

        started = time.monotonic()
        await asyncio.gather(*map(ask, ports))
        seconds = time.monotonic() - started
    assert all(counted.keys() == {200, 429} for counted in statuses.values())
    answered = sum(counted[200] for counted in statuses.values())
    # Parts are of 150, so that a process may be left with 50; 50 come back each second.
    assert 28 <= answered <= 30 + seconds / 2
