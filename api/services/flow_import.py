"""Importing a portfolio's activities and valuations from files, each as a whole or not at all, and once.

What was imported is known by the digest of its rows, however they were written.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date

import asyncpg

from api.domain.flow_rows import ActivityRow, HoldingName, Problems, ValuationRow
from api.errors import ErrorCode
from api.services.activities import ACTIVITIES_MAX, NewActivity, create_holding_activities
from api.services.audit import Subject, canonical_json
from api.services.commands import Command
from api.services.idempotency import Claim
from api.services.valuations import VALUATIONS_MAX, NewValuation, record_holding_valuations

KEY_DAYS = 36_500
"""How long a file is remembered: for good. A key's usual days are for requests that are sent again."""


@dataclass(frozen=True, slots=True)
class Imported:
    """How many rows an import stored, and the holdings that changed by it."""

    row_count: int
    holding_ids: list[int]


@dataclass(frozen=True, slots=True)
class Source:
    """Where rows come from: the portfolio that they are for, and the file's name for the log.

    ``holding_of`` is the holding's id in a global id, None where that is no holding's.
    """

    portfolio_id: int
    file_name: str
    holding_of: Callable[[str], int | None]


class DryRun(Exception):
    """Carries what an import would do out of its transaction, which is thereby rolled back."""

    def __init__(self, would: Imported) -> None:
        super().__init__("nothing was written")
        self.would = would


def claim_of(portfolio_id: int, rows: Sequence[ActivityRow | ValuationRow]) -> Claim:
    """The key by which the same rows are known again. The lines they stand on do not count."""
    digest = hashlib.sha256(canonical_json([(*row.holding, *row[2:]) for row in rows]))
    return Claim(digest.hexdigest(), digest.digest(), str(portfolio_id))


async def import_activities(
    command: Command,
    rows: Sequence[ActivityRow],
    source: Source,
    *,
    dry_run: bool = False,
    progress: Callable[[int], None] = lambda _: None,
) -> Imported:
    """Stores all rows; ``progress`` is told how many so far.

    Raises Refused with what is wrong, by line and column: NOT_FOUND, INVALID_INPUT where a name means several holdings.
    Raises DryRun in the place of a result.
    """
    problems = Problems()
    holding_ids = await _holding_ids(command, rows, source, problems)
    problems.refuse_any()
    new = [
        NewActivity(holding_id, row.activity_type, row.amount_cents, row.occurred_on, row.is_recallable, row.note)
        for holding_id, row in zip(holding_ids, rows, strict=True)
    ]
    imported = Imported(len(rows), sorted({holding_id for holding_id in holding_ids if holding_id is not None}))
    if dry_run:
        raise DryRun(imported)
    for start in range(0, len(new), ACTIVITIES_MAX):
        batch = new[start : start + ACTIVITIES_MAX]
        await create_holding_activities(command, batch)
        progress(start + len(batch))
    _record(command, "holding_activities.imported", source, len(rows))
    return imported


async def import_valuations(
    command: Command,
    rows: Sequence[ValuationRow],
    source: Source,
    *,
    dry_run: bool = False,
    progress: Callable[[int], None] = lambda _: None,
) -> Imported:
    """Stores all rows, each in the place of what is recorded for its day; ``progress`` is told how many so far.

    Raises Refused with what is wrong, by line and column: NOT_FOUND, INVALID_INPUT where a name means several holdings,
    ALREADY_EXISTS for a day that comes twice. Raises DryRun in the place of a result.
    """
    problems = Problems()
    holding_ids = await _holding_ids(command, rows, source, problems)
    lines: dict[tuple[int | None, date], int] = {}
    for holding_id, row in zip(holding_ids, rows, strict=True):
        earlier = lines.setdefault((holding_id, row.valued_on), row.line)
        if holding_id is not None and earlier != row.line:
            problems.add(row.line, "valued_on", f"the holding is valued on line {earlier}", ErrorCode.ALREADY_EXISTS)
    problems.refuse_any()
    new = [
        NewValuation(holding_id, row.valued_on, row.value_cents)
        for holding_id, row in zip(holding_ids, rows, strict=True)
    ]
    if dry_run:
        raise DryRun(Imported(len(rows), []))
    changed: set[int] = set()
    for start in range(0, len(new), VALUATIONS_MAX):
        batch = new[start : start + VALUATIONS_MAX]
        changed.update((await record_holding_valuations(command, batch)).holding_ids)
        progress(start + len(batch))
    _record(command, "holding_valuations.imported", source, len(rows))
    return Imported(len(rows), sorted(changed))


def _record(command: Command, action: str, source: Source, count: int) -> None:
    after = {"source": source.file_name, "count": count, "sha256": command.idempotency_key}
    command.record(action, Subject("Portfolio", source.portfolio_id), after=after)


async def _holding_ids(
    command: Command, rows: Sequence[ActivityRow | ValuationRow], source: Source, problems: Problems
) -> list[int | None]:
    """The holding of each row; None where there is a problem with it."""
    find = await _locked_holdings(command, source)
    known: dict[HoldingName, int | str] = {}
    found: list[int | None] = []
    for row in rows:
        if row.holding not in known:
            known[row.holding] = find(row.holding)
        holding = known[row.holding]
        if isinstance(holding, str):
            code = ErrorCode.NOT_FOUND if holding == _NO_HOLDING else ErrorCode.INVALID_INPUT
            problems.add(row.line, "fund" if row.holding.fund else "holding_id", holding, code)
        found.append(None if isinstance(holding, str) else holding)
    return found


_NO_HOLDING = "the portfolio has no such holding"
_SEVERAL_HOLDINGS = "the portfolio has several such holdings; give the vintage year"


async def _locked_holdings(command: Command, source: Source) -> Callable[[HoldingName], int | str]:
    """What finds the holding that a name means, or what is wrong with the name.

    All of the portfolio's are locked, in their order, so that its batches meet no writer halfway.
    """
    found = await command.connection.fetch(
        """
        SELECT holding.id, fund.name, fund.vintage_year FROM portfolio_funds AS holding
        JOIN funds AS fund ON fund.organization_id = holding.organization_id AND fund.id = holding.fund_id
        WHERE holding.organization_id = $1 AND holding.portfolio_id = $2
        ORDER BY holding.id FOR NO KEY UPDATE OF holding
        """,
        command.organization_id,
        source.portfolio_id,
    )
    by_id = {row["id"]: [row] for row in found}
    by_fund: dict[str, list[asyncpg.Record]] = {}
    for row in found:
        by_fund.setdefault(row["name"], []).append(row)

    def find(name: HoldingName) -> int | str:
        if name.holding_id is not None:
            meant = by_id.get(source.holding_of(name.holding_id), [])
            meant = [row for row in meant if name.fund in (None, row["name"])]
        else:
            meant = by_fund.get(name.fund or "", [])
        if name.vintage_year is not None:
            meant = [row for row in meant if row["vintage_year"] == name.vintage_year]
        elif len(meant) > 1:
            meant = [row for row in meant if row["vintage_year"] is None] or meant
        if len(meant) == 1:
            return int(meant[0]["id"])
        return _SEVERAL_HOLDINGS if meant else _NO_HOLDING

    return find
