"""What mutations show of the objects that they wrote: these as they left them, whoever has changed them since."""

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from graphql import GraphQLObjectType, get_named_type, is_leaf_type

from api.domain.access import PUBLIC_MUTATIONS, Role
from api.reads.declarations import ENTITIES
from api.services.commands import Outcome, Writer
from tests.contracts.inputs import INPUTS
from tests.contracts.operations import MUTATIONS
from tests.contracts.two_organizations import latest, populate
from tests.server import RunningServer, start_server

LATER = 1_000_000
"""How many versions somebody else adds as soon as something is committed."""
VERSIONED = {entity.table.name for entity in ENTITIES.values() if "version" in entity.table.columns}
READ_AFTERWARDS = {
    "createHoldingActivities",
    "recordBenchmarkPrices",
    "recordHoldingStatements",
    "recordHoldingValuations",
}
"""Thousands of rows at once, which are read only where they are asked for."""

DECIDE = ("approve", "reject")
"""How mutations begin whose object there is one of in all that populate() makes."""


@pytest.fixture
async def server(database_url: str, state_directory: Path) -> AsyncIterator[RunningServer]:
    async with start_server(database_url, state_directory, cost_max=1_000_000) as running:
        yield running


def shown_by(name: str) -> dict[str, GraphQLObjectType]:
    """The fields of a mutation's payload that show objects with a version, and their types."""
    payload = get_named_type(MUTATIONS[name].type)
    assert isinstance(payload, GraphQLObjectType)
    shown = {field: get_named_type(declared.type) for field, declared in payload.fields.items()}
    return {
        field: type_
        for field, type_ in shown.items()
        if isinstance(type_, GraphQLObjectType) and type_.name in ENTITIES and "version" in type_.fields
    }


def leaves(type_: GraphQLObjectType) -> str:
    return " ".join(
        name for name, field in type_.fields.items() if is_leaf_type(get_named_type(field.type)) and not field.args
    )


async def payload_of(server: RunningServer, name: str, given: Mapping[str, Any]) -> Any:
    shown = " ".join(f"{field} {{ {leaves(type_)} }}" for field, type_ in shown_by(name).items())
    call = f"{name}(input: $input) {{ {shown} userErrors {{ message }} }}"
    document = f"mutation ($input: {MUTATIONS[name].args['input'].type}) {{ {call} }}"
    answer = await server.execute(document, {"input": given}, organization="alpha", role=Role.ADMIN)
    return answer.data[name]


async def stored_as(server: RunningServer, type_: GraphQLObjectType, global_id: str) -> Any:
    document = f"query ($id: ID!) {{ node(id: $id) {{ ... on {type_.name} {{ {leaves(type_)} }} }} }}"
    answer = await server.execute(document, {"id": global_id}, organization="alpha", role=Role.ADMIN)
    return answer.data["node"]


async def test_payloads_show_what_their_own_transactions_left(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await populate(server, "alpha")
    run = Writer.run

    async def run_and_be_overtaken(self: Writer, *arguments: Any, **options: Any) -> Outcome[Any]:
        outcome = await run(self, *arguments, **options)
        for table in VERSIONED:
            await server.owner.execute(f"UPDATE {table} SET version = version + {LATER} WHERE version < {LATER}")
        return outcome

    for name in sorted(MUTATIONS.keys() - PUBLIC_MUTATIONS - READ_AFTERWARDS):
        if not shown_by(name):
            continue
        for table in VERSIONED:
            await server.owner.execute(f"UPDATE {table} SET version = version % {LATER}")
        known = await populate(server, "alpha") if name.startswith(DECIDE) else await latest(server, "alpha")
        with monkeypatch.context() as patch:
            patch.setattr(Writer, "run", run_and_be_overtaken)
            payload = await payload_of(server, name, INPUTS[name](known))
        if payload["userErrors"]:
            # The mutations before it have left nothing that this one takes.
            known = await populate(server, "alpha")
            with monkeypatch.context() as patch:
                patch.setattr(Writer, "run", run_and_be_overtaken)
                payload = await payload_of(server, name, INPUTS[name](known))
        assert payload["userErrors"] == [], name
        for field, type_ in shown_by(name).items():
            shown = payload[field] if isinstance(payload[field], list) else [payload[field]]
            for one in shown:
                stored = await stored_as(server, type_, one["id"])
                assert one == stored | {"version": str(int(stored["version"]) - LATER)}, (name, field)
