"""Creating portfolios and holdings, recording statements, and the totals that follow."""

import asyncio
from typing import Any

import pytest

from tests.server import RunningServer

CREATE_FUND = "mutation ($input: CreateFundInput!) { createFund(input: $input) { fund { id } userErrors { code } } }"
CREATE_PORTFOLIO = """
mutation ($input: CreatePortfolioInput!) {
  createPortfolio(input: $input) { portfolio { id name currency version } replayed userErrors { code field } }
}
"""
CREATE_HOLDING = """
mutation ($input: CreateHoldingInput!) {
  createHolding(input: $input) {
    holding { id commitmentCents status fund { id } portfolio { id } } replayed
    userErrors { code field expected actual }
  }
}
"""
RECORD = """
mutation ($input: RecordHoldingStatementsInput!) {
  recordHoldingStatements(input: $input) {
    statements {
      id asOf committedCents paidInCents distributedCents navCents reportedIrr reportedMultiple dpi rvpi tvpi
    }
    replayed userErrors { code field index }
  }
}
"""
TOTALS = """
query ($id: ID!, $asOf: Date!) {
  portfolio(id: $id) {
    totals(asOf: $asOf) { committedCents paidInCents distributedCents navCents unfundedCents dpi rvpi tvpi pic reason }
    exposure(by: STRATEGY, asOf: $asOf) { label holdingCount navShare totals { navCents } }
    holdings { nodes { totals(asOf: $asOf) { navCents reason } } }
  }
}
"""


class Portfolio:
    """A portfolio in USD with a holding, as a client sees it."""

    def __init__(self, server: RunningServer) -> None:
        self.server = server
        self.portfolio_id = self.holding_id = ""

    async def create(self) -> "Portfolio":
        payload = await self.execute(CREATE_PORTFOLIO, name="P", currency="USD")
        self.portfolio_id = payload["portfolio"]["id"]
        self.holding_id = (await self.hold("Fund"))["holding"]["id"]
        return self

    async def execute(self, mutation: str, **values: object) -> Any:
        (payload,) = (await self.server.execute(mutation, {"input": values})).data.values()
        return payload

    async def fund(self, name: str, **values: object) -> str:
        made: str = (await self.execute(CREATE_FUND, name=name, **values))["fund"]["id"]
        return made

    async def hold(self, fund_name: str, **values: object) -> Any:
        fund_id = await self.fund(fund_name, **values)
        return await self.execute(CREATE_HOLDING, portfolioId=self.portfolio_id, fundId=fund_id)

    async def record(self, *statements: dict[str, object], **values: object) -> Any:
        return await self.execute(RECORD, statements=list(statements), **values)

    async def count(self, table: str) -> int:
        count: int = await self.server.owner.fetchval(f"SELECT count(*) FROM {table}")
        return count


@pytest.fixture
async def portfolio(server: RunningServer) -> Portfolio:
    return await Portfolio(server).create()


def statement(holding_id: str, as_of: str = "2025-03-31", **figures: object) -> dict[str, object]:
    return {"holdingId": holding_id, "asOf": as_of, **figures}


def errors(payload: Any) -> list[tuple[str, str]]:
    return [(error["code"], ".".join(error["field"])) for error in payload["userErrors"]]


async def test_portfolio_of_a_taken_name_already_exists(portfolio: Portfolio) -> None:
    payload = await portfolio.execute(CREATE_PORTFOLIO, name="P", currency="EUR")
    assert (payload["portfolio"], errors(payload)) == (None, [("ALREADY_EXISTS", "name")])
    assert errors(await portfolio.execute(CREATE_PORTFOLIO, name=" ", currency="EUR")) == [("INVALID_INPUT", "name")]


async def test_portfolio_is_created_once_per_key(portfolio: Portfolio) -> None:
    payloads = await asyncio.gather(
        *(portfolio.execute(CREATE_PORTFOLIO, name="Q", currency="EUR", idempotencyKey="k") for _ in range(20))
    )
    assert sorted(payload["replayed"] for payload in payloads) == [False] + [True] * 19
    assert len({payload["portfolio"]["id"] for payload in payloads}) == 1


async def test_holding_in_another_currency_is_refused(portfolio: Portfolio) -> None:
    before = await portfolio.count("audit_events")
    payload = await portfolio.hold("Euro fund", currency="EUR")
    assert payload["holding"] is None
    assert payload["userErrors"] == [{"code": "INVALID_INPUT", "field": ["fundId"], "expected": "USD", "actual": "EUR"}]
    assert await portfolio.count("portfolio_funds") == 1
    assert await portfolio.count("audit_events") == before + 1  # the fund's


async def test_holding_of_a_fund_exists_once_in_a_portfolio(portfolio: Portfolio) -> None:
    fund_id = await portfolio.fund("Fund II")
    values = {"portfolioId": portfolio.portfolio_id, "fundId": fund_id, "commitmentCents": "0"}
    payloads = await asyncio.gather(*(portfolio.execute(CREATE_HOLDING, **values) for _ in range(10)))
    assert sorted(str(errors(payload)) for payload in payloads) == ["[('ALREADY_EXISTS', 'fundId')]"] * 9 + ["[]"]


async def test_holding_of_what_is_unknown_or_negative_is_refused(portfolio: Portfolio) -> None:
    fund_id = await portfolio.fund("Fund II")
    unknown = await portfolio.execute(CREATE_HOLDING, portfolioId="x", fundId=fund_id)
    assert errors(unknown) == [("NOT_FOUND", "portfolioId")]
    unknown = await portfolio.execute(CREATE_HOLDING, portfolioId=portfolio.portfolio_id, fundId="RnVuZDo5OTk=")
    assert errors(unknown) == [("NOT_FOUND", "fundId")]
    negative = await portfolio.execute(
        CREATE_HOLDING, portfolioId=portfolio.portfolio_id, fundId=fund_id, commitmentCents="-1"
    )
    assert errors(negative) == [("NEGATIVE_AMOUNT", "commitmentCents")]


async def test_statements_are_recorded_in_the_order_given(portfolio: Portfolio) -> None:
    figures = {"committedCents": "1000000000", "paidInCents": "600000000", "distributedCents": "150000000"}
    figures |= {"navCents": "500000000", "reportedIrr": "-0.5", "reportedMultiple": "1.083333"}
    payload = await portfolio.record(
        statement(portfolio.holding_id, "2025-06-30"), statement(portfolio.holding_id, "2025-03-31", **figures)
    )
    assert payload["userErrors"] == []
    empty, full = payload["statements"]
    assert (empty["asOf"], empty["navCents"], empty["dpi"], empty["tvpi"]) == ("2025-06-30", None, None, None)
    ratios = {"dpi": "0.25", "rvpi": "0.833333", "tvpi": "1.083333"}
    assert full == figures | ratios | {"id": full["id"], "asOf": "2025-03-31"}
    assert (
        await portfolio.server.owner.fetchval("SELECT count(*) FROM audit_events WHERE action = 'statement.recorded'")
        == 2
    )


async def test_one_bad_statement_refuses_all_and_is_named_by_index(portfolio: Portfolio) -> None:
    await portfolio.record(statement(portfolio.holding_id))
    before = await portfolio.count("audit_events")
    bad = [
        statement(portfolio.holding_id, "2025-01-01"),
        statement("nonsense"),
        statement(portfolio.holding_id, "2025-01-01"),
        statement(portfolio.holding_id, "2025-01-02", paidInCents="-1", distributedCents="-1"),
        statement(portfolio.holding_id, "2025-01-03", reportedIrr="10000"),
        statement(portfolio.holding_id, "2025-01-04", reportedMultiple="0.0000001"),
    ]
    payload = await portfolio.record(*bad, idempotencyKey="k")
    assert payload["statements"] is None
    found = {(error["index"], error["code"], error["field"][2]) for error in payload["userErrors"]}
    assert found == {
        (1, "NOT_FOUND", "holdingId"),
        (2, "ALREADY_EXISTS", "asOf"),
        (3, "NEGATIVE_AMOUNT", "paidInCents"),
        (4, "INVALID_INPUT", "reportedIrr"),
        (5, "INVALID_INPUT", "reportedMultiple"),
    }
    assert (await portfolio.count("holding_statements"), await portfolio.count("audit_events")) == (1, before)


async def test_statement_of_a_taken_date_refuses_all_and_is_named_by_index(portfolio: Portfolio) -> None:
    await portfolio.record(statement(portfolio.holding_id))
    payload = await portfolio.record(
        statement(portfolio.holding_id, "2025-06-30"), statement(portfolio.holding_id, "2025-03-31", navCents="1")
    )
    assert payload["userErrors"] == [{"code": "ALREADY_EXISTS", "field": ["statements", "1", "asOf"], "index": 1}]
    assert await portfolio.count("holding_statements") == 1


@pytest.mark.parametrize("count", [0, 1001])
async def test_none_or_too_many_statements_are_refused(portfolio: Portfolio, count: int) -> None:
    payload = await portfolio.record(*[statement(portfolio.holding_id)] * count)
    assert ("INVALID_INPUT", "statements") in errors(payload)


async def test_statements_of_another_organizations_holding_are_not_found(portfolio: Portfolio) -> None:
    values = {"statements": [statement(portfolio.holding_id)]}
    answer = await portfolio.server.execute(RECORD, {"input": values}, organization="beta")
    assert errors(answer.data["recordHoldingStatements"]) == [("NOT_FOUND", "statements.0.holdingId")]


async def test_replay_of_statements_shows_the_first_ones(portfolio: Portfolio) -> None:
    first = await portfolio.record(statement(portfolio.holding_id, navCents="1"), idempotencyKey="k")
    again = await portfolio.record(statement(portfolio.holding_id, navCents="1"), idempotencyKey="k")
    assert again == first | {"replayed": True}
    reused = await portfolio.record(statement(portfolio.holding_id, navCents="2"), idempotencyKey="k")
    assert errors(reused) == [("IDEMPOTENCY_KEY_REUSED", "idempotencyKey")]


async def test_totals_take_each_holdings_latest_statement_by_the_date(portfolio: Portfolio) -> None:
    second = (await portfolio.hold("Fund II", strategy="Buyout"))["holding"]["id"]
    silent = (await portfolio.hold("Fund III", strategy="Buyout"))["holding"]["id"]
    figures = {"committedCents": "1000", "paidInCents": "600", "distributedCents": "150", "navCents": "500"}
    await portfolio.record(
        statement(portfolio.holding_id, "2024-12-31", **figures | {"navCents": "9"}),
        statement(portfolio.holding_id, "2025-03-31", **figures),
        statement(portfolio.holding_id, "2025-06-30", **figures | {"navCents": "9"}),
        statement(second, "2025-03-31", **figures | {"distributedCents": "-50", "navCents": "-100"}),
        statement(silent, "2025-04-01", navCents="77"),
    )

    async def totals(as_of: str) -> Any:
        answer = await portfolio.server.execute(TOTALS, {"id": portfolio.portfolio_id, "asOf": as_of})
        return answer.data["portfolio"]

    found = await totals("2025-03-31")
    assert found["totals"] == {
        "committedCents": "2000", "paidInCents": "1200", "distributedCents": "100", "navCents": "400",
        "unfundedCents": "800", "dpi": "0.083333", "rvpi": "0.333333", "tvpi": "0.416667", "pic": "0.6",
        "reason": "INCOMPLETE",
    }  # fmt: skip
    assert [(group["label"], group["holdingCount"], group["navShare"]) for group in found["exposure"]] == [
        (None, 1, "1.25"),
        ("Buyout", 2, "-0.25"),
    ]
    by_holding = [(one["totals"]["navCents"], one["totals"]["reason"]) for one in found["holdings"]["nodes"]]
    assert by_holding == [("500", None), ("-100", None), (None, "NO_STATEMENT")]
    nothing = (await totals("2024-12-30"))["totals"]
    assert (nothing["committedCents"], nothing["dpi"], nothing["reason"]) == (None, None, "NO_STATEMENT")
