"""Readers and writers of funds' metrics at several servers, and the comparison of every answer with the log.

The log has the order of commits. So what a fund had paid out, called and been paid is known after each of its commits,
and an answer must be one of these states: none older than what had been told to be committed when it was asked for, and
none with money in it that nobody had asked to be written yet.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

import asyncpg
import httpx
import orjson

AMOUNT_MAX = 10**6
READ = "query Read($id: ID!) { fund(id: $id) { metrics { distributedCents calledCents paidCents } } }"
DISTRIBUTE = """
mutation Distribute($input: RecordDistributionInput!) {
  recordDistribution(input: $input) { userErrors { code message } }
}
"""
PAY = """
mutation Pay($input: RecordCapitalCallPaymentInput!) {
  recordCapitalCallPayment(input: $input) { userErrors { code message } }
}
"""
CALL = """
mutation Call($input: CreateCapitalCallInput!) {
  createCapitalCall(input: $input) { userErrors { code message } }
}
"""
ACTIONS = ("distribution.recorded", "capital_call.created", "capital_call.paid")
"""What writes are called in the log."""
CACHES = "{ system { caches { name hits misses } } }"
_LOG = """
SELECT action, body FROM audit_events
WHERE organization_id = $1 AND sequence > $2 AND action = ANY ($3)
ORDER BY sequence
"""

State = tuple[int, ...]
"""What was distributed, called and paid, in cents: in the order of ``ACTIONS``."""
Written = tuple[str, int]
"""The action in the log and the amount, which is a different one each time."""


@dataclass(frozen=True)
class Target:
    """A fund that is read and written: global ids of the fund, an allocation and a call of it, and the row's own id."""

    fund_id: str
    allocation_id: str
    call_id: str
    row_id: int


@dataclass
class Asked:
    """Something that was asked for, when, and what came of it."""

    target: Target
    began: float
    ended: float = 0.0
    state: State | None = None
    written: Written | None = None


@dataclass
class Load:
    """Reads and writes of some funds, at servers by turns."""

    ports: Sequence[int]
    token: str
    targets: Sequence[Target]
    random: Random
    write_share: float = 0.1
    reads: list[Asked] = field(default_factory=list)
    writes: list[Asked] = field(default_factory=list)
    _used: set[int] = field(default_factory=set)

    async def run(self, count: int, *, at_once: int, per_second: float | None = None) -> None:
        """So many requests, each after the one before on its connection, or as many in a second as is said."""
        began, left = time.perf_counter(), iter(range(count))
        async with httpx.AsyncClient(timeout=60, limits=httpx.Limits(max_connections=at_once * 2)) as client:

            async def ask() -> None:
                for number in left:
                    if per_second is not None:
                        await asyncio.sleep(max(0.0, began + number / per_second - time.perf_counter()))
                    await self._one(client, self.ports[number % len(self.ports)])

            await asyncio.gather(*(ask() for _ in range(at_once)))

    async def lookups(self) -> tuple[int, int]:
        """How often all servers have found an answer kept so far, and how often not."""
        hits = misses = 0
        async with httpx.AsyncClient(timeout=60) as client:
            for port in self.ports:
                caches = (await self._ask(client, port, CACHES, {}))["system"]["caches"]
                [cache] = [cache for cache in caches if cache["name"] == "fundMetrics"]
                hits, misses = hits + int(cache["hits"]), misses + int(cache["misses"])
        return hits, misses

    async def _one(self, client: httpx.AsyncClient, port: int) -> None:
        target = self.random.choice(self.targets)
        if self.random.random() >= self.write_share:
            read = Asked(target, time.perf_counter())
            found = (await self._ask(client, port, READ, {"id": target.fund_id}))["fund"]["metrics"]
            read.ended = time.perf_counter()
            read.state = tuple(int(found[name]) for name in ("distributedCents", "calledCents", "paidCents"))
            self.reads.append(read)
            return
        amount = self._amount()
        text, action, given = self.random.choice(
            [
                (DISTRIBUTE, ACTIONS[0], {"allocationId": target.allocation_id, "distributionType": "DIVIDEND"}),
                (CALL, ACTIONS[1], {"allocationId": target.allocation_id}),
                (PAY, ACTIONS[2], {"capitalCallId": target.call_id}),
            ]
        )
        write = Asked(target, time.perf_counter(), written=(action, amount))
        self.writes.append(write)
        (payload,) = (await self._ask(client, port, text, {"input": given | {"amountCents": str(amount)}})).values()
        if payload["userErrors"]:
            raise RuntimeError(f"refused: {payload['userErrors']}")
        write.ended = time.perf_counter()

    def _amount(self) -> int:
        amount = self.random.randint(1, AMOUNT_MAX)
        while amount in self._used:
            amount = self.random.randint(1, AMOUNT_MAX)
        self._used.add(amount)
        return amount

    async def _ask(self, client: httpx.AsyncClient, port: int, text: str, variables: dict[str, Any]) -> Any:
        response = await client.post(
            f"http://127.0.0.1:{port}/graphql",
            json={"query": text, "variables": variables},
            headers={"Authorization": f"Bearer {self.token}"},
        )
        body = response.json()
        if "errors" in body:
            raise RuntimeError(f"{response.status_code}: {body['errors']}")
        return body["data"]


async def log_since(owner: asyncpg.Connection, organization_id: int, sequence: int) -> Mapping[int, Sequence[Written]]:
    """What was written to each fund after this sequence of the log, by the fund's row id, in the order of commits."""
    written: dict[int, list[Written]] = {}
    for row in await owner.fetch(_LOG, organization_id, sequence, ACTIONS):
        after = orjson.loads(row["body"])["after"]
        written.setdefault(after["fund_id"], []).append((row["action"], int(after["amount_cents"])))
    return written


def faults(load: Load, log: Mapping[int, Sequence[Written]], before: Mapping[int, State]) -> list[str]:
    """What is wrong with the answers; ``before`` is each fund's state at the beginning."""
    found = []
    for target in load.targets:
        commits = log.get(target.row_id, [])
        states = {before[target.row_id]: 0}
        sums = dict(zip(ACTIONS, before[target.row_id], strict=True))
        for place, (action, amount) in enumerate(commits, start=1):
            sums[action] += amount
            states[tuple(sums.values())] = place
        places = {written: place for place, written in enumerate(commits, start=1)}
        writes = [one for one in load.writes if one.target is target and one.written in places]
        if len(writes) != len(commits):
            found.append(f"{target.fund_id}: {len(commits)} commits of {len(writes)} writes")
        for read in load.reads:
            if read.target is target:
                found += _faults_of(read, states, writes, places)
    return found


def _faults_of(
    read: Asked, states: Mapping[State, int], writes: Sequence[Asked], places: Mapping[Written, int]
) -> list[str]:
    if read.state is None or read.state not in states:
        return [f"{read.target.fund_id}: {read.state} was never so"]
    place = states[read.state]
    told = max((places[one.written] for one in writes if one.written and one.ended < read.began), default=0)
    asked = {places[one.written] for one in writes if one.written and one.began < read.ended}
    if place < told:
        return [f"{read.target.fund_id}: {read.state} is stale, as after commit {place}; {told} had been told of"]
    if not asked.issuperset(range(1, place + 1)):
        return [f"{read.target.fund_id}: {read.state} holds what nobody had written yet"]
    return []
