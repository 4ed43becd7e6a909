"""What introspection costs: as much of the schema as is asked for."""

import pytest
from graphql import get_introspection_query

from api.graphql.schema import declared_fields, schema
from api.http.documents import Documents
from api.services.rate_limits import ANONYMOUS_SHARE

PER_MINUTE_DEFAULT = 1_000_000
COST_MAX_DEFAULT = 50_000
ALL = {
    "specified_by_url": True,
    "directive_is_repeatable": True,
    "schema_description": True,
    "input_value_deprecation": True,
}


def cost_of(text: str) -> int:
    document = Documents(schema()._schema, declared_fields()).get(text)
    assert not document.errors, document.errors
    return document.operations[0].cost.of({})


@pytest.mark.parametrize("options", [{}, ALL, {"descriptions": False}])
def test_queries_of_tools_fit_what_callers_without_a_token_share(options: dict[str, bool]) -> None:
    """GraphiQL, Apollo's tools, GraphQL Code Generator and Relay's send this query with these options."""
    assert 1_000 < cost_of(get_introspection_query(**options)) < PER_MINUTE_DEFAULT * ANONYMOUS_SHARE / 4


def test_aliases_cost_as_much_as_what_they_repeat() -> None:
    once = cost_of("{ __schema { types { fields { args { type { name } } } } } }") - 1
    aliases = " ".join(f"a{n}: types {{ fields {{ args {{ type {{ name }} }} }} }}" for n in range(98))
    assert 97 * once <= cost_of(f"{{ __schema {{ {aliases} }} }}") <= 98 * once
    leaves = " ".join(f"a{n}: name" for n in range(190))
    assert cost_of(f"{{ __schema {{ types {{ fields {{ {leaves} }} }} }} }}") > 4_000


def test_lists_of_one_type_are_taken_for_the_longest() -> None:
    fields = max(len(type_.fields) for type_ in schema()._schema.type_map.values() if hasattr(type_, "fields"))
    assert cost_of('{ __type(name: "Query") { fields { type { kind } } } }') >= fields / 4
    deep = " ".join(f"a{n}: type {{ fields {{ name }} }}" for n in range(98))
    assert cost_of(f"{{ __schema {{ types {{ fields {{ {deep} }} }} }} }}") > COST_MAX_DEFAULT


def test_types_are_not_taken_to_be_within_each_other_deeper_than_they_are() -> None:
    three = cost_of("{ __schema { types { ofType { ofType { ofType { name } } } } } }")
    assert three == cost_of("{ __schema { types { ofType { ofType { ofType { name ofType { name } } } } } } }")
    assert cost_of("{ __schema { description } __typename }") == 2
