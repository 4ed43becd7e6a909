"""Capital calls as a client of the GraphQL interface sees them."""

from datetime import UTC, datetime, timedelta
from typing import Any

from api.domain.access import Role
from api.reads import global_ids
from api.services.commands import Writer
from api.services.due_calls import check_due_calls
from tests.server import RunningServer
from tests.services.calls import Calls

CALL = (
    "id allocation { id } fund { id } amountCents percentage calledOn dueOn overdueOn status paidCents outstandingCents"
    " version payments { id amountCents paidOn paymentType }"
)
SHOWN = {
    "createCapitalCall": f"capitalCall {{ {CALL} }} replayed",
    "changeCapitalCallStatus": f"capitalCall {{ {CALL} }}",
    "recordCapitalCallPayment": f"capitalCall {{ {CALL} }} payment {{ id amountCents paidOn paymentType }} replayed",
    "recordDistribution": "replayed distribution { id allocation { id } amountCents distributedOn kind isRecallable }",
}
ERRORS = "userErrors { code field message expected actual }"


def days_ago(days: int) -> str:
    """A day by its distance from today (UTC)."""
    return str(datetime.now(UTC).date() - timedelta(days=days))


class CallClient:
    """Calls against allocations of alpha."""

    def __init__(self, server: RunningServer) -> None:
        self.server = server
        self.calls = Calls(server.owner, server.database, server.organization_ids["alpha"])

    async def allocate(self, amount_cents: int = 1000) -> str:
        """The global id of a new allocation."""
        return global_ids.encode("DealAllocation", await self.calls.allocate(amount_cents))

    async def write(self, name: str, /, *, organization: str = "alpha", shown: str = "", **values: Any) -> Any:
        """The payload of a mutation, whatever it says; of ``shown`` where it is another than those of calls."""
        input_type = f"{name[0].upper()}{name[1:]}Input!"
        document = f"mutation ($input: {input_type}) {{ {name}(input: $input) {{ {shown or SHOWN[name]} {ERRORS} }} }}"
        return (await self.server.execute(document, {"input": values}, organization=organization)).data[name]

    async def call(self, allocation_id: str, **values: Any) -> Any:
        """A new call."""
        payload = await self.write("createCapitalCall", allocationId=allocation_id, **values)
        assert payload["userErrors"] == []
        return payload["capitalCall"]

    async def pay(self, call: Any, amount_cents: int, **values: Any) -> Any:
        """The payload of a payment."""
        return await self.write(
            "recordCapitalCallPayment", capitalCallId=call["id"], amountCents=str(amount_cents), **values
        )

    async def change(self, call: Any, status: str, **values: Any) -> Any:
        """The payload of a change of status."""
        given = {"id": call["id"], "status": status, "expectedVersion": call["version"], **values}
        return await self.write("changeCapitalCallStatus", **given)

    async def read(self, call: Any) -> Any:
        """A call as it is now."""
        query = f"query ($id: ID!) {{ node(id: $id) {{ ... on CapitalCall {{ {CALL} }} }} }}"
        return (await self.server.execute(query, {"id": call["id"]}, role=Role.VIEWER)).data["node"]

    async def look(self) -> None:
        """What a worker does once."""
        bus = self.server.client._transport.app.state.bus  # type: ignore[attr-defined]
        await check_due_calls(self.server.database, Writer(self.server.database, bus=bus))


def problem(payload: Any) -> tuple[str, str, str | None, str | None]:
    """Code, field, expected and actual of the only reason for which something was refused; nothing was made."""
    assert not any(value for name, value in payload.items() if name != "userErrors")
    (error,) = payload["userErrors"]
    return error["code"], ".".join(error["field"]), error["expected"], error["actual"]
