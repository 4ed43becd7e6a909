"""Importing a capital history: what it adds, what it refuses, and that it can be repeated."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from pydantic import TypeAdapter

from api.db.pools import Snapshot
from api.domain.access import Principal, Role
from api.domain.capital import CapitalAction, fold
from api.domain.capital_entries import FileEntry, Reading, Span, check_history
from api.domain.capital_file import read_csv, read_json, write_csv, write_json
from api.errors import Refused
from api.reads.capital_export import read_history
from api.services.capital_import import DryRun, Imported, import_history
from api.services.commands import Command, Writer
from tests.server import RunningServer
from tests.services.capital_client import Capital

ADDED, AMOUNT_CHANGED, RATE_CHANGED, REMOVED = CapitalAction
TODAY = date(2025, 12, 31)


@pytest.fixture
def capital(server: RunningServer) -> Capital:
    return Capital(server)


def entry(
    number: int, action: CapitalAction, day: int, source: str = "loan", *, rate: str = "0.05", cents: int = 100
) -> FileEntry:
    """An entry of this day of January 2025."""
    return FileEntry(f"e{number}", source, date(2025, 1, day), f"A {source}", Decimal(rate), cents, action)


# Newest first but for the first two: the order of a file is not always that of its dates.
HISTORY = [
    entry(1, ADDED, 1, "grant", rate="0"),
    entry(2, ADDED, 2),
    FileEntry("e3", "loan", date(2025, 1, 20), "A loan", None, 700, AMOUNT_CHANGED, None, 100, "More of it"),
    FileEntry("e4", "loan", date(2025, 1, 10), "Renamed", Decimal("0.060001"), 1, RATE_CHANGED, Decimal("0.05")),
    entry(5, REMOVED, 15, "grant", cents=0),
]


async def imported(
    server: RunningServer, entries: Sequence[FileEntry], *, organization: str = "alpha", **more: Any
) -> Imported:
    """What an import of these entries did."""

    async def work(command: Command) -> Imported:
        return await import_history(command, Reading(dict(enumerate(entries))), today=TODAY, **more)

    principal = Principal(server.organization_ids[organization], None, Role.EDITOR)
    writer = Writer(server.database)
    return (await writer.run(principal, "importCapitalHistory", work, result_type=TypeAdapter(Imported))).result


async def exported(server: RunningServer, organization: str = "alpha") -> list[FileEntry]:
    snapshot = Snapshot(server.database, server.organization_ids[organization])
    try:
        return await read_history(snapshot)
    finally:
        await snapshot.close()


async def refusal(server: RunningServer, entries: Sequence[FileEntry]) -> list[str]:
    """Entry, field and code of all that is wrong, after looking that nothing was written."""
    before = await counts(server)
    with pytest.raises(Refused) as caught:
        await imported(server, entries)
    assert await counts(server) == before
    return [f"{problem.message.split(':')[0]}: {problem.code}" for problem in caught.value.problems]


async def counts(server: RunningServer) -> tuple[int, ...]:
    tables = ("capital_sources", "capital_history", "audit_events", "idempotency_keys")
    return tuple(await server.owner.fetchrow(f"SELECT {', '.join(f'(SELECT count(*) FROM {t})' for t in tables)}"))


async def sources(server: RunningServer) -> list[tuple[Any, ...]]:
    rows = await server.owner.fetch(
        """
        SELECT external_key, name, annual_rate, available_cents, currency, added_on, removed_on, version
        FROM capital_sources ORDER BY id
        """
    )
    return [tuple(row) for row in rows]


async def test_import_makes_the_sources_and_keeps_the_entries(capital: Capital) -> None:
    assert await imported(capital.server, HISTORY) == Imported(5, 0)
    assert await exported(capital.server) == HISTORY
    assert await sources(capital.server) == [
        ("grant", "A grant", 0, 100, "USD", date(2025, 1, 1), date(2025, 1, 15), 1),
        ("loan", "A loan", Decimal("0.060001"), 700, "USD", date(2025, 1, 2), None, 1),
    ]
    sequences = await capital.server.owner.fetch("SELECT sequence, external_id FROM capital_history ORDER BY sequence")
    assert [tuple(row) for row in sequences] == [(number, f"e{number}") for number in range(1, 6)]


async def test_second_import_adds_nothing(capital: Capital) -> None:
    await imported(capital.server, HISTORY)
    before = await sources(capital.server), await exported(capital.server)
    assert await imported(capital.server, HISTORY) == Imported(0, 5)
    assert (await sources(capital.server), await exported(capital.server)) == before


@pytest.mark.parametrize("split", range(6))
async def test_history_in_two_files_is_the_same_as_in_one(capital: Capital, split: int) -> None:
    entries = [*HISTORY[:4], entry(6, RATE_CHANGED, 25, rate="0.07"), entry(7, REMOVED, 22)]
    first, second = entries[:split], entries[split:]
    assert await imported(capital.server, first) == Imported(split, 0)
    assert await imported(capital.server, entries) == Imported(len(second), split)
    # A removed source shows what it was when it was removed: the rate of a later day has no say.
    loan = next(row for row in await sources(capital.server) if row[0] == "loan")
    assert loan[2:7] == (Decimal("0.060001"), 700, "USD", date(2025, 1, 2), date(2025, 1, 22))
    assert await exported(capital.server) == entries


@pytest.mark.parametrize(("read", "write"), [(read_json, write_json), (read_csv, write_csv)])
async def test_export_of_one_organization_is_the_history_of_another(capital: Capital, read: Any, write: Any) -> None:
    loan = await capital.add("Own loan", "0.05", 100, "2025-01-01", notes='Ünï, "quoted"\r\n,\'')
    await capital.rate(loan, "0.06", "2025-03-01")
    await capital.amount(loan, 250, "2025-02-01")
    await capital.remove(await capital.add("Own grant", "0", 5, "2025-01-01"), "2025-02-01")
    await imported(capital.server, HISTORY)
    written = write(await exported(capital.server))
    reading = read(written, UTC)
    assert reading.problems == []
    entries = list(reading.entries.values())
    assert await imported(capital.server, entries) == Imported(0, 10)
    assert await imported(capital.server, entries, organization="beta") == Imported(10, 0)
    assert write(await exported(capital.server, "beta")) == written
    shown = "SELECT external_key, name, annual_rate, available_cents, added_on, removed_on FROM capital_sources"
    alpha, beta = [
        await capital.server.owner.fetch(
            f"{shown} WHERE organization_id = $1 ORDER BY id", capital.server.organization_ids[name]
        )
        for name in ("alpha", "beta")
    ]
    assert alpha == beta


async def test_import_goes_on_from_what_is_there(capital: Capital) -> None:
    source_id = await capital.add("Own loan", "0.05", 100, "2025-01-05", externalKey="loan")
    await capital.rate(source_id, "0.08", "2025-01-20")
    entries = [entry(1, RATE_CHANGED, 10, rate="0.9"), entry(2, AMOUNT_CHANGED, 20, cents=900)]
    await imported(capital.server, entries)
    assert [row[1:5] for row in await sources(capital.server)] == [("Own loan", Decimal("0.08"), 900, "USD")]
    assert await capital.state("2025-01-15") == {"Own loan": ("0.9", "100")}
    assert await capital.state() == {"Own loan": ("0.08", "900")}


def random_history(random: Random, source: str) -> list[FileEntry]:
    """Up to a dozen changes of a source in any order of dates, each possible after the ones before it."""
    spans: dict[str, Span] = {}
    history: list[FileEntry] = []
    for number in range(12):
        action = random.choice(list(CapitalAction) if spans else [ADDED])
        change = entry(0, action, random.randint(1, 28), source, rate=f"0.{number}", cents=number + 1)
        change = replace(change, id=f"{source} {number}")
        if check_history({0: change}, spans, doubtful=(), today=TODAY):
            continue
        history.append(change)
        if action is ADDED:
            spans[source] = Span(change.effective_on)
        if action is REMOVED:
            spans[source] = replace(spans[source], removed_on=change.effective_on)
    return history


async def test_what_sources_show_is_the_fold_of_their_history(capital: Capital) -> None:
    random = Random(5)
    histories = [random_history(random, f"source {number}") for number in range(60)]
    for third in range(3):
        parts = [history[third * len(history) // 3 : (third + 1) * len(history) // 3] for history in histories]
        await imported(capital.server, [change for part in parts for change in part])
    entries = await capital.entries()
    rows = await capital.server.owner.fetch("SELECT * FROM capital_sources")
    assert len(rows) == 60
    assert {row["removed_on"] is None for row in rows} == {True, False}
    for row in rows:
        own = [change for change in entries if change.source == row["id"]]
        removed_on = min((change.effective_on for change in own if change.action is REMOVED), default=None)
        (state,) = fold([change for change in own if change.action is not REMOVED], removed_on or TODAY)
        shown = row["removed_on"], row["annual_rate"], row["available_cents"]
        assert shown == (removed_on, state.annual_rate, state.available_cents)


async def test_known_id_with_other_content_is_refused_and_says_what_differs(capital: Capital) -> None:
    await imported(capital.server, HISTORY)
    changed = entry(2, ADDED, 3, rate="0.07")
    assert await refusal(capital.server, [changed]) == ["entry 1, id: ALREADY_EXISTS"]
    with pytest.raises(Refused, match="already, with another effectiveDate, annualRate"):
        await imported(capital.server, [changed])
    assert await refusal(capital.server, [entry(9, ADDED, 1, "x"), entry(9, ADDED, 2, "x")]) == [
        "entry 2, id: ALREADY_EXISTS"
    ]


async def test_entry_that_comes_twice_in_a_file_counts_once(capital: Capital) -> None:
    assert await imported(capital.server, [HISTORY[0], HISTORY[0]]) == Imported(1, 1)


async def test_everything_wrong_is_said_at_once_and_nothing_is_written(capital: Capital) -> None:
    await imported(capital.server, HISTORY)
    late = FileEntry("e16", "loan", date(2026, 1, 1), "A loan", None, 5, AMOUNT_CHANGED)
    wrong = [
        entry(11, ADDED, 3, "fine"),
        entry(12, ADDED, 3),
        entry(13, RATE_CHANGED, 1),
        entry(14, RATE_CHANGED, 15, "grant"),
        entry(15, RATE_CHANGED, 3, "nowhere"),
        late,
    ]
    assert await refusal(capital.server, wrong) == [
        "entry 2, sourceId: ALREADY_EXISTS",
        "entry 3, effectiveDate: INVALID_INPUT",
        "entry 4, effectiveDate: INVALID_TRANSITION",
        "entry 5, sourceId: NOT_FOUND",
        "entry 6, effectiveDate: INVALID_INPUT",
    ]


async def test_dry_run_says_what_would_be_done_and_does_nothing(capital: Capital) -> None:
    await imported(capital.server, HISTORY[:2])
    before = await counts(capital.server)
    with pytest.raises(DryRun) as caught:
        await imported(capital.server, HISTORY, dry_run=True)
    assert caught.value.would == Imported(3, 2)
    assert await counts(capital.server) == before


async def test_one_file_sent_by_many_at_once_is_imported_once(capital: Capital) -> None:
    found = await asyncio.gather(*(imported(capital.server, HISTORY) for _ in range(8)))
    assert sorted(result.imported_count for result in found) == [0] * 7 + [5]
    assert await exported(capital.server) == HISTORY


async def test_other_organizations_ids_and_keys_are_nobody_elses(capital: Capital) -> None:
    await imported(capital.server, HISTORY, organization="beta")
    assert await imported(capital.server, HISTORY) == Imported(5, 0)


async def test_every_entry_and_the_import_are_in_the_log(capital: Capital) -> None:
    await imported(capital.server, HISTORY, source="history.json")
    events = await capital.server.owner.fetch(
        "SELECT action, body FROM audit_events WHERE action ~ '^capital' ORDER BY id"
    )
    assert [event["action"] for event in events] == [
        *(f"capital_source.{entry.action.lower()}" for entry in HISTORY),
        "capital_history.imported",
    ]
    assert '"after":{"imported":5,"skipped":0,"source":"history.json"}' in events[-1]["body"]
    verification = await capital.server.execute("{ auditVerification { isIntact } }", role=Role.ADMIN)
    assert verification.data == {"auditVerification": {"isIntact": True}}


async def test_ten_thousand_entries_are_a_handful_of_statements(capital: Capital) -> None:
    entries = [entry(number, ADDED, 1, f"source {number}") for number in range(2000)]
    entries += [
        entry(number, RATE_CHANGED, 2 + number % 20, f"source {number % 2000}") for number in range(2000, 10_000)
    ]
    statements: list[str] = []
    async with capital.server.database.writes.lent() as connection:
        connection.add_query_logger(lambda query: statements.append(query.query))
    assert await imported(capital.server, entries) == Imported(10_000, 0)
    assert len(statements) < 20
    assert len(await exported(capital.server)) == 10_000


async def test_source_that_is_added_at_the_same_time_is_there_once(capital: Capital) -> None:
    for number in range(5):
        key = f"loan {number}"
        outcomes: tuple[Any, Any] = await asyncio.gather(
            capital.write(
                "addCapitalSource",
                name=key,
                externalKey=key,
                annualRate="0.05",
                availableCents="100",
                effectiveOn="2025-01-01",
            ),
            imported(capital.server, [entry(number, ADDED, 1, key)]),
            return_exceptions=True,
        )
        added, found = outcomes
        if isinstance(found, Refused):
            assert [problem.code for problem in found.problems] == ["ALREADY_EXISTS"]
            assert added["userErrors"] == []
        else:
            assert found == Imported(1, 0)
            assert [error["code"] for error in added["userErrors"]] == ["ALREADY_EXISTS"]
