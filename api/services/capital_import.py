"""Importing a capital history that was kept elsewhere, as a whole or not at all, as often as one likes.

Entries are recorded in the order of the file, so that their sequence is the file's order. An entry that is known by its
id already is passed over.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date
from decimal import Decimal

import asyncpg

from api.domain.capital import CapitalAction
from api.domain.capital_entries import FIELDS, PROBLEMS_MAX, FileEntry, Reading, Span, check_history, problem_of
from api.domain.dates import DATE_MAX
from api.errors import ErrorCode, Problem, Refused
from api.services.audit import Subject
from api.services.capital import NewEntry, record_entries
from api.services.commands import Command
from api.services.funds import base_currency

APPEND_SECONDS_MAX = 60


@dataclass(frozen=True, slots=True)
class Imported:
    """How many entries an import added, and how many it passed over because they were there."""

    imported_count: int
    skipped_count: int


class DryRun(Exception):
    """Carries what an import would do out of its transaction, which is thereby rolled back."""

    def __init__(self, would: Imported) -> None:
        super().__init__("nothing was written")
        self.would = would


@dataclass(frozen=True, slots=True)
class _Standing:
    """A source after the import: its values as its history leaves them, and when it is removed."""

    name: str
    annual_rate: Decimal
    available_cents: int
    added_on: date
    removed_on: date | None


async def import_history(
    command: Command,
    reading: Reading,
    *,
    today: date,
    dry_run: bool = False,
    source: str | None = None,
    progress: Callable[[Imported], None] = lambda _: None,
) -> Imported:
    """Records the entries that were read, and makes the sources that they add, in the organization's currency.

    ``today`` is the UTC day. ``progress`` is told once all is found to be good. Raises Refused with everything that is
    wrong, each with its entry's index and field, and DryRun in the place of a result.
    """
    # Imports of an organization wait for each other here: a file that is sent twice at once is one import and a repeat.
    await command.connection.execute(
        "SELECT FROM organizations WHERE id = $1 FOR NO KEY UPDATE", command.organization_id
    )
    # All entries are appended by one statement, on a slow machine for longer than one may otherwise take.
    await command.connection.execute(f"SET LOCAL statement_timeout = '{APPEND_SECONDS_MAX}s'")
    problems, doubtful = list(reading.problems), set(reading.doubtful)
    new = _without_known(reading.entries, await _known_entries(command, reading), problems, doubtful)
    would = Imported(len(new), len(reading.entries) - len(new))
    sources = await _lock_sources(command, new)
    spans = {key: Span(row["added_on"], row["removed_on"]) for key, row in sources.items()}
    problems += check_history(new, spans, doubtful=doubtful, today=today)
    if problems:
        raise Refused(sorted(problems, key=lambda problem: problem.index or 0)[:PROBLEMS_MAX])
    progress(would)
    ids = await _write_sources(command, new, sources)
    if dry_run:
        raise DryRun(would)
    await record_entries(command, [_new_entry(ids[entry.source_id], entry) for entry in new.values()])
    after = {"source": source, "imported": would.imported_count, "skipped": would.skipped_count}
    command.record("capital_history.imported", Subject("Organization", command.organization_id), after=after)
    return would


async def _known_entries(command: Command, reading: Reading) -> dict[str, FileEntry]:
    """The stored entries of the ids that were read."""
    rows = await command.connection.fetch(
        """
        SELECT entry.external_id, source.external_key, entry.effective_on, entry.name, entry.annual_rate,
          entry.available_cents, entry.action, entry.previous_rate, entry.previous_amount_cents, entry.notes
        FROM capital_history AS entry
        JOIN capital_sources AS source
          ON source.organization_id = entry.organization_id AND source.id = entry.source_id
        WHERE entry.organization_id = $1 AND entry.external_id = ANY ($2)
        """,
        command.organization_id,
        list({entry.id for entry in reading.entries.values()}),
    )
    return {row["external_id"]: FileEntry(*row) for row in rows}


def _without_known(
    entries: Mapping[int, FileEntry], known: dict[str, FileEntry], problems: list[Problem], doubtful: set[str]
) -> dict[int, FileEntry]:
    """The entries that are new. One that is known, or comes again, with other content is a problem."""
    new: dict[int, FileEntry] = {}
    for index, entry in entries.items():
        earlier = known.get(entry.id)
        if earlier is None:
            new[index] = known[entry.id] = entry
        elif earlier != entry:
            named = zip(FIELDS, fields(FileEntry), strict=True)
            names = [name for name, field in named if getattr(entry, field.name) != getattr(earlier, field.name)]
            message = f"There is an entry of this id already, with another {', '.join(names)}."
            problems.append(problem_of(index, "id", Problem(ErrorCode.ALREADY_EXISTS, message)))
            doubtful.add(entry.source_id)
    return new


async def _lock_sources(command: Command, entries: Mapping[int, FileEntry]) -> dict[str, asyncpg.Record]:
    """The rows of the sources that the entries name and that are there, by external key."""
    rows = await command.connection.fetch(
        """
        SELECT id, external_key, name, added_on, removed_on FROM capital_sources
        WHERE organization_id = $1 AND external_key = ANY ($2) ORDER BY id FOR NO KEY UPDATE
        """,
        command.organization_id,
        list({entry.source_id for entry in entries.values()}),
    )
    return {row["external_key"]: row for row in rows}


async def _write_sources(
    command: Command, entries: Mapping[int, FileEntry], known: Mapping[str, asyncpg.Record]
) -> dict[str, int]:
    """Makes the sources that entries add and brings the known ones up to date; returns their ids by external key."""
    by_source: dict[str, list[FileEntry]] = {}
    for entry in entries.values():
        by_source.setdefault(entry.source_id, []).append(entry)
    removed_on = {
        key: min(
            [entry.effective_on for entry in changes if entry.action is CapitalAction.REMOVED]
            + ([known[key]["removed_on"]] if key in known and known[key]["removed_on"] else []),
            default=None,
        )
        for key, changes in by_source.items()
    }
    earlier = await _last_set(command, {row["id"]: removed_on[key] or DATE_MAX for key, row in known.items()})
    standing = {
        key: _standing(
            changes, removed_on[key], known.get(key), earlier.get(known[key]["id"]) if key in known else None
        )
        for key, changes in by_source.items()
    }
    await _update_sources(command, {row["id"]: standing[key] for key, row in known.items()})
    added = await _insert_sources(command, {key: values for key, values in standing.items() if key not in known})
    late = [
        problem_of(index, "sourceId", Problem(ErrorCode.ALREADY_EXISTS, "The source has just been added."))
        for index, entry in entries.items()
        if entry.action is CapitalAction.ADDED and entry.source_id not in added
    ]
    if late:
        raise Refused(late[:PROBLEMS_MAX])
    return added | {key: row["id"] for key, row in known.items()}


async def _last_set(command: Command, until: Mapping[int, date]) -> dict[int, asyncpg.Record]:
    """By source, the rate and the amount that the history so far sets last until a day, and the days of both."""
    if not until:
        return {}
    rows = await command.connection.fetch(
        """
        SELECT source.id, rate.effective_on AS rate_on, rate.annual_rate,
          amount.effective_on AS amount_on, amount.available_cents
        FROM unnest($2::bigint[], $3::date[]) AS source (id, until)
        CROSS JOIN LATERAL (
          SELECT effective_on, annual_rate FROM capital_history
          WHERE organization_id = $1 AND source_id = source.id AND action IN ('ADDED', 'RATE_CHANGED')
            AND effective_on <= source.until
          ORDER BY effective_on DESC, sequence DESC LIMIT 1
        ) AS rate
        CROSS JOIN LATERAL (
          SELECT effective_on, available_cents FROM capital_history
          WHERE organization_id = $1 AND source_id = source.id AND action IN ('ADDED', 'AMOUNT_CHANGED')
            AND effective_on <= source.until
          ORDER BY effective_on DESC, sequence DESC LIMIT 1
        ) AS amount
        """,
        command.organization_id,
        list(until),
        list(until.values()),
    )
    return {row["id"]: row for row in rows}


def _standing(
    changes: Sequence[FileEntry],
    removed_on: date | None,
    row: asyncpg.Record | None,
    earlier: asyncpg.Record | None,
) -> _Standing:
    """What a source shows after the changes: the fold of its history, of a removed one that until its removal."""
    name, added_on = (row["name"], row["added_on"]) if row else ("", DATE_MAX)
    rates = [(earlier["rate_on"], -1, earlier["annual_rate"])] if earlier else []
    amounts = [(earlier["amount_on"], -1, earlier["available_cents"])] if earlier else []
    for order, entry in enumerate(changes):
        if entry.action is CapitalAction.ADDED:
            name, added_on = entry.name, entry.effective_on
        if entry.effective_on > (removed_on or DATE_MAX):
            continue
        if entry.action.sets_rate:
            rates.append((entry.effective_on, order, entry.annual_rate))
        if entry.action.sets_amount:
            amounts.append((entry.effective_on, order, entry.available_cents))
    return _Standing(name, max(rates)[2], max(amounts)[2], added_on, removed_on)


async def _update_sources(command: Command, sources: Mapping[int, _Standing]) -> None:
    if sources:
        values = sources.values()
        await command.connection.execute(
            """
            UPDATE capital_sources AS source SET version = source.version + 1, updated_at = now(),
              annual_rate = changed.annual_rate, available_cents = changed.available_cents,
              removed_on = changed.removed_on
            FROM unnest($2::bigint[], $3::numeric[], $4::bigint[], $5::date[])
              AS changed (id, annual_rate, available_cents, removed_on)
            WHERE source.organization_id = $1 AND source.id = changed.id
            """,
            command.organization_id,
            list(sources),
            [source.annual_rate for source in values],
            [source.available_cents for source in values],
            [source.removed_on for source in values],
        )


async def _insert_sources(command: Command, sources: Mapping[str, _Standing]) -> dict[str, int]:
    if not sources:
        return {}
    values = sources.values()
    rows = await command.connection.fetch(
        """
        INSERT INTO capital_sources (organization_id, external_key, name, annual_rate, available_cents, added_on,
          removed_on, currency)
        SELECT $1, added.*, $8
        FROM unnest($2::text[], $3::text[], $4::numeric[], $5::bigint[], $6::date[], $7::date[]) AS added
        ON CONFLICT (organization_id, external_key) DO NOTHING RETURNING id, external_key
        """,
        command.organization_id,
        list(sources),
        [source.name for source in values],
        [source.annual_rate for source in values],
        [source.available_cents for source in values],
        [source.added_on for source in values],
        [source.removed_on for source in values],
        await base_currency(command),
    )
    return {row["external_key"]: row["id"] for row in rows}


def _new_entry(source_id: int, entry: FileEntry) -> NewEntry:
    return NewEntry(
        source_id,
        entry.action,
        entry.effective_on,
        entry.name,
        entry.annual_rate,
        entry.available_cents,
        entry.previous_rate,
        entry.previous_amount_cents,
        entry.notes,
        entry.id,
    )
