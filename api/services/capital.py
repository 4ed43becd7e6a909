"""Adding, changing and removing capital sources: each by an entry of the history, which is written at the commit.

What an entry says is the body of its event; ``append_audit`` stores both, and gives the entry its sequence and time.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import uuid4

import asyncpg

from api.db.event_bus import Rows
from api.domain.capital import (
    NOTES_LENGTH_MAX,
    CapitalAction,
    check_active,
    check_amount,
    check_name,
    check_not_future,
    check_rate,
)
from api.domain.dates import DATE_MAX
from api.errors import ErrorCode, Problem, Refused, invalid, not_found
from api.services import rows
from api.services.audit import Appended, Subject
from api.services.checks import check_text
from api.services.commands import Command
from api.services.funds import base_currency
from api.services.sequences import reserve_ids

EXTERNAL_KEY_LENGTH_MAX = 200


def _action(action: CapitalAction) -> str:
    return f"capital_source.{action.value.lower()}"


ENTRY_ACTIONS = frozenset(map(_action, CapitalAction))
"""What events that record an entry are called in the log."""


def _made_up() -> str:
    """A key that is nobody else's: whatever is exported has one, so that it is known when it is imported again."""
    return str(uuid4())


@dataclass(frozen=True, slots=True)
class Changed:
    """The source that was changed, and the entry that says how."""

    source_id: int
    entry_id: int


@dataclass(frozen=True, slots=True)
class NewEntry:
    """An entry to be recorded: rates as fractions, amounts in cents.

    Values that the action does not set say how the source stood on the day, for people; they count for nothing.
    ``external_id`` is by what files know the entry: its own id where it was imported.
    """

    source_id: int
    action: CapitalAction
    effective_on: date
    name: str
    annual_rate: Decimal | None
    available_cents: int | None
    previous_rate: Decimal | None = None
    previous_amount_cents: int | None = None
    notes: str | None = None
    external_id: str = field(default_factory=_made_up)


async def record_entries(
    command: Command, entries: Sequence[NewEntry], source: Mapping[str, Any] | None = None
) -> list[int]:
    """Records an event for each entry, which stores it at the commit; returns the ids that the entries will have.

    Their sources must be there, and locked; what the sources show now is the caller's to bring up to date. ``source``
    is the row of a single entry's source as it is then.
    """
    ids = await reserve_ids(command, "capital_history", len(entries))
    for entry_id, entry in zip(ids, entries, strict=True):
        before = {"annual_rate": entry.previous_rate, "available_cents": entry.previous_amount_cents}
        command.record(
            _action(entry.action),
            Subject("CapitalHistoryEntry", entry_id),
            before=None if entry.action is CapitalAction.ADDED else before,
            after=asdict(entry),
            rows=None if source is None else _rows_left(command, entry_id, entry, source),
        )
    return ids


def _rows_left(
    command: Command, entry_id: int, entry: NewEntry, source: Mapping[str, Any]
) -> Callable[[Appended], Rows]:
    """What gives the rows of an entry and of its source, as the commit leaves them."""

    def rows_left(appended: Appended) -> Rows:
        row = {
            **asdict(entry),
            "action": entry.action.value,
            "organization_id": command.organization_id,
            "id": entry_id,
            "sequence": appended.capital_sequence,
            "actor_id": command.principal.user_id,
            "recorded_at": appended.recorded_at,
        }
        return {("CapitalHistoryEntry", entry_id): row, ("CapitalSource", entry.source_id): source}

    return rows_left


async def add_capital_source(
    command: Command,
    *,
    today: date,
    name: str,
    annual_rate: Decimal,
    available_cents: int,
    effective_on: date,
    external_key: str | None = None,
    currency: str | None = None,
    notes: str | None = None,
) -> Changed:
    """Adds a source of the organization's currency from a day on, ``today`` (UTC) or earlier.

    Raises Refused: INVALID_INPUT, or ALREADY_EXISTS for the same external key.
    """
    problems = [
        *check_name("name", name),
        *check_rate("annual_rate", annual_rate),
        *check_amount("available_cents", available_cents),
        *_check_external_key(external_key),
        *_check_change(effective_on, today, notes),
    ]
    own_currency = await base_currency(command)
    if currency not in (None, own_currency):
        message = "Sources are in the organization's currency."
        problems.append(invalid("currency", message, expected=own_currency, actual=currency))
    if problems:
        raise Refused(problems)
    values = {
        "external_key": _made_up() if external_key is None else external_key,
        "name": name,
        "annual_rate": annual_rate,
        "available_cents": available_cents,
        "currency": own_currency,
        "added_on": effective_on,
    }
    source = await rows.insert(command, "capital_sources", values, unless_taken=("external_key",))
    if source is None:
        message = "There is a source of this external key."
        raise Refused([Problem(ErrorCode.ALREADY_EXISTS, message, ("external_key",))])
    added = NewEntry(source["id"], CapitalAction.ADDED, effective_on, name, annual_rate, available_cents, notes=notes)
    (entry_id,) = await record_entries(command, [added], source)
    return Changed(source["id"], entry_id)


async def update_capital_amount(
    command: Command,
    *,
    today: date,
    source_id: int,
    available_cents: int,
    effective_on: date,
    notes: str | None = None,
) -> Changed:
    """Sets a source's amount from a day on which it is active; ``today`` (UTC) at the latest.

    Raises Refused: NOT_FOUND, INVALID_INPUT, or INVALID_TRANSITION for a removed source.
    """
    problems = [*check_amount("available_cents", available_cents), *_check_change(effective_on, today, notes)]
    source = await _lock(command, source_id, effective_on, problems)
    standing = await _standing(command, source, effective_on)
    entry = NewEntry(
        source_id,
        CapitalAction.AMOUNT_CHANGED,
        effective_on,
        source["name"],
        standing["annual_rate"],
        available_cents,
        previous_amount_cents=standing["available_cents"],
        notes=notes,
    )
    return await _change(
        command, source, entry, {} if standing["amount_set_later"] else {"available_cents": available_cents}
    )


async def update_capital_rate(
    command: Command, *, today: date, source_id: int, annual_rate: Decimal, effective_on: date, notes: str | None = None
) -> Changed:
    """Sets a source's annual rate from a day on which it is active; ``today`` (UTC) at the latest.

    Raises Refused: NOT_FOUND, INVALID_INPUT, or INVALID_TRANSITION for a removed source.
    """
    problems = [*check_rate("annual_rate", annual_rate), *_check_change(effective_on, today, notes)]
    source = await _lock(command, source_id, effective_on, problems)
    standing = await _standing(command, source, effective_on)
    entry = NewEntry(
        source_id,
        CapitalAction.RATE_CHANGED,
        effective_on,
        source["name"],
        annual_rate,
        standing["available_cents"],
        previous_rate=standing["annual_rate"],
        notes=notes,
    )
    return await _change(command, source, entry, {} if standing["rate_set_later"] else {"annual_rate": annual_rate})


async def remove_capital_source(
    command: Command, *, today: date, source_id: int, effective_on: date, notes: str | None = None
) -> Changed:
    """Removes a source for good from a day on which it is active; ``today`` (UTC) at the latest.

    Raises Refused: NOT_FOUND, INVALID_INPUT, or INVALID_TRANSITION for a source that is removed on that day already.
    """
    source = await _lock(command, source_id, effective_on, _check_change(effective_on, today, notes))
    standing = await _standing(command, source, effective_on)
    rate, amount = standing["annual_rate"], standing["available_cents"]
    entry = NewEntry(
        source_id,
        CapitalAction.REMOVED,
        effective_on,
        source["name"],
        rate,
        amount,
        previous_rate=rate,
        previous_amount_cents=amount,
        notes=notes,
    )
    values = {"removed_on": effective_on, "annual_rate": rate, "available_cents": amount}
    return await _change(command, source, entry, values)


def _check_change(effective_on: date, today: date, notes: str | None) -> list[Problem]:
    return [*check_not_future("effective_on", effective_on, today), *check_text("notes", notes, NOTES_LENGTH_MAX)]


def _check_external_key(external_key: str | None) -> list[Problem]:
    if external_key is not None and not 1 <= len(external_key) <= EXTERNAL_KEY_LENGTH_MAX:
        limit = f"1 to {EXTERNAL_KEY_LENGTH_MAX} characters"
        return [invalid("external_key", f"A key has {limit}.", expected=limit, actual=str(len(external_key)))]
    return []


async def _lock(command: Command, source_id: int, effective_on: date, problems: Sequence[Problem]) -> asyncpg.Record:
    """The source's row, locked, so that its history stays as it is until the commit.

    Raises Refused for the problems, and where the source is unknown or not active on the day.
    """
    source = await command.connection.fetchrow(
        "SELECT * FROM capital_sources WHERE organization_id = $1 AND id = $2 FOR NO KEY UPDATE",
        command.organization_id,
        source_id,
    )
    if source is None:
        raise not_found("source_id", "capital source")
    active = check_active("effective_on", effective_on, added_on=source["added_on"], removed_on=source["removed_on"])
    if problems or active:
        raise Refused([*problems, *active])
    return source


_STANDING = """
SELECT
  (SELECT annual_rate FROM capital_history
    WHERE organization_id = $1 AND source_id = $2 AND action IN ('ADDED', 'RATE_CHANGED') AND effective_on <= $3
    ORDER BY effective_on DESC, sequence DESC LIMIT 1) AS annual_rate,
  (SELECT available_cents FROM capital_history
    WHERE organization_id = $1 AND source_id = $2 AND action IN ('ADDED', 'AMOUNT_CHANGED') AND effective_on <= $3
    ORDER BY effective_on DESC, sequence DESC LIMIT 1) AS available_cents,
  EXISTS (SELECT FROM capital_history
    WHERE organization_id = $1 AND source_id = $2 AND action IN ('ADDED', 'RATE_CHANGED')
      AND effective_on > $3 AND effective_on <= $4) AS rate_set_later,
  EXISTS (SELECT FROM capital_history
    WHERE organization_id = $1 AND source_id = $2 AND action IN ('ADDED', 'AMOUNT_CHANGED')
      AND effective_on > $3 AND effective_on <= $4) AS amount_set_later
"""


async def _standing(command: Command, source: asyncpg.Record, on: date) -> asyncpg.Record:
    """Rate and amount of a source on a day by its history so far, and whether they are set again on a later day.

    What is dated after a removal has no say: a removed source shows what it was when it was removed.
    """
    until = source["removed_on"] or DATE_MAX
    return await command.connection.fetchrow(_STANDING, command.organization_id, source["id"], on, until)


async def _change(command: Command, source: asyncpg.Record, entry: NewEntry, values: dict[str, Any]) -> Changed:
    """Records the entry, and sets what the source shows now: nothing where a later day's entry holds."""
    version = source["version"]
    left = await rows.update(command, "capital_sources", entry.source_id, version, values, noun="capital source")
    (entry_id,) = await record_entries(command, [entry], left)
    return Changed(entry.source_id, entry_id)
