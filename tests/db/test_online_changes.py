"""Migrations of tables in use: they let others write, give way, and mend what a cancelled one has left."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy.exc import DBAPIError

from api.db import migrations, online_changes
from api.db.provisioning import prepare
from tests.conftest import named
from tests.contracts.catalog import catalog_of
from tests.lots import FULL, INSERT_LOT, fill

LOTS = 20_000
BEFORE = "0008"
MIGRATING = "pid <> pg_backend_pid() AND datname = current_database() AND state = 'active'"
WAITING = f"SELECT pid, query, query_start FROM pg_stat_activity WHERE {MIGRATING} AND wait_event_type = 'Lock'"
LOCKS = """
SELECT DISTINCT mode FROM pg_locks
WHERE pid = $1 AND locktype = 'relation' AND granted AND relation = ANY ($2::text[]::regclass[])
"""


@pytest.fixture
async def full_url(template_url: str) -> AsyncIterator[str]:
    """The owner's URL of a database with lots, as it was before their keys and cursors."""
    maintenance = await asyncpg.connect(named(template_url, "postgres"))
    await maintenance.execute("CREATE DATABASE in_use TEMPLATE template0")
    url = named(template_url, "in_use")
    await asyncio.to_thread(migrations.upgrade, url, BEFORE)
    connection = await asyncpg.connect(url)
    await fill(connection, LOTS)
    await connection.close()
    yield url
    await maintenance.execute("DROP DATABASE in_use WITH (FORCE)")
    await maintenance.close()


@asynccontextmanager
async def open_transaction(url: str, statement: str, *, keeps_snapshot: bool = True) -> AsyncIterator[None]:
    """A transaction that has run the statement and is rolled back at the end; builds wait for one with a snapshot."""
    connection = await asyncpg.connect(url)
    transaction = connection.transaction(isolation="repeatable_read" if keeps_snapshot else "read_committed")
    await transaction.start()
    await connection.execute(statement)
    try:
        yield
    finally:
        await transaction.rollback()
        await connection.close()


async def waiting(watcher: asyncpg.Connection, *, other_than: asyncpg.Record | None = None) -> asyncpg.Record:
    """The statement that the migration waits with, once it waits with another one than before."""
    async with asyncio.timeout(30):
        while True:
            found = await watcher.fetchrow(WAITING)
            if found is not None and (other_than is None or found["query_start"] != other_than["query_start"]):
                return found
            await asyncio.sleep(0.01)


async def test_indexes_are_built_under_a_lock_that_no_writer_waits_for(full_url: str, template_url: str) -> None:
    """Each build waits, at its end, for snapshots that are older than itself; that is when its locks are looked at."""
    watcher, tables = await asyncpg.connect(full_url), sorted(FULL)
    old = open_transaction(full_url, "SELECT 1 FROM organizations")
    await old.__aenter__()
    upgrade = asyncio.create_task(asyncio.to_thread(migrations.upgrade, full_url))
    built, last = [], None
    for _ in range(6):
        last = await waiting(watcher, other_than=last)
        built.append(last["query"].split(" ON ")[0].split()[-1])
        assert [row["mode"] for row in await watcher.fetch(LOCKS, last["pid"], tables)] == ["ShareUpdateExclusiveLock"]
        assert await watcher.execute(INSERT_LOT) == "INSERT 0 1"
        newer = open_transaction(full_url, "SELECT 1 FROM organizations")
        await newer.__aenter__()
        await old.__aexit__(None, None, None)
        old = newer
    # Later revisions build indexes of other tables.
    await old.__aexit__(None, None, None)
    await upgrade
    await watcher.close()
    assert sorted(built) == sorted(name for names in FULL.values() for name in names)
    assert await catalog_of(full_url) == await catalog_of(template_url)


async def test_cancelled_build_is_mended_by_the_next_upgrade(full_url: str, template_url: str) -> None:
    watcher = await asyncpg.connect(full_url)
    for _ in range(2):
        async with open_transaction(full_url, "SELECT 1 FROM organizations"):
            upgrade = asyncio.create_task(asyncio.to_thread(migrations.upgrade, full_url))
            cancelled = await waiting(watcher)
            await watcher.execute("SELECT pg_cancel_backend($1)", cancelled["pid"])
            with pytest.raises(DBAPIError, match="canceling statement"):
                await upgrade
        invalid = await watcher.fetch("SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid")
        assert len(invalid) == 1
        assert invalid[0][0] in cancelled["query"]
        assert await migrations.current_revision(watcher) == BEFORE
    await asyncio.to_thread(migrations.upgrade, full_url)
    await watcher.close()
    assert await catalog_of(full_url) == await catalog_of(template_url)


async def test_change_gives_way_to_who_holds_the_table_and_tries_again(
    full_url: str, template_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(online_changes, "CHANGE_LOCK_TIMEOUT", "50ms")
    monkeypatch.setattr(online_changes, "PAUSE_SECONDS", 0.05)
    watcher = await asyncpg.connect(full_url)
    async with open_transaction(full_url, INSERT_LOT, keeps_snapshot=False):
        upgrade = asyncio.create_task(asyncio.to_thread(migrations.upgrade, full_url))
        first = await waiting(watcher)
        await waiting(watcher, other_than=first)
    await upgrade
    await watcher.close()
    assert await catalog_of(full_url) == await catalog_of(template_url)


async def test_change_gives_up_in_the_end(full_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(online_changes, "CHANGE_LOCK_TIMEOUT", "10ms")
    monkeypatch.setattr(online_changes, "ATTEMPTS_MAX", 2)
    monkeypatch.setattr(online_changes, "PAUSE_SECONDS", 0)
    async with open_transaction(full_url, INSERT_LOT, keeps_snapshot=False):
        with pytest.raises(DBAPIError, match="lock timeout"):
            await asyncio.to_thread(migrations.upgrade, full_url)


async def test_servers_that_start_together_migrate_once(full_url: str, template_url: str, tmp_path: Path) -> None:
    """Whoever waits for its turn must not hold a snapshot: builds wait for those, and it for them."""
    await asyncio.gather(*(prepare(full_url, tmp_path) for _ in range(3)))
    assert await catalog_of(full_url) == await catalog_of(template_url)
