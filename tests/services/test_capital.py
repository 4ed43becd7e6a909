"""Capital sources change through their history alone, which is dense, ordered, and never changed."""

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from random import Random
from typing import Any

import pytest

from api.domain.access import Role
from api.domain.capital import fold
from api.reads import global_ids
from tests.server import RunningServer
from tests.services.capital_client import Capital, day, mutation, problems

TOMORROW = (datetime.now(UTC) + timedelta(days=2)).date().isoformat()
VERIFICATION = "{ auditVerification { isIntact firstBrokenSequence } }"


@pytest.fixture
def capital(server: RunningServer) -> Capital:
    return Capital(server)


async def test_added_source_is_shown_with_its_entry(capital: Capital) -> None:
    payload = await capital.write(
        "addCapitalSource",
        externalKey="bank-1",
        name="Bank loan",
        annualRate="0.05",
        availableCents="50000000",
        effectiveOn="2025-01-01",
        notes="First",
    )
    source, entry = payload["source"], payload["entry"]
    assert source | {"id": None} == {
        "id": None,
        "externalKey": "bank-1",
        "name": "Bank loan",
        "annualRate": "0.05",
        "availableCents": "50000000",
        "currency": "USD",
        "isActive": True,
        "addedOn": "2025-01-01",
        "removedOn": None,
        "version": "1",
    }
    assert entry | {"id": None, "recordedAt": None} == {
        "id": None,
        "sequence": "1",
        "source": {"id": source["id"]},
        "action": "ADDED",
        "effectiveOn": "2025-01-01",
        "name": "Bank loan",
        "annualRate": "0.05",
        "availableCents": "50000000",
        "previousRate": None,
        "previousAmountCents": None,
        "notes": "First",
        "actor": {"email": "editor@alpha.example"},
        "recordedAt": None,
    }


async def test_change_sets_one_field_and_names_what_was_before_on_its_day(capital: Capital) -> None:
    source_id = await capital.add("Loan", "0.05", 100, "2025-01-01")
    await capital.amount(source_id, 200, "2025-03-01")
    await capital.rate(source_id, "0.06", "2025-03-01")
    payload = await capital.amount(source_id, 150, "2025-02-01")
    entry, source = payload["entry"], payload["source"]
    # The back-dated amount follows the first one, and the later one holds.
    assert (entry["previousAmountCents"], entry["previousRate"]) == ("100", None)
    assert (entry["availableCents"], entry["annualRate"]) == ("150", "0.05")
    assert (source["availableCents"], source["annualRate"], source["version"]) == ("200", "0.06", "4")
    payload = await capital.rate(source_id, "0.07", "2025-03-01")
    assert (payload["entry"]["previousRate"], payload["source"]["annualRate"]) == ("0.06", "0.07")


async def test_back_dated_amount_survives_a_later_rate(capital: Capital) -> None:
    source_id = await capital.add("Loan", "0.05", 100, "2025-01-01")
    await capital.rate(source_id, "0.06", "2025-03-01")
    await capital.amount(source_id, 250, "2025-02-01")
    assert await capital.state("2025-01-31") == {"Loan": ("0.05", "100")}
    assert await capital.state("2025-02-01") == {"Loan": ("0.05", "250")}
    assert await capital.state("2025-03-01") == {"Loan": ("0.06", "250")}
    assert await capital.state() == {"Loan": ("0.06", "250")}


async def test_removed_source_stays_so_and_its_past_can_be_corrected(capital: Capital) -> None:
    source_id = await capital.add("Loan", "0.05", 100, "2025-01-01")
    await capital.amount(source_id, 300, "2025-05-01")
    payload = await capital.remove(source_id, "2025-03-01")
    assert (payload["entry"]["previousRate"], payload["entry"]["previousAmountCents"]) == ("0.05", "100")
    source = payload["source"]
    assert (source["isActive"], source["removedOn"], source["availableCents"]) == (False, "2025-03-01", "100")
    for change in (
        capital.amount(source_id, 200, "2025-03-01"),
        capital.rate(source_id, "0.06", "2025-03-02"),
        capital.remove(source_id, "2025-03-01"),
    ):
        assert problems(await change) == [("INVALID_TRANSITION", "effectiveOn")]
    corrected = await capital.amount(source_id, 200, "2025-02-01")
    assert (corrected["source"]["isActive"], corrected["source"]["availableCents"]) == (False, "200")
    assert await capital.state("2025-02-28") == {"Loan": ("0.05", "200")}
    assert await capital.state("2025-03-01") == {}


async def test_refused_changes_write_nothing(capital: Capital) -> None:
    source_id = await capital.add("Loan", "0.05", 100, "2025-01-01", externalKey="a")
    before = await capital.server.owner.fetch("SELECT * FROM audit_heads ORDER BY 1")
    new: dict[str, Any] = {"name": "Loan", "annualRate": "0", "availableCents": "1", "effectiveOn": "2025-01-01"}
    refusals: list[tuple[dict[str, str], str, str]] = [
        ({"name": " a "}, "INVALID_INPUT", "name"),
        ({"name": "x" * 201}, "INVALID_INPUT", "name"),
        ({"annualRate": "-0.01"}, "INVALID_INPUT", "annualRate"),
        ({"annualRate": "0.1234567"}, "INVALID_INPUT", "annualRate"),
        ({"availableCents": "0"}, "INVALID_INPUT", "availableCents"),
        ({"effectiveOn": TOMORROW}, "INVALID_INPUT", "effectiveOn"),
        ({"currency": "EUR"}, "INVALID_INPUT", "currency"),
        ({"externalKey": ""}, "INVALID_INPUT", "externalKey"),
        ({"notes": "x" * 1001}, "INVALID_INPUT", "notes"),
        ({"externalKey": "a"}, "ALREADY_EXISTS", "externalKey"),
    ]
    for change, code, field in refusals:
        assert problems(await capital.write("addCapitalSource", **new | change)) == [(code, field)]
    for payload, code, field in (
        (await capital.amount(source_id, 0, "2025-01-01"), "INVALID_INPUT", "availableCents"),
        (await capital.amount(source_id, 5, TOMORROW), "INVALID_INPUT", "effectiveOn"),
        (await capital.amount(source_id, 5, "2024-12-31"), "INVALID_INPUT", "effectiveOn"),
        (await capital.rate(source_id, "10000", "2025-01-01"), "INVALID_INPUT", "annualRate"),
        (await capital.remove("x", "2025-01-01"), "NOT_FOUND", "sourceId"),
        (await capital.remove(global_ids.encode("CapitalSource", 999), "2025-01-01"), "NOT_FOUND", "sourceId"),
    ):
        assert problems(payload) == [(code, field)]
    assert await capital.server.owner.fetch("SELECT * FROM audit_heads ORDER BY 1") == before
    assert await capital.server.owner.fetchval("SELECT count(*) FROM capital_history") == 1


async def test_every_change_is_made_once_per_key(capital: Capital) -> None:
    added = await asyncio.gather(
        *(
            capital.write(
                "addCapitalSource",
                name="Loan",
                annualRate="0",
                availableCents="1",
                effectiveOn="2025-01-01",
                idempotencyKey="k",
            )
            for _ in range(10)
        )
    )
    assert sorted(payload["replayed"] for payload in added) == [False] + [True] * 9
    (source_id,) = {payload["source"]["id"] for payload in added}
    for name, values in (
        ("updateCapitalAmount", {"availableCents": "2"}),
        ("updateCapitalRate", {"annualRate": "0.01"}),
        ("removeCapitalSource", {}),
    ):
        given = {"sourceId": source_id, "effectiveOn": "2025-01-02", "idempotencyKey": "k", **values}
        first, second = await capital.write(name, **given), await capital.write(name, **given)
        assert (first["replayed"], second["replayed"]) == (False, True)
        assert first["entry"] == second["entry"]
    reused = await capital.amount(source_id, 3, "2025-01-02", idempotencyKey="k")
    assert problems(reused) == [("IDEMPOTENCY_KEY_REUSED", "idempotencyKey")]
    assert await capital.server.owner.fetchval("SELECT count(*) FROM capital_history") == 4


async def test_history_of_concurrent_writers_is_dense_and_ascends_in_time(capital: Capital) -> None:
    """12 writers, on their own source and on one that they share, with other writes between."""
    shared = await capital.add("Shared", "0.05", 1, "2025-01-01")

    async def write(number: int) -> None:
        source_id = await capital.add(f"Source {number}", "0.01", number + 1, "2025-01-01")
        for step in range(5):
            await capital.amount(shared, number * 10 + step + 1, day(step).isoformat())
            await capital.rate(source_id, f"0.0{step}", day(step).isoformat())
            query = "mutation ($input: CreateFundInput!) { createFund(input: $input) { userErrors { code } } }"
            await capital.server.execute(query, {"input": {"name": f"Fund {number} {step}"}})

    await asyncio.gather(*(write(number) for number in range(12)))
    rows = await capital.server.owner.fetch("SELECT sequence, recorded_at FROM capital_history ORDER BY sequence")
    assert [row["sequence"] for row in rows] == list(range(1, 1 + 1 + 12 * 11))
    assert all(before["recorded_at"] < after["recorded_at"] for before, after in pairwise(rows))
    assert await capital.server.owner.fetchval("SELECT capital_sequence FROM audit_heads WHERE sequence > 9") == 133
    previous = await capital.server.owner.fetch(
        """
        SELECT previous_amount_cents AS given, lag(available_cents) OVER (ORDER BY sequence) AS expected
        FROM capital_history WHERE name = 'Shared' AND effective_on = '2025-01-01' ORDER BY sequence
        """
    )
    # Each saw what the one before it had written: none was lost.
    assert [row["given"] for row in previous] == [row["expected"] for row in previous]
    verdict = (await capital.server.execute(VERIFICATION, role=Role.ADMIN)).data["auditVerification"]
    assert verdict == {"isIntact": True, "firstBrokenSequence": None}


async def test_source_is_the_fold_of_its_history(capital: Capital) -> None:
    """Random changes on random days: what a source shows is what its entries come to."""
    random = Random(7)
    ids = [await capital.add(f"Source {number}", "0.05", 100, day(number).isoformat()) for number in range(6)]
    for step in range(120):
        source_id, on = random.choice(ids), day(random.randint(0, 60)).isoformat()
        match random.choices(["amount", "rate", "remove"], [10, 10, 1])[0]:
            case "amount":
                await capital.amount(source_id, step + 1, on)
            case "rate":
                await capital.rate(source_id, f"0.{step:03}", on)
            case "remove":
                await capital.remove(source_id, day(random.randint(40, 60)).isoformat())
    entries = await capital.entries()
    removed = 0
    for row in await capital.server.owner.fetch("SELECT * FROM capital_sources"):
        of_source = [entry for entry in entries if entry.source == row["id"]]
        last_day = row["removed_on"] - timedelta(days=1) if row["removed_on"] else day(60)
        (state,) = fold(of_source, last_day)
        assert (state.name, state.annual_rate, state.available_cents) == (
            row["name"],
            row["annual_rate"],
            row["available_cents"],
        )
        assert row["version"] == len(of_source)
        assert bool(fold(of_source, day(60))) is (row["removed_on"] is None)
        removed += row["removed_on"] is not None
    assert 0 < removed < len(ids)


async def test_log_tells_who_changed_what_from_what_to_what(capital: Capital) -> None:
    source_id = await capital.add("Loan", "0.05", 100, "2025-01-01")
    payload = await capital.amount(source_id, 200, "2025-01-02")
    query = "{ auditEvents(first: 1) { nodes { kind action actor { email } subject { id } before after occurredAt } } }"
    (event,) = (await capital.server.execute(query, role=Role.ADMIN)).data["auditEvents"]["nodes"]
    assert (event["kind"], event["action"], event["actor"]) == (
        "FINANCIAL",
        "capital_source.amount_changed",
        {"email": "editor@alpha.example"},
    )
    assert event["subject"]["id"] == payload["entry"]["id"]
    assert event["occurredAt"] == payload["entry"]["recordedAt"]
    assert event["before"]["available_cents"] == 100
    assert (event["after"]["available_cents"], event["after"]["annual_rate"]) == (200, "0.05")


async def test_sources_of_another_organization_are_not_found(capital: Capital) -> None:
    source_id = await capital.add("Loan", "0.05", 100, "2025-01-01")
    payload = await capital.write(
        "removeCapitalSource", organization="beta", sourceId=source_id, effectiveOn="2025-01-01"
    )
    assert problems(payload) == [("NOT_FOUND", "sourceId")]
    answer = await capital.server.execute(
        mutation("removeCapitalSource"),
        {"input": {"sourceId": source_id, "effectiveOn": "2025-01-01"}},
        role=Role.VIEWER,
    )
    assert answer.codes == ["FORBIDDEN"]
    assert (await capital.entries())[-1].annual_rate == Decimal("0.05")
