"""What the rules say of an allocation: warnings, errors, and asking for them without writing."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated

import strawberry

from api.domain.deal_rules import Finding, RuleCode
from api.domain.money import Cents
from api.errors import Refused
from api.graphql.context import Info
from api.graphql.deal_inputs import CreateDealAllocationInput
from api.graphql.enums import describe
from api.graphql.mutations import Payload, UserError, given, row_id, user_error
from api.services import deal_validation

GraphQLRuleCode = describe(
    RuleCode,
    "RuleCode",
    "Which rule has found something; the thresholds are the organization's businessRules.",
    {
        RuleCode.ALLOCATION_TOO_SMALL: "Below the least amount of one allocation.",
        RuleCode.ALLOCATION_TOO_LARGE: "Above the largest amount of one allocation.",
        RuleCode.UTILIZATION_EXCEEDED: "More of the fund's size would be allocated than may be.",
        RuleCode.UTILIZATION_HIGH: "Much of the fund's size would be allocated.",
        RuleCode.FUND_TOTAL_TOO_LARGE: "All of the fund's allocations together would be beyond 64 bits.",
        RuleCode.DEAL_TOTAL_HIGH: "Much would be allocated to one deal, by all funds of the fund's currency.",
        RuleCode.INCREASE_LARGE: "Much more than the present amount of the allocation.",
        RuleCode.APPROVAL_REQUIRED: "Another administrator has to approve it.",
    },
)


@strawberry.type(description="What a rule warns of. It forbids nothing.")
class RuleWarning:
    """What a rule warns of."""

    code: GraphQLRuleCode = strawberry.field(description="Which rule.")  # type: ignore[valid-type]
    message: str = strawberry.field(description="The warning in a sentence.")
    threshold: Decimal = strawberry.field(description="The threshold: cents or a fraction.")
    actual: Decimal = strawberry.field(description="What was found: cents or a fraction.")


@strawberry.type(description="What a rule forbids an allocation for.")
class RuleError:
    """What a rule forbids an allocation for."""

    code: GraphQLRuleCode = strawberry.field(description="Which rule.")  # type: ignore[valid-type]
    message: str = strawberry.field(description="The error in a sentence.")
    threshold: Decimal = strawberry.field(description="The threshold: cents or a fraction.")
    actual: Decimal = strawberry.field(description="What was found: cents or a fraction.")


@strawberry.type(description="What creating an allocation would come to; nothing was written.")
class AllocationValidation:
    """What creating an allocation would come to."""

    is_valid: bool = strawberry.field(description="Whether it would be created: neither errors nor userErrors.")
    requires_approval: bool = strawberry.field(description="Whether it would wait for an approval.")
    amount_cents: Cents | None = strawberry.field(description="The amount, also where a percentage was given.")
    errors: list[RuleError] = strawberry.field(description="What the rules forbid it for.")
    warnings: list[RuleWarning] = strawberry.field(description="What the rules warn of.")
    user_errors: list[UserError] = strawberry.field(description="What else it would be refused for.")


@strawberry.type
class PayloadWithWarnings(Payload):
    """The answer of a mutation about deals and what is called for them."""

    warnings: list[RuleWarning] = strawberry.field(default_factory=list, description="What the rules warned of.")


def shown_warnings(findings: Sequence[Finding]) -> list[RuleWarning]:
    """Warnings as they are shown."""
    return [
        RuleWarning(code=one.code, message=one.message, threshold=one.threshold, actual=one.actual) for one in findings
    ]


@strawberry.type
class DealRulesQuery:
    """The root field that asks the rules."""

    @strawberry.field(description="What creating an allocation would come to, from one snapshot; writes nothing.")
    async def validate_deal_allocation(
        self,
        info: Info,
        input: Annotated[CreateDealAllocationInput, strawberry.argument(description="The allocation.")],
    ) -> AllocationValidation:
        """What creating an allocation would come to."""
        await info.context.authorise()
        values = given(input)
        try:
            values["fund_id"] = row_id("Fund", values["fund_id"], "fund_id", "fund")
            values["deal_id"] = row_id("Deal", values["deal_id"], "deal_id", "deal")
            judged = await deal_validation.validate_new(
                info.context.loaders.snapshot,
                info.context.principal.organization_id,
                today=info.context.today,
                **values,
            )
        except Refused as refused:
            problems = [user_error(problem) for problem in refused.problems]
            return AllocationValidation(
                is_valid=False, requires_approval=False, amount_cents=None, errors=[], warnings=[], user_errors=problems
            )
        verdict = judged.verdict
        return AllocationValidation(
            is_valid=not verdict.errors,
            requires_approval=verdict.requires_approval,
            amount_cents=Cents(judged.amount_cents),
            errors=[
                RuleError(code=one.code, message=one.message, threshold=one.threshold, actual=one.actual)
                for one in verdict.errors
            ],
            warnings=shown_warnings(verdict.warnings),
            user_errors=[],
        )
