"""Values that no field takes: each is refused by name and limit, nothing fails, and nothing is written."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from api.domain.access import Role
from tests.server import RunningServer

pytestmark = pytest.mark.asyncio(loop_scope="module")

USER_ERRORS = "userErrors { code field message expected actual }"
CREATE_FUND = f"mutation ($input: CreateFundInput!) {{ createFund(input: $input) {{ {USER_ERRORS} }} }}"
CREATE_COMPANY = (
    f"mutation ($input: CreatePortfolioCompanyInput!) {{ createPortfolioCompany(input: $input) {{ {USER_ERRORS} }} }}"
)
EVENTS = "query ($from: DateTime) { auditEvents(filter: {from: $from}) { totalCount } }"
TOTALS = "query ($asOf: Date) { portfolios { nodes { totals(asOf: $asOf) { asOf } } } }"
CODE_OF_LITERALS = "GRAPHQL_VALIDATION_FAILED"


@dataclass(frozen=True)
class Refusal:
    """Why something was refused: the code, and all that is said of the field and the limit."""

    code: str
    says: str


@pytest.fixture
def server(shared_server: RunningServer) -> RunningServer:
    return shared_server


async def row_counts(server: RunningServer) -> dict[str, int]:
    """How many rows each table has; a refused permission may leave an event."""
    tables = await server.owner.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
    counts = ", ".join(f"(SELECT count(*) FROM {row[0]}) AS {row[0]}" for row in tables)
    rows: dict[str, int] = dict(await server.owner.fetchrow(f"SELECT {counts}"))
    rows["audit_events"] = await server.owner.fetchval("SELECT count(*) FROM audit_events WHERE kind <> 'SECURITY'")
    return rows


async def refusal(
    server: RunningServer, document: str, variables: Mapping[str, Any] | None = None, *, role: Role = Role.EDITOR
) -> Refusal:
    """The one reason for which this is refused, with nothing written."""
    before = await row_counts(server)
    answer = await server.execute(document, variables, role=role)
    assert await row_counts(server) == before
    assert answer.status in (200, 400)
    if "errors" in answer.body:
        [error] = answer.body["errors"]
        assert "path" in error or "locations" in error
        return Refusal(error["extensions"]["code"], error["message"])
    [payload] = answer.data.values()
    [error] = payload["userErrors"]
    return Refusal(error["code"], f"{'.'.join(error['field'])}: {error['message']} {error['expected']}")


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


BAD_IDS = [
    "",
    "1",
    "Fund:1",
    "abc",
    "\u00e9\u00e9\u00e9\u00e9",
    "RnVuZDox\n",
    "RnVuZDox=",
    "Rn_uZDox",
    "A" * 129,
    "QUFB" * 20_000,
    encoded("Fund"),
    encoded("Fund:"),
    encoded(":1"),
    encoded("Fund:0"),
    encoded("Fund:-1"),
    encoded("Fund:01"),
    encoded("Fund:+1"),
    encoded("Fund:1 "),
    encoded("Fund:1_0"),
    encoded("Fund:1e3"),
    encoded("Fund:1.0"),
    encoded("Fund:1\x00"),
    encoded("Fund:\u0661"),
    encoded("Fund:1:1"),
    encoded("fund:1"),
    encoded("Nothing:1"),
    encoded("Fund:9223372036854775807"),
    encoded("Fund:9223372036854775808"),
    encoded("Fund:" + "9" * 80),
    encoded("Fund:00000000-0000-0000-0000-000000000001"),
    encoded("PortfolioCompany:1"),
    encoded("Reallocation:1"),
    encoded("Reallocation:00000000-0000-0000-0000-00000000000Z"),
    encoded("Organization:9223372036854775807"),
]


@pytest.mark.parametrize("bad_id", BAD_IDS, ids=lambda bad_id: repr(bad_id)[:40])
async def test_id_that_is_nobodys_finds_nothing(server: RunningServer, bad_id: str) -> None:
    fields = "node(id: $id) { id } nodes(ids: [$id]) { id } fund(id: $id) { id } portfolio(id: $id) { id }"
    data = (await server.execute(f"query ($id: ID!) {{ {fields} }}", {"id": bad_id})).data
    assert data == {"node": None, "nodes": [None], "fund": None, "portfolio": None}
    refused = await refusal(server, CREATE_COMPANY, {"input": {"fundId": bad_id, "name": "A"}})
    assert refused == Refusal("NOT_FOUND", "fundId: There is no such fund. None")


@pytest.mark.parametrize("bad_id", [1.5, True, None, [], {}])
async def test_id_of_another_kind_is_refused(server: RunningServer, bad_id: object) -> None:
    refused = await refusal(server, "query ($id: ID!) { node(id: $id) { id } }", {"id": bad_id})
    assert refused.code == "BAD_USER_INPUT"
    assert "$id" in refused.says


async def test_more_than_a_hundred_ids_are_refused(server: RunningServer) -> None:
    refused = await refusal(server, "query ($ids: [ID!]!) { nodes(ids: $ids) { id } }", {"ids": ["x"] * 101})
    assert refused == Refusal("BAD_USER_INPUT", "ids: at most 100 at once, not 101.")


TOO_LARGE = ["9223372036854775808", "-9223372036854775809", "9" * 30, "9" * 5_000]
NO_INTEGERS = [
    "1.5",
    "1.0",
    "1e3",
    "NaN",
    "Infinity",
    "0x10",
    "1_000",
    " 1",
    "1 ",
    "1\n",
    "+1",
    "01",
    "--1",
    "",
    "\uff11",
    "\u0661",
]


@pytest.mark.parametrize("amount", TOO_LARGE, ids=lambda amount: amount[:20])
async def test_cents_beyond_64_bits_are_refused_however_they_come(server: RunningServer, amount: str) -> None:
    number: object = int(amount) if len(amount) < 4_000 else float("1e300")
    for given in (amount, number):
        refused = await refusal(server, CREATE_FUND, {"input": {"name": "A", "sizeCents": given}})
        assert refused.code == "BAD_USER_INPUT"
        assert ".sizeCents" in refused.says
        assert "64 bits" in refused.says
    for literal in (amount, f'"{amount}"'):
        document = f'mutation {{ createFund(input: {{name: "A", sizeCents: {literal}}}) {{ {USER_ERRORS} }} }}'
        refused = await refusal(server, document)
        assert refused.code == CODE_OF_LITERALS
        assert "64 bits" in refused.says


@pytest.mark.parametrize("amount", [*NO_INTEGERS, 1.5, 1.0, True, False, [], ["1"], {}, {"amount": 1}])
async def test_what_is_no_whole_number_is_refused(server: RunningServer, amount: object) -> None:
    refused = await refusal(server, CREATE_FUND, {"input": {"name": "A", "sizeCents": amount}})
    assert refused.code == "BAD_USER_INPUT"
    assert ".sizeCents: Expected a whole number" in refused.says


@pytest.mark.parametrize("literal", ["1.5", "1.0", "1e3", "true", "A", "[1]", "{a: 1}", '"1.0"', '""', '"""1 0"""'])
async def test_literal_that_is_no_whole_number_is_refused(server: RunningServer, literal: str) -> None:
    document = f'mutation {{ createFund(input: {{name: "A", sizeCents: {literal}}}) {{ {USER_ERRORS} }} }}'
    assert (await refusal(server, document)).code == CODE_OF_LITERALS


@pytest.mark.parametrize("year", [2**31, -(2**31) - 1, 10**30, 2020.5, "2020", True, float("1e300")])
async def test_what_is_no_int_is_refused(server: RunningServer, year: object) -> None:
    refused = await refusal(server, CREATE_FUND, {"input": {"name": "A", "vintageYear": year}})
    assert refused.code == "BAD_USER_INPUT"
    assert ".vintageYear: Int cannot represent" in refused.says


async def test_int_literal_of_five_thousand_digits_is_refused(server: RunningServer) -> None:
    document = f'mutation {{ createFund(input: {{name: "A", vintageYear: {"9" * 5_000}}}) {{ {USER_ERRORS} }} }}'
    assert (await refusal(server, document)).code == CODE_OF_LITERALS


BAD_DECIMALS = ["1e-3", "1E5", "0.5_0", "1_0", " 0.5", "0.5 ", "0.5\n", "+0.5", ".5", "5.", "00.5", "0,5", "", "-"]
BAD_DECIMALS += ["NaN", "sNaN", "Infinity", "-Infinity", "inf", "0x1", "\uff10.5", "0." + "1" * 39, "1" * 41]


@pytest.mark.parametrize("decimal", [*BAD_DECIMALS, 0.5, 1e300, True, [], {}], ids=repr)
async def test_decimal_that_is_not_plain_is_refused(server: RunningServer, decimal: object) -> None:
    variables = {"input": {"fundId": encoded("Fund:1"), "name": "A", "ownership": decimal}}
    refused = await refusal(server, CREATE_COMPANY, variables)
    assert refused.code == "BAD_USER_INPUT"
    assert ".ownership: Expected a decimal in plain notation, as a string of at most 40 characters" in refused.says


@pytest.mark.parametrize("literal", ["5e-1", "1E5", "true", '"NaN"', '"0.5 "', "0." + "1" * 39, "1" * 41])
async def test_decimal_literal_that_is_not_plain_is_refused(server: RunningServer, literal: str) -> None:
    given = f'{{fundId: "x", name: "A", ownership: {literal}}}'
    refused = await refusal(server, f"mutation {{ createPortfolioCompany(input: {given}) {{ {USER_ERRORS} }} }}")
    assert refused.code == CODE_OF_LITERALS


@pytest.mark.parametrize("decimal", ["-0.000001", "1.000001", "0.0000001", "0." + "5" + "0" * 29 + "1", "1" * 40])
async def test_share_beyond_its_range_or_places_is_refused(server: RunningServer, decimal: str) -> None:
    variables = {"input": {"fundId": encoded("Fund:1"), "name": "A", "ownership": decimal}}
    refused = await refusal(server, CREATE_COMPANY, variables)
    limit = "between 0 and 1, with at most 6 decimals"
    assert refused == Refusal("INVALID_INPUT", f"ownership: Must be {limit}. {limit}")


BAD_TIMES = ["2020-01-01T00:00:00", "2020-01-01", "2020-01-01 00:00:00Z", "2020-01-01T00:00Z", "2020-02-30T00:00:00Z"]
BAD_TIMES += ["0000-01-01T00:00:00Z", "10000-01-01T00:00:00Z", "2020-01-01T24:00:01Z", "2020-01-01T00:00:00+24:00"]
BAD_TIMES += ["2020-01-01T00:00:60Z", "2020-01-01T00:00:00.1234567Z", "0001-01-01T00:00:00+00:01", "now", ""]
BAD_TIMES += [
    "9999-12-31T23:59:59-00:01",
    "2020-W01-1T00:00:00Z",
    "\u0662020-01-01T00:00:00Z",
    "2020-01-01T00:00:00Z\n",
]


@pytest.mark.parametrize("moment", [*BAD_TIMES, 0, 1.5, True, [], {}])
async def test_time_that_is_no_moment_is_refused(server: RunningServer, moment: object) -> None:
    refused = await refusal(server, EVENTS, {"from": moment}, role=Role.ADMIN)
    assert refused.code == "BAD_USER_INPUT"
    assert refused.says.startswith("Variable '$from' has invalid value: Expected a time as RFC 3339 with an offset")


BAD_DATES = ["2020-02-30", "2021-02-29", "0000-01-01", "10000-01-01", "20200101", "2020-1-1", "2020-W01-1", "2020-001"]
BAD_DATES += ["0001-01-01", "9999-12-31"]
BAD_DATES += ["-001-01-01", "2020-01-01T00:00:00Z", " 2020-01-01", "2020-01-01\n", "\u0662020-01-01", "today", ""]


@pytest.mark.parametrize("day", [*BAD_DATES, 20200101, 1.5, True, [], {}])
async def test_date_that_is_no_day_is_refused(server: RunningServer, day: object) -> None:
    refused = await refusal(server, TOTALS, {"asOf": day})
    assert refused.code == "BAD_USER_INPUT"
    assert refused.says.startswith("Variable '$asOf' has invalid value: Expected a date as YYYY-MM-DD")


@pytest.mark.parametrize("code", ["usd", "US", "USDX", "", "XYZ", "\uff35SD", "USD\n", "840", 840, True, [], {}])
async def test_what_is_no_currency_is_refused(server: RunningServer, code: object) -> None:
    refused = await refusal(server, CREATE_FUND, {"input": {"name": "A", "currency": code}})
    assert refused.code == "BAD_USER_INPUT"
    assert ".currency: Expected an ISO 4217 currency code" in refused.says


@pytest.mark.parametrize("field", ["name", "strategy", "idempotencyKey"])
async def test_text_with_u0000_is_refused(server: RunningServer, field: str) -> None:
    refused = await refusal(server, CREATE_FUND, {"input": {"name": "A", field: "a\x00b"}})
    assert refused.code == "BAD_USER_INPUT"
    assert refused.says.endswith(f".{field}: A text must not contain U+0000.")


@pytest.mark.parametrize(
    "literal", ['"a\\u0000"', '"a\\u{0}"', '"""a\x00"""', '"\\ud800"', '"\\udc00\\ud800"', '"\\u{D800}"']
)
async def test_literal_that_cannot_be_stored_is_refused(server: RunningServer, literal: str) -> None:
    for document in (
        f"{{ funds(filter: {{nameContains: {literal}}}) {{ totalCount }} }}",
        f"{{ funds(filter: {{strategy: [{literal}]}}) {{ totalCount }} }}",
        f"{{ funds(after: {literal}) {{ totalCount }} }}",
        f"mutation {{ createFund(input: {{name: {literal}}}) {{ {USER_ERRORS} }} }}",
        f'mutation {{ createFund(input: {{name: "A", idempotencyKey: {literal}}}) {{ {USER_ERRORS} }} }}',
    ):
        assert (await refusal(server, document)).code in ("GRAPHQL_PARSE_FAILED", CODE_OF_LITERALS)


@pytest.mark.parametrize("surrogate", ["\\ud800", "\\udfff", "\\udc00\\ud800", "a\\ud83d"])
async def test_variable_with_a_lone_surrogate_is_refused(server: RunningServer, surrogate: str) -> None:
    before = await row_counts(server)
    variables = f'{{"input": {{"name": "{surrogate}", "idempotencyKey": "{surrogate}"}}}}'
    content = f'{{"query": {json.dumps(CREATE_FUND)}, "variables": {variables}}}'
    headers = {"Authorization": f"Bearer {server.tokens['alpha', Role.EDITOR]}", "Content-Type": "application/json"}
    response = await server.client.post("/graphql", content=content, headers=headers)
    assert (response.status_code, response.json()["errors"][0]["extensions"]["code"]) == (400, "BAD_USER_INPUT")
    assert await row_counts(server) == before
