"""Arguments beyond their limits, and cursors that this server did not make: refused by name, with nothing written."""

import base64
from collections.abc import Mapping
from typing import Any

import orjson
import pytest

from api.errors import BadUserInput
from api.reads import cursors
from api.reads.declarations import Order, SortKey
from api.reads.global_ids import encode
from tests.server import RunningServer

pytestmark = pytest.mark.asyncio(loop_scope="module")

USER_ERRORS = "userErrors { code field message expected actual }"
CREATE_FUND = f"mutation ($input: CreateFundInput!) {{ createFund(input: $input) {{ {USER_ERRORS} }} }}"
CREATE_PORTFOLIO = f"mutation ($input: CreatePortfolioInput!) {{ createPortfolio(input: $input) {{ {USER_ERRORS} }} }}"
COMMIT = f"mutation ($input: CommitReallocationInput!) {{ commitReallocation(input: $input) {{ {USER_ERRORS} }} }}"
PREVIEW = f"mutation ($input: PreviewReallocationInput!) {{ previewReallocation(input: $input) {{ {USER_ERRORS} }} }}"
STATEMENTS = (
    f"mutation ($input: RecordHoldingStatementsInput!) {{ recordHoldingStatements(input: $input) {{ {USER_ERRORS} }} }}"
)
FUNDS = """
query ($first: Int, $after: String, $last: Int, $before: String, $field: FundOrderField = NAME) {
  funds(first: $first, after: $after, last: $last, before: $before, orderBy: {field: $field}) { edges { cursor } }
}
"""
PROPOSAL = {"companyId": "x", "plannedReservesCents": "1"}
NOT_OURS = "this is not a cursor of this server."
OTHER_ORDER = "this cursor belongs to another sort order."


@pytest.fixture
def server(shared_server: RunningServer) -> RunningServer:
    return shared_server


async def row_counts(server: RunningServer) -> dict[str, int]:
    """How many rows each table has."""
    tables = await server.owner.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
    counts = ", ".join(f"(SELECT count(*) FROM {row[0]}) AS {row[0]}" for row in tables)
    return dict(await server.owner.fetchrow(f"SELECT {counts}"))


async def user_errors(server: RunningServer, document: str, **given: object) -> list[dict[str, Any]]:
    """The reasons for which a mutation is refused, with nothing written."""
    before = await row_counts(server)
    [payload] = (await server.execute(document, {"input": given})).data.values()
    assert await row_counts(server) == before
    errors: list[dict[str, Any]] = payload["userErrors"]
    assert {error["code"] for error in errors} == {"INVALID_INPUT"}
    return errors


async def top_level(server: RunningServer, variables: Mapping[str, Any]) -> tuple[str, str]:
    """The code and message of the one error of a page of funds."""
    answer = await server.execute(FUNDS, variables)
    assert answer.status in (200, 400)
    [error] = answer.body["errors"]
    return error["extensions"]["code"], error["message"]


@pytest.mark.parametrize("document", [CREATE_FUND, CREATE_PORTFOLIO])
@pytest.mark.parametrize("name", ["", " ", "\t\n\u3000\u00a0"])
async def test_name_of_blanks_is_refused(server: RunningServer, document: str, name: str) -> None:
    [error] = await user_errors(server, document, name=name, currency="USD")
    assert (error["field"], error["expected"]) == (["name"], "1 to 200 characters")


@pytest.mark.parametrize("letter", ["a", "\u00e9", "\U0001f600"])
async def test_name_of_201_characters_is_refused(server: RunningServer, letter: str) -> None:
    for document in (CREATE_FUND, CREATE_PORTFOLIO):
        [error] = await user_errors(server, document, name=letter * 201, currency="USD")
        assert (error["field"], error["expected"], error["actual"]) == (["name"], "200", "201")


@pytest.mark.parametrize(("key", "length"), [("", 0), ("k" * 129, 129), ("k" * 100_000, 100_000)])
async def test_key_of_another_length_is_refused(server: RunningServer, key: str, length: int) -> None:
    for document, given in (
        (CREATE_FUND, {"name": "A"}),
        (CREATE_PORTFOLIO, {"name": "A", "currency": "USD"}),
        (COMMIT, {"fundId": encode("Fund", 1), "expectedVersion": 1, "proposals": [PROPOSAL]}),
        (STATEMENTS, {"statements": [{"holdingId": "x", "asOf": "2020-01-01"}]}),
    ):
        [error] = await user_errors(server, document, **given, idempotencyKey=key)
        assert (error["field"], error["expected"]) == (["idempotencyKey"], "1 to 128 characters")
        assert error["actual"] == f"{length} characters"


@pytest.mark.parametrize("count", [0, 1_001])
async def test_another_number_of_proposals_is_refused(server: RunningServer, count: int) -> None:
    for document in (PREVIEW, COMMIT):
        proposals = [PROPOSAL] * count
        [error] = await user_errors(server, document, fundId=encode("Fund", 1), expectedVersion=1, proposals=proposals)
        assert (error["field"], error["expected"], error["actual"]) == (["proposals"], "1 to 1000", str(count))


@pytest.mark.parametrize("count", [0, 1_001])
async def test_another_number_of_statements_is_refused(server: RunningServer, count: int) -> None:
    [error] = await user_errors(server, STATEMENTS, statements=[{"holdingId": "x", "asOf": "2020-01-01"}] * count)
    assert (error["field"], error["expected"], error["actual"]) == (["statements"], "1 to 1000", str(count))


async def test_reason_of_1001_characters_is_refused(server: RunningServer) -> None:
    given = {"fundId": encode("Fund", 1), "expectedVersion": 1, "proposals": [PROPOSAL], "reason": "r" * 1_001}
    [error] = await user_errors(server, COMMIT, **given)
    assert (error["field"], error["expected"], error["actual"]) == (["reason"], "1000", "1001")


@pytest.mark.parametrize("argument", ["first", "last"])
@pytest.mark.parametrize("size", [-1, -(2**31), 101, 2**31 - 1])
async def test_page_of_another_size_is_refused(server: RunningServer, argument: str, size: int) -> None:
    refused = await top_level(server, {argument: size})
    assert refused == ("BAD_USER_INPUT", f"{argument}: must be between 0 and 100, not {size}.")


async def test_first_with_last_is_refused(server: RunningServer) -> None:
    refused = await top_level(server, {"first": 1, "last": 1})
    assert refused == ("BAD_USER_INPUT", "first, last: give one of them, not both.")


@pytest.mark.parametrize("size", [2**31, 1.5, "1", True, [], {}])
async def test_page_size_that_is_no_int_is_refused(server: RunningServer, size: object) -> None:
    code, message = await top_level(server, {"first": size})
    assert (code, message.partition(":")[0]) == ("BAD_USER_INPUT", "Variable '$first' has invalid value")


def cursor_of(payload: object) -> str:
    content = payload if isinstance(payload, bytes) else orjson.dumps(payload)
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


MALFORMED = [
    "",
    "=",
    "====",
    "a",
    "AAAAA",
    "%%%%",
    "\u00e9",
    "\u0661" * 4,
    "bnVsbA\n",
    " bnVsbA",
    "bnVsbA bnVsbA",
    "A" * 2_001,
]
MALFORMED += [cursor_of(content) for content in (b"", b"\xff", b"{", b"NaN", b"null", b"1", b"[" * 1_400, b"[]")]
MALFORMED += [
    cursor_of(content) for content in (b'["name+", NaN, 1]', b'["name+","\\ud800",1]', b'["name+","a",1e999]')
]
MALFORMED += [
    cursor_of(["name+", *rest])
    for rest in (
        [],
        ["a"],
        ["a", 1, 2],
        [None, 1],
        [1, 1],
        [True, 1],
        [["a"], 1],
        [{"a": 1}, 1],
        [[[[[]]]], 1],
        ["a\x00", 1],
        ["a", None],
        ["a", "1"],
        ["a", 1.0],
        ["a", True],
        ["a", [1]],
        ["a", {}],
        ["a", 2**63],
        ["a", -1e300],
    )
]


@pytest.mark.parametrize("cursor", MALFORMED, ids=lambda cursor: repr(cursor)[:40])
@pytest.mark.parametrize("argument", ["after", "before"])
async def test_cursor_that_was_tampered_with_is_refused(server: RunningServer, argument: str, cursor: str) -> None:
    assert await top_level(server, {argument: cursor}) == ("BAD_USER_INPUT", f"{argument}: {NOT_OURS}")


@pytest.mark.parametrize("payload", [["id+", None, 1], ["name-", "a", 1], [None, "a", 1], [["name+"], "a", 1], "abc"])
async def test_cursor_of_another_order_is_refused(server: RunningServer, payload: object) -> None:
    assert await top_level(server, {"after": cursor_of(payload)}) == ("BAD_USER_INPUT", f"after: {OTHER_ORDER}")


BAD_MOMENTS = ["", "a", "2020-01-01T00:00:00", "0001-01-01T00:00:00+00:01", "9999-12-31T23:59:59-23:59", 1, None, []]


@pytest.mark.parametrize("moment", BAD_MOMENTS)
async def test_cursor_with_an_impossible_moment_is_refused(server: RunningServer, moment: object) -> None:
    variables = {"after": cursor_of(["created_at+", moment, 1]), "field": "CREATED_AT"}
    assert await top_level(server, variables) == ("BAD_USER_INPUT", f"after: {NOT_OURS}")


@pytest.mark.parametrize(
    "amount", ['"1"', "1.5", "1.0", "true", "[]", "{}", "NaN", f"{2**63}", f"{-(2**63) - 1}", "1e18"]
)
async def test_cursor_with_an_impossible_amount_is_refused(server: RunningServer, amount: str) -> None:
    variables = {"after": cursor_of(f'["size_cents+",{amount},1]'.encode()), "field": "SIZE"}
    assert await top_level(server, variables) == ("BAD_USER_INPUT", f"after: {NOT_OURS}")


@pytest.mark.parametrize(
    "text", ["NaN", "sNaN", "Infinity", "-Infinity", "1e999999999", "1_0", " 1", "1 ", "\u0661", "", "."]
)
async def test_cursor_with_a_number_that_is_not_plain_is_refused(text: str) -> None:
    order = Order(SortKey("score", "numeric"))
    with pytest.raises(BadUserInput, match=NOT_OURS):
        cursors.decode(cursor_of(["score+", text, 1]), order, "bigint", "after")


@pytest.mark.parametrize("text", ["", "1", "x" * 36, "00000000-0000-0000-0000-00000000000g"])
async def test_cursor_with_an_id_that_is_no_uuid_is_refused(text: str) -> None:
    with pytest.raises(BadUserInput, match=NOT_OURS):
        cursors.decode(cursor_of(["id+", None, text]), Order(), "uuid", "after")
