"""Tokens of one outside issuer, by a key set in the settings or one that is fetched anew when a new key turns up."""

import json
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from joserfc import jws, jwt
from joserfc.jwk import ECKey, Key, OctKey
from structlog.testing import capture_logs

from api.config import Settings
from api.errors import ConfigurationError, Unauthenticated
from api.http.tokens import Tokens
from tests.server import RunningServer, start_server

ISSUER = "https://issuer.example"
VIEWER = "{ viewer { role user { email } } }"
KEY = ECKey.generate_key("P-256", {"kid": "first"})
NEXT_KEY = ECKey.generate_key("P-256", {"kid": "second"})


def key_set(*keys: Key, **others: object) -> str:
    return json.dumps({"keys": [key.as_dict(private=False) for key in keys], **others})


def signed(key: Key = KEY, algorithm: str = "ES256", key_id: str | None = None, **claims: Any) -> str:
    """A token of the outside issuer that is right but for what is given; a claim None is left out."""
    now = int(time.time())
    email = "editor@alpha.example"
    right = {"iss": ISSUER, "aud": "tranche", "sub": "auth0|7", "exp": now + 600, "email": email}
    kept = {name: value for name, value in (right | claims).items() if value is not None}
    return jwt.encode({"alg": algorithm, "kid": key_id or key.kid}, kept, key, algorithms=[algorithm])


def signed_text(claims: bytes) -> str:
    """A token with these claims, byte for byte."""
    return jws.serialize_compact({"alg": "ES256", "kid": "first"}, claims, KEY, algorithms=["ES256"])


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(state_dir=tmp_path / "state", trusted_issuer=ISSUER, jwks=key_set(KEY))


@pytest.fixture
async def trusting_server(database_url: str, state_directory: Path) -> AsyncIterator[RunningServer]:
    async with start_server(database_url, state_directory, trusted_issuer=ISSUER, jwks=key_set(KEY)) as running:
        yield running


@pytest.mark.parametrize("email", ["editor@alpha.example", "Editor@ALPHA.example"])
async def test_member_is_found_by_the_address_in_any_case(trusting_server: RunningServer, email: str) -> None:
    answer = await trusting_server.execute(VIEWER, token=signed(email=email))
    assert answer.data["viewer"] == {"role": "EDITOR", "user": {"email": "editor@alpha.example"}}


@pytest.mark.parametrize(
    "claims",
    [{"email": "stranger@alpha.example"}, {"email": ""}, {"organization": "beta"}, {"email": "editor@alpha.example "}],
)
async def test_stranger_is_refused(trusting_server: RunningServer, claims: dict[str, Any]) -> None:
    answer = await trusting_server.execute(VIEWER, token=signed(**claims))
    assert (answer.status, answer.codes) == (401, ["UNAUTHENTICATED"])


@pytest.mark.parametrize("is_verified", [None, True, "true"])
async def test_address_is_taken_unless_it_is_said_to_be_unverified(settings: Settings, is_verified: object) -> None:
    claims = await Tokens(settings).verify(signed(email_verified=is_verified, organization="alpha"))
    assert (claims.user_id, claims.email, claims.organization_slug) == (None, "editor@alpha.example", "alpha")


FAULTS = {
    "unverified address": lambda: signed(email_verified=False),
    "unverified address as a text": lambda: signed(email_verified="false"),
    "verified neither way": lambda: signed(email_verified=[]),
    "without an address": lambda: signed(email=None),
    "address as a list": lambda: signed(email=["editor@alpha.example"]),
    "address with U+0000": lambda: signed(email="editor@alpha.example\x00"),
    "address with a lone surrogate": lambda: signed_text(
        b'{"iss":"https://issuer.example","aud":"tranche","sub":"7","exp":9999999999,"email":"editor@alpha.example\\ud800"}'
    ),
    "expired": lambda: signed(exp=int(time.time()) - 31),
    "expiry without end": lambda: signed(exp=float("inf")),
    "other audience": lambda: signed(aud="somebody"),
    "our own issuer": lambda: signed(iss="tranche", sub="1"),
    "unknown key": lambda: signed(NEXT_KEY),
    "unknown key under a known id": lambda: signed(NEXT_KEY, key_id="first"),
    "shared secret": lambda: signed(OctKey.generate_key(256, {"kid": "first"}), "HS256"),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_token_with_a_fault_is_refused(settings: Settings, fault: str) -> None:
    with pytest.raises(Unauthenticated, match=r"^The bearer token is not valid\.$"):
        await Tokens(settings).verify(FAULTS[fault]())


async def test_own_key_does_not_speak_for_the_issuer(settings: Settings) -> None:
    tokens = Tokens(settings)
    own = ECKey.import_key(json.loads((settings.state_dir / "signing-key.json").read_text()))
    with pytest.raises(Unauthenticated):
        await tokens.verify(signed(own, key_id=own.thumbprint()))


async def test_shared_secret_in_the_key_set_signs_nothing(settings: Settings) -> None:
    secret = OctKey.generate_key(256, {"kid": "shared"})
    jwks = json.dumps({"keys": [secret.as_dict(private=True)]})
    with pytest.raises(Unauthenticated):
        await Tokens(settings.model_copy(update={"jwks": jwks})).verify(signed(secret, "HS256"))


async def test_issuer_is_not_trusted_unless_it_is_named(settings: Settings) -> None:
    with pytest.raises(Unauthenticated):
        await Tokens(settings.model_copy(update={"trusted_issuer": None})).verify(signed())


@pytest.mark.parametrize("jwks", ["", "{", "[]", "1", '"x"', '{"keys": 1}', '{"keys": [1]}', '{"keys": [{}]}'])
def test_malformed_key_set_stops_the_start_by_name(settings: Settings, jwks: str) -> None:
    with pytest.raises(ConfigurationError, match="TRANCHE_JWKS"):
        Tokens(settings.model_copy(update={"jwks": jwks}).checked_for_serving())


@dataclass
class Issuer:
    """What the issuer's address answers, and how often it was asked."""

    url: str = ""
    answer: tuple[int, bytes] = (200, b"")
    requests: list[str] = field(default_factory=list)


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    state = Issuer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.requests.append(self.path)
            status, content = state.answer
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *arguments: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        state.url = f"http://127.0.0.1:{http.server_port}/keys"
        thread = Thread(target=http.serve_forever, args=(0.01,))
        thread.start()
        yield state
        http.shutdown()
        thread.join()


@pytest.fixture
def fetching(issuer: Issuer, tmp_path: Path) -> Tokens:
    issuer.answer = (200, key_set(KEY).encode())
    return Tokens(Settings(state_dir=tmp_path / "state", trusted_issuer=ISSUER, jwks_url=issuer.url))


async def test_keys_are_fetched_once(fetching: Tokens, issuer: Issuer) -> None:
    assert issuer.requests == []
    for _ in range(3):
        assert (await fetching.verify(signed())).email == "editor@alpha.example"
    assert issuer.requests == ["/keys"]


async def test_unknown_keys_cost_one_request_a_minute(
    fetching: Tokens, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fetching.verify(signed())
    issuer.answer = (200, key_set(KEY, NEXT_KEY).encode())
    for _ in range(5):
        with pytest.raises(Unauthenticated):
            await fetching.verify(signed(NEXT_KEY))
    assert len(issuer.requests) == 1
    later = time.monotonic() + 60
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert (await fetching.verify(signed(NEXT_KEY))).email == "editor@alpha.example"
    assert (await fetching.verify(signed())).email == "editor@alpha.example"
    assert len(issuer.requests) == 2


async def test_key_of_an_unknown_kind_does_not_hide_the_others(fetching: Tokens, issuer: Issuer) -> None:
    keys = json.loads(key_set(KEY))["keys"]
    issuer.answer = (200, json.dumps({"keys": [{"kty": "AKP", "kid": "new", "alg": "ML-DSA-44"}, *keys]}).encode())
    assert (await fetching.verify(signed())).email == "editor@alpha.example"


RUBBISH = (b"", b"<html>", b"[]", b"null", b'"keys"', b'{"keys": null}', b'{"keys": [null]}', b"\xff", b"[" * 100_000)


@pytest.mark.parametrize("answer", [(500, b""), (404, b"{}"), (302, b""), *((200, content) for content in RUBBISH)])
async def test_issuer_that_answers_rubbish_lets_nobody_in(
    fetching: Tokens, issuer: Issuer, answer: tuple[int, bytes]
) -> None:
    issuer.answer = answer
    with pytest.raises(Unauthenticated):
        await fetching.verify(signed())


async def test_failed_fetch_leaves_the_known_keys(
    fetching: Tokens, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fetching.verify(signed())
    issuer.answer = (500, b"")
    later = time.monotonic() + 60
    monkeypatch.setattr(time, "monotonic", lambda: later)
    with pytest.raises(Unauthenticated):
        await fetching.verify(signed(NEXT_KEY))
    assert (await fetching.verify(signed())).email == "editor@alpha.example"


def later_by(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    later = time.monotonic() + seconds
    monkeypatch.setattr(time, "monotonic", lambda: later)


async def test_key_that_the_issuer_has_withdrawn_is_good_for_a_quarter_of_an_hour(
    fetching: Tokens, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fetching.verify(signed())
    issuer.answer = (200, key_set(NEXT_KEY).encode())
    later_by(monkeypatch, 899)
    assert (await fetching.verify(signed())).email == "editor@alpha.example"
    assert len(issuer.requests) == 1
    later_by(monkeypatch, 2)
    with pytest.raises(Unauthenticated):
        await fetching.verify(signed())
    assert (await fetching.verify(signed(NEXT_KEY))).email == "editor@alpha.example"
    assert len(issuer.requests) == 2


async def test_issuer_that_cannot_be_reached_for_long_is_asked_once_a_minute_and_goes_on_to_be_believed(
    fetching: Tokens, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fetching.verify(signed())
    issuer.answer = (503, b"")
    later_by(monkeypatch, 901)
    for _ in range(3):
        assert (await fetching.verify(signed())).email == "editor@alpha.example"
    assert len(issuer.requests) == 2


async def test_issuer_that_cannot_be_reached_is_in_the_log(fetching: Tokens, issuer: Issuer) -> None:
    issuer.answer = (503, b"")
    with capture_logs() as logged, pytest.raises(Unauthenticated):
        await fetching.verify(signed())
    (entry,) = logged
    assert (entry["event"], entry["url"], entry["log_level"]) == ("jwks_unreachable", issuer.url, "warning")
    assert "503" in entry["error"]


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/keys", "http://[", "http://a:b/"])
async def test_issuer_that_cannot_be_reached_lets_nobody_in(tmp_path: Path, url: str) -> None:
    tokens = Tokens(Settings(state_dir=tmp_path / "state", trusted_issuer=ISSUER, jwks_url=url))
    with pytest.raises(Unauthenticated):
        await tokens.verify(signed())
