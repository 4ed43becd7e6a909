"""Writes to investments and their lots."""

from datetime import date
from decimal import Decimal
from typing import Annotated, Any

import strawberry

from api.domain.money import Cents
from api.errors import Refused
from api.graphql.context import Info
from api.graphql.investments import GraphQLLotKind, Investment, InvestmentLot
from api.graphql.mutations import KEY_DESCRIPTION, REPLAYED_DESCRIPTION, Payload, given, refusal, row_id, write
from api.graphql.objects import load
from api.graphql.scalars import BigInt
from api.services import investments

DAY_BOUNDS = "from 1900 to a year ahead"
ROUND_DESCRIPTION = "The name of the round, at most 200 characters."
AMOUNT_DESCRIPTION = "What was invested, 0 or more, in the currency of the fund."
PRICE_DESCRIPTION = "The price of one share, 0 or more, in the currency of the fund."
SHARES_DESCRIPTION = "How many shares: more than 0, less than ten billion, at most eight decimals."
COST_DESCRIPTION = "What they cost: the price times the shares, give or take a cent for each share."


@strawberry.input(description="An investment to record.")
class CreateInvestmentInput:
    """An investment to record."""

    company_id: strawberry.ID = strawberry.field(description="The company.")
    round: str | None = strawberry.field(default=None, description=ROUND_DESCRIPTION)
    invested_on: date = strawberry.field(description=f"The day of the investment, {DAY_BOUNDS}.")
    amount_cents: Cents = strawberry.field(description=AMOUNT_DESCRIPTION)
    idempotency_key: str | None = strawberry.field(default=None, description=KEY_DESCRIPTION)


@strawberry.input(description="What to change of an investment: absent fields stay, null clears.")
class UpdateInvestmentInput:
    """What to change of an investment."""

    id: strawberry.ID = strawberry.field(description="The investment.")
    expected_version: BigInt = strawberry.field(description="The version that the change is made against.")
    round: str | None = strawberry.field(default=strawberry.UNSET, description=ROUND_DESCRIPTION)
    invested_on: date | None = strawberry.field(
        default=strawberry.UNSET, description=f"The day of the investment, {DAY_BOUNDS}."
    )
    amount_cents: Cents | None = strawberry.field(default=strawberry.UNSET, description=AMOUNT_DESCRIPTION)


@strawberry.input(description="A lot of shares to record.")
class CreateInvestmentLotInput:
    """A lot of shares to record."""

    investment_id: strawberry.ID = strawberry.field(description="The investment that bought it.")
    lot_type: GraphQLLotKind = strawberry.field(description="How it was bought.")
    share_price_cents: Cents = strawberry.field(description=PRICE_DESCRIPTION)
    shares_acquired: Decimal = strawberry.field(description=SHARES_DESCRIPTION)
    cost_basis_cents: Cents = strawberry.field(description=COST_DESCRIPTION)
    acquired_on: date = strawberry.field(description=f"The day of purchase, {DAY_BOUNDS}.")
    idempotency_key: str | None = strawberry.field(default=None, description=KEY_DESCRIPTION)


@strawberry.input(description="What to change of a lot: absent fields stay; its numbers must agree afterwards.")
class UpdateInvestmentLotInput:
    """What to change of a lot."""

    id: strawberry.ID = strawberry.field(description="The lot.")
    expected_version: BigInt = strawberry.field(description="The version that the change is made against.")
    lot_type: GraphQLLotKind | None = strawberry.field(default=strawberry.UNSET, description="How it was bought.")
    share_price_cents: Cents | None = strawberry.field(default=strawberry.UNSET, description=PRICE_DESCRIPTION)
    shares_acquired: Decimal | None = strawberry.field(default=strawberry.UNSET, description=SHARES_DESCRIPTION)
    cost_basis_cents: Cents | None = strawberry.field(default=strawberry.UNSET, description=COST_DESCRIPTION)
    acquired_on: date | None = strawberry.field(
        default=strawberry.UNSET, description=f"The day of purchase, {DAY_BOUNDS}."
    )


@strawberry.type(description="The recorded investment.")
class CreateInvestmentPayload(Payload):
    """The recorded investment."""

    investment: Investment | None = strawberry.field(default=None, description="The investment.")
    replayed: bool = strawberry.field(default=False, description=REPLAYED_DESCRIPTION)


@strawberry.type(description="The changed investment.")
class UpdateInvestmentPayload(Payload):
    """The changed investment."""

    investment: Investment | None = strawberry.field(default=None, description="The investment.")


@strawberry.type(description="The recorded lot.")
class CreateInvestmentLotPayload(Payload):
    """The recorded lot."""

    lot: InvestmentLot | None = strawberry.field(default=None, description="The lot.")
    replayed: bool = strawberry.field(default=False, description=REPLAYED_DESCRIPTION)


@strawberry.type(description="The changed lot.")
class UpdateInvestmentLotPayload(Payload):
    """The changed lot."""

    lot: InvestmentLot | None = strawberry.field(default=None, description="The lot.")


@strawberry.type
class InvestmentMutation:
    """Writes to investments and their lots."""

    @strawberry.mutation(description="Records a financing of a company by its fund.")
    async def create_investment(
        self, info: Info, input: Annotated[CreateInvestmentInput, strawberry.argument(description="The investment.")]
    ) -> CreateInvestmentPayload | None:
        """Records a financing of a company by its fund."""
        values: dict[str, Any] = given(input)
        try:
            values["company_id"] = row_id("PortfolioCompany", values["company_id"], "company_id", "company")
            outcome = await write(
                info,
                lambda command: investments.create_investment(command, today=info.context.today, **values),
                int,
                key=input.idempotency_key,
                input_given=given(input),
                parent=str(values["company_id"]),
            )
        except Refused as refused:
            return refusal(CreateInvestmentPayload, refused)
        investment = await load(info, "Investment", outcome.result)
        return CreateInvestmentPayload(investment=investment, replayed=outcome.replayed)

    @strawberry.mutation(description="Changes an investment.")
    async def update_investment(
        self, info: Info, input: Annotated[UpdateInvestmentInput, strawberry.argument(description="What to change.")]
    ) -> UpdateInvestmentPayload | None:
        """Changes an investment."""
        changes = given(input)
        try:
            investment_id = row_id("Investment", changes.pop("id"), "id", "investment")
            version = changes.pop("expected_version")
            await write(
                info,
                lambda command: investments.update_investment(
                    command,
                    today=info.context.today,
                    investment_id=investment_id,
                    expected_version=version,
                    changes=changes,
                ),
                int,
            )
        except Refused as refused:
            return refusal(UpdateInvestmentPayload, refused)
        return UpdateInvestmentPayload(investment=await load(info, "Investment", investment_id))

    @strawberry.mutation(description="Records a purchase of shares within an investment.")
    async def create_investment_lot(
        self, info: Info, input: Annotated[CreateInvestmentLotInput, strawberry.argument(description="The lot.")]
    ) -> CreateInvestmentLotPayload | None:
        """Records a purchase of shares within an investment."""
        values: dict[str, Any] = given(input)
        try:
            values["investment_id"] = row_id("Investment", values["investment_id"], "investment_id", "investment")
            outcome = await write(
                info,
                lambda command: investments.create_investment_lot(command, today=info.context.today, **values),
                int,
                key=input.idempotency_key,
                input_given=given(input),
                parent=str(values["investment_id"]),
            )
        except Refused as refused:
            return refusal(CreateInvestmentLotPayload, refused)
        lot = await load(info, "InvestmentLot", outcome.result)
        return CreateInvestmentLotPayload(lot=lot, replayed=outcome.replayed)

    @strawberry.mutation(description="Changes a lot of shares.")
    async def update_investment_lot(
        self, info: Info, input: Annotated[UpdateInvestmentLotInput, strawberry.argument(description="What to change.")]
    ) -> UpdateInvestmentLotPayload | None:
        """Changes a lot of shares."""
        changes = given(input)
        try:
            lot_id = row_id("InvestmentLot", changes.pop("id"), "id", "lot")
            version = changes.pop("expected_version")
            await write(
                info,
                lambda command: investments.update_investment_lot(
                    command, today=info.context.today, lot_id=lot_id, expected_version=version, changes=changes
                ),
                int,
            )
        except Refused as refused:
            return refusal(UpdateInvestmentLotPayload, refused)
        return UpdateInvestmentLotPayload(lot=await load(info, "InvestmentLot", lot_id))
