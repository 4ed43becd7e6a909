"""Who may do what: every query and mutation by everybody, and what a refusal leaves behind.

The subscriptions are in test_permissions_to_follow.py, what is about oneself in test_permissions_of_oneself.py.
"""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from api.domain.access import FOR_PEOPLE, PUBLIC_MUTATIONS, REQUIRED_ROLES, Role
from tests.contracts.answers_and_rows import added, ask, contents, rows_of
from tests.contracts.inputs import INPUTS
from tests.contracts.operations import (
    MUTATIONS,
    NEEDS_A_SESSION,
    QUERIES,
    SUBSCRIPTIONS,
    Known,
    Operation,
    input_fields,
    mutation,
    reads,
)
from tests.contracts.two_organizations import call, ended_tokens, populate
from tests.server import RunningServer, start_server

COMMANDS_WITHOUT_A_FIELD = {
    "importStatements",
    "importActivities",
    "importValuations",
    "loadDemo",
    "calculateSnapshot",
    "checkDueCalls",
    "forgetExpiredKeys",
}
"""What the command line or a worker runs as a command, and no client can."""

LEAST_ROLE_FOR_NODE = {"AuditEvent": Role.ADMIN, "ApiKey": Role.ADMIN, "Invitation": Role.ADMIN}
"""The types that not every member may see; all others are every member's."""

RANK = [Role.VIEWER, Role.EDITOR, Role.ADMIN]


@pytest.fixture
async def server(database_url: str, state_directory: Path) -> AsyncIterator[RunningServer]:
    """The application, for operations that ask for everything there is, which costs more than one may by default."""
    async with start_server(database_url, state_directory, cost_max=1_000_000) as running:
        yield running


def is_allowed(role: Role, least: Role) -> bool:
    return RANK.index(role) >= RANK.index(least)


def test_every_mutation_says_which_role_it_needs() -> None:
    assert set(MUTATIONS) - PUBLIC_MUTATIONS - set(REQUIRED_ROLES) == set()


def test_every_required_role_is_of_something_that_exists() -> None:
    fields = {*MUTATIONS, *QUERIES, *SUBSCRIPTIONS}
    assert set(REQUIRED_ROLES) - fields == COMMANDS_WITHOUT_A_FIELD


def test_roles_are_those_of_the_matrix() -> None:
    assert list(Role) == RANK


def test_only_the_log_sequences_and_who_may_come_in_are_for_administrators_to_read() -> None:
    needed = {name: REQUIRED_ROLES[name] for name in QUERIES if name in REQUIRED_ROLES}
    assert needed == dict.fromkeys(
        ("auditEvents", "auditVerification", "sequenceHealth", "apiKeys", "invitations"), Role.ADMIN
    )


def test_viewer_may_preview_and_write_nothing() -> None:
    for_viewers = {name for name in MUTATIONS if REQUIRED_ROLES.get(name) is Role.VIEWER}
    assert for_viewers - PUBLIC_MUTATIONS == {"previewReallocation", "signOut", "changePassword"}


async def assert_refused(server: RunningServer, name: str, operation: Operation, role: Role) -> None:
    """The role is told FORBIDDEN; one SECURITY event says so, and nothing else is written."""
    before = await contents(server.owner)
    status, body = await ask(server, operation, role=role)
    answer = json.loads(body)
    assert (status, answer["data"], [error["extensions"]["code"] for error in answer["errors"]]) == (
        200,
        {name: None},
        ["FORBIDDEN"],
    )
    new = added(before, await contents(server.owner))
    assert {table: len(rows) for table, rows in new.items()} == {"audit_heads": 1, "audit_events": 1}
    event = await server.owner.fetchrow(
        """
        SELECT kind, action, email, subject_id FROM audit_events JOIN users ON users.id = actor_id
        WHERE organization_id = $1 ORDER BY sequence DESC LIMIT 1
        """,
        server.organization_ids["alpha"],
    )
    assert tuple(event) == ("SECURITY", f"{name}.refused", f"{role.value.lower()}@alpha.example", None)


async def assert_unauthenticated(server: RunningServer, operation: Operation) -> None:
    """Without a token nothing is answered and nothing written, not even to a log."""
    before = await contents(server.owner)
    status, body = await ask(server, operation, role=None)
    answer = json.loads(body)
    assert (status, answer.get("data"), [error["extensions"]["code"] for error in answer["errors"]]) == (
        401,
        None,
        ["UNAUTHENTICATED"],
    )
    assert await contents(server.owner) == before


@pytest.mark.parametrize("name", [name for name in MUTATIONS if name not in PUBLIC_MUTATIONS | NEEDS_A_SESSION])
async def test_mutation_is_for_its_role_and_those_above(server: RunningServer, name: str) -> None:
    await assert_unauthenticated(server, mutation(name, INPUTS[name](await populate(server, "alpha"))))
    for role in RANK:
        operation = mutation(name, INPUTS[name](await populate(server, "alpha")))
        if not is_allowed(role, REQUIRED_ROLES[name]):
            await assert_refused(server, name, operation, role)
            continue
        status, body = await ask(server, operation, role=role)
        answer = json.loads(body)
        assert (status, answer.get("errors"), answer["data"][name]["userErrors"]) == (200, None, [])


@pytest.mark.parametrize("name", [name for name in MUTATIONS if name not in PUBLIC_MUTATIONS | NEEDS_A_SESSION])
async def test_refused_role_is_refused_before_its_input_is_looked_at(server: RunningServer, name: str) -> None:
    """Whatever is wrong with the input: a role that may not ask is told so, and the log says that it tried."""
    given = INPUTS[name](await populate(server, "alpha"))
    spoiled = {field: "x" if field == "id" or field.endswith("Id") else value for field, value in given.items()}
    for role in RANK:
        if not is_allowed(role, REQUIRED_ROLES[name]):
            await assert_refused(server, name, mutation(name, spoiled), role)
            if "idempotencyKey" in input_fields(name):
                await assert_refused(server, name, mutation(name, given | {"idempotencyKey": ""}), role)


@pytest.mark.parametrize("name", QUERIES)
async def test_root_field_is_for_its_role_and_those_above(server: RunningServer, name: str) -> None:
    known = await populate(server, "alpha")
    for operation in reads(name, known):
        await assert_unauthenticated(server, operation)
        for role in RANK:
            if not is_allowed(role, REQUIRED_ROLES.get(name, Role.VIEWER)):
                await assert_refused(server, name, operation, role)
                continue
            before = await contents(server.owner)
            status, body = await ask(server, operation, role=role)
            assert (status, b'"errors"' in body) == (200, False)
            assert await contents(server.owner) == before


ROOT_FIELDS = [name for name in (*QUERIES, *MUTATIONS) if name not in PUBLIC_MUTATIONS | NEEDS_A_SESSION]


def operations_of(name: str, known: Known) -> list[Operation]:
    """What is asked of a root field."""
    return reads(name, known) if name in QUERIES else [mutation(name, INPUTS[name](known))]


@pytest.mark.parametrize("name", ROOT_FIELDS)
async def test_what_has_ended_opens_nothing(server: RunningServer, name: str) -> None:
    known = await populate(server, "alpha")
    tokens = await ended_tokens(server, known)
    before = await contents(server.owner)
    for operation in operations_of(name, known):
        for what, token in tokens.items():
            answer = await server.execute(operation.query, operation.variables, token=token)
            assert (what, answer.status, answer.body.get("data"), answer.codes) == (
                what,
                401,
                None,
                ["UNAUTHENTICATED"],
            )
    assert await contents(server.owner) == before


@pytest.mark.parametrize("name", ROOT_FIELDS)
async def test_api_key_may_do_what_its_role_may(server: RunningServer, name: str) -> None:
    for role in RANK:
        known = await populate(server, "alpha")
        key = await call(server, "alpha", "createApiKey", by=Role.ADMIN, name="Program", role=role.value)
        for operation in operations_of(name, known):
            answer = await server.execute(operation.query, operation.variables, token=key["secret"])
            if not is_allowed(role, REQUIRED_ROLES.get(name, Role.VIEWER)) or name in FOR_PEOPLE:
                assert (answer.body["data"], answer.codes) == ({name: None}, ["FORBIDDEN"])
            else:
                payload = answer.data[name]
                assert name in QUERIES or payload["userErrors"] == []


@pytest.mark.parametrize("name", ROOT_FIELDS)
async def test_administrator_of_another_organization_neither_sees_nor_changes_anything(
    server: RunningServer, name: str
) -> None:
    known = await populate(server, "alpha")
    before = await rows_of(server, "alpha")
    for operation in operations_of(name, known):
        status, body = await ask(server, operation, "beta", Role.ADMIN)
        assert (status, b'"errors"' in body) == (200, False)
        assert b"alpha" not in body.lower() or name in {"createApiKey", "inviteMember"}
    assert await rows_of(server, "alpha") == before


@pytest.mark.parametrize("name", sorted(PUBLIC_MUTATIONS))
async def test_public_mutation_asks_for_no_token_and_minds_none_that_has_ended(
    server: RunningServer, name: str
) -> None:
    for what in (None, "expired token", "revoked session", "revoked API key"):
        known = await populate(server, "alpha")
        operation = mutation(name, INPUTS[name](known))
        headers = {}
        if what is not None:
            tokens = await ended_tokens(server, await populate(server, "alpha"))
            headers["Authorization"] = f"Bearer {tokens[what]}"
        body = {"query": operation.query, "variables": operation.variables}
        response = await server.client.post("/graphql", json=body, headers=headers)
        answer = response.json()
        assert (what, response.status_code, answer["data"][name]["userErrors"]) == (what, 200, [])


@pytest.mark.parametrize("role", RANK)
async def test_node_shows_nothing_that_the_role_may_not_list(server: RunningServer, role: Role) -> None:
    known = await populate(server, "alpha")
    hidden = {name for name, least in LEAST_ROLE_FOR_NODE.items() if not is_allowed(role, least)}
    for type_name, global_id in known.ids.items():
        expected = None if type_name in hidden else {"id": global_id}
        one = await server.execute("query ($id: ID!) { node(id: $id) { id } }", {"id": global_id}, role=role)
        assert (type_name, one.data["node"]) == (type_name, expected)
        many = await server.execute("query ($ids: [ID!]!) { nodes(ids: $ids) { id } }", {"ids": [global_id]}, role=role)
        assert (type_name, many.data["nodes"]) == (type_name, [expected])


@pytest.mark.parametrize("role", [Role.VIEWER, Role.EDITOR])
async def test_no_role_reaches_the_log_from_what_it_may_read(server: RunningServer, role: Role) -> None:
    known = await populate(server, "alpha")
    for name in QUERIES:
        for operation in reads(name, known):
            assert b"AuditEvent" not in (await ask(server, operation, role=role))[1]


async def test_removed_member_may_no_longer_write(server: RunningServer) -> None:
    operation = mutation("createFund", {"name": "Fund I"})
    assert (await ask(server, operation, role=Role.EDITOR))[0] == 200
    await server.owner.execute(
        "UPDATE memberships SET removed_at = now() WHERE user_id = (SELECT id FROM users WHERE email = $1)",
        "editor@alpha.example",
    )
    before = await contents(server.owner)
    _, body = await ask(server, mutation("createFund", {"name": "Fund II"}), role=Role.EDITOR)
    assert b"UNAUTHENTICATED" in body
    assert await contents(server.owner) == before
