"""Creating portfolios and their positions in funds."""

from api.errors import ErrorCode, Problem, Refused, invalid, not_found
from api.services import rows
from api.services.audit import Subject
from api.services.checks import check_name, check_not_negative
from api.services.commands import Command


async def create_portfolio(command: Command, *, name: str, currency: str) -> int:
    """Creates a portfolio and returns its id; raises Refused: INVALID_INPUT, ALREADY_EXISTS for the same name."""
    problems = check_name("name", name)
    if problems:
        raise Refused(problems)
    row = await rows.insert(command, "portfolios", {"name": name, "currency": currency}, unless_taken=("name",))
    if row is None:
        raise Refused([Problem(ErrorCode.ALREADY_EXISTS, "There is a portfolio of this name.", ("name",))])
    portfolio_id: int = row["id"]
    command.record("portfolio.created", Subject("Portfolio", portfolio_id), after={"name": name, "currency": currency})
    return portfolio_id


async def create_holding(
    command: Command, *, portfolio_id: int, fund_id: int, commitment_cents: int | None = None
) -> int:
    """Adds a fund of the portfolio's currency to a portfolio and returns the holding's id.

    Raises Refused: NOT_FOUND, NEGATIVE_AMOUNT, INVALID_INPUT for another currency, ALREADY_EXISTS.
    """
    problems = check_not_negative({"commitment_cents": commitment_cents}, "commitment_cents")
    if problems:
        raise Refused(problems)
    portfolio_currency = await _currency(command, "portfolios", portfolio_id)
    if portfolio_currency is None:
        raise not_found("portfolio_id", "portfolio")
    fund_currency = await _currency(command, "funds", fund_id)
    if fund_currency is None:
        raise not_found("fund_id", "fund")
    if fund_currency != portfolio_currency:
        message = "A portfolio holds funds of its own currency only."
        raise Refused([invalid("fund_id", message, expected=portfolio_currency, actual=fund_currency)])
    values = {"portfolio_id": portfolio_id, "fund_id": fund_id, "commitment_cents": commitment_cents}
    row = await rows.insert(command, "portfolio_funds", values, unless_taken=("portfolio_id", "fund_id"))
    if row is None:
        raise Refused([Problem(ErrorCode.ALREADY_EXISTS, "The portfolio holds this fund already.", ("fund_id",))])
    holding_id: int = row["id"]
    command.record("holding.created", Subject("Holding", holding_id), after=values)
    return holding_id


async def _currency(command: Command, table: str, row_id: int) -> str | None:
    currency: str | None = await command.connection.fetchval(
        f"SELECT currency FROM {table} WHERE organization_id = $1 AND id = $2", command.organization_id, row_id
    )
    return currency
