"""Bearer tokens: which are taken, which are refused, and what a token is still worth once a membership has changed."""

import asyncio
import base64
import hashlib
import hmac
import json
import stat
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwk, jwt
from joserfc.jwk import ECKey, Key

from api.config import Settings
from api.errors import ConfigurationError, Unauthenticated
from api.http.tokens import Tokens
from tests.server import RunningServer

ISSUER = "https://issuer.example"
ROLE = "{ viewer { role organization { slug } } }"
CREATE = 'mutation { createFund(input: {name: "Fund I"}) { fund { id } userErrors { code } } }'
MAKE_KEY = """
import sys
from pathlib import Path
from api.config import Settings
from api.http.tokens import Tokens
print("ready", flush=True)
sys.stdin.read()
print(Tokens(Settings(state_dir=Path(sys.argv[1]))).issue(user_id=1, email="a@b.example", organization_slug="alpha"))
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(state_dir=tmp_path / "state")


@pytest.fixture
def tokens(settings: Settings) -> Tokens:
    return Tokens(settings)


def generated_key(settings: Settings) -> Key:
    """The key that the server has made."""
    return jwk.import_key(json.loads((settings.state_dir / "signing-key.json").read_text()))


def signed(key: Key, header: dict[str, Any] | None = None, **claims: Any) -> str:
    """A token that is right but for what is given; a claim or header None is left out."""
    now = int(time.time())
    right = {"iss": "tranche", "aud": "tranche", "sub": "7", "iat": now, "exp": now + 600, "organization": "alpha"}
    kept = {name: value for name, value in (right | claims).items() if value is not None}
    headers = {"alg": "ES256", "kid": key.thumbprint()} | (header or {})
    return jwt.encode(
        {name: value for name, value in headers.items() if value is not None}, kept, key, algorithms=["ES256", "HS256"]
    )


def encoded(value: object) -> str:
    content = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def signed_with_public_key(key: Key, token: str) -> str:
    """The token with HS256 in its header, keyed with what everybody may know."""
    signing_input = f"{encoded({'alg': 'HS256', 'kid': key.thumbprint()})}.{token.split('.')[1]}"
    assert isinstance(key, ECKey)
    secret = key.as_pem(private=False)
    return f"{signing_input}.{encoded(hmac.new(secret, signing_input.encode(), hashlib.sha256).digest())}"


def with_other_payload(token: str) -> str:
    header, payload, signature = token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return f"{header}.{encoded(claims | {'sub': '1'})}.{signature}"


async def test_own_token_says_who_and_where(tokens: Tokens) -> None:
    claims = await tokens.verify(tokens.issue(user_id=7, email="a@b.example", organization_slug="alpha"))
    assert (claims.user_id, claims.email, claims.organization_slug) == (7, None, "alpha")
    assert 719 * 60 < claims.expires_at - time.time() <= 720 * 60


FAULTS: dict[str, Callable[[Key], str]] = {
    "expired": lambda key: signed(key, exp=int(time.time()) - 31),
    "not yet valid": lambda key: signed(key, nbf=int(time.time()) + 600),
    "without an expiry": lambda key: signed(key, exp=None),
    "expiry as text": lambda key: signed(key, exp="never"),
    "expiry without end": lambda key: signed(key, exp=float("inf")),
    "without a user": lambda key: signed(key, sub=None),
    "user that is no number": lambda key: signed(key, sub="admin"),
    "user beyond 64 bits": lambda key: signed(key, sub=str(2**63)),
    "user of a thousand digits": lambda key: signed(key, sub="9" * 5_000),
    "organization as a number": lambda key: signed(key, organization=1),
    "other issuer": lambda key: signed(key, iss="somebody"),
    "without an issuer": lambda key: signed(key, iss=None),
    "several issuers": lambda key: signed(key, iss=["tranche", "somebody"]),
    "other audience": lambda key: signed(key, aud="somebody"),
    "without an audience": lambda key: signed(key, aud=None),
    "other key": lambda key: signed(ECKey.generate_key("P-256"), {"kid": key.thumbprint()}),
    "other key id": lambda key: signed(key, {"kid": "other"}),
    "without a key id": lambda key: signed(key, {"kid": None}),
    "algorithm none": lambda key: f"{encoded({'alg': 'none', 'kid': key.thumbprint()})}.{signed(key).split('.')[1]}.",
    "public key as a secret": lambda key: signed_with_public_key(key, signed(key)),
    "other payload": lambda key: with_other_payload(signed(key)),
    "without a signature": lambda key: signed(key).rpartition(".")[0] + ".",
    "payload that is a list": lambda key: f"{encoded({'alg': 'ES256'})}.{encoded([])}.x",
    "payload that is no JSON": lambda key: f"{encoded({'alg': 'ES256'})}.{encoded(b'{')}.x",
    "payload nested deeply": lambda key: f"{encoded({'alg': 'ES256'})}.{encoded(b'[' * 3_000)}.x",
    "header that is a list": lambda key: f"{encoded([])}.{signed(key).split('.')[1]}.x",
    "one part": lambda key: "abc",
    "two parts": lambda key: ".".join(signed(key).split(".")[:2]),
    "four parts": lambda key: signed(key) + ".x",
    "five parts": lambda key: signed(key) + ".x.y",
    "dots": lambda key: "....",
    "letters that no token has": lambda key: "\u00e9.\u00e9.\u00e9",
    "too long": lambda key: signed(key, filling="x" * 8_192),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_token_with_a_fault_is_refused(settings: Settings, tokens: Tokens, fault: str) -> None:
    with pytest.raises(Unauthenticated, match=r"^The bearer token is not valid\.$"):
        await tokens.verify(FAULTS[fault](generated_key(settings)))


async def test_clocks_may_differ_by_half_a_minute(settings: Settings, tokens: Tokens) -> None:
    assert (await tokens.verify(signed(generated_key(settings), exp=int(time.time()) - 20))).user_id == 7


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer ", "Basic YTpi", "abc", "Bearer abc", "Bearer a.b.c"])
async def test_refused_header_is_answered_with_401(server: RunningServer, authorization: str) -> None:
    response = await server.client.post("/graphql", json={"query": ROLE}, headers={"Authorization": authorization})
    assert (response.status_code, response.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert response.json()["errors"][0]["extensions"] == {"code": "UNAUTHENTICATED"}


def test_generated_key_is_readable_by_its_owner_alone(settings: Settings, tokens: Tokens) -> None:
    mode = (settings.state_dir / "signing-key.json").stat().st_mode
    assert stat.S_IMODE(mode) == 0o600
    assert [path.name for path in settings.state_dir.iterdir()] == ["signing-key.json"]


async def test_generated_key_outlives_a_restart(settings: Settings, tokens: Tokens) -> None:
    token = tokens.issue(user_id=7, email="a@b.example", organization_slug="alpha")
    assert (await Tokens(settings).verify(token)).user_id == 7


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"not JSON"])
def test_damaged_key_file_is_named(settings: Settings, content: bytes) -> None:
    settings.state_dir.mkdir()
    (settings.state_dir / "signing-key.json").write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"signing-key\.json"):
        Tokens(settings)


async def test_processes_that_race_to_make_the_key_agree(settings: Settings) -> None:
    pipe = asyncio.subprocess.PIPE
    arguments = (sys.executable, "-c", MAKE_KEY, str(settings.state_dir))
    racers = [await asyncio.create_subprocess_exec(*arguments, stdin=pipe, stdout=pipe) for _ in range(3)]
    for racer in racers:
        assert racer.stdout is not None
        assert await racer.stdout.readline() == b"ready\n"
    issued = [
        output.decode().strip() for output, _ in await asyncio.gather(*(racer.communicate(b"") for racer in racers))
    ]
    assert [(await Tokens(settings).verify(token)).user_id for token in issued] == [1, 1, 1]


async def remove(server: RunningServer, email: str) -> None:
    await server.owner.execute(
        "UPDATE memberships SET removed_at = now() FROM users WHERE users.id = user_id AND email = $1", email
    )


async def test_removed_member_cannot_write_at_once(server: RunningServer) -> None:
    assert (await server.execute(ROLE)).data["viewer"]["role"] == "EDITOR"
    await remove(server, "editor@alpha.example")
    answer = await server.execute(CREATE)
    assert (answer.body["data"], answer.codes) == ({"createFund": None}, ["UNAUTHENTICATED"])
    assert await server.owner.fetchval("SELECT count(*) FROM funds") == 0


async def test_removed_member_reads_for_a_second_at_most(server: RunningServer) -> None:
    assert (await server.execute(ROLE)).status == 200
    await remove(server, "editor@alpha.example")
    await asyncio.sleep(1.05)
    answer = await server.execute(ROLE)
    assert (answer.status, answer.codes) == (401, ["UNAUTHENTICATED"])


async def test_demoted_member_cannot_write_at_once(server: RunningServer) -> None:
    assert (await server.execute(ROLE)).data["viewer"]["role"] == "EDITOR"
    await server.owner.execute(
        "UPDATE memberships SET role = 'VIEWER' FROM users WHERE users.id = user_id AND email = 'editor@alpha.example'"
    )
    answer = await server.execute(CREATE)
    assert (answer.body["data"], answer.codes) == ({"createFund": None}, ["UNAUTHENTICATED"])
    assert await server.owner.fetchval("SELECT count(*) FROM funds") == 0


async def test_token_of_a_removed_user_is_refused(server: RunningServer) -> None:
    await remove(server, "editor@alpha.example")
    answer = await server.execute(ROLE)
    assert (answer.status, answer.codes) == (401, ["UNAUTHENTICATED"])


@pytest.mark.parametrize(
    ("slug", "expected"), [(None, None), ("alpha", "alpha"), ("beta", "beta"), ("gamma", None), ("", None)]
)
async def test_user_of_two_organizations_must_name_one(
    server: RunningServer, slug: str | None, expected: str | None
) -> None:
    user_id = await server.owner.fetchval("SELECT id FROM users WHERE email = 'editor@alpha.example'")
    await server.owner.execute(
        "INSERT INTO memberships (organization_id, user_id, role) VALUES ($1, $2, 'VIEWER')",
        server.organization_ids["beta"],
        user_id,
    )
    token = signed(generated_key(server.settings), sub=str(user_id), organization=slug)
    answer = await server.execute(ROLE, token=token)
    if expected is None:
        assert (answer.status, answer.codes) == (401, ["UNAUTHENTICATED"])
    else:
        assert answer.data["viewer"]["organization"] == {"slug": expected}
