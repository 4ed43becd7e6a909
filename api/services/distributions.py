"""Recording what comes back from a deal allocation."""

from datetime import date

from api.domain.capital_calls import LARGE_DISTRIBUTION_CENTS, check_allocated, check_distributed, check_received
from api.domain.fund_metric_changes import of_distribution
from api.domain.states import AllocationStatus
from api.errors import ErrorCode, Problem, Refused, invalid
from api.services import rows
from api.services.audit import Subject
from api.services.capital_calls import check_approved, lock_allocation
from api.services.checks import check_day
from api.services.commands import Command
from api.services.fund_versions import touch


async def record_distribution(
    command: Command,
    *,
    today: date,
    allocation_id: int,
    amount_cents: int,
    distribution_type: str,
    distributed_on: date | None = None,
    is_recallable: bool | None = None,
) -> int:
    """Records money that came back, ``today`` (UTC) unless given, not recallable unless said; returns its id.

    A written-off allocation still takes some: what is recovered. Raises Refused: NOT_FOUND, INVALID_INPUT,
    LIMIT_EXCEEDED with what the fund's distributions may come to, APPROVAL_REQUIRED or INVALID_TRANSITION for an
    allocation that waits for its approval or was rejected.
    """
    distributed_on = distributed_on or today
    problems = check_day("distributed_on", distributed_on, today)
    problems = problems or check_received("distributed_on", distributed_on, today)
    if amount_cents <= 0:
        message = "A distribution is above 0."
        problems.append(invalid("amount_cents", message, expected="1 or more", actual=str(amount_cents)))
    if problems:
        raise Refused(problems)
    allocation = await lock_allocation(command, allocation_id)
    check_approved(allocation, "allocation_id")
    if allocation["status"] == AllocationStatus.REJECTED:
        message = "The allocation was rejected: nothing comes back from it."
        raise Refused([Problem(ErrorCode.INVALID_TRANSITION, message, ("allocation_id",), actual=allocation["status"])])
    problems = check_allocated("distributed_on", distributed_on, allocation["allocated_on"])
    if problems:
        raise Refused(problems)
    values: dict[str, object] = {
        "fund_id": allocation["fund_id"],
        "allocation_id": allocation_id,
        "amount_cents": amount_cents,
        "distributed_on": distributed_on,
        "distribution_type": distribution_type,
        "is_recallable": bool(is_recallable),
    }
    distribution_id = await rows.insert_one(command, "distributions", values)
    command.record("distribution.recorded", Subject("Distribution", distribution_id), after=values)
    await touch(command, allocation["fund_id"], of_distribution(amount_cents, distributed_on))
    if amount_cents >= LARGE_DISTRIBUTION_CENTS:
        await _check_total(command, allocation["fund_id"])
    return distribution_id


async def _check_total(command: Command, fund_id: int) -> None:
    """Raises Refused where a fund's distributions come to too much.

    The version of the fund's metrics has been moved, and so is locked: whoever records another one comes before or
    after, and finds it.
    """
    total = await command.connection.fetchval(
        "SELECT sum(amount_cents) FROM distributions WHERE organization_id = $1 AND fund_id = $2",
        command.organization_id,
        fund_id,
    )
    problems = check_distributed(int(total))
    if problems:
        raise Refused(problems)
