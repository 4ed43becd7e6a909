"""Rows of every kind in the organization alpha, nulls and equal sort keys among them, and a few in beta."""

from collections.abc import Awaitable, Callable
from datetime import date
from decimal import Decimal

from pydantic import TypeAdapter

from api.domain.access import Principal
from api.domain.reallocation import Proposal
from api.services import (
    capital,
    companies,
    deal_allocations,
    deals,
    forecasts,
    funds,
    investments,
    portfolios,
    reallocations,
    reserve_allocations,
    statements,
)
from api.services.capital import Changed
from api.services.commands import Command, Writer
from api.services.reserve_allocations import NewAllocation
from api.services.snapshot_calculation import Calculator, calculate_due
from api.services.statements import NewStatement
from tests.reads.population_of_calls import populate_calls
from tests.server import RunningServer

DAY = date(2024, 12, 31)
YEARS = (2020, None, 2020, 2022, 2018, None)


async def populate(server: RunningServer) -> None:
    """Fills both organizations."""
    writer = Writer(server.database)
    for organization in ("alpha", "beta"):
        principal = server.principal(organization=organization)
        await writer.run(principal, "importStatements", _fill, result_type=TypeAdapter(int))
        await writer.run(principal, "createForecastSnapshot", _forecast, result_type=TypeAdapter(int))
        await _finance(writer, principal)
        await writer.run(principal, "createDealAllocation", _allocate, result_type=TypeAdapter(int))
        await populate_calls(writer, principal, await _some_funds(server, principal.organization_id))
    # The last two of each organization stay as they are: nothing is calculated twice.
    await calculate_due(Calculator(server.database, writer, 60))
    for organization in ("alpha", "beta"):
        principal = server.principal(organization=organization)
        await writer.run(principal, "createForecastSnapshot", _ask_again, result_type=TypeAdapter(int))


async def _some_funds(server: RunningServer, organization_id: int) -> list[int]:
    rows = await server.owner.fetch(
        "SELECT id FROM funds WHERE organization_id = $1 ORDER BY id LIMIT 3", organization_id
    )
    return [row["id"] for row in rows]


async def _fill(command: Command) -> int:
    portfolio_ids = [
        await portfolios.create_portfolio(command, name=name, currency="USD") for name in ("Endowment", "Pension Ünï")
    ]
    for index, year in enumerate(YEARS):
        fund_id = await funds.create_fund(
            command,
            name=f"Fund {index}",
            vintage_year=year,
            strategy=(None, "Buyout", "Venture")[index % 3],
            general_partner=None if index % 2 else "Partners",
            size_cents=None if index == 1 else (index + 1) * 10**9,
        )
        for number in range(index):
            await companies.create_portfolio_company(
                command,
                fund_id=fund_id,
                values={
                    "name": f"Company {number % 2}",
                    "sector": ("Software", None)[number % 2],
                    "stage": (None, "SEED", "GROWTH")[number % 3],
                    "invested_cents": number * 10**6,
                    "planned_reserves_cents": 10**7,
                    "exit_moic": (None, Decimal("3.500000"), Decimal(2))[number % 3],
                    "exit_probability": Decimal("0.1") if number else None,
                },
            )
        for portfolio_id in portfolio_ids[: 1 + index % 2]:
            await _hold(command, portfolio_id, fund_id, index)
        if index > 2:
            await _reallocate(command, fund_id)
    return 1


async def _forecast(command: Command) -> int:
    """Investments and lots of some companies, a snapshot of every other fund, and plans by it for some companies."""
    connection, organization_id = command.connection, command.organization_id
    companies_of: dict[int, list[int]] = {}
    for row in await connection.fetch(
        "SELECT id, fund_id FROM portfolio_companies WHERE organization_id = $1 ORDER BY id", organization_id
    ):
        companies_of.setdefault(row["fund_id"], []).append(row["id"])
    for fund_id, company_ids in companies_of.items():
        for number, company_id in enumerate(company_ids[1:]):
            await _invest(command, company_id, number)
        if fund_id % 2:
            continue
        snapshot_id = await forecasts.create_forecast_snapshot(command, today=DAY, fund_id=fund_id, name="Ünï")
        plans = [
            NewAllocation(company_id, number * 10**6, None if number else Decimal("0.5"), number % 2 or None)
            for number, company_id in enumerate(company_ids[:3])
        ]
        await reserve_allocations.create_reserve_allocations(command, snapshot_id=snapshot_id, allocations=plans)
    return 1


async def _allocate(command: Command) -> int:
    """Deals, some alike, and allocations to them by every fund but the first; some wait for their approval."""
    deal_ids = [
        await deals.create_deal(command, name=name, sector=sector, stage=stage, valuation_cents=valuation)
        for name, sector, stage, valuation in (
            ("Deal", None, None, None),
            ("Deal", "Software", "CLOSING", 10**9),
            ("Ünï", "Software", "IC_REVIEW", 0),
        )
    ]
    funds_found = await command.connection.fetch(
        "SELECT id, size_cents FROM funds WHERE organization_id = $1 ORDER BY id OFFSET 1", command.organization_id
    )
    for number, fund in enumerate(funds_found):
        for deal_id in deal_ids[: 1 + number % 3]:
            by_percentage = number % 2 == 1 and fund["size_cents"] is not None
            await deal_allocations.create_deal_allocation(
                command,
                today=DAY,
                fund_id=fund["id"],
                deal_id=deal_id,
                security_type=("EQUITY", "NOTE")[number % 2],
                amount_cents=None if by_percentage else (100_000, 600_000_000, 100_000)[number % 3],
                percentage=Decimal("0.1") if by_percentage else None,
                allocated_on=date(2024, 1, 31 - number % 2),
                notes="x" if number else None,
            )
    return 1


async def _invest(command: Command, company_id: int, number: int) -> None:
    investment_id = await investments.create_investment(
        command,
        today=DAY,
        company_id=company_id,
        round="Series A" if number else None,
        invested_on=date(2023, 1, 31),
        amount_cents=number * 10**6,
    )
    for lot, lot_type in enumerate(("INITIAL", "FOLLOW_ON", "SECONDARY")[: number + 1]):
        await investments.create_investment_lot(
            command,
            today=DAY,
            investment_id=investment_id,
            lot_type=lot_type,
            share_price_cents=100 * lot,
            shares_acquired=Decimal("10.5"),
            cost_basis_cents=1050 * lot,
            acquired_on=date(2023, 1, 31 - lot),
        )


async def _ask_again(command: Command) -> int:
    fund_id = await command.connection.fetchval(
        "SELECT min(id) FROM funds WHERE organization_id = $1", command.organization_id
    )
    for name in ("Waiting", "Waiting, too"):
        await forecasts.create_forecast_snapshot(command, today=DAY, fund_id=fund_id, name=name)
    return 1


async def _finance(writer: Writer, principal: Principal) -> None:
    """Three sources, one of them removed; back-dated changes among them."""
    day = DAY

    async def made(service: Callable[..., Awaitable[Changed]], **values: object) -> int:
        outcome = await writer.run(
            principal,
            "addCapitalSource",
            lambda command: service(command, today=day, **values),
            result_type=TypeAdapter(Changed),
        )
        return outcome.result.source_id

    for index in range(3):
        source_id = await made(
            capital.add_capital_source,
            name=f"Source {index}",
            external_key=None if index else "Ünï",
            annual_rate=Decimal("0.05") * index,
            available_cents=10**6,
            effective_on=date(2023 + index % 2, 12, 31 - index),
        )
        on = date(2024, 12, 30)
        await made(capital.update_capital_rate, source_id=source_id, annual_rate=Decimal("0.0701"), effective_on=day)
        await made(capital.update_capital_amount, source_id=source_id, available_cents=5, effective_on=on, notes="x")
    await made(capital.remove_capital_source, source_id=source_id, effective_on=day)


async def _hold(command: Command, portfolio_id: int, fund_id: int, index: int) -> None:
    holding_id = await portfolios.create_holding(
        command, portfolio_id=portfolio_id, fund_id=fund_id, commitment_cents=None if index == 2 else index * 10**8
    )
    if index == 0:
        return
    reported = [
        NewStatement(
            holding_id,
            date(2023 + year, 12, 31),
            committed_cents=10**8,
            paid_in_cents=None if index == 3 else 0 if index == 4 else (year + 1) * 3 * 10**7,
            distributed_cents=-5 if index == 1 else 10**7,
            nav_cents=None if year == 0 else 4 * 10**7 + index,
            reported_irr=Decimal("-0.1010") if year else None,
            reported_multiple=Decimal("1.3999"),
        )
        for year in range(2)
    ]
    await statements.record_holding_statements(command, reported)


async def _reallocate(command: Command, fund_id: int) -> None:
    company_ids = await command.connection.fetch("SELECT id FROM portfolio_companies WHERE fund_id = $1", fund_id)
    version = await command.connection.fetchval("SELECT allocation_version FROM funds WHERE id = $1", fund_id)
    for step, row in enumerate(company_ids[:2]):
        await reallocations.commit(
            command,
            fund_id=fund_id,
            expected_version=version + step,
            proposals=[Proposal(row["id"], 2 * 10**7)],
            reason=None if step else "more",
        )
