"""The organization's thresholds: the type, and changing them."""

from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

import strawberry

from api.domain.money import Cents
from api.errors import BadUserInput, Refused
from api.graphql.context import Info
from api.graphql.declare import attribute_edge
from api.graphql.mutations import Payload, given, refusal, write
from api.graphql.scalars import BigInt
from api.reads.business_rules import BUSINESS_RULES, RulesVersion
from api.reads.declarations import BatchRead
from api.reads.pages import PAGE_SIZE_MAX
from api.services import business_rules

if TYPE_CHECKING:
    from api.graphql.organizations import User

ALLOCATION_MIN = "The least amount of one allocation; below it, refused."
ALLOCATION_MAX = "The largest amount of one allocation; above it, refused."
DEAL_TOTAL_CAUTION = "All allocations into one deal together: above it, a warning."
APPROVAL_ABOVE = "An allocation above it waits until another administrator has approved it."
UTILIZATION_MAX = "A fund's live allocations over its size: above it, refused. More than 0, at most 10."
UTILIZATION_CAUTION = "The same: above it, a warning. At most utilizationMax."
INCREASE_CAUTION = "An increase over the present amount of an allocation: above it, a warning. 0 to 1000."
CONCENTRATION_MAX = "A company's planned reserves over its fund's: above it, a warning. 0 to 1."
FUND_SIZE_SHARE_MAX = "Planned reserves over the fund's size: above it, a warning. 0 to 10."


@strawberry.type(
    description="The thresholds of an organization's rules. Amounts are in the fund's currency, the others fractions: "
    "0.95 is 95 %. Each is exclusive: what is at it is within it."
)
class BusinessRules:
    """The thresholds of an organization's rules."""

    version: BigInt = strawberry.field(description="The version, for optimistic locking; 1 are the defaults.")
    allocation_min_cents: Cents = strawberry.field(description=ALLOCATION_MIN)
    allocation_max_cents: Cents = strawberry.field(description=ALLOCATION_MAX)
    deal_total_caution_cents: Cents = strawberry.field(description=DEAL_TOTAL_CAUTION)
    approval_above_cents: Cents = strawberry.field(description=APPROVAL_ABOVE)
    utilization_max: Decimal = strawberry.field(description=UTILIZATION_MAX)
    utilization_caution: Decimal = strawberry.field(description=UTILIZATION_CAUTION)
    increase_caution: Decimal = strawberry.field(description=INCREASE_CAUTION)
    concentration_max: Decimal = strawberry.field(description=CONCENTRATION_MAX)
    fund_size_share_max: Decimal = strawberry.field(description=FUND_SIZE_SHARE_MAX)
    changed_at: datetime | None = strawberry.field(description="When they were set; null for the defaults.")
    changed_by_id: strawberry.Private[int | None]

    changed_by: Annotated["User", strawberry.lazy("api.graphql.organizations")] | None = attribute_edge(
        "Who set them; null for the defaults, and for an API key.", "User", by="changed_by_id"
    )


def shown_rules(found: RulesVersion, _given: dict[str, Any]) -> BusinessRules:
    """Thresholds as they are shown."""
    return BusinessRules(
        version=BigInt(found.version),
        **asdict(found.rules),
        changed_at=found.changed_at,
        changed_by_id=found.changed_by_id,
    )


def shown_changes(found: list[RulesVersion], given: dict[str, Any]) -> list[BusinessRules]:
    """Changes of thresholds as they are shown; raises BadUserInput for a ``first`` that is out of bounds."""
    first = given["first"]
    if first is not None and not 0 <= first <= PAGE_SIZE_MAX:
        raise BadUserInput(f"first: must be between 0 and {PAGE_SIZE_MAX}, not {first}.")
    return [shown_rules(one, given) for one in found]


_CURRENT = BatchRead(BUSINESS_RULES, shown_rules, {})


@strawberry.input(description="Thresholds to set: absent fields stay, and none can be cleared.")
class UpdateBusinessRulesInput:
    """Thresholds to set."""

    expected_version: BigInt = strawberry.field(description="The version that the change is made against.")
    allocation_min_cents: Cents | None = strawberry.field(default=strawberry.UNSET, description=ALLOCATION_MIN)
    allocation_max_cents: Cents | None = strawberry.field(default=strawberry.UNSET, description=ALLOCATION_MAX)
    deal_total_caution_cents: Cents | None = strawberry.field(default=strawberry.UNSET, description=DEAL_TOTAL_CAUTION)
    approval_above_cents: Cents | None = strawberry.field(default=strawberry.UNSET, description=APPROVAL_ABOVE)
    utilization_max: Decimal | None = strawberry.field(default=strawberry.UNSET, description=UTILIZATION_MAX)
    utilization_caution: Decimal | None = strawberry.field(default=strawberry.UNSET, description=UTILIZATION_CAUTION)
    increase_caution: Decimal | None = strawberry.field(default=strawberry.UNSET, description=INCREASE_CAUTION)
    concentration_max: Decimal | None = strawberry.field(default=strawberry.UNSET, description=CONCENTRATION_MAX)
    fund_size_share_max: Decimal | None = strawberry.field(default=strawberry.UNSET, description=FUND_SIZE_SHARE_MAX)


@strawberry.type(description="The thresholds as they hold from now on, in every process.")
class UpdateBusinessRulesPayload(Payload):
    """The thresholds as they hold from now on."""

    business_rules: BusinessRules | None = strawberry.field(default=None, description="All thresholds.")


@strawberry.type
class BusinessRulesMutation:
    """Setting thresholds."""

    @strawberry.mutation(description="Sets thresholds of the organization's rules. For administrators.")
    async def update_business_rules(
        self, info: Info, input: Annotated[UpdateBusinessRulesInput, strawberry.argument(description="What to set.")]
    ) -> UpdateBusinessRulesPayload | None:
        """Sets thresholds of the organization's rules."""
        changes = given(input)
        version = changes.pop("expected_version")
        try:
            await write(
                info,
                lambda command: business_rules.update_business_rules(
                    command, expected_version=version, changes=changes
                ),
                int,
            )
        except Refused as refused:
            return refusal(UpdateBusinessRulesPayload, refused)
        organization_id = info.context.principal.organization_id
        shown = shown_rules(await info.context.loaders.batch(_CURRENT, organization_id, {}), {})
        return UpdateBusinessRulesPayload(business_rules=shown)
