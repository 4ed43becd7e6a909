"""Snapshots as they change: asked for, calculated and finished, each as it is by then."""

import json

from api.domain.access import Role
from api.domain.money import CENTS_MAX
from api.reads import global_ids
from api.reads.live.positions import encode_cursor
from api.services.commands import Writer
from api.services.snapshot_calculation import Calculator, calculate_due
from tests.http.live.clients import LiveServer
from tests.services.forecast_client import Forecasts

CHANGED = """
subscription ($fundId: ID!, $after: String) {
  snapshotChanged(fundId: $fundId, after: $after) { id name status error metrics version fund { id } }
}
"""


def worker(live: LiveServer) -> Calculator:
    writer: Writer = live.app.endpoint.answers.operations.writer
    return Calculator(live.server.database, writer, 60)


async def test_follower_sees_a_snapshot_come_to_its_end(live: LiveServer) -> None:
    made = await Forecasts(live.server).create()
    other = Forecasts(live.server)
    other.fund_id = (await other.write("createFund", name="Other"))["fund"]["id"]
    async with live.session(Role.VIEWER) as session:
        await session.subscribe(CHANGED, {"fundId": made.fund_id})
        await live.followers(1)
        snapshot_id = await made.snapshot()
        asked = (await session.next())["snapshotChanged"]
        await other.snapshot()
        await calculate_due(worker(live))
        calculated = [(await session.next())["snapshotChanged"] for _ in range(2)]
    assert (asked["id"], asked["status"], asked["metrics"]) == (snapshot_id, "PENDING", None)
    # Each shows the snapshot as it is when it is answered.
    assert calculated[0]["status"] in ("CALCULATING", "COMPLETE")
    assert (calculated[1]["status"], calculated[1]["fund"]["id"]) == ("COMPLETE", made.fund_id)
    assert calculated[1]["metrics"]["totals"]["companyCount"] == 1


async def test_follower_sees_why_a_snapshot_failed_and_can_begin_in_the_past(live: LiveServer) -> None:
    made = await Forecasts(live.server).create()
    await made.company("B")
    await live.server.owner.execute("UPDATE portfolio_companies SET invested_cents = $1", CENTS_MAX)
    await made.snapshot()
    await calculate_due(worker(live))
    after = encode_cursor(live.server.organization_ids["alpha"], 0)
    async with live.session() as session:
        await session.subscribe(CHANGED, {"fundId": made.fund_id, "after": after})
        told = [(await session.next())["snapshotChanged"] for _ in range(3)]
    assert {one["status"] for one in told} == {"ERROR"}
    assert told[0]["error"] == "The fund's figures allow no forecast: The total is beyond 64 bits."


async def test_fund_of_another_organization_is_refused_like_an_unknown_one(live: LiveServer) -> None:
    theirs = Forecasts(live.server)
    payload = await theirs.write("createFund", name="Theirs", organization="beta")
    seen = set()
    async with live.session() as session:
        for fund_id in (payload["fund"]["id"], global_ids.encode("Fund", 999), "", "x"):
            await session.subscribe(CHANGED, {"fundId": fund_id}, id="refused")
            seen.add(json.dumps(await session.receive()))
    (message,) = seen
    assert "fundId: there is no such fund." in message
