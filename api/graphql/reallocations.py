"""Reallocations: preview, commit and their history."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated

import strawberry

from api import tables
from api.domain import reallocation as rules
from api.domain.money import Cents, change_ratio
from api.errors import Refused
from api.graphql.companies import PortfolioCompany
from api.graphql.context import Info
from api.graphql.declare import attribute_edge, column, computed, entity, to_one
from api.graphql.enums import describe
from api.graphql.funds import Fund
from api.graphql.mutations import Payload, given, refusal, row_id, write
from api.graphql.nodes import Node
from api.graphql.objects import load
from api.graphql.organizations import User
from api.graphql.reallocation_inputs import (
    CommitReallocationInput,
    PreviewReallocationInput,
    ReallocationProposalInput,
)
from api.graphql.scalars import BigInt
from api.reads import global_ids
from api.services import reallocations

DeltaStatus = describe(
    rules.DeltaStatus,
    "ReallocationDeltaStatus",
    "Which way an amount moves.",
    {
        rules.DeltaStatus.INCREASED: "More than now.",
        rules.DeltaStatus.DECREASED: "Less than now.",
        rules.DeltaStatus.UNCHANGED: "The same as now.",
    },
)
Severity = describe(
    rules.Severity,
    "ReallocationIssueSeverity",
    "Whether an issue blocks a commit.",
    {rules.Severity.ERROR: "It blocks a commit.", rules.Severity.WARNING: "It does not."},
)
IssueScope = describe(
    rules.IssueScope,
    "ReallocationIssueScope",
    "What an issue is about.",
    {rules.IssueScope.COMPANY: "One company.", rules.IssueScope.FUND: "The whole fund."},
)
IssueCode = describe(
    rules.IssueCode,
    "ReallocationIssueCode",
    "What is wrong, or worth a look, with a plan.",
    {
        rules.IssueCode.CAP_EXCEEDED: "Planned reserves above the proposal's cap, or else the stored one.",
        rules.IssueCode.NEGATIVE_AMOUNT: "A negative amount.",
        rules.IssueCode.COMPANY_NOT_FOUND: "The fund has no such company.",
        rules.IssueCode.DUPLICATE_COMPANY: "A company is listed more than once.",
        rules.IssueCode.VERSION_CONFLICT: "The fund's allocations have changed since.",
        rules.IssueCode.HIGH_CONCENTRATION: "A company holds much of the fund's planned reserves.",
        rules.IssueCode.UNREALISTIC_MOIC: "Planned reserves are much of the fund's size.",
    },
)


@strawberry.type(description="What a committed reallocation did to one company.")
class ReallocationChange:
    """What a committed reallocation did to one company."""

    company_id: strawberry.Private[int]
    company_name: str = strawberry.field(description="The company's name at the time.")
    from_cents: Cents = strawberry.field(description="Planned reserves before.")
    to_cents: Cents = strawberry.field(description="Planned reserves after.")
    delta_cents: Cents = strawberry.field(description="The change.")

    company: PortfolioCompany | None = attribute_edge("The company.", "PortfolioCompany", by="company_id")


@entity(tables.Reallocation, "One committed change of planned reserves across a fund's companies.")
class Reallocation(Node):
    """One committed change of planned reserves."""

    fund: Fund = to_one("The fund.", "Fund", by="fund_id")
    actor: User | None = to_one("Who committed it; null for the system.", "User", by="user_id")
    baseline_version: BigInt = column("The fund's allocation version before.")
    new_version: BigInt = column("The fund's allocation version after.")
    changes: list[ReallocationChange] = computed(
        "What changed, by company.",
        "changes_json",
        compute=lambda row: [ReallocationChange(**change) for change in row["changes_json"]],
    )
    reason: str | None = column("Why it was done.")
    created_at: datetime = column("When it was committed.")


@strawberry.type(description="What a plan does to one company.")
class ReallocationDelta:
    """What a plan does to one company."""

    company_id: strawberry.Private[int]
    from_cents: Cents = strawberry.field(description="Planned reserves now.")
    to_cents: Cents = strawberry.field(description="Planned reserves after.")
    delta_cents: Cents = strawberry.field(description="The change.")
    delta_ratio: Decimal = strawberry.field(description="The change as a fraction of what is there; from 0: 1 or 0.")
    status: DeltaStatus = strawberry.field(description="Which way it moves.")  # type: ignore[valid-type]

    company: PortfolioCompany = attribute_edge("The company.", "PortfolioCompany", by="company_id")


@strawberry.type(description="A fund's planned reserves before and after a plan.")
class ReallocationTotals:
    """A fund's planned reserves before and after a plan."""

    before_cents: Cents = strawberry.field(description="The total now.")
    after_cents: Cents = strawberry.field(description="The total after.")
    delta_cents: Cents = strawberry.field(description="The change.")
    delta_ratio: Decimal = strawberry.field(description="The change as a fraction of the total now; from 0: 1 or 0.")


@strawberry.type(description="An error, which blocks a commit, or a warning, which does not.")
class ReallocationIssue:
    """An error or a warning."""

    code: IssueCode = strawberry.field(description="What kind of issue.")  # type: ignore[valid-type]
    severity: Severity = strawberry.field(description="Whether it blocks a commit.")  # type: ignore[valid-type]
    scope: IssueScope = strawberry.field(description="What it is about.")  # type: ignore[valid-type]
    message: str = strawberry.field(description="The issue in a sentence.")
    proposal_index: int | None = strawberry.field(description="The position of the proposal to blame, from 0.")
    threshold: Decimal | None = strawberry.field(description="The limit: cents, a fraction, or the expected version.")
    actual: Decimal | None = strawberry.field(description="What was found: cents, a fraction, or the actual version.")
    company_id: strawberry.Private[int | None]

    company: PortfolioCompany | None = attribute_edge(
        "The company; null where the fund, or no known company, is meant.", "PortfolioCompany", by="company_id"
    )


@strawberry.type(description="What a plan would do, and what speaks against it.")
class ReallocationPreview:
    """What a plan would do, and what speaks against it."""

    baseline_version: BigInt = strawberry.field(description="The fund's allocation version that it was planned on.")
    is_valid: bool = strawberry.field(description="Whether a commit would go through: no errors.")
    deltas: list[ReallocationDelta] = strawberry.field(description="One for every company of the fund.")
    totals: ReallocationTotals = strawberry.field(description="The fund's planned reserves before and after.")
    issues: list[ReallocationIssue] = strawberry.field(description="Errors first, then warnings.")


@strawberry.type(description="The previewed reallocation; nothing was written.")
class PreviewReallocationPayload(Payload):
    """The previewed reallocation."""

    preview: ReallocationPreview | None = strawberry.field(default=None, description="The plan, blocked or not.")


@strawberry.type(description="The committed reallocation.")
class CommitReallocationPayload(Payload):
    """The committed reallocation."""

    reallocation: Reallocation | None = strawberry.field(default=None, description="Its entry in the history.")
    fund: Fund | None = strawberry.field(default=None, description="The fund, as it is now.")
    preview: ReallocationPreview | None = strawberry.field(default=None, description="The plan that was carried out.")
    replayed: bool = strawberry.field(
        default=False, description="Whether an earlier request with the key committed it."
    )


@strawberry.type
class ReallocationMutation:
    """Previewing and committing reallocations."""

    @strawberry.mutation(description="Shows what a reallocation would do, from one snapshot; writes nothing.")
    async def preview_reallocation(
        self, info: Info, input: Annotated[PreviewReallocationInput, strawberry.argument(description="The plan.")]
    ) -> PreviewReallocationPayload | None:
        """Shows what a reallocation would do."""
        context = info.context
        await context.loaders.reset()
        try:
            plan, companies = await reallocations.preview(
                context.loaders.snapshot,
                organization_id=context.principal.organization_id,
                fund_id=row_id("Fund", input.fund_id, "fund_id", "fund"),
                expected_version=input.expected_version,
                proposals=_proposals(input.proposals),
            )
        except Refused as refused:
            return refusal(PreviewReallocationPayload, refused)
        context.loaders.remember("PortfolioCompany", companies)
        return PreviewReallocationPayload(preview=_preview(plan))

    @strawberry.mutation(description="Carries a reallocation out: all of it or nothing.")
    async def commit_reallocation(
        self, info: Info, input: Annotated[CommitReallocationInput, strawberry.argument(description="The plan.")]
    ) -> CommitReallocationPayload | None:
        """Carries a reallocation out."""
        try:
            fund_id = row_id("Fund", input.fund_id, "fund_id", "fund")
            outcome = await write(
                info,
                lambda command: reallocations.commit(
                    command,
                    fund_id=fund_id,
                    expected_version=input.expected_version,
                    proposals=_proposals(input.proposals),
                    reason=input.reason,
                ),
                reallocations.Committed,
                key=input.idempotency_key,
                input_given=given(input),
                parent=str(fund_id),
            )
        except Refused as refused:
            return refusal(CommitReallocationPayload, refused)
        return CommitReallocationPayload(
            reallocation=await load(info, "Reallocation", outcome.result.reallocation_id),
            fund=await load(info, "Fund", fund_id),
            preview=_preview(outcome.result.plan),
            replayed=outcome.replayed,
        )


def _proposals(proposals: Sequence[ReallocationProposalInput]) -> list[rules.Proposal]:
    return [
        rules.Proposal(
            global_ids.decode_as("PortfolioCompany", proposal.company_id),
            proposal.planned_reserves_cents,
            proposal.allocation_cap_cents,
        )
        for proposal in proposals
    ]


def _preview(plan: rules.Plan) -> ReallocationPreview:
    change = plan.after_cents - plan.before_cents
    return ReallocationPreview(
        baseline_version=BigInt(plan.baseline_version),
        is_valid=not plan.errors,
        deltas=[
            ReallocationDelta(
                company_id=delta.company_id,
                from_cents=Cents(delta.from_cents),
                to_cents=Cents(delta.to_cents),
                delta_cents=Cents(delta.delta_cents),
                delta_ratio=delta.ratio,
                status=delta.status,
            )
            for delta in plan.deltas
        ],
        totals=ReallocationTotals(
            before_cents=Cents(plan.before_cents),
            after_cents=Cents(plan.after_cents),
            delta_cents=Cents(change),
            delta_ratio=change_ratio(plan.before_cents, plan.after_cents),
        ),
        issues=[
            ReallocationIssue(
                code=issue.code,
                severity=issue.severity,
                scope=issue.scope,
                message=issue.message,
                proposal_index=issue.index,
                threshold=issue.threshold,
                actual=issue.actual,
                company_id=issue.company_id,
            )
            for issue in plan.issues
        ],
    )
