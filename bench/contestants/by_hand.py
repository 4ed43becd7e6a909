"""Reallocations by hand: the statements that this server runs for a preview and a commit, and no GraphQL.

Reads what it needs from the variables of the same requests and makes the same answers, for plans that nothing speaks
against: it checks no cap, warns of nothing, tries nothing again.
Started as `uvicorn bench.contestants.by_hand:application`.
"""

import base64
import hashlib
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

import asyncpg
import orjson

from bench.contestants.floor import Floor

PLACES = Decimal("0.000001")
COMPANIES = """
SELECT id, name, planned_reserves_cents, allocation_cap_cents FROM portfolio_companies
WHERE organization_id = $1 AND fund_id = $2 ORDER BY id
"""
TAKE_KEY = """
INSERT INTO idempotency_keys AS held (organization_id, mutation, parent, key, fingerprint, expires_at)
VALUES ($1, 'commitReallocation', $2, $3, $4, now() + make_interval(days => 30))
ON CONFLICT (organization_id, mutation, parent, key) DO UPDATE
  SET fingerprint = excluded.fingerprint, result = NULL, created_at = now(), expires_at = excluded.expires_at
  WHERE held.expires_at <= now()
RETURNING set_config('lock_timeout', '3000ms', true)
"""
KEEP_RESULT = """
UPDATE idempotency_keys SET result = $4::jsonb
WHERE organization_id = $1 AND mutation = 'commitReallocation' AND parent = $2 AND key = $3
"""
MOVE_FUND = """
UPDATE funds SET allocation_version = allocation_version + 1, version = version + 1, updated_at = now()
WHERE organization_id = $1 AND id = $2 AND allocation_version = $3 RETURNING allocation_version
"""
MOVE_COMPANIES = """
UPDATE portfolio_companies AS company
SET planned_reserves_cents = change.planned, allocation_cap_cents = change.cap, allocation_reason = $5,
  allocation_count = allocation_count + 1, last_allocation_at = now(), version = version + 1, updated_at = now()
FROM unnest($2::bigint[], $3::bigint[], $4::bigint[]) AS change (id, planned, cap)
WHERE company.organization_id = $1 AND company.id = change.id
"""
LOG = "SELECT log_reallocation_audit($1, $2, $3, $4, $5, $6::jsonb, $7)"
APPEND = "SELECT last_sequence, transaction_id FROM append_audit($1, $2, NULL, $3, $4, $5, $6, $7, $8)"


class ByHand(Floor):
    """The ASGI application."""

    def __init__(self) -> None:
        super().__init__()
        self.users: dict[int, int] = {}

    async def answer(self, body: bytes, organization_id: int) -> bytes:
        """The response to one request of an organization."""
        assert self.pool is not None  # noqa: S101 - the lifespan has opened it
        request = orjson.loads(body)
        given = request["variables"]["input"]
        async with self.pool.acquire() as connection:
            if request["operationName"] == "Preview":
                return await preview(connection, organization_id, given)
            if organization_id not in self.users:
                await connection.execute(f"SET app.organization_id = '{organization_id:d}'")
                statement = "SELECT max(user_id) FROM memberships WHERE organization_id = $1 AND role = 'ADMIN'"
                self.users[organization_id] = await connection.fetchval(statement, organization_id)
            return await commit(connection, organization_id, self.users[organization_id], given)


async def preview(connection: asyncpg.Connection, organization_id: int, given: dict[str, Any]) -> bytes:
    """What the proposals would change."""
    fund_id, proposed = _read(given)
    await connection.execute(
        f"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL app.organization_id = '{organization_id:d}'"
    )
    fund = await connection.fetchrow(
        "SELECT allocation_version, size_cents FROM funds WHERE organization_id = $1 AND id = $2",
        organization_id,
        fund_id,
    )
    companies = await connection.fetch(COMPANIES, organization_id, fund_id)
    await connection.execute("ROLLBACK")
    before = sum(company["planned_reserves_cents"] for company in companies)
    after = sum(proposed.get(company["id"], company["planned_reserves_cents"]) for company in companies)
    shown = {
        "baselineVersion": str(fund["allocation_version"]),
        "isValid": True,
        "deltas": [_delta(company, proposed) for company in companies],
        "totals": {
            "beforeCents": str(before),
            "afterCents": str(after),
            "deltaCents": str(after - before),
            "deltaRatio": _ratio(before, after),
        },
        "issues": [],
    }
    return orjson.dumps({"data": {"previewReallocation": {"preview": shown, "userErrors": []}}})


async def commit(connection: asyncpg.Connection, organization_id: int, user_id: int, given: dict[str, Any]) -> bytes:
    """Carries the proposals out, in one transaction with its key and its entry in the log."""
    fund_id, proposed = _read(given)
    version, key, reason = int(given["expectedVersion"]), given["idempotencyKey"], given["reason"]
    await connection.execute(
        f"BEGIN; SET LOCAL app.organization_id = '{organization_id:d}'; SET LOCAL lock_timeout = '8000ms'"
    )
    await connection.fetchval(
        "SELECT role FROM memberships WHERE organization_id = $1 AND user_id = $2 AND removed_at IS NULL",
        organization_id,
        user_id,
    )
    fingerprint = hashlib.sha256(orjson.dumps(given, option=orjson.OPT_SORT_KEYS)).digest()
    await connection.fetchval(TAKE_KEY, organization_id, str(fund_id), key, fingerprint)
    await connection.fetchrow(MOVE_FUND, organization_id, fund_id, version)
    companies = await connection.fetch(COMPANIES + " FOR NO KEY UPDATE", organization_id, fund_id)
    changed = [company for company in companies if proposed[company["id"]] != company["planned_reserves_cents"]]
    await connection.execute(
        MOVE_COMPANIES,
        organization_id,
        [company["id"] for company in changed],
        [proposed[company["id"]] for company in changed],
        [company["allocation_cap_cents"] for company in changed],
        reason,
    )
    changes = [_change(company, proposed) for company in changed]
    logged = orjson.dumps(changes).decode()
    reallocation_id = await connection.fetchval(
        LOG, organization_id, fund_id, user_id, version, version + 1, logged, reason
    )
    kept = orjson.dumps({"result": {"id": str(reallocation_id), "fund_id": fund_id, "changes": changes}}).decode()
    await connection.execute(KEEP_RESULT, organization_id, str(fund_id), key, kept)
    body = orjson.dumps(
        {"action": "reallocation.committed", "before": {"allocation_version": version}, "after": {"changes": changes}}
    )
    await connection.fetchrow(
        APPEND,
        organization_id,
        user_id,
        ["FINANCIAL"],
        ["reallocation.committed"],
        ["Reallocation"],
        [str(reallocation_id)],
        [body.decode()],
        [hashlib.sha256(body).digest()],
    )
    await connection.execute("COMMIT")
    shown = {
        "reallocation": {
            "id": _global_id("Reallocation", reallocation_id),
            "newVersion": str(version + 1),
            "changes": [
                {
                    "companyName": change["company_name"],
                    "fromCents": str(change["from_cents"]),
                    "toCents": str(change["to_cents"]),
                }
                for change in changes
            ],
        },
        "fund": {"allocationVersion": str(version + 1)},
        "replayed": False,
        "userErrors": [],
    }
    return orjson.dumps({"data": {"commitReallocation": shown}})


def _read(given: dict[str, Any]) -> tuple[int, dict[int, int]]:
    """The fund, and the proposed amounts by company."""
    proposed = {_row_id(one["companyId"]): int(one["plannedReservesCents"]) for one in given["proposals"]}
    return _row_id(given["fundId"]), proposed


def _delta(company: Any, proposed: dict[int, int]) -> dict[str, Any]:
    before = company["planned_reserves_cents"]
    after = proposed.get(company["id"], before)
    return {
        "company": {"id": _global_id("PortfolioCompany", company["id"]), "name": company["name"]},
        "fromCents": str(before),
        "toCents": str(after),
        "deltaCents": str(after - before),
        "deltaRatio": _ratio(before, after),
        "status": "UNCHANGED" if after == before else "INCREASED" if after > before else "DECREASED",
    }


def _change(company: Any, proposed: dict[int, int]) -> dict[str, Any]:
    before, after = company["planned_reserves_cents"], proposed[company["id"]]
    return {
        "company_id": company["id"],
        "company_name": company["name"],
        "from_cents": before,
        "to_cents": after,
        "delta_cents": after - before,
    }


def _ratio(before: int, after: int) -> str:
    text = format((Decimal(after - before) / before).quantize(PLACES, rounding=ROUND_HALF_EVEN), "f")
    return text.rstrip("0").rstrip(".")


def _global_id(type_name: str, row_id: object) -> str:
    return base64.b64encode(f"{type_name}:{row_id}".encode()).decode()


def _row_id(global_id: str) -> int:
    return int(base64.b64decode(global_id).rpartition(b":")[2])


application = ByHand()
