"""Writes to portfolios, holdings and statements."""

from datetime import date
from decimal import Decimal
from typing import Annotated

import strawberry

from api.domain.money import Cents
from api.errors import Refused
from api.graphql.context import Info
from api.graphql.mutations import KEY_DESCRIPTION, REPLAYED_DESCRIPTION, Payload, given, refusal, row_id, write
from api.graphql.objects import load, load_many
from api.graphql.portfolios import Holding, HoldingStatement, Portfolio
from api.graphql.scalars import CurrencyCode
from api.reads import global_ids
from api.services import portfolios, statements
from api.services.statements import STATEMENTS_MAX, NewStatement


@strawberry.input(description="A portfolio to create.")
class CreatePortfolioInput:
    """A portfolio to create."""

    name: str = strawberry.field(description="Its name, 1 to 200 characters; unique.")
    currency: CurrencyCode = strawberry.field(description="The currency of its funds and amounts.")
    idempotency_key: str | None = strawberry.field(default=None, description=KEY_DESCRIPTION)


@strawberry.input(description="A position to add to a portfolio.")
class CreateHoldingInput:
    """A position to add to a portfolio."""

    portfolio_id: strawberry.ID = strawberry.field(description="The portfolio.")
    fund_id: strawberry.ID = strawberry.field(description="The fund; of the portfolio's currency.")
    commitment_cents: Cents | None = strawberry.field(default=None, description="What is committed, 0 or more.")
    idempotency_key: str | None = strawberry.field(default=None, description=KEY_DESCRIPTION)


@strawberry.input(description="A holding's reported totals; leave out what is not reported.")
class HoldingStatementInput:
    """A holding's reported totals."""

    holding_id: strawberry.ID = strawberry.field(description="The holding.")
    as_of: date = strawberry.field(description="The date that the figures are of.")
    committed_cents: Cents | None = strawberry.field(default=None, description="What was committed, 0 or more.")
    paid_in_cents: Cents | None = strawberry.field(default=None, description="What was paid in, 0 or more.")
    distributed_cents: Cents | None = strawberry.field(default=None, description="What was distributed.")
    nav_cents: Cents | None = strawberry.field(default=None, description="The net asset value.")
    reported_irr: Decimal | None = strawberry.field(default=None, description="The IRR as reported.")
    reported_multiple: Decimal | None = strawberry.field(default=None, description="The multiple as reported.")


@strawberry.input(description="Statements to record: all of them or none.")
class RecordHoldingStatementsInput:
    """Statements to record."""

    statements: list[HoldingStatementInput] = strawberry.field(description=f"1 to {STATEMENTS_MAX} statements.")
    idempotency_key: str | None = strawberry.field(default=None, description=KEY_DESCRIPTION)


@strawberry.type(description="The created portfolio.")
class CreatePortfolioPayload(Payload):
    """The created portfolio."""

    portfolio: Portfolio | None = strawberry.field(default=None, description="The portfolio.")
    replayed: bool = strawberry.field(default=False, description=REPLAYED_DESCRIPTION)


@strawberry.type(description="The created holding.")
class CreateHoldingPayload(Payload):
    """The created holding."""

    holding: Holding | None = strawberry.field(default=None, description="The holding.")
    replayed: bool = strawberry.field(default=False, description=REPLAYED_DESCRIPTION)


@strawberry.type(description="The recorded statements.")
class RecordHoldingStatementsPayload(Payload):
    """The recorded statements."""

    statements: list[HoldingStatement] | None = strawberry.field(default=None, description="In the order given.")
    replayed: bool = strawberry.field(default=False, description=REPLAYED_DESCRIPTION)


@strawberry.type
class PortfolioMutation:
    """Writes to portfolios, holdings and statements."""

    @strawberry.mutation(description="Creates a portfolio.")
    async def create_portfolio(
        self, info: Info, input: Annotated[CreatePortfolioInput, strawberry.argument(description="The portfolio.")]
    ) -> CreatePortfolioPayload | None:
        """Creates a portfolio."""
        values = given(input)
        try:
            outcome = await write(
                info,
                lambda command: portfolios.create_portfolio(command, **values),
                int,
                key=input.idempotency_key,
                input_given=values,
            )
        except Refused as refused:
            return refusal(CreatePortfolioPayload, refused)
        portfolio = await load(info, "Portfolio", outcome.result)
        return CreatePortfolioPayload(portfolio=portfolio, replayed=outcome.replayed)

    @strawberry.mutation(description="Adds a position in a fund to a portfolio.")
    async def create_holding(
        self, info: Info, input: Annotated[CreateHoldingInput, strawberry.argument(description="The position.")]
    ) -> CreateHoldingPayload | None:
        """Adds a position in a fund to a portfolio."""
        try:
            portfolio_id = row_id("Portfolio", input.portfolio_id, "portfolio_id", "portfolio")
            fund_id = row_id("Fund", input.fund_id, "fund_id", "fund")
            outcome = await write(
                info,
                lambda command: portfolios.create_holding(
                    command, portfolio_id=portfolio_id, fund_id=fund_id, commitment_cents=input.commitment_cents
                ),
                int,
                key=input.idempotency_key,
                input_given=given(input),
                parent=str(portfolio_id),
            )
        except Refused as refused:
            return refusal(CreateHoldingPayload, refused)
        holding = await load(info, "Holding", outcome.result)
        return CreateHoldingPayload(holding=holding, replayed=outcome.replayed)

    @strawberry.mutation(description="Records reported totals of holdings.")
    async def record_holding_statements(
        self,
        info: Info,
        input: Annotated[RecordHoldingStatementsInput, strawberry.argument(description="The statements.")],
    ) -> RecordHoldingStatementsPayload | None:
        """Records reported totals of holdings."""
        new = [
            NewStatement(**(given(one) | {"holding_id": global_ids.decode_as("Holding", one.holding_id)}))
            for one in input.statements
        ]
        try:
            outcome = await write(
                info,
                lambda command: statements.record_holding_statements(command, new),
                list[int],
                key=input.idempotency_key,
                input_given=given(input),
            )
        except Refused as refused:
            return refusal(RecordHoldingStatementsPayload, refused)
        recorded = await load_many(info, "HoldingStatement", outcome.result)
        return RecordHoldingStatementsPayload(statements=recorded, replayed=outcome.replayed)
