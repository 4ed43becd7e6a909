"""A server's database for machines that are no coroutines, and what is kept of funds beside what is worked out anew."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from datetime import date
from pathlib import Path
from typing import Any

from api.domain.access import Principal, Role
from api.domain.fund_metrics import FundMetrics
from api.errors import Refused
from api.reads.declarations import KeptRead, Version
from api.reads.fund_metrics import FUND_METRICS
from api.reads.kept import KeptAnswers, Reader
from tests.server import RunningServer, start_server
from tests.services.calls import Calls

READ = KeptRead(FUND_METRICS, lambda found, _given: found, {"asOf": "as_of"})
_VERSION = "SELECT version, changes FROM fund_metrics_versions WHERE fund_id = $1"


class World:
    """A server's database, and a loop in which the machine's steps are done one after the other."""

    def __init__(self, runner: asyncio.Runner, server: RunningServer, members: dict[str, int]) -> None:
        self.runner = runner
        self.server = server
        self.calls = Calls(server.owner, server.database, server.organization_ids["alpha"])
        self.members = members

    def do(self, work: Awaitable[Any]) -> tuple[Any, str | None]:
        """What something comes to, or the code with which it was refused."""

        async def done() -> tuple[Any, str | None]:
            try:
                return await work, None
            except Refused as refused:
                return None, refused.problems[0].code.value

        return self.runner.run(done())

    def as_member(
        self, role: Role, mutation: str, work: Callable[..., Awaitable[Any]], type_: type, **given: Any
    ) -> Any:
        """What a member's command comes to."""
        principal = Principal(self.calls.organization_id, self.members[role.value], role)
        return self.do(self.calls.run(mutation, lambda command: work(command, **given), type_, principal))

    async def read(self, kept: KeptAnswers, fund_id: int, day: date, *, is_past: bool) -> FundMetrics:
        """A fund's metrics at a day, of the version that they have now."""
        row = await self.server.owner.fetchrow(_VERSION, fund_id)
        version = Version(*row) if row else Version(0)

        async def fetch(sql: str, *parameters: Any) -> Sequence[Any]:
            return await self.server.database.reads.fetch_for(self.calls.organization_id, sql, parameters)

        reader = Reader(self.calls.organization_id, fetch, in_transaction=False)
        arguments = {"as_of": day, "is_past": is_past}
        metrics: FundMetrics = (await kept.get(READ, arguments, {fund_id: version}, reader))[fund_id]
        return metrics

    def compare(self, kept: KeptAnswers, fund_id: int, days: Sequence[date]) -> None:
        """Fails unless what is kept of these days, as past ones and as others, is what is worked out anew."""

        async def compared() -> None:
            for day in days:
                for is_past in (True, False):
                    found = await self.read(kept, fund_id, day, is_past=is_past)
                    anew = await self.read(KeptAnswers(), fund_id, day, is_past=is_past)
                    assert found == anew
                    assert found.irr == anew.irr

        self.runner.run(compared())


@contextmanager
def opened_world(database_url: str, state_directory: Path) -> Iterator[World]:
    """A server of its own, on this database."""

    async def opened(stack: AsyncExitStack) -> tuple[RunningServer, dict[str, int]]:
        server = await stack.enter_async_context(start_server(database_url, state_directory))
        members = "SELECT role, user_id FROM memberships WHERE organization_id = $1"
        rows = await server.owner.fetch(members, server.organization_ids["alpha"])
        return server, {row["role"]: row["user_id"] for row in rows}

    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        yield World(runner, *runner.run(opened(stack)))
        runner.run(stack.aclose())
