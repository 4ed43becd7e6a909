"""A fund with two companies, as a client of the GraphQL interface sees it."""

from typing import Any

from api.domain.access import Role
from tests.server import RunningServer

CREATE_FUND = "mutation ($input: CreateFundInput!) { createFund(input: $input) { fund { id } userErrors { code } } }"
CREATE_COMPANY = """
mutation ($input: CreatePortfolioCompanyInput!) {
  createPortfolioCompany(input: $input) { company { id version } userErrors { code message } }
}
"""
UPDATE_COMPANY = """
mutation ($input: UpdatePortfolioCompanyInput!) {
  updatePortfolioCompany(input: $input) { company { id version } userErrors { code expected actual } }
}
"""
PLAN = """
fragment Plan on ReallocationPreview {
  baselineVersion isValid
  deltas { company { id } fromCents toCents deltaCents deltaRatio status }
  totals { beforeCents afterCents deltaCents deltaRatio }
  issues { code severity scope company { id } proposalIndex threshold actual }
}
"""
PREVIEW = (
    """
mutation ($input: PreviewReallocationInput!) {
  previewReallocation(input: $input) { preview { ...Plan } userErrors { code field expected actual } }
}
"""
    + PLAN
)
COMMIT = (
    """
mutation ($input: CommitReallocationInput!) {
  commitReallocation(input: $input) {
    reallocation {
      id baselineVersion newVersion reason changes { company { id } companyName fromCents toCents deltaCents }
    }
    fund { allocationVersion } preview { ...Plan } replayed userErrors { code field index expected actual }
  }
}
"""
    + PLAN
)
WRITTEN = "SELECT (SELECT count(*) FROM audit_events), (SELECT count(*) FROM reallocation_audit), (SELECT count(*) FROM idempotency_keys), (SELECT sum(version) FROM portfolio_companies), (SELECT sum(version) FROM funds)"  # noqa: E501


class Fund:
    """A fund with the companies A and B, as a client sees it; its allocation version is 3 at first."""

    def __init__(self, server: RunningServer) -> None:
        self.server = server
        self.fund_id = self.a = self.b = ""

    async def create(self) -> "Fund":
        self.fund_id = await self.made(CREATE_FUND, "fund", name="Fund", sizeCents="100000000000")
        self.a = await self.made(CREATE_COMPANY, "company", fundId=self.fund_id, name="A", plannedReservesCents=1000)
        self.b = await self.made(CREATE_COMPANY, "company", fundId=self.fund_id, name="B", plannedReservesCents=500)
        return self

    async def made(self, mutation: str, noun: str, **values: object) -> str:
        (payload,) = (await self.server.execute(mutation, {"input": values})).data.values()
        assert payload["userErrors"] == []
        made: str = payload[noun]["id"]
        return made

    async def preview(self, *proposals: dict[str, object], version: int = 3, role: Role = Role.EDITOR) -> Any:
        values = {"fundId": self.fund_id, "expectedVersion": version, "proposals": list(proposals)}
        return (await self.server.execute(PREVIEW, {"input": values}, role=role)).data["previewReallocation"]

    async def commit(self, *proposals: dict[str, object], version: int = 3, **more: object) -> Any:
        values = {"fundId": self.fund_id, "expectedVersion": version, "proposals": list(proposals), **more}
        return (await self.server.execute(COMMIT, {"input": values})).data["commitReallocation"]

    async def update(self, company_id: str, version: int, **changes: object) -> Any:
        values = {"id": company_id, "expectedVersion": version, **changes}
        return (await self.server.execute(UPDATE_COMPANY, {"input": values})).data["updatePortfolioCompany"]

    async def allocation_version(self) -> int:
        version: int = await self.server.owner.fetchval("SELECT allocation_version FROM funds")
        return version

    async def planned(self) -> list[int]:
        sql = "SELECT planned_reserves_cents FROM portfolio_companies ORDER BY id"
        return [row[0] for row in await self.server.owner.fetch(sql)]

    async def written(self) -> tuple[int, ...]:
        """What any write would change."""
        return tuple(await self.server.owner.fetchrow(WRITTEN))


def proposal(company_id: str, planned: int, cap: int | None = None) -> dict[str, object]:
    return {"companyId": company_id, "plannedReservesCents": str(planned), "allocationCapCents": cap}


def codes(payload: Any) -> list[str]:
    return [error["code"] for error in payload["userErrors"]]
