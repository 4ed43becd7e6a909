"""Documents that are only named: automatic persisted queries, and manifests of trusted documents."""

import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.domain.access import Role
from api.errors import ConfigurationError
from api.http import persisted_documents
from api.http.persisted_documents import KnownTexts, read_trusted_documents
from tests.server import RunningServer, start_server

ROLE = "query Who { viewer { role } }"
TYPENAME = "{ __typename }"
FUNDS = "{ funds { totalCount } }"
GRAPHQL = "application/graphql-response+json"


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def persisted(text: str, **changes: Any) -> dict[str, Any]:
    """The extensions that name a document by its hash."""
    return {"persistedQuery": {"version": 1, "sha256Hash": digest(text)} | changes}


async def post(
    server: RunningServer, *, is_anonymous: bool = False, accept: str = "*/*", **payload: Any
) -> httpx.Response:
    headers = {} if is_anonymous else {"authorization": f"Bearer {server.tokens['alpha', Role.EDITOR]}"}
    return await server.client.post("/graphql", json=payload, headers=headers | {"accept": accept})


def outcome(response: httpx.Response) -> tuple[int, str | None]:
    """The status and the code of the first error."""
    errors = response.json().get("errors")
    return response.status_code, errors[0]["extensions"]["code"] if errors else None


async def test_hash_is_known_once_its_document_has_been_sent(server: RunningServer) -> None:
    first = await post(server, extensions=persisted(ROLE))
    assert outcome(first) == (200, "PERSISTED_QUERY_NOT_FOUND")
    assert first.json()["errors"][0]["message"] == "PersistedQueryNotFound"
    assert "data" not in first.json()
    second = await post(server, query=ROLE, extensions=persisted(ROLE))
    third = await post(server, extensions=persisted(ROLE))
    upper = await post(server, extensions=persisted(ROLE, sha256Hash=digest(ROLE).upper()))
    by_id = await post(server, documentId=f"sha256:{digest(ROLE)}")
    for response in (second, third, upper, by_id):
        assert (response.status_code, response.json()) == (200, {"data": {"viewer": {"role": "EDITOR"}}})


async def test_hash_is_known_to_get_as_well(server: RunningServer) -> None:
    headers = {"authorization": f"Bearer {server.tokens['alpha', Role.EDITOR]}"}
    extensions = json.dumps(persisted(ROLE))
    unknown = await server.client.get("/graphql", params={"extensions": extensions}, headers=headers)
    sent = await server.client.get("/graphql", params={"query": ROLE, "extensions": extensions}, headers=headers)
    known = await server.client.get("/graphql", params={"extensions": extensions, "query": ""}, headers=headers)
    by_id = await server.client.get("/graphql", params={"documentId": f"sha256:{digest(ROLE)}"}, headers=headers)
    assert outcome(unknown) == (200, "PERSISTED_QUERY_NOT_FOUND")
    for response in (sent, known, by_id):
        assert response.json() == {"data": {"viewer": {"role": "EDITOR"}}}


async def test_unknown_document_is_a_failure_to_those_who_ask_for_graphqls_own_type(server: RunningServer) -> None:
    response = await post(server, extensions=persisted(ROLE), accept=GRAPHQL)
    assert outcome(response) == (400, "PERSISTED_QUERY_NOT_FOUND")


@pytest.mark.parametrize(
    "payload",
    [
        {"query": ROLE, "extensions": persisted(FUNDS)},
        {"query": ROLE, "extensions": persisted(ROLE, version=2)},
        {"query": ROLE, "extensions": persisted(ROLE, version=None)},
        {"query": ROLE, "extensions": persisted(ROLE, sha256Hash=None)},
        {"query": ROLE, "extensions": persisted(ROLE, sha256Hash="")},
        {"query": ROLE, "extensions": persisted(ROLE, sha256Hash=1)},
        {"query": ROLE, "extensions": persisted(ROLE, sha256Hash="0" * 65)},
        {"query": ROLE, "extensions": {"persistedQuery": "x"}},
        {"query": ROLE, "extensions": {"persistedQuery": []}},
        {"query": 1, "extensions": persisted(ROLE)},
        {"extensions": {"persistedQuery": None}},
        {"documentId": ""},
        {"documentId": 1},
        {"documentId": "a", "query": ROLE},
        {"documentId": "a", "extensions": persisted(ROLE)},
    ],
    ids=str,
)
async def test_malformed_name_is_refused(server: RunningServer, payload: dict[str, Any]) -> None:
    assert outcome(await post(server, **payload)) == (400, "BAD_USER_INPUT")
    assert outcome(await post(server, extensions=persisted(ROLE))) == (200, "PERSISTED_QUERY_NOT_FOUND")


@pytest.mark.parametrize("text", ["{", "{ nothing }", "query A { viewer { role } } query B { viewer { role } }"])
async def test_document_that_cannot_be_answered_is_not_kept(server: RunningServer, text: str) -> None:
    assert (await post(server, query=text, extensions=persisted(text))).status_code == 400
    assert outcome(await post(server, extensions=persisted(text))) == (200, "PERSISTED_QUERY_NOT_FOUND")


async def test_anonymous_callers_have_only_what_they_may_ask_kept(server: RunningServer) -> None:
    refused = await post(server, is_anonymous=True, query=FUNDS, extensions=persisted(FUNDS))
    assert outcome(refused) == (401, "UNAUTHENTICATED")
    assert outcome(await post(server, extensions=persisted(FUNDS))) == (200, "PERSISTED_QUERY_NOT_FOUND")
    await post(server, is_anonymous=True, query=TYPENAME, extensions=persisted(TYPENAME))
    for is_anonymous in (True, False):
        known = await post(server, is_anonymous=is_anonymous, extensions=persisted(TYPENAME))
        assert known.json() == {"data": {"__typename": "Query"}}


async def test_anonymous_callers_push_nobody_elses_documents_out(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(persisted_documents, "KEPT_MAX", 3)
    await post(server, query=ROLE, extensions=persisted(ROLE))
    texts = [f"{{ a{number}: __typename }}" for number in range(5)]
    for text in texts:
        await post(server, is_anonymous=True, query=text, extensions=persisted(text))
    answers = [outcome(await post(server, extensions=persisted(text))) for text in (ROLE, *texts)]
    assert [code for _, code in answers] == [None] + ["PERSISTED_QUERY_NOT_FOUND"] * 2 + [None] * 3


def test_what_is_kept_is_bounded_in_number_and_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(persisted_documents, "KEPT_MAX", 3)
    texts = KnownTexts(characters_max=10)
    for name, text in (("a", "123"), ("b", "123"), ("c", "123")):
        texts.keep(name, text)
    assert texts.get("a") == "123"
    texts.keep("d", "1")
    assert [texts.get(name) is not None for name in "abcd"] == [True, False, True, True]
    texts.keep("e", "12345678")
    assert [texts.get(name) is not None for name in "acde"] == [False, False, True, True]
    texts.keep("f", "12345678901")
    assert texts.get("f") is None
    assert texts.get("e") is not None


MANIFESTS = {
    "relay": {"0b5e7b1c7f434d6e": ROLE, digest(TYPENAME): TYPENAME},
    "apollo": {
        "format": "apollo-persisted-query-manifest",
        "version": 1,
        "operations": [
            {"id": "0b5e7b1c7f434d6e", "name": "Who", "type": "query", "body": ROLE},
            {"id": digest(TYPENAME), "name": "", "type": "query", "body": TYPENAME},
        ],
    },
}


@pytest.fixture(params=MANIFESTS)
async def strict_server(
    request: pytest.FixtureRequest, database_url: str, state_directory: Path, tmp_path: Path
) -> AsyncIterator[RunningServer]:
    """The application that answers two registered documents alone."""
    path = tmp_path / "documents.json"
    path.write_text(json.dumps(MANIFESTS[request.param]))
    settings = {"trusted_documents": path, "trusted_documents_only": True}
    async with start_server(database_url, state_directory, **settings) as running:
        yield running


async def test_only_registered_documents_are_answered_by_id_hash_or_text(strict_server: RunningServer) -> None:
    for payload in (
        {"documentId": "0b5e7b1c7f434d6e"},
        {"query": ROLE},
        {"query": ROLE, "extensions": persisted(ROLE)},
        {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": "0b5e7b1c7f434d6e"}}},
    ):
        response = await post(strict_server, **payload)
        assert response.json() == {"data": {"viewer": {"role": "EDITOR"}}}
    for payload in (
        {"documentId": digest(TYPENAME)},
        {"documentId": f"sha256:{digest(TYPENAME)}"},
        {"extensions": persisted(TYPENAME)},
    ):
        response = await post(strict_server, is_anonymous=True, **payload)
        assert response.json() == {"data": {"__typename": "Query"}}


async def test_no_other_document_is_answered_or_read_where_only_registered_ones_are(
    strict_server: RunningServer,
) -> None:
    for query in (FUNDS, ROLE + " ", "{", "{ __schema { types { name } } }"):
        for extensions in (None, persisted(query)):
            assert outcome(await post(strict_server, query=query, extensions=extensions)) == (403, "FORBIDDEN")
        assert outcome(await post(strict_server, extensions=persisted(query))) == (200, "PERSISTED_QUERY_NOT_FOUND")
    assert outcome(await post(strict_server, documentId="x")) == (200, "PERSISTED_QUERY_NOT_FOUND")


async def test_registered_documents_are_known_beside_all_others(
    database_url: str, state_directory: Path, tmp_path: Path
) -> None:
    path = tmp_path / "documents.json"
    path.write_text(json.dumps({"x-1": ROLE}))
    async with start_server(database_url, state_directory, trusted_documents=path) as running:
        assert (await post(running, documentId="x-1")).json() == {"data": {"viewer": {"role": "EDITOR"}}}
        assert (await post(running, query=FUNDS)).json() == {"data": {"funds": {"totalCount": 0}}}


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "{}", '{"a": 1}', '{"a": ""}', '{"operations": [{}]}', '{"operations": []}', "null", '{"a": null}'],
)
def test_manifest_that_is_none_is_refused_by_name(tmp_path: Path, content: str) -> None:
    path = tmp_path / "documents.json"
    path.write_text(content)
    with pytest.raises(ConfigurationError, match=r"^TRANCHE_TRUSTED_DOCUMENTS: "):
        read_trusted_documents(path)
    with pytest.raises(ConfigurationError, match=r"^TRANCHE_TRUSTED_DOCUMENTS: "):
        read_trusted_documents(tmp_path / "missing.json")
