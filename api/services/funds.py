"""Creating and changing funds."""

from collections.abc import Mapping
from typing import Any

import asyncpg

from api.errors import ErrorCode, Problem, Refused, invalid, not_found
from api.services import rows
from api.services.audit import Subject
from api.services.checks import check_name, check_present, check_text
from api.services.commands import Command
from api.services.fund_versions import touch

VINTAGE_YEAR_MIN = 1900
VINTAGE_YEAR_MAX = 2200
CLOSED = "CLOSED"
"""The status of a fund that takes on nothing more. What it has goes on, and it can be opened again."""
FUND_COLUMNS = ("name", "general_partner", "strategy", "vintage_year", "currency", "size_cents", "status")


async def create_fund(
    command: Command,
    *,
    name: str,
    currency: str | None = None,
    size_cents: int | None = None,
    vintage_year: int | None = None,
    general_partner: str | None = None,
    strategy: str | None = None,
) -> int:
    """Creates a fund, in the organization's currency unless another is given, and returns its id.

    Raises Refused: INVALID_INPUT, or ALREADY_EXISTS for the same name and vintage year.
    """
    values = {
        "name": name,
        "size_cents": size_cents,
        "vintage_year": vintage_year,
        "general_partner": general_partner,
        "strategy": strategy,
    }
    _refuse_bad_values(values)
    values["currency"] = currency or await base_currency(command)
    row = await rows.insert(command, "funds", values, unless_taken=("name", "vintage_year"))
    if row is None:
        raise _already_exists()
    command.record("fund.created", Subject("Fund", row["id"]), after={column: row[column] for column in FUND_COLUMNS})
    fund_id: int = row["id"]
    return fund_id


async def update_fund(command: Command, *, fund_id: int, expected_version: int, changes: Mapping[str, Any]) -> int:
    """Changes the given columns of a fund and returns its id.

    Raises Refused: INVALID_INPUT, NOT_FOUND, VERSION_CONFLICT, or ALREADY_EXISTS for the same name and vintage year.
    """
    _refuse_bad_values(changes)
    before = await command.connection.fetchrow(
        "SELECT * FROM funds WHERE organization_id = $1 AND id = $2 FOR NO KEY UPDATE", command.organization_id, fund_id
    )
    if before is None:
        raise not_found("id", "fund")
    try:
        after = await rows.update(command, "funds", fund_id, expected_version, changes, noun="fund")
    except asyncpg.UniqueViolationError:
        raise _already_exists() from None
    old, new = rows.changed(before, after, FUND_COLUMNS)
    command.record("fund.updated", Subject("Fund", fund_id), before=old, after=new)
    if "size_cents" in new:
        await touch(command, fund_id, None)
    return fund_id


def check_open(status: str, field: str) -> None:
    """Raises Refused (INVALID_TRANSITION) that names ``field`` where a fund of this status takes on nothing more."""
    if status == CLOSED:
        message = "A fund that is CLOSED takes neither allocations nor companies."
        raise Refused([Problem(ErrorCode.INVALID_TRANSITION, message, (field,), actual=status)])


async def base_currency(command: Command) -> str:
    """The organization's currency."""
    currency: str = await command.connection.fetchval(
        "SELECT base_currency FROM organizations WHERE id = $1", command.organization_id
    )
    return currency


def _refuse_bad_values(values: Mapping[str, Any]) -> None:
    problems = check_present(values, "status")
    if "name" in values:
        problems += check_name("name", values["name"])
    for field in ("general_partner", "strategy"):
        problems += check_text(field, values.get(field))
    year = values.get("vintage_year")
    if year is not None and not VINTAGE_YEAR_MIN <= year <= VINTAGE_YEAR_MAX:
        limit = f"{VINTAGE_YEAR_MIN} to {VINTAGE_YEAR_MAX}"
        problems.append(invalid("vintage_year", f"Must be {limit}.", expected=limit, actual=str(year)))
    size = values.get("size_cents")
    if size is not None and size < 0:
        problems.append(
            Problem(ErrorCode.NEGATIVE_AMOUNT, "A size must not be negative.", ("size_cents",), actual=str(size))
        )
    elif size == 0:
        problems.append(
            invalid("size_cents", "Leave it out where the size is unknown.", expected="more than 0", actual="0")
        )
    if problems:
        raise Refused(problems)


def _already_exists() -> Refused:
    message = "There is a fund of this name and vintage year."
    return Refused([Problem(ErrorCode.ALREADY_EXISTS, message, ("name",))])
