"""Importing a capital history through GraphQL."""

from typing import Any

import pytest

from api.graphql import capital_import
from tests.server import RunningServer

IMPORT = """
mutation ($input: ImportCapitalHistoryInput!) {
  importCapitalHistory(input: $input) {
    importedCount skippedCount replayed userErrors { code message field index expected }
  }
}
"""
HISTORY = """
{
  capitalState { name annualRate availableCents source { externalKey } }
  capitalHistory { nodes { sequence action effectiveOn annualRate availableCents previousRate notes } }
}
"""
ADDED = {
    "id": "e1",
    "sourceId": "loan",
    "effectiveDate": "2025-01-31T23:30:00Z",
    "name": "Loan",
    "annualRate": "0.05",
    "availableCents": "9007199254740993",
    "action": "ADDED",
}
CHANGED = {
    "id": "e2",
    "sourceId": "loan",
    "effectiveDate": "2025-03-01",
    "name": "Loan",
    "annualRate": "0.06",
    "action": "RATE_CHANGED",
    "previousRate": "0.05",
    "notes": "Reset",
}


async def send(server: RunningServer, *entries: dict[str, Any], **more: Any) -> Any:
    answer = await server.execute(IMPORT, {"input": {"entries": list(entries), **more}})
    return answer.data["importCapitalHistory"]


def result(imported: int | None, skipped: int | None, *, replayed: bool = False) -> dict[str, Any]:
    return {"importedCount": imported, "skippedCount": skipped, "replayed": replayed, "userErrors": []}


async def test_imported_history_is_there(server: RunningServer) -> None:
    assert await send(server, ADDED, CHANGED, timeZone="Asia/Tokyo") == result(2, 0)
    assert (await server.execute(HISTORY)).data == {
        "capitalState": [
            {
                "name": "Loan",
                "annualRate": "0.06",
                "availableCents": "9007199254740993",
                "source": {"externalKey": "loan"},
            }
        ],
        "capitalHistory": {
            "nodes": [
                {
                    "sequence": "2",
                    "action": "RATE_CHANGED",
                    "effectiveOn": "2025-03-01",
                    "annualRate": "0.06",
                    "availableCents": None,
                    "previousRate": "0.05",
                    "notes": "Reset",
                },
                {
                    "sequence": "1",
                    "action": "ADDED",
                    "effectiveOn": "2025-02-01",
                    "annualRate": "0.05",
                    "availableCents": "9007199254740993",
                    "previousRate": None,
                    "notes": None,
                },
            ]
        },
    }


async def test_key_covers_the_whole_import(server: RunningServer) -> None:
    assert await send(server, ADDED, idempotencyKey="k") == result(1, 0)
    assert await send(server, ADDED, idempotencyKey="k") == result(1, 0, replayed=True)
    assert await send(server, ADDED, idempotencyKey="other") == result(0, 1)
    refused = await send(server, ADDED, CHANGED, idempotencyKey="k")
    assert [error["code"] for error in refused["userErrors"]] == ["IDEMPOTENCY_KEY_REUSED"]


async def test_dry_run_writes_nothing_and_leaves_the_key_free(server: RunningServer) -> None:
    before = await server.owner.fetchval("SELECT count(*) FROM audit_events")
    assert await send(server, ADDED, CHANGED, dryRun=True, idempotencyKey="k") == result(2, 0)
    assert await server.owner.fetchval("SELECT count(*) FROM audit_events") == before
    assert (await server.execute(HISTORY)).data == {"capitalState": [], "capitalHistory": {"nodes": []}}
    assert await send(server, ADDED, CHANGED, idempotencyKey="k") == result(2, 0)


async def test_refusal_names_entries_and_fields(server: RunningServer) -> None:
    wrong = ADDED | {"effectiveDate": "yesterday", "availableCents": "0", "annualRate": "0.0000001"}
    refused = await send(server, wrong, CHANGED | {"sourceId": "nobody", "effectiveDate": "2999-01-01"})
    assert (refused["importedCount"], refused["skippedCount"]) == (None, None)
    assert [(error["field"], error["index"], error["code"]) for error in refused["userErrors"]] == [
        (["entries", "0", "effectiveDate"], 0, "INVALID_INPUT"),
        (["entries", "0", "annualRate"], 0, "INVALID_INPUT"),
        (["entries", "0", "availableCents"], 0, "INVALID_INPUT"),
        (["entries", "1", "effectiveDate"], 1, "INVALID_INPUT"),
        (["entries", "1", "sourceId"], 1, "NOT_FOUND"),
    ]
    assert refused["userErrors"][4]["message"] == "entry 2, sourceId: No entry adds this source."


@pytest.mark.parametrize(("entries", "more", "field"), [([], {}, "entries"), ([ADDED], {"timeZone": "X"}, "timeZone")])
async def test_empty_import_and_unknown_time_zone_are_refused(
    server: RunningServer, entries: list[dict[str, Any]], more: dict[str, Any], field: str
) -> None:
    (error,) = (await send(server, *entries, **more))["userErrors"]
    assert (error["code"], error["field"]) == ("INVALID_INPUT", [field])


async def test_more_entries_than_may_come_at_once_are_refused(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capital_import, "ENTRIES_MAX", 1)
    (error,) = (await send(server, ADDED, CHANGED))["userErrors"]
    assert (error["field"], error["expected"]) == (["entries"], "1 to 1")
