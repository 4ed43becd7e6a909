"""Recording investments and the lots of shares that they bought, and correcting them."""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from api.domain.lots import LotType, check_cost_basis, check_shares
from api.errors import Problem, Refused, not_found
from api.services import rows
from api.services.audit import Subject
from api.services.checks import check_day, check_name, check_not_negative, check_present
from api.services.commands import Command

INVESTMENT_COLUMNS = ("round", "invested_on", "amount_cents")
LOT_COLUMNS = ("lot_type", "share_price_cents", "shares_acquired", "cost_basis_cents", "acquired_on")


async def create_investment(
    command: Command, *, today: date, company_id: int, invested_on: date, amount_cents: int, round: str | None = None
) -> int:
    """Records a financing of a company by its fund and returns its id.

    Raises Refused: NOT_FOUND, INVALID_INPUT, NEGATIVE_AMOUNT.
    """
    values = {"round": round, "invested_on": invested_on, "amount_cents": amount_cents}
    _refuse_bad_investment(values, today)
    fund_id = await command.connection.fetchval(
        "SELECT fund_id FROM portfolio_companies WHERE organization_id = $1 AND id = $2",
        command.organization_id,
        company_id,
    )
    if fund_id is None:
        raise not_found("company_id", "company")
    values = {"fund_id": fund_id, "company_id": company_id, **values}
    investment_id = await rows.insert_one(command, "investments", values)
    command.record("investment.created", Subject("Investment", investment_id), after=values)
    return investment_id


async def update_investment(
    command: Command, *, today: date, investment_id: int, expected_version: int, changes: Mapping[str, Any]
) -> int:
    """Changes the given columns of an investment and returns its id.

    Raises Refused: NOT_FOUND, VERSION_CONFLICT, INVALID_INPUT, NEGATIVE_AMOUNT.
    """
    _refuse_bad_investment(changes, today)
    before = await rows.lock(
        command, "investments", investment_id, field="id", noun="investment", expected_version=expected_version
    )
    after = await rows.update(command, "investments", investment_id, expected_version, changes, noun="investment")
    old, new = rows.changed(before, after, INVESTMENT_COLUMNS)
    command.record("investment.updated", Subject("Investment", investment_id), before=old, after=new)
    return investment_id


async def create_investment_lot(
    command: Command,
    *,
    today: date,
    investment_id: int,
    lot_type: LotType | str,
    share_price_cents: int,
    shares_acquired: Decimal,
    cost_basis_cents: int,
    acquired_on: date,
) -> int:
    """Records a purchase of shares within an investment and returns its id.

    Raises Refused: NOT_FOUND, INVALID_INPUT (also where cost, price and shares disagree), NEGATIVE_AMOUNT.
    """
    values = {
        "lot_type": lot_type,
        "share_price_cents": share_price_cents,
        "shares_acquired": shares_acquired,
        "cost_basis_cents": cost_basis_cents,
        "acquired_on": acquired_on,
    }
    _refuse_bad_lot(values, today)
    company_id = await command.connection.fetchval(
        "SELECT company_id FROM investments WHERE organization_id = $1 AND id = $2",
        command.organization_id,
        investment_id,
    )
    if company_id is None:
        raise not_found("investment_id", "investment")
    values = {"company_id": company_id, "investment_id": investment_id, **values}
    lot_id = await rows.insert_one(command, "investment_lots", values | {"idempotency_key": command.idempotency_key})
    command.record("lot.created", Subject("InvestmentLot", lot_id), after=values)
    return lot_id


async def update_investment_lot(
    command: Command, *, today: date, lot_id: int, expected_version: int, changes: Mapping[str, Any]
) -> int:
    """Changes the given columns of a lot, whose numbers must agree afterwards, and returns its id.

    Raises Refused: NOT_FOUND, VERSION_CONFLICT, INVALID_INPUT, NEGATIVE_AMOUNT.
    """
    before = await rows.lock(
        command, "investment_lots", lot_id, field="id", noun="lot", expected_version=expected_version
    )
    _refuse_bad_lot({column: before[column] for column in LOT_COLUMNS} | dict(changes), today)
    after = await rows.update(command, "investment_lots", lot_id, expected_version, changes, noun="lot")
    old, new = rows.changed(before, after, LOT_COLUMNS)
    command.record("lot.updated", Subject("InvestmentLot", lot_id), before=old, after=new)
    return lot_id


def _refuse_bad_investment(values: Mapping[str, Any], today: date) -> None:
    problems = check_present(values, "invested_on", "amount_cents")
    if values.get("round") is not None:
        problems += check_name("round", values["round"])
    problems += check_day("invested_on", values.get("invested_on"), today)
    problems += check_not_negative(values, "amount_cents")
    if problems:
        raise Refused(problems)


def _refuse_bad_lot(values: Mapping[str, Any], today: date) -> None:
    """Checks all columns of a lot."""
    problems: list[Problem] = check_present(values, *LOT_COLUMNS)
    if not problems:
        problems += check_not_negative(values, "share_price_cents", "cost_basis_cents")
        problems += check_shares("shares_acquired", values["shares_acquired"])
        problems += check_day("acquired_on", values["acquired_on"], today)
    if not problems:
        problems += check_cost_basis(
            "cost_basis_cents",
            cost_basis_cents=values["cost_basis_cents"],
            share_price_cents=values["share_price_cents"],
            shares_acquired=values["shares_acquired"],
        )
    if problems:
        raise Refused(problems)
