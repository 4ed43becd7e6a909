"""The version of what a fund's metrics are made of, by which a kept answer is known to be stale or not.

Beside it stands what the latest writes have changed, so that an answer of an earlier version can be brought up.
"""

from api.domain.fund_metric_changes import Effects, written
from api.services.commands import Command

CHANGES_LENGTH_MAX = 1_000
"""How many characters tell of the latest changes, some fifteen: whoever reads the version reads them, too."""


async def touch(command: Command, fund_id: int, effects: Effects | None) -> None:
    """Moves the version of a fund's metrics by one; not at all where there are no effects.

    None where something has changed of which the effects are not told: answers of before are then of no use any more.
    To be the last statement of a command's work: its row is then locked for no longer than the log's head is.
    """
    if effects is not None and not effects:
        return
    await command.connection.execute(
        """
        INSERT INTO fund_metrics_versions AS held (organization_id, fund_id, version, changes)
        VALUES ($1, $2, 1, coalesce(E'\\n1 ' || $3::text, ''))
        ON CONFLICT (organization_id, fund_id) DO UPDATE SET version = held.version + 1,
          changes = coalesce(right(held.changes || E'\\n' || (held.version + 1) || ' ' || $3::text, $4), '')
        """,
        command.organization_id,
        fund_id,
        None if effects is None else written(effects),
        CHANGES_LENGTH_MAX,
    )
