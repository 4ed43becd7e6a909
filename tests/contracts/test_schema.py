"""The GraphQL schema keeps its conventions: every part described, names that tell what they hold, one way to write."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLEnumValue,
    GraphQLField,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNamedType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLScalarType,
    get_named_type,
    get_nullable_type,
    is_introspection_type,
    is_specified_scalar_type,
)

from api.domain.access import REQUIRED_ROLES
from api.errors import ErrorCode
from api.graphql.schema import print_schema
from api.reads.declarations import ENTITIES
from tests.contracts.operations import MUTATIONS, QUERIES, graphql_schema, input_fields

SCHEMA_FILE = Path(__file__).parents[2] / "schema.graphql"

LIKE_A_FILE = "CapitalHistoryEntryInput"
"""The input whose fields are called, and whose ids are made, as in the files that are imported."""

DATE_NAMES = {"asOf", "from", "to", "until"}
"""Dates that do not end in On; ``from`` and ``to`` may be times, too."""

WITHOUT_INPUT = {"signOut", "repairSequences"}
SHARED_PAYLOADS = {"refreshSession": "SignInPayload"}
VERBS_THAT_CREATE = ("add", "commit", "create", "import", "record")
UNVERSIONED_UPDATES = {"updateCapitalAmount", "updateCapitalRate", "changePassword"}
"""They append to a history, whose order of effects is decided by date and sequence; a password shows no version."""

Part = GraphQLNamedType | GraphQLField | GraphQLArgument | GraphQLInputField | GraphQLEnumValue

TYPES = [
    type_
    for type_ in graphql_schema().type_map.values()
    if not is_introspection_type(type_) and not is_specified_scalar_type(type_)
]


def parts() -> Iterator[tuple[str, Part]]:
    """Everything that can be described, by its path."""
    for type_ in TYPES:
        yield type_.name, type_
        if isinstance(type_, GraphQLEnumType):
            yield from ((f"{type_.name}.{name}", value) for name, value in type_.values.items())
        if isinstance(type_, GraphQLInputObjectType):
            yield from ((f"{type_.name}.{name}", given) for name, given in type_.fields.items())
        if isinstance(type_, GraphQLObjectType | GraphQLInterfaceType):
            for name, shown in type_.fields.items():
                yield f"{type_.name}.{name}", shown
                yield from ((f"{type_.name}.{name}({key})", argument) for key, argument in shown.args.items())


def values() -> Iterator[tuple[str, str, str]]:
    """Path, own name and type's name of every field, input field and argument."""
    for path, part in parts():
        if isinstance(part, GraphQLField | GraphQLInputField | GraphQLArgument):
            yield path, re.split(r"[.(]", path.rstrip(")"))[-1], get_named_type(part.type).name


def objects() -> Iterator[GraphQLObjectType]:
    """The object types."""
    return (type_ for type_ in TYPES if isinstance(type_, GraphQLObjectType))


def payload(name: str) -> GraphQLObjectType:
    """The payload type of a mutation."""
    type_ = get_named_type(MUTATIONS[name].type)
    assert isinstance(type_, GraphQLObjectType)
    return type_


def test_every_part_has_a_description() -> None:
    assert [path for path, part in parts() if not (part.description or "").strip()] == []


def test_every_description_is_a_sentence() -> None:
    assert [path for path, part in parts() if not (part.description or "").strip().endswith(".")] == []


def test_printed_schema_is_the_one_in_the_repository() -> None:
    assert SCHEMA_FILE.read_text(encoding="utf-8") == print_schema(), "run: tranche schema > schema.graphql"


def test_types_are_nouns_without_a_suffix_of_their_kind() -> None:
    named = [type_.name for type_ in TYPES]
    assert [name for name in named if not re.fullmatch(r"[A-Z][A-Za-z]*", name)] == []
    assert [name for name in named if re.search(r"(Type|Enum|Scalar|Interface|Object)$", name)] == []


def test_fields_and_arguments_are_camel_case() -> None:
    assert [path for path, name, _ in values() if not re.fullmatch(r"[a-z][a-zA-Z0-9]*", name)] == []


def test_enum_values_are_screaming_snake_case() -> None:
    found = [path for path, part in parts() if isinstance(part, GraphQLEnumValue)]
    assert [path for path in found if not re.fullmatch(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*", path.split(".")[1])] == []


def test_dates_end_in_on() -> None:
    for path, name, type_name in values():
        is_named_so = bool(re.search(r"[a-z]On$", name))
        if type_name == "Date":
            assert is_named_so or name in DATE_NAMES, path
        else:
            assert not is_named_so or name in {"onInitial", "onFollowOn"}, path
            assert name != "asOf", path


def test_times_end_in_at() -> None:
    for path, name, type_name in values():
        is_named_so = bool(re.search(r"[a-z]At$", name))
        if type_name == "DateTime":
            assert is_named_so or path.endswith(("Filter.from", "Filter.to")), path
        else:
            assert not is_named_so, path


def test_amounts_end_in_cents_and_nothing_is_a_float() -> None:
    for path, name, type_name in values():
        assert type_name != "Float", path
        is_named_so = name.endswith("Cents") or path == f"{LIKE_A_FILE}.previousAmount"
        assert is_named_so == (type_name == "Cents"), path


NAMED_BY_TEXT = {"SequenceHealth.sequence", "SystemHealth.version", "DatabaseHealth.version"}
"""The sequence of a table's ids, and the versions of programs."""


def test_versions_and_sequences_are_64_bits_wide() -> None:
    for path, name, type_name in values():
        if re.search(r"(^v|V)ersion$|(^s|S)equence$", name):
            assert type_name == "BigInt" or path in NAMED_BY_TEXT, path


def test_ids_are_global_ids() -> None:
    for path, name, type_name in values():
        if re.search(r"(^id|^ids|Id|Ids)$", name) and name not in ("requestId", "maxId"):
            assert (type_name == "ID") == (not path.startswith(LIKE_A_FILE)), path


def test_error_codes_are_those_of_the_code() -> None:
    codes = graphql_schema().get_type("ErrorCode")
    assert isinstance(codes, GraphQLEnumType)
    assert sorted(codes.values) == sorted(ErrorCode)


def test_nodes_are_the_types_with_an_id() -> None:
    with_id = {type_.name for type_ in objects() if "id" in type_.fields}
    nodes = {type_.name for type_ in objects() if "Node" in {shape.name for shape in type_.interfaces}}
    assert nodes == with_id == set(ENTITIES)


def test_lists_hold_no_nulls() -> None:
    for path, part in parts():
        if isinstance(part, GraphQLField | GraphQLInputField | GraphQLArgument) and path != "Query.nodes":
            listed = get_nullable_type(part.type)
            if isinstance(listed, GraphQLList):
                assert isinstance(listed.of_type, GraphQLNonNull), path


@pytest.mark.parametrize("name", QUERIES)
def test_root_field_that_may_be_refused_is_nullable(name: str) -> None:
    if name in REQUIRED_ROLES:
        assert not isinstance(QUERIES[name].type, GraphQLNonNull)


@pytest.mark.parametrize("name", MUTATIONS)
def test_mutation_takes_one_input_and_answers_a_payload(name: str) -> None:
    field, capitalised = MUTATIONS[name], name[0].upper() + name[1:]
    assert re.fullmatch(r"[a-z]+([A-Z][A-Za-z]+)?", name)
    arguments = {key: str(argument.type) for key, argument in field.args.items()}
    assert arguments == ({} if name in WITHOUT_INPUT else {"input": f"{capitalised}Input!"})
    assert str(field.type) == SHARED_PAYLOADS.get(name, f"{capitalised}Payload")
    assert str(payload(name).fields["userErrors"].type) == "[UserError!]!"


@pytest.mark.parametrize("name", MUTATIONS)
def test_payload_shows_what_it_made_or_nothing(name: str) -> None:
    """A refusal holds nothing but its reasons, so that all else must be able to be null, or false, or empty."""
    for field, shown in payload(name).fields.items():
        if isinstance(shown.type, GraphQLNonNull):
            assert isinstance(shown.type.of_type, GraphQLList) or field == "replayed", field


@pytest.mark.parametrize("name", MUTATIONS)
def test_what_creates_takes_a_key_and_tells_a_replay(name: str) -> None:
    creates = name.startswith(VERBS_THAT_CREATE)
    assert ("idempotencyKey" in input_fields(name)) == ("replayed" in payload(name).fields)
    assert "replayed" in payload(name).fields or not creates
    if "replayed" in payload(name).fields:
        assert str(payload(name).fields["replayed"].type) == "Boolean!"


@pytest.mark.parametrize("name", [name for name in MUTATIONS if name.startswith(("update", "change", "rename"))])
def test_what_updates_takes_the_version_it_saw(name: str) -> None:
    input_type = graphql_schema().get_type(f"{name[0].upper()}{name[1:]}Input")
    assert isinstance(input_type, GraphQLInputObjectType)
    if name not in UNVERSIONED_UPDATES:
        assert str(input_type.fields["expectedVersion"].type) == "BigInt!"


CONNECTIONS = [type_ for type_ in objects() if type_.name.endswith("Connection")]


@pytest.mark.parametrize("connection", CONNECTIONS, ids=lambda connection: connection.name)
def test_connection_has_the_shape_that_relay_wants(connection: GraphQLObjectType) -> None:
    noun = connection.name.removesuffix("Connection")
    assert {name: str(shown.type) for name, shown in connection.fields.items()} == {
        "edges": f"[{noun}Edge!]!",
        "nodes": f"[{noun}!]!",
        "pageInfo": "PageInfo!",
        "totalCount": "Int!",
    }
    edge = graphql_schema().get_type(f"{noun}Edge")
    assert isinstance(edge, GraphQLObjectType)
    assert {name: str(shown.type) for name, shown in edge.fields.items()} == {"cursor": "String!", "node": f"{noun}!"}


def test_connections_take_the_four_arguments() -> None:
    for path, part in parts():
        if isinstance(part, GraphQLField) and get_named_type(part.type) in CONNECTIONS:
            arguments = {name: str(argument.type) for name, argument in part.args.items()}
            paging = {name: arguments.get(name) for name in ("first", "after", "last", "before")}
            assert (path, paging) == (path, {"first": "Int", "after": "String", "last": "Int", "before": "String"})
            for name, suffix in (("filter", "Filter"), ("orderBy", "Order")):
                assert arguments.get(name, suffix).endswith(suffix), path


def test_scalars_are_the_agreed_ones() -> None:
    scalars = {type_.name for type_ in TYPES if isinstance(type_, GraphQLScalarType)}
    assert scalars <= {"BigInt", "Cents", "CurrencyCode", "Date", "DateTime", "Decimal", "JSON"}
