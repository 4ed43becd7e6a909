"""The demo's money on its way: deals with allocations and capital calls, and a portfolio with cash flows and values."""

from dataclasses import dataclass
from datetime import date, timedelta

from api.domain.activities import ActivityType
from api.services import activities, capital_calls, deals, distributions, payments, portfolios, valuations
from api.services.activities import NewActivity
from api.services.commands import Command
from api.services.deal_allocations import create_deal_allocation
from api.services.valuations import NewValuation

MILLION = 100_000_000
"""A million of the major unit, in cents."""


@dataclass(frozen=True, slots=True)
class DemoCall:
    """A capital call of the demo: made so many days ago, due 30 days later, and what of it is paid by now; in cents."""

    days_ago: int
    cents: int
    paid_cents: int


@dataclass(frozen=True, slots=True)
class DemoDeal:
    """A deal of the demo, and what the fund allocates to it in cents; 0 for one that is only looked at."""

    name: str
    sector: str
    stage: str
    valuation_cents: int
    allocated_cents: int = 0
    calls: tuple[DemoCall, ...] = ()


DEALS = (
    DemoDeal(
        "Aurora Grid", "Climate", "CLOSING", 60 * MILLION, 5 * MILLION, (DemoCall(900, 5 * MILLION, 5 * MILLION),)
    ),
    DemoDeal(
        "Brightwater Bio",
        "Health",
        "CLOSING",
        45 * MILLION,
        5 * MILLION,
        (DemoCall(620, 3 * MILLION, 3 * MILLION), DemoCall(400, 2 * MILLION, 2 * MILLION)),
    ),
    DemoDeal(
        "Cinder Robotics",
        "Industry",
        "CLOSING",
        35 * MILLION,
        5 * MILLION,
        (DemoCall(200, 2 * MILLION, 2 * MILLION), DemoCall(20, 2 * MILLION, MILLION // 2), DemoCall(-25, MILLION, 0)),
    ),
    DemoDeal("Dune Logistics", "Software", "IC_REVIEW", 90 * MILLION, 6 * MILLION),
    DemoDeal("Estuary Health", "Health", "DILIGENCE", 25 * MILLION),
)
"""The fourth waits for approval: it is above what is allocated without."""
PORTFOLIO_NAME = "Demo Family Office"
QUARTERS = 16
CALLED_PER_MILLE = (80, 0, 120, 60, 0, 150, 90, 0, 70, 110, 0, 60, 0, 50, 0, 0)
DISTRIBUTED_PER_MILLE = (0, 0, 0, 0, 0, 20, 0, 45, 0, 80, 30, 0, 120, 0, 95, 60)
VALUE_PER_MILLE = (78, 79, 204, 271, 285, 431, 538, 521, 603, 655, 664, 741, 652, 719, 661, 640)
"""Of the commitment, by quarter."""


async def load_deals(command: Command, fund_id: int, today: date) -> None:
    """Deals of a fund, with calls that are paid, paid in part and scheduled, and with a distribution."""
    for deal in DEALS:
        deal_id = await deals.create_deal(
            command, name=deal.name, sector=deal.sector, stage=deal.stage, valuation_cents=deal.valuation_cents
        )
        if not deal.allocated_cents:
            continue
        days_ago = deal.calls[0].days_ago if deal.calls else 5
        written = await create_deal_allocation(
            command,
            today=today,
            fund_id=fund_id,
            deal_id=deal_id,
            security_type="PREFERRED",
            amount_cents=deal.allocated_cents,
            allocated_on=today - timedelta(days=days_ago),
        )
        for call in deal.calls:
            await _call(command, written.allocation_id, call, today)
        if deal is DEALS[0]:
            await distributions.record_distribution(
                command,
                today=today,
                allocation_id=written.allocation_id,
                amount_cents=4 * MILLION,
                distribution_type="CAPITAL_GAIN",
                distributed_on=today - timedelta(days=60),
            )


async def _call(command: Command, allocation_id: int, call: DemoCall, today: date) -> None:
    called_on = today - timedelta(days=call.days_ago)
    call_id = await capital_calls.create_capital_call(
        command,
        today=today,
        allocation_id=allocation_id,
        amount_cents=call.cents,
        called_on=called_on,
        status="SCHEDULED" if called_on > today else "CALLED",
    )
    if call.paid_cents:
        await payments.record_capital_call_payment(
            command, today=today, call_id=call_id, amount_cents=call.paid_cents, paid_on=called_on + timedelta(days=14)
        )


async def load_portfolio(command: Command, fund_ids: list[int], today: date) -> int:
    """A portfolio that holds the funds, with four years of cash flows and values; its id. Returns are not computed."""
    portfolio_id = await portfolios.create_portfolio(command, name=PORTFOLIO_NAME, currency="USD")
    flows: list[NewActivity] = []
    values: list[NewValuation] = []
    for number, fund_id in enumerate(fund_ids):
        commitment = (number + 2) * 5 * MILLION
        holding_id = await portfolios.create_holding(
            command, portfolio_id=portfolio_id, fund_id=fund_id, commitment_cents=commitment
        )
        for quarter, day in enumerate(_quarter_ends(today)):
            for kind, per_mille in (
                (ActivityType.INVESTMENT, CALLED_PER_MILLE[quarter]),
                (ActivityType.DISTRIBUTION, DISTRIBUTED_PER_MILLE[quarter]),
            ):
                if per_mille:
                    flows.append(
                        NewActivity(holding_id, kind, per_mille * commitment // 1000, day - timedelta(days=45))
                    )
            value = VALUE_PER_MILLE[quarter] * commitment // 1000 * (100 + 6 * number) // 100
            values.append(NewValuation(holding_id, day, value))
    await activities.create_holding_activities(command, flows)
    await valuations.record_holding_valuations(command, values)
    return portfolio_id


def _quarter_ends(today: date) -> list[date]:
    """The last days of the quarters that have ended, the first first."""
    year, quarter = today.year, (today.month - 1) // 3
    starts = [divmod(year * 4 + quarter - ago, 4) for ago in range(QUARTERS - 1, -1, -1)]
    return [date(year, 3 * quarter + 1, 1) - timedelta(days=1) for year, quarter in starts]
