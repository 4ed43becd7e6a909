"""Capital sources as a client of the GraphQL interface sees them."""

from datetime import date
from typing import Any

from api.domain.access import Role
from api.domain.capital import CapitalAction, Entry
from tests.server import RunningServer

SOURCE = "id externalKey name annualRate availableCents currency isActive addedOn removedOn version"
ENTRY = (
    "id sequence action effectiveOn name annualRate availableCents previousRate previousAmountCents notes recordedAt"
    " source { id } actor { email }"
)
ERRORS = "userErrors { code field expected actual }"
STATE = """
query ($asOf: Date, $knownAt: DateTime) {
  capitalState(asOf: $asOf, knownAt: $knownAt) { source { id } name annualRate availableCents currency }
  wacc(asOf: $asOf, knownAt: $knownAt) { rate reason totalCents sourceCount }
}
"""


def mutation(name: str) -> str:
    """The document of a capital mutation."""
    input_type = f"{name[0].upper()}{name[1:]}Input!"
    fields = f"source {{ {SOURCE} }} entry {{ {ENTRY} }} replayed {ERRORS}"
    return f"mutation ($input: {input_type}) {{ {name}(input: $input) {{ {fields} }} }}"


class Capital:
    """The capital of alpha, as a client sees it."""

    def __init__(self, server: RunningServer) -> None:
        self.server = server

    async def write(self, name: str, /, *, organization: str = "alpha", **values: Any) -> Any:
        """The payload of a mutation, whatever it says."""
        answer = await self.server.execute(mutation(name), {"input": values}, organization=organization)
        return answer.data[name]

    async def add(self, name: str, rate: str, cents: int, on: str, **more: Any) -> str:
        """Adds a source; returns its id."""
        values: dict[str, Any] = {
            "name": name,
            "annualRate": rate,
            "availableCents": str(cents),
            "effectiveOn": on,
            **more,
        }
        payload = await self.write("addCapitalSource", **values)
        assert payload["userErrors"] == []
        source_id: str = payload["source"]["id"]
        return source_id

    async def amount(self, source_id: str, cents: int, on: str, **more: Any) -> Any:
        return await self.write(
            "updateCapitalAmount", sourceId=source_id, availableCents=str(cents), effectiveOn=on, **more
        )

    async def rate(self, source_id: str, rate: str, on: str, **more: Any) -> Any:
        return await self.write("updateCapitalRate", sourceId=source_id, annualRate=rate, effectiveOn=on, **more)

    async def remove(self, source_id: str, on: str, **more: Any) -> Any:
        return await self.write("removeCapitalSource", sourceId=source_id, effectiveOn=on, **more)

    async def ask(self, query: str, **variables: object) -> Any:
        return (await self.server.execute(query, variables, role=Role.VIEWER)).data

    async def state(self, on: str | None = None, known_at: str | None = None) -> dict[str, tuple[str, str]]:
        """Rate and amount of each active source, by name."""
        states = (await self.ask(STATE, asOf=on, knownAt=known_at))["capitalState"]
        return {state["name"]: (state["annualRate"], state["availableCents"]) for state in states}

    async def wacc(self, on: str | None = None, known_at: str | None = None) -> Any:
        return (await self.ask(STATE, asOf=on, knownAt=known_at))["wacc"]

    async def entries(self) -> list[Entry]:
        """The history as the domain's reference takes it."""
        rows = await self.server.owner.fetch(
            "SELECT * FROM capital_history WHERE organization_id = $1", self.server.organization_ids["alpha"]
        )
        return [
            Entry(
                row["source_id"],
                row["sequence"],
                row["effective_on"],
                CapitalAction(row["action"]),
                row["name"],
                row["annual_rate"],
                row["available_cents"],
                row["recorded_at"],
            )
            for row in rows
        ]


def problems(payload: Any) -> list[tuple[str, str]]:
    """The codes of a refusal with the fields that they are about; nothing of it was made."""
    assert (payload["source"], payload["entry"]) == (None, None)
    return [(error["code"], ".".join(error["field"])) for error in payload["userErrors"]]


def day(number: int) -> date:
    """A day of the year 2025."""
    return date.fromordinal(date(2025, 1, 1).toordinal() + number)
