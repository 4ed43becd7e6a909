"""The version of what a fund's metrics are made of, by which a cached answer is known to be stale or not."""

from api.services.commands import Command


async def touch(command: Command, fund_id: int) -> None:
    """Moves the version of a fund's metrics by one.

    To be the last statement of a command's work: its row is then locked for no longer than the log's head is.
    """
    await command.connection.execute(
        """
        INSERT INTO fund_metrics_versions AS held (organization_id, fund_id, version) VALUES ($1, $2, 1)
        ON CONFLICT (organization_id, fund_id) DO UPDATE SET version = held.version + 1
        """,
        command.organization_id,
        fund_id,
    )
