"""Idempotency of what keeps its key in its own row: one row for a key, and a row forgets a key that has expired."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from api.services import idempotency
from tests.server import RunningServer
from tests.services.forecast_client import LOT_VALUES, Forecasts

Create = Callable[..., Awaitable[Any]]
TABLES = {
    "createForecastSnapshot": "forecast_snapshots",
    "createInvestmentLot": "investment_lots",
    "createReserveAllocation": "reserve_allocations",
}


@pytest.fixture
async def forecasts(server: RunningServer) -> Forecasts:
    return await Forecasts(server).create()


async def values(forecasts: Forecasts, mutation: str) -> dict[str, Any]:
    """An input for the mutation."""
    match mutation:
        case "createForecastSnapshot":
            return {"fundId": forecasts.fund_id, "name": "Q1"}
        case "createInvestmentLot":
            return {"investmentId": forecasts.investment_id, **LOT_VALUES}
    company_id = await forecasts.company("B")
    return {"snapshotId": await forecasts.snapshot(), "companyId": company_id, "plannedReserveCents": "1"}


async def keys(forecasts: Forecasts, table: str) -> list[tuple[str | None, int]]:
    """Key and version of the rows of a table, by age."""
    found = await forecasts.server.owner.fetch(f"SELECT idempotency_key, version FROM {table} ORDER BY id")
    return [(row["idempotency_key"], row["version"]) for row in found]


async def purge(server: RunningServer) -> int:
    async with server.database.writing(server.organization_ids["alpha"]) as connection:
        purged = await idempotency.purge_expired(connection, server.organization_ids["alpha"])
        await connection.execute("COMMIT")
    return purged


@pytest.mark.parametrize("mutation", TABLES)
async def test_a_hundred_at_once_with_one_key_make_one_row(forecasts: Forecasts, mutation: str) -> None:
    given = await values(forecasts, mutation) | {"idempotencyKey": "k" * 128}
    payloads = await asyncio.gather(*(forecasts.write(mutation, **given) for _ in range(100)))
    assert sum(payload.pop("replayed") for payload in payloads) == 99
    assert all(payload == payloads[0] for payload in payloads)
    assert payloads[0]["userErrors"] == []
    assert await keys(forecasts, TABLES[mutation]) == [("k" * 128, 1)]


async def test_key_is_of_one_parent(forecasts: Forecasts) -> None:
    made = await forecasts.write(
        "createInvestment", companyId=forecasts.company_id, investedOn="2024-01-31", amountCents="1"
    )
    other = made["investment"]["id"]
    for investment_id in (forecasts.investment_id, other):
        assert (await forecasts.lot(investmentId=investment_id, idempotencyKey="k"))["replayed"] is False
    assert await keys(forecasts, "investment_lots") == [("k", 1), ("k", 1)]
    reused = await forecasts.lot(idempotencyKey="k", lotType="SECONDARY")
    assert [error["code"] for error in reused["userErrors"]] == ["IDEMPOTENCY_KEY_REUSED"]


@pytest.mark.parametrize("mutation", TABLES)
async def test_row_forgets_an_expired_key_when_it_is_used_again(forecasts: Forecasts, mutation: str) -> None:
    given = await values(forecasts, mutation) | {"idempotencyKey": "k"}
    await forecasts.write(mutation, **given)
    await forecasts.server.owner.execute("UPDATE idempotency_keys SET expires_at = now()")
    if mutation == "createReserveAllocation":
        given["companyId"] = await forecasts.company("C")
    again = await forecasts.write(mutation, **given)
    assert (again["replayed"], again["userErrors"]) == (False, [])
    assert await keys(forecasts, TABLES[mutation]) == [(None, 1), ("k", 1)]
    assert (await forecasts.write(mutation, **given))["replayed"] is True


async def test_purge_forgets_expired_keys_everywhere_and_no_others(forecasts: Forecasts) -> None:
    server = forecasts.server
    for mutation in TABLES:
        given = await values(forecasts, mutation)
        await forecasts.write(mutation, **given, idempotencyKey="old")
    await forecasts.write("createFund", name="Old", idempotencyKey="old")
    assert await purge(server) == 0
    await server.owner.execute("UPDATE idempotency_keys SET expires_at = now()")
    await forecasts.lot(idempotencyKey="new")
    assert await purge(server) == 4
    assert await server.owner.fetch("SELECT key FROM idempotency_keys") == [("new",)]
    assert await keys(forecasts, "investment_lots") == [(None, 1), ("new", 1)]
    assert set(await keys(forecasts, "forecast_snapshots")) == {(None, 1)}
    assert await keys(forecasts, "reserve_allocations") == [(None, 1)]


async def test_purge_leaves_a_key_that_is_being_claimed_again(forecasts: Forecasts) -> None:
    server = forecasts.server
    for key in ("claimed", "old"):
        await forecasts.lot(idempotencyKey=key)
    await server.owner.execute("UPDATE idempotency_keys SET expires_at = now()")
    async with server.owner.transaction():
        await server.owner.execute("SELECT 1 FROM idempotency_keys WHERE key = 'claimed' FOR UPDATE")
        assert await purge(server) == 1
    assert await keys(forecasts, "investment_lots") == [("claimed", 1), (None, 1)]
