"""Investments, lots, snapshots and reserve allocations as a client of the GraphQL interface sees them."""

from typing import Any

from tests.server import RunningServer

INVESTMENT = "investment { id company { name } round investedOn amountCents version }"
LOT = (
    "lot { id investment { id } company { name } lotType sharePriceCents sharesAcquired costBasisCents acquiredOn"
    " version }"
)
SNAPSHOT = "snapshot { id fund { name } name status snapshotAt metrics error version }"
ALLOCATION = "{ id snapshot { id } company { name } plannedReserveCents score priority rationale version }"
SHOWN = {
    "createFund": "fund { id }",
    "createPortfolioCompany": "company { id }",
    "createInvestment": f"{INVESTMENT} replayed",
    "updateInvestment": INVESTMENT,
    "createInvestmentLot": f"{LOT} replayed",
    "updateInvestmentLot": LOT,
    "createForecastSnapshot": f"{SNAPSHOT} replayed",
    "renameForecastSnapshot": SNAPSHOT,
    "createReserveAllocation": f"reserveAllocation {ALLOCATION} replayed",
    "createReserveAllocations": f"reserveAllocations {ALLOCATION} replayed",
    "updateReserveAllocation": f"reserveAllocation {ALLOCATION}",
}
LOT_VALUES = {
    "lotType": "INITIAL",
    "sharePriceCents": "100",
    "sharesAcquired": "1000000",
    "costBasisCents": "100000000",
    "acquiredOn": "2024-01-31",
}


class Forecasts:
    """A fund with the company A and an investment in it, as a client sees them."""

    def __init__(self, server: RunningServer) -> None:
        self.server = server
        self.fund_id = self.company_id = self.investment_id = ""

    async def create(self) -> "Forecasts":
        self.fund_id = (await self.write("createFund", name="Fund"))["fund"]["id"]
        self.company_id = await self.company("A")
        made = await self.write(
            "createInvestment", companyId=self.company_id, investedOn="2024-01-31", amountCents="100000000"
        )
        self.investment_id = made["investment"]["id"]
        return self

    async def write(self, name: str, /, *, organization: str = "alpha", **values: Any) -> Any:
        """The payload of a mutation, whatever it says."""
        input_type = f"{name[0].upper()}{name[1:]}Input!"
        document = (
            f"mutation ($input: {input_type}) {{ {name}(input: $input) {{"
            f" {SHOWN[name]} userErrors {{ code field index expected actual }} }} }}"
        )
        return (await self.server.execute(document, {"input": values}, organization=organization)).data[name]

    async def company(self, name: str, **more: Any) -> str:
        made = await self.write("createPortfolioCompany", **{"fundId": self.fund_id, "name": name, **more})
        company_id: str = made["company"]["id"]
        return company_id

    async def lot(self, **values: Any) -> Any:
        return await self.write("createInvestmentLot", **{"investmentId": self.investment_id, **LOT_VALUES, **values})

    async def snapshot(self, name: str = "Q1", **values: Any) -> str:
        made = await self.write("createForecastSnapshot", fundId=self.fund_id, name=name, **values)
        snapshot_id: str = made["snapshot"]["id"]
        return snapshot_id

    async def events(self, *actions: str) -> int:
        found: int = await self.server.owner.fetchval(
            "SELECT count(*) FROM audit_events WHERE action = ANY ($1)", list(actions)
        )
        return found


def errors(payload: Any) -> list[tuple[str, str]]:
    """Code and field of what a payload was refused for; nothing else is in it."""
    assert not any(value for name, value in payload.items() if name != "userErrors")
    return [(error["code"], ".".join(error["field"])) for error in payload["userErrors"]]
