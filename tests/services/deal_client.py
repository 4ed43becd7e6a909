"""Deals, allocations and business rules as clients of the GraphQL interface see them, two administrators among them."""

from typing import Any

from api.domain.access import Role
from api.http.tokens import Tokens
from api.reads import global_ids
from tests.server import RunningServer

ALLOCATION = (
    "allocation { id fund { id } deal { id stage } amountCents percentage securityType status allocatedOn notes"
    " author { email } approval { decision decidedBy { email } decidedAt reason }"
    " calledCents paidCents uncalledCents unpaidCents version }"
)
WARNINGS = "warnings { code threshold actual }"
RULES = (
    "businessRules { version allocationMinCents allocationMaxCents dealTotalCautionCents approvalAboveCents"
    " utilizationMax utilizationCaution increaseCaution concentrationMax fundSizeShareMax changedBy { email } }"
)
SHOWN = {
    "createFund": "fund { id }",
    "updateFund": "fund { version }",
    "createDeal": "deal { id name sector stage valuationCents version } replayed",
    "updateDeal": "deal { id name sector stage valuationCents version }",
    "createDealAllocation": f"{ALLOCATION} {WARNINGS} replayed",
    "updateDealAllocation": f"{ALLOCATION} {WARNINGS}",
    "deleteDealAllocation": "deletedId",
    "changeDealAllocationStatus": ALLOCATION,
    "approveDealAllocation": f"{ALLOCATION} {WARNINGS}",
    "rejectDealAllocation": ALLOCATION,
    "updateBusinessRules": RULES,
}
VALIDATE = (
    "query ($input: CreateDealAllocationInput!) { validateDealAllocation(input: $input) { isValid requiresApproval"
    " amountCents errors { code threshold actual } warnings { code threshold actual } userErrors { code field } } }"
)
WRITTEN = (
    "SELECT (SELECT count(*) FROM audit_events), (SELECT count(*) FROM idempotency_keys),"
    " (SELECT coalesce(sum(version), 0) FROM deals), (SELECT coalesce(sum(version), 0) FROM deal_allocations),"
    " (SELECT coalesce(sum(version), 0) FROM fund_metrics_versions), (SELECT count(*) FROM business_rules)"
)


class Deals:
    """A fund of 10,000,000,000 cents and a deal, and an administrator beside the one that there is."""

    def __init__(self, server: RunningServer) -> None:
        self.server = server
        self.fund_id = self.deal_id = self.other_admin = ""

    async def create(self) -> "Deals":
        self.fund_id = await self.fund("Fund of deals")
        self.deal_id = await self.deal()
        self.other_admin = await self.member("other@alpha.example", Role.ADMIN)
        return self

    async def member(self, email: str, role: Role) -> str:
        """The token of a new member."""
        user_id = await self.server.owner.fetchval("INSERT INTO users (email) VALUES ($1) RETURNING id", email)
        await self.server.owner.execute(
            "INSERT INTO memberships (organization_id, user_id, role) VALUES ($1, $2, $3)",
            self.server.organization_ids["alpha"],
            user_id,
            role.value,
        )
        return Tokens(self.server.settings).issue(user_id=user_id, email=email, organization_slug="alpha")

    async def answer(self, name: str, /, *, role: Role = Role.EDITOR, token: str | None = None, **values: Any) -> Any:
        """The whole answer of a mutation."""
        input_type = f"{name[0].upper()}{name[1:]}Input!"
        document = (
            f"mutation ($input: {input_type}) {{ {name}(input: $input) {{"
            f" {SHOWN[name]} userErrors {{ code field expected actual }} }} }}"
        )
        return await self.server.execute(document, {"input": values}, role=role, token=token)

    async def write(self, name: str, /, **given: Any) -> Any:
        """The payload of a mutation, whatever it says."""
        return (await self.answer(name, **given)).data[name]

    async def fund(self, name: str, **values: Any) -> str:
        made = await self.write("createFund", **{"name": name, "sizeCents": "10000000000", **values})
        fund_id: str = made["fund"]["id"]
        return fund_id

    async def deal(self, name: str = "Deal", **values: Any) -> str:
        deal_id: str = (await self.write("createDeal", name=name, **values))["deal"]["id"]
        return deal_id

    async def allocate(self, amount: int | None = 1_000_000, **values: Any) -> Any:
        """The payload of creating an allocation of the fund to the deal; ``amount`` None: none is given."""
        given = {"fundId": self.fund_id, "dealId": self.deal_id, "securityType": "EQUITY"}
        if amount is not None:
            given["amountCents"] = str(amount)
        return await self.write("createDealAllocation", **{**given, **values})

    async def validate(self, **values: Any) -> Any:
        given = {"fundId": self.fund_id, "dealId": self.deal_id, "securityType": "EQUITY", **values}
        return (await self.server.execute(VALIDATE, {"input": given}, role=Role.VIEWER)).data["validateDealAllocation"]

    async def change(self, name: str, allocation: Any, /, **values: Any) -> Any:
        """The payload of a mutation of an allocation that was shown, against the version that it had then."""
        return await self.write(name, id=allocation["id"], expectedVersion=allocation["version"], **values)

    async def set_rules(self, **values: Any) -> Any:
        """The payload of changing business rules, against the version that holds."""
        query = "{ organization { businessRules { version } } }"
        version = (await self.server.execute(query)).data["organization"]["businessRules"]["version"]
        return await self.write("updateBusinessRules", role=Role.ADMIN, **{"expectedVersion": version, **values})

    async def call(self, allocation: Any, amount: int, paid: int = 0, status: str = "CALLED") -> None:
        """A capital call of an allocation, as its row."""
        await self.server.owner.execute(
            "INSERT INTO capital_calls (organization_id, fund_id, allocation_id, amount_cents, paid_cents, called_on,"
            " due_on, status, next_check_on) SELECT organization_id, fund_id, id, $2, $3, now(), now(), $4::text,"
            " CASE WHEN $4::text IN ('CALLED', 'PARTIALLY_PAID') THEN now() END FROM deal_allocations"
            " WHERE id = $1",
            global_ids.decode_as("DealAllocation", allocation["id"]),
            amount,
            paid,
            status,
        )

    async def written(self) -> tuple[int, ...]:
        """What any write would change."""
        return tuple(await self.server.owner.fetchrow(WRITTEN))

    async def events(self, *actions: str) -> int:
        found: int = await self.server.owner.fetchval(
            "SELECT count(*) FROM audit_events WHERE action = ANY ($1)", list(actions)
        )
        return found


def codes(payload: Any) -> list[str]:
    """What a payload was refused for."""
    return [error["code"] for error in payload["userErrors"]]


def errors(payload: Any) -> list[tuple[str, str]]:
    """Code and field of what a payload was refused for; nothing else is in it."""
    assert not any(value for name, value in payload.items() if name != "userErrors")
    return [(error["code"], ".".join(error["field"])) for error in payload["userErrors"]]


def warned(payload: Any) -> list[str]:
    """The codes of a payload's warnings; it was not refused."""
    assert payload["userErrors"] == []
    return [warning["code"] for warning in payload["warnings"]]
