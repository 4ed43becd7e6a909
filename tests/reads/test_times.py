"""Times are written as PostgreSQL writes them, and their texts sort as they do."""

from datetime import UTC, datetime, timedelta
from random import Random

from api.graphql.scalars import date_time_text
from tests.server import RunningServer


async def test_times_are_written_as_postgresql_writes_them(server: RunningServer) -> None:
    chance = Random(1)
    fractions = [0, 1, 10, 500_000, 120_000, 999_999, *(chance.randrange(1_000_000) for _ in range(200))]
    start = datetime(1970, 1, 1, tzinfo=UTC)
    times = [start + timedelta(seconds=chance.randrange(4), microseconds=fraction) for fraction in fractions]
    times += [start + timedelta(days=chance.randrange(30_000), hours=chance.randrange(24)) for _ in range(50)]
    await server.owner.execute("SET timezone = 'UTC'")
    rows = await server.owner.fetch("SELECT to_json(t) #>> '{}' AS text FROM unnest($1::timestamptz[]) AS t", times)
    assert [date_time_text(time) for time in times] == [row["text"] for row in rows]
    assert sorted(map(date_time_text, times)) == [date_time_text(time) for time in sorted(times)]
