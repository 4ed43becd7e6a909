"""Portfolio companies: the type, its filter and order, creating and changing them."""

from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Annotated

import strawberry

from api import tables
from api.domain.money import Cents
from api.errors import Refused
from api.graphql.connections import Connection, OrderDirection
from api.graphql.context import Info
from api.graphql.declare import batch, column, connection, entity, to_one
from api.graphql.filters import any_of, contains
from api.graphql.investments import (
    Investment,
    InvestmentFilter,
    InvestmentLot,
    InvestmentLotFilter,
    InvestmentLotOrder,
    InvestmentOrder,
)
from api.graphql.moic import MoicSet, moic_set
from api.graphql.mutations import Payload, given, refusal, row_id, write
from api.graphql.nodes import Node
from api.graphql.objects import load
from api.graphql.scalars import BigInt
from api.reads.moic import COMPANY_MOIC
from api.services import companies

if TYPE_CHECKING:
    from api.graphql.funds import Fund


@strawberry.enum(description="How far along a company is.")
class CompanyStage(Enum):
    """How far along a company is."""

    PRE_SEED = strawberry.enum_value("PRE_SEED", description="Before a seed round.")
    SEED = strawberry.enum_value("SEED", description="Seed.")
    SERIES_A = strawberry.enum_value("SERIES_A", description="Series A.")
    SERIES_B = strawberry.enum_value("SERIES_B", description="Series B.")
    SERIES_C = strawberry.enum_value("SERIES_C", description="Series C.")
    GROWTH = strawberry.enum_value("GROWTH", description="Growth.")
    LATE_STAGE = strawberry.enum_value("LATE_STAGE", description="Late stage.")


@strawberry.enum(description="Whether a company is still held.")
class CompanyStatus(Enum):
    """Whether a company is still held."""

    ACTIVE = strawberry.enum_value("ACTIVE", description="Held.")
    EXITED = strawberry.enum_value("EXITED", description="Sold or listed.")
    WRITTEN_OFF = strawberry.enum_value("WRITTEN_OFF", description="Lost.")


@entity(tables.PortfolioCompany, "A company that a fund has invested in, with the fund's reserves for it.")
class PortfolioCompany(Node):
    """A company that a fund has invested in."""

    fund: Annotated["Fund", strawberry.lazy("api.graphql.funds")] = to_one(
        "The fund that has invested.", "Fund", by="fund_id"
    )
    name: str = column("Its name.")
    sector: str | None = column("Its sector.")
    stage: CompanyStage | None = column("How far along it is.")
    status: CompanyStatus = column("Whether it is still held.")
    invested_cents: Cents = column("What the fund has invested.")
    current_valuation_cents: Cents = column("What the fund's stake is worth.")
    realized_cents: Cents = column("What the fund has got back.")
    planned_reserves_cents: Cents = column("What the fund plans to invest further.")
    deployed_reserves_cents: Cents = column("What of its reserves the fund has invested.")
    allocation_cap_cents: Cents | None = column("The most that may be planned; null for no cap.")
    exit_moic: Decimal | None = column("The expected exit multiple, 0 to 1000.")
    exit_probability: Decimal | None = column("The probability of that exit, 0 to 1.")
    ownership: Decimal | None = column("The fund's share, 0 to 1.")
    moic: MoicSet = batch("Its multiples on invested capital.", COMPANY_MOIC, make=moic_set)
    allocation_reason: str | None = column("The reason of the last reallocation.")
    allocation_count: BigInt = column("How many reallocations have changed it.")
    last_allocation_at: datetime | None = column("When a reallocation last changed it.")
    investments: Connection[Investment] = connection(
        "The fund's investments in it, latest first.",
        "Investment",
        tables.Investment,
        by="company_id",
        filter=InvestmentFilter,
        order=InvestmentOrder,
        default_order=("invested_on", True),
    )
    lots: Connection[InvestmentLot] = connection(
        "The lots of shares that the fund bought, over all investments, last recorded first.",
        "InvestmentLot",
        tables.InvestmentLot,
        by="company_id",
        filter=InvestmentLotFilter,
        order=InvestmentLotOrder,
        default_order=("created_at", True),
    )
    version: BigInt = column("The version, for optimistic locking.")
    created_at: datetime = column("When it was created.")
    updated_at: datetime = column("When it was last changed.")


@strawberry.input(description="Which companies to show.")
class PortfolioCompanyFilter:
    """Which companies to show."""

    status: list[CompanyStatus] | None = any_of("status", "Only these statuses.")
    stage: list[CompanyStage] | None = any_of("stage", "Only these stages.")
    sector: list[str] | None = any_of("sector", "Only these sectors.")
    name_contains: str | None = contains("name", "Only names that contain this, in any case.")


@strawberry.enum(description="What companies may be ordered by.")
class PortfolioCompanyOrderField(Enum):
    """What companies may be ordered by."""

    NAME = strawberry.enum_value("name", description="Their name.")
    PLANNED_RESERVES = strawberry.enum_value("planned_reserves_cents", description="Their planned reserves.")
    INVESTED = strawberry.enum_value("invested_cents", description="What was invested.")
    CURRENT_VALUATION = strawberry.enum_value("current_valuation_cents", description="What the stake is worth.")
    CREATED_AT = strawberry.enum_value("created_at", description="When they were created.")


@strawberry.input(description="The order of companies.")
class PortfolioCompanyOrder:
    """The order of companies."""

    field: PortfolioCompanyOrderField = strawberry.field(description="What to order by.")
    direction: OrderDirection = strawberry.field(default=OrderDirection.ASC, description="Which way.")


@strawberry.input(description="A company to add to a fund.")
class CreatePortfolioCompanyInput:
    """A company to add to a fund."""

    fund_id: strawberry.ID = strawberry.field(description="The fund that has invested.")
    name: str = strawberry.field(description="Its name, 1 to 200 characters.")
    sector: str | None = strawberry.field(default=None, description="Its sector.")
    stage: CompanyStage | None = strawberry.field(default=None, description="How far along it is.")
    invested_cents: Cents | None = strawberry.field(default=None, description="What was invested; 0 unless given.")
    current_valuation_cents: Cents | None = strawberry.field(
        default=None, description="What it is worth; 0 unless given."
    )
    realized_cents: Cents | None = strawberry.field(default=None, description="What came back; 0 unless given.")
    planned_reserves_cents: Cents | None = strawberry.field(default=None, description="Planned; 0 unless given.")
    deployed_reserves_cents: Cents | None = strawberry.field(default=None, description="Deployed; 0 unless given.")
    allocation_cap_cents: Cents | None = strawberry.field(default=None, description="The cap; none unless given.")
    exit_moic: Decimal | None = strawberry.field(default=None, description="The expected exit multiple, 0 to 1000.")
    exit_probability: Decimal | None = strawberry.field(default=None, description="Its probability, 0 to 1.")
    ownership: Decimal | None = strawberry.field(default=None, description="The fund's share, 0 to 1.")
    idempotency_key: str | None = strawberry.field(default=None, description="1 to 128 characters; see the README.")


@strawberry.input(description="What to change of a company: absent fields stay, null clears.")
class UpdatePortfolioCompanyInput:
    """What to change of a company."""

    id: strawberry.ID = strawberry.field(description="The company.")
    expected_version: BigInt = strawberry.field(description="The version that the change is made against.")
    name: str | None = strawberry.field(default=strawberry.UNSET, description="Its name.")
    sector: str | None = strawberry.field(default=strawberry.UNSET, description="Its sector.")
    stage: CompanyStage | None = strawberry.field(default=strawberry.UNSET, description="How far along it is.")
    status: CompanyStatus | None = strawberry.field(default=strawberry.UNSET, description="Whether it is held.")
    invested_cents: Cents | None = strawberry.field(default=strawberry.UNSET, description="What was invested.")
    current_valuation_cents: Cents | None = strawberry.field(default=strawberry.UNSET, description="What it is worth.")
    realized_cents: Cents | None = strawberry.field(default=strawberry.UNSET, description="What came back.")
    planned_reserves_cents: Cents | None = strawberry.field(default=strawberry.UNSET, description="Planned reserves.")
    deployed_reserves_cents: Cents | None = strawberry.field(default=strawberry.UNSET, description="Deployed reserves.")
    allocation_cap_cents: Cents | None = strawberry.field(default=strawberry.UNSET, description="The cap.")
    exit_moic: Decimal | None = strawberry.field(default=strawberry.UNSET, description="The expected exit multiple.")
    exit_probability: Decimal | None = strawberry.field(default=strawberry.UNSET, description="Its probability.")
    ownership: Decimal | None = strawberry.field(default=strawberry.UNSET, description="The fund's share.")


@strawberry.type(description="The created company.")
class CreatePortfolioCompanyPayload(Payload):
    """The created company."""

    company: PortfolioCompany | None = strawberry.field(default=None, description="The company.")
    replayed: bool = strawberry.field(default=False, description="Whether an earlier request with the key made it.")


@strawberry.type(description="The changed company.")
class UpdatePortfolioCompanyPayload(Payload):
    """The changed company."""

    company: PortfolioCompany | None = strawberry.field(default=None, description="The company.")


@strawberry.type
class CompanyMutation:
    """Writes to companies."""

    @strawberry.mutation(description="Adds a company to a fund and moves the fund's allocation version.")
    async def create_portfolio_company(
        self,
        info: Info,
        input: Annotated[CreatePortfolioCompanyInput, strawberry.argument(description="The company.")],
    ) -> CreatePortfolioCompanyPayload | None:
        """Adds a company to a fund."""
        values = given(input)
        try:
            fund_id = row_id("Fund", values.pop("fund_id"), "fund_id", "fund")
            outcome = await write(
                info,
                lambda command: companies.create_portfolio_company(command, fund_id=fund_id, values=values),
                int,
                key=input.idempotency_key,
                input_given=given(input),
                parent=str(fund_id),
            )
        except Refused as refused:
            return refusal(CreatePortfolioCompanyPayload, refused)
        company = await load(info, "PortfolioCompany", outcome.result)
        return CreatePortfolioCompanyPayload(company=company, replayed=outcome.replayed)

    @strawberry.mutation(
        description="Changes a company; planned reserves, cap and status move the fund's allocation version."
    )
    async def update_portfolio_company(
        self,
        info: Info,
        input: Annotated[UpdatePortfolioCompanyInput, strawberry.argument(description="What to change.")],
    ) -> UpdatePortfolioCompanyPayload | None:
        """Changes a company."""
        changes = given(input)
        try:
            company_id = row_id("PortfolioCompany", changes.pop("id"), "id", "company")
            version = changes.pop("expected_version")
            await write(
                info,
                lambda command: companies.update_portfolio_company(
                    command, company_id=company_id, expected_version=version, changes=changes
                ),
                int,
            )
        except Refused as refused:
            return refusal(UpdatePortfolioCompanyPayload, refused)
        return UpdatePortfolioCompanyPayload(company=await load(info, "PortfolioCompany", company_id))
