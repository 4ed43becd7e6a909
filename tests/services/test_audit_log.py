"""The organization's log: dense, in the order of commits, and a chain that shows what was changed or is missing."""

import asyncio
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from api.domain.access import Role
from api.reads import audit_chain
from tests.server import RunningServer, start_server

CREATE = "mutation ($input: CreateFundInput!) { createFund(input: $input) { fund { id } userErrors { code } } }"
VERIFY = "{ auditVerification { isIntact eventCount firstBrokenSequence } }"
EVENTS = 7  # the organization's creation and six funds
WRITERS = 20
FUNDS_PER_WRITER = 5


async def create(server: RunningServer, name: str) -> None:
    payload = (await server.execute(CREATE, {"input": {"name": name}})).data["createFund"]
    assert payload["userErrors"] == []


async def verdict(server: RunningServer, organization: str = "alpha") -> Any:
    answer = await server.execute(VERIFY, role=Role.ADMIN, organization=organization)
    return answer.data["auditVerification"]


@pytest.fixture
async def log(server: RunningServer) -> RunningServer:
    """A server whose organization alpha has seven events."""
    for number in range(6):
        await create(server, f"Fund {number}")
    return server


async def alpha_events(connection: asyncpg.Connection) -> list[asyncpg.Record]:
    sql = "SELECT * FROM audit_events WHERE organization_id = (SELECT id FROM organizations WHERE slug = 'alpha')"
    rows: list[asyncpg.Record] = await connection.fetch(f"{sql} ORDER BY sequence")
    return rows


async def test_sequence_is_dense_and_in_commit_order_under_twenty_writers(
    database_url: str, state_directory: Path
) -> None:
    async with start_server(database_url, state_directory, write_connections_max=6) as server:
        seen: list[list[int]] = []

        async def watch() -> None:
            connection = await asyncpg.connect(database_url)
            while not is_done:
                seen.append([row["sequence"] for row in await alpha_events(connection)])
                await asyncio.sleep(0)
            await connection.close()

        async def write(writer: int) -> None:
            for number in range(FUNDS_PER_WRITER):
                await create(server, f"Fund {writer}.{number}")

        is_done = False
        watching = asyncio.create_task(watch())
        await asyncio.gather(*(write(writer) for writer in range(WRITERS)))
        is_done = True
        await watching
        events = await alpha_events(server.owner)
        assert len(events) == 1 + WRITERS * FUNDS_PER_WRITER
        # Whoever reads at any moment sees no gap: what has a lower sequence was committed before.
        assert all(sequences == list(range(1, len(sequences) + 1)) for sequences in seen)
        assert len({len(sequences) for sequences in seen}) > 10
        times = [event["recorded_at"] for event in events]
        assert times == sorted(set(times))
        assert await verdict(server) == {"isIntact": True, "eventCount": str(len(events)), "firstBrokenSequence": None}


@pytest.mark.parametrize("chunk", [1, 2, 6, 7, 8])
async def test_untouched_log_is_intact_however_it_is_read(
    log: RunningServer, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr(audit_chain, "CHUNK_EVENTS", chunk)
    assert await verdict(log) == {"isIntact": True, "eventCount": "7", "firstBrokenSequence": None}


BODY = """replace(body, '"name":"Fund', '"name":"Fond')"""
REHASHED = """
digest = sha256({body}), hash = sha256((SELECT before.hash FROM audit_events AS before WHERE before.organization_id = 1
  AND before.sequence = audit_events.sequence - 1) || int8send(1) || int8send(sequence)
  || int8send((extract(epoch FROM recorded_at) * 1000000)::bigint) || sha256({body})),
body = convert_from({body}, 'UTF8')
"""
CHANGES = [
    f"body = {BODY}",
    f"body = {BODY}, digest = sha256({BODY}::bytea)",
    "body = 'not JSON', digest = sha256('not JSON')",
    "body = '[]', digest = sha256('[]')",
    "action = 'fund.updated'",
    "kind = 'SYSTEM'",
    "actor_id = NULL",
    "subject_id = '999'",
    "subject_type = 'Portfolio'",
    "request_id = 'another'",
    "recorded_at = recorded_at + interval '1 microsecond'",
    "digest = sha256('another')",
    "hash = sha256('another')",
]


async def verdict_on_changed(log: RunningServer, change: str, sequence: int) -> Any:
    """The verdict while one event is changed."""
    where = f"organization_id = 1 AND sequence = {sequence}"
    await log.owner.execute(f"CREATE TEMPORARY TABLE saved AS SELECT * FROM audit_events WHERE {where}")
    await log.owner.execute(f"UPDATE audit_events SET {change} WHERE {where}")
    found = await verdict(log)
    await log.owner.execute(f"DELETE FROM audit_events WHERE {where}")
    await log.owner.execute("INSERT INTO audit_events SELECT * FROM saved; DROP TABLE saved")
    return found


@pytest.mark.parametrize("chunk", [2, 5000])
@pytest.mark.parametrize("change", CHANGES)
async def test_changed_event_is_named(
    log: RunningServer, monkeypatch: pytest.MonkeyPatch, change: str, chunk: int
) -> None:
    monkeypatch.setattr(audit_chain, "CHUNK_EVENTS", chunk)
    for sequence in (2, 5, EVENTS):
        found = await verdict_on_changed(log, change, sequence)
        assert found == {"isIntact": False, "eventCount": "7", "firstBrokenSequence": str(sequence)}
    assert (await verdict(log))["isIntact"] is True


@pytest.mark.parametrize("body", [f"{BODY}::bytea", "'not JSON'::bytea", "'{}'::bytea", "'[1]'::bytea"])
async def test_changed_event_with_a_new_hash_breaks_what_follows(log: RunningServer, body: str) -> None:
    found = [await verdict_on_changed(log, REHASHED.format(body=body), sequence) for sequence in (2, 5, EVENTS)]
    is_body_plausible = "replace" in body
    expected = ["3", "6", "7"] if is_body_plausible else ["2", "5", "7"]
    assert [one["firstBrokenSequence"] for one in found] == expected


async def test_changes_in_one_organization_do_not_touch_another(log: RunningServer) -> None:
    await log.owner.execute("UPDATE audit_events SET hash = sha256('another') WHERE organization_id = 1")
    assert (await verdict(log))["firstBrokenSequence"] == "1"
    assert await verdict(log, "beta") == {"isIntact": True, "eventCount": "1", "firstBrokenSequence": None}


@pytest.mark.parametrize("chunk", [2, 5000])
@pytest.mark.parametrize(
    ("condition", "left", "broken"),
    [
        ("sequence = 1", "6", "1"),
        ("sequence = 4", "6", "4"),
        ("sequence IN (3, 4, 5)", "4", "3"),
        ("sequence = 7", "6", "7"),
        ("sequence > 4", "4", "5"),
        ("true", "0", "1"),
    ],
)
async def test_missing_event_is_named(
    log: RunningServer, monkeypatch: pytest.MonkeyPatch, condition: str, left: str, broken: str, chunk: int
) -> None:
    monkeypatch.setattr(audit_chain, "CHUNK_EVENTS", chunk)
    await log.owner.execute(f"DELETE FROM audit_events WHERE organization_id = 1 AND {condition}")
    assert await verdict(log) == {"isIntact": False, "eventCount": left, "firstBrokenSequence": broken}


async def test_renumbered_event_is_named(log: RunningServer) -> None:
    await log.owner.execute("UPDATE audit_events SET sequence = -sequence WHERE organization_id = 1 AND sequence > 4")
    await log.owner.execute(
        "UPDATE audit_events SET sequence = CASE sequence WHEN -5 THEN 6 WHEN -6 THEN 5 ELSE 7 END"
        " WHERE organization_id = 1 AND sequence < 0"
    )
    assert (await verdict(log))["firstBrokenSequence"] == "5"


async def test_forged_event_behind_the_head_is_named(log: RunningServer) -> None:
    """One with a right digest and a right hash, made by the very function that writes the log."""
    head = await log.owner.fetchrow("SELECT * FROM audit_heads WHERE organization_id = 1")
    await log.owner.execute(
        """
        SELECT append_audit(1, NULL, NULL, array['SYSTEM'], array['forged'], array[NULL], array[NULL],
          array[body], array[sha256(body::bytea)])
        FROM (SELECT '{"kind":"SYSTEM","action":"forged","actor":null,"subjectType":null,"subjectId":null,'
          '"requestId":null,"before":null,"after":null}') AS forged (body)
        """
    )
    await log.owner.execute(
        "UPDATE audit_heads SET sequence = $1, hash = $2 WHERE organization_id = 1", head["sequence"], head["hash"]
    )
    assert await verdict(log) == {"isIntact": False, "eventCount": "8", "firstBrokenSequence": "8"}


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        ("UPDATE audit_heads SET hash = sha256('another') WHERE organization_id = 1", "7"),
        ("UPDATE audit_heads SET sequence = 9 WHERE organization_id = 1", "8"),
        ("DELETE FROM audit_heads WHERE organization_id = 1", "1"),
    ],
)
async def test_head_that_does_not_belong_to_the_log_is_noticed(log: RunningServer, change: str, broken: str) -> None:
    await log.owner.execute(change)
    assert (await verdict(log))["firstBrokenSequence"] == broken


@pytest.mark.parametrize(
    "statement", ["UPDATE audit_events SET action = 'x'", "DELETE FROM audit_events", "TRUNCATE audit_events"]
)
async def test_application_may_neither_change_nor_delete_events(log: RunningServer, statement: str) -> None:
    async with log.database.writing(log.organization_ids["alpha"]) as connection:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
