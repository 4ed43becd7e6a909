"""A short storm; ``make chaos`` has longer ones."""

from pathlib import Path

from tests.chaos.storm import storm

SECONDS = 8


async def test_a_storm_loses_repeats_and_misplaces_nothing(database_url: str, state_directory: Path) -> None:
    outcome = await storm(database_url, state_directory, SECONDS)
    assert min(outcome.kills, outcome.cuts, outcome.drops, outcome.repeats, outcome.entries) > 0
