"""The cache of documents: what is asked once is not kept, what is asked again is, as far as there is room."""

import gc
import tracemalloc
from collections.abc import Callable, Iterable
from datetime import date
from itertools import islice

import pytest
from graphql import OperationType
from graphql.execution.values import VariableValues

from api.graphql.schema import declared_fields, schema
from api.http import documents
from api.http.documents import Document, Documents
from api.reads.compiled.statements import SHAPES_MAX
from tests.fuzz.documents import documents as documents_of

SMALL = "{ a%d: __typename }"
PAGE = "{ a%d: funds { edges { cursor node { id name companies { nodes { id stage } totalCount } } } } }"
WIDE = "query ($a: Boolean!, $b: Boolean!) { a%d: funds { nodes { id @skip(if: $a) name @skip(if: $b) sizeCents } } }"
FRAGMENTS = (
    f"{{ {' '.join(f'a%d_{number}: funds {{ edges {{ node {{ ...F }} }} }}' for number in range(20))} }}"
    " fragment F on Fund { id name companies { edges { cursor node { id name stage createdAt } } } }"
)
MANY_PLACES = f"query a%d({'$v: Int ' * 100}) {{ __typename }}"
BAD_VALUE = '{ a%d: node(id: 1.5) { id } b: auditSummary(from: "", to: "2024-13-01") { count } }'


def new_documents() -> Documents:
    return Documents(schema()._schema, declared_fields())


def test_a_document_is_kept_from_the_second_time_it_is_asked() -> None:
    kept = new_documents()
    first, second, third = (kept.get("{ __typename }") for _ in range(3))
    assert first is not second
    assert second is third
    assert first.operations[0].root_fields == second.operations[0].root_fields


def test_an_invalid_document_is_kept_from_the_second_time_it_is_asked() -> None:
    kept = new_documents()
    first, second, third = (kept.get("{ nothing }") for _ in range(3))
    assert first is not second
    assert second is third
    assert [error.message for error in first.errors] == [error.message for error in second.errors]


@pytest.mark.parametrize("text", ["{", "{ nothing }", "{ node(id: 1.5) { id } }"])
def test_what_is_wrong_with_a_document_is_kept_without_the_document(text: str) -> None:
    document = new_documents().get(text)
    [error] = document.errors
    assert document.node is None
    assert error.locations
    assert [error.nodes, error.source, error.original_error, error.__cause__, error.__traceback__] == [None] * 5


def test_documents_that_are_asked_once_push_nothing_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "DOCUMENTS_MAX", 2)
    kept = new_documents()
    for _ in range(2):
        document = kept.get("{ __typename }")
    for number in range(10):
        kept.get(f"{{ a{number}: __typename }}")
    assert kept.get("{ __typename }") is document


def test_the_least_recently_asked_is_pushed_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "DOCUMENTS_MAX", 2)
    kept = new_documents()
    texts = [f"{{ a{number}: __typename }}" for number in range(3)]
    first, second, third = [[kept.get(text) for _ in range(2)][1] for text in texts]
    assert kept.get(texts[1]) is second
    assert kept.get(texts[2]) is third
    assert kept.get(texts[0]) is not first


def test_no_more_is_remembered_of_what_was_asked_once_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "SEEN_MAX", 2)
    kept = new_documents()
    texts = [f"{{ a{number}: __typename }}" for number in range(3)]
    for text in texts:
        kept.get(text)
    # The third made the first two forgotten.
    assert kept.get(texts[0]) is not kept.get(texts[0])
    assert kept.get(texts[0]) is kept.get(texts[0])


def plan_all(document: Document) -> None:
    """Makes the plans of a query with all values that its variables can have, and writes their statements."""
    [operation] = document.operations
    names = [definition.variable.name.value for definition in operation.plans.operation.variable_definitions or ()]
    for number in range(2 ** len(names)):
        given = {name: bool(number >> bit & 1) for bit, name in enumerate(names)}
        variables = operation.plans.variables.read(given)
        assert variables is not None
        plan = operation.plans.get(variables)
        assert plan is not None
        wanted = plan.wanted(variables, date(2026, 1, 1))
        for statements in plan.statements.values():
            statements.get(wanted, 1)


VISITING = ("*/language/visitor.py", "*/utilities/type_info.py", "*/http/validation.py")
"""Nothing is kept from there; but Python itself keeps some thousands of the names that are looked up there."""


def weighed_over_taken(kept: Documents, texts: Iterable[str], keep: Callable[[str], None]) -> float:
    """What these documents weigh by estimate, over the bytes that were allocated for them and kept."""
    gc.collect()
    tracemalloc.start()
    before = kept.bytes
    for text in texts:
        keep(text)
    gc.collect()
    snapshot = tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(False, path) for path in VISITING])
    tracemalloc.stop()
    taken: int = sum(statistic.size for statistic in snapshot.statistics("filename"))
    return (kept.bytes - before) / taken


@pytest.mark.parametrize("text", [SMALL, PAGE, WIDE, FRAGMENTS, BAD_VALUE, MANY_PLACES, "{ a%d: nothing }", "{ a%d"])
def test_what_a_document_weighs_is_about_what_it_takes(text: str) -> None:
    kept = new_documents()

    def keep(asked: str) -> None:
        document = [kept.get(asked) for _ in range(2)][1]
        if document.operations:
            plan_all(document)

    first, *others = (text.replace("%d", str(number)) for number in range(16))
    keep(first)
    assert 0.7 < weighed_over_taken(kept, others, keep) < 1.7


def test_what_generated_documents_weigh_is_about_what_they_take() -> None:
    kept = new_documents()

    def keep(text: str) -> None:
        [operation] = [kept.get(text) for _ in range(2)][1].operations
        if operation.type is OperationType.QUERY and not operation.plans.operation.variable_definitions:
            operation.plans.get(VariableValues({}, {}))

    # Mutations among them, and every third root field.
    first, *others = islice(documents_of(schema()._schema), 0, 120, 3)
    keep(first)
    assert 0.7 < weighed_over_taken(kept, others, keep) < 1.4


def test_plans_push_out_what_was_asked_least_recently(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = new_documents()
    small, wide = ([kept.get(text % 1) for _ in range(2)][1] for text in (SMALL, WIDE))
    monkeypatch.setattr(documents, "KEPT_BYTES_MAX", kept.bytes)
    plan_all(wide)
    # The plans of the one have taken all the room that there was, its own too.
    assert kept.get(SMALL % 1) is not small
    assert kept.get(WIDE % 1) is not wide


def test_what_is_pushed_out_weighs_nothing_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = new_documents()
    monkeypatch.setattr(documents, "DOCUMENTS_MAX", 1)
    first, second = ([kept.get(text % 1) for _ in range(2)][1] for text in (WIDE, SMALL))
    assert kept.bytes == second.weight.bytes
    plan_all(first)
    assert kept.bytes == second.weight.bytes


def test_statements_beyond_those_that_are_kept_weigh_nothing() -> None:
    kept = new_documents()
    text = "query ($filter: FundFilter) { funds(filter: $filter) { nodes { name } } }"
    [operation] = [kept.get(text) for _ in range(2)][1].operations
    filters = {"status": ["ACTIVE"], "vintageYear": [1], "vintageYearMin": 1, "vintageYearMax": 1, "strategy": ["s"]}
    filters |= {"currency": ["USD"], "nameContains": "n"}
    weights = set()
    for number in range(2 ** len(filters)):
        chosen = {name: value for bit, (name, value) in enumerate(filters.items()) if number >> bit & 1}
        variables = operation.plans.variables.read({"filter": chosen})
        assert variables is not None
        plan = operation.plans.get(variables)
        assert plan is not None
        plan.statements[0].get(plan.wanted(variables, date(2026, 1, 1)), 1)
        weights.add(kept.bytes)
    assert len(weights) == SHAPES_MAX
