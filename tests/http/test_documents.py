"""The cache of documents: what is asked once is not kept, what is asked again is."""

import pytest

from api.graphql.schema import declared_fields, schema
from api.http import documents
from api.http.documents import Documents


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
