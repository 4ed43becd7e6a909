"""Asking for forecast snapshots, naming them, and planning reserves by them."""

from typing import Any

import pytest

from tests.server import RunningServer
from tests.services.forecast_client import Forecasts, errors


@pytest.fixture
async def forecasts(server: RunningServer) -> Forecasts:
    return await Forecasts(server).create()


async def end_in_error(server: RunningServer) -> None:
    await server.owner.execute("UPDATE forecast_snapshots SET status = 'ERROR', error = 'No.', next_attempt_at = NULL")


async def allocate(forecasts: Forecasts, snapshot_id: str, **values: Any) -> Any:
    given = {"snapshotId": snapshot_id, "companyId": forecasts.company_id, "plannedReserveCents": "1", **values}
    return await forecasts.write("createReserveAllocation", **given)


async def test_snapshot_is_pending_at_first(forecasts: Forecasts) -> None:
    given = {"name": "x" * 255, "snapshotAt": "2024-03-31T23:59:59.999999+00:00"}
    snapshot = (await forecasts.write("createForecastSnapshot", fundId=forecasts.fund_id, **given))["snapshot"]
    assert snapshot == given | {
        "id": snapshot["id"],
        "fund": {"name": "Fund"},
        "status": "PENDING",
        "metrics": None,
        "error": None,
        "version": "1",
    }
    assert await forecasts.events("snapshot.created") == 1


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"name": "x" * 256}, ("INVALID_INPUT", "name")),
        ({"name": " "}, ("INVALID_INPUT", "name")),
        ({"snapshotAt": "1899-12-31T23:59:59Z"}, ("INVALID_INPUT", "snapshotAt")),
        ({"snapshotAt": "9999-12-31T23:59:59Z"}, ("INVALID_INPUT", "snapshotAt")),
        ({"fundId": "nonsense"}, ("NOT_FOUND", "fundId")),
    ],
)
async def test_bad_snapshot_is_refused(forecasts: Forecasts, values: dict[str, str], expected: tuple[str, str]) -> None:
    given = {"fundId": forecasts.fund_id, "name": "Q1", **values}
    assert errors(await forecasts.write("createForecastSnapshot", **given)) == [expected]


async def test_snapshot_is_renamed_under_its_version_whatever_its_status(forecasts: Forecasts) -> None:
    target = {"id": await forecasts.snapshot(), "expectedVersion": "1"}
    await end_in_error(forecasts.server)
    renamed = (await forecasts.write("renameForecastSnapshot", **target, name="Q2"))["snapshot"]
    assert (renamed["name"], renamed["status"], renamed["version"]) == ("Q2", "ERROR", "2")
    assert errors(await forecasts.write("renameForecastSnapshot", **target, name="Q3")) == [
        ("VERSION_CONFLICT", "expectedVersion")
    ]
    assert await forecasts.events("snapshot.renamed") == 1


async def test_allocation_has_what_was_given(forecasts: Forecasts) -> None:
    snapshot_id = await forecasts.snapshot()
    given = {"plannedReserveCents": "7", "score": "-9999.999999", "priority": 0, "rationale": "x" * 1000}
    made = (await allocate(forecasts, snapshot_id, **given))["reserveAllocation"]
    assert made == given | {"id": made["id"], "snapshot": {"id": snapshot_id}, "company": {"name": "A"}, "version": "1"}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"plannedReserveCents": "-1"}, ("NEGATIVE_AMOUNT", "plannedReserveCents")),
        ({"score": "10000"}, ("INVALID_INPUT", "score")),
        ({"score": "0.0000001"}, ("INVALID_INPUT", "score")),
        ({"score": "1" * 40}, ("INVALID_INPUT", "score")),
        ({"priority": -1}, ("INVALID_INPUT", "priority")),
        ({"priority": 1_000_001}, ("INVALID_INPUT", "priority")),
        ({"rationale": "x" * 1001}, ("INVALID_INPUT", "rationale")),
        ({"companyId": "nonsense"}, ("COMPANY_NOT_FOUND", "companyId")),
        ({"snapshotId": "nonsense"}, ("NOT_FOUND", "snapshotId")),
    ],
)
async def test_bad_allocation_is_refused(
    forecasts: Forecasts, values: dict[str, Any], expected: tuple[str, str]
) -> None:
    assert errors(await allocate(forecasts, await forecasts.snapshot(), **values)) == [expected]
    assert await forecasts.server.owner.fetchval("SELECT count(*) FROM reserve_allocations") == 0


async def test_company_of_another_fund_is_refused_and_one_has_one_allocation(forecasts: Forecasts) -> None:
    snapshot_id = await forecasts.snapshot()
    other = await Forecasts(forecasts.server).write("createFund", name="Other")
    stranger = await forecasts.company("B", fundId=other["fund"]["id"])
    assert errors(await allocate(forecasts, snapshot_id, companyId=stranger)) == [("COMPANY_NOT_FOUND", "companyId")]
    assert (await allocate(forecasts, snapshot_id))["userErrors"] == []
    assert errors(await allocate(forecasts, snapshot_id)) == [("ALREADY_EXISTS", "companyId")]
    assert (await allocate(forecasts, await forecasts.snapshot("Q2")))["userErrors"] == []


async def test_many_allocations_come_in_the_order_given(forecasts: Forecasts) -> None:
    company_ids = [await forecasts.company(name) for name in "BCD"]
    allocations = [
        {"companyId": company_id, "plannedReserveCents": str(number), "priority": number}
        for number, company_id in enumerate(reversed(company_ids))
    ]
    given: dict[str, Any] = {
        "snapshotId": await forecasts.snapshot(),
        "allocations": allocations,
        "idempotencyKey": "k",
    }
    first = await forecasts.write("createReserveAllocations", **given)
    assert [one["company"]["name"] for one in first["reserveAllocations"]] == ["D", "C", "B"]
    again = await forecasts.write("createReserveAllocations", **given)
    assert again == first | {"replayed": True}
    assert await forecasts.events("reserve_allocation.created") == 3


async def test_many_allocations_are_refused_together_each_by_its_index(forecasts: Forecasts) -> None:
    snapshot_id, b = await forecasts.snapshot(), await forecasts.company("B")
    await allocate(forecasts, snapshot_id)
    planned = {"plannedReserveCents": "1"}
    allocations = [
        {"companyId": b, **planned},
        {"companyId": b, **planned},
        {"companyId": "nonsense", "plannedReserveCents": "-1"},
    ]
    refused = await forecasts.write("createReserveAllocations", snapshotId=snapshot_id, allocations=allocations)
    assert sorted((error["index"], error["code"], error["field"]) for error in refused["userErrors"]) == [
        (1, "DUPLICATE_COMPANY", ["allocations", "1", "companyId"]),
        (2, "COMPANY_NOT_FOUND", ["allocations", "2", "companyId"]),
        (2, "NEGATIVE_AMOUNT", ["allocations", "2", "plannedReserveCents"]),
    ]
    taken = [{"companyId": b, **planned}, {"companyId": forecasts.company_id, **planned}]
    refused = await forecasts.write("createReserveAllocations", snapshotId=snapshot_id, allocations=taken)
    assert errors(refused) == [("ALREADY_EXISTS", "allocations.1.companyId")]
    for bad in ([], allocations * 400):
        refused = await forecasts.write("createReserveAllocations", snapshotId=snapshot_id, allocations=bad)
        assert errors(refused) == [("INVALID_INPUT", "allocations")]
    assert await forecasts.server.owner.fetchval("SELECT count(*) FROM reserve_allocations") == 1


async def test_allocation_is_changed_under_its_version(forecasts: Forecasts) -> None:
    made = await allocate(forecasts, await forecasts.snapshot(), score="1.5", priority=1)
    target = {"id": made["reserveAllocation"]["id"], "expectedVersion": "1"}
    changed = await forecasts.write("updateReserveAllocation", **target, plannedReserveCents="9", score=None)
    allocation = changed["reserveAllocation"]
    assert (allocation["plannedReserveCents"], allocation["score"], allocation["priority"]) == ("9", None, 1)
    assert allocation["version"] == "2"
    assert errors(await forecasts.write("updateReserveAllocation", **target, priority=2)) == [
        ("VERSION_CONFLICT", "expectedVersion")
    ]
    assert errors(await forecasts.write("updateReserveAllocation", **target, plannedReserveCents=None)) == [
        ("INVALID_INPUT", "plannedReserveCents")
    ]


async def test_nothing_is_planned_by_a_snapshot_that_ended_in_an_error(forecasts: Forecasts) -> None:
    snapshot_id = await forecasts.snapshot()
    target = {"id": (await allocate(forecasts, snapshot_id))["reserveAllocation"]["id"], "expectedVersion": "1"}
    await end_in_error(forecasts.server)
    company_id = await forecasts.company("B")
    assert errors(await allocate(forecasts, snapshot_id, companyId=company_id)) == [("IMMUTABLE", "snapshotId")]
    assert errors(await forecasts.write("updateReserveAllocation", **target, priority=2)) == [("IMMUTABLE", "id")]
