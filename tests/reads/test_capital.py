"""Capital as of a date and as known at a time, by indexes, is what the domain's fold says; and what it costs."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from random import Random

import pytest

from api.db.pools import Snapshot
from api.domain.access import Role
from api.domain.capital import Entry, State, fold
from api.domain.wacc import Step, Totals, WaccPeriod, periods
from api.reads import capital as capital_reads
from tests.server import RunningServer
from tests.services.capital_client import Capital, day

AVERAGE = """
query ($from: Date!, $to: Date!, $knownAt: DateTime) {
  waccAverage(from: $from, to: $to, knownAt: $knownAt) { rate reason totalCents sourceCount }
}
"""
TREND = """
query ($period: WaccPeriod!, $count: Int, $until: Date, $knownAt: DateTime) {
  waccTrend(period: $period, count: $count, until: $until, knownAt: $knownAt) {
    label startsOn endsOn rate reason totalCents sourceCount
  }
}
"""
DAYS = 90


@pytest.fixture
def capital(server: RunningServer) -> Capital:
    return Capital(server)


async def add_vector(capital: Capital) -> None:
    """500,000 at 5 %, 1,000,000 at 0 %, 750,000 at 14 %, 500,000 at 20 %."""
    sources = (("0.05", 50_000_000), ("0", 100_000_000), ("0.14", 75_000_000), ("0.2", 50_000_000))
    for number, (rate, cents) in enumerate(sources):
        await capital.add(f"Source {number}", rate, cents, "2025-01-01")


async def test_cost_of_capital_is_that_of_the_vectors(capital: Capital) -> None:
    await add_vector(capital)
    assert await capital.wacc() == {
        "rate": "0.083636",
        "reason": None,
        "totalCents": "275000000",
        "sourceCount": 4,
    }
    dear = await capital.add("Mezzanine", "0.25", 100_000_000, "2025-01-02")
    assert (await capital.wacc())["rate"] == "0.128"
    await capital.remove(dear, "2025-01-03")
    await capital.add("Cheap one", "0.02", 200_000_000, "2025-01-03")
    assert (await capital.wacc())["rate"] == "0.056842"
    assert [(await capital.wacc(on))["rate"] for on in ("2025-01-01", "2025-01-02")] == ["0.083636", "0.128"]


async def test_average_counts_both_ends_and_leaves_out_days_without_a_source(capital: Capital) -> None:
    source_id = await capital.add("Loan", "0.1", 100, "2025-01-01")
    await capital.rate(source_id, "0.2", "2025-01-16")
    average = (await capital.ask(AVERAGE, **{"from": "2025-01-01", "to": "2025-01-31"}))["waccAverage"]
    assert average == {"rate": "0.151613", "reason": None, "totalCents": "100", "sourceCount": 1}
    before = (await capital.ask(AVERAGE, **{"from": "2024-01-01", "to": "2025-01-31"}))["waccAverage"]
    assert before == average


async def test_without_a_source_there_is_a_reason_and_no_rate(capital: Capital) -> None:
    none = {"rate": None, "reason": "NO_SOURCE", "totalCents": "0", "sourceCount": 0}
    assert await capital.wacc() == none
    assert (await capital.ask(AVERAGE, **{"from": "2025-01-01", "to": "2025-01-31"}))["waccAverage"] == none
    source_id = await capital.add("Loan", "0.1", 100, "2025-01-01")
    await capital.remove(source_id, "2025-01-03")
    assert await capital.wacc("2024-12-31") == none
    ended = (await capital.ask(AVERAGE, **{"from": "2025-01-01", "to": "2025-01-31"}))["waccAverage"]
    assert ended == none | {"rate": "0.1", "reason": None}


async def test_answer_as_known_at_a_time_stays_the_same(capital: Capital) -> None:
    source_id = await capital.add("Loan", "0.05", 100, "2025-01-01")
    known_at = (await capital.amount(source_id, 200, "2025-02-01"))["entry"]["recordedAt"]
    await capital.amount(source_id, 150, "2025-01-10")
    await capital.remove(source_id, "2025-01-20")
    await capital.add("Backdated", "0.5", 1, "2025-01-01")
    assert await capital.state("2025-01-15", known_at) == {"Loan": ("0.05", "100")}
    assert await capital.state("2025-01-15") == {"Loan": ("0.05", "150"), "Backdated": ("0.5", "1")}
    assert await capital.state(known_at=known_at) == {"Loan": ("0.05", "200")}
    assert await capital.state("2025-02-01", "2025-02-01T00:00:00Z") == {}
    history = "query ($at: DateTime) { capitalHistory(knownAt: $at) { totalCount nodes { sequence } } }"
    assert (await capital.ask(history, at=known_at))["capitalHistory"] == {
        "totalCount": 2,
        "nodes": [{"sequence": "2"}, {"sequence": "1"}],
    }


async def random_history(capital: Capital, random: Random) -> list[Entry]:
    """Sources added, changed and removed on random days, in any order of recording."""
    ids = []
    for number in range(5):
        on = day(random.randint(0, DAYS // 2)).isoformat()
        ids.append(await capital.add(f"Source {number}", f"0.0{number}", random.randint(1, 10**6), on))
        for _ in range(12):
            on = day(random.randint(0, DAYS)).isoformat()
            if random.random() < 0.5:
                await capital.amount(random.choice(ids), random.randint(1, 10**6), on)
            else:
                await capital.rate(random.choice(ids), f"0.{random.randint(0, 10**6):06}", on)
    for source_id in ids[:2]:
        await capital.remove(source_id, day(random.randint(DAYS // 2, DAYS)).isoformat())
    await capital.amount(ids[0], 77, day(DAYS // 2).isoformat())
    return await capital.entries()


def totals_of(entries: list[Entry], on: date, known_at: datetime | None) -> Totals:
    """The totals of the reference's states."""
    states = fold(entries, on, known_at)
    weighted = sum((state.available_cents * state.annual_rate for state in states), Decimal(0))
    return Totals(weighted, sum(state.available_cents for state in states), len(states))


async def test_states_and_steps_are_those_of_the_fold(capital: Capital) -> None:
    """On random days and times, and on each day of random periods."""
    database, organization_id = capital.server.database, capital.server.organization_ids["alpha"]
    for seed in range(3):
        random = Random(seed)
        entries = await random_history(capital, random)
        for known_at in (None, *(random.choice(entries).recorded_at for _ in range(4))):
            for _ in range(6):
                first = day(random.randint(-2, DAYS + 2))
                last = first + timedelta(days=random.randint(0, DAYS))
                snapshot = Snapshot(database, organization_id)
                states = await capital_reads.source_states(snapshot, first, known_at)
                totals = await capital_reads.totals(snapshot, first, known_at)
                steps = await capital_reads.steps(snapshot, first, last, known_at)
                await snapshot.close()
                found = [State(one.source_id, one.name, one.annual_rate, one.available_cents) for one in states]
                assert found == fold(entries, first, known_at)
                assert totals == totals_of(entries, first, known_at)
                assert_steps(steps, first, last, entries, known_at)


def assert_steps(
    steps: Sequence[Step], first: date, last: date, entries: list[Entry], known_at: datetime | None
) -> None:
    """The steps hold on each of the days what the reference says of it."""
    by_day = {step.on: step.totals for step in steps}
    current = Totals(Decimal(0), 0, 0)
    for number in range((last - first).days + 1):
        on = first + timedelta(days=number)
        current = by_day.get(on, current)
        assert current == totals_of(entries, on, known_at)


async def test_trend_has_a_point_for_each_period(capital: Capital) -> None:
    source_id = await capital.add("Loan", "0.1", 100, "2025-01-01")
    await capital.rate(source_id, "0.2", "2025-02-01")
    await capital.amount(source_id, 300, "2025-03-15")
    points = (await capital.ask(TREND, period="MONTH", count=4, until="2025-03-20"))["waccTrend"]
    assert [(point["label"], point["rate"], point["totalCents"]) for point in points] == [
        ("2024-12", None, "0"),
        ("2025-01", "0.1", "100"),
        ("2025-02", "0.2", "100"),
        ("2025-03", "0.2", "300"),
    ]
    assert (points[0]["reason"], points[3]["endsOn"]) == ("NO_SOURCE", "2025-03-20")
    for period in WaccPeriod:
        points = (await capital.ask(TREND, period=period.value, until="2025-03-20"))["waccTrend"]
        expected = periods(period, 12, date(2025, 3, 20))
        assert [point["label"] for point in points] == [one.label for one in expected]
    yearly = (await capital.ask(TREND, period="YEAR", count=1, until="2025-03-31"))["waccTrend"]
    quarterly = (await capital.ask(TREND, period="QUARTER", count=1, until="2025-03-31"))["waccTrend"]
    average = (await capital.ask(AVERAGE, **{"from": "2025-01-01", "to": "2025-03-31"}))["waccAverage"]
    assert yearly[0]["rate"] == quarterly[0]["rate"] == average["rate"]


async def test_ends_of_the_calendar_are_days_like_any_others(capital: Capital) -> None:
    await capital.add("Loan", "0.1", 100, "0001-01-02")
    all_of_it = {"from": "0001-01-02", "to": "9999-12-30"}
    assert (await capital.ask(AVERAGE, **all_of_it))["waccAverage"]["rate"] == "0.1"
    for until, count in (("0001-01-02", 1), ("9999-12-30", 12)):
        points = (await capital.ask(TREND, period="MONTH", until=until))["waccTrend"]
        assert [point["rate"] for point in points] == ["0.1"] * count
    for known_at, sources in (("0001-01-01T00:00:00Z", 0), ("9999-12-31T23:59:59.999999Z", 1)):
        assert len(await capital.state("9999-12-30", known_at)) == sources


async def test_total_beyond_64_bits_is_refused(capital: Capital) -> None:
    for number in range(2):
        await capital.add(f"Source {number}", "1", 2**63 - 1, f"2025-01-0{number + 1}")
    assert (await capital.wacc("2025-01-01"))["totalCents"] == str(2**63 - 1)
    for query in ("{ wacc { rate } }", "{ waccTrend(period: YEAR) { rate } }"):
        assert (await capital.server.execute(query)).codes == ["LIMIT_EXCEEDED"]
    assert len((await capital.ask("{ capitalState { name } }"))["capitalState"]) == 2


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ('{ waccAverage(from: "2025-01-02", to: "2025-01-01") { rate } }', "from, to: 2025-01-02 is after 2025-01-01."),
        ("{ waccTrend(period: MONTH, count: 0) { rate } }", "count: must be between 1 and 1000, not 0."),
        ("{ waccTrend(period: MONTH, count: 1001) { rate } }", "count: must be between 1 and 1000, not 1001."),
    ],
)
async def test_arguments_beyond_their_limits_are_refused(capital: Capital, query: str, message: str) -> None:
    answer = await capital.server.execute(query, role=Role.VIEWER)
    assert (answer.codes, answer.body["errors"][0]["message"]) == (["BAD_USER_INPUT"], message)


async def test_history_as_known_before_anything_is_empty(capital: Capital) -> None:
    await capital.add("Loan", "0.1", 1, "2025-01-01")
    query = """{ capitalHistory(knownAt: "2025-01-01T00:00:00Z") { totalCount nodes { id } }
      capitalSources { nodes { history(knownAt: "2025-01-01T00:00:00Z") { totalCount nodes { id } } } } }"""
    nothing = {"totalCount": 0, "nodes": []}
    assert await capital.ask(query) == {"capitalHistory": nothing, "capitalSources": {"nodes": [{"history": nothing}]}}


async def test_more_states_than_the_limit_are_refused(capital: Capital, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capital_reads, "STATES_MAX", 2)
    for number in range(3):
        assert len(await capital.state()) == number
        await capital.add(f"Source {number}", "0", 1, "2025-01-01")
    answer = await capital.server.execute("{ capitalState { name } }")
    assert answer.codes == ["BAD_USER_INPUT"]
    assert "2 sources" in answer.body["errors"][0]["message"]


async def test_history_is_shown_by_source_action_and_day(capital: Capital) -> None:
    one = await capital.add("Source 1", "0.1", 100, "2025-01-01")
    other = await capital.add("Source 2", "0.1", 100, "2025-01-05")
    await capital.rate(one, "0.2", "2025-01-02")
    await capital.remove(other, "2025-01-06")

    async def sequences(arguments: str) -> list[str]:
        nodes = (await capital.ask(f"{{ capitalHistory({arguments}) {{ nodes {{ sequence }} }} }}"))["capitalHistory"]
        return [node["sequence"] for node in nodes["nodes"]]

    assert await sequences("first: 10") == ["4", "3", "2", "1"]
    assert await sequences(f'sourceId: "{one}"') == ["3", "1"]
    assert await sequences("actions: [ADDED, REMOVED]") == ["4", "2", "1"]
    assert await sequences('from: "2025-01-02", to: "2025-01-05"') == ["3", "2"]
    assert await sequences('sourceId: "nonsense"') == []
    sources = await capital.ask("""{
      capitalSources { totalCount nodes { name history(actions: [RATE_CHANGED]) { nodes { sequence } } } }
      all: capitalSources(includeRemoved: true) { totalCount }
    }""")
    assert sources == {
        "capitalSources": {
            "totalCount": 1,
            "nodes": [{"name": "Source 1", "history": {"nodes": [{"sequence": "3"}]}}],
        },
        "all": {"totalCount": 2},
    }
