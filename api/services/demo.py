"""The demo: an organization with three members, and some of everything.

A few funds with companies, what was invested in these and is planned for them, deals, portfolios, and capital.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import asyncpg
from pydantic import TypeAdapter

from api.domain.access import Principal, Role
from api.domain.capital import CapitalAction
from api.domain.capital_entries import FileEntry, Reading
from api.domain.lots import LotKind
from api.services import (
    capital_import,
    companies,
    demo_money,
    forecasts,
    funds,
    investments,
    portfolios,
    reserve_allocations,
    statements,
)
from api.services.commands import Command, Writer
from api.services.organizations import Member, create_organization
from api.services.recalculation import EVERYTHING, recalculate
from api.services.reserve_allocations import NewAllocation
from api.services.statements import NewStatement

DEMO_SLUG = "demo"
ADMIN_EMAIL = "admin@demo.example"
EDITOR_EMAIL = "editor@demo.example"
VIEWER_EMAIL = "viewer@demo.example"
MEMBERS = (
    Member(ADMIN_EMAIL, Role.ADMIN, "Ada Admin"),
    Member(EDITOR_EMAIL, Role.EDITOR, "Emil Editor"),
    Member(VIEWER_EMAIL, Role.VIEWER, "Vera Viewer"),
)
MILLION = 100_000_000
"""A million of the major unit, in cents."""
STAGES = ("SEED", "SERIES_A", "SERIES_B", "SERIES_C", "GROWTH")
SECTORS = ("Climate", "Fintech", "Health", "Industry", "Software")
COMPANY_NAMES = (
    "Alder Grid", "Basalt Bank", "Cobalt Care", "Delta Foundry", "Ember Logic", "Fjord Power", "Granite Pay",
    "Harbor Bio", "Indigo Works", "Juniper Labs", "Kestrel Energy", "Larch Ledger", "Meadow Med", "Nimbus Parts",
    "Orchard AI", "Pine Storage", "Quarry Credit", "River Clinic", "Summit Tools", "Tundra Data", "Umber Solar",
    "Violet Funds", "Willow Health", "Xenon Motors",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class DemoFund:
    """A fund of the demo; size in cents, 0 companies for one that a portfolio merely holds."""

    name: str
    vintage_year: int
    general_partner: str
    strategy: str
    size_cents: int
    company_count: int = 0


FUNDS = (
    DemoFund("Northlight Ventures II", 2021, "Northlight Partners", "Venture Capital", 150 * MILLION, 12),
    DemoFund("Northlight Growth I", 2022, "Northlight Partners", "Growth Equity", 400 * MILLION, 8),
    DemoFund("Seabright Seed", 2023, "Seabright Capital", "Venture Capital", 60 * MILLION, 4),
    DemoFund("Oakfield Buyout IV", 2019, "Oakfield", "Buyout", 2_500 * MILLION),
    DemoFund("Oakfield Credit II", 2020, "Oakfield", "Private Credit", 1_200 * MILLION),
    DemoFund("Meridian Infrastructure III", 2018, "Meridian", "Infrastructure", 3_000 * MILLION),
)


@dataclass(frozen=True, slots=True)
class DemoSource:
    """A capital source of the demo; days are days ago.

    A change is a day with a new rate, a new amount in cents, or neither where the source is removed.
    """

    name: str
    added: int
    annual_rate: Decimal
    available_cents: int
    changes: tuple[tuple[int, Decimal | int | None], ...]


SOURCES = (
    DemoSource("Founders' equity", 720, Decimal("0.14"), 20 * MILLION, ((75, Decimal("0.1325")),)),
    DemoSource(
        "Harbour Bank term loan",
        700,
        Decimal("0.0525"),
        12 * MILLION,
        ((420, Decimal("0.061")), (205, 9 * MILLION), (100, Decimal("0.0575"))),
    ),
    DemoSource(
        "Revolving credit line",
        640,
        Decimal("0.065"),
        4 * MILLION,
        ((330, 13 * MILLION // 2), (250, Decimal("0.0725")), (130, 3 * MILLION), (20, 5 * MILLION)),
    ),
    DemoSource("Mezzanine notes", 520, Decimal("0.11"), 5 * MILLION, ((160, 15 * MILLION // 2),)),
    DemoSource("Bridge loan", 400, Decimal("0.095"), 5 * MILLION // 2, ((40, None),)),
)
SHARE_PRICE_CENTS = 125
ALLOCATED = 5
"""For so many companies of a fund something is planned by its snapshot."""
STATEMENT_DATES = (date(2023, 12, 31), date(2024, 12, 31), date(2025, 12, 31))


async def load_demo(owner: asyncpg.Connection, writer: Writer) -> bool:
    """Creates the demo where it is not there yet; whether it did. ``owner`` is a connection of the schema's owner."""
    async with owner.transaction():
        await owner.execute("SET LOCAL ROLE tranche_maintenance")
        found = await owner.fetchrow(
            """
            SELECT id, EXISTS (SELECT 1 FROM funds WHERE organization_id = organizations.id) AS is_loaded
            FROM organizations WHERE slug = $1
            """,
            DEMO_SLUG,
        )
    if found is not None and found["is_loaded"]:
        return False
    organization_id = (
        found["id"]
        if found
        else await create_organization(
            owner, name="Demo Capital", slug=DEMO_SLUG, currency="USD", members=list(MEMBERS)
        )
    )
    # All rows in one transaction, so that a start that was cut off is made up for by the next.
    principal = Principal(organization_id, None, Role.ADMIN)
    outcome = await writer.run(principal, "loadDemo", _load, result_type=TypeAdapter(int))
    await recalculate(writer, principal, portfolio_id=outcome.result, since=EVERYTHING)
    return True


async def _load(command: Command) -> int:
    """Makes all of it; the id of the portfolio whose returns are to be computed."""
    random = Random(20240229)  # noqa: S311 - the same demo every time
    today = datetime.now(UTC).date()
    names = iter(COMPANY_NAMES)
    fund_ids = []
    for fund in FUNDS:
        fund_id = await funds.create_fund(
            command,
            name=fund.name,
            vintage_year=fund.vintage_year,
            general_partner=fund.general_partner,
            strategy=fund.strategy,
            size_cents=fund.size_cents,
        )
        fund_ids.append(fund_id)
        plans: list[NewAllocation] = []
        for _ in range(fund.company_count):
            values = _company(random, next(names), fund.size_cents // fund.company_count)
            company_id = await companies.create_portfolio_company(command, fund_id=fund_id, values=values)
            await _invest(command, company_id, values["invested_cents"], fund.vintage_year, today)
            plans.append(
                NewAllocation(company_id, values["planned_reserves_cents"] * 11 // 10, priority=len(plans) + 1)
            )
        if plans:
            snapshot_id = await forecasts.create_forecast_snapshot(
                command, today=today, fund_id=fund_id, name=f"Forecast of {today:%B %Y}"
            )
            await reserve_allocations.create_reserve_allocations(
                command, snapshot_id=snapshot_id, allocations=plans[:ALLOCATED]
            )
    portfolio_id = await portfolios.create_portfolio(command, name="Demo Endowment", currency="USD")
    for fund, fund_id in zip(FUNDS, fund_ids, strict=True):
        commitment = random.randint(5, 20) * fund.size_cents // 200
        holding_id = await portfolios.create_holding(
            command, portfolio_id=portfolio_id, fund_id=fund_id, commitment_cents=commitment
        )
        await statements.record_holding_statements(command, _statements(random, holding_id, commitment))
    history = sorted(
        (entry for source in SOURCES for entry in _history(source, today)), key=lambda one: one.effective_on
    )
    await capital_import.import_history(command, Reading(dict(enumerate(history))), today=today, source="demo")
    await demo_money.load_deals(command, fund_ids[2], today)
    return await demo_money.load_portfolio(command, fund_ids[3:], today)


async def _invest(command: Command, company_id: int, invested: int, year: int, today: date) -> None:
    """Two thirds of the sum with the first money, the rest two years later at twice the price."""
    first = 2 * invested // 3
    for name, lot_type, amount, on, price in (
        ("Seed", LotKind.INITIAL, first, date(year, 6, 30), SHARE_PRICE_CENTS),
        ("Series A", LotKind.FOLLOW_ON, invested - first, date(year + 2, 6, 30), 2 * SHARE_PRICE_CENTS),
    ):
        investment_id = await investments.create_investment(
            command, today=today, company_id=company_id, invested_on=on, amount_cents=amount, round=name
        )
        await investments.create_investment_lot(
            command,
            today=today,
            investment_id=investment_id,
            lot_type=lot_type,
            share_price_cents=price,
            shares_acquired=Decimal(amount // price),
            cost_basis_cents=amount,
            acquired_on=on,
        )


def _company(random: Random, name: str, share_cents: int) -> dict[str, Any]:
    invested = random.randint(10, 60) * share_cents // 100
    planned = random.randint(5, 40) * share_cents // 100
    return {
        "name": name,
        "sector": random.choice(SECTORS),
        "stage": random.choice(STAGES),
        "invested_cents": invested,
        "current_valuation_cents": random.randint(60, 280) * invested // 100,
        "planned_reserves_cents": planned,
        "deployed_reserves_cents": random.randint(0, 50) * planned // 100,
        "allocation_cap_cents": 3 * planned,
        "exit_moic": Decimal(random.randint(10, 80)) / 10,
        "exit_probability": Decimal(random.randint(10, 80)) / 100,
        "ownership": Decimal(random.randint(3, 25)) / 100,
    }


def _statements(random: Random, holding_id: int, commitment: int) -> list[NewStatement]:
    paid_in, distributed = 0, 0
    reported = []
    for as_of in STATEMENT_DATES:
        paid_in = min(commitment, paid_in + random.randint(20, 35) * commitment // 100)
        distributed += random.randint(0, 20) * paid_in // 100
        nav = random.randint(85, 135) * (paid_in - distributed // 2) // 100
        multiple = (Decimal(distributed + nav) / Decimal(paid_in)).quantize(Decimal("0.0001"))
        reported.append(
            NewStatement(holding_id, as_of, commitment, paid_in, distributed, nav, reported_multiple=multiple)
        )
    return reported


def _history(source: DemoSource, today: date) -> Iterator[FileEntry]:
    """The source's entries, the first first."""
    key = source.name.lower().replace("'", "").replace(" ", "-")
    added_on = today - timedelta(days=source.added)
    standing = FileEntry(
        f"{key}-0", key, added_on, source.name, source.annual_rate, source.available_cents, CapitalAction.ADDED
    )
    yield standing
    for number, (days_ago, value) in enumerate(source.changes, 1):
        rate, amount = standing.annual_rate, standing.available_cents
        standing = replace(
            standing,
            id=f"{key}-{number}",
            effective_on=today - timedelta(days=days_ago),
            action=CapitalAction.REMOVED,
            previous_rate=rate,
            previous_amount_cents=amount,
        )
        match value:
            case Decimal():
                standing = replace(
                    standing, action=CapitalAction.RATE_CHANGED, annual_rate=value, previous_amount_cents=None
                )
            case int():
                standing = replace(
                    standing, action=CapitalAction.AMOUNT_CHANGED, available_cents=value, previous_rate=None
                )
        yield standing
