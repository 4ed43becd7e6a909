"""Previewing and committing a reallocation of a fund's planned reserves."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from api.domain.reallocation import (
    PROPOSALS_MAX,
    REASON_LENGTH_MAX,
    CompanyState,
    Delta,
    FundState,
    Issue,
    IssueCode,
    Plan,
    Proposal,
    plan,
)
from api.errors import ErrorCode, Problem, Refused, invalid, not_found, version_conflict
from api.services import business_rules
from api.services.audit import Subject
from api.services.business_rules import Reader
from api.services.checks import check_text
from api.services.commands import Command

COMPANIES_SQL = """
SELECT id, name, planned_reserves_cents, allocation_cap_cents FROM portfolio_companies
WHERE organization_id = $1 AND fund_id = $2 ORDER BY id
"""


@dataclass(frozen=True, slots=True)
class Committed:
    """A committed reallocation: its row, its fund and the plan that was carried out."""

    reallocation_id: UUID
    fund_id: int
    plan: Plan


async def preview(
    snapshot: Reader, *, organization_id: int, fund_id: int, expected_version: int, proposals: Sequence[Proposal]
) -> tuple[Plan, Sequence[Any]]:
    """The plan for the proposals, and the rows of the companies that it is about, from one snapshot; writes nothing.

    Raises Refused: INVALID_INPUT for none or too many proposals, NOT_FOUND, LIMIT_EXCEEDED.
    """
    _refuse_bad_request(proposals, None)
    funds = await snapshot.fetch(
        "SELECT allocation_version, size_cents FROM funds WHERE organization_id = $1 AND id = $2",
        organization_id,
        fund_id,
    )
    if not funds:
        raise not_found("fund_id", "fund")
    companies = await snapshot.fetch(COMPANIES_SQL, organization_id, fund_id)
    rules = await business_rules.current(snapshot, organization_id)
    planned = plan(
        FundState(funds[0]["allocation_version"], funds[0]["size_cents"]),
        _states(companies),
        proposals,
        expected_version=expected_version,
        rules=rules.rules,
    )
    return planned, companies


async def commit(
    command: Command, *, fund_id: int, expected_version: int, proposals: Sequence[Proposal], reason: str | None
) -> Committed:
    """Carries a plan out: all changed companies in one statement, the fund's version up by one, one history row.

    Raises Refused: INVALID_INPUT, NOT_FOUND, VERSION_CONFLICT, LIMIT_EXCEEDED, or the errors of the plan.
    """
    _refuse_bad_request(proposals, reason)
    fund = await command.connection.fetchrow(
        """
        UPDATE funds SET allocation_version = allocation_version + 1, version = version + 1, updated_at = now()
        WHERE organization_id = $1 AND id = $2 AND allocation_version = $3 RETURNING *
        """,
        command.organization_id,
        fund_id,
        expected_version,
    )
    if fund is None:
        raise await _missing_or_moved(command, fund_id, expected_version)
    command.wrote("funds", fund)
    companies = await command.connection.fetch(COMPANIES_SQL + " FOR NO KEY UPDATE", command.organization_id, fund_id)
    rules = await business_rules.current(command.connection, command.organization_id)
    planned = plan(
        FundState(expected_version, fund["size_cents"]),
        _states(companies),
        proposals,
        expected_version=expected_version,
        rules=rules.rules,
    )
    if planned.errors:
        raise Refused([_problem(issue, proposals) for issue in planned.errors])
    if not planned.changed:
        raise Refused([invalid("proposals", "Nothing would change.")])
    await _write_companies(command, planned.changed, reason)
    reallocation_id = await _write_history(command, fund_id, expected_version, planned.changed, reason)
    command.record(
        "reallocation.committed",
        Subject("Reallocation", reallocation_id),
        before={"fund_id": fund_id, "allocation_version": expected_version, "total_cents": planned.before_cents},
        after={
            "fund_id": fund_id,
            "allocation_version": expected_version + 1,
            "total_cents": planned.after_cents,
            "changes": [_change(delta) | _cap_change(delta) for delta in planned.changed],
            "reason": reason,
        },
    )
    return Committed(reallocation_id, fund_id, planned)


async def _missing_or_moved(command: Command, fund_id: int, expected_version: int) -> Refused:
    actual = await command.connection.fetchval(
        "SELECT allocation_version FROM funds WHERE organization_id = $1 AND id = $2", command.organization_id, fund_id
    )
    return not_found("fund_id", "fund") if actual is None else version_conflict(expected_version, actual)


async def _write_companies(command: Command, changed: Sequence[Delta], reason: str | None) -> None:
    await command.connection.execute(
        """
        UPDATE portfolio_companies AS company
        SET planned_reserves_cents = change.planned, allocation_cap_cents = change.cap, allocation_reason = $5,
          allocation_count = allocation_count + 1, last_allocation_at = now(), version = version + 1, updated_at = now()
        FROM unnest($2::bigint[], $3::bigint[], $4::bigint[]) AS change (id, planned, cap)
        WHERE company.organization_id = $1 AND company.id = change.id
        """,
        command.organization_id,
        [delta.company_id for delta in changed],
        [delta.to_cents for delta in changed],
        [delta.cap_to_cents for delta in changed],
        reason,
    )


async def _write_history(
    command: Command, fund_id: int, baseline: int, changed: Sequence[Delta], reason: str | None
) -> UUID:
    reallocation_id: UUID = await command.connection.fetchval(
        "SELECT log_reallocation_audit($1, $2, $3, $4, $5, $6, $7)",
        command.organization_id,
        fund_id,
        command.principal.user_id,
        baseline,
        baseline + 1,
        [_change(delta) for delta in changed],
        reason,
    )
    return reallocation_id


def _change(delta: Delta) -> dict[str, object]:
    return {
        "company_id": delta.company_id,
        "company_name": delta.company_name,
        "from_cents": delta.from_cents,
        "to_cents": delta.to_cents,
        "delta_cents": delta.delta_cents,
    }


def _cap_change(delta: Delta) -> dict[str, object]:
    if not delta.cap_changes:
        return {}
    return {"cap_from_cents": delta.cap_from_cents, "cap_to_cents": delta.cap_to_cents}


def _states(companies: Sequence[Any]) -> list[CompanyState]:
    return [
        CompanyState(row["id"], row["name"], row["planned_reserves_cents"], row["allocation_cap_cents"])
        for row in companies
    ]


def _refuse_bad_request(proposals: Sequence[Proposal], reason: str | None) -> None:
    problems = check_text("reason", reason, REASON_LENGTH_MAX)
    if not 1 <= len(proposals) <= PROPOSALS_MAX:
        limit = f"1 to {PROPOSALS_MAX}"
        problems.append(invalid("proposals", f"Give {limit} proposals.", expected=limit, actual=str(len(proposals))))
    if problems:
        raise Refused(problems)


_ISSUE_FIELDS = {
    IssueCode.CAP_EXCEEDED: "planned_reserves_cents",
    IssueCode.COMPANY_NOT_FOUND: "company_id",
    IssueCode.DUPLICATE_COMPANY: "company_id",
}


def _problem(issue: Issue, proposals: Sequence[Proposal]) -> Problem:
    """An error of a plan as a reason for refusing the commit."""
    return Problem(
        ErrorCode(issue.code.value),
        issue.message,
        None if issue.index is None else ("proposals", str(issue.index), _field(issue.code, proposals[issue.index])),
        issue.index,
        expected=None if issue.threshold is None else format(issue.threshold, "f"),
        actual=None if issue.actual is None else format(issue.actual, "f"),
    )


def _field(code: IssueCode, proposal: Proposal) -> str:
    if code is IssueCode.NEGATIVE_AMOUNT:
        return "planned_reserves_cents" if proposal.planned_cents < 0 else "allocation_cap_cents"
    return _ISSUE_FIELDS[code]
