"""What a fund's metrics are made of never changes without their version: else an answer that is kept would be stale."""

from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

from api.domain.access import Role
from api.reads import global_ids
from api.reads.declarations import KeptRead
from api.reads.fund_metrics import FUND_METRICS
from api.reads.loaders import Loaders
from api.services.commands import Writer
from api.services.due_calls import check_due_calls
from api.services.snapshot_calculation import Calculator, calculate_due
from tests.contracts.operations import MUTATIONS
from tests.contracts.two_organizations import call
from tests.server import RunningServer

TODAY = datetime.now(UTC).date()
YESTERDAY = TODAY - timedelta(days=1)
READ = KeptRead(FUND_METRICS, lambda found, _given: found, {"asOf": "as_of"})
TOUCHES_NO_METRICS = {"createFund", "createDeal", "updateDeal"}
"""Of a new fund nothing is kept, and of deals nothing counts."""
WORDS = ("Fund", "Company", "Deal", "CapitalCall", "Distribution")
BIG = "600000000"
"""Above what needs no approval."""


class Watched:
    """A fund whose metrics are compared before and after each write."""

    def __init__(self, server: RunningServer, fund_id: str) -> None:
        self.server, self.fund_id = server, fund_id
        self.mutations: set[str] = set()
        self.versions: dict[str, int] = {}

    async def write(self, mutation: str, by: Role = Role.EDITOR, /, **given: Any) -> Any:
        """The id of what a mutation shows that must change the metrics."""
        self.mutations.add(mutation)
        payload = await self.changing(lambda: call(self.server, "alpha", mutation, by=by, **given))
        return self.noted(payload)

    def noted(self, payload: Any) -> Any:
        """The id of what a payload shows first, having noted the versions of all."""
        shown = [one for one in payload.values() if isinstance(one, dict) and "version" in one]
        self.versions |= {one["id"]: one["version"] for one in shown}
        return shown[0]["id"] if shown else None

    async def changing(self, work: Callable[[], Awaitable[Any]]) -> Any:
        """What the work returns, which must change metrics of today or yesterday, and so the version."""
        before, version = await self.metrics(), await self.version()
        result = await work()
        assert await self.metrics() != before
        assert await self.version() > version
        return result

    async def metrics(self) -> list[Any]:
        """The metrics of both days, worked out now."""
        row_id = global_ids.decode_as("Fund", self.fund_id)
        loaders = Loaders(self.server.database, self.server.organization_ids["alpha"])
        found = [await loaders.kept(READ, row_id, READ.arguments({"as_of": day}, TODAY)) for day in (TODAY, YESTERDAY)]
        await loaders.close()
        return found

    async def version(self) -> int:
        row_id = global_ids.decode_as("Fund", self.fund_id)
        query = "SELECT coalesce(max(version), 0) FROM fund_metrics_versions WHERE fund_id = $1"
        version: int = await self.server.owner.fetchval(query, row_id)
        return version

    async def change(self, mutation: str, object_id: str, by: Role = Role.EDITOR, /, **given: Any) -> Any:
        """The same of one that changes an object of which the version is known."""
        return await self.write(mutation, by, id=object_id, expectedVersion=self.versions[object_id], **given)

    async def deal(self) -> str:
        made = await call(self.server, "alpha", "createDeal", name="Deal")
        deal_id: str = made["deal"]["id"]
        return deal_id

    async def allocation(self, amount: str, **given: Any) -> str:
        given |= {"fundId": self.fund_id, "dealId": await self.deal(), "amountCents": amount, "securityType": "EQUITY"}
        made: str = await self.write("createDealAllocation", **given)
        return made


async def test_no_write_that_changes_metrics_leaves_their_version(server: RunningServer) -> None:
    made = await call(server, "alpha", "createFund", name="Fund", sizeCents="10000000000")
    fund = Watched(server, made["fund"]["id"])
    await fund_and_companies(fund, made["fund"])
    await allocations(fund)
    await calls(fund)
    families = {name for name in MUTATIONS if any(word in name for word in WORDS)}
    assert families - TOUCHES_NO_METRICS == fund.mutations


async def fund_and_companies(fund: Watched, shown: Any) -> None:
    fund.versions[fund.fund_id] = shown["version"]
    await fund.change("updateFund", fund.fund_id, sizeCents="20000000000")
    company = await fund.write("createPortfolioCompany", fundId=fund.fund_id, name="A", currentValuationCents="9")
    for field in ("investedCents", "currentValuationCents", "realizedCents"):
        await fund.change("updatePortfolioCompany", company, **{field: "7"})
    await fund.change("updatePortfolioCompany", company, status="EXITED")
    # A snapshot that is complete tells what the companies were worth on its day.
    at = f"{YESTERDAY}T12:00:00Z"
    await call(fund.server, "alpha", "createForecastSnapshot", fundId=fund.fund_id, name="Then", snapshotAt=at)
    database = fund.server.database
    await fund.changing(lambda: calculate_due(Calculator(database, Writer(database), 60)))


async def allocations(fund: Watched) -> None:
    kept = await fund.allocation("1000000")
    await fund.change("updateDealAllocation", kept, amountCents="1200000")
    await fund.change("changeDealAllocationStatus", kept, status="WRITTEN_OFF")
    waiting = await fund.allocation(BIG)
    await fund.change("approveDealAllocation", waiting, Role.ADMIN)
    rejected = await fund.allocation(BIG)
    await fund.change("rejectDealAllocation", rejected, Role.ADMIN)
    deleted = await fund.allocation("1000000")
    await fund.change("deleteDealAllocation", deleted)


async def calls(fund: Watched) -> None:
    called_on = date(2025, 1, 1)
    allocation = await fund.allocation("1000000", allocatedOn=str(called_on))
    early = {"allocationId": allocation, "calledOn": str(called_on), "dueOn": str(called_on)}
    first = await fund.write("createCapitalCall", **early, amountCents="1000")
    await fund.write("recordCapitalCallPayment", capitalCallId=first, amountCents="10")
    await fund.write("recordDistribution", allocationId=allocation, amountCents="5", distributionType="DIVIDEND")
    scheduled = await call(
        fund.server, "alpha", "createCapitalCall", allocationId=allocation, amountCents="10", status="SCHEDULED"
    )
    await fund.change("changeCapitalCallStatus", fund.noted(scheduled), status="CALLED")
    # What the worker finds is overdue was so to the metrics already, by its dates.
    metrics, version, database = await fund.metrics(), await fund.version(), fund.server.database
    await check_due_calls(database, Writer(database))
    assert (await fund.metrics(), await fund.version()) == (metrics, version)
