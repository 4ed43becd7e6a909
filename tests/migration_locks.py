"""Migrates a database of a million lots while a client writes to it, and fails where one of its writes took long.

python -m tests.migration_locks [lots]
"""

import asyncio
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg

from api.db import embedded, migrations
from tests.lots import FULL, INSERT_LOT, fill

LOTS = 1_000_000
BEFORE = "0008"
STALL_SECONDS_MAX = 1.0
CHANGE_LOT = "UPDATE investment_lots SET version = version + 1 WHERE organization_id = 1 AND id = $1"
INSERT_SNAPSHOT = "INSERT INTO forecast_snapshots (organization_id, fund_id, name) VALUES (1, 1, 'Q1')"


@dataclass
class Writes:
    """How long each write of a client took."""

    seconds: list[float] = field(default_factory=list)

    async def go_on(self, url: str, end: asyncio.Event) -> None:
        """Writes to the tables that are migrated until the end."""
        connection = await asyncpg.connect(url)
        while not end.is_set():
            statements: Sequence[tuple[str, Sequence[int]]] = (
                (INSERT_LOT, ()),
                (CHANGE_LOT, (len(self.seconds) % LOTS + 1,)),
                (INSERT_SNAPSHOT, ()),
            )
            for statement, arguments in statements:
                started = time.monotonic()
                await connection.execute(statement, *arguments)
                self.seconds.append(time.monotonic() - started)
        await connection.close()


async def migrate(url: str) -> tuple[float, Writes]:
    """Seconds that the upgrade took, and what was written meanwhile."""
    end, writes = asyncio.Event(), Writes()
    writing = asyncio.create_task(writes.go_on(url, end))
    started = time.monotonic()
    try:
        await asyncio.to_thread(migrations.upgrade, url)
    finally:
        end.set()
        await writing
    return time.monotonic() - started, writes


async def prepare(url: str, lots: int) -> None:
    connection = await asyncpg.connect(url)
    await fill(connection, lots)
    await connection.execute("VACUUM ANALYZE")
    await connection.close()


async def verify(url: str) -> None:
    """Fails where an index is missing or of no use."""
    connection = await asyncpg.connect(url)
    names = (
        "SELECT indexrelid::regclass::text FROM pg_index WHERE indisvalid AND indrelid = ANY ($1::text[]::regclass[])"
    )
    valid = {row[0] for row in await connection.fetch(names, sorted(FULL))}
    await connection.close()
    missing = set().union(*FULL.values()) - valid
    if missing:
        raise SystemExit(f"missing or invalid: {', '.join(sorted(missing))}")


def main() -> None:
    """Prints the longest write; exits with 1 where it is longer than a second."""
    lots = int(sys.argv[1]) if len(sys.argv) > 1 else LOTS
    with tempfile.TemporaryDirectory(prefix="tranche-locks-", ignore_cleanup_errors=True) as directory:
        state = Path(directory) / "state"
        with embedded.start(state) as database:
            migrations.upgrade(database.url, BEFORE)
            asyncio.run(prepare(database.url, lots))
            seconds, writes = asyncio.run(migrate(database.url))
            asyncio.run(verify(database.url))
        embedded.remove(state)
    longest, median = max(writes.seconds), sorted(writes.seconds)[len(writes.seconds) // 2]
    sys.stdout.write(
        f"{lots:,} lots were migrated in {seconds:.1f} s; of {len(writes.seconds):,} writes meanwhile the longest took"
        f" {longest * 1000:.0f} ms, the median {median * 1000:.2f} ms\n"
    )
    if longest > STALL_SECONDS_MAX:
        raise SystemExit(f"longer than {STALL_SECONDS_MAX} s")


if __name__ == "__main__":
    main()
