"""Across GraphQL, another organization's object is exactly like one that never was: same bytes, nothing changed."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from api.domain.access import Role
from api.tables import metadata
from tests.contracts.answers_and_rows import ask, contents, delete_rows_of, rows_of
from tests.contracts.inputs import INPUTS
from tests.contracts.operations import (
    COUNTS_REQUESTS,
    MUTATIONS,
    NAMES_NO_OBJECT,
    NEEDS_A_SESSION,
    OF_ALL_ORGANIZATIONS,
    QUERIES,
    READS,
    Known,
    Operation,
    mutation,
    reads,
    types_in,
)
from tests.contracts.two_organizations import call, populate, populate_with_equal_ids, unknown
from tests.server import RunningServer, start_server

POLICIES, STATEMENTS, RESOLVERS = "by policies", "by statements alone", "by resolvers' statements alone"
READ_THROUGH = pytest.mark.parametrize("server", [POLICIES, STATEMENTS, RESOLVERS], indirect=True)
WRITTEN_THROUGH = pytest.mark.parametrize("server", [POLICIES, STATEMENTS], indirect=True)


@pytest.fixture
async def server(
    database_url: str, state_directory: Path, request: pytest.FixtureRequest
) -> AsyncIterator[RunningServer]:
    """The application; or the same without policies, for every statement names its organization itself.

    Users have no organization: they are narrowed by their policy alone, which stays.
    """
    wall = getattr(request, "param", POLICIES)
    async with start_server(
        database_url, state_directory, cost_max=1_000_000, compiled_queries=wall != RESOLVERS
    ) as server:
        for table in sorted(set(metadata.tables) - {"users"}) if wall != POLICIES else ():
            await server.owner.execute(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")
        yield server


def test_every_root_field_has_a_case() -> None:
    with_arguments = {name for name, declared in QUERIES.items() if declared.args}
    assert set(READS) == with_arguments
    assert {name for name, declared in MUTATIONS.items() if declared.args} == {
        name for name in INPUTS if MUTATIONS[name].args
    }


@READ_THROUGH
@pytest.mark.parametrize("name", [name for name in QUERIES if name not in COUNTS_REQUESTS])
async def test_root_field_answers_another_organizations_id_like_an_unknown_one(
    server: RunningServer, name: str
) -> None:
    alpha, beta = await populate(server, "alpha"), await populate(server, "beta")
    for of_beta, of_nobody in zip(reads(name, beta), reads(name, unknown(beta)), strict=True):
        answer = await ask(server, of_beta)
        assert answer == await ask(server, of_nobody)
        assert answer[0] == 200
        assert b'"errors"' not in answer[1]
        assert b"beta" not in answer[1].lower()
        if QUERIES[name].args and name not in NAMES_NO_OBJECT:
            assert await ask(server, of_beta, "beta") != await ask(server, of_nobody, "beta"), "the id is not looked at"
    for of_alpha in reads(name, alpha):
        assert b'"errors"' not in (await ask(server, of_alpha))[1]


@READ_THROUGH
@pytest.mark.parametrize("name", [name for name in QUERIES if name not in OF_ALL_ORGANIZATIONS])
async def test_what_one_organization_writes_changes_nothing_that_another_reads(
    server: RunningServer, name: str
) -> None:
    operations = reads(name, await populate(server, "alpha"))
    before = [await ask(server, operation) for operation in operations]
    await populate(server, "beta")
    assert [await ask(server, operation) for operation in operations] == before


def cases(name: str, alpha: Known, beta: Known) -> list[tuple[Operation, Operation]]:
    """A mutation of alpha's with some of the ids beta's, and the same with unknown ones in their place."""
    nobody = unknown(beta)
    named = sorted(types_in(INPUTS[name](alpha), alpha))
    made = []
    for foreign in [*([one] for one in named), *([named] if len(named) > 1 else [])]:
        given = INPUTS[name](alpha.with_ids_of(beta, *foreign))
        replaced = {beta.ids[type_name]: nobody.ids[type_name] for type_name in foreign}
        made.append((mutation(name, given), mutation(name, with_replaced(given, replaced))))
    return made


def with_replaced(given: object, replaced: dict[str, str]) -> dict[str, object]:
    """An input with other ids in the places of some."""

    def replace(value: object) -> object:
        if isinstance(value, dict):
            return {field: replace(item) for field, item in value.items()}
        if isinstance(value, list):
            return [replace(item) for item in value]
        return replaced.get(value, value) if isinstance(value, str) else value

    changed = replace(given)
    assert isinstance(changed, dict)
    return changed


@WRITTEN_THROUGH
@pytest.mark.parametrize("name", [name for name in MUTATIONS if name not in NEEDS_A_SESSION])
async def test_mutation_answers_another_organizations_id_like_an_unknown_one(server: RunningServer, name: str) -> None:
    alpha, beta = await populate(server, "alpha"), await populate(server, "beta")
    before = await contents(server.owner)
    for of_beta, of_nobody in cases(name, alpha, beta):
        answer = await ask(server, of_beta)
        assert answer == await ask(server, of_nobody)
        assert answer[0] == 200
        assert b"NOT_FOUND" in answer[1]
        assert b"beta" not in answer[1].lower()
    assert await contents(server.owner) == before
    status, body = await ask(server, mutation(name, INPUTS[name](beta)), "beta")
    assert (status, b'"errors"' in body, b'"userErrors":[]' in body) == (200, False, True)


@READ_THROUGH
@pytest.mark.parametrize("name", [name for name in QUERIES if name not in OF_ALL_ORGANIZATIONS])
async def test_equal_ids_of_two_organizations_are_not_confused(server: RunningServer, name: str) -> None:
    alpha, beta = await populate_with_equal_ids(server)
    assert alpha.row_ids["Fund"] == beta.row_ids["Fund"]
    operations = reads(name, alpha)
    answers = [await ask(server, operation) for operation in operations]
    assert not any(b'"errors"' in body or b"beta" in body.lower() for _, body in answers)
    # Without beta's rows the sums and counts are the same, too.
    await delete_rows_of(server, "beta")
    assert [await ask(server, operation) for operation in operations] == answers


@WRITTEN_THROUGH
@pytest.mark.parametrize("name", [name for name in MUTATIONS if name not in NEEDS_A_SESSION])
async def test_mutation_writes_nothing_to_an_equal_id_of_another_organization(server: RunningServer, name: str) -> None:
    alpha, _ = await populate_with_equal_ids(server)
    before = await rows_of(server, "beta")
    status, body = await ask(server, mutation(name, INPUTS[name](alpha)))
    assert (status, b'"errors"' in body, b'"userErrors":[]' in body) == (200, False, True)
    assert await rows_of(server, "beta") == before


async def test_key_of_another_organization_is_free(server: RunningServer) -> None:
    await call(server, "beta", "createFund", name="Fund I", idempotencyKey="one")
    created = await call(server, "alpha", "createFund", name="Fund II", idempotencyKey="one")
    assert (created["replayed"], created["fund"]["name"]) == (False, "Fund II")


async def test_names_of_another_organization_are_free(server: RunningServer) -> None:
    for organization in ("beta", "alpha"):
        await call(server, organization, "createFund", name="Fund I", vintageYear=2020)
        await call(server, organization, "createPortfolio", name="Portfolio", currency="USD")


async def test_role_in_one_organization_is_none_in_another(server: RunningServer) -> None:
    """A member of both asks with a token for one of them, and is in no way in the other."""
    user_id = await server.owner.fetchval("SELECT id FROM users WHERE email = 'viewer@alpha.example'")
    await server.owner.execute(
        "INSERT INTO memberships (organization_id, user_id, role) VALUES ($1, $2, 'ADMIN')",
        server.organization_ids["beta"],
        user_id,
    )
    beta = await populate(server, "beta")
    operation = Operation("query ($id: ID!) { viewer { role } fund(id: $id) { id } }", {"id": beta.ids["Fund"]})
    answer = await ask(server, operation, role=Role.VIEWER)
    assert answer == (200, b'{"data":{"viewer":{"role":"VIEWER"},"fund":null}}')
