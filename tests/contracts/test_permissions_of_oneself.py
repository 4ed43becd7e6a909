"""Who may do what is about oneself: every mutation of one's own session and password, by everybody."""

from typing import Any

import pytest

from api.domain.access import REQUIRED_ROLES, Role
from tests.contracts.answers_and_rows import contents, rows_of
from tests.contracts.inputs import INPUTS
from tests.contracts.operations import (
    MUTATIONS,
    NEEDS_A_SESSION,
    Operation,
    mutation,
)
from tests.contracts.two_organizations import call, ended_tokens, populate
from tests.people_client import VIEWER, Joined, sign_in, signed_in
from tests.server import RunningServer

OF_ONESELF = pytest.mark.parametrize("name", sorted(NEEDS_A_SESSION))


def operation(name: str) -> Operation:
    given: dict[str, Any] = INPUTS[name](None) if MUTATIONS[name].args else {}  # type: ignore[arg-type]
    return mutation(name, given)


async def user_errors(server: RunningServer, name: str, token: str) -> list[str]:
    """The codes of the user errors."""
    asked = operation(name)
    answer = await server.execute(asked.query, asked.variables, token=token)
    return [error["code"] for error in answer.data[name]["userErrors"]]


@OF_ONESELF
async def test_every_role_may_and_changes_nobody_else(server: RunningServer, name: str) -> None:
    assert REQUIRED_ROLES[name] is Role.VIEWER
    for role in Role:
        one = await signed_in(server, f"one-{role.value}@alpha.example", role)
        other = await signed_in(server, f"other-{role.value}@alpha.example", role)
        theirs = await rows_of(server, "beta")
        assert await user_errors(server, name, one.access) == []
        assert await is_open(server, other)
        assert await rows_of(server, "beta") == theirs


async def is_open(server: RunningServer, who: Joined) -> bool:
    """Whether somebody's session goes on and their password is what it was."""
    found = await sign_in(server, who.email)
    return found["userErrors"] == [] and (await server.execute(VIEWER, token=who.access)).status == 200


@OF_ONESELF
async def test_nobody_may_without_a_token_or_with_one_that_has_ended(server: RunningServer, name: str) -> None:
    tokens = await ended_tokens(server, await populate(server, "alpha"))
    asked, before = operation(name), await contents(server.owner)
    response = await server.client.post("/graphql", json={"query": asked.query, "variables": asked.variables})
    assert response.status_code == 401
    for what, token in tokens.items():
        answer = await server.execute(asked.query, asked.variables, token=token)
        assert (what, answer.status, answer.codes) == (what, 401, ["UNAUTHENTICATED"])
    assert await contents(server.owner) == before


@OF_ONESELF
async def test_api_key_has_neither_session_nor_password(server: RunningServer, name: str) -> None:
    for role in Role:
        key = await call(server, "alpha", "createApiKey", by=Role.ADMIN, name="Program", role=role.value)
        before = await contents(server.owner, ("user_passwords", "sessions", "audit_events"))
        assert await user_errors(server, name, key["secret"]) == ["INVALID_TRANSITION"]
        assert await contents(server.owner, ("user_passwords", "sessions", "audit_events")) == before
