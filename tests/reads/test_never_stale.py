"""Two server processes, readers and writers of both: every answer agrees with the log of what was committed."""

from pathlib import Path
from random import Random

from api.domain.access import Role
from api.reads import global_ids
from bench.staleness import Asked, Load, Target, faults, log_since
from tests.contracts.two_organizations import call
from tests.processes import free_port, serving
from tests.server import RunningServer

REQUESTS = 1_000
SIZE = "100000000000"
CALLED = 2_500_000_000


async def make_target(server: RunningServer, number: int) -> Target:
    fund = (await call(server, "alpha", "createFund", name=f"Fund {number}", sizeCents=SIZE))["fund"]
    deal = (await call(server, "alpha", "createDeal", name=f"Deal {number}"))["deal"]
    given = {"fundId": fund["id"], "dealId": deal["id"], "amountCents": "5000000000", "securityType": "EQUITY"}
    allocation = (await call(server, "alpha", "createDealAllocation", **given))["allocation"]
    if allocation["status"] == "PENDING_APPROVAL":
        version = {"id": allocation["id"], "expectedVersion": allocation["version"]}
        await call(server, "alpha", "approveDealAllocation", by=Role.ADMIN, **version)
    called = {"allocationId": allocation["id"], "amountCents": str(CALLED)}
    made = (await call(server, "alpha", "createCapitalCall", **called))["capitalCall"]
    row_id = global_ids.decode_as("Fund", fund["id"])
    assert row_id is not None
    return Target(fund["id"], allocation["id"], made["id"], row_id)


async def test_no_answer_of_two_processes_is_stale(server: RunningServer, state_directory: Path) -> None:
    targets = [await make_target(server, number) for number in range(3)]
    organization_id = server.organization_ids["alpha"]
    sequence = await server.owner.fetchval(
        "SELECT max(sequence) FROM audit_events WHERE organization_id = $1", organization_id
    )
    first, second = free_port(), free_port()
    load = Load((first, second), server.tokens["alpha", Role.EDITOR], targets, Random(3))
    async with (
        serving(server.database_url, state_directory, first, TRANCHE_COST_PER_MINUTE="0"),
        serving(server.database_url, state_directory, second, TRANCHE_COST_PER_MINUTE="0"),
    ):
        await load.run(REQUESTS, at_once=12)
        hits, misses = await load.lookups()
    log = await log_since(server.owner, organization_id, sequence)
    assert faults(load, log, {target.row_id: (0, CALLED, 0) for target in targets}) == []
    assert (len(load.reads), len(load.writes)) == (hits + misses, sum(map(len, log.values())))
    assert hits > misses > 0
    assert len(load.writes) > 50


def test_checker_finds_what_is_stale_and_what_never_was() -> None:
    target = Target("fund", "allocation", "call", 1)
    load = Load((), "", [target], Random(1))
    first, second = ("distribution.recorded", 5), ("capital_call.created", 7)
    load.writes = [Asked(target, 1.0, 2.0, written=first), Asked(target, 3.0, 4.0, written=second)]
    log, before = {1: [first, second]}, {1: (0, 0, 1)}
    good = [(0.5, 0.9, 0, 0), (1.5, 1.9, 0, 0), (1.5, 1.9, 5, 0), (2.5, 3.5, 5, 0), (2.5, 3.5, 5, 7), (4.5, 5.0, 5, 7)]
    bad = {
        (2.5, 2.9, 0, 0): "stale",
        (4.5, 5.0, 5, 0): "stale",
        (0.5, 0.9, 5, 0): "nobody had written",
        (2.5, 2.9, 5, 7): "nobody had written",
        (4.5, 5.0, 0, 7): "never so",
    }
    for began, ended, *state in good:
        load.reads = [Asked(target, began, ended, (*state, 1))]
        assert faults(load, log, before) == []
    for (began, ended, *state), fault in bad.items():
        load.reads = [Asked(target, began, ended, (*state, 1))]
        assert fault in "".join(faults(load, log, before))
