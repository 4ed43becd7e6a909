"""Changing one's own password: what it takes, what it ends, and what the logs say of it."""

from typing import Any

import pytest

from api.domain.access import Role
from api.services.sign_in import ATTEMPTS_MAX
from tests.people_client import PASSWORD, REFRESH, VIEWER, Joined, codes, member, payload, sign_in, signed_in
from tests.server import RunningServer

NEW = "a new long password"
CHANGE = (
    "mutation ($input: ChangePasswordInput!) { changePassword(input: $input) { userErrors { code message field } } }"
)


@pytest.fixture
async def who(server: RunningServer) -> Joined:
    """A member of alpha, signed in."""
    return await signed_in(server)


async def change(server: RunningServer, token: str, current: str = PASSWORD, new: str = NEW) -> Any:
    """The payload of changePassword."""
    given = {"input": {"currentPassword": current, "newPassword": new}}
    return (await server.execute(CHANGE, given, token=token)).data["changePassword"]


async def actions(server: RunningServer, organization: str) -> list[tuple[str, str]]:
    """Kind and action of what the organization's log says of passwords and ended sessions."""
    rows = await server.owner.fetch(
        "SELECT kind, action FROM audit_events WHERE organization_id = $1"
        " AND action IN ('password.changed', 'session.revoked') ORDER BY sequence",
        server.organization_ids[organization],
    )
    return [tuple(row) for row in rows]


async def test_new_password_opens_and_the_old_one_does_not(server: RunningServer, who: Joined) -> None:
    before = await server.owner.fetchval("SELECT changed_at FROM user_passwords")
    assert await change(server, who.access) == {"userErrors": []}
    assert codes(await sign_in(server, who.email)) == [("INVALID_INPUT", None)]
    assert codes(await sign_in(server, who.email, NEW)) == []
    assert await server.owner.fetchval("SELECT changed_at FROM user_passwords") > before


async def test_all_sessions_end_but_the_one_that_asks(server: RunningServer, who: Joined) -> None:
    await member(server, who.email, Role.VIEWER, "beta", token=who.access)
    others = [await sign_in(server, who.email, organization=slug) for slug in ("alpha", "beta")]
    stranger = await signed_in(server, "stranger@alpha.example")
    assert codes(await change(server, who.access)) == []
    for other in others:
        ended = await payload(server, REFRESH, {"refreshToken": other["refreshToken"]})
        assert codes(ended) == [("INVALID_INPUT", ["refreshToken"])]
        assert (await server.execute(VIEWER, token=other["accessToken"])).codes == ["UNAUTHENTICATED"]
    for refresh in (who.refresh, stranger.refresh):
        assert codes(await payload(server, REFRESH, {"refreshToken": refresh})) == []
    assert await actions(server, "alpha") == [("SECURITY", "password.changed"), ("SECURITY", "session.revoked")]
    assert await actions(server, "beta") == [("SECURITY", "password.changed")]


async def test_wrong_present_password_changes_nothing_and_counts_as_an_attempt(
    server: RunningServer, who: Joined
) -> None:
    for _ in range(ATTEMPTS_MAX):
        assert codes(await change(server, who.access, "wrong password")) == [("INVALID_INPUT", ["currentPassword"])]
    given = {"input": {"currentPassword": PASSWORD, "newPassword": NEW}}
    assert (await server.execute(CHANGE, given, token=who.access)).codes == ["RATE_LIMITED"]
    assert await server.owner.fetchval("SELECT count(*) FROM sign_in_failures") == ATTEMPTS_MAX
    assert await actions(server, "alpha") == []
    assert codes(await sign_in(server, who.email, client="192.0.2.2")) == []


async def test_every_alias_counts_here_too(server: RunningServer, who: Joined) -> None:
    given = f'(input: {{currentPassword: "wrong", newPassword: "{NEW}"}}) {{ userErrors {{ code }} }}'
    fields = " ".join(f"a{number}: changePassword{given}" for number in range(5))
    await server.execute(f"mutation {{ {fields} }}", token=who.access)
    assert await server.owner.fetchval("SELECT attempts FROM sign_in_throttles") == 5


@pytest.mark.parametrize("new", ["short", "x" * 201])
async def test_unfit_new_password_is_refused_before_the_present_one_is_looked_at(
    server: RunningServer, who: Joined, new: str
) -> None:
    assert codes(await change(server, who.access, "wrong password", new)) == [("INVALID_INPUT", ["newPassword"])]
    assert await server.owner.fetchval("SELECT count(*) FROM sign_in_throttles") == 0


async def test_member_without_a_password_has_none_to_change(server: RunningServer) -> None:
    token = server.tokens["alpha", Role.EDITOR]
    assert codes(await change(server, token)) == [("INVALID_INPUT", ["currentPassword"])]
    assert await server.owner.fetchval("SELECT count(*) FROM user_passwords") == 0
