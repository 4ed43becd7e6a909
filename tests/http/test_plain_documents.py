"""What is taken as plainly valid is valid by graphql-core's rules, and what clients mostly send is so taken."""

from random import Random

import pytest
from graphql import parse
from graphql import validate as validate_by_the_book

from api.graphql.schema import schema
from api.http.plain_documents import is_plainly_valid
from tests.http.test_validation import broken

BROKEN_VERSIONS = 150

PLAIN = [
    "{ __typename }",
    "query OneFund($id: ID!) { fund(id: $id) { a1: name strategy vintageYear sizeCents status createdAt } }",
    "{ funds(first: 50) { totalCount nodes { name companies(first: 5) { nodes { sector investedCents } } } } }",
    "{ funds { edges { cursor node { id name } } pageInfo { hasNextPage endCursor } } }",
    "query ($last: Int = 5, $before: String) { funds(last: $last, before: $before) { nodes { name } } }",
    "{ funds(filter: {status: [ACTIVE, CLOSED], vintageYearMin: 2001}, orderBy: {field: NAME}) { nodes { name } } }",
    """query ($year: Int, $by: FundOrderField!, $down: OrderDirection!) {
      funds(filter: {vintageYearMin: $year}, orderBy: {field: $by, direction: $down}) { nodes { name } }
    }""",
    """query ($with: Boolean!, $without: Boolean! = false) {
      funds { nodes { name @include(if: $with) id @skip(if: $without) @include(if: true) } }
    }""",
    """query Page($id: ID!) {
      portfolio(id: $id) { name totals { navCents } holdings(first: 100) { nodes { fund { id name } } } }
    }""",
    """mutation ($input: CommitReallocationInput!) {
      commitReallocation(input: $input) { reallocation { id } replayed userErrors { code message } }
    }""",
]

UNSURE = [
    "{ }",
    "{ fund(id: 1) { } }",
    "{ funds { nodes { name } } funds { nodes { name } } }",
    "{ funds { nodes { ...Names } } } fragment Names on Fund { name }",
    "{ funds { nodes { ... on Fund { name } } } }",
    '{ __type(name: "Fund") { name } }',
    "query A { __typename } query B { __typename }",
    "query ($ids: [ID!]!, $id: ID!) { nodes(ids: [$id]) { id } more: nodes(ids: $ids) { id } }",
]

WRONG = [
    "{ fund { name } }",
    "{ fund(id: 1.5) { name } }",
    "{ fund(id: null) { name } }",
    "{ fund(id: 1, id: 1) { name } }",
    "{ fund(id: 1, name: 1) { name } }",
    "{ fund(id: $id) { name } }",
    "{ fund(id: 1) }",
    "{ fund(id: 1) { nam } }",
    "{ fund(id: 1) { name { length } } }",
    "{ fund(id: 1) { name(first: 1) } }",
    "{ fund(id: 1) { __typename { name } } }",
    "{ fund(id: 1) { __typename(name: 1) } }",
    "{ fund(id: 1) { name: id name } }",
    "{ fund(id: 1) { name @include } }",
    "{ fund(id: 1) { name @include(if: 1) } }",
    "{ fund(id: 1) { name @include(if: true) @include(if: true) } }",
    "{ fund(id: 1) { name @unknown } }",
    "{ fund(id: 1) { name @deprecated } }",
    "{ funds(orderBy: {}) { nodes { name } } }",
    "{ funds(orderBy: {field: AGE}) { nodes { name } } }",
    "{ funds(orderBy: {field: NAME, field: NAME}) { nodes { name } } }",
    "{ funds(orderBy: {field: NAME, up: true}) { nodes { name } } }",
    "{ funds(orderBy: NAME) { nodes { name } } }",
    "{ funds(filter: {status: [OPEN]}) { nodes { name } } }",
    "query @skip(if: true) { __typename }",
    "query ($id: ID) { fund(id: $id) { name } }",
    "query ($id: [ID!]!) { fund(id: $id) { name } }",
    "query ($id: ID!, $id: ID!) { fund(id: $id) { name } }",
    "query ($id: ID!, $other: ID) { fund(id: $id) { name } }",
    "query ($id: Fund!) { fund(id: $id) { name } }",
    "query ($id: Unknown!) { fund(id: $id) { name } }",
    'query ($first: Int = "1") { funds(first: $first) { nodes { name } } }',
    "query ($by: FundOrderField) { funds(orderBy: {field: $by}) { nodes { name } } }",
    "query ($with: Boolean) { __typename @include(if: $with) }",
    "mutation { fund(id: 1) { name } }",
    "type Fund { name: String }",
    "fragment Names on Fund { name }",
]


@pytest.mark.parametrize("text", PLAIN)
def test_what_clients_mostly_send_is_plainly_valid(text: str) -> None:
    assert is_plainly_valid(schema()._schema, parse(text))


@pytest.mark.parametrize("text", UNSURE)
def test_what_is_more_involved_is_left_to_the_rules(text: str) -> None:
    assert not is_plainly_valid(schema()._schema, parse(text))


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_is_left_to_the_rules(text: str) -> None:
    document = parse(text)
    assert validate_by_the_book(schema()._schema, document)
    assert not is_plainly_valid(schema()._schema, document)


@pytest.mark.parametrize("text", PLAIN)
def test_whatever_is_plainly_valid_breaks_no_rule(text: str) -> None:
    core = schema()._schema
    random = Random(text)
    plain = 0
    for _ in range(BROKEN_VERSIONS):
        changed = broken(text, random)
        document = parse(changed)
        if is_plainly_valid(core, document):
            plain += 1
            assert not validate_by_the_book(core, document), changed
    assert 0.1 * BROKEN_VERSIONS < plain < BROKEN_VERSIONS
