"""From snapshots to decisions: what one proposes, and what has changed from one to another."""

from decimal import Decimal
from typing import Annotated

import strawberry

from api.domain import forecast_comparison as rules
from api.domain.forecast_comparison import Compared, ComparisonReason, Presence
from api.domain.money import Cents, within_limit
from api.domain.reallocation import PROPOSALS_MAX
from api.graphql.companies import PortfolioCompany
from api.graphql.context import Info
from api.graphql.declare import attribute_edge
from api.graphql.enums import describe
from api.graphql.forecasts import ForecastSnapshot
from api.graphql.moic import GraphQLMoicReason
from api.reads import global_ids
from api.reads.declarations import Record
from api.reads.proposals import proposals

GraphQLComparisonReason = describe(
    ComparisonReason,
    "ComparisonReason",
    "Why two snapshots cannot be compared.",
    {
        ComparisonReason.NOT_COMPLETE: "One of them has no metrics.",
        ComparisonReason.OTHER_FUND: "They are of different funds.",
        ComparisonReason.OTHER_FORMAT: "Their figures were worked out in different ways: take a new snapshot.",
    },
)

GraphQLPresence = describe(
    Presence,
    "Presence",
    "In which of two snapshots a company is.",
    {
        Presence.BOTH: "In both.",
        Presence.ONLY_A: "In the first alone.",
        Presence.ONLY_B: "In the second alone.",
    },
)


@strawberry.type(
    description="New planned reserves for a company; companyId and plannedReservesCents are what previewReallocation "
    "and commitReallocation take."
)
class ReallocationProposal:
    """New planned reserves for a company."""

    company_key: strawberry.Private[int]
    company: PortfolioCompany = attribute_edge("The company.", "PortfolioCompany", by="company_key")
    company_id: strawberry.ID = strawberry.field(description="The company's id.")
    planned_reserves_cents: Cents = strawberry.field(description="What the snapshot plans for it.")


@strawberry.type(description="An amount in two snapshots; 0 in one that has not got the company.")
class CentsDifference:
    """An amount in two snapshots."""

    from_cents: Cents = strawberry.field(description="In the first.")
    to_cents: Cents = strawberry.field(description="In the second.")
    delta_cents: Cents = strawberry.field(description="The change.")
    delta_ratio: Decimal = strawberry.field(description="The change as a fraction of the first; from 0: 1 or 0.")


@strawberry.type(description="A multiple in two snapshots; null where there is none.")
class DecimalDifference:
    """A multiple in two snapshots."""

    from_value: Decimal | None = strawberry.field(description="In the first.")
    from_reason: GraphQLMoicReason | None = strawberry.field(
        description="Why it is missing, or incomplete, in the first; null where that has not got the company."
    )
    to_value: Decimal | None = strawberry.field(description="In the second.")
    to_reason: GraphQLMoicReason | None = strawberry.field(
        description="Why it is missing, or incomplete, in the second; null where that has not got the company."
    )
    delta: Decimal | None = strawberry.field(description="The change; null where one of them is.")


@strawberry.type(description="The figures of a company, or of all of a fund's, in two snapshots.")
class ForecastDifference:
    """The figures of a company, or of all, in two snapshots."""

    invested: CentsDifference = strawberry.field(description="What was invested.")
    current_valuation: CentsDifference = strawberry.field(description="What it is worth.")
    realized: CentsDifference = strawberry.field(description="What came back.")
    planned_reserves: CentsDifference = strawberry.field(description="Planned reserves.")
    deployed_reserves: CentsDifference = strawberry.field(description="Deployed reserves.")
    current_moic: DecimalDifference = strawberry.field(description="The current multiple.")
    exit_on_planned_reserves: DecimalDifference = strawberry.field(
        description="The expected exit multiple on planned reserves."
    )


@strawberry.type(description="One company's figures in two snapshots.")
class CompanyDifference:
    """One company's figures in two snapshots."""

    company_id: strawberry.Private[int]
    company: PortfolioCompany = attribute_edge("The company.", "PortfolioCompany", by="company_id")
    company_name: str = strawberry.field(description="Its name in the second snapshot, or else in the first.")
    presence: GraphQLPresence = strawberry.field(description="Which of them has it.")  # type: ignore[valid-type]
    difference: ForecastDifference = strawberry.field(description="Its figures.")


@strawberry.type(description="What has changed from one snapshot to another.")
class SnapshotComparison:
    """What has changed from one snapshot to another."""

    a_id: strawberry.Private[int]
    b_id: strawberry.Private[int]
    a: ForecastSnapshot = attribute_edge("The first.", "ForecastSnapshot", by="a_id")
    b: ForecastSnapshot = attribute_edge("The second.", "ForecastSnapshot", by="b_id")
    reason: GraphQLComparisonReason | None = strawberry.field(  # type: ignore[valid-type]
        description="Why there is nothing to compare."
    )
    totals: ForecastDifference | None = strawberry.field(description="The fund's figures; null with a reason.")
    companies: list[CompanyDifference] | None = strawberry.field(
        description="Every company that is in one of them, by age; null with a reason."
    )


@strawberry.type
class ForecastQuery:
    """The root fields that lead from snapshots to decisions."""

    @strawberry.field(
        description="A snapshot's reserve allocations as proposals for previewReallocation, first priority first; none "
        f"for a snapshot that is unknown, malformed or not yours. At most {PROPOSALS_MAX}: more are refused."
    )
    async def propose_reallocation(
        self, info: Info, snapshot_id: Annotated[strawberry.ID, strawberry.argument(description="The snapshot.")]
    ) -> list[ReallocationProposal]:
        """A snapshot's reserve allocations as proposals."""
        await info.context.authorise()
        decoded = global_ids.decode_as("ForecastSnapshot", snapshot_id)
        found = [] if decoded is None else await proposals(info.context.loaders.snapshot, decoded)
        return [
            ReallocationProposal(
                company_key=one.company_id,
                company_id=strawberry.ID(global_ids.encode("PortfolioCompany", one.company_id)),
                planned_reserves_cents=Cents(one.planned_cents),
            )
            for one in found
        ]

    @strawberry.field(
        description="What has changed from snapshot a to snapshot b, of the same fund; null where one is unknown, "
        "malformed or not yours."
    )
    async def compare_snapshots(
        self,
        info: Info,
        a: Annotated[strawberry.ID, strawberry.argument(description="The first snapshot.")],
        b: Annotated[strawberry.ID, strawberry.argument(description="The second snapshot.")],
    ) -> SnapshotComparison | None:
        """What has changed from one snapshot to another."""
        await info.context.authorise()
        first, second = await _row(info, a), await _row(info, b)
        if first is None or second is None:
            return None
        compared = rules.compare(*(Compared(row["fund_id"], row["metrics"]) for row in (first, second)))
        if isinstance(compared, ComparisonReason):
            return SnapshotComparison(a_id=first["id"], b_id=second["id"], reason=compared, totals=None, companies=None)
        return SnapshotComparison(
            a_id=first["id"],
            b_id=second["id"],
            reason=None,
            totals=_difference(compared.totals),
            companies=[
                CompanyDifference(
                    company_id=company.company_id,
                    company_name=company.company_name,
                    presence=company.presence,
                    difference=_difference(company.difference),
                )
                for company in compared.companies
            ],
        )


async def _row(info: Info, global_id: str) -> Record | None:
    row_id = global_ids.decode_as("ForecastSnapshot", global_id)
    return None if row_id is None else await info.context.loaders.row("ForecastSnapshot", row_id)


def _difference(found: rules.Difference) -> ForecastDifference:
    return ForecastDifference(
        invested=_cents(found.invested),
        current_valuation=_cents(found.current_valuation),
        realized=_cents(found.realized),
        planned_reserves=_cents(found.planned_reserves),
        deployed_reserves=_cents(found.deployed_reserves),
        current_moic=_multiple(found.current_moic),
        exit_on_planned_reserves=_multiple(found.exit_on_planned_reserves),
    )


def _cents(change: rules.CentsChange) -> CentsDifference:
    return CentsDifference(
        from_cents=Cents(change.from_cents),
        to_cents=Cents(change.to_cents),
        delta_cents=within_limit(change.delta_cents),
        delta_ratio=change.ratio,
    )


def _multiple(change: rules.MultipleChange) -> DecimalDifference:
    return DecimalDifference(
        from_value=change.from_value,
        from_reason=change.from_reason,
        to_value=change.to_value,
        to_reason=change.to_reason,
        delta=change.delta,
    )
