"""Bearer tokens: JWTs of our own, and of one outside issuer where the settings name it."""

import asyncio
import base64
import hashlib
import hmac
import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import orjson
import structlog
from joserfc import jwk, jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, KeySet

from api import private_files
from api.config import Settings
from api.errors import ConfigurationError, Unauthenticated
from api.graphql.context import AccessToken
from api.reads.global_ids import BIGINT_MAX

TOKEN_LENGTH_MAX = 8192
LEEWAY_SECONDS = 30
JWKS_REFRESH_SECONDS_MIN = 60
JWKS_AGE_SECONDS_MAX = 900
"""How long a fetched key set is relied on: a key that the issuer has withdrawn is good no longer than that."""
JWKS_SECONDS_MAX = 5
OUTSIDE_ALGORITHMS = ["ES256", "ES384", "RS256", "PS256", "EdDSA", "Ed25519"]
_MALFORMED = (JoseError, ValueError, TypeError, LookupError, AttributeError, OverflowError)
"""What reading a token or key of any other shape raises."""
logger = structlog.get_logger(__name__)
_ALGORITHM_BY_CURVE = {"P-256": "ES256", "P-384": "ES384", "Ed25519": "EdDSA"}


@dataclass(frozen=True, slots=True)
class Claims:
    """What a valid token says. One of ``user_id`` (our own tokens) and ``email`` (an outside issuer's) is set.

    With a ``session_id`` it is worth no more than the session is.
    """

    user_id: int | None
    email: str | None
    organization_slug: str | None
    expires_at: int
    session_id: int | None = None


class Tokens:
    """Issues and checks tokens: issuer, audience, expiry, key id; the keys fix the algorithms, never the token."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._key = _signing_key(settings)
        self._algorithm = _algorithm_of(self._key)
        self._outside = OutsideKeys(settings) if settings.trusted_issuer else None

    @property
    def refresh_key(self) -> bytes:
        """The secret that refresh tokens are made with: another for each signing key, and no help in finding that."""
        private = self._key.as_dict(private=True)["d"]
        return hmac.digest(str(private).encode(), b"refresh tokens", hashlib.sha256)

    def issue(self, *, user_id: int, email: str, organization_slug: str) -> str:
        """A token for one user in one organization, of no session: the command line's and the demo's."""
        end = int(time.time()) + self._settings.token_minutes * 60
        return self._signed(end, sub=str(user_id), email=email, organization=organization_slug)

    def issue_for_session(
        self, *, user_id: int, email: str, organization_slug: str, session_id: int, until: datetime
    ) -> AccessToken:
        """A short token of a session, which ends at ``until`` at the latest."""
        end = min(int(time.time()) + self._settings.access_minutes * 60, int(until.timestamp()))
        token = self._signed(end, sub=str(user_id), email=email, organization=organization_slug, sid=session_id)
        return AccessToken(token, datetime.fromtimestamp(end, UTC))

    def _signed(self, end: int, **said: str | int) -> str:
        claims = {
            "iss": self._settings.token_issuer,
            "aud": self._settings.token_audience,
            "iat": int(time.time()),
            "exp": end,
            "jti": secrets.token_urlsafe(12),
        }
        return jwt.encode(
            {"alg": self._algorithm, "kid": self._key.kid}, claims | said, self._key, algorithms=[self._algorithm]
        )

    async def verify(self, token: str) -> Claims:
        """What the token says; raises Unauthenticated, without telling which check failed."""
        if len(token) > TOKEN_LENGTH_MAX:
            raise Unauthenticated("The bearer token is not valid.")
        try:
            issuer = _unverified_issuer(token)
            if self._outside is not None and issuer == self._settings.trusted_issuer:
                keys = await self._outside.keys_for(token)
                return self._read(jwt.decode(token, keys, algorithms=OUTSIDE_ALGORITHMS), issuer, is_own=False)
            decoded = jwt.decode(token, KeySet([self._key]), algorithms=[self._algorithm])
            return self._read(decoded, self._settings.token_issuer, is_own=True)
        except (*_MALFORMED, RecursionError, httpx.HTTPError, httpx.InvalidURL):
            raise Unauthenticated("The bearer token is not valid.") from None

    def _read(self, token: jwt.Token, issuer: str, *, is_own: bool) -> Claims:
        if not token.header.get("kid"):
            raise ValueError("no key id")
        registry = jwt.JWTClaimsRegistry(
            leeway=LEEWAY_SECONDS,
            iss={"essential": True, "value": issuer},
            aud={"essential": True, "value": self._settings.token_audience},
            exp={"essential": True},
            sub={"essential": True},
        )
        registry.validate(token.claims)
        claims: dict[str, Any] = token.claims
        slug = claims.get("organization")
        if slug is not None and not isinstance(slug, str):
            raise ValueError("the organization is not a text")
        if is_own:
            user_id = int(claims["sub"])
            if not 1 <= user_id <= BIGINT_MAX:
                raise ValueError("no user's id")
            session_id = claims.get("sid")
            if session_id is not None and not (type(session_id) is int and 1 <= session_id <= BIGINT_MAX):
                raise ValueError("no session's id")
            return Claims(user_id, None, slug, int(claims["exp"]), session_id)
        email = claims.get("email")
        # Some issuers send the flag as a text.
        is_verified = claims.get("email_verified", True) in (True, "true")
        if not isinstance(email, str) or not email.isprintable() or not is_verified:
            raise ValueError("no verified address")
        return Claims(None, email, slug, int(claims["exp"]))


class OutsideKeys:
    """The keys of the outside issuer.

    Fetched anew for a key id that is not known, and when they have become old: at most once a minute.
    """

    def __init__(self, settings: Settings) -> None:
        self._url = settings.jwks_url
        self._keys = _import_key_set(settings.jwks) if settings.jwks else KeySet([])
        self._fetched_at = float("-inf")
        self._tried_at = float("-inf")
        self._lock = asyncio.Lock()

    async def keys_for(self, token: str) -> KeySet:
        """The keys, refreshed where the token's key is not among them.

        Where the issuer cannot be reached, which is logged, those that are known go on to be good.
        """
        key_id = _unverified_part(token, 0).get("kid")
        if self._url is None or self._is_current(key_id):
            return self._keys
        async with self._lock:
            if not self._is_current(key_id) and time.monotonic() - self._tried_at >= JWKS_REFRESH_SECONDS_MIN:
                self._tried_at = time.monotonic()
                await self._fetch(self._url)
        return self._keys

    async def _fetch(self, url: str) -> None:
        try:
            async with httpx.AsyncClient(timeout=JWKS_SECONDS_MAX) as client:
                answer = await client.get(url)
                answer.raise_for_status()
                self._keys = KeySet.import_key_set(answer.json())
        except (*_MALFORMED, RecursionError, httpx.HTTPError, httpx.InvalidURL) as error:
            logger.warning("jwks_unreachable", url=url, error=repr(error)[:500])
        else:
            self._fetched_at = self._tried_at

    def _is_current(self, key_id: object) -> bool:
        is_young = time.monotonic() - self._fetched_at < JWKS_AGE_SECONDS_MAX
        return is_young and any(key.kid == key_id for key in self._keys.keys)


def _import_key_set(text: str) -> KeySet:
    try:
        return KeySet.import_key_set(orjson.loads(text))
    except _MALFORMED as error:
        raise ConfigurationError(f"TRANCHE_JWKS is not a JSON Web Key Set: {error}") from None


def _unverified_part(token: str, index: int) -> dict[str, Any]:
    part = token.split(".")[index]
    decoded = orjson.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    if not isinstance(decoded, dict):
        raise TypeError("not an object")
    return decoded


def _unverified_issuer(token: str) -> str:
    """Who the token says it is from; only used to choose the keys that it must be signed with."""
    return str(_unverified_part(token, 1).get("iss"))


def _signing_key(settings: Settings) -> Key:
    if settings.signing_key is None:
        return _generated_key(settings.state_dir / "signing-key.json")
    text = settings.signing_key.get_secret_value().strip()
    try:
        key = jwk.import_key(orjson.loads(text)) if text.startswith("{") else _import_pem(text)
    except _MALFORMED as error:
        raise ConfigurationError(f"TRANCHE_SIGNING_KEY is neither a private JWK nor PEM: {error}") from None
    if not key.is_private:
        raise ConfigurationError("TRANCHE_SIGNING_KEY holds a public key; a private one is needed.")
    key.ensure_kid()
    _algorithm_of(key)
    return key


def _import_pem(text: str) -> Key:
    faults = []
    for key_type in ("EC", "OKP", "RSA"):
        try:
            return jwk.import_key(text, key_type)
        except (JoseError, ValueError, TypeError) as error:
            faults.append(str(error))
    raise ValueError("; ".join(faults))


def _generated_key(path: Path) -> Key:
    """The key of a developer's machine, made once."""
    fresh: Key = ECKey.generate_key("P-256")
    stored = private_files.keep(path, orjson.dumps(fresh.as_dict(private=True)))
    try:
        kept = jwk.import_key(orjson.loads(stored))
    except _MALFORMED as error:
        raise ConfigurationError(f"{path} is damaged: {error}. Remove it, or set TRANCHE_SIGNING_KEY.") from None
    kept.ensure_kid()
    return kept


def _algorithm_of(key: Key) -> str:
    if key.key_type == "RSA":
        return "RS256"
    algorithm = _ALGORITHM_BY_CURVE.get(str(key.as_dict(private=False).get("crv")))
    if algorithm is None:
        raise ConfigurationError("TRANCHE_SIGNING_KEY must be an Ed25519, EC P-256, EC P-384 or RSA key.")
    return algorithm
