"""Idempotency keys: claimed first, in the same transaction as the effect, and answered with what they made."""

import hashlib
from dataclasses import dataclass

import asyncpg

from api.errors import ErrorCode, Problem, Refused, invalid
from api.services.audit import canonical_json

KEY_LENGTH_MAX = 128
PURGED_AT_ONCE = 1000

ROW_KEYS = {
    "createForecastSnapshot": ("forecast_snapshots", "fund_id"),
    "createInvestmentLot": ("investment_lots", "investment_id"),
    "createReserveAllocation": ("reserve_allocations", "snapshot_id"),
}
"""Mutations whose row has the key, too: its table, and the column of the parent that the key is unique within."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A caller's key for one mutation under one parent, with the SHA-256 of the input that came with it."""

    key: str
    fingerprint: bytes
    parent: str = ""


def claim_for(key: str | None, input_without_key: object, *, parent: str = "") -> Claim | None:
    """The claim of a caller's key, or None where none was given; raises Refused for a malformed one."""
    if key is None:
        return None
    if not 1 <= len(key) <= KEY_LENGTH_MAX:
        limit = f"1 to {KEY_LENGTH_MAX} characters"
        raise Refused(
            [invalid("idempotency_key", f"A key has {limit}.", expected=limit, actual=f"{len(key)} characters")]
        )
    return Claim(key, hashlib.sha256(canonical_json(input_without_key)).digest(), parent)


async def claim(
    connection: asyncpg.Connection,
    organization_id: int,
    mutation: str,
    claim: Claim,
    *,
    days: int,
    lock_timeout_seconds: float,
) -> object | None:
    """Takes the key for this transaction, or returns the stored result of the one that had taken it.

    Waits for a transaction that holds the key; the insert's own lock timeout is longer than the others', which is set
    once the key is ours. Raises Refused: IN_PROGRESS after that wait, IDEMPOTENCY_KEY_REUSED for another input.
    """
    try:
        claimed = await connection.fetchrow(
            """
            INSERT INTO idempotency_keys AS held (organization_id, mutation, parent, key, fingerprint, expires_at)
            VALUES ($1, $2, $3, $4, $5, now() + make_interval(days => $6))
            ON CONFLICT (organization_id, mutation, parent, key) DO UPDATE
              SET fingerprint = excluded.fingerprint, result = NULL, created_at = now(),
                expires_at = excluded.expires_at
              WHERE held.expires_at <= now()
            RETURNING set_config('lock_timeout', $7, true), xmax <> 0 AS had_expired
            """,
            organization_id,
            mutation,
            claim.parent,
            claim.key,
            claim.fingerprint,
            days,
            f"{lock_timeout_seconds * 1000:.0f}ms",
        )
    except asyncpg.LockNotAvailableError:
        message = "Another request with this key is still being answered. Send it again later."
        raise Refused([Problem(ErrorCode.IN_PROGRESS, message, ("idempotency_key",))]) from None
    if claimed is not None:
        if claimed["had_expired"] and mutation in ROW_KEYS:
            await _forget_in_rows(connection, organization_id, mutation, [claim.parent], [claim.key])
        return None
    row = await connection.fetchrow(
        """
        SELECT fingerprint, result FROM idempotency_keys
        WHERE organization_id = $1 AND mutation = $2 AND parent = $3 AND key = $4
        """,
        organization_id,
        mutation,
        claim.parent,
        claim.key,
    )
    if row["fingerprint"] != claim.fingerprint:
        message = "This key came with another input before."
        raise Refused([Problem(ErrorCode.IDEMPOTENCY_KEY_REUSED, message, ("idempotency_key",))])
    result: object = row["result"]["result"]
    return result


async def store_result(
    connection: asyncpg.Connection, organization_id: int, mutation: str, claim: Claim, result: object
) -> None:
    """Keeps what the key made, for those who come with it again."""
    await connection.execute(
        """
        UPDATE idempotency_keys SET result = $5
        WHERE organization_id = $1 AND mutation = $2 AND parent = $3 AND key = $4
        """,
        organization_id,
        mutation,
        claim.parent,
        claim.key,
        {"result": result},
    )


async def purge_expired(connection: asyncpg.Connection, organization_id: int) -> int:
    """Deletes expired keys of an organization, also out of the rows that have them; returns how many.

    Takes those that nobody is at, at most PURGED_AT_ONCE: where it returns as many, there may be more. A row that
    forgets its key is the same version still. ``connection`` is in a transaction of that organization.
    """
    purged = await connection.fetch(
        """
        DELETE FROM idempotency_keys WHERE organization_id = $1 AND id IN (
          SELECT id FROM idempotency_keys WHERE organization_id = $1 AND expires_at <= now()
          ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED)
        RETURNING mutation, parent, key
        """,
        organization_id,
        PURGED_AT_ONCE,
    )
    for mutation in ROW_KEYS:
        gone = [row for row in purged if row["mutation"] == mutation]
        if gone:
            parents, keys = [row["parent"] for row in gone], [row["key"] for row in gone]
            await _forget_in_rows(connection, organization_id, mutation, parents, keys)
    return len(purged)


async def _forget_in_rows(
    connection: asyncpg.Connection, organization_id: int, mutation: str, parents: list[str], keys: list[str]
) -> None:
    table, scope = ROW_KEYS[mutation]
    await connection.execute(
        f"""
        UPDATE {table} AS made SET idempotency_key = NULL
        FROM unnest($2::bigint[], $3::text[]) AS gone(parent, key)
        WHERE made.organization_id = $1 AND made.{scope} = gone.parent AND made.idempotency_key = gone.key
        """,
        organization_id,
        [int(parent) for parent in parents],
        keys,
    )
