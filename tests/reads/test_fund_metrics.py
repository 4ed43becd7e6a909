"""Fund metrics: each figure, at any date, equals what a slow count of the rows comes to, however it is asked for."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from pydantic import TypeAdapter

from api.domain.access import Role
from api.reads import global_ids
from api.services import companies, forecasts, funds
from api.services.commands import Command, Writer
from api.services.snapshot_calculation import Calculator, calculate_due
from tests.commitments import SELECTED, Commitments, Row, insert, random_commitments
from tests.reads.test_compiled import ask, resolvers_only
from tests.server import RunningServer

ONE = f"query ($id: ID!, $day: Date) {{ fund(id: $id) {{ metrics(asOf: $day) {{ {SELECTED} }} }} }}"
TODAY = datetime.now(UTC).date()
SIZE = 5 * 10**9
DAY = timedelta(days=1)


async def make_fund(server: RunningServer, *, name: str = "Fund", size_cents: int | None = SIZE) -> int:
    outcome = await Writer(server.database).run(
        server.principal(),
        "createFund",
        lambda command: funds.create_fund(command, name=name, size_cents=size_cents),
        result_type=TypeAdapter(int),
    )
    return outcome.result


async def filled(server: RunningServer, made: Commitments, **fund: Any) -> int:
    """A fund with these rows."""
    fund_id = await make_fund(server, **fund)
    await insert(server.owner, server.organization_ids["alpha"], fund_id, made)
    return fund_id


async def metrics_of(server: RunningServer, fund_id: int, as_of: date | None = None, query: str = ONE) -> Any:
    variables = {"id": global_ids.encode("Fund", fund_id), "day": None if as_of is None else str(as_of)}
    return (await server.execute(query, variables, role=Role.VIEWER)).data["fund"]["metrics"]


def commitment(**values: Any) -> Row:
    return Row(id=0, status="COMMITTED", amount_cents=75_000_000, allocated_on=date(2024, 1, 1)) | values


def call(number: int, amount: int, paid: int, **values: Any) -> Row:
    row = Row(id=number, allocation_id=0, amount_cents=amount, paid_cents=paid, called_on=date(2024, 2, 1))
    row |= {"due_on": date(2024, 3, 2), "status": "PAID" if paid == amount else "PARTIALLY_PAID"}
    return row | {"next_check_on": None if paid == amount else row["due_on"]} | values


C1 = Commitments(
    [commitment()],
    [call(0, 22_500_000, 22_500_000), call(1, 10_000_000, 6_000_000)],
    [
        Row(id=0, capital_call_id=0, amount_cents=22_500_000, paid_on=date(2024, 2, 20)),
        Row(id=1, capital_call_id=1, amount_cents=6_000_000, paid_on=date(2024, 2, 25)),
    ],
    [Row(id=0, allocation_id=0, amount_cents=5_700_000, distributed_on=date(2024, 6, 1))],
    [
        Row(id=0, status="ACTIVE", invested_cents=20_000_000, current_valuation_cents=28_500_000, realized_cents=0),
        Row(id=1, status="EXITED", invested_cents=5_000_000, current_valuation_cents=1, realized_cents=9_000_000),
    ],
)


async def test_vector_c1(server: RunningServer) -> None:
    fund_id = await filled(server, C1, size_cents=100_000_000)
    found = await metrics_of(server, fund_id)
    assert found.pop("grossIrr").startswith("0.0")
    assert found == {
        "asOf": str(TODAY),
        "committedCents": "75000000",
        "calledCents": "32500000",
        "paidCents": "28500000",
        "uncalledCents": "42500000",
        "unpaidCents": "4000000",
        "overdueCents": "4000000",
        "distributedCents": "5700000",
        "navCents": "28500000",
        "collectionRate": "0.876923",
        "utilization": "0.75",
        "dpi": "0.2",
        "rvpi": "1",
        "tvpi": "1.2",
        "moic": "1.5",
        "grossIrrReason": None,
    }


@pytest.mark.parametrize(
    ("day", "called", "paid", "overdue"),
    [
        (date(2024, 1, 31), "0", "0", "0"),
        (date(2024, 2, 1), "32500000", "0", "0"),
        (date(2024, 2, 20), "32500000", "22500000", "0"),
        (date(2024, 3, 9), "32500000", "28500000", "0"),
        (date(2024, 3, 10), "32500000", "28500000", "4000000"),
    ],
)
async def test_what_was_called_paid_and_overdue_on_a_day(
    server: RunningServer, day: date, called: str, paid: str, overdue: str
) -> None:
    found = await metrics_of(server, await filled(server, C1), day)
    assert (found["calledCents"], found["paidCents"], found["overdueCents"]) == (called, paid, overdue)


async def test_payment_that_came_later_was_overdue_until_then(server: RunningServer) -> None:
    late = Commitments([commitment()], [call(0, 100, 100)], [])
    late.payments.append(Row(id=0, capital_call_id=0, amount_cents=100, paid_on=date(2024, 5, 1)))
    fund_id = await filled(server, late)
    overdue = [
        (await metrics_of(server, fund_id, date(2024, *day)))["overdueCents"] for day in ((3, 10), (4, 30), (5, 1))
    ]
    assert overdue == ["100", "100", "0"]


async def test_metrics_equal_a_slow_recount_on_any_day(server: RunningServer) -> None:
    random = Random(7)
    made = {}
    for number in range(12):
        first = TODAY - DAY * random.choice([0, 400, 800])
        rows = random_commitments(random, first)
        size = None if number == 3 else random.randint(1, 10**10)
        fund_id = await filled(server, rows, name=f"Fund {number}", size_cents=size)
        made[global_ids.encode("Fund", fund_id)] = (rows, size)
    days = [None, TODAY, TODAY + 30 * DAY, *(TODAY - DAY * random.randint(-300, 900) for _ in range(9))]
    async with resolvers_only(server) as slow:
        for day in days:
            query = (
                f"query ($day: Date) {{ funds(first: 100) {{ nodes {{ id metrics(asOf: $day) {{ {SELECTED} }} }} }} }}"
            )
            variables = {"day": None if day is None else str(day)}
            compiled, path = await ask(server.client, server, query, variables)
            resolved, _ = await ask(slow, server, query, variables)
            assert path == "compiled"
            assert compiled == resolved
            data = (await server.execute(query, variables)).data
            as_of = day or TODAY
            for node in data["funds"]["nodes"]:
                rows, size = made[node["id"]]
                expected = rows.recount(size, as_of, is_past=as_of < TODAY)
                assert node["metrics"] == {"asOf": str(as_of)} | expected, (node, as_of)
                assert int(node["metrics"]["paidCents"]) <= int(node["metrics"]["calledCents"])


async def test_weights_sum_to_exactly_one(server: RunningServer) -> None:
    shown = "weights { weight allocation { amountCents } }"
    query = f"query ($id: ID!, $day: Date) {{ fund(id: $id) {{ metrics(asOf: $day) {{ {shown} }} }} }}"
    rows = Commitments([commitment(id=number, amount_cents=1 + number) for number in range(7)])
    rows.allocations[3]["status"] = "WRITTEN_OFF"
    rows.allocations[4]["status"] = "PENDING_APPROVAL"
    weights = (await metrics_of(server, await filled(server, rows), query=query))["weights"]
    assert [one["weight"] for one in weights] == ["0.052632", "0.105263", "0.157895", "0.315789", "0.368421"]
    assert sum(Decimal(one["weight"]) for one in weights) == 1
    assert [one["allocation"]["amountCents"] for one in weights] == ["1", "2", "3", "6", "7"]
    assert (await metrics_of(server, await make_fund(server, name="New"), query=query))["weights"] == []


async def test_fund_without_anything_says_why_figures_are_missing(server: RunningServer) -> None:
    reasons = (
        "navReason collectionRateReason utilizationReason dpiReason rvpiReason tvpiReason moicReason grossIrrReason"
    )
    query = f"query ($id: ID!, $day: Date) {{ fund(id: $id) {{ metrics(asOf: $day) {{ navCents {reasons} }} }} }}"
    fund_id = await make_fund(server, size_cents=None)
    assert await metrics_of(server, fund_id, query=query) == {
        "navCents": "0",
        "navReason": None,
        "collectionRateReason": "NOTHING_CALLED",
        "utilizationReason": "NO_FUND_SIZE",
        "dpiReason": "NOTHING_PAID",
        "rvpiReason": "NOTHING_PAID",
        "tvpiReason": "NOTHING_PAID",
        "moicReason": "NOTHING_INVESTED",
        "grossIrrReason": "INSUFFICIENT_CASH_FLOWS",
    }
    past = await metrics_of(server, fund_id, TODAY - DAY, query=query)
    assert past == {
        "navCents": None,
        "navReason": "NO_VALUATION",
        "collectionRateReason": "NOTHING_CALLED",
        "utilizationReason": "NO_FUND_SIZE",
        "dpiReason": "NOTHING_PAID",
        "rvpiReason": "NO_VALUATION",
        "tvpiReason": "NO_VALUATION",
        "moicReason": "NO_VALUATION",
        "grossIrrReason": "NO_VALUATION",
    }


async def test_past_values_are_those_of_the_latest_complete_snapshot(server: RunningServer) -> None:
    fund_id = await filled(server, C1)
    writer = Writer(server.database)
    days = [TODAY - 30 * DAY, TODAY - 10 * DAY]

    async def freeze(command: Command) -> int:
        for day in days:
            at = datetime(day.year, day.month, day.day, 23, 59, tzinfo=UTC)
            await forecasts.create_forecast_snapshot(
                command, today=TODAY, fund_id=fund_id, name=str(day), snapshot_at=at
            )
        return 0

    async def revalue(command: Command) -> int:
        row = await command.connection.fetchrow("SELECT id, version FROM portfolio_companies WHERE status = 'ACTIVE'")
        return await companies.update_portfolio_company(
            command, company_id=row["id"], expected_version=row["version"], changes={"current_valuation_cents": 7}
        )

    async def write(mutation: str, work: Any) -> None:
        await writer.run(server.principal(), mutation, work, result_type=TypeAdapter(int))

    await write("createForecastSnapshot", freeze)
    assert (await metrics_of(server, fund_id, days[0]))["navCents"] is None
    await calculate_due(Calculator(server.database, writer, 60))
    await write("updatePortfolioCompany", revalue)
    days = [days[0] - DAY, days[0], days[1], TODAY - DAY, TODAY]
    found = [await metrics_of(server, fund_id, day) for day in days]
    assert [one["navCents"] for one in found] == [None, "28500000", "28500000", "28500000", "7"]
    assert [one["moic"] for one in found] == [None, "1.5", "1.5", "1.5", "0.36"]


async def test_total_beyond_64_bits_is_told_of_its_fund(server: RunningServer) -> None:
    rows = Commitments([commitment(id=number, amount_cents=2**62) for number in range(2)])
    fund_id = await filled(server, rows)
    answer = await server.execute(ONE, {"id": global_ids.encode("Fund", fund_id)})
    assert answer.codes == ["LIMIT_EXCEEDED"]
    assert answer.body["data"] == {"fund": None}


async def test_many_funds_take_one_statement_more_and_then_none(server: RunningServer) -> None:
    for number in range(3):
        await filled(server, random_commitments(Random(number), TODAY - 100 * DAY), name=f"Fund {number}")
    query = "{ funds { nodes { name metrics { paidCents } } } }"
    counts = [len((await server.execute(query, debug=True)).statements) for _ in range(3)]
    assert counts == [2, 1, 1]


async def test_another_organizations_allocations_do_not_count(server: RunningServer) -> None:
    fund_id = await filled(server, C1)
    await server.owner.execute(
        "INSERT INTO funds (organization_id, id, name, currency) VALUES ($1, $2, 'Same id', 'USD')",
        server.organization_ids["beta"],
        fund_id,
    )
    assert (await metrics_of(server, fund_id))["paidCents"] == "28500000"
    variables = {"id": global_ids.encode("Fund", fund_id)}
    others = (await server.execute(ONE, variables, organization="beta")).data["fund"]["metrics"]
    assert (others["committedCents"], others["paidCents"], others["navCents"]) == ("0", "0", "0")
