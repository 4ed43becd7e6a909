"""Creating and changing portfolio companies. What touches reserves, cap, status or the set moves the fund's version."""

from collections.abc import Mapping
from typing import Any

from api.errors import ErrorCode, Problem, Refused, not_found
from api.services import rows
from api.services.audit import Subject
from api.services.checks import check_name, check_not_negative, check_present, check_ratio, check_text
from api.services.commands import Command
from api.services.fund_versions import touch
from api.services.funds import check_open

AMOUNTS = (
    "invested_cents",
    "current_valuation_cents",
    "realized_cents",
    "planned_reserves_cents",
    "deployed_reserves_cents",
    "allocation_cap_cents",
)
COMPANY_COLUMNS = ("name", "sector", "stage", "status", *AMOUNTS, "exit_moic", "exit_probability", "ownership")
ALLOCATION_COLUMNS = ("planned_reserves_cents", "allocation_cap_cents", "status")
"""What a plan rests on: a change of any of these moves the fund's allocation version."""
METRICS_COLUMNS = ("status", "invested_cents", "current_valuation_cents", "realized_cents")
"""What a fund's metrics rest on: a change of any of these moves the version of its metrics."""
CLEARABLE = ("sector", "stage", "allocation_cap_cents", "exit_moic", "exit_probability", "ownership")
EXIT_MOIC_MAX = 1000


async def create_portfolio_company(command: Command, *, fund_id: int, values: Mapping[str, Any]) -> int:
    """Adds a company to a fund, moves the fund's allocation version, and returns the company's id.

    ``values`` are columns of the company; what is left out takes the table's default.
    Raises Refused: NOT_FOUND, INVALID_INPUT, NEGATIVE_AMOUNT, CAP_EXCEEDED, INVALID_TRANSITION for a closed fund.
    """
    given = {column: value for column, value in values.items() if value is not None}
    _refuse_bad_values(given | {"name": values.get("name")})
    check_open(await bump_allocation_version(command, fund_id, field="fund_id"), "fund_id")
    row = await rows.insert(command, "portfolio_companies", {"fund_id": fund_id, **given})
    if row is None:
        raise AssertionError("an insert without ON CONFLICT returns its row")
    company_id: int = row["id"]
    after = {"fund_id": fund_id} | {column: row[column] for column in COMPANY_COLUMNS}
    command.record("company.created", Subject("PortfolioCompany", company_id), after=after)
    await touch(command, fund_id, None)
    return company_id


async def update_portfolio_company(
    command: Command, *, company_id: int, expected_version: int, changes: Mapping[str, Any]
) -> int:
    """Changes the given columns of a company and returns its id.

    Raises Refused: NOT_FOUND, VERSION_CONFLICT, INVALID_INPUT, NEGATIVE_AMOUNT, CAP_EXCEEDED.
    """
    fund_id = await command.connection.fetchval(
        "SELECT fund_id FROM portfolio_companies WHERE organization_id = $1 AND id = $2",
        command.organization_id,
        company_id,
    )
    if fund_id is None:
        raise not_found("id", "company")
    if not changes.keys().isdisjoint(ALLOCATION_COLUMNS):
        # The fund before its companies: every write that touches both locks them in this order.
        await command.connection.execute(
            "SELECT 1 FROM funds WHERE organization_id = $1 AND id = $2 FOR NO KEY UPDATE",
            command.organization_id,
            fund_id,
        )
    before = await command.connection.fetchrow(
        "SELECT * FROM portfolio_companies WHERE organization_id = $1 AND id = $2 FOR NO KEY UPDATE",
        command.organization_id,
        company_id,
    )
    stored = {column: before[column] for column in ALLOCATION_COLUMNS}
    _refuse_bad_values({**{column: stored[column] for column in ALLOCATION_COLUMNS[:2]}, **changes})
    after = await rows.update(command, "portfolio_companies", company_id, expected_version, changes, noun="company")
    old, new = rows.changed(before, after, COMPANY_COLUMNS)
    if not new.keys().isdisjoint(ALLOCATION_COLUMNS):
        await bump_allocation_version(command, fund_id, field="id")
    command.record("company.updated", Subject("PortfolioCompany", company_id), before=old, after=new)
    if not new.keys().isdisjoint(METRICS_COLUMNS):
        await touch(command, fund_id, None)
    return company_id


async def bump_allocation_version(command: Command, fund_id: int, *, field: str) -> str:
    """Moves a fund's allocation version by one; returns its status. Raises Refused (NOT_FOUND), naming ``field``."""
    status: str | None = await command.connection.fetchval(
        """
        UPDATE funds SET allocation_version = allocation_version + 1, version = version + 1, updated_at = now()
        WHERE organization_id = $1 AND id = $2 RETURNING status
        """,
        command.organization_id,
        fund_id,
    )
    if status is None:
        raise not_found(field, "fund")
    return status


def _refuse_bad_values(values: Mapping[str, Any]) -> None:
    """Checks columns of a company; for an update, with the stored reserves and cap filled in."""
    problems = check_present(values, *(column for column in COMPANY_COLUMNS if column not in (*CLEARABLE, "name")))
    if "name" in values:
        problems += check_name("name", values["name"])
    problems += check_text("sector", values.get("sector"))
    problems += check_not_negative(values, *AMOUNTS)
    problems += check_ratio("exit_moic", values.get("exit_moic"), EXIT_MOIC_MAX)
    problems += check_ratio("exit_probability", values.get("exit_probability"), 1)
    problems += check_ratio("ownership", values.get("ownership"), 1)
    planned, cap = values.get("planned_reserves_cents") or 0, values.get("allocation_cap_cents")
    if cap is not None and 0 <= cap < planned:
        message = "Planned reserves above the company's cap."
        problems.append(
            Problem(
                ErrorCode.CAP_EXCEEDED, message, ("planned_reserves_cents",), expected=str(cap), actual=str(planned)
            )
        )
    if problems:
        raise Refused(problems)
