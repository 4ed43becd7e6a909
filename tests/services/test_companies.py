"""Creating and changing portfolio companies, and what moves the fund's allocation version."""

import asyncio
from typing import Any

import pytest

from tests.server import RunningServer

CREATE_FUND = "mutation ($input: CreateFundInput!) { createFund(input: $input) { fund { id } } }"
FIELDS = """{ id name sector stage status investedCents currentValuationCents realizedCents plannedReservesCents
  deployedReservesCents allocationCapCents exitMoic exitProbability ownership version fund { allocationVersion } }"""
CREATE = f"""
mutation ($input: CreatePortfolioCompanyInput!) {{
  createPortfolioCompany(input: $input) {{ company {FIELDS} replayed userErrors {{ code field expected actual }} }}
}}
"""
UPDATE = f"""
mutation ($input: UpdatePortfolioCompanyInput!) {{
  updatePortfolioCompany(input: $input) {{ company {FIELDS} userErrors {{ code field expected actual }} }}
}}
"""


@pytest.fixture
async def fund_id(server: RunningServer) -> str:
    made: str = (await server.execute(CREATE_FUND, {"input": {"name": "Fund"}})).data["createFund"]["fund"]["id"]
    return made


async def create(server: RunningServer, fund_id: str, **values: object) -> Any:
    given = {"fundId": fund_id, "name": "A", **values}
    return (await server.execute(CREATE, {"input": given})).data["createPortfolioCompany"]


async def update(server: RunningServer, company_id: str, version: int, **changes: object) -> Any:
    given = {"id": company_id, "expectedVersion": version, **changes}
    return (await server.execute(UPDATE, {"input": given})).data["updatePortfolioCompany"]


def errors(payload: Any) -> list[tuple[str, str]]:
    """Code and field of what a payload was refused for."""
    assert payload["company"] is None
    return [(error["code"], ".".join(error["field"])) for error in payload["userErrors"]]


async def allocation_version(server: RunningServer) -> int:
    version: int = await server.owner.fetchval("SELECT allocation_version FROM funds")
    return version


async def test_company_has_what_was_given_and_defaults_for_the_rest(server: RunningServer, fund_id: str) -> None:
    given = {"sector": "Health", "stage": "SERIES_A", "plannedReservesCents": "7", "exitMoic": "1000"}
    company = (await create(server, fund_id, **given))["company"]
    zero = ("investedCents", "currentValuationCents", "realizedCents", "deployedReservesCents")
    assert company == given | dict.fromkeys(zero, "0") | {
        "id": company["id"],
        "name": "A",
        "status": "ACTIVE",
        "allocationCapCents": None,
        "exitProbability": None,
        "ownership": None,
        "version": "1",
        "fund": {"allocationVersion": "2"},
    }


async def test_company_of_an_unknown_or_foreign_fund_is_not_found(server: RunningServer, fund_id: str) -> None:
    assert errors(await create(server, "nonsense")) == [("NOT_FOUND", "fundId")]
    answer = await server.execute(CREATE, {"input": {"fundId": fund_id, "name": "A"}}, organization="beta")
    assert errors(answer.data["createPortfolioCompany"]) == [("NOT_FOUND", "fundId")]
    assert await allocation_version(server) == 1


async def test_creation_moves_the_allocation_version_and_its_replay_does_not(
    server: RunningServer, fund_id: str
) -> None:
    payloads = await asyncio.gather(*(create(server, fund_id, idempotencyKey="k") for _ in range(10)))
    assert sum(payload["replayed"] for payload in payloads) == 9
    assert await allocation_version(server) == 2


@pytest.mark.parametrize(
    "change",
    [
        {"plannedReservesCents": "11"},
        {"allocationCapCents": "100"},
        {"allocationCapCents": None},
        {"status": "EXITED"},
        {"plannedReservesCents": "11", "name": "B"},
    ],
)
async def test_change_that_a_plan_rests_on_moves_the_allocation_version_by_one(
    server: RunningServer, fund_id: str, change: dict[str, object]
) -> None:
    company = (await create(server, fund_id, plannedReservesCents="10", allocationCapCents="50"))["company"]
    changed = (await update(server, company["id"], 1, **change))["company"]
    assert changed == company | change | {"version": "2", "fund": {"allocationVersion": "3"}}


@pytest.mark.parametrize(
    "change",
    [
        {"name": "B"},
        {"sector": None, "stage": None},
        {"investedCents": "1", "currentValuationCents": "2", "realizedCents": "3", "deployedReservesCents": "4"},
        {"exitMoic": "2.5", "exitProbability": "0.5", "ownership": "0.000001"},
        {"plannedReservesCents": "10", "allocationCapCents": "50", "status": "ACTIVE"},
    ],
)
async def test_other_changes_leave_the_allocation_version(
    server: RunningServer, fund_id: str, change: dict[str, object]
) -> None:
    company = (
        await create(server, fund_id, plannedReservesCents="10", allocationCapCents="50", sector="Health", stage="SEED")
    )["company"]
    changed = (await update(server, company["id"], 1, **change))["company"]
    assert changed == company | change | {"version": "2"}


async def test_refused_update_leaves_the_allocation_version(server: RunningServer, fund_id: str) -> None:
    company = (await create(server, fund_id))["company"]
    payload = await update(server, company["id"], 9, plannedReservesCents="1")
    assert errors(payload) == [("VERSION_CONFLICT", "expectedVersion")]
    assert (payload["userErrors"][0]["expected"], payload["userErrors"][0]["actual"]) == ("9", "1")
    assert await allocation_version(server) == 2


@pytest.mark.parametrize(
    "field",
    ["name", "status", "investedCents", "plannedReservesCents", "deployedReservesCents", "realizedCents"],
)
async def test_what_every_company_has_cannot_be_cleared(server: RunningServer, fund_id: str, field: str) -> None:
    company = (await create(server, fund_id))["company"]
    assert errors(await update(server, company["id"], 1, **{field: None})) == [("INVALID_INPUT", field)]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"name": ""}, ("INVALID_INPUT", "name")),
        ({"sector": "x" * 201}, ("INVALID_INPUT", "sector")),
        ({"investedCents": "-1"}, ("NEGATIVE_AMOUNT", "investedCents")),
        ({"allocationCapCents": "-1"}, ("NEGATIVE_AMOUNT", "allocationCapCents")),
        ({"plannedReservesCents": "2", "allocationCapCents": "1"}, ("CAP_EXCEEDED", "plannedReservesCents")),
        ({"exitMoic": "1000.000001"}, ("INVALID_INPUT", "exitMoic")),
        ({"exitProbability": "1.000001"}, ("INVALID_INPUT", "exitProbability")),
        ({"ownership": "-0.000001"}, ("INVALID_INPUT", "ownership")),
        ({"ownership": "0.1234567"}, ("INVALID_INPUT", "ownership")),
        ({"ownership": "0.1" + "0" * 34 + "1"}, ("INVALID_INPUT", "ownership")),
    ],
)
async def test_bad_values_are_refused_by_field(
    server: RunningServer, fund_id: str, values: dict[str, object], expected: tuple[str, str]
) -> None:
    assert errors(await create(server, fund_id, **values)) == [expected]
    company = (await create(server, fund_id))["company"]
    assert errors(await update(server, company["id"], 1, **values)) == [expected]


@pytest.mark.parametrize("change", [{"plannedReservesCents": "51"}, {"allocationCapCents": "9"}])
async def test_cap_holds_against_what_is_stored(server: RunningServer, fund_id: str, change: dict[str, object]) -> None:
    company = (await create(server, fund_id, plannedReservesCents="10", allocationCapCents="50"))["company"]
    assert errors(await update(server, company["id"], 1, **change)) == [("CAP_EXCEEDED", "plannedReservesCents")]


async def test_decimals_are_kept_exactly(server: RunningServer, fund_id: str) -> None:
    given = {"exitMoic": "999.999999", "exitProbability": "0.000001", "ownership": "0.123456"}
    company = (await create(server, fund_id, **given))["company"]
    assert {name: company[name] for name in given} == given


async def test_reserves_beyond_64_bits_are_said_and_not_wrapped(server: RunningServer, fund_id: str) -> None:
    for name in ("A", "B"):
        await create(server, fund_id, name=name, plannedReservesCents=str(2**63 - 1))
    answer = await server.execute("query ($id: ID!) { fund(id: $id) { reserves { plannedCents } } }", {"id": fund_id})
    assert answer.codes == ["LIMIT_EXCEEDED"]


async def test_closed_fund_takes_no_more_companies(server: RunningServer, fund_id: str) -> None:
    made = await create(server, fund_id)
    await server.owner.execute("UPDATE funds SET status = 'CLOSED'")
    version = await allocation_version(server)
    assert errors(await create(server, fund_id, name="B")) == [("INVALID_TRANSITION", "fundId")]
    assert await allocation_version(server) == version
    changed = await update(server, made["company"]["id"], made["company"]["version"], plannedReservesCents="5")
    assert changed["userErrors"] == []
