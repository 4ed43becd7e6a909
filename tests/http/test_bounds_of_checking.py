"""What is checked in a document is bounded by its length: counted in calls and in characters, not in time."""

import string
from collections import Counter
from typing import Any

import pytest
from graphql import GraphQLError, parse

from api.graphql.schema import declared_fields, schema
from api.http import plain_documents, validation
from api.http.document_limits import FRAGMENT_PAIRS_MAX, LINES_MAX
from api.http.documents import MESSAGE_CHARACTERS_MAX, Document, Documents
from api.http.plain_documents import is_plainly_valid
from tests.server import RunningServer

NAMES = [first + second for first in string.ascii_letters for second in string.ascii_letters]
UNKNOWN = " ".join(f"{name}: 1" for name in NAMES[:110])


def read(text: str) -> Document:
    return Documents(schema()._schema, declared_fields()).get(text)


def characters(document: Document) -> int:
    return sum(len(error.message) for error in document.errors)


@pytest.mark.parametrize(
    "text",
    [
        f"mutation {{ signIn(input: {{ {UNKNOWN} z: [{'1 ' * 4_500}] }}) {{ accessToken }} }}",
        f'mutation {{ signIn(input: {{ {UNKNOWN} z: "{"x" * 100_000}" }}) {{ accessToken }} }}',
        f"{{ funds(filter: {{ {UNKNOWN} z: [{'1 ' * 4_500}] }}) {{ totalCount }} }}",
        f"{{ funds(filter: {{ status: [{'ACTIV ' * 1_600}] }}) {{ totalCount }} }}",
        f"{{ funds(first: {'1' * 100_000}.5) {{ totalCount }} }}",
        f"query {'x' * 100_000} {{ {' '.join(f'{name}: fund(id: ${name}) {{ id }}' for name in NAMES[:25])} }}",
        f"{{ {'x' * 100_000} }}",
        f"{{ a {'x' * 100_000}: }}",
    ],
)
def test_messages_are_short_whatever_was_sent(text: str) -> None:
    document = read(text)
    assert document.errors
    assert characters(document) <= len(document.errors) * (MESSAGE_CHARACTERS_MAX + 3) <= 12_000


def test_values_are_quoted_from_what_was_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Printing a value anew for every fault in it takes time with the square of its length."""
    printed: Counter[str] = Counter()
    monkeypatch.setattr(validation, "print_ast", lambda _node: printed.update(["ast"]))
    document = read(f"mutation {{ signIn(input: {{ {UNKNOWN} z: [{'1 ' * 4_500}] }}) {{ accessToken }} }}")
    assert document.errors[0].message.endswith(f"found: {{ {UNKNOWN}"[: len("found: ") + 100] + "....")
    assert not printed
    [error] = read('{ funds(first: "ten") { totalCount } }').errors
    assert error.message == 'Int cannot represent non-integer value: "ten"'


def test_a_list_is_looked_at_up_to_its_first_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    errors: Counter[str] = Counter()
    stop = plain_documents._stop

    def counted(error: GraphQLError, path: list[Any]) -> None:
        errors["found"] += 1
        stop(error, path)

    monkeypatch.setattr(plain_documents, "_stop", counted)
    document = parse(f"{{ funds(filter: {{ status: [{'A ' * 4_800}] }}) {{ totalCount }} }}")
    assert not is_plainly_valid(schema()._schema, document)
    assert errors["found"] == 1


def fragments(count: int, body: str = "role") -> str:
    spread = " ".join(f"...F{number}" for number in range(count))
    defined = " ".join(f"fragment F{number} on Viewer {{ {body} }}" for number in range(count))
    return f"{{ viewer {{ {spread} }} }} {defined}"


def test_fragments_beside_each_other_are_limited_by_their_pairs() -> None:
    assert 71 * 70 // 2 <= FRAGMENT_PAIRS_MAX < 72 * 71 // 2
    assert not read(fragments(71)).errors
    document = read(fragments(72))
    assert document.error_code == "QUERY_TOO_COMPLEX"
    assert document.errors[0].message == (
        "The document spreads fragments beside each other in 2556 pairs; at most 2500."
    )


def test_fragments_within_those_beside_each_other_are_pairs_as_well() -> None:
    def nested(count: int) -> str:
        spread = " ".join(f"...F{n}" for n in range(count))
        defined = " ".join(
            f"fragment F{n} on Viewer {{ user {{ ...G{n} }} }} fragment G{n} on User {{ id }}" for n in range(count)
        )
        return f"{{ viewer {{ {spread} }} }} {defined}"

    assert not read(nested(50)).errors
    assert read(nested(51)).error_code == "QUERY_TOO_COMPLEX"


def test_repeated_fields_with_arguments_count_three_times() -> None:
    field = "members(filter: { role: [ADMIN] }) { totalCount }"
    assert not read(f"{{ viewer {{ organization {{ {field * 76} }} }} }}").errors
    assert read(f"{{ viewer {{ organization {{ {field * 102} }} }} }}").error_code == "QUERY_TOO_COMPLEX"


@pytest.mark.parametrize("line", ["\n", "\r"])
def test_lines_are_limited_for_places_of_errors_are_counted_in_them(line: str) -> None:
    assert not read(f"{{ __typename {line * (LINES_MAX - 1)} }}").errors
    document = read(f"{{ __typename {line * LINES_MAX} }}")
    assert document.error_code == "QUERY_TOO_COMPLEX"
    assert document.errors[0].message == "The document has 10001 lines; at most 10000."


def test_variables_are_read_up_to_their_second_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    made: Counter[str] = Counter()
    make = GraphQLError.__init__

    def counted(error: GraphQLError, *arguments: Any, **named: Any) -> None:
        made["errors"] += 1
        make(error, *arguments, **named)

    document = read("query ($f: FundFilter) { funds(filter: $f) { totalCount } }")
    monkeypatch.setattr(GraphQLError, "__init__", counted)
    assert document.operations[0].plans.variables.read({"f": {"status": ["ACTIV"] * 1_000}}) is None
    assert made["errors"] < 10


async def test_messages_about_variables_are_short(server: RunningServer) -> None:
    query = "query ($f: FundFilter) { funds(filter: $f) { totalCount } }"
    for given in ({"status": ["x" * 100_000]}, {f"{n}{'k' * 5_000}": 1 for n in range(60)}):
        answer = await server.execute(query, {"f": given})
        assert (answer.status, set(answer.codes)) == (400, {"BAD_USER_INPUT"})
        assert all(len(error["message"]) <= MESSAGE_CHARACTERS_MAX + 3 for error in answer.body["errors"])
