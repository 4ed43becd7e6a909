"""How much each caller may ask for in a minute, over all processes together.

What a caller may still ask for is in a bucket in the database, which fills up all the time. Each process takes a part
of it at once and spends from that, so that most requests find what they need in memory. These writes do not go through
``commands``: they are nobody's change of anything, and a refused or failed one must not fail what was asked.
"""

import asyncio
import math
import secrets
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from decimal import Decimal

import asyncpg
import structlog

from api.db.faults import fault_of
from api.db.pools import Database
from api.domain.access import Principal
from api.errors import RateLimited

PARTS_PER_MINUTE = 20
"""A process takes so large a part of a minute's allowance at once: small enough to leave the others theirs."""
ANONYMOUS_SHARE = 0.01
"""What all callers without a token together may ask of one process, as a part of what one caller may of all."""
ASK_SECONDS_MIN = 1.0
"""A process does not ask more often for a caller whose bucket it has found empty."""
LEASE_SECONDS_MAX = 2.0
CALLERS_MAX = 10_000
"""Callers whose parts a process keeps; what is left of the oldest is lost to its caller."""

FORGETS_EVERY = 20
"""Of so many takes one, by chance, also clears away buckets that are full again."""

TAKE = """
INSERT INTO rate_limits AS bucket (organization_id, caller, remaining, granted, refilled_at)
VALUES ($1, $2, $3::numeric - least($4::numeric, $3::numeric), least($4::numeric, $3::numeric), clock_timestamp())
ON CONFLICT (organization_id, caller) DO UPDATE SET (remaining, granted, refilled_at) = (
  SELECT available - least(available, $4::numeric), least(available, $4::numeric), greatest(bucket.refilled_at, moment)
  FROM (SELECT clock_timestamp() AS moment) AS clock CROSS JOIN LATERAL (
    SELECT least($3::numeric, bucket.remaining
      + greatest(0, extract(epoch FROM moment - bucket.refilled_at)) * $3::numeric / 60) AS available
  ) AS refilled
)
RETURNING granted
"""
"""Fills the bucket up for the time that has passed, and takes what is wanted of it, or all there is."""

FORGET = """
DELETE FROM rate_limits WHERE (organization_id, caller) IN (
  SELECT organization_id, caller FROM rate_limits
  WHERE organization_id = $1 AND refilled_at < clock_timestamp() - interval '1 minute' LIMIT 100 FOR UPDATE SKIP LOCKED
)
"""
"""After a minute a bucket is full, and as good as none. Several for each take, so that they do not add up."""

Caller = tuple[int, int | None, int | None]
logger = structlog.get_logger(__name__)


@dataclass(slots=True)
class Lease:
    """What a process has taken of a caller's bucket and not yet spent; ``asks_again_at`` by the monotonic clock."""

    remaining: float = 0.0
    asks_again_at: float = 0.0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass(slots=True)
class RateLimits:
    """The limits as one process keeps them. ``per_minute`` is 0 where there are none."""

    database: Database
    per_minute: int
    _leases: OrderedDict[Caller, Lease] = field(default_factory=OrderedDict)
    _anonymous: float = field(init=False)
    _anonymous_at: float = field(init=False)

    def __post_init__(self) -> None:
        """Fills the bucket of those without a token."""
        self._anonymous, self._anonymous_at = self.per_minute * ANONYMOUS_SHARE, time.monotonic()

    def take(self, principal: Principal, cost: int) -> bool:
        """Spends the cost from what this process has of the caller's; False where ``lease`` must get more."""
        if not self.per_minute:
            return True
        lease = self._leases.get((principal.organization_id, principal.user_id, principal.api_key_id))
        if lease is None or lease.remaining < cost:
            return False
        lease.remaining -= cost
        return True

    def give_back(self, principal: Principal, cost: int) -> None:
        """What was taken of the caller's and not used."""
        lease = self._leases.get((principal.organization_id, principal.user_id, principal.api_key_id))
        if lease is not None:
            lease.remaining += cost

    async def lease(self, principal: Principal, cost: int) -> None:
        """Takes more from the caller's bucket and spends the cost; raises RateLimited where there is not enough."""
        caller = (principal.organization_id, principal.user_id, principal.api_key_id)
        lease = self._leases.get(caller)
        if lease is None:
            lease = self._leases[caller] = Lease()
            if len(self._leases) > CALLERS_MAX:
                self._leases.popitem(last=False)
        async with lease.lock:
            if lease.remaining < cost and time.monotonic() >= lease.asks_again_at:
                wanted = math.ceil(max(cost - lease.remaining, self.per_minute / PARTS_PER_MINUTE))
                lease.remaining += await self._take(caller, wanted)
            if lease.remaining >= cost:
                lease.remaining -= cost
                return
            if time.monotonic() >= lease.asks_again_at:
                lease.asks_again_at = time.monotonic() + ASK_SECONDS_MIN
            raise self._refusal(cost - lease.remaining, self.per_minute)

    def take_anonymously(self, cost: int) -> None:
        """Spends the cost from what all without a token may ask of this process; raises RateLimited."""
        if not self.per_minute:
            return
        size, now = self.per_minute * ANONYMOUS_SHARE, time.monotonic()
        self._anonymous = min(size, self._anonymous + (now - self._anonymous_at) * size / 60)
        self._anonymous_at = now
        # What is more than there can ever be, such as introspection where little is allowed, takes all there is.
        taken = min(cost, size)
        if self._anonymous < taken:
            raise self._refusal(taken - self._anonymous, size)
        self._anonymous -= taken

    def give_back_anonymously(self, cost: int) -> None:
        """What was taken so and not used."""
        self._anonymous += min(cost, self.per_minute * ANONYMOUS_SHARE)

    async def _take(self, caller: Caller, wanted: int) -> float:
        """What the caller's bucket gives. Where the database is late or away it gives all: this is not what fails."""
        organization_id, user_id, api_key_id = caller
        name = f"user {user_id}" if user_id is not None else f"key {api_key_id}"
        try:
            async with asyncio.timeout(LEASE_SECONDS_MAX), self.database.writing(organization_id) as connection:
                granted = await connection.fetchval(TAKE, organization_id, name, self.per_minute, Decimal(wanted))
                if not secrets.randbelow(FORGETS_EVERY):
                    await connection.execute(FORGET, organization_id)
                await connection.execute("COMMIT")
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            if fault_of(error) is None:
                raise
            logger.warning("rate_limit_unknown", error=repr(error))
            return wanted
        return float(granted)

    def _refusal(self, missing: float, per_minute: float) -> RateLimited:
        seconds = max(1, math.ceil(missing * 60 / per_minute))
        return RateLimited(
            f"You have asked for too much within a minute: at most a cost of {per_minute:.0f}."
            f" Try again in {seconds} s.",
            seconds,
        )
