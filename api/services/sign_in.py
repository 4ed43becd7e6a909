"""Checking who signs in: throttled by address and client network together, failures logged, in equal time for all.

Runs before an organization is known, as tranche_auth in single statements. What a successful sign-in writes is a
command like any other: see services/sessions.
"""

import asyncio
import ipaddress
import secrets
import time
from dataclasses import dataclass, field
from enum import StrEnum

import structlog

from api.db.pools import Database
from api.errors import RateLimited
from api.services.organizations import EMAIL_LENGTH_MAX
from api.services.passwords import Passwords

ATTEMPTS_MAX = 10
WINDOW_MINUTES = 15
FAILURES_KEPT_DAYS = 90
PURGE_SECONDS = 60.0
REFUSED_MILLISECONDS = range(250, 750)
"""How long a refused attempt waits for its answer: being refused must not let anybody try faster.

Not all as long, or those that come at once would come back at once.
"""
IPV6_NETWORK_BITS = 64
NO_NETWORK = "unknown"

logger = structlog.get_logger(__name__)


class Failure(StrEnum):
    """Why a sign-in failed; for the log alone, the caller is told nothing of it."""

    UNKNOWN_ADDRESS = "UNKNOWN_ADDRESS"
    NO_PASSWORD = "NO_PASSWORD"
    WRONG_PASSWORD = "WRONG_PASSWORD"
    NO_MEMBERSHIP = "NO_MEMBERSHIP"


@dataclass(frozen=True, slots=True)
class Attempt:
    """Somebody at a client network who says to be the person with this address."""

    email: str
    password: str
    network: str
    request_id: str


def client_network(address: str | None) -> str:
    """The network that a client's address stands for: itself, or the /64 of an IPv6 address, which one client owns."""
    if address is None:
        return NO_NETWORK
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return NO_NETWORK
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, IPV6_NETWORK_BITS), strict=False))
    return str(parsed)


# Counted before the password is looked at, in one statement: attempts at once cannot go past the limit together. What
# is to be compared comes with it, as the same row for every address; a refused attempt gets the seconds in its place.
_RESERVE = """
WITH reserved AS (
  INSERT INTO sign_in_throttles AS throttle (email, network, attempts, window_ends_at)
  VALUES (lower($1), $2, 1, now() + make_interval(mins => $4))
  ON CONFLICT (email, network) DO UPDATE SET
    attempts = CASE WHEN throttle.window_ends_at <= now() THEN 1 ELSE throttle.attempts + 1 END,
    window_ends_at = CASE WHEN throttle.window_ends_at <= now() THEN excluded.window_ends_at
      ELSE throttle.window_ends_at END
  WHERE throttle.window_ends_at <= now() OR throttle.attempts < $3
  RETURNING attempts
)
SELECT reserved.attempts IS NOT NULL AS is_reserved, person.id AS user_id, password.hash,
  CASE WHEN reserved.attempts IS NULL THEN (
    SELECT ceil(extract(epoch FROM window_ends_at - now()))::int FROM sign_in_throttles
    WHERE email = lower($1) AND network = $2
  ) END AS seconds
FROM (SELECT lower($1) AS email) AS given
LEFT JOIN reserved ON true
LEFT JOIN users AS person ON person.email = given.email AND reserved.attempts IS NOT NULL
LEFT JOIN user_passwords AS password ON password.user_id = person.id
"""


@dataclass(slots=True)
class SignIns:
    """The sign-ins of one process."""

    database: Database
    passwords: Passwords
    _purged_at: float = field(default_factory=time.monotonic)

    async def check(self, attempt: Attempt) -> int | None:
        """The user whose password this is, or None, which is logged and counted.

        Raises RateLimited where the process has its hands full, or where this address was tried in vain too often from
        this network: never for what was tried from elsewhere.
        """
        try:
            return await self._check(attempt)
        except RateLimited:
            await asyncio.sleep(secrets.choice(REFUSED_MILLISECONDS) / 1000)
            raise

    async def _check(self, attempt: Attempt) -> int | None:
        email = attempt.email[:EMAIL_LENGTH_MAX]
        pool = self.database.sign_ins
        with self.passwords.place(attempt.network):
            (found,) = await pool.fetch(_RESERVE, email, attempt.network, ATTEMPTS_MAX, WINDOW_MINUTES)
            if not found["is_reserved"]:
                logger.warning("sign_in_throttled", request_id=attempt.request_id)
                raise _throttled(found["seconds"])
            user_id: int | None = found["user_id"]
            hashed: str | None = found["hash"]
            if await self.passwords.matches(hashed, attempt.password) and hashed is not None:
                if self.passwords.is_outdated(hashed):
                    fresh = await self.passwords.hash(attempt.password)
                    await pool.fetch(
                        "UPDATE user_passwords SET hash = $2 WHERE user_id = $1 AND hash = $3", user_id, fresh, hashed
                    )
                await self._forgive(email, attempt.network)
                return user_id
            no_hash = Failure.UNKNOWN_ADDRESS if user_id is None else Failure.NO_PASSWORD
            reason = Failure.WRONG_PASSWORD if hashed else no_hash
            await self.record_failure(attempt, reason)
            return None

    async def record_failure(self, attempt: Attempt, reason: Failure) -> None:
        """Adds to the log of failed sign-ins, which belongs to no organization."""
        await self.database.sign_ins.fetch(
            "INSERT INTO sign_in_failures (email, network, reason, request_id) VALUES (lower($1), $2, $3, $4)",
            attempt.email[:EMAIL_LENGTH_MAX],
            attempt.network,
            reason.value,
            attempt.request_id,
        )

    async def _forgive(self, email: str, network: str) -> None:
        """Forgets what was tried in vain before the right password, and now and then what is too old to count."""
        pool = self.database.sign_ins
        await pool.fetch("DELETE FROM sign_in_throttles WHERE email = lower($1) AND network = $2", email, network)
        if time.monotonic() - self._purged_at >= PURGE_SECONDS:
            self._purged_at = time.monotonic()
            await pool.fetch("DELETE FROM sign_in_throttles WHERE window_ends_at < now()")
            await pool.fetch(
                "DELETE FROM sign_in_failures WHERE occurred_at < now() - make_interval(days => $1)",
                FAILURES_KEPT_DAYS,
            )


def _throttled(seconds: int | None) -> RateLimited:
    """The refusal of an address that was tried in vain too often, with the seconds until it is open again."""
    # None where others at once made up the number in that very moment.
    left = max(1, seconds or 1)
    return RateLimited(f"Too many attempts failed. Try again in {left} s.", left)
