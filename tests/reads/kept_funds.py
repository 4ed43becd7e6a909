"""Funds whose metrics are kept, for tests."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from random import Random
from typing import Any

from pydantic import TypeAdapter

from api.db.event_bus import EventBus
from api.domain.fund_metrics import FundMetrics
from api.reads.declarations import KeptRead, Version
from api.reads.fund_metrics import FUND_METRICS
from api.reads.kept import KeptAnswers, Reader
from api.services import funds
from api.services.commands import Command, Writer
from tests.commitments import insert, random_commitments
from tests.server import RunningServer

TODAY = datetime.now(UTC).date()
READ = KeptRead(FUND_METRICS, lambda found, _given: found, {"asOf": "as_of"})
ARGUMENTS = READ.arguments({}, TODAY)


class Funds:
    """Three funds of alpha, and readers of their metrics that count statements and can be held up."""

    def __init__(self, server: RunningServer, kept: KeptAnswers) -> None:
        self.server, self.kept = server, kept
        self.organization_id = server.organization_ids["alpha"]
        self.ids: list[int] = []
        self.statements = 0
        self.may_read = asyncio.Event()
        self.may_read.set()
        self.has_asked = asyncio.Event()

    async def create(self) -> "Funds":
        for number in range(3):
            self.ids.append(await self.written(lambda command, n=number: funds.create_fund(command, name=f"Fund {n}")))
            rows = random_commitments(Random(number), date(2025, 1, 1))
            await insert(self.server.owner, self.organization_id, self.ids[-1], rows)
        return self

    async def written(self, work: Any, bus: EventBus | None = None) -> int:
        writer = Writer(self.server.database, bus=bus)
        outcome = await writer.run(self.server.principal(), "createFund", work, result_type=TypeAdapter(int))
        return outcome.result

    async def resize(self, number: int, size_cents: int, bus: EventBus | None = None) -> None:
        """Changes a fund's size, and so its version."""

        async def work(command: Command) -> int:
            fund_id = self.ids[number]
            version = await command.connection.fetchval("SELECT version FROM funds WHERE id = $1", fund_id)
            changes = {"size_cents": size_cents}
            return await funds.update_fund(command, fund_id=fund_id, expected_version=version, changes=changes)

        await self.written(work, bus)

    async def fetch(self, sql: str, *parameters: Any) -> Sequence[Any]:
        self.statements += 1
        self.has_asked.set()
        await self.may_read.wait()
        return await self.server.database.reads.fetch_for(self.organization_id, sql, parameters)

    async def versions(self, *numbers: int) -> dict[int, Version]:
        rows = await self.server.owner.fetch("SELECT fund_id, version, changes FROM fund_metrics_versions")
        known = {row["fund_id"]: Version(row["version"], row["changes"]) for row in rows}
        return {self.ids[number]: known.get(self.ids[number], Version(0)) for number in numbers}

    async def read(self, *numbers: int) -> dict[int, FundMetrics]:
        """The metrics of funds whose versions have just been read."""
        return await self.get(await self.versions(*numbers))

    async def get(
        self, versions: Mapping[int, Version], fetch: Any = None, *, in_transaction: bool = False
    ) -> dict[int, FundMetrics]:
        """The metrics of these versions, without another await before they are looked for."""
        reader = Reader(self.organization_id, fetch or self.fetch, in_transaction)
        return await self.kept.get(READ, ARGUMENTS, versions, reader)
