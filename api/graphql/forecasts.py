"""Forecast snapshots of funds and their reserve allocations: the types, their filters and orders."""

from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Annotated

import strawberry

from api import tables
from api.domain.money import Cents
from api.graphql.connections import Connection, OrderDirection
from api.graphql.declare import column, computed, connection, entity, to_one
from api.graphql.filters import any_of, at_least, at_most, contains
from api.graphql.forecast_metrics import shown_metrics
from api.graphql.nodes import Node
from api.graphql.scalars import JSON, BigInt

if TYPE_CHECKING:
    from api.graphql.companies import PortfolioCompany
    from api.graphql.funds import Fund


@strawberry.enum(description="How far a snapshot has come: PENDING, then CALCULATING, then COMPLETE or ERROR for good.")
class SnapshotStatus(Enum):
    """How far a snapshot has come."""

    PENDING = strawberry.enum_value("PENDING", description="Waits to be computed.")
    CALCULATING = strawberry.enum_value("CALCULATING", description="Is being computed, or will be again.")
    COMPLETE = strawberry.enum_value("COMPLETE", description="Has its metrics.")
    ERROR = strawberry.enum_value("ERROR", description="Could not be computed; its error says why.")


@strawberry.input(description="Which reserve allocations to show.")
class ReserveAllocationFilter:
    """Which reserve allocations to show."""

    priority_min: int | None = at_least("priority", "Only this priority and higher numbers.", "bigint")
    priority_max: int | None = at_most("priority", "Only this priority and lower numbers.", "bigint")


@strawberry.enum(description="What reserve allocations may be ordered by.")
class ReserveAllocationOrderField(Enum):
    """What reserve allocations may be ordered by."""

    PRIORITY = strawberry.enum_value("priority", description="Their priority.")
    PLANNED_RESERVE = strawberry.enum_value("planned_reserve_cents", description="What is planned.")
    SCORE = strawberry.enum_value("score", description="Their score.")
    CREATED_AT = strawberry.enum_value("created_at", description="When they were created.")


@strawberry.input(description="The order of reserve allocations.")
class ReserveAllocationOrder:
    """The order of reserve allocations."""

    field: ReserveAllocationOrderField = strawberry.field(description="What to order by.")
    direction: OrderDirection = strawberry.field(default=OrderDirection.ASC, description="Which way.")


@entity(tables.ReserveAllocation, "One company's planned reserve within a snapshot of its fund.")
class ReserveAllocation(Node):
    """One company's planned reserve within a snapshot of its fund."""

    snapshot: "ForecastSnapshot" = to_one("The snapshot.", "ForecastSnapshot", by="snapshot_id")
    company: Annotated["PortfolioCompany", strawberry.lazy("api.graphql.companies")] = to_one(
        "The company.", "PortfolioCompany", by="company_id"
    )
    planned_reserve_cents: Cents = column("What is planned for it.")
    score: Decimal | None = column("By what it was ranked, as whoever planned it sees it.")
    priority: int | None = column("Its place among the others as whoever planned it sees it; smaller comes first.")
    rationale: str | None = column("Why.")
    version: BigInt = column("The version, for optimistic locking.")
    created_at: datetime = column("When it was created.")
    updated_at: datetime = column("When it was last changed.")


@strawberry.input(description="Which snapshots to show.")
class ForecastSnapshotFilter:
    """Which snapshots to show."""

    status: list[SnapshotStatus] | None = any_of("status", "Only these statuses.")
    from_: datetime | None = at_least("snapshot_at", "Only those of this time or later.", "timestamptz", name="from")
    to: datetime | None = at_most("snapshot_at", "Only those of this time or earlier.", "timestamptz")
    name_contains: str | None = contains("name", "Only names that contain this, in any case.")


@strawberry.enum(description="What snapshots may be ordered by.")
class ForecastSnapshotOrderField(Enum):
    """What snapshots may be ordered by."""

    SNAPSHOT_AT = strawberry.enum_value("snapshot_at", description="The time that they are of.")
    NAME = strawberry.enum_value("name", description="Their name.")
    CREATED_AT = strawberry.enum_value("created_at", description="When they were created.")


@strawberry.input(description="The order of snapshots.")
class ForecastSnapshotOrder:
    """The order of snapshots."""

    field: ForecastSnapshotOrderField = strawberry.field(description="What to order by.")
    direction: OrderDirection = strawberry.field(default=OrderDirection.ASC, description="Which way.")


@entity(tables.ForecastSnapshot, "A fund's forecast, frozen at a time.")
class ForecastSnapshot(Node):
    """A fund's forecast, frozen at a time."""

    fund: Annotated["Fund", strawberry.lazy("api.graphql.funds")] = to_one("The fund.", "Fund", by="fund_id")
    name: str = column("Its name.")
    status: SnapshotStatus = column("How far it has come.")
    snapshot_at: datetime = column("The time that it is of, as whoever asked for it says.")
    metrics: JSON | None = computed(
        "The figures; null unless the status is COMPLETE. Cents and decimals are texts, whatever can be missing has a "
        "reason beside it: docs/snapshots.md describes them all.",
        "metrics",
        compute=shown_metrics,
    )
    error: str | None = column("Why it could not be computed, for people.")
    calculated_at: datetime | None = column("When it was computed.")
    reserve_allocations: Connection[ReserveAllocation] = connection(
        "The reserves that are planned by it, last created first.",
        "ReserveAllocation",
        tables.ReserveAllocation,
        by="snapshot_id",
        filter=ReserveAllocationFilter,
        order=ReserveAllocationOrder,
        default_order=("created_at", True),
    )
    version: BigInt = column("Goes up by one with every change, also of the status.")
    created_at: datetime = column("When it was asked for.")
    updated_at: datetime = column("When it was last changed.")
