"""Lists that the executor is spared are answered as it would answer them."""

from decimal import Decimal
from typing import Any

import pytest

from api.domain.reallocation import Delta
from api.http import executor
from api.http.plain_lists import Shape
from tests.server import RunningServer
from tests.services.fund_client import Fund, proposal
from tests.services.test_activities import flow, hold

ASKED = """
mutation ($input: PreviewReallocationInput!, $no: Boolean = false) {
  previewReallocation(input: $input) {
    preview {
      deltas { status named: company { name plannedReservesCents isNo: version @include(if: $no) id } deltaRatio }
      again: deltas { ...Amounts deltaCents @skip(if: $no) company { ...Name } }
      deep: deltas { company { fund { name } } }
      typed: deltas { __typename fromCents }
      issues { code company { id name } threshold proposalIndex }
    }
    userErrors { code }
  }
}
fragment Amounts on ReallocationDelta { fromCents }
fragment Name on PortfolioCompany { name ... on Node { id } }
"""


@pytest.fixture
async def fund(server: RunningServer) -> Fund:
    return await Fund(server).create()


async def test_plain_lists_are_the_executors(fund: Fund, monkeypatch: pytest.MonkeyPatch) -> None:
    """Aliases, fragments, directives, what is null, and what is not plain: the same in the same order."""
    proposals = [proposal(fund.a, 1500), proposal("nonsense", 1)]
    values = {"fundId": fund.fund_id, "expectedVersion": 3, "proposals": proposals}
    answered = (await fund.server.execute(ASKED, {"input": values})).data
    monkeypatch.setattr(executor, "shape_of", lambda *_: None)
    slow = (await fund.server.execute(ASKED, {"input": values})).data
    assert repr(answered) == repr(slow)
    assert [issue["company"] for issue in answered["previewReallocation"]["preview"]["issues"]] == [
        None,
        {"id": fund.a, "name": "A"},
    ]


async def test_fault_within_a_plain_list_is_told_in_its_place(fund: Fund, monkeypatch: pytest.MonkeyPatch) -> None:
    """A value that cannot be shown makes the executor look, which knows where it is."""
    monkeypatch.setattr(Delta, "ratio", property(lambda delta: None if delta.company_name == "B" else Decimal(1)))
    values = {"fundId": fund.fund_id, "expectedVersion": 3, "proposals": [proposal(fund.a, 1500)]}
    answer = await fund.server.execute(ASKED, {"input": values})
    assert answer.body["errors"][0]["path"] == ["previewReallocation", "preview", "deltas", 1, "deltaRatio"]


RECORD = """
mutation ($input: CreateHoldingActivitiesInput!) { createHoldingActivities(input: $input) {
  activities { id amountCents on: occurredOn note activityType isRecallable version } userErrors { code } } }
"""


async def test_nodes_in_a_list_are_the_executors(server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """They could be of several types, so their classes are looked at."""
    holding_id = await hold(server)
    rows = [flow(holding_id, "2024-01-31", 1 + number, note=f"Row {number}") for number in range(3)]
    given = {"input": {"activities": [*rows, flow(holding_id, "2024-01-31", 9)], "idempotencyKey": "key"}}
    shown: list[Shape] = []
    show = Shape.show

    def noted(shape: Shape, items: Any, rows: Any) -> Any:
        shown.append(shape)
        return show(shape, items, rows)

    monkeypatch.setattr(Shape, "show", noted)
    answered = (await server.execute(RECORD, given)).data
    assert len(shown) == 1
    monkeypatch.setattr(Shape, "fits", lambda *_: False)
    slow = (await server.execute(RECORD, given)).data
    assert repr(answered) == repr(slow)
    assert [one["note"] for one in answered["createHoldingActivities"]["activities"]] == [
        *("Row 0", "Row 1", "Row 2"),
        None,
    ]


TWICE = """
mutation ($input: PreviewReallocationInput!, $change: UpdatePortfolioCompanyInput!) {
  before: previewReallocation(input: $input) { ...Shown }
  updatePortfolioCompany(input: $change) { userErrors { code } }
  after: previewReallocation(input: $input) { ...Shown }
}
fragment Shown on PreviewReallocationPayload { preview { deltas { company { name } } } }
"""


async def test_companies_of_a_preview_are_read_once_and_anew_for_the_next(fund: Fund) -> None:
    values = {"fundId": fund.fund_id, "expectedVersion": 3, "proposals": [proposal(fund.a, 1500)]}
    change = {"id": fund.a, "expectedVersion": 1, "name": "Renamed"}
    answer = await fund.server.execute(TWICE, {"input": values, "change": change}, debug=True)
    assert answer.data["updatePortfolioCompany"] == {"userErrors": []}
    names = [[one["company"]["name"] for one in answer.data[key]["preview"]["deltas"]] for key in ("before", "after")]
    assert names == [["A", "B"], ["Renamed", "B"]]
    read = [sql for sql in answer.statements if "FROM portfolio_companies" in sql]
    # Once for each preview; the changed company is shown of what was written.
    assert len(read) == 2


async def test_columns_that_a_preview_has_not_read_are_read(fund: Fund) -> None:
    asked = ASKED.replace("deltaRatio }", "company2: company { name sector version } }")
    values = {"fundId": fund.fund_id, "expectedVersion": 3, "proposals": [proposal(fund.a, 1500)]}
    answer = await fund.server.execute(asked, {"input": values})
    deltas = answer.data["previewReallocation"]["preview"]["deltas"]
    assert [one["company2"] for one in deltas] == [
        {"name": "A", "sector": None, "version": "1"},
        {"name": "B", "sector": None, "version": "1"},
    ]
