"""What the rules say of an allocation: the same reading for whoever only asks and, under locks, for whoever writes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from api.domain.deal_rules import Finding, Proposal, Standing, Verdict, judge
from api.domain.deals import TAKES_NO_ALLOCATIONS
from api.domain.money import share_of
from api.errors import ErrorCode, Problem, Refused, invalid, not_found
from api.services import business_rules
from api.services.business_rules import Reader
from api.services.checks import check_day, check_not_negative, check_ratio, check_text
from api.services.funds import check_open

NOTES_LENGTH_MAX = 1000

Row = Mapping[str, Any]

STANDING_SQL = """
SELECT
  (SELECT coalesce(sum(amount_cents), 0) FROM deal_allocations
    WHERE organization_id = $1 AND fund_id = $2 AND status <> 'REJECTED' AND id IS DISTINCT FROM $5) AS fund_allocated,
  (SELECT coalesce(sum(allocation.amount_cents), 0) FROM deal_allocations AS allocation
    JOIN funds AS fund ON fund.organization_id = allocation.organization_id AND fund.id = allocation.fund_id
    WHERE allocation.organization_id = $1 AND allocation.deal_id = $3 AND allocation.status <> 'REJECTED'
      AND fund.currency = $4 AND allocation.id IS DISTINCT FROM $5) AS deal_allocated
"""


@dataclass(frozen=True, slots=True)
class Judged:
    """An amount in cents, and what the rules say of allocating it."""

    amount_cents: int
    verdict: Verdict


async def validate_new(
    reader: Reader,
    organization_id: int,
    *,
    today: date,
    fund_id: int,
    deal_id: int,
    security_type: str,
    amount_cents: int | None = None,
    percentage: Decimal | None = None,
    allocated_on: date | None = None,
    notes: str | None = None,
) -> Judged:
    """What creating this allocation would come to, as the reader sees fund and deal; writes nothing.

    Raises Refused as creating it would, but for what the rules say.
    """
    given = {"amount_cents": amount_cents, "percentage": percentage, "allocated_on": allocated_on, "notes": notes}
    refuse_bad_values(given | {"security_type": security_type}, today)
    fund = await _row(reader, organization_id, "funds", fund_id, field="fund_id", noun="fund")
    deal = await _row(reader, organization_id, "deals", deal_id, field="deal_id", noun="deal")
    return await judge_new(reader, fund, deal, amount_cents=amount_cents, percentage=percentage)


async def judge_new(
    reader: Reader, fund: Row, deal: Row, *, amount_cents: int | None, percentage: Decimal | None
) -> Judged:
    """What the rules say of a new allocation of this fund to this deal.

    Raises Refused: INVALID_INPUT, INVALID_TRANSITION, ALREADY_EXISTS.
    """
    amount = amount_of(fund, amount_cents, percentage)
    check_open(fund["status"], "fund_id")
    check_stage(deal, "deal_id")
    taken = await reader.fetch(
        "SELECT 1 FROM deal_allocations WHERE organization_id = $1 AND fund_id = $2 AND deal_id = $3"
        " AND status <> 'REJECTED'",
        fund["organization_id"],
        fund["id"],
        deal["id"],
    )
    if taken:
        message = "The fund has an allocation to this deal. Change that one."
        raise Refused([Problem(ErrorCode.ALREADY_EXISTS, message, ("deal_id",))])
    return Judged(amount, await verdict_on(reader, fund, deal["id"], Proposal(amount)))


async def verdict_on(
    reader: Reader, fund: Row, deal_id: int, proposal: Proposal, *, allocation_id: int | None = None
) -> Verdict:
    """What the rules say of a proposal beside all other allocations; ``allocation_id`` is its own, where it has one."""
    organization_id = fund["organization_id"]
    found = await reader.fetch(STANDING_SQL, organization_id, fund["id"], deal_id, fund["currency"], allocation_id)
    standing = Standing(fund["size_cents"], int(found[0]["fund_allocated"]), int(found[0]["deal_allocated"]))
    rules = await business_rules.current(reader, organization_id)
    return judge(proposal, standing, rules.rules)


def amount_of(fund: Row, amount_cents: int | None, percentage: Decimal | None) -> int:
    """The amount in cents: as given, or that fraction of the fund's size.

    Raises Refused (INVALID_INPUT) unless one of the two is given, and where the size that it takes is unknown.
    """
    if (amount_cents is None) == (percentage is None):
        raise Refused([invalid("amount_cents", "Give either an amount or a percentage.")])
    if amount_cents is not None:
        return amount_cents
    if fund["size_cents"] is None or percentage is None:
        message = "The fund's size is unknown: give an amount."
        raise Refused([invalid("percentage", message)])
    return share_of(fund["size_cents"], percentage)


def check_stage(deal: Row, field: str) -> None:
    """Raises Refused (INVALID_TRANSITION) that names ``field`` where nothing more is committed to the deal."""
    if deal["stage"] in TAKES_NO_ALLOCATIONS:
        message = f"A deal that is {deal['stage']} takes no allocations."
        raise Refused([Problem(ErrorCode.INVALID_TRANSITION, message, (field,), actual=deal["stage"])])


def refuse_errors(findings: Sequence[Finding], field: str) -> None:
    """Raises Refused (INVALID_INPUT) where there are errors; ``field`` is what the caller gave the amount in."""
    if findings:
        raise Refused(
            [
                invalid(field, found.message, expected=format(found.threshold, "f"), actual=format(found.actual, "f"))
                for found in findings
            ]
        )


def refuse_bad_values(values: Mapping[str, Any], today: date, missing: Sequence[Problem] = ()) -> None:
    """Raises Refused where a column of an allocation is malformed, or for what the caller found ``missing``."""
    problems = [*missing]
    problems += check_not_negative(values, "amount_cents")
    problems += check_ratio("percentage", values.get("percentage"), 1)
    if values.get("percentage") == 0:
        problems.append(invalid("percentage", "Must be more than 0.", expected="more than 0", actual="0"))
    problems += check_text("notes", values.get("notes"), NOTES_LENGTH_MAX)
    problems += check_day("allocated_on", values.get("allocated_on"), today)
    if problems:
        raise Refused(problems)


async def _row(reader: Reader, organization_id: int, table: str, row_id: int, *, field: str, noun: str) -> Row:
    found = await reader.fetch(f"SELECT * FROM {table} WHERE organization_id = $1 AND id = $2", organization_id, row_id)
    if not found:
        raise not_found(field, noun)
    row: Row = found[0]
    return row
