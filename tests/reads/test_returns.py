"""Returns and public-market equivalents as clients read them: published figures, and one statement for all parents."""

import asyncio
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from api.domain.pme import public_market_equivalent
from api.reads import pme as equivalents
from tests.contracts.two_organizations import call
from tests.reads.population import populate
from tests.server import RunningServer
from tests.services.test_activities import create, flow, hold, value

PME = "pme(benchmark: $benchmark, asOf: $asOf) { ksPme lnPme pmePlus directAlpha reason asOf }"
PORTFOLIO = """query ($id: ID!, $asOf: Date, $method: IrrMethod!) { portfolio(id: $id) {
  irr(asOf: $asOf, method: $method) { value reason method asOf } } }"""
YEARS = [str(date(2000, 1, 1) + timedelta(days=365 * year)) for year in range(6)]


async def price(server: RunningServer, benchmark: str, *prices: str) -> None:
    rows = [{"benchmark": benchmark, "pricedOn": day, "price": one} for day, one in zip(YEARS, prices, strict=False)]
    await call(server, "alpha", "recordBenchmarkPrices", prices=rows)


async def pme(server: RunningServer, holding_id: str, benchmark: str = "Index", as_of: str = "2024-06-30") -> Any:
    query = f"query ($id: ID!, $benchmark: String!, $asOf: Date) {{ node(id: $id) {{ ... on Holding {{ {PME} }} }} }}"
    answer = await server.execute(query, {"id": holding_id, "benchmark": benchmark, "asOf": as_of})
    return answer.data["node"]["pme"]


async def portfolio_irr(server: RunningServer, portfolio_id: str, as_of: str, method: str = "XIRR") -> Any:
    variables = {"id": portfolio_id, "asOf": as_of, "method": method}
    compiled = (await server.execute(PORTFOLIO, variables)).data["portfolio"]["irr"]
    assert compiled.pop("method") == method
    return compiled


async def published(server: RunningServer) -> str:
    """The holding of Wikipedia's "Public Market Equivalent", a whole cent for each of its units."""
    holding_id = await hold(server)
    kinds = [("INVESTMENT", 100), ("INVESTMENT", 50), ("DISTRIBUTION", 60), ("DISTRIBUTION", 10)]
    rows = [flow(holding_id, day, cents, kind) for day, (kind, cents) in zip(YEARS, kinds, strict=False)]
    await create(server, rows)
    await call(server, "alpha", "recordHoldingValuations", valuations=[value(holding_id, YEARS[4], 110)])
    await price(server, "Index", "100", "105", "115", "117", "120")
    return holding_id


async def test_equivalents_of_the_published_example(server: RunningServer) -> None:
    holding_id = await published(server)
    found = await pme(server, holding_id)
    assert (found["reason"], found["asOf"], found["ksPme"]) == (None, YEARS[4], "1.032303017226")
    rates = [round(Decimal(found[name]), 4) for name in ("lnPme", "pmePlus", "directAlpha")]
    assert [str(rate) for rate in rates] == ["0.0530", "0.0524", "0.0109"]
    # Later flows and prices are not in it.
    await create(server, [flow(holding_id, YEARS[5], 5)])
    await price(server, "Index", "100", "105", "115", "117", "120", "999")
    assert await pme(server, holding_id) == found


async def test_equivalents_that_are_missing_say_why(server: RunningServer) -> None:
    holding_id = await published(server)
    nothing = {"ksPme": None, "lnPme": None, "pmePlus": None, "directAlpha": None}
    assert await pme(server, holding_id, "Unknown") == nothing | {"reason": "NO_PRICE", "asOf": YEARS[4]}
    assert await pme(server, holding_id, as_of="2000-06-30") == nothing | {
        "reason": "NO_VALUATION",
        "asOf": "2000-06-30",
    }
    await call(
        server,
        "alpha",
        "recordBenchmarkPrices",
        prices=[{"benchmark": "Late", "pricedOn": YEARS[1], "price": "1"}],
    )
    assert (await pme(server, holding_id, "Late"))["reason"] == "NO_PRICE"
    empty = await hold(server, "Empty")
    assert (await pme(server, empty))["reason"] == "NO_VALUATION"


async def test_equivalents_of_all_holdings_are_read_with_one_statement(server: RunningServer) -> None:
    await published(server)
    query = f"""query ($benchmark: String!, $asOf: Date) {{
      portfolios {{ nodes {{ holdings {{ nodes {{ {PME} }} }} }} }} }}"""
    variables = {"benchmark": "Index", "asOf": "2024-06-30"}
    few = await server.execute(query, variables, debug=True)
    for number in range(3):
        await hold(server, f"Other {number}")
    many = await server.execute(query, variables, debug=True)
    assert len(many.data["portfolios"]["nodes"]) == 4
    assert len(few.statements) == len(many.statements) == 1


async def test_equivalents_hold_nobody_up(server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    holding_id = await published(server)
    loop = asyncio.get_running_loop()

    def slow(*arguments: Any) -> Any:
        # Never answered where the loop is what waits for it.
        asyncio.run_coroutine_threadsafe(asyncio.sleep(0), loop).result(timeout=30)
        return public_market_equivalent(*arguments)

    monkeypatch.setattr(equivalents, "public_market_equivalent", slow)
    assert (await pme(server, holding_id))["ksPme"] == "1.032303017226"


async def two_holdings(server: RunningServer) -> tuple[str, str, str]:
    """A portfolio with two holdings of one flow each on the first day."""
    made = await call(server, "alpha", "createPortfolio", name="Both", currency="USD")
    portfolio_id = made["portfolio"]["id"]
    ids = []
    for name in "AB":
        fund = await call(server, "alpha", "createFund", name=name)
        holding = await call(server, "alpha", "createHolding", portfolioId=portfolio_id, fundId=fund["fund"]["id"])
        ids.append(holding["holding"]["id"])
    await create(server, [flow(one, "2020-01-01", 1_000) for one in ids])
    return portfolio_id, ids[0], ids[1]


async def test_return_of_a_portfolio_is_of_the_day_on_which_all_is_valued(server: RunningServer) -> None:
    portfolio_id, one, other = await two_holdings(server)
    assert (await portfolio_irr(server, portfolio_id, "2021-06-30"))["reason"] == "NO_VALUATION"
    days = ["2020-12-31", "2021-12-31"]
    rows = [value(one, days[0], 1_100), value(other, days[0], 1_300), value(one, days[1], 9_999)]
    await call(server, "alpha", "recordHoldingValuations", valuations=rows)
    # A switch between the two moves nothing for the portfolio.
    switch = [flow(one, "2020-06-30", 500, "FUND_SWITCH_OUT"), flow(other, "2020-06-30", 500, "FUND_SWITCH_IN")]
    await create(server, switch)
    found = await portfolio_irr(server, portfolio_id, "2022-06-30")
    # 2,400 for 2,000 after 365 days.
    assert (found["value"], found["asOf"]) == ("0.2", days[0])
    nominal = await portfolio_irr(server, portfolio_id, "2022-06-30", "MONTHLY_NOMINAL")
    assert round(Decimal(nominal["value"]), 6) == round(12 * (Decimal("1.2") ** (Decimal(1) / 12) - 1), 6)
    reported = await portfolio_irr(server, portfolio_id, "2022-06-30", "REPORTED")
    assert reported == {"value": None, "reason": "NOT_REPORTED", "asOf": "2022-06-30"}


async def test_return_of_a_portfolio_is_the_same_stored_and_computed(server: RunningServer) -> None:
    portfolio_id, one, other = await two_holdings(server)
    days = [f"{year}-12-31" for year in range(2020, 2024)]
    rows = [value(one, day, 1_100 + 7 * place) for place, day in enumerate(days)]
    rows += [value(other, day, 1_300) for day in days[:3]]
    await call(server, "alpha", "recordHoldingValuations", valuations=rows)
    await server.owner.execute(
        "UPDATE portfolio_funds SET status = 'CLOSED' WHERE id = (SELECT max(id) FROM portfolio_funds)"
    )
    await call(server, "alpha", "recalculateIrr", portfolioId=portfolio_id)
    asked = [*days, "2019-01-01", "2022-06-30"]
    stored = [await portfolio_irr(server, portfolio_id, day) for day in asked]
    await server.owner.execute("UPDATE portfolio_funds SET returns_stale_from = '1900-01-01'")
    assert [await portfolio_irr(server, portfolio_id, day) for day in asked] == stored
    assert [one["asOf"] for one in stored] == [*days, "2019-01-01", "2021-12-31"]
    await server.owner.execute("DELETE FROM portfolio_irr_values")
    assert [await portfolio_irr(server, portfolio_id, day) for day in asked] == stored


SERIES = """query ($id: ID!, $from: Date!, $to: Date!, $interval: SeriesInterval) { node(id: $id) {
  ... on Holding { totalsSeries(from: $from, to: $to, interval: $interval) { asOf paidInCents navCents dpi reason } }
  ... on Portfolio { totalsSeries(from: $from, to: $to, interval: $interval) { asOf paidInCents navCents } } } }"""


async def series(server: RunningServer, owner_id: str, first: str, last: str, **more: str) -> Any:
    answer = await server.execute(SERIES, {"id": owner_id, "from": first, "to": last} | more)
    return answer.data["node"]["totalsSeries"]


async def test_series_shows_what_totals_show_on_each_of_its_days(server: RunningServer) -> None:
    portfolio_id, one, other = await two_holdings(server)
    await create(server, [flow(one, "2020-02-29", 500, "DISTRIBUTION"), flow(other, "2020-05-01", 100)])
    await call(server, "alpha", "recordHoldingValuations", valuations=[value(one, "2020-06-30", 7)])
    months = await series(server, one, "2019-12-31", "2020-03-30", interval="MONTH")
    assert months == [
        {"asOf": "2019-12-31", "paidInCents": None, "navCents": None, "dpi": None, "reason": "NO_STATEMENT"},
        {"asOf": "2020-01-31", "paidInCents": "1000", "navCents": None, "dpi": "0", "reason": "INCOMPLETE"},
        {"asOf": "2020-02-29", "paidInCents": "1000", "navCents": None, "dpi": "0.5", "reason": "INCOMPLETE"},
    ]
    quarters = await series(server, portfolio_id, "2020-01-01", "2020-12-31")
    assert [(each["asOf"], each["paidInCents"], each["navCents"]) for each in quarters] == [
        ("2020-03-31", "2000", None),
        ("2020-06-30", "2100", "7"),
        ("2020-09-30", "2100", "7"),
        ("2020-12-31", "2100", "7"),
    ]
    assert [each["asOf"] for each in await series(server, one, "2020-12-30", "2022-12-30", interval="YEAR")] == [
        "2020-12-31",
        "2021-12-31",
    ]
    query = "query ($id: ID!, $on: Date) { portfolio(id: $id) { totals(asOf: $on) { asOf paidInCents navCents } } }"
    for point in quarters:
        alone = await server.execute(query, {"id": portfolio_id, "on": point["asOf"]})
        assert alone.data["portfolio"]["totals"] == point


@pytest.mark.parametrize("interval", ["MONTH", "QUARTER", "YEAR"])
async def test_series_is_the_totals_of_each_day_by_flows_and_by_statements(
    server: RunningServer, interval: str
) -> None:
    await populate(server)
    figures = "{ asOf committedCents paidInCents distributedCents navCents unfundedCents reason }"
    wanted = f'totalsSeries(from: "2022-11-30", to: "2025-01-30", interval: {interval}) {figures}'
    query = "{ portfolios(first: 5) { nodes { %s holdings(first: 10) { nodes { %s } } } } }"
    found = (await server.execute(query % (wanted, wanted))).data["portfolios"]["nodes"]
    days = [one["asOf"] for one in found[0]["totalsSeries"]]
    assert len(days) == {"MONTH": 26, "QUARTER": 9, "YEAR": 3}[interval]
    alone = " ".join(f'd{place}: totals(asOf: "{day}") {figures}' for place, day in enumerate(days))
    single = (await server.execute(query % (alone, alone))).data["portfolios"]["nodes"]
    for series_of, totals_of in zip(found, single, strict=True):
        holdings = zip(series_of["holdings"]["nodes"], totals_of.pop("holdings")["nodes"], strict=True)
        for one, other in [(series_of, totals_of), *holdings]:
            assert one["totalsSeries"] == list(other.values())


async def test_series_has_its_bounds(server: RunningServer) -> None:
    holding_id = await hold(server)
    assert len(await series(server, holding_id, "2001-01-01", "2010-12-31", interval="MONTH")) == 120
    for first, last in (("2001-01-01", "2011-01-31"), ("0001-01-02", "9999-12-30"), ("2020-01-02", "2020-01-01")):
        answer = await server.execute(SERIES, {"id": holding_id, "from": first, "to": last, "interval": "MONTH"})
        assert answer.codes == ["BAD_USER_INPUT"]
        assert answer.body["errors"][0]["message"].startswith("from, to: ")
