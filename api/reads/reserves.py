"""A fund's reserves over all its companies."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from api.domain.money import within_limit
from api.reads.declarations import BatchSelect


@dataclass(frozen=True)
class Reserves:
    """Planned and deployed reserves in cents, what remains of the plan, and the number of companies."""

    planned_cents: int
    deployed_cents: int
    remaining_cents: int
    company_count: int


def _reserves(rows: Sequence[Sequence[Any]]) -> Reserves:
    """The reserves in the only row; raises Refused (LIMIT_EXCEEDED) beyond 64 bits."""
    planned, deployed, company_count = rows[0]
    return Reserves(
        within_limit(int(planned)), within_limit(int(deployed)), within_limit(int(planned - deployed)), company_count
    )


FUND_RESERVES = BatchSelect(
    lambda _arguments: (
        """
    SELECT ROW(coalesce(sum(planned_reserves_cents), 0), coalesce(sum(deployed_reserves_cents), 0), count(*))
    FROM portfolio_companies AS company
    WHERE company.organization_id = {organization} AND company.fund_id = {key}
    """
    ),
    _reserves,
)
"""The reserves of a fund."""
