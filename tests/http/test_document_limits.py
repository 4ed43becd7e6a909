"""The limits of a document, each at its very boundary, with fragments and inline fragments counting like the rest."""

import sys
from types import FrameType

import pytest

from api.graphql.schema import declared_fields, schema
from api.http.document_limits import (
    ALIASES_MAX,
    DEPTH_MAX,
    DIRECTIVES_MAX,
    FIELDS_MAX,
    INTROSPECTED_FIELDS_MAX,
    KEY_CHARACTERS_MAX,
    REPEATED_FIELDS_MAX,
)
from api.http.documents import Document, Documents


def read(text: str) -> Document:
    return Documents(schema()._schema, declared_fields()).get(text)


def refusal(text: str) -> str:
    """The message that refuses the document as too much; empty where it is taken."""
    document = read(text)
    if not document.errors:
        return ""
    assert document.error_code == "QUERY_TOO_COMPLEX", document.errors
    [error] = document.errors
    return error.message


def aliased(count: int, field: str = "__typename") -> str:
    return " ".join(f"a{number}: {field}" for number in range(count))


def deep(levels: int) -> str:
    """So many fields within each other, the last one a leaf."""
    assert levels % 3 == 2
    opening, closing = 'fund(id: "x") { ', " }"
    middle = "companies { nodes { fund { " * ((levels - 2) // 3)
    return f"{opening}{middle}name{' } } }' * ((levels - 2) // 3)}{closing}"


AT_DEPTH = DEPTH_MAX - 2
"""The deepest of the documents above that is taken: they go by threes."""


@pytest.mark.parametrize(
    ("taken", "refused", "message"),
    [
        (
            f"{{ viewer {{ {aliased(ALIASES_MAX)} }} }}",
            f"{{ viewer {{ {aliased(ALIASES_MAX + 1)} }} }}",
            "The document holds 201 aliases, its fragments written out; at most 200.",
        ),
        (
            f"{{ viewer {{ {aliased(ALIASES_MAX - 2)} ...F ...F }} }} fragment F on Viewer {{ b: role }}",
            f"{{ viewer {{ {aliased(ALIASES_MAX - 1)} ...F ...F }} }} fragment F on Viewer {{ b: role }}",
            "The document holds 201 aliases, its fragments written out; at most 200.",
        ),
        (
            "{ " + aliased(30) + " }",
            "{ " + aliased(31) + " }",
            "The query asks for 31 root fields; at most 30.",
        ),
        (
            f"{{ {aliased(28)} ... {{ __typename }} ...F }} fragment F on Query {{ __typename }}",
            f"{{ {aliased(29)} ... {{ __typename }} ...F }} fragment F on Query {{ __typename }}",
            "The query asks for 31 root fields; at most 30.",
        ),
        (
            "mutation ($i: CreateFundInput!) { " + aliased(10, "createFund(input: $i) { replayed }") + " }",
            "mutation ($i: CreateFundInput!) { " + aliased(11, "createFund(input: $i) { replayed }") + " }",
            "The mutation asks for 11 root fields; at most 10.",
        ),
        (
            "mutation ($i: CreateFundInput!) { ...F } fragment F on Mutation { "
            + aliased(10, "createFund(input: $i) { replayed }")
            + " }",
            "mutation ($i: CreateFundInput!) { ...F ...F } fragment F on Mutation { "
            + aliased(10, "createFund(input: $i) { replayed }")
            + " }",
            "The mutation asks for 20 root fields; at most 10.",
        ),
        (
            "{ viewer { role" + " ...F @skip(if: true)" * DIRECTIVES_MAX + " } } fragment F on Viewer { role }",
            "{ viewer { role" + " ...F @skip(if: true)" * (DIRECTIVES_MAX + 1) + " } } fragment F on Viewer { role }",
            "The document holds 201 directives, its fragments written out; at most 200.",
        ),
        (
            "{ viewer { " + "role " * (REPEATED_FIELDS_MAX + 1) + "} }",
            "{ viewer { " + "role " * (REPEATED_FIELDS_MAX + 2) + "} }",
            "The document repeats 301 fields within their selections, its fragments written out; at most 300.",
        ),
        (
            "{ viewer { ...F ... { ...G } } ...V } fragment V on Query { viewer { ...G } }"
            " fragment F on Viewer { role } fragment G on Viewer { " + "role " * (REPEATED_FIELDS_MAX - 1) + "}",
            "{ viewer { ...F ... { ...G } } ...V } fragment V on Query { viewer { ...G } }"
            " fragment F on Viewer { role } fragment G on Viewer { " + "role " * REPEATED_FIELDS_MAX + "}",
            "The document repeats 301 fields within their selections, its fragments written out; at most 300.",
        ),
        (
            "{ __schema { types { " + "... { name } " * (INTROSPECTED_FIELDS_MAX // 2 - 1) + " } ...S } }"
            " fragment S on __Schema { description }",
            "{ __schema { types { ...T ...T } } } fragment T on __Type { ...U ...U } fragment U on __Type { ...W ...W }"
            " fragment W on __Type { " + "name " * 125 + "}",
            "The document asks for 1001 fields of __schema and __type; at most 500.",
        ),
        (
            f"{{ viewer {{ {'k' * (KEY_CHARACTERS_MAX - 6)}: role }} }}",
            f"{{ viewer {{ {'k' * (KEY_CHARACTERS_MAX - 5)}: role }} }}",
            "The names of the document's fields come to 200001 characters, its fragments written out; at most 200000.",
        ),
    ],
    ids=[
        "aliases",
        "aliases of fragments",
        "root fields",
        "root fields of fragments",
        "mutations",
        "mutations of fragments",
        "directives",
        "repeated fields",
        "repeated fields of fragments",
        "introspection",
        "characters",
    ],
)
def test_limit_is_kept_to_the_last(taken: str, refused: str, message: str) -> None:
    assert refusal(taken) == ""
    assert refusal(refused) == message


def test_fields_are_counted_with_their_fragments_written_out() -> None:
    # 5 of the last one, times 2 for each step before it.
    steps = [f"fragment F{step} on Viewer {{ ...F{step + 1} ...F{step + 1} }}" for step in range(10)]
    last = "fragment F10 on Viewer { role email: role role: role user { id } }"
    document = f"{' '.join(steps)} {last}"
    assert refusal(f"{{ viewer {{ ...F0 }} }} {document}") == (
        f"The document asks for {5 * 2**10 + 1} fields, its fragments written out; at most {FIELDS_MAX}."
    )
    assert "asks for" not in refusal(f"{{ viewer {{ ...F1 ...F2 ...F3 }} }} {document}")


@pytest.mark.parametrize("levels", [AT_DEPTH, AT_DEPTH + 3])
def test_depth_is_that_of_fields_within_each_other(levels: int) -> None:
    expected = "" if levels <= DEPTH_MAX else f"The document is nested {levels} levels deep; at most {DEPTH_MAX}."
    assert refusal(f"{{ {deep(levels)} }}") == expected
    assert refusal(f"{{ ... {{ ... on Query {{ {deep(levels)} }} }} }}") == expected
    assert refusal(f"{{ ...F }} fragment F on Query {{ {deep(levels)} }}") == expected


def test_depth_of_introspection_does_not_count() -> None:
    types = "fragment T on __Type { " + "ofType { " * (DEPTH_MAX + 5) + "name" + " }" * (DEPTH_MAX + 5) + " }"
    assert refusal(f'{{ __type(name: "Fund") {{ fields {{ type {{ ...T }} }} }} }} {types}') == ""


@pytest.mark.parametrize("operation", ["A", "B"])
def test_limits_hold_for_every_operation_of_a_document(operation: str) -> None:
    few, many = aliased(2), aliased(31)
    first, second = (many, few) if operation == "A" else (few, many)
    assert refusal(f"query A {{ {first} }} query B {{ {second} }}") == "The query asks for 31 root fields; at most 30."


@pytest.mark.parametrize(
    "text",
    [
        "{ ...A }",
        "{ ...A } fragment A on Query { ...A }",
        '{ fund(id: "x") { ...A } } fragment A on Fund { companies { nodes { fund { ...A } } } }',
        "{ ...A ...B } fragment A on Query { ...B ...B } fragment B on Query { ...A ...A viewer { ...C } }",
        "fragment A on Query { __typename }",
        "fragment A on Query { ...B } fragment A on Query { ...A }",
    ],
)
def test_document_that_is_invalid_is_left_to_validation(text: str) -> None:
    assert read(text).error_code == "GRAPHQL_VALIDATION_FAILED"


def nested_fragments(body: str, count: int = 24) -> str:
    chain = [f"fragment F{step} on Fund {{{body.replace('NEXT', f'...F{step + 1}')}}}" for step in range(count)]
    return f'{{fund(id:"x"){{...F0}}}}{"".join(chain)}fragment F{count} on Fund{{id}}'


@pytest.mark.parametrize("body", ["NEXT NEXT", "...{NEXT}...{NEXT}", "a:id NEXT NEXT"])
def test_nested_fragments_are_refused_with_a_few_thousand_steps(body: str) -> None:
    text = nested_fragments(body)
    assert len(text) < 1_300
    documents = Documents(schema()._schema, declared_fields())
    calls = 0

    def count(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event == "call"

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        document = documents.get(text)
    finally:
        sys.setprofile(before)
    assert document.error_code == "QUERY_TOO_COMPLEX"
    # A call takes less than a microsecond: far below 20 ms, on any machine and however busy.
    assert calls < 8_000


def test_repeats_within_repeats_are_counted() -> None:
    def twice(levels: int) -> str:
        if levels == 0:
            return "id"
        inner = f"companies {{ nodes {{ fund {{ {twice(levels - 1)} }} }} }}"
        return f"{inner} {inner}"

    # At each level there are 2**level of each field, merged into one; at the bottom the ids.
    expected = sum(3 * (2**level - 1) for level in range(1, 8)) + 2**7 - 1
    assert refusal(f'{{ fund(id: "x") {{ {twice(4)} }} }}') == ""
    assert refusal(f'{{ fund(id: "x") {{ {twice(7)} }} }}') == (
        f"The document repeats {expected} fields within their selections, its fragments written out; at most 300."
    )
