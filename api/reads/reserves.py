"""A fund's reserves over all its companies."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from api.db.pools import Snapshot
from api.domain.money import within_limit


@dataclass(frozen=True)
class Reserves:
    """Planned and deployed reserves in cents, what remains of the plan, and the number of companies."""

    planned_cents: int
    deployed_cents: int
    remaining_cents: int
    company_count: int


NO_RESERVES = Reserves(0, 0, 0, 0)


async def fetch_reserves(snapshot: Snapshot, keys: Sequence[Any], _arguments: Mapping[str, Any]) -> dict[Any, Reserves]:
    """The reserves of the funds with these ids; raises Refused (LIMIT_EXCEEDED) beyond 64 bits."""
    rows = await snapshot.fetch(
        """
        SELECT fund_id, sum(planned_reserves_cents) AS planned, sum(deployed_reserves_cents) AS deployed,
          count(*) AS companies
        FROM portfolio_companies WHERE organization_id = $1 AND fund_id = ANY ($2::bigint[]) GROUP BY fund_id
        """,
        snapshot.organization_id,
        list(keys),
    )
    return {
        row["fund_id"]: Reserves(
            within_limit(int(row["planned"])),
            within_limit(int(row["deployed"])),
            within_limit(int(row["planned"] - row["deployed"])),
            row["companies"],
        )
        for row in rows
    }
