"""Signing in: what opens, what does not and is not told apart, and how failing is bounded without harm to others."""

import asyncio
from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import asyncpg
import httpx
import pytest

from api.domain.access import Role
from api.errors import RateLimited
from api.services.passwords import RESTS, Passwords
from api.services.sign_in import ATTEMPTS_MAX, client_network
from tests.people_client import PASSWORD, SIGN_IN, VIEWER, anonymous, codes, member, payload, sign_in, signed_in
from tests.processes import free_port, serving
from tests.server import RunningServer, start_server

EMAIL = "new@alpha.example"
HERE, ELSEWHERE = "192.0.2.1", "192.0.2.2"
WRONG = "The address, the password or the organization is wrong."


async def failures(server: RunningServer) -> list[tuple[str, str, str]]:
    rows = await server.owner.fetch("SELECT email, network, reason FROM sign_in_failures ORDER BY id")
    return [tuple(row) for row in rows]


async def fail(server: RunningServer, times: int, *, client: str, email: str = EMAIL) -> None:
    for _ in range(times):
        assert codes(await sign_in(server, email, "wrong password", client=client)) == [("INVALID_INPUT", None)]


async def attempt_codes(server: RunningServer, email: str, password: str, client: str) -> list[str]:
    """The codes of the top-level errors of an attempt."""
    return (await anonymous(server, SIGN_IN, {"email": email, "password": password}, client=client)).codes


async def test_member_signs_in_with_the_address_in_any_case(server: RunningServer) -> None:
    await member(server, EMAIL, Role.VIEWER)
    found = await sign_in(server, "New@ALPHA.example")
    answer = await server.execute(VIEWER, token=found["accessToken"])
    assert answer.data["viewer"] == {
        "role": "VIEWER",
        "user": {"email": EMAIL},
        "organization": {"slug": "alpha"},
        "memberships": [{"role": "VIEWER", "organization": {"slug": "alpha"}}],
    }


async def test_whatever_is_wrong_the_answer_is_the_same(server: RunningServer) -> None:
    await member(server, EMAIL)
    given: list[dict[str, Any]] = [
        {"email": EMAIL, "password": "wrong password"},
        {"email": "nobody@alpha.example", "password": PASSWORD},
        {"email": "editor@alpha.example", "password": PASSWORD},
        {"email": EMAIL, "password": PASSWORD, "organization": "beta"},
        {"email": EMAIL, "password": PASSWORD, "organization": "gamma"},
        {"email": "", "password": ""},
        {"email": "x" * 1000, "password": PASSWORD},
    ]
    for one in given:
        error = {"code": "INVALID_INPUT", "message": WRONG, "field": None, "expected": None}
        nothing = {"accessToken": None, "refreshToken": None, "expiresAt": None}
        assert await payload(server, SIGN_IN, one) == nothing | {"userErrors": [error]}
    assert [reason for _, _, reason in await failures(server)] == [
        "WRONG_PASSWORD",
        "UNKNOWN_ADDRESS",
        "NO_PASSWORD",
        "NO_MEMBERSHIP",
        "NO_MEMBERSHIP",
        "UNKNOWN_ADDRESS",
        "UNKNOWN_ADDRESS",
    ]
    assert await server.owner.fetchval("SELECT count(*) FROM sessions") == 0


async def test_unknown_address_costs_what_a_known_one_does(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One verification each, on the same path and with the same statements."""
    await member(server, EMAIL)
    hashed: list[bool] = []
    matches = Passwords.matches

    async def counted(self: Passwords, known: str | None, password: str) -> bool:
        hashed.append(known is not None)
        return await matches(self, known, password)

    monkeypatch.setattr(Passwords, "matches", counted)
    for email in (EMAIL, "nobody@alpha.example", "editor@alpha.example"):
        await sign_in(server, email, "wrong password")
    assert hashed == [True, False, False]


async def test_verification_without_a_hash_never_succeeds() -> None:
    passwords = Passwords(memory_kib=8, iterations=1, threads=1, queue_max=1)
    assert not await passwords.matches(None, "decoy")
    assert not await passwords.matches("not a hash", "decoy")
    assert await passwords.matches(await passwords.hash("paßwort é"), "paßwort e\u0301")
    passwords.close()


async def test_member_of_several_organizations_names_one(server: RunningServer) -> None:
    who = await signed_in(server)
    await member(server, EMAIL, Role.VIEWER, "beta", token=who.access)
    unnamed = await sign_in(server, EMAIL)
    assert codes(unnamed) == [("INVALID_INPUT", ["organization"])]
    assert unnamed["userErrors"][0]["expected"] == "alpha, beta"
    for slug, role in (("alpha", "EDITOR"), ("beta", "VIEWER")):
        found = await sign_in(server, EMAIL, organization=slug)
        viewer = (await server.execute(VIEWER, token=found["accessToken"])).data["viewer"]
        assert (viewer["organization"]["slug"], viewer["role"]) == (slug, role)
        assert [one["organization"]["slug"] for one in viewer["memberships"]] == ["alpha", "beta"]
    assert codes(await sign_in(server, EMAIL, "wrong password")) == [("INVALID_INPUT", None)]


async def test_success_is_in_the_organizations_log_and_failure_outside_of_it(server: RunningServer) -> None:
    await member(server, EMAIL)
    await fail(server, 1, client=HERE)
    before = await server.owner.fetchval("SELECT count(*) FROM audit_events")
    assert await failures(server) == [(EMAIL, HERE, "WRONG_PASSWORD")]
    await sign_in(server, EMAIL, client=HERE)
    row = await server.owner.fetchrow(
        "SELECT kind, action, email FROM audit_events JOIN users ON users.id = actor_id ORDER BY audit_events.id DESC"
    )
    assert tuple(row) == ("SECURITY", "session.started", EMAIL)
    assert await server.owner.fetchval("SELECT count(*) FROM audit_events") == before + 1


async def test_address_is_throttled_from_one_network_and_open_from_another(server: RunningServer) -> None:
    await member(server, EMAIL)
    await fail(server, ATTEMPTS_MAX, client=HERE)
    assert await attempt_codes(server, EMAIL, "wrong password", HERE) == ["RATE_LIMITED"]
    assert await attempt_codes(server, EMAIL, PASSWORD, HERE) == ["RATE_LIMITED"]
    found = await sign_in(server, EMAIL, client=ELSEWHERE)
    assert found["userErrors"] == []
    # That it was right there opens nothing here.
    assert await attempt_codes(server, EMAIL, PASSWORD, HERE) == ["RATE_LIMITED"]
    assert await attempt_codes(server, "nobody@alpha.example", PASSWORD, HERE) == []


async def test_throttled_address_is_told_the_seconds_that_are_left(server: RunningServer) -> None:
    await fail(server, ATTEMPTS_MAX, client=HERE)
    await server.owner.execute("UPDATE sign_in_throttles SET window_ends_at = now() + interval '500 seconds'")
    body = {"query": SIGN_IN, "variables": {"input": {"email": EMAIL, "password": "wrong"}}}
    response = await server.client.post("/graphql", json=body)
    [error] = response.json()["errors"]
    seconds = int(response.headers["retry-after"])
    assert 400 < seconds <= 500
    assert (response.status_code, error["message"]) == (429, f"Too many attempts failed. Try again in {seconds} s.")


async def test_unknown_address_is_throttled_like_a_known_one(server: RunningServer) -> None:
    await fail(server, ATTEMPTS_MAX, client=HERE, email="nobody@alpha.example")
    assert await attempt_codes(server, "Nobody@alpha.example", "wrong password", HERE) == ["RATE_LIMITED"]


async def test_throttle_ends_with_its_window_and_with_a_right_password(server: RunningServer) -> None:
    await member(server, EMAIL)
    await fail(server, ATTEMPTS_MAX, client=HERE)
    await server.owner.execute("UPDATE sign_in_throttles SET window_ends_at = now()")
    await fail(server, ATTEMPTS_MAX - 1, client=HERE)
    assert (await sign_in(server, EMAIL, client=HERE))["userErrors"] == []
    await fail(server, ATTEMPTS_MAX, client=HERE)
    assert await attempt_codes(server, EMAIL, PASSWORD, HERE) == ["RATE_LIMITED"]


async def test_every_alias_counts(server: RunningServer) -> None:
    await member(server, EMAIL)
    given = f'(input: {{email: "{EMAIL}", password: "wrong"}}) {{ userErrors {{ code }} }}'
    # More than the limit, but no more root fields than a document may have.
    aliases = " ".join(f"a{number}: signIn{given}" for number in range(5))
    for _ in range(3):
        await anonymous(server, f"mutation {{ {aliases} }}", client=HERE)
    assert len(await failures(server)) == ATTEMPTS_MAX
    assert await attempt_codes(server, EMAIL, PASSWORD, HERE) == ["RATE_LIMITED"]


async def test_attempts_at_once_do_not_go_past_the_limit_together(database_url: str, state_directory: Path) -> None:
    async with start_server(database_url, state_directory, password_queue_max=200) as server:
        await member(server, EMAIL)
        wrong = {"email": EMAIL, "password": "wrong password"}
        answers = await asyncio.gather(*(anonymous(server, SIGN_IN, wrong, client=HERE) for _ in range(40)))
        assert sum(answer.codes == ["RATE_LIMITED"] for answer in answers) == 40 - ATTEMPTS_MAX
        assert len(await failures(server)) == ATTEMPTS_MAX


@pytest.fixture
async def narrow(database_url: str, state_directory: Path) -> AsyncIterator[RunningServer]:
    """A server that has four places for people who sign in: two for each network."""
    async with start_server(database_url, state_directory, password_threads=1, password_queue_max=3) as server:
        yield server


async def test_full_queue_refuses_at_once_and_writes_nothing(narrow: RunningServer) -> None:
    wrong = [{"email": f"{number}@alpha.example", "password": "wrong"} for number in range(30)]
    answers = await asyncio.gather(*(anonymous(narrow, SIGN_IN, one, client=HERE) for one in wrong))
    refused = [answer for answer in answers if answer.codes == ["RATE_LIMITED"]]
    assert len(refused) + len(await failures(narrow)) == 30
    assert len(refused) >= 20
    assert await narrow.owner.fetchval("SELECT count(*) FROM sign_in_throttles") == 30 - len(refused)


async def test_passwords_leave_the_processor_to_others_between_them(monkeypatch: pytest.MonkeyPatch) -> None:
    rests: list[float] = []
    seconds_of_work = count(1)
    clock = SimpleNamespace(sleep=rests.append, monotonic=lambda: 5.0, thread_time=lambda: next(seconds_of_work))
    monkeypatch.setattr("api.services.passwords.time", clock)
    passwords = Passwords(memory_kib=1024, iterations=1, threads=1, queue_max=3)
    for _ in range(3):
        await passwords.hash(PASSWORD)
    passwords.close()
    assert rests == [0, RESTS, RESTS]


async def test_one_network_leaves_places_to_the_others() -> None:
    passwords = Passwords(memory_kib=8, iterations=1, threads=1, queue_max=3)
    with passwords.place(HERE), passwords.place(HERE):
        with pytest.raises(RateLimited), passwords.place(HERE):
            pass
        with passwords.place(ELSEWHERE), passwords.place(ELSEWHERE), pytest.raises(RateLimited):
            passwords.place("192.0.2.3").__enter__()
        with passwords.place(ELSEWHERE):
            pass
    passwords.close()


async def test_password_is_hashed_anew_when_the_settings_have_changed(database_url: str, state_directory: Path) -> None:
    async with start_server(database_url, state_directory) as server:
        await member(server, EMAIL)
        await server.owner.execute("UPDATE user_passwords SET hash = $1", _weak_hash())
        assert (await sign_in(server, EMAIL))["userErrors"] == []
        assert "m=8,t=1,p=1" in await server.owner.fetchval("SELECT hash FROM user_passwords")
        assert (await sign_in(server, EMAIL))["userErrors"] == []


def _weak_hash() -> str:
    passwords = Passwords(memory_kib=16, iterations=2, threads=1, queue_max=1)
    passwords.close()
    return passwords.hash_now(PASSWORD)


async def test_password_is_kept_as_argon2id_and_the_tokens_as_hashes(server: RunningServer) -> None:
    who = await signed_in(server)
    rows = await server.owner.fetch(
        "SELECT u::text AS text FROM user_passwords u UNION ALL SELECT t::text FROM refresh_tokens t"
        " UNION ALL SELECT i::text FROM invitations i"
    )
    kept = " ".join(row["text"] for row in rows)
    assert "$argon2id$" in kept
    assert PASSWORD not in kept
    assert who.refresh not in kept


async def test_sign_in_needs_no_token_but_what_stands_beside_it_does(server: RunningServer) -> None:
    fields = 'signIn(input: {email: "a@b.example", password: "x"}) { userErrors { code } }'
    assert (await anonymous(server, f"mutation {{ {fields} }}")).status == 200
    beside = f'mutation {{ {fields} createFund(input: {{name: "Fund"}}) {{ userErrors {{ code }} }} }}'
    answer = await anonymous(server, beside)
    assert (answer.status, answer.codes) == (401, ["UNAUTHENTICATED"])


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("testclient", "unknown"),
        (None, "unknown"),
    ],
)
def test_client_network_is_what_one_client_owns(address: str | None, network: str) -> None:
    assert client_network(address) == network


@pytest.mark.parametrize(("trusted", "network"), [("", "127.0.0.1"), ("10.0.0.0/8, 127.0.0.1", "192.0.2.9")])
async def test_forwarded_address_is_believed_from_trusted_proxies_alone(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trusted: str, network: str
) -> None:
    monkeypatch.setenv("TRANCHE_TRUSTED_PROXIES", trusted)
    port = free_port()
    async with serving(database_url, tmp_path / "state", port), httpx.AsyncClient() as client:
        await client.post(
            f"http://127.0.0.1:{port}/graphql",
            json={"query": SIGN_IN, "variables": {"input": {"email": EMAIL, "password": "wrong"}}},
            headers={"X-Forwarded-For": "203.0.113.5, 192.0.2.9"},
        )
    owner = await asyncpg.connect(database_url)
    assert [row["network"] for row in await owner.fetch("SELECT network FROM sign_in_failures")] == [network]
    await owner.close()
