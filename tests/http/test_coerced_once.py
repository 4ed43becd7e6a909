"""Variables are coerced once for an operation: to what graphql-core makes of them, and with its messages."""

from typing import Any

import pytest
from graphql import DocumentNode, OperationDefinitionNode, parse
from graphql.execution.values import VariableValues, get_variable_values

from api.graphql.schema import schema
from api.http.executor import TransientExecutor
from api.reads.compiled.variables import Variables
from tests.server import RunningServer

LEAVES = "query ($int: Int, $must: Boolean!, $date: Date, $id: ID, $status: FundStatus, $text: String, $cents: Cents)"
VALUES = [None, True, 1, 1.0, 2**31, "1", "ACTIVE", "active", "2024-02-29", "2023-02-29", "\x00", [], [1], {}, {"a": 1}]
DOCUMENT = parse("""
query ($first: Int = 2, $plain: Int, $must: Int!, $filter: FundFilter = {vintageYear: 1999}, $order: FundOrder,
  $ids: [ID!], $as: Date = "2024-01-31", $input: CommitReallocationInput) { ...Asked }
fragment Asked on Query { __typename }
""")
GIVEN: list[dict[str, Any]] = [
    {},
    {"must": None},
    {"must": 1},
    {"must": "1"},
    {"must": 2**40},
    {"must": 1, "first": None, "plain": None, "filter": None, "order": None, "ids": None, "as": None, "input": None},
    {"must": 1, "ids": "one", "unknown": 1},
    {"must": 1, "ids": ["one", 2]},
    {"must": 1, "ids": ["one", None]},
    {"must": 1, "filter": {}},
    {"must": 1, "filter": {"nothing": 1}},
    {"must": 1, "order": {"field": "NAME", "direction": "DESC"}},
    {"must": 1, "order": {"field": "NAME"}},
    {"must": 1, "order": {"field": "name"}},
    {"must": 1, "as": "2024-02-30"},
    {"must": 1, "input": {"fundId": "a", "expectedVersion": "1", "proposals": [], "reason": None}},
    {"must": 1, "input": {"fundId": "a", "expectedVersion": 2, "proposals": {"companyId": 1}}},
]


def _shown(values: VariableValues | None) -> object:
    """What there is to compare: the values by name, and what each was made of."""
    if values is None:
        return None
    sources = {name: (one.signature.name, str(one.signature.type), one.value) for name, one in values.sources.items()}
    return repr((values.coerced, sources))


def _read(document: DocumentNode, given: dict[str, Any]) -> tuple[VariableValues | None, VariableValues | None]:
    """The variables as they are read here, and as graphql-core reads them."""
    definitions = _operation(document).variable_definitions or ()
    expected = get_variable_values(schema()._schema, definitions, dict(given))
    read = Variables(schema()._schema, definitions).read(given)
    return read, expected if isinstance(expected, VariableValues) else None


def _operation(document: DocumentNode) -> OperationDefinitionNode:
    (operation,) = (one for one in document.definitions if isinstance(one, OperationDefinitionNode))
    return operation


@pytest.mark.parametrize("given", GIVEN, ids=repr)
def test_coerced_variables_and_their_executor_are_graphql_cores(given: dict[str, Any]) -> None:
    read, expected = _read(DOCUMENT, given)
    assert _shown(read) == _shown(expected)
    built = TransientExecutor.build(schema()._schema, DOCUMENT, raw_variable_values=given)
    if read is None:
        assert isinstance(built, list)
        return
    assert not isinstance(built, list)
    made = TransientExecutor.of_coerced(
        schema()._schema, DOCUMENT, _operation(DOCUMENT), read, None, hides_suggestions=False
    )
    assert _shown(made.variable_values) == _shown(built.variable_values)
    own = {"async_helpers", "collected_errors", "_stream_usages", "variable_values"}
    assert vars(made).keys() == vars(built).keys()
    assert [name for name in vars(made).keys() - own if getattr(made, name) != getattr(built, name)] == []


def test_coerced_leaves_are_graphql_cores() -> None:
    """They are read by a shorter way."""
    document = parse(LEAVES + " { __typename }")
    names = [one.variable.name.value for one in _operation(document).variable_definitions or ()]
    for name in names:
        for value in VALUES:
            read, expected = _read(document, {"must": True, name: value})
            assert _shown(read) == _shown(expected), (name, value)
    assert _read(document, {}) == (None, None)


async def test_all_that_is_wrong_with_variables_is_told(server: RunningServer) -> None:
    """Reading them for the cost ends with the first fault."""
    answer = await server.execute(
        "mutation ($no: Boolean!, $b: PreviewReallocationInput!)"
        " { previewReallocation(input: $b) { __typename @skip(if: $no) } }",
        {"b": {"fundId": "x", "expectedVersion": "one", "proposals": [{"companyId": "y"}]}},
    )
    assert answer.status == 400
    assert [error["message"] for error in answer.body["errors"]] == [
        "Variable '$no' has invalid value: Expected a value of non-null type 'Boolean!' to be provided.",
        "Variable '$b' has invalid value at .expectedVersion: Expected a whole number within 64 bits, as a string or an"
        " integer, not 'one'.",
        "Variable '$b' has invalid value at .proposals[0]: Expected value of type 'ReallocationProposalInput' to"
        " include required field 'plannedReservesCents', found: {'companyId': 'y'}.",
    ]
