"""Creating and changing funds through GraphQL: exactly once per key, whoever races."""

import asyncio
from typing import Any

import pytest

from api.domain.access import Role
from tests.server import RunningServer

FIELDS = "{ id name generalPartner strategy vintageYear currency sizeCents status version }"
CREATE = f"""
mutation ($input: CreateFundInput!) {{
  createFund(input: $input) {{ fund {FIELDS} replayed userErrors {{ code field expected actual }} }}
}}
"""
UPDATE = f"""
mutation ($input: UpdateFundInput!) {{
  updateFund(input: $input) {{ fund {FIELDS} userErrors {{ code field expected actual }} }}
}}
"""


async def create(server: RunningServer, **values: object) -> Any:
    return (await server.execute(CREATE, {"input": {"name": "Fund I", **values}})).data["createFund"]


async def update(server: RunningServer, fund_id: str, version: int, **changes: object) -> Any:
    values = {"id": fund_id, "expectedVersion": version, **changes}
    return (await server.execute(UPDATE, {"input": values})).data["updateFund"]


def errors(payload: Any) -> list[tuple[str, str]]:
    """Code and field of what a payload was refused for."""
    assert payload["fund"] is None
    return [(error["code"], ".".join(error["field"])) for error in payload["userErrors"]]


async def written(server: RunningServer) -> tuple[int, ...]:
    return tuple(
        await server.owner.fetchrow("SELECT (SELECT count(*) FROM funds), (SELECT count(*) FROM audit_events)")
    )


async def test_hundred_requests_with_one_key_make_one_fund(server: RunningServer) -> None:
    payloads = await asyncio.gather(*(create(server, idempotencyKey="one") for _ in range(100)))
    assert sum(payload["replayed"] for payload in payloads) == 99
    assert len({payload["fund"]["id"] for payload in payloads}) == 1
    assert await server.owner.fetchval("SELECT count(*) FROM funds") == 1
    assert await server.owner.fetchval("SELECT count(*) FROM audit_events WHERE action = 'fund.created'") == 1


async def test_fund_has_what_was_given(server: RunningServer) -> None:
    given = {"generalPartner": "Bay", "strategy": "Buyout", "vintageYear": 2019, "currency": "EUR", "sizeCents": "5"}
    fund = (await create(server, **given))["fund"]
    assert fund == given | {"id": fund["id"], "name": "Fund I", "status": "ACTIVE", "version": "1"}


async def test_currency_is_the_organizations_unless_given(server: RunningServer) -> None:
    await server.owner.execute("UPDATE organizations SET base_currency = 'CHF' WHERE slug = 'alpha'")
    assert (await create(server))["fund"]["currency"] == "CHF"
    assert (await create(server, name="Fund II", currency="JPY"))["fund"]["currency"] == "JPY"


@pytest.mark.parametrize("vintage_year", [2019, None])
async def test_name_and_vintage_year_are_unique_in_the_organization(
    server: RunningServer, vintage_year: int | None
) -> None:
    await create(server, vintageYear=vintage_year)
    before = await written(server)
    assert errors(await create(server, vintageYear=vintage_year, idempotencyKey="k")) == [("ALREADY_EXISTS", "name")]
    assert await written(server) == before
    assert (await create(server, vintageYear=2020))["userErrors"] == []
    answer = await server.execute(
        CREATE, {"input": {"name": "Fund I", "vintageYear": vintage_year}}, organization="beta"
    )
    assert answer.data["createFund"]["userErrors"] == []


async def test_of_twenty_funds_of_one_identity_one_is_created(server: RunningServer) -> None:
    payloads = await asyncio.gather(*(create(server) for _ in range(20)))
    assert sum(payload["fund"] is not None for payload in payloads) == 1
    assert await server.owner.fetchval("SELECT count(*) FROM funds") == 1


async def test_refused_creation_frees_its_key(server: RunningServer) -> None:
    assert errors(await create(server, sizeCents="0", idempotencyKey="k")) == [("INVALID_INPUT", "sizeCents")]
    assert (await create(server, sizeCents="1", idempotencyKey="k"))["replayed"] is False


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"name": " "}, [("INVALID_INPUT", "name")]),
        ({"name": "x" * 201}, [("INVALID_INPUT", "name")]),
        ({"strategy": "x" * 201, "generalPartner": "x" * 201}, [("INVALID_INPUT", "generalPartner"), ("INVALID_INPUT", "strategy")]),  # noqa: E501
        ({"vintageYear": 1899}, [("INVALID_INPUT", "vintageYear")]),
        ({"vintageYear": 2201}, [("INVALID_INPUT", "vintageYear")]),
        ({"sizeCents": "-1"}, [("NEGATIVE_AMOUNT", "sizeCents")]),
        ({"sizeCents": "0"}, [("INVALID_INPUT", "sizeCents")]),
        ({"idempotencyKey": ""}, [("INVALID_INPUT", "idempotencyKey")]),
        ({"idempotencyKey": "k" * 129}, [("INVALID_INPUT", "idempotencyKey")]),
    ],
)  # fmt: skip
async def test_bad_values_are_refused_by_field(
    server: RunningServer, values: dict[str, object], expected: list[tuple[str, str]]
) -> None:
    before = await written(server)
    assert errors(await create(server, **values)) == expected
    assert await written(server) == before


async def test_limits_themselves_are_allowed(server: RunningServer) -> None:
    payload = await create(server, name="é" * 200, vintageYear=1900, sizeCents=str(2**63 - 1), idempotencyKey="k" * 128)
    assert payload["userErrors"] == []
    assert payload["fund"]["sizeCents"] == "9223372036854775807"


async def test_absent_fields_stay_and_null_clears(server: RunningServer) -> None:
    fund = (await create(server, strategy="Buyout", vintageYear=2019, sizeCents="5", generalPartner="Bay"))["fund"]
    payload = await update(server, fund["id"], 1, strategy=None, sizeCents="6")
    assert payload["userErrors"] == []
    assert payload["fund"] == fund | {"strategy": None, "sizeCents": "6", "version": "2"}
    cleared = (await update(server, fund["id"], 2, vintageYear=None, sizeCents=None, generalPartner=None))["fund"]
    assert (cleared["vintageYear"], cleared["sizeCents"], cleared["generalPartner"]) == (None, None, None)


@pytest.mark.parametrize("field", ["name", "status"])
async def test_name_and_status_cannot_be_cleared(server: RunningServer, field: str) -> None:
    fund = (await create(server))["fund"]
    assert errors(await update(server, fund["id"], 1, **{field: None})) == [("INVALID_INPUT", field)]


async def test_update_refuses_a_stale_version_and_changes_nothing(server: RunningServer) -> None:
    fund = (await create(server))["fund"]
    await update(server, fund["id"], 1, name="Fund II")
    before = await written(server)
    payload = await update(server, fund["id"], 1, name="Fund III")
    assert payload["userErrors"] == [
        {"code": "VERSION_CONFLICT", "field": ["expectedVersion"], "expected": "1", "actual": "2"}
    ]
    assert await written(server) == before
    assert await server.owner.fetchval("SELECT name FROM funds") == "Fund II"


async def test_of_twenty_updates_at_one_version_one_succeeds(server: RunningServer) -> None:
    fund = (await create(server))["fund"]
    payloads = await asyncio.gather(*(update(server, fund["id"], 1, name=f"Fund {n}") for n in range(20)))
    refused = [payload["userErrors"][0] for payload in payloads if payload["userErrors"]]
    assert [(error["code"], error["actual"]) for error in refused] == [("VERSION_CONFLICT", "2")] * 19


@pytest.mark.parametrize("vintage_year", [2019, None])
async def test_update_into_another_funds_identity_is_refused(server: RunningServer, vintage_year: int | None) -> None:
    await create(server, vintageYear=vintage_year)
    other = (await create(server, name="Fund II", vintageYear=vintage_year))["fund"]
    assert errors(await update(server, other["id"], 1, name="Fund I")) == [("ALREADY_EXISTS", "name")]


async def test_update_of_what_is_not_yours_is_not_found(server: RunningServer) -> None:
    fund = (await create(server))["fund"]
    for fund_id in (fund["id"], "nonsense", "RnVuZDo5OTk="):
        values = {"id": fund_id, "expectedVersion": "1", "name": "Mine"}
        answer = await server.execute(UPDATE, {"input": values}, organization="beta")
        assert errors(answer.data["updateFund"]) == [("NOT_FOUND", "id")]


async def test_audit_event_of_an_update_holds_what_changed(server: RunningServer) -> None:
    fund = (await create(server, sizeCents="5"))["fund"]
    await update(server, fund["id"], 1, sizeCents="6", name="Fund I")
    row = await server.owner.fetchrow(
        "SELECT body::jsonb ->> 'before' AS before, body::jsonb ->> 'after' AS after, actor_id FROM audit_events"
        " WHERE action = 'fund.updated'"
    )
    assert (row["before"], row["after"]) == ('{"size_cents": 5}', '{"size_cents": 6}')
    assert row["actor_id"] == await server.owner.fetchval("SELECT id FROM users WHERE email = 'editor@alpha.example'")


@pytest.mark.parametrize(("mutation", "field"), [(CREATE, "createFund"), (UPDATE, "updateFund")])
async def test_viewer_is_forbidden_to_write_and_the_log_says_so(
    server: RunningServer, mutation: str, field: str
) -> None:
    values = {"name": "F"} if field == "createFund" else {"id": "RnVuZDox", "expectedVersion": "1"}
    answer = await server.execute(mutation, {"input": values}, role=Role.VIEWER)
    assert answer.codes == ["FORBIDDEN"]
    events = await server.owner.fetch("SELECT kind, action FROM audit_events WHERE action <> 'organization.created'")
    assert [tuple(event) for event in events] == [("SECURITY", f"{field}.refused")]
