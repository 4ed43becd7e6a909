"""Funds: the type, its filter and order, creating and changing them."""

from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Annotated

import strawberry

from api import tables
from api.domain.money import Cents
from api.errors import Refused
from api.graphql.companies import PortfolioCompany, PortfolioCompanyFilter, PortfolioCompanyOrder
from api.graphql.connections import Connection, OrderDirection
from api.graphql.context import Info
from api.graphql.deals import DealAllocation, DealAllocationFilter, DealAllocationOrder
from api.graphql.declare import argument, batch, column, connection, entity, root_one
from api.graphql.filters import any_of, at_least, at_most, contains
from api.graphql.forecasts import ForecastSnapshot, ForecastSnapshotFilter, ForecastSnapshotOrder
from api.graphql.fund_metrics import FundMetrics, fund_metrics
from api.graphql.investments import Investment, InvestmentFilter, InvestmentOrder
from api.graphql.moic import RankedReserve, ranked_reserves
from api.graphql.mutations import Payload, given, refusal, row_id, write
from api.graphql.nodes import Node
from api.graphql.objects import load
from api.graphql.scalars import BigInt, CurrencyCode
from api.reads.moic import RESERVE_RANKING
from api.reads.pages import PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX
from api.reads.reserves import FUND_RESERVES
from api.services import funds

if TYPE_CHECKING:
    from api.graphql.portfolios import Holding
    from api.graphql.reallocations import Reallocation


@strawberry.enum(description="Whether a fund is open.")
class FundStatus(Enum):
    """Whether a fund is open."""

    ACTIVE = strawberry.enum_value("ACTIVE", description="Open.")
    CLOSED = strawberry.enum_value("CLOSED", description="Closed: takes no new allocations and companies.")


@strawberry.type(description="A fund's reserves over all its companies.")
class ReserveTotals:
    """A fund's reserves over all its companies."""

    planned_cents: Cents = strawberry.field(description="Planned reserves.")
    deployed_cents: Cents = strawberry.field(description="Deployed reserves.")
    remaining_cents: Cents = strawberry.field(description="Planned less deployed.")
    company_count: int = strawberry.field(description="How many companies there are.")


@entity(tables.Fund, "An investment vehicle.")
class Fund(Node):
    """An investment vehicle."""

    name: str = column("Its name; unique together with the vintage year.")
    general_partner: str | None = column("Who manages it.")
    strategy: str | None = column("What it invests in.")
    vintage_year: int | None = column("The year of its first investment; null where unknown.")
    currency: CurrencyCode = column("The currency of its amounts.")
    size_cents: Cents | None = column("Its size; null where unknown.")
    status: FundStatus = column("Whether it is open.")
    allocation_version: BigInt = column("Moves with every change of its companies' reserves, caps, statuses or set.")
    version: BigInt = column("The version, for optimistic locking.")
    created_at: datetime = column("When it was created.")
    updated_at: datetime = column("When it was last changed.")
    companies: Connection[PortfolioCompany] = connection(
        "The companies it has invested in.",
        "PortfolioCompany",
        tables.PortfolioCompany,
        by="fund_id",
        filter=PortfolioCompanyFilter,
        order=PortfolioCompanyOrder,
    )
    investments: Connection[Investment] = connection(
        "Its investments over all companies, latest first.",
        "Investment",
        tables.Investment,
        by="fund_id",
        filter=InvestmentFilter,
        order=InvestmentOrder,
        default_order=("invested_on", True),
    )
    snapshots: Connection[ForecastSnapshot] = connection(
        "Its forecast snapshots, latest first.",
        "ForecastSnapshot",
        tables.ForecastSnapshot,
        by="fund_id",
        filter=ForecastSnapshotFilter,
        order=ForecastSnapshotOrder,
        default_order=("snapshot_at", True),
    )
    reallocations: Connection[Annotated["Reallocation", strawberry.lazy("api.graphql.reallocations")]] = connection(
        "Its committed reallocations, latest first.",
        "Reallocation",
        tables.Reallocation,
        by="fund_id",
        default_order=("created_at", True),
    )
    allocations: Connection[DealAllocation] = connection(
        "What it has allocated to deals.",
        "DealAllocation",
        tables.DealAllocation,
        by="fund_id",
        filter=DealAllocationFilter,
        order=DealAllocationOrder,
    )
    holdings: Connection[Annotated["Holding", strawberry.lazy("api.graphql.portfolios")]] = connection(
        "The positions that portfolios have in it.", "Holding", tables.Holding, by="fund_id"
    )
    reserves: ReserveTotals = batch(
        "Its reserves over all companies.",
        FUND_RESERVES,
        make=lambda found, _given: ReserveTotals(**vars(found)),
    )
    reserve_ranking: list[RankedReserve] = batch(
        "Its active companies, best expected exit on planned reserves first, those without one last.",
        RESERVE_RANKING,
        make=ranked_reserves,
        arguments=[
            argument("first", int | None, f"How many from the front, at most {PAGE_SIZE_MAX}.", PAGE_SIZE_DEFAULT)
        ],
    )
    metrics: FundMetrics = fund_metrics()


@strawberry.input(description="Which funds to show.")
class FundFilter:
    """Which funds to show."""

    status: list[FundStatus] | None = any_of("status", "Only these statuses.")
    vintage_year: list[int] | None = any_of("vintage_year", "Only these vintage years.", "bigint")
    vintage_year_min: int | None = at_least("vintage_year", "Only this vintage year and later.", "bigint")
    vintage_year_max: int | None = at_most("vintage_year", "Only this vintage year and earlier.", "bigint")
    strategy: list[str] | None = any_of("strategy", "Only these strategies.")
    currency: list[CurrencyCode] | None = any_of("currency", "Only these currencies.")
    name_contains: str | None = contains("name", "Only names that contain this, in any case.")


@strawberry.enum(description="What funds may be ordered by.")
class FundOrderField(Enum):
    """What funds may be ordered by."""

    NAME = strawberry.enum_value("name", description="Their name.")
    VINTAGE_YEAR = strawberry.enum_value("vintage_year", description="Their vintage year.")
    SIZE = strawberry.enum_value("size_cents", description="Their size.")
    CREATED_AT = strawberry.enum_value("created_at", description="When they were created.")


@strawberry.input(description="The order of funds.")
class FundOrder:
    """The order of funds."""

    field: FundOrderField = strawberry.field(description="What to order by.")
    direction: OrderDirection = strawberry.field(default=OrderDirection.ASC, description="Which way.")


@strawberry.type
class FundQuery:
    """The root fields that find funds."""

    fund: Fund | None = root_one("The fund with this id; null for what is unknown, malformed or not yours.", "Fund")
    funds: Connection[Fund] = connection(
        "The organization's funds.", "Fund", tables.Fund, by=None, filter=FundFilter, order=FundOrder
    )


@strawberry.input(description="A fund to create.")
class CreateFundInput:
    """A fund to create."""

    name: str = strawberry.field(description="Its name, 1 to 200 characters.")
    currency: CurrencyCode | None = strawberry.field(default=None, description="The organization's unless given.")
    size_cents: Cents | None = strawberry.field(default=None, description="Its size; leave it out where unknown.")
    vintage_year: int | None = strawberry.field(default=None, description="The vintage year, 1900 to 2200.")
    general_partner: str | None = strawberry.field(default=None, description="Who manages it.")
    strategy: str | None = strawberry.field(default=None, description="What it invests in.")
    idempotency_key: str | None = strawberry.field(default=None, description="1 to 128 characters; see the README.")


@strawberry.input(description="What to change of a fund: absent fields stay, null clears.")
class UpdateFundInput:
    """What to change of a fund."""

    id: strawberry.ID = strawberry.field(description="The fund.")
    expected_version: BigInt = strawberry.field(description="The version that the change is made against.")
    name: str | None = strawberry.field(default=strawberry.UNSET, description="Its name.")
    size_cents: Cents | None = strawberry.field(default=strawberry.UNSET, description="Its size.")
    vintage_year: int | None = strawberry.field(default=strawberry.UNSET, description="The vintage year.")
    general_partner: str | None = strawberry.field(default=strawberry.UNSET, description="Who manages it.")
    strategy: str | None = strawberry.field(default=strawberry.UNSET, description="What it invests in.")
    status: FundStatus | None = strawberry.field(default=strawberry.UNSET, description="Whether it is open.")


@strawberry.type(description="The created fund.")
class CreateFundPayload(Payload):
    """The created fund."""

    fund: Fund | None = strawberry.field(default=None, description="The fund.")
    replayed: bool = strawberry.field(default=False, description="Whether an earlier request with the key made it.")


@strawberry.type(description="The changed fund.")
class UpdateFundPayload(Payload):
    """The changed fund."""

    fund: Fund | None = strawberry.field(default=None, description="The fund.")


@strawberry.type
class FundMutation:
    """Writes to funds."""

    @strawberry.mutation(description="Creates a fund.")
    async def create_fund(
        self, info: Info, input: Annotated[CreateFundInput, strawberry.argument(description="The fund.")]
    ) -> CreateFundPayload | None:
        """Creates a fund."""
        values = given(input)
        try:
            outcome = await write(
                info,
                lambda command: funds.create_fund(command, **values),
                int,
                key=input.idempotency_key,
                input_given=values,
            )
        except Refused as refused:
            return refusal(CreateFundPayload, refused)
        return CreateFundPayload(fund=await load(info, "Fund", outcome.result), replayed=outcome.replayed)

    @strawberry.mutation(description="Changes a fund.")
    async def update_fund(
        self, info: Info, input: Annotated[UpdateFundInput, strawberry.argument(description="What to change.")]
    ) -> UpdateFundPayload | None:
        """Changes a fund."""
        changes = given(input)
        try:
            fund_id = row_id("Fund", changes.pop("id"), "id", "fund")
            version = changes.pop("expected_version")
            await write(
                info,
                lambda command: funds.update_fund(command, fund_id=fund_id, expected_version=version, changes=changes),
                int,
            )
        except Refused as refused:
            return refusal(UpdateFundPayload, refused)
        return UpdateFundPayload(fund=await load(info, "Fund", fund_id))
