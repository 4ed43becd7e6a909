"""Migrations on PostgreSQL as it is embedded, and on Debian's 15 where it is there.

Each makes what the tables in the code say, undoes itself without a trace, makes the same again, and has what is asked
of its catalog. Where ``TRANCHE_REQUIRE_POSTGRESQL_15`` is set, 15 must be there.
"""

import asyncio
import os
import sys
import tempfile
from pathlib import Path

from api.db import embedded, migrations
from tests.contracts.catalog import catalog_of
from tests.contracts.verification import verify

DEBIAN_15 = Path("/usr/lib/postgresql/15/bin")


def check(url: str) -> None:
    """Migrates an empty database there, back and there again; raises CommandError or AssertionError."""
    untouched = asyncio.run(catalog_of(url))
    migrations.upgrade(url)
    migrations.check(url)
    asyncio.run(verify(url))
    migrated = asyncio.run(catalog_of(url))
    migrations.downgrade(url, "base")
    assert asyncio.run(catalog_of(url)) == untouched, "a downgrade leaves something behind"
    migrations.upgrade(url)
    assert asyncio.run(catalog_of(url)) == migrated, "the second upgrade makes something else"


def main() -> None:
    """Checks with each PostgreSQL that is there."""
    versions: list[Path | None] = [None]
    if DEBIAN_15.is_dir():
        versions.append(DEBIAN_15)
    elif os.environ.get("TRANCHE_REQUIRE_POSTGRESQL_15"):
        raise SystemExit(f"PostgreSQL 15 is not in {DEBIAN_15}")
    for binaries in versions:
        with tempfile.TemporaryDirectory(prefix="tranche-check-", ignore_cleanup_errors=True) as directory:
            state = Path(directory) / "state"
            with embedded.start(state, binaries=binaries) as database:
                check(database.url)
            embedded.remove(state)
        sys.stdout.write(f"migrations hold on PostgreSQL {'15' if binaries else 'as embedded'}\n")


if __name__ == "__main__":
    main()
