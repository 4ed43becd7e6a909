"""Sessions: refreshed by tokens that are good for one use, ended by misuse, by time, by signing out."""

import asyncio
import base64
import json
import time
from datetime import datetime
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from api.services.sessions import successor
from tests.people_client import (
    REFRESH,
    SIGN_OUT,
    VIEWER,
    Joined,
    anonymous,
    codes,
    payload,
    sign_in,
    signed_in,
)
from tests.server import RunningServer

ENDED = [("INVALID_INPUT", ["refreshToken"])]


async def refresh(server: RunningServer, token: str) -> Any:
    return await payload(server, REFRESH, {"refreshToken": token})


async def is_open(server: RunningServer, access: str) -> bool:
    """Whether the access token is good for a second after what happened, and so for longer."""
    await asyncio.sleep(1.05)
    return (await server.execute(VIEWER, token=access)).status == 200


async def revoked_for(server: RunningServer) -> str | None:
    reason: str | None = await server.owner.fetchval("SELECT revoked_for FROM sessions")
    return reason


async def forget_grace(server: RunningServer) -> None:
    """Lets the time pass within which a lost answer may be asked for again."""
    await server.owner.execute("UPDATE refresh_tokens SET replaced_at = replaced_at - interval '11 seconds'")


@pytest.fixture
async def who(server: RunningServer) -> Joined:
    return await signed_in(server)


def claims(token: str) -> dict[str, Any]:
    """What a token says, unchecked."""
    part = token.split(".")[1]
    said: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return said


async def test_access_token_is_short_and_says_its_session(server: RunningServer, who: Joined) -> None:
    said = claims(who.access)
    assert (said["exp"] - said["iat"], said["sid"], said["organization"]) == (15 * 60, 1, "alpha")
    found = await sign_in(server, who.email)
    assert datetime.fromisoformat(found["expiresAt"]).timestamp() == claims(found["accessToken"])["exp"]


async def test_each_refresh_token_is_good_for_one_use(server: RunningServer, who: Joined) -> None:
    token = who.refresh
    seen = {token}
    for _ in range(3):
        found = await refresh(server, token)
        assert found["userErrors"] == []
        token = found["refreshToken"]
        assert token not in seen
        seen.add(token)
        assert (await server.execute(VIEWER, token=found["accessToken"])).data["viewer"]["role"] == "EDITOR"
    assert await server.owner.fetchval("SELECT count(*) FROM refresh_tokens WHERE replaced_at IS NULL") == 1


async def test_used_token_ends_the_whole_session(server: RunningServer, who: Joined) -> None:
    found = await refresh(server, who.refresh)
    await forget_grace(server)
    assert codes(await refresh(server, who.refresh)) == ENDED
    assert await revoked_for(server) == "REFRESH_TOKEN_REUSED"
    assert codes(await refresh(server, found["refreshToken"])) == ENDED
    assert not await is_open(server, found["accessToken"])
    action = "SELECT action || body FROM audit_events WHERE kind = 'SECURITY' ORDER BY sequence DESC LIMIT 1"
    logged = await server.owner.fetchval(action)
    assert logged.startswith("session.revoked")
    assert "REFRESH_TOKEN_REUSED" in logged


async def test_lost_answer_may_be_asked_for_again_at_once(server: RunningServer, who: Joined) -> None:
    lost = await refresh(server, who.refresh)
    again = await refresh(server, who.refresh)
    assert (again["userErrors"], again["refreshToken"]) == ([], lost["refreshToken"])
    assert await server.owner.fetchval("SELECT count(*) FROM refresh_tokens WHERE replaced_at IS NULL") == 1
    assert codes(await refresh(server, lost["refreshToken"])) == []


async def test_successor_of_a_token_cannot_be_told_from_it(server: RunningServer, who: Joined) -> None:
    """Two servers with keys of their own would not agree, and neither does anybody without one."""
    found = await refresh(server, who.refresh)
    assert successor(b"", who.refresh) != found["refreshToken"]
    assert successor(b"1" * 32, who.refresh) != successor(b"2" * 32, who.refresh)


async def test_token_whose_successor_was_used_has_no_grace(server: RunningServer, who: Joined) -> None:
    found = await refresh(server, who.refresh)
    await refresh(server, found["refreshToken"])
    assert codes(await refresh(server, who.refresh)) == ENDED
    assert await revoked_for(server) == "REFRESH_TOKEN_REUSED"


async def test_refreshes_at_once_go_on_together_with_one_token(server: RunningServer, who: Joined) -> None:
    for _ in range(3):
        answers = await asyncio.gather(*(refresh(server, who.refresh) for _ in range(50)))
        assert all(answer["userErrors"] == [] for answer in answers)
        (who.refresh,) = {answer["refreshToken"] for answer in answers}
        assert await server.owner.fetchval("SELECT count(*) FROM refresh_tokens WHERE replaced_at IS NULL") == 1
    assert await is_open(server, answers[0]["accessToken"])


async def test_aliases_of_one_mutation_go_on_together(server: RunningServer, who: Joined) -> None:
    field = f'refreshSession(input: {{refreshToken: "{who.refresh}"}}) {{ refreshToken userErrors {{ code }} }}'
    aliases = " ".join(f"a{number}: {field}" for number in range(5))
    answers = (await anonymous(server, f"mutation {{ {aliases} }}")).data.values()
    (token,) = {answer["refreshToken"] for answer in answers}
    assert codes(await refresh(server, token)) == []


@pytest.mark.parametrize("token", ["", "x", "x" * 5000, "ö"])
async def test_unknown_token_ends_nothing(server: RunningServer, who: Joined, token: str) -> None:
    assert codes(await refresh(server, token)) == ENDED
    assert (await refresh(server, who.refresh))["userErrors"] == []


@pytest.mark.parametrize("column", ["expires_at", "idle_expires_at"])
async def test_session_ends_with_time(server: RunningServer, who: Joined, column: str) -> None:
    await server.owner.execute(f"UPDATE sessions SET {column} = now()")
    assert codes(await refresh(server, who.refresh)) == ENDED
    assert not await is_open(server, who.access)


async def test_refreshing_moves_the_idle_end_and_not_the_last_one(server: RunningServer, who: Joined) -> None:
    await server.owner.execute("UPDATE sessions SET idle_expires_at = now() + interval '1 minute'")
    before = await server.owner.fetchrow("SELECT * FROM sessions")
    await refresh(server, who.refresh)
    after = await server.owner.fetchrow("SELECT * FROM sessions")
    assert after["idle_expires_at"] > before["idle_expires_at"]
    assert after["expires_at"] == before["expires_at"]


async def test_access_token_ends_with_its_session(server: RunningServer, who: Joined) -> None:
    end = await server.owner.fetchval(
        "UPDATE sessions SET expires_at = now() + interval '1 minute' RETURNING expires_at"
    )
    found = await refresh(server, who.refresh)
    assert claims(found["accessToken"])["exp"] == int(end.timestamp())


async def test_signing_out_ends_the_session_within_a_second(server: RunningServer, who: Joined) -> None:
    other = await sign_in(server, who.email)
    assert (await server.execute(SIGN_OUT, token=who.access)).data["signOut"] == {"userErrors": []}
    assert not await is_open(server, who.access)
    assert codes(await refresh(server, who.refresh)) == ENDED
    assert (await server.execute(VIEWER, token=other["accessToken"])).status == 200


async def test_signing_out_twice_is_refused_the_second_time(server: RunningServer, who: Joined) -> None:
    await server.execute(SIGN_OUT, token=who.access)
    again = await server.execute(SIGN_OUT, token=who.access)
    assert [code for code, _ in codes(again.data["signOut"])] == ["INVALID_INPUT"]


async def test_token_without_a_session_has_nothing_to_sign_out_of(server: RunningServer) -> None:
    assert codes((await server.execute(SIGN_OUT)).data["signOut"]) == [("INVALID_TRANSITION", None)]
    assert (await anonymous(server, SIGN_OUT)).codes == ["UNAUTHENTICATED"]


async def test_session_of_a_removed_member_cannot_be_refreshed(server: RunningServer, who: Joined) -> None:
    await server.owner.execute(
        "UPDATE memberships SET removed_at = now() WHERE user_id = (SELECT id FROM users WHERE email = $1)", who.email
    )
    assert codes(await refresh(server, who.refresh)) == ENDED


async def test_sessions_that_ended_long_ago_are_cleared_away(server: RunningServer, who: Joined) -> None:
    await sign_in(server, who.email)
    await server.owner.execute("UPDATE sessions SET expires_at = now() - interval '25 hours' WHERE id = 1")
    await sign_in(server, who.email)
    assert [row["id"] for row in await server.owner.fetch("SELECT id FROM sessions ORDER BY id")] == [2, 3]
    assert await server.owner.fetchval("SELECT count(*) FROM refresh_tokens") == 2


async def test_session_named_by_a_token_must_be_its_users(server: RunningServer, who: Joined) -> None:
    """A signed token that mixes one user with another's session: not made by us, and worth nothing."""
    key = ECKey.import_key(json.loads((server.settings.state_dir / "signing-key.json").read_text()))
    for changed in ({"sub": "1"}, {"sid": 2}, {"sid": "1"}, {"sid": True}, {"exp": int(time.time()) - 60}):
        header = {"alg": "ES256", "kid": key.thumbprint()}
        forged = jwt.encode(header, claims(who.access) | changed, key, algorithms=["ES256"])
        assert (await server.execute(VIEWER, token=forged)).codes == ["UNAUTHENTICATED"]
