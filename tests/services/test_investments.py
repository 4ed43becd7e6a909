"""Recording and correcting investments and their lots of shares."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.server import RunningServer
from tests.services.forecast_client import LOT_VALUES, Forecasts, errors

FAR_AHEAD = str(datetime.now(UTC).date() + timedelta(days=400))
NEXT_MONTH = str(datetime.now(UTC).date() + timedelta(days=30))
GOOD = {"investedOn": "2024-01-31", "amountCents": "1"}


@pytest.fixture
async def forecasts(server: RunningServer) -> Forecasts:
    return await Forecasts(server).create()


async def test_investment_has_what_was_given(forecasts: Forecasts) -> None:
    given = {"round": "Series A", "investedOn": NEXT_MONTH, "amountCents": "0"}
    made = await forecasts.write("createInvestment", companyId=forecasts.company_id, **given)
    investment = made["investment"]
    assert investment == given | {"id": investment["id"], "company": {"name": "A"}, "version": "1"}
    assert await forecasts.events("investment.created") == 2


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"investedOn": "1899-12-31"}, ("INVALID_INPUT", "investedOn")),
        ({"investedOn": FAR_AHEAD}, ("INVALID_INPUT", "investedOn")),
        ({"amountCents": "-1"}, ("NEGATIVE_AMOUNT", "amountCents")),
        ({"round": "x" * 201}, ("INVALID_INPUT", "round")),
        ({"round": " "}, ("INVALID_INPUT", "round")),
        ({"companyId": "nonsense"}, ("NOT_FOUND", "companyId")),
    ],
)
async def test_bad_investment_is_refused(
    forecasts: Forecasts, values: dict[str, str], expected: tuple[str, str]
) -> None:
    given = {"companyId": forecasts.company_id, **GOOD, **values}
    assert errors(await forecasts.write("createInvestment", **given)) == [expected]
    assert await forecasts.server.owner.fetchval("SELECT count(*) FROM investments") == 1


async def test_another_organizations_company_and_investment_are_not_found(forecasts: Forecasts) -> None:
    made = await forecasts.write("createInvestment", organization="beta", companyId=forecasts.company_id, **GOOD)
    assert errors(made) == [("NOT_FOUND", "companyId")]
    given = {"investmentId": forecasts.investment_id, **LOT_VALUES}
    assert errors(await forecasts.write("createInvestmentLot", organization="beta", **given)) == [
        ("NOT_FOUND", "investmentId")
    ]


async def test_update_of_an_investment_changes_what_is_given_under_its_version(forecasts: Forecasts) -> None:
    target = {"id": forecasts.investment_id, "expectedVersion": "1"}
    changed = await forecasts.write("updateInvestment", **target, round="Seed", amountCents="5")
    assert (changed["investment"]["round"], changed["investment"]["amountCents"]) == ("Seed", "5")
    assert (changed["investment"]["investedOn"], changed["investment"]["version"]) == ("2024-01-31", "2")
    stale = await forecasts.write("updateInvestment", **target, round="Series B")
    assert stale["userErrors"] == [
        {"code": "VERSION_CONFLICT", "field": ["expectedVersion"], "index": None, "expected": "1", "actual": "2"}
    ]
    target["expectedVersion"] = "2"
    assert errors(await forecasts.write("updateInvestment", **target, amountCents=None)) == [
        ("INVALID_INPUT", "amountCents")
    ]
    cleared = await forecasts.write("updateInvestment", **target, round=None)
    assert (cleared["investment"]["round"], cleared["investment"]["version"]) == (None, "3")


async def test_lot_has_what_was_given(forecasts: Forecasts) -> None:
    given = LOT_VALUES | {"lotType": "FOLLOW_ON", "sharesAcquired": "1.23456789", "costBasisCents": "124"}
    lot = (await forecasts.lot(**given))["lot"]
    investment = {"id": forecasts.investment_id}
    assert lot == given | {"id": lot["id"], "investment": investment, "company": {"name": "A"}, "version": "1"}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"costBasisCents": "102000001"}, ("INVALID_INPUT", "costBasisCents")),
        ({"costBasisCents": "-1"}, ("NEGATIVE_AMOUNT", "costBasisCents")),
        ({"sharePriceCents": "-100"}, ("NEGATIVE_AMOUNT", "sharePriceCents")),
        ({"sharesAcquired": "0"}, ("INVALID_INPUT", "sharesAcquired")),
        ({"sharesAcquired": "10000000000"}, ("INVALID_INPUT", "sharesAcquired")),
        ({"sharesAcquired": "1.000000001"}, ("INVALID_INPUT", "sharesAcquired")),
        ({"acquiredOn": FAR_AHEAD}, ("INVALID_INPUT", "acquiredOn")),
        ({"investmentId": "nonsense"}, ("NOT_FOUND", "investmentId")),
    ],
)
async def test_bad_lot_is_refused(forecasts: Forecasts, values: dict[str, str], expected: tuple[str, str]) -> None:
    assert errors(await forecasts.lot(**values)) == [expected]
    assert await forecasts.server.owner.fetchval("SELECT count(*) FROM investment_lots") == 0


async def test_largest_lot_is_taken(forecasts: Forecasts) -> None:
    made = await forecasts.lot(
        sharePriceCents="922337203", sharesAcquired="9999999999.99999999", costBasisCents="9223372030000000000"
    )
    assert (made["lot"]["sharesAcquired"], made["userErrors"]) == ("9999999999.99999999", [])


async def test_numbers_of_a_changed_lot_agree_with_those_that_stay(forecasts: Forecasts) -> None:
    target = {"id": (await forecasts.lot())["lot"]["id"], "expectedVersion": "1"}
    assert errors(await forecasts.write("updateInvestmentLot", **target, sharePriceCents="102")) == [
        ("INVALID_INPUT", "costBasisCents")
    ]
    changed = await forecasts.write(
        "updateInvestmentLot", **target, sharePriceCents="102", costBasisCents="102000001", lotType="SECONDARY"
    )
    assert (changed["lot"]["costBasisCents"], changed["lot"]["lotType"]) == ("102000001", "SECONDARY")
    assert changed["lot"]["version"] == "2"
    assert errors(await forecasts.write("updateInvestmentLot", **target, costBasisCents="1")) == [
        ("VERSION_CONFLICT", "expectedVersion")
    ]
    target["expectedVersion"] = "2"
    assert errors(await forecasts.write("updateInvestmentLot", **target, acquiredOn=None)) == [
        ("INVALID_INPUT", "acquiredOn")
    ]
    assert await forecasts.events("lot.created", "lot.updated") == 2
