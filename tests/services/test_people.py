"""Members: invited, joined, given other roles, removed; an organization always keeps an administrator."""

import asyncio
from typing import Any

import pytest

from api.domain.access import Role
from api.services.organizations import set_password
from api.services.passwords import Passwords
from tests.people_client import (
    ACCEPT,
    INVITE,
    MEMBERS,
    PASSWORD,
    REFRESH,
    VIEWER,
    anonymous,
    codes,
    member,
    payload,
    set_it_oneself,
    sign_in,
    signed_in,
)
from tests.server import RunningServer

EMAIL = "new@alpha.example"
CHANGE = """
mutation ($input: ChangeMemberRoleInput!) {
  changeMemberRole(input: $input) { membership { role version } userErrors { code message field expected actual } }
}
"""
REMOVE = """
mutation ($input: RemoveMemberInput!) {
  removeMember(input: $input) {
    membership { version removedAt } userErrors { code message field expected actual }
  }
}
"""
REVOKE = "mutation ($input: RevokeInvitationInput!) { revokeInvitation(input: $input) { userErrors { code field } } }"


async def run(server: RunningServer, mutation: str, *, token: str | None = None, **given: Any) -> Any:
    """The payload of a mutation of alpha's administrator, or of whose token it is."""
    (found,) = (await server.execute(mutation, {"input": given}, role=Role.ADMIN, token=token)).data.values()
    return found


async def invite(server: RunningServer, email: str = EMAIL, role: str = "EDITOR", **more: Any) -> Any:
    found = await run(server, INVITE, email=email, role=role, **more)
    assert found["userErrors"] == []
    return found


async def accept(server: RunningServer, token: str, password: str = PASSWORD) -> Any:
    return await payload(server, ACCEPT, {"token": token, "password": password})


async def members(server: RunningServer) -> dict[str, Any]:
    """The members of alpha by their addresses."""
    nodes = (await server.execute(MEMBERS)).data["organization"]["members"]["nodes"]
    return {node["user"]["email"]: node for node in nodes}


async def version_of(server: RunningServer, email: str) -> dict[str, Any]:
    found = (await members(server))[email]
    return {"id": found["id"], "expectedVersion": found["version"]}


async def administrators(server: RunningServer) -> int:
    count: int = await server.owner.fetchval(
        "SELECT count(*) FROM memberships WHERE organization_id = $1 AND role = 'ADMIN' AND removed_at IS NULL",
        server.organization_ids["alpha"],
    )
    return count


async def test_invited_person_sets_a_password_once_and_is_a_member(server: RunningServer) -> None:
    invited = await invite(server, "New@Alpha.example", name="Ada")
    assert invited["invitation"]["email"] == EMAIL
    assert EMAIL not in await members(server)
    token = invited["invitationToken"]
    assert await accept(server, token) == {"email": EMAIL, "organization": "alpha", "userErrors": []}
    assert codes(await accept(server, token)) == [("INVALID_INPUT", ["token"])]
    found = (await members(server))[EMAIL]
    assert (found["role"], found["user"]["name"], found["removedAt"]) == ("EDITOR", "Ada", None)
    assert (await sign_in(server, EMAIL))["userErrors"] == []
    rows = await server.owner.fetch("SELECT kind, action FROM audit_events ORDER BY id DESC LIMIT 3")
    assert [tuple(row) for row in rows] == [
        ("SECURITY", "session.started"),
        ("SECURITY", "member.joined"),
        ("SECURITY", "invitation.created"),
    ]


async def test_invitation_accepted_by_many_at_once_makes_one_member(server: RunningServer) -> None:
    token = (await invite(server))["invitationToken"]
    answers = await asyncio.gather(*(accept(server, token, f"password {number}") for number in range(6)))
    assert sorted(len(answer["userErrors"]) for answer in answers) == [0, 1, 1, 1, 1, 1]
    count = "SELECT count(*) FROM memberships JOIN users ON users.id = user_id WHERE email = $1"
    assert await server.owner.fetchval(count, EMAIL) == 1


@pytest.mark.parametrize(
    ("given", "field"),
    [({"email": "nobody"}, "email"), ({"email": f"{'x' * 320}@a.b"}, "email"), ({"name": "x" * 201}, "name")],
)
async def test_invitation_with_a_fault_is_refused(server: RunningServer, given: dict[str, str], field: str) -> None:
    found = await run(server, INVITE, **{"email": EMAIL, "role": "EDITOR"} | given)
    assert codes(found) == [("INVALID_INPUT", [field])]
    assert found["invitationToken"] is None


async def test_member_is_not_invited_again_before_being_removed(server: RunningServer) -> None:
    found = await run(server, INVITE, email="Editor@alpha.example", role="ADMIN")
    assert codes(found) == [("ALREADY_EXISTS", ["email"])]
    # Whether there is such a user elsewhere is not told.
    assert codes(await run(server, INVITE, email="editor@beta.example", role="ADMIN")) == []


async def test_newer_invitation_replaces_the_older(server: RunningServer) -> None:
    older, newer = await invite(server, role="ADMIN"), await invite(server, role="VIEWER")
    assert codes(await accept(server, older["invitationToken"])) == [("INVALID_INPUT", ["token"])]
    assert codes(await accept(server, newer["invitationToken"])) == []
    assert (await members(server))[EMAIL]["role"] == "VIEWER"


async def test_invitation_ends_with_time_or_when_it_is_revoked(server: RunningServer) -> None:
    expired = await invite(server)
    await server.owner.execute("UPDATE invitations SET expires_at = now()")
    assert codes(await accept(server, expired["invitationToken"])) == [("INVALID_INPUT", ["token"])]
    revoked = await invite(server)
    given = {"id": revoked["invitation"]["id"]}
    assert codes(await run(server, REVOKE, **given)) == []
    assert codes(await accept(server, revoked["invitationToken"])) == [("INVALID_INPUT", ["token"])]
    assert codes(await run(server, REVOKE, **given)) == [("INVALID_TRANSITION", ["id"])]


@pytest.mark.parametrize("password", ["", "1234567", "x" * 201])
async def test_new_password_is_neither_short_nor_long(server: RunningServer, password: str) -> None:
    token = (await invite(server))["invitationToken"]
    assert codes(await accept(server, token, password)) == [("INVALID_INPUT", ["password"])]
    assert codes(await accept(server, token)) == []


async def elsewhere(server: RunningServer) -> str:
    """An access token of somebody who is a member of beta, with a password that they have set themselves."""
    await member(server, EMAIL, Role.ADMIN, "beta")
    await set_it_oneself(server)
    token: str = (await sign_in(server, EMAIL))["accessToken"]
    return token


async def test_somebody_with_an_account_joins_signed_in_to_it(server: RunningServer) -> None:
    access = await elsewhere(server)
    given = {"token": (await invite(server))["invitationToken"], "password": PASSWORD}
    wrong = await payload(server, ACCEPT, given | {"password": "wrong password"}, token=access)
    assert codes(wrong) == [("INVALID_INPUT", ["password"])]
    assert codes(await payload(server, ACCEPT, given, token=access)) == []
    for slug in ("alpha", "beta"):
        assert codes(await sign_in(server, EMAIL, organization=slug)) == []


async def test_invitation_tells_whoever_made_it_nothing_of_the_account(server: RunningServer) -> None:
    """The administrator holds the token. It is as good as none, and no way to try passwords, the right one included."""
    await elsewhere(server)
    unknown = await accept(server, "x" * 43)
    for email in (EMAIL, "admin@beta.example"):
        given = {"token": (await invite(server, email))["invitationToken"]}
        for token in (None, server.tokens["alpha", Role.ADMIN]):
            for password in ("chosen by alpha", PASSWORD):
                answer = await payload(server, ACCEPT, given | {"password": password}, token=token)
                assert answer == unknown
    assert codes(unknown) == [("INVALID_INPUT", ["token"])]
    assert await server.owner.fetchval("SELECT count(*) FROM sign_in_failures") == 0
    assert await server.owner.fetchval("SELECT count(*) FROM sign_in_throttles") == 0
    assert await server.owner.fetchval("SELECT count(*) FROM user_passwords") == 1


async def test_unfit_password_is_refused_the_same_whoever_is_invited(server: RunningServer) -> None:
    await elsewhere(server)
    tokens = [(await invite(server, email))["invitationToken"] for email in (EMAIL, "free@alpha.example")]
    answers = [await accept(server, token, "short") for token in (*tokens, "unknown")]
    assert [codes(answer) for answer in answers] == [[("INVALID_INPUT", ["password"])]] * 3


async def test_password_that_another_administrator_may_have_set_opens_no_second_organization(
    server: RunningServer,
) -> None:
    """An address that beta's administrator took for themselves must not let them in where its owner joins later."""
    await member(server, EMAIL, Role.ADMIN, "beta")
    access = (await sign_in(server, EMAIL))["accessToken"]
    given = {"token": (await invite(server))["invitationToken"], "password": PASSWORD}
    assert codes(await payload(server, ACCEPT, given, token=access)) == [("INVALID_TRANSITION", ["password"])]
    mine = "nobody else has seen this"
    change = "mutation ($input: ChangePasswordInput!) { changePassword(input: $input) { userErrors { code field } } }"
    changed = await payload(server, change, {"currentPassword": PASSWORD, "newPassword": mine}, token=access)
    assert codes(changed) == []
    assert codes(await payload(server, ACCEPT, given | {"password": mine}, token=access)) == []


async def test_guesses_at_the_password_of_somebody_removed_are_throttled(server: RunningServer) -> None:
    """Being a member of nothing they cannot sign in, so that their password is looked at."""
    await member(server, EMAIL)
    await run(server, REMOVE, **await version_of(server, EMAIL))
    given = {"token": (await invite(server))["invitationToken"], "password": PASSWORD}
    for number in range(10):
        assert codes(await accept(server, given["token"], f"guess no {number}")) == [("INVALID_INPUT", ["token"])]
    assert (await anonymous(server, ACCEPT, given)).codes == ["RATE_LIMITED"]


async def test_pending_invitation_shuts_nobody_out(server: RunningServer) -> None:
    """Whoever is invited to a second organization goes on to sign in without naming the first, until they accept."""
    await member(server, EMAIL, Role.EDITOR, "beta")
    await invite(server)
    assert (await sign_in(server, EMAIL))["userErrors"] == []


async def test_role_is_changed_under_its_version(server: RunningServer) -> None:
    known = await version_of(server, "viewer@alpha.example")
    changed = await run(server, CHANGE, **known, role="EDITOR")
    assert changed == {"membership": {"role": "EDITOR", "version": "2"}, "userErrors": []}
    stale = await run(server, CHANGE, **known, role="ADMIN")
    assert [(error["code"], error["expected"], error["actual"]) for error in stale["userErrors"]] == [
        ("VERSION_CONFLICT", "1", "2")
    ]
    event = await server.owner.fetchrow("SELECT kind, action, body FROM audit_events ORDER BY id DESC LIMIT 1")
    assert (event["kind"], event["action"]) == ("SECURITY", "member.roleChanged")
    assert '"after":{"role":"EDITOR"}' in event["body"]
    assert '"before":{"role":"VIEWER"}' in event["body"]


async def test_removed_member_is_out_and_may_be_invited_again(server: RunningServer) -> None:
    who = await signed_in(server)
    removed = await run(server, REMOVE, **await version_of(server, EMAIL))
    assert removed["userErrors"] == []
    assert removed["membership"]["removedAt"] is not None
    assert await server.owner.fetchval("SELECT revoked_for FROM sessions") == "MEMBER_REMOVED"
    assert codes(await sign_in(server, EMAIL)) == [("INVALID_INPUT", None)]
    again = await run(server, REMOVE, **await version_of(server, EMAIL))
    assert codes(again) == [("INVALID_TRANSITION", ["id"])]
    token = (await invite(server, role="VIEWER"))["invitationToken"]
    assert codes(await accept(server, token, "another password")) == [("INVALID_INPUT", ["token"])]
    assert codes(await accept(server, token)) == []
    found = (await members(server))[EMAIL]
    assert (found["role"], found["version"], found["removedAt"]) == ("VIEWER", "3", None)
    # The session of before stays ended.
    await asyncio.sleep(1.05)
    assert (await server.execute(VIEWER, token=who.access)).status == 401


async def test_last_administrator_is_neither_removed_nor_demoted(server: RunningServer) -> None:
    known = await version_of(server, "admin@alpha.example")
    assert codes(await run(server, REMOVE, **known)) == [("INVALID_TRANSITION", ["id"])]
    assert codes(await run(server, CHANGE, **known, role="EDITOR")) == [("INVALID_TRANSITION", ["id"])]
    assert codes(await run(server, CHANGE, **known, role="ADMIN")) == []
    await member(server, EMAIL, Role.ADMIN)
    assert codes(await run(server, REMOVE, **await version_of(server, "admin@alpha.example"))) == []
    assert await administrators(server) == 1


@pytest.mark.parametrize("mutation", [CHANGE, REMOVE])
async def test_administrators_that_put_each_other_out_at_once_leave_one(server: RunningServer, mutation: str) -> None:
    pairs = [
        [await signed_in(server, f"admin-{attempt}-{side}@alpha.example", Role.VIEWER) for side in "ab"]
        for attempt in range(5)
    ]
    role = {"role": "VIEWER"} if mutation is CHANGE else {}
    for pair in pairs:
        await server.owner.execute(
            """
            UPDATE memberships SET role = CASE WHEN email = ANY ($1) THEN 'ADMIN' ELSE 'VIEWER' END
            FROM users WHERE users.id = user_id
            """,
            [who.email for who in pair],
        )
        known = [await version_of(server, who.email) for who in pair]
        answers = await asyncio.gather(
            server.execute(mutation, {"input": known[1] | role}, token=pair[0].access),
            server.execute(mutation, {"input": known[0] | role}, token=pair[1].access),
        )
        assert await administrators(server) == 1
        # Whoever came second was an administrator no more: found out while waiting, or already when asking.
        first, second = sorted(answer.codes for answer in answers)
        assert first == []
        assert second in (["UNAUTHENTICATED"], ["FORBIDDEN"])


async def test_administrator_that_was_demoted_while_waiting_does_nothing_more(server: RunningServer) -> None:
    """Whoever waits for the lock looks again, once it is had, whether they may still do it."""
    who = await signed_in(server, role=Role.ADMIN)
    known = await version_of(server, "viewer@alpha.example")
    async with server.owner.transaction():
        await server.owner.execute(
            "SELECT 1 FROM organizations WHERE id = $1 FOR NO KEY UPDATE", server.organization_ids["alpha"]
        )
        waiting = asyncio.create_task(server.execute(REMOVE, {"input": known}, token=who.access))
        while not await server.owner.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await server.owner.execute(
            "UPDATE memberships SET role = 'VIEWER' FROM users WHERE users.id = user_id AND email = $1", EMAIL
        )
    answer = await waiting
    assert (answer.body["data"], answer.codes) == ({"removeMember": None}, ["UNAUTHENTICATED"])
    assert (await members(server))["viewer@alpha.example"]["removedAt"] is None


async def test_password_set_by_the_operator_ends_all_sessions(server: RunningServer) -> None:
    who = await signed_in(server)
    passwords = Passwords(memory_kib=8, iterations=1, threads=1, queue_max=1)
    await set_password(server.owner, email=EMAIL, password_hash=passwords.hash_now("another password"))
    passwords.close()
    assert await server.owner.fetchval("SELECT revoked_for FROM sessions") == "PASSWORD_CHANGED"
    refreshed = await payload(server, REFRESH, {"refreshToken": who.refresh})
    assert codes(refreshed) == [("INVALID_INPUT", ["refreshToken"])]
    assert codes(await sign_in(server, EMAIL)) == [("INVALID_INPUT", None)]
    assert codes(await sign_in(server, EMAIL, "another password")) == []
    logs = "SELECT kind, action FROM audit_events WHERE action = 'password.set'"
    assert [tuple(row) for row in await server.owner.fetch(logs)] == [("SECURITY", "password.set")]
