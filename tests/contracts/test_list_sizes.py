"""Every list of objects has a price: by a page, by what is given, or by what is usual or possible."""

from typing import Any

import pytest
from graphql import (
    GraphQLInterfaceType,
    GraphQLObjectType,
    get_named_type,
    get_nullable_type,
    is_leaf_type,
    is_list_type,
)

from api.domain.reallocation import PROPOSALS_MAX
from api.graphql.schema import declared_fields, schema
from api.http.cost import FIELD_PRICES
from api.http.documents import Documents
from api.http.list_sizes import GIVEN_MAX, INPUT_LISTS, LIST_SIZES, LISTS_AS_GIVEN
from api.services.statements import STATEMENTS_MAX

PROPOSAL = {"companyId": "x", "plannedReservesCents": "1"}
PREVIEW = "mutation ($i: PreviewReallocationInput!) { previewReallocation(input: $i) { preview { SELECTED } } }"
COMMIT = "mutation ($i: CommitReallocationInput!) { commitReallocation(input: $i) { SELECTED } }"
RECORD = "mutation ($i: RecordHoldingStatementsInput!) { recordHoldingStatements(input: $i) { SELECTED } }"


def cost_of(text: str, variables: dict[str, Any]) -> int:
    document = Documents(schema()._schema, declared_fields()).get(text)
    assert not document.errors, document.errors
    values = document.operations[0].plans.variables.read(variables)
    assert values is not None
    return document.operations[0].cost.of(values.coerced)


def proposed(count: int, **others: Any) -> dict[str, Any]:
    return {"i": {"fundId": "x", "expectedVersion": "1", "proposals": [PROPOSAL] * count} | others}


def lists() -> set[tuple[str, str]]:
    return {
        (type_.name, name)
        for type_ in schema()._schema.type_map.values()
        if isinstance(type_, GraphQLObjectType | GraphQLInterfaceType) and not type_.name.startswith("__")
        for name, field in type_.fields.items()
        if is_list_type(get_nullable_type(field.type)) and not is_leaf_type(get_named_type(field.type))
    }


def test_every_list_of_objects_has_a_price_that_is_meant_for_it() -> None:
    """Lists of connections are as long as their pages; user errors as long as the input, of which most hold no list."""
    pages = {(owner, name) for owner, name in lists() if owner.endswith("Connection") and name in ("edges", "nodes")}
    errors = {(owner, name) for owner, name in lists() if owner.endswith("Payload") and name == "userErrors"}
    priced = LIST_SIZES.keys() | LISTS_AS_GIVEN | {("Query", "nodes")}
    assert lists() - pages - errors - priced == set()
    assert priced <= lists()


def test_every_mutation_that_is_given_a_list_of_objects_is_known() -> None:
    mutation = schema()._schema.mutation_type
    assert mutation is not None
    given = {}
    for name, field in mutation.fields.items():
        for argument in field.args.values():
            for item, one in getattr(get_named_type(argument.type), "fields", {}).items():
                if is_list_type(get_nullable_type(one.type)) and not is_leaf_type(get_named_type(one.type)):
                    given[name] = item
    assert given == INPUT_LISTS
    payloads = {get_named_type(mutation.fields[name].type).name for name in given}
    assert {(payload, "userErrors") for payload in payloads} <= LISTS_AS_GIVEN
    assert max(PROPOSALS_MAX, STATEMENTS_MAX) <= GIVEN_MAX


@pytest.mark.parametrize(("count", "issues"), [(0, 20), (5, 25), (1_000, 1_020), (2_000, 1_020)])
def test_issues_cost_as_many_as_there_are_proposals(count: int, issues: int) -> None:
    payload = 10 + 1 + 1
    selected = PREVIEW.replace("SELECTED", "issues { code company { fund { companies(first: $n) { nodes { id } } } } }")
    variables = proposed(count) | {"n": 7}
    assert cost_of(selected.replace("($i", "($n: Int, $i"), variables) == payload + issues * (1 + 1 + 1 + 1 + 7)
    by_list = PREVIEW.replace("$i: PreviewReallocationInput!", "$p: [ReallocationProposalInput!]!").replace(
        "input: $i", 'input: { fundId: "x", expectedVersion: 1, proposals: $p }'
    )
    assert cost_of(by_list.replace("SELECTED", "issues { code }"), {"p": [PROPOSAL] * count}) == payload + issues
    written = ", ".join(['{ companyId: "x", plannedReservesCents: "1" }'] * min(count, 500))
    literal = by_list.replace("($p: [ReallocationProposalInput!]!)", "").replace("$p", f"[{written}]")
    assert cost_of(literal.replace("SELECTED", "issues { code }"), {}) == payload + min(issues, 520)


def test_deltas_cost_as_many_as_there_can_be_and_recorded_changes_as_many_as_there_may_well_be() -> None:
    deltas = PREVIEW.replace(
        "SELECTED", "deltas { toCents company { companies: fund { companies(first: $n) { nodes { id } } } } }"
    )
    variables = proposed(1) | {"n": 3}
    assert cost_of(deltas.replace("($i", "($n: Int, $i"), variables) == 10 + 2 + 1_000 * (1 + 1 + 1 + 1 + 3)
    recorded = '{ fund(id: "x") { reallocations(first: 3) { nodes { changes { toCents } } } } }'
    assert cost_of(recorded, {}) == 2 + 3 * (1 + 100)


def test_changes_of_a_commit_cost_as_many_as_are_proposed() -> None:
    variables = proposed(5, reason="r", idempotencyKey="k")
    assert cost_of(COMMIT.replace("SELECTED", "reallocation { changes { toCents } }"), variables) == 10 + 1 + 1 + 25
    again = "fund { reallocations(first: 2) { nodes { changes { toCents } } } }"
    assert cost_of(COMMIT.replace("SELECTED", again), variables) == 10 + 1 + 1 + 1 + 2 * (1 + 100)
    assert cost_of(COMMIT.replace("SELECTED", "userErrors { code }"), variables) == 10 + 1 + 25


def test_statements_cost_as_many_as_are_recorded() -> None:
    statement = {"holdingId": "x", "asOf": "2024-01-01"}
    variables = {"i": {"statements": [statement] * 300, "idempotencyKey": "k"}}
    assert cost_of(RECORD.replace("SELECTED", "statements { id holding { id } }"), variables) == 10 + 1 + 320 * 2


def test_exposure_costs_more_than_a_page() -> None:
    assert cost_of('{ portfolio(id: "x") { exposure(by: FUND) { label fund { name } } } }', {}) == 1 + 100 * 2


def test_json_that_grows_with_what_a_firm_has_costs_as_much_as_a_list() -> None:
    """What the log holds of one change is bounded by what a request may hold."""
    found = {
        (type_.name, name)
        for type_ in schema()._schema.type_map.values()
        if isinstance(type_, GraphQLObjectType)
        for name, field in type_.fields.items()
        if get_named_type(field.type).name == "JSON"
    }
    assert found - {("AuditEvent", "before"), ("AuditEvent", "after")} == {("ForecastSnapshot", "metrics")}
    assert found & FIELD_PRICES.keys() == {("ForecastSnapshot", "metrics")}
    page = '{ fund(id: "x") { snapshots(first: 7) { nodes { id metrics } } } }'
    assert cost_of(page, {}) == 2 + 7 * (1 + 100)
    assert cost_of(page.replace("metrics", ""), {}) == 2 + 7
