"""For how long the credentials of an open connection hold."""

import asyncio
import base64
import random
import time
from dataclasses import dataclass

import orjson
import structlog

from api.errors import Unauthenticated
from api.graphql.context import SignedIn
from api.http.authentication import Authenticator

LOOK_SECONDS = 2.0
"""How often an open connection's credentials are looked at again, give or take a quarter."""
UNKNOWN_SECONDS_MAX = 60.0
"""How long a connection stays open while nobody can tell whether its credentials hold."""
ANONYMOUS_SECONDS_MAX = 60.0
"""How long a connection without credentials may stay open."""

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who opened a connection, and with what."""

    authorization: str | None
    signed_in: SignedIn | None


async def until_ended(authenticator: Authenticator, caller: Caller) -> str:
    """Waits until the credentials that a connection began with hold no longer, and says why.

    They end with the token, its session or key, the membership, and also when the role changes: what was subscribed
    was allowed to the old one.
    """
    authorization, signed_in = caller.authorization, caller.signed_in
    if authorization is None or signed_in is None:
        await asyncio.sleep(ANONYMOUS_SECONDS_MAX)
        return "Send a bearer token."
    expires_at = expiry(authorization)
    known_at = time.monotonic()
    while True:
        # Spread out, so that what was connected at once is not looked at at once for ever.
        seconds = LOOK_SECONDS * random.uniform(0.75, 1.25)  # noqa: S311
        left = seconds if expires_at is None else expires_at - time.time()
        await asyncio.sleep(max(0.0, min(seconds, left)))
        if expires_at is not None and time.time() >= expires_at:
            return "The bearer token has expired."
        try:
            now = await authenticator.sign_in(authorization)
        except Unauthenticated as error:
            return str(error)
        except Exception as error:
            if time.monotonic() - known_at > UNKNOWN_SECONDS_MAX:
                logger.warning("credentials_unknown", error=repr(error))
                return "The credentials cannot be checked."
            continue
        if now is None or now.principal != signed_in.principal:
            return "Your role has changed; connect again."
        known_at = time.monotonic()


def expiry(authorization: str) -> float | None:
    """When a token that has been found valid says that it expires; None where it is no JWT.

    A request is granted some seconds' leeway for clocks that differ. An open connection has no need of it.
    """
    parts = authorization.rpartition(" ")[2].split(".")
    if len(parts) != 3:
        return None
    try:
        claims = orjson.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        return float(claims["exp"])
    except (ValueError, TypeError, KeyError):
        return None
