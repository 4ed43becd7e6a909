"""Recording what is reported of holdings."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from api.domain.pension_file import RATE_MAX
from api.errors import ErrorCode, Problem, Refused, invalid
from api.services.audit import Subject
from api.services.commands import Command

STATEMENTS_MAX = 1000
FIGURES = (
    "committed_cents",
    "paid_in_cents",
    "distributed_cents",
    "nav_cents",
    "reported_irr",
    "reported_multiple",
)


@dataclass(frozen=True, slots=True)
class NewStatement:
    """What a statement reports of one holding: cents, and ratios as decimals. ``holding_id`` None: unknown id."""

    holding_id: int | None
    as_of: date
    committed_cents: int | None = None
    paid_in_cents: int | None = None
    distributed_cents: int | None = None
    nav_cents: int | None = None
    reported_irr: Decimal | None = None
    reported_multiple: Decimal | None = None


async def record_holding_statements(command: Command, statements: Sequence[NewStatement]) -> list[int]:
    """Stores statements, all or none, and returns their ids in the order given.

    Raises Refused, each problem with its index: INVALID_INPUT, NOT_FOUND, NEGATIVE_AMOUNT, ALREADY_EXISTS.
    """
    if not 1 <= len(statements) <= STATEMENTS_MAX:
        limit = f"1 to {STATEMENTS_MAX}"
        raise Refused([invalid("statements", f"Give {limit} statements.", expected=limit, actual=str(len(statements)))])
    problems = _check_statements(statements)
    known = await command.connection.fetch(
        "SELECT id FROM portfolio_funds WHERE organization_id = $1 AND id = ANY ($2)",
        command.organization_id,
        [statement.holding_id for statement in statements if statement.holding_id is not None],
    )
    known_ids = {row["id"] for row in known}
    problems += [
        _problem(ErrorCode.NOT_FOUND, index, "holding_id", "There is no such holding.")
        for index, statement in enumerate(statements)
        if statement.holding_id not in known_ids
    ]
    if problems:
        raise Refused(problems)
    ids = await insert_statements(command, statements)
    taken = [index for index, row_id in enumerate(ids) if row_id is None]
    if taken:
        message = "There is a statement of this holding as of this date."
        raise Refused([_problem(ErrorCode.ALREADY_EXISTS, index, "as_of", message) for index in taken])
    stored = [row_id for row_id in ids if row_id is not None]
    for row_id, statement in zip(stored, statements, strict=True):
        after = {name: getattr(statement, name) for name in ("holding_id", "as_of", *FIGURES)}
        command.record("statement.recorded", Subject("HoldingStatement", row_id), after=after)
    return stored


def _check_statements(statements: Sequence[NewStatement]) -> list[Problem]:
    problems = []
    seen: set[tuple[int | None, date]] = set()
    for index, statement in enumerate(statements):
        if (statement.holding_id, statement.as_of) in seen:
            problems.append(_problem(ErrorCode.ALREADY_EXISTS, index, "as_of", "Listed more than once."))
        seen.add((statement.holding_id, statement.as_of))
        for field in ("committed_cents", "paid_in_cents"):
            if (getattr(statement, field) or 0) < 0:
                problems.append(_problem(ErrorCode.NEGATIVE_AMOUNT, index, field, "An amount must not be negative."))
        for field in ("reported_irr", "reported_multiple"):
            value = getattr(statement, field)
            if value is not None and (abs(value) > RATE_MAX or value != round(value, 6)):
                message = f"At most {RATE_MAX} and six decimals."
                problems.append(_problem(ErrorCode.INVALID_INPUT, index, field, message))
    return problems


def _problem(code: ErrorCode, index: int, field: str, message: str) -> Problem:
    return Problem(code, message, ("statements", str(index), field), index)


async def insert_statements(command: Command, statements: Sequence[NewStatement]) -> list[int | None]:
    """Inserts all in one statement, and in another the returns that they report.

    The new ids in the order given; None where that date has a statement already.
    """
    rows = await command.connection.fetch(
        """
        INSERT INTO holding_statements (organization_id, holding_id, as_of, committed_cents, paid_in_cents,
          distributed_cents, nav_cents, reported_irr, reported_multiple)
        SELECT $1, * FROM unnest($2::bigint[], $3::date[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[],
          $8::numeric[], $9::numeric[])
        ON CONFLICT (organization_id, holding_id, as_of) DO NOTHING RETURNING holding_id, as_of, id
        """,
        command.organization_id,
        [statement.holding_id for statement in statements],
        [statement.as_of for statement in statements],
        *([getattr(statement, name) for statement in statements] for name in FIGURES),
    )
    ids = {(row["holding_id"], row["as_of"]): row["id"] for row in rows}
    reported = [one for one in statements if one.reported_irr is not None and (one.holding_id, one.as_of) in ids]
    if reported:
        await command.connection.execute(
            """
            INSERT INTO portfolio_fund_irr_values (organization_id, holding_id, as_of, method, value)
            SELECT $1, given.holding_id, given.as_of, 'REPORTED', given.value
            FROM unnest($2::bigint[], $3::date[], $4::numeric[]) AS given (holding_id, as_of, value)
            """,
            command.organization_id,
            [one.holding_id for one in reported],
            [one.as_of for one in reported],
            [one.reported_irr for one in reported],
        )
    return [ids.get((statement.holding_id, statement.as_of)) for statement in statements]
