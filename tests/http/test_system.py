"""What members are told of the server: its version, the database, migrations, workers and caches."""

import asyncio
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from api.db.migrations import newest_revision
from api.domain.access import Role
from tests.server import RunningServer, start_server

SYSTEM = """
{ system {
  version database { version } migrations { current newest isCurrent }
  workers { name secondsMax doneAt failedAt } caches { name }
} }
"""
WORKERS = "{ system { workers { name doneAt failedAt } } }"
DOCUMENTS = "{ system { caches { name hits misses hitRate entryCount bytes } } }"
COST = {"X-Tranche-Cost": "1"}


async def test_a_viewer_is_told_how_the_server_is_doing(server: RunningServer) -> None:
    newest = newest_revision()
    told = (await server.execute(SYSTEM, role=Role.VIEWER)).data["system"]
    assert told == {
        "version": metadata.version("tranche"),
        "database": {"version": await server.owner.fetchval("SHOW server_version")},
        "migrations": {"current": newest, "newest": newest, "isCurrent": True},
        "workers": [],
        "caches": [{"name": "fundMetrics"}, {"name": "documents"}],
    }


async def test_a_database_that_is_behind_is_told_of(server: RunningServer) -> None:
    await server.owner.execute("UPDATE alembic_version SET version_num = '0001'")
    query = "{ system { migrations { current newest isCurrent } } }"
    told = (await server.execute(query)).data["system"]["migrations"]
    assert told == {"current": "0001", "newest": newest_revision(), "isCurrent": False}
    await server.owner.execute("DELETE FROM alembic_version")
    assert (await server.execute(query)).data["system"]["migrations"]["current"] is None


async def test_what_a_worker_has_done_is_told(database_url: str, state_directory: Path) -> None:
    began = datetime.now(UTC)
    async with start_server(database_url, state_directory, worker=True) as server, asyncio.timeout(30):
        while True:
            workers = (await server.execute(WORKERS)).data["system"]["workers"]
            if all(worker["doneAt"] for worker in workers):
                break
    assert [worker["name"] for worker in workers] == [
        "calculate snapshots",
        "check due calls",
        "forget expired keys",
    ]
    assert all(began <= datetime.fromisoformat(worker["doneAt"]) <= datetime.now(UTC) for worker in workers)
    assert [worker["failedAt"] for worker in workers] == [None] * 3


async def test_kept_documents_are_told_of(server: RunningServer) -> None:
    for _ in range(3):
        answer = await server.execute(DOCUMENTS)
    [_, documents] = answer.data["system"]["caches"]
    weight = int(documents.pop("bytes"))
    assert documents == {"name": "documents", "hits": "1", "misses": "2", "hitRate": "0.333333", "entryCount": 1}
    assert 1_000 < weight < 100_000


async def test_what_it_costs_follows_what_is_asked(server: RunningServer) -> None:
    async def cost(query: str) -> int:
        headers = {"Authorization": f"Bearer {server.tokens['alpha', Role.VIEWER]}"} | COST
        answer = await server.client.post("/graphql", json={"query": query}, headers=headers)
        value: int = answer.json()["extensions"]["cost"]["value"]
        return value

    assert await cost("{ system { version } }") == 1
    assert await cost("{ system { database { version } migrations { isCurrent } } }") == 3
    assert await cost("{ system { workers { name } caches { name } } }") == 41
