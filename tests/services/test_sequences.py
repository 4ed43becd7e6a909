"""Ids in blocks, taken by many at once; sequences that were set back, found, and repaired under writers."""

import asyncio
import json
import sys
from collections.abc import Sequence
from itertools import pairwise

import asyncpg
import pytest

from api.domain.access import Role
from api.domain.sequences import SequenceHealth, SequenceSeverity, SequenceStatus
from api.services.sequences import read_health, repair_all
from tests.server import RunningServer

TABLES = ("holding_activity_log", "portfolio_fund_irr_values", "portfolio_irr_values", "portfolio_fund_valuations")
HEALTH = "{ sequenceHealth { table lastValue isCalled maxId gap status severity } }"
REPAIR = "mutation { repairSequences { repaired { table lastValue gap status } userErrors { code } } }"
CREATE = "mutation ($name: String!) { createFund(input: { name: $name }) { fund { name } userErrors { code } } }"
INSERT = "INSERT INTO funds (organization_id, name, currency) VALUES ($1, $2, 'USD') RETURNING id"
TAKE = """
import asyncio, asyncpg, json, random, sys
async def main():
    connection = await asyncpg.connect(sys.argv[1])
    await connection.execute("SET ROLE tranche_app")
    sizes = [random.randint(1, 60) for _ in range(20)]
    print(json.dumps([
        [row[0] for row in await connection.fetch("SELECT reserve_ids('holding_activity_log', $1)", size)]
        for size in sizes
    ]))
    await connection.close()
asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("last_value", "is_called", "max_id", "gap", "severity"),
    [
        (1, False, None, 0, None),
        (7, True, 7, 0, None),
        (9, True, 7, 0, None),
        (7, False, 7, 1, SequenceSeverity.LOW),
        (1, True, 11, 10, SequenceSeverity.LOW),
        (1, True, 12, 11, SequenceSeverity.MEDIUM),
        (1, True, 101, 100, SequenceSeverity.MEDIUM),
        (1, True, 102, 101, SequenceSeverity.HIGH),
    ],
)
def test_gap_and_severity(
    last_value: int, is_called: bool, max_id: int | None, gap: int, severity: SequenceSeverity | None
) -> None:
    state = SequenceHealth("t", "s", last_value, is_called, max_id)
    status = SequenceStatus.NEEDS_REPAIR if gap else SequenceStatus.HEALTHY
    assert (state.gap, state.severity, state.status) == (gap, severity, status)


async def as_application(database_url: str) -> asyncpg.Connection:
    connection = await asyncpg.connect(database_url)
    await connection.execute("SET ROLE tranche_app")
    return connection


async def take(connection: asyncpg.Connection, count: int, table: str = TABLES[0]) -> list[int]:
    return [row[0] for row in await connection.fetch("SELECT reserve_ids($1, $2)", table, count)]


def assert_disjoint_and_ascending(blocks: Sequence[Sequence[int]]) -> None:
    assert all(list(block) == sorted(block) for block in blocks)
    ids = [taken for block in blocks for taken in block]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("table", TABLES)
async def test_concurrent_blocks_share_nothing(server: RunningServer, table: str) -> None:
    connections = [await as_application(server.database_url) for _ in range(5)]
    sizes = [10, 15, 5, 20, 8]
    blocks = await asyncio.gather(
        *(take(connection, size, table) for connection, size in zip(connections, sizes, strict=True))
    )
    assert [len(block) for block in blocks] == sizes
    assert_disjoint_and_ascending(blocks)
    assert min(await take(connections[0], 1, table)) > max(max(block) for block in blocks)
    for connection in connections:
        await connection.close()


async def test_blocks_of_ten_processes_share_nothing(server: RunningServer) -> None:
    processes = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", TAKE, server.database_url), stdout=asyncio.subprocess.PIPE
        )
        for _ in range(10)
    ]
    outputs = await asyncio.gather(*(process.communicate() for process in processes))
    by_process = [json.loads(output) for output, _ in outputs]
    assert_disjoint_and_ascending([block for blocks in by_process for block in blocks])
    assert sum(map(len, by_process)) == 200
    # Never backwards: whoever asks later gets higher ids.
    assert all(one[-1] < later[0] for blocks in by_process for one, later in pairwise(blocks))


async def test_size_of_a_block_is_limited(server: RunningServer) -> None:
    connection = await as_application(server.database_url)
    for count in (0, 20_001):
        with pytest.raises(asyncpg.RaiseError):
            await take(connection, count)
    await connection.close()


async def insert(connection: asyncpg.Connection, organization_id: int, name: str) -> int:
    async with connection.transaction():
        await connection.execute(f"SET LOCAL app.organization_id = '{organization_id}'")
        made: int = await connection.fetchval(INSERT, organization_id, name)
        return made


async def test_used_sequences_are_healthy(server: RunningServer) -> None:
    application = await as_application(server.database_url)
    await insert(application, server.organization_ids["beta"], "First")
    states = {state.table: state for state in await read_health(application)}
    assert {*TABLES, "funds", "organizations", "users", "audit_events", "capital_history"} <= states.keys()
    assert {state.status for state in states.values()} == {SequenceStatus.HEALTHY}
    assert (states["funds"].last_value, states["funds"].is_called, states["funds"].max_id) == (1, True, 1)
    assert (states[TABLES[0]].is_called, states[TABLES[0]].max_id) == (False, None)
    await application.close()


async def test_sequence_set_back_is_found_and_repaired_by_an_administrator(server: RunningServer) -> None:
    for number in range(30):
        await insert(server.owner, server.organization_ids["beta"], f"Fund {number}")
    await server.owner.execute("SELECT setval('funds_id_seq', 5)")
    found = (await server.execute(HEALTH, role=Role.ADMIN)).data["sequenceHealth"]
    assert [state for state in found if state["status"] != "HEALTHY"] == [
        {"table": "funds", "lastValue": "5", "isCalled": True, "maxId": "30", "gap": "25", "status": "NEEDS_REPAIR"}
        | {"severity": "MEDIUM"}
    ]
    assert (await server.execute(HEALTH, role=Role.EDITOR)).codes == ["FORBIDDEN"]
    repaired = {"table": "funds", "lastValue": "30", "gap": "0", "status": "HEALTHY"}
    answers = [await server.execute(REPAIR, role=Role.ADMIN) for _ in range(2)]
    assert [answer.data["repairSequences"] for answer in answers] == [
        {"repaired": [repaired], "userErrors": []},
        {"repaired": [], "userErrors": []},
    ]
    events = await server.owner.fetch("SELECT body FROM audit_events WHERE action = 'sequences.repaired' ORDER BY id")
    assert [json.loads(event["body"])["after"] for event in events] == [{"funds": 30}, {}]


async def test_repair_moves_nothing_back(server: RunningServer) -> None:
    await server.owner.execute("SELECT setval('funds_id_seq', 500)")
    await server.owner.fetch("SELECT * FROM repair_sequence('funds')")
    assert await server.owner.fetchval("SELECT last_value FROM funds_id_seq") == 500


async def test_repair_waits_for_whoever_has_taken_ids(server: RunningServer) -> None:
    await insert(server.owner, server.organization_ids["beta"], "First")
    writer, repairer = await as_application(server.database_url), await as_application(server.database_url)
    transaction = writer.transaction()
    await transaction.start()
    await take(writer, 3, "funds")
    await repairer.execute("SET lock_timeout = '100ms'")
    with pytest.raises(asyncpg.LockNotAvailableError):
        await repairer.fetch("SELECT * FROM repair_sequence('funds')")
    await transaction.rollback()
    await repairer.fetch("SELECT * FROM repair_sequence('funds')")
    await writer.close()
    await repairer.close()


async def test_no_insert_fails_after_the_repair_under_ten_writers(server: RunningServer) -> None:
    organization_id = server.organization_ids["alpha"]
    for number in range(300):
        await insert(server.owner, organization_id, f"There {number}")
    is_repaired = False
    failed_before, made_after, failed_after = 0, 0, 0
    all_have_failed, enough_made = asyncio.Event(), asyncio.Event()

    async def write(name: str) -> None:
        nonlocal failed_before, made_after, failed_after
        connection = await as_application(server.database_url)
        number = 0
        while not enough_made.is_set():
            number += 1
            began_after = is_repaired
            try:
                await insert(connection, organization_id, f"{name} {number}")
                made_after += began_after
            except asyncpg.UniqueViolationError:
                failed_after += began_after
                failed_before += not began_after
            if failed_before >= 10:
                all_have_failed.set()
            if made_after >= 200 or failed_after:
                enough_made.set()
        await connection.close()

    writers = [asyncio.create_task(write(f"Writer {number}")) for number in range(10)]
    await server.owner.execute("SELECT setval('funds_id_seq', 1, false)")
    await all_have_failed.wait()
    maintenance = await asyncpg.connect(server.database_url)
    await maintenance.execute("SET ROLE tranche_maintenance")
    await repair_all(maintenance)
    is_repaired = True
    await asyncio.gather(*writers)
    assert failed_after == 0
    assert made_after >= 200
    assert all(state.status is SequenceStatus.HEALTHY for state in await read_health(maintenance))
    await maintenance.close()


@pytest.mark.parametrize("table", ["funds", "audit_events"])
async def test_writers_move_on_a_sequence_that_was_set_back(server: RunningServer, table: str) -> None:
    for number in range(5):
        assert (await server.execute(CREATE, {"name": f"Earlier {number}"})).data["createFund"]["userErrors"] == []
    await server.owner.execute("SELECT setval(pg_get_serial_sequence($1, 'id'), 1, false)", table)
    answers = await asyncio.gather(*(server.execute(CREATE, {"name": f"Fund {number}"}) for number in range(10)))
    assert [answer.data["createFund"] for answer in answers] == [
        {"fund": {"name": f"Fund {number}"}, "userErrors": []} for number in range(10)
    ]
    application = await as_application(server.database_url)
    assert {state.status for state in await read_health(application)} == {SequenceStatus.HEALTHY}
    await application.close()


async def test_id_that_is_taken_is_not_taken_for_a_name_that_is(server: RunningServer) -> None:
    """A key that is taken is answered, an id that is taken mended: neither is the other."""
    await server.execute(CREATE, {"name": "There"})
    await server.owner.execute("SELECT setval('funds_id_seq', 1, false)")
    there, new = [(await server.execute(CREATE, {"name": name})).data["createFund"] for name in ("There", "New")]
    assert there == {"fund": None, "userErrors": [{"code": "ALREADY_EXISTS"}]}
    assert new == {"fund": {"name": "New"}, "userErrors": []}
