"""The reserves that a snapshot plans, as proposals for a reallocation."""

from dataclasses import dataclass

from api.db.pools import Snapshot
from api.domain.reallocation import PROPOSALS_MAX
from api.errors import BadUserInput

_PROPOSALS = """
SELECT company_id, planned_reserve_cents FROM reserve_allocations
WHERE organization_id = $1 AND snapshot_id = $2 ORDER BY priority NULLS LAST, company_id LIMIT $3
"""


@dataclass(frozen=True, slots=True)
class Proposed:
    """New planned reserves for a company, in cents."""

    company_id: int
    planned_cents: int


async def proposals(snapshot: Snapshot, snapshot_id: int) -> list[Proposed]:
    """The allocations of a forecast snapshot, first priority first; raises BadUserInput above PROPOSALS_MAX."""
    rows = await snapshot.fetch(_PROPOSALS, snapshot.organization_id, snapshot_id, PROPOSALS_MAX + 1)
    if len(rows) > PROPOSALS_MAX:
        raise BadUserInput(f"snapshotId: it has more than {PROPOSALS_MAX} allocations, the most that can be proposed.")
    return [Proposed(*row) for row in rows]
