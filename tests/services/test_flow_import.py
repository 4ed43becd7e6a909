"""Importing files of activities and valuations: as a whole, once, by name, and with their returns."""

import asyncio
from functools import partial
from typing import Any

import pytest
from pydantic import TypeAdapter

from api.domain.access import Role
from api.domain.flow_file import read_activities, read_valuations
from api.domain.flow_rows import FileForm
from api.errors import Problem, Refused
from api.reads import global_ids
from api.services import flow_import
from api.services.commands import Outcome, Writer
from api.services.flow_import import DryRun, Imported, Source, claim_of
from tests.contracts.two_organizations import call
from tests.server import RunningServer
from tests.services.test_activities import count

FORM = FileForm(2)


async def hold(server: RunningServer, *funds: tuple[str, int | None]) -> tuple[int, list[str]]:
    """A new portfolio's row id, and the global ids of its holdings in new funds."""
    made = await call(server, "alpha", "createPortfolio", name="P", currency="USD")
    portfolio_id = made["portfolio"]["id"]
    holding_ids = []
    for name, year in funds:
        fund = await call(server, "alpha", "createFund", name=name, vintageYear=year)
        holding = await call(server, "alpha", "createHolding", portfolioId=portfolio_id, fundId=fund["fund"]["id"])
        holding_ids.append(holding["holding"]["id"])
    return global_ids.decode_as("Portfolio", portfolio_id) or 0, holding_ids


def source_of(portfolio_id: int) -> Source:
    return Source(portfolio_id, "flows.csv", partial(global_ids.decode_as, "Holding"))


async def send(server: RunningServer, kind: str, portfolio_id: int, text: str, **more: Any) -> Outcome[Imported]:
    read: Any = read_activities if kind == "importActivities" else read_valuations
    store: Any = flow_import.import_activities if kind == "importActivities" else flow_import.import_valuations
    rows = read(text.encode(), FORM)
    return await Writer(server.database, flow_import.KEY_DAYS).run(
        server.principal(Role.EDITOR),
        kind,
        lambda command: store(command, rows, source_of(portfolio_id), **more),
        result_type=TypeAdapter(Imported),
        claim=claim_of(portfolio_id, rows),
    )


activities = partial(send, kind="importActivities")
valuations = partial(send, kind="importValuations")


async def refused(importing: Any) -> list[Problem]:
    with pytest.raises(Refused) as found:
        await importing
    return list(found.value.problems)


def flows(*rows: str, header: str = "fund,vintage_year,occurred_on,activity_type,amount") -> str:
    return "\n".join((header, *rows))


async def test_same_rows_however_written_are_stored_once_by_racing_imports(server: RunningServer) -> None:
    portfolio_id, _ = await hold(server, ("A", 2020))
    text = flows("A,2020,2024-01-31,INVESTMENT,10", "A,2020,2024-02-29,FEE,1")
    other = text.replace("\n", "\r\n\r\n").replace("10", '"10.00"')
    sent = [activities(server, portfolio_id=portfolio_id, text=one) for one in (text, other) * 4]
    outcomes = await asyncio.gather(*sent)
    assert sorted(outcome.replayed for outcome in outcomes) == [False] + [True] * 7
    assert await count(server) == 2
    days = await server.owner.fetchval("SELECT max(expires_at) - now() > interval '99 years' FROM idempotency_keys")
    assert days
    more = await activities(server, portfolio_id=portfolio_id, text=text + "\nA,2020,2024-01-31,INVESTMENT,10")
    assert (more.replayed, await count(server)) == (False, 5)


async def test_batches_are_one_whole(server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    portfolio_id, _ = await hold(server, ("A", None))
    monkeypatch.setattr(flow_import, "ACTIVITIES_MAX", 2)
    text = flows(*(f"A,,2024-01-0{day},FEE,{day}" for day in range(1, 6)))

    def break_off(rows: int) -> None:
        if rows == 4:
            raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await activities(server, portfolio_id=portfolio_id, text=text, progress=break_off)
    assert await count(server) == 0
    told: list[int] = []
    await activities(server, portfolio_id=portfolio_id, text=text, progress=told.append)
    assert told == [2, 4, 5]
    amounts = await server.owner.fetchval("SELECT array_agg(amount_cents ORDER BY id) FROM holding_activity_log")
    assert amounts == [100, 200, 300, 400, 500]
    actions = await server.owner.fetch("SELECT action FROM audit_events ORDER BY sequence DESC LIMIT 4")
    assert [row["action"] for row in actions] == ["holding_activities.imported"] + ["holding_activities.created"] * 3


async def test_dry_run_writes_nothing_and_says_when_it_was_imported(server: RunningServer) -> None:
    portfolio_id, _ = await hold(server, ("A", None))
    text = flows("A,,2024-01-31,FEE,1")
    events = await count(server, "audit_events")
    with pytest.raises(DryRun) as dry:
        await activities(server, portfolio_id=portfolio_id, text=text, dry_run=True)
    assert dry.value.would.row_count == 1
    assert (await count(server), await count(server, "audit_events")) == (0, events)
    await activities(server, portfolio_id=portfolio_id, text=text)
    assert (await activities(server, portfolio_id=portfolio_id, text=text, dry_run=True)).replayed


async def test_holdings_are_found_by_fund_year_or_id(server: RunningServer) -> None:
    portfolio_id, ids = await hold(server, ("A", 2020), ("A", 2021), ("B", None), ("B", 2020))
    header = "holding_id,fund,vintage_year,occurred_on,activity_type,amount"
    text = flows(
        ",A,2021,2024-01-31,FEE,1",
        ",B,,2024-01-31,FEE,2",
        ",B,2020,2024-01-31,FEE,3",
        f"{ids[0]},,,2024-01-31,FEE,4",
        f"{ids[0]},A,2020,2024-01-31,FEE,5",
        header=header,
    )
    await activities(server, portfolio_id=portfolio_id, text=text)
    found = await server.owner.fetch("SELECT holding_id FROM holding_activity_log ORDER BY id")
    expected = [ids[1], ids[2], ids[3], ids[0], ids[0]]
    assert [global_ids.encode("Holding", row[0]) for row in found] == expected
    portfolio = global_ids.encode("Portfolio", portfolio_id)
    bad = flows(
        ",A,,2024-01-31,FEE,1",
        ",C,,2024-01-31,FEE,1",
        f"{ids[0]},B,,2024-01-31,FEE,1",
        f"{portfolio},,,2024-01-31,FEE,1",
        header=header,
    )
    problems = await refused(activities(server, portfolio_id=portfolio_id, text=bad))
    assert [(str(one.code), one.message) for one in problems] == [
        ("INVALID_INPUT", "line 2, fund: the portfolio has several such holdings; give the vintage year"),
        ("NOT_FOUND", "line 3, fund: the portfolio has no such holding"),
        ("NOT_FOUND", "line 4, fund: the portfolio has no such holding"),
        ("NOT_FOUND", "line 5, holding_id: the portfolio has no such holding"),
    ]
    assert await count(server) == 5


async def test_holding_of_another_portfolio_or_organization_is_none(server: RunningServer) -> None:
    portfolio_id, (holding_id,) = await hold(server, ("A", None))
    text = f"holding_id,valued_on,value\n{holding_id},2024-01-31,5\n"
    (problem,) = await refused(valuations(server, portfolio_id=portfolio_id + 1, text=text))
    assert problem.message == "line 2, holding_id: the portfolio has no such holding"


async def test_valuations_are_replaced_and_a_day_that_comes_twice_is_refused(server: RunningServer) -> None:
    portfolio_id, ids = await hold(server, ("A", None), ("B", None))
    text = "fund,valued_on,value\nA,2024-01-31,5\nB,2024-01-31,6\n"
    first = await valuations(server, portfolio_id=portfolio_id, text=text)
    assert len(first.result.holding_ids) == 2
    other = await valuations(server, portfolio_id=portfolio_id, text=text.replace("6", "7"))
    assert [global_ids.encode("Holding", one) for one in other.result.holding_ids] == [ids[1]]
    assert await server.owner.fetchval("SELECT max(value_cents) FROM portfolio_fund_valuations") == 700
    (problem,) = await refused(valuations(server, portfolio_id=portfolio_id, text=text + "A,2024-01-31,5\n"))
    assert (str(problem.code), problem.message) == (
        "ALREADY_EXISTS",
        "line 4, valued_on: the holding is valued on line 2",
    )
