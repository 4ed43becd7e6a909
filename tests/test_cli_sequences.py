"""Sequences on the command line: found set back, repaired, and healthy again."""

from tests.test_cli import CREATE, Run, fetch
from tests.test_cli import run as run


def test_sequence_set_back_is_found_and_repaired(run: Run, database_url: str) -> None:
    run(*CREATE)
    assert run("sequences", "check").status == 0
    fetch(
        database_url,
        "INSERT INTO users (id, email) SELECT n + 200, n || '@gamma.example' FROM generate_series(1, 9) AS n",
    )
    found = run("sequences", "check")
    assert (found.status, "NEEDS_REPAIR users: last 1, highest id 209, 208 behind (HIGH)\n" in found.output) == (
        1,
        True,
    )
    repaired = run("sequences", "repair")
    assert (repaired.status, repaired.output) == (0, "HEALTHY users: last 209, highest id 209\n")
    assert repaired.errors == "1 repaired.\n"
    checked = run("sequences", "check")
    assert (checked.status, "NEEDS_REPAIR" in checked.output) == (0, False)
