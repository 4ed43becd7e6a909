"""From the Authorization header to the principal."""

import time
from collections import OrderedDict
from dataclasses import dataclass, field

from api.db.pools import Database
from api.domain.access import Principal
from api.errors import Unauthenticated
from api.graphql.context import SignedIn
from api.http.tokens import Tokens
from api.reads import memberships
from api.reads.memberships import FoundMembership
from api.services import api_keys
from api.services.sessions import token_hash

REMEMBERED_SECONDS = 1.0
"""How long a membership is taken as read: so long may a removed member still read. Writes look again themselves."""
REMEMBERED_MAX = 10_000


@dataclass(slots=True)
class Authenticator:
    """Turns headers into principals, remembering each for a second."""

    database: Database
    tokens: Tokens
    _remembered: OrderedDict[str, tuple[float, SignedIn]] = field(default_factory=OrderedDict)

    async def sign_in(self, authorization: str | None) -> SignedIn | None:
        """Who sends this header: None without one. Raises Unauthenticated for one that does not hold."""
        if authorization is None:
            return None
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Unauthenticated("Send the token as Authorization: Bearer TOKEN.")
        token = token.strip()
        remembered = self._remembered.get(token)
        if remembered is not None and time.monotonic() < remembered[0]:
            return remembered[1]
        signed_in, expires_at = await self._look_up(token)
        until = time.monotonic() + max(0.0, min(REMEMBERED_SECONDS, expires_at - time.time()))
        self._remembered[token] = (until, signed_in)
        self._remembered.move_to_end(token)
        if len(self._remembered) > REMEMBERED_MAX:
            self._remembered.popitem(last=False)
        return signed_in

    async def _look_up(self, token: str) -> tuple[SignedIn, float]:
        if token.startswith(api_keys.SECRET_START):
            return await self._look_up_key(token)
        claims = await self.tokens.verify(token)
        if claims.user_id is not None and claims.session_id is not None:
            membership = await memberships.membership_of_session(self.database, claims.user_id, claims.session_id)
            if membership is None:
                raise Unauthenticated("The session has ended. Sign in again.")
            return _signed_in(membership, claims.session_id), claims.expires_at
        if claims.user_id is not None:
            found = await memberships.memberships_of_user(self.database, claims.user_id)
        else:
            found = await memberships.memberships_of_email(self.database, claims.email or "")
        membership = memberships.choose(found, claims.organization_slug)
        if membership is None:
            raise Unauthenticated("The token's user is no member of the organization, or of several and names none.")
        return _signed_in(membership), claims.expires_at

    async def _look_up_key(self, secret: str) -> tuple[SignedIn, float]:
        key = await memberships.api_key_of_hash(self.database, token_hash(secret))
        if key is None:
            raise Unauthenticated("The bearer token is not valid.")
        if not key.is_use_noted:
            await api_keys.note_use(self.database, key.organization_id, key.id)
        principal = Principal(key.organization_id, None, key.role, key.id)
        return SignedIn(principal, ""), key.expires_at.timestamp()


def _signed_in(membership: FoundMembership, session_id: int | None = None) -> SignedIn:
    return SignedIn(membership.principal, membership.email, session_id)
