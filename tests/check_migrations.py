"""``alembic check``: the tables in the code and those that the migrations make are the same."""

import tempfile
from pathlib import Path

from api.db import embedded, migrations


def main() -> None:
    """Migrates an empty database and compares; raises alembic's CommandError where they differ."""
    with tempfile.TemporaryDirectory(prefix="tranche-check-", ignore_cleanup_errors=True) as directory:
        state = Path(directory) / "state"
        with embedded.start(state) as database:
            migrations.upgrade(database.url)
            migrations.check(database.url)
        embedded.remove(state)


if __name__ == "__main__":
    main()
