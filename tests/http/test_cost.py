"""What an operation costs, and that it is what a recount comes to."""

import os
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

import pytest
from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLSchema,
    InlineFragmentNode,
    SelectionSetNode,
    get_named_type,
    get_nullable_type,
    is_abstract_type,
    is_leaf_type,
    is_list_type,
    parse,
)
from graphql.execution.values import (
    VariableValues,
    get_argument_values,
    get_directive_values,
    get_variable_values,
)
from graphql.type import GraphQLIncludeDirective, GraphQLSkipDirective

from api.domain.access import Role
from api.graphql.schema import declared_fields, schema
from api.http.cost import VARIANTS_MAX, OperationCost
from api.http.documents import Documents
from api.http.list_sizes import LIST_SIZES
from api.reads import global_ids
from tests.contracts.operations import NAMES_NO_OBJECT
from tests.reads.generated_queries import QueryWriter
from tests.reads.population import populate
from tests.server import RunningServer

RECOUNTS = int(os.environ.get("TRANCHE_GENERATED_QUERIES", "2000")) // 4
SEED = int(os.environ.get("TRANCHE_GENERATED_SEED", "1"))
IDS = [global_ids.encode(name, number) for name in ("Fund", "Portfolio", "Nothing") for number in (1, 2)]

DEAR = {"metrics", "validateDealAllocation"}
"""Fields that cost a hundred more, beside those about the cost of capital."""


def cost_of(text: str, variables: Mapping[str, Any] | None = None) -> int:
    document = Documents(schema()._schema, declared_fields()).get(text)
    assert not document.errors, document.errors
    [operation] = document.operations
    values = operation.plans.variables.read(variables or {})
    assert values is not None
    return operation.cost.of(values.coerced)


@pytest.mark.parametrize(
    ("text", "variables", "cost"),
    [
        ("{ __typename }", {}, 0),
        ("{ viewer { role } }", {}, 1),
        ("{ viewer { role user { name } organization { name } } }", {}, 3),
        ('{ fund(id: "x") { name reserves { plannedCents } } }', {}, 2),
        # The connection, its total, and 20 rows.
        ("{ funds { totalCount nodes { name } } }", {}, 22),
        ("{ funds { pageInfo { hasNextPage } edges { cursor node { name } } } }", {}, 2 + 2 * 20),
        ("{ funds(first: 7) { nodes { companies(last: 3) { nodes { name } } } } }", {}, 1 + 7 * (1 + 1 + 3)),
        ("{ funds(first: 0) { nodes { companies { nodes { name } } } } }", {}, 1),
        # What will be refused counts as the nearest that is not.
        ("{ funds(first: -5) { nodes { name } } }", {}, 1),
        ("{ funds(first: 101) { nodes { name } } }", {}, 101),
        ("{ funds(first: null) { nodes { name } } }", {}, 21),
        ("{ funds(first: 3, last: null) { nodes { name } } }", {}, 4),
        ("{ funds(first: 3, last: 5) { nodes { name } } }", {}, 6),
        ("query ($n: Int) { funds(first: $n) { nodes { name } } }", {}, 21),
        ("query ($n: Int) { funds(first: $n) { nodes { name } } }", {"n": None}, 21),
        ("query ($n: Int) { funds(first: $n) { nodes { name } } }", {"n": 5}, 6),
        ("query ($n: Int) { funds(first: $n) { nodes { name } } }", {"n": 5.0}, 6),
        ("query ($n: Int) { funds(first: $n) { nodes { name } } }", {"n": -1}, 1),
        ("query ($n: Int) { funds(first: $n) { nodes { name } } }", {"n": 2_000_000_000}, 101),
        ("query ($n: Int = 9) { funds(last: $n) { nodes { name } } }", {}, 10),
        ("query ($n: Int = 9) { funds(last: $n) { nodes { name } } }", {"n": None}, 21),
        ("query ($n: Int = 9, $m: Int) { funds(last: $m, first: $n) { nodes { name } } }", {"m": 4}, 5),
        (
            "query ($n: Int, $m: Int) { funds(first: $n) { nodes { companies(first: $m) { nodes { name } } } } }",
            {"n": 10, "m": 100},
            1 + 10 * (1 + 1 + 100),
        ),
        # Fields of one key are one field; under two keys they are two.
        ("{ funds { nodes { name } } funds { nodes { id } } }", {}, 21),
        ("{ funds { nodes { name } } again: funds { nodes { id } } }", {}, 42),
        ("{ ...F ...F } fragment F on Query { funds { nodes { name } } a: funds(first: 1) { nodes { id } } }", {}, 23),
        ("{ ... on Query { funds { ...F } } } fragment F on FundConnection { nodes { ... { name } } }", {}, 21),
        ("query ($no: Boolean!) { funds @skip(if: $no) { nodes { name } } }", {"no": True}, 0),
        ("query ($no: Boolean!) { funds @skip(if: $no) { nodes { name } } }", {"no": False}, 21),
        ("query ($no: Boolean = false) { ... @include(if: $no) { funds { nodes { name } } } }", {}, 0),
        ("{ funds @include(if: false) { nodes { name } } viewer { role } }", {}, 1),
        ('{ nodes(ids: ["a", "b", "c"]) { id } }', {}, 3),
        ('{ nodes(ids: "a") { id } }', {}, 1),
        ("query ($i: [ID!]!) { nodes(ids: $i) { id } }", {"i": ["a"] * 5}, 5),
        ("query ($i: [ID!]!) { nodes(ids: $i) { id } }", {"i": "a"}, 1),
        ("query ($i: [ID!]!) { nodes(ids: $i) { id } }", {"i": []}, 0),
        ("query ($i: [ID!]!) { nodes(ids: $i) { id } }", {"i": ["a"] * 5_000}, 100),
        ("query ($a: ID!, $b: ID!) { nodes(ids: [$a, $b]) { id } }", {"a": "x", "b": "y"}, 2),
        # The dearest of what it may be.
        (
            """query ($n: Int) { node(id: "x") { ... on Fund { companies(first: 4) { nodes { name } } }
              ... on Portfolio { holdings(first: $n) { nodes { id } } } ... on PortfolioCompany { fund { id } } } }""",
            {"n": 2},
            1 + 1 + 4,
        ),
        (
            """query ($n: Int) { node(id: "x") { ... on Fund { companies(first: 4) { nodes { name } } }
              ... on Portfolio { holdings(first: $n) { nodes { id } } } ... on PortfolioCompany { fund { id } } } }""",
            {"n": 30},
            1 + 1 + 30,
        ),
        ('{ portfolio(id: "x") { exposure(by: FUND) { holdingCount totals { navCents } fund { name } } } }', {}, 301),
        ('{ fund(id: "x") { reserveRanking { rank } few: reserveRanking(first: 7) { company { name } } } }', {}, 35),
        ("{ auditVerification { isIntact } }", {}, 1_001),
        ("{ wacc { rate } capitalState { name } }", {}, 401),
        (
            "mutation ($i: CreateFundInput!) { createFund(input: $i) { fund { id } userErrors { code } } }",
            {"i": {"name": "x"}},
            10 + 1 + 1 + 20,
        ),
    ],
)
def test_cost(text: str, variables: dict[str, Any], cost: int) -> None:
    assert cost_of(text, variables) == cost


class Recount:
    """The same by walking what the answer would look like, field for field, with graphql-core reading the arguments."""

    def __init__(self, schema: GraphQLSchema, document: DocumentNode, values: VariableValues) -> None:
        self.schema, self.values = schema, values
        self.fragments = {
            node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)
        }

    def of(self, type_: Any, sets: Sequence[SelectionSetNode | None], rows: int | None = None) -> int:
        if is_abstract_type(type_):
            return max(self.of(one, sets, rows) for one in self.schema.get_possible_types(type_))
        fields: dict[str, list[FieldNode]] = {}
        for selection_set in sets:
            self._collect(type_, selection_set, fields)
        return sum(self._field(type_, nodes, rows) for nodes in fields.values())

    def _collect(self, type_: Any, selection_set: Any, fields: dict[str, list[FieldNode]]) -> None:
        for node in selection_set.selections:
            skip = get_directive_values(GraphQLSkipDirective, node, self.values)
            include = get_directive_values(GraphQLIncludeDirective, node, self.values)
            if (skip and skip["if"]) or (include and not include["if"]):
                continue
            if isinstance(node, FieldNode):
                fields.setdefault((node.alias or node.name).value, []).append(node)
                continue
            inner: Any = self.fragments[node.name.value] if isinstance(node, FragmentSpreadNode) else node
            assert isinstance(inner, InlineFragmentNode | FragmentDefinitionNode)
            condition = inner.type_condition and self.schema.get_type(inner.type_condition.name.value)
            if condition in (None, type_) or (
                is_abstract_type(condition) and self.schema.is_sub_type(condition, type_)
            ):
                self._collect(type_, inner.selection_set, fields)

    def _field(self, type_: Any, nodes: list[FieldNode], rows: int | None) -> int:
        name = nodes[0].name.value
        if name == "__typename":
            return 0
        definition = type_.fields[name]
        if is_leaf_type(get_named_type(definition.type)):
            return {"totalCount": 1, "metrics": 100}.get(name, 0)
        given = get_argument_values(definition, nodes[0], self.values)
        below = None
        if "first" in definition.args:
            asked = [size for size in (given.get("last"), given.get("first"), 20) if size is not None]
            below = min(max(asked[0], 0), 100)
        objects = 1
        if is_list_type(get_nullable_type(definition.type)):
            usual = LIST_SIZES.get((type_.name, name), 20)
            objects = min(len(given["ids"]), 100) if "ids" in given else rows if rows is not None else usual
            if below is not None:
                objects, below = below, None
        own = 1_000 if name == "auditVerification" else 100 if name in NAMES_NO_OBJECT | DEAR else 0
        each = [1 + self.of(get_named_type(definition.type), [node.selection_set for node in nodes], below)]
        return own + sum(each * objects)


def test_cost_of_generated_queries_is_what_a_recount_comes_to() -> None:
    random, dear = Random(SEED), 0
    documents = Documents(schema()._schema, declared_fields())
    for _ in range(RECOUNTS):
        text, variables = QueryWriter(schema()._schema, random, IDS, ["cursor"]).write()
        document = documents.get(text)
        if document.errors:
            # Fragments that are spread twice each may come to more aliases than a document may hold.
            assert document.error_code == "QUERY_TOO_COMPLEX", (document.errors, text)
            continue
        node = parse(text)
        operation: Any = node.definitions[0]
        values = get_variable_values(schema()._schema, operation.variable_definitions or (), variables)
        if not isinstance(values, VariableValues):
            continue
        expected = Recount(schema()._schema, node, values).of(schema()._schema.query_type, [operation.selection_set])
        assert document.operations[0].cost.of(values.coerced) == expected, (text, variables)
        dear += expected > 1_000
    assert dear > RECOUNTS // 50


def objects_in(value: Any) -> int:
    if isinstance(value, list):
        return sum(map(objects_in, value))
    if not isinstance(value, dict):
        return 0
    # Generated queries number what they select; what is in a JSON scalar is no object of the answer.
    is_selected = any(key == "__typename" or key[-1].isdigit() for key in value)
    return is_selected + sum(map(objects_in, value.values()))


async def test_answers_hold_no_more_objects_than_they_cost(server: RunningServer) -> None:
    await populate(server)
    random, answered = Random(SEED), 0
    ids = [
        global_ids.encode(name, row["id"])
        for name, table in (("Fund", "funds"), ("Portfolio", "portfolios"), ("Holding", "portfolio_funds"))
        for row in await server.owner.fetch(f"SELECT id FROM {table} LIMIT 3")
    ]
    for _ in range(RECOUNTS // 5):
        text, variables = QueryWriter(schema()._schema, random, ids, ["cursor"]).write()
        answer = await server.execute(text, variables, role=Role.ADMIN)
        if answer.body.get("data"):
            answered += 1
            assert objects_in(answer.body["data"]) - 1 <= cost_of(text, variables), (text, variables)
    assert answered > RECOUNTS // 20


def test_sums_are_kept_for_so_many_combinations_of_conditions() -> None:
    names = [f"v{number}" for number in range(8)]
    declared = ", ".join(f"${name}: Boolean!" for name in names)
    selected = " ".join(f"{name}: viewer @include(if: ${name}) {{ role }}" for name in names)
    [operation] = Documents(schema()._schema, declared_fields()).get(f"query ({declared}) {{ {selected} }}").operations
    for number in range(2 ** len(names)):
        chosen = {name: bool(number >> bit & 1) for bit, name in enumerate(names)}
        assert operation.cost.of(chosen) == number.bit_count()
    assert len(operation.cost._kept) == VARIANTS_MAX


def test_pricing_many_kinds_of_nodes_within_each_other_is_linear() -> None:
    """An event's subject may be an event again: each kind is priced once a level, not once for every way there."""
    steps = []
    for levels in (2, 4, 6):
        inner = "id"
        for _ in range(levels):
            inner = f"... on Fund {{ companies {{ nodes {{ name }} }} }} ... on AuditEvent {{ subject {{ {inner} }} }}"
        document = Documents(schema()._schema, declared_fields()).get(f'{{ node(id: "x") {{ {inner} }} }}')
        [operation] = document.operations
        price = operation.cost._kept[()]
        assert isinstance(price, int)
        steps.append(price)
    assert steps == [21 + 2, 21 + 4, 21 + 6]


def test_cost_without_open_variables_is_a_number() -> None:
    [operation] = Documents(schema()._schema, declared_fields()).get('{ fund(id: "x") { name } }').operations
    assert isinstance(operation.cost, OperationCost)
    assert operation.cost.fixed == 1
