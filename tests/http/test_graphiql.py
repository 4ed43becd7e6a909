"""The GraphiQL page over plain HTTP, and at work in a browser."""

import json
import re
from collections.abc import Sequence
from pathlib import Path

import httpx
import pytest
from graphql import OperationDefinitionNode, build_schema, parse, validate
from starlette.applications import Starlette

from api.http.graphiql import EXAMPLES, OWN_FILES, WHEEL_FILES, Example, graphiql_routes

TOKEN = "demo-token"
SCHEMA_FILE = Path(__file__).parents[2] / "schema.graphql"


def client(*, token: str | None = TOKEN) -> httpx.AsyncClient:
    app = Starlette(routes=graphiql_routes(demo_token=lambda: token))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost")


async def page_addresses() -> list[str]:
    """The addresses of all files that the page loads."""
    async with client() as http:
        page = (await http.get("/graphiql")).text
    return re.findall(r'(?:src|href)="(graphiql/[^"]+)"', page)


async def test_page_carries_a_strict_content_security_policy() -> None:
    async with client() as http:
        response = await http.get("/graphiql")
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    assert response.headers["Cache-Control"] == "no-cache"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Referrer-Policy"] == "no-referrer"
    directives = dict(directive.split(" ", 1) for directive in response.headers["Content-Security-Policy"].split("; "))
    assert directives["default-src"] == "'none'"
    assert directives["script-src"] == "'self'"
    assert directives["connect-src"] == "'self'"
    assert directives["base-uri"] == "'none'"
    assert directives["form-action"] == "'none'"
    assert directives["frame-ancestors"] == "'none'"
    assert not {"'unsafe-inline'", "'unsafe-eval'"} & set(" ".join(directives.values()).split())


async def test_page_holds_no_inline_script_and_nothing_from_elsewhere() -> None:
    async with client() as http:
        page = (await http.get("/graphiql")).text
    assert "://" not in page
    assert "<style" not in page
    assert all(" src=" in script for script in re.findall(r"<script[^>]*>", page))


async def test_page_loads_exactly_the_closed_list() -> None:
    names = {address.removeprefix("graphiql/static/").partition("?")[0] for address in await page_addresses()}
    assert names == {*WHEEL_FILES, *OWN_FILES}


async def test_files_are_immutable_under_the_address_with_their_digest() -> None:
    async with client() as http:
        for address in await page_addresses():
            response = await http.get(f"/{address}")
            expected = "text/css; charset=utf-8" if ".css?" in address else "text/javascript; charset=utf-8"
            assert response.status_code == 200
            assert response.headers["Content-Type"] == expected
            assert response.headers["Cache-Control"] == "public, max-age=31536000, immutable"
            assert response.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("query", ["", "?v=0"])
async def test_files_are_revalidated_under_any_other_address(query: str) -> None:
    async with client() as http:
        first = await http.get(f"/graphiql/static/bootstrap.js{query}")
        second = await http.get(
            f"/graphiql/static/bootstrap.js{query}", headers={"If-None-Match": first.headers["ETag"]}
        )
        other = await http.get(f"/graphiql/static/bootstrap.js{query}", headers={"If-None-Match": '"0"'})
    assert first.headers["Cache-Control"] == "no-cache"
    assert (second.status_code, second.content) == (304, b"")
    assert second.headers["ETag"] == first.headers["ETag"]
    assert other.status_code == 200


@pytest.mark.parametrize(
    "name",
    [
        "",
        "fetch.umd.js",
        "graphiql.html",
        "examples/funds.graphql",
        "..%2fgraphiql.html",
        "..%2f..%2fviews.py",
        "%2e%2e/%2e%2e/graphiql.py",
        "%2fetc%2fpasswd",
        "bootstrap.js%00",
        "bootstrap.js/",
        "BOOTSTRAP.JS",
    ],
)
async def test_files_outside_of_the_closed_list_are_refused(name: str) -> None:
    async with client() as http:
        response = await http.get(f"/graphiql/static/{name}", follow_redirects=False)
    assert response.status_code in {307, 404} if name.endswith("/") else response.status_code == 404


async def test_session_hands_out_the_demo_token_and_the_examples() -> None:
    async with client() as http:
        response = await http.get("/graphiql/session.json", headers={"Sec-Fetch-Site": "same-origin"})
    assert response.headers["Cache-Control"] == "no-store"
    assert response.json()["token"] == TOKEN
    assert [example["name"] for example in response.json()["examples"]] == [
        "Funds",
        "Preview a reallocation",
        "Portfolio",
        "Viewer",
        "Follow reallocations: run this, and commit one",
    ]


async def test_session_has_no_token_outside_of_a_demo() -> None:
    async with client(token=None) as http:
        response = await http.get("/graphiql/session.json")
    assert set(response.json()) == {"examples"}


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
async def test_session_is_refused_to_pages_of_other_origins(site: str) -> None:
    async with client() as http:
        response = await http.get("/graphiql/session.json", headers={"Sec-Fetch-Site": site})
    assert response.status_code == 403
    assert TOKEN not in response.text


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "localhost.evil.example", ""])
async def test_session_is_refused_to_a_page_whose_name_was_made_to_lead_here(host: str) -> None:
    """To a browser such a page and this one are the same site (DNS rebinding)."""
    async with client() as http:
        headers = {"Host": host, "Sec-Fetch-Site": "same-origin"}
        response = await http.get("/graphiql/session.json", headers=headers)
    assert response.status_code == 403
    assert TOKEN not in response.text


async def test_session_takes_the_examples_of_the_caller() -> None:
    async def examples() -> Sequence[Example]:
        return [Example("One", "{ __typename }", '{"a": 1}')]

    app = Starlette(routes=graphiql_routes(demo_token=lambda: None, examples=examples))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as http:
        response = await http.get("/graphiql/session.json")
    assert response.json() == {"examples": [{"name": "One", "query": "{ __typename }", "variables": '{"a": 1}'}]}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_example_is_one_named_operation_with_its_variables(example: Example) -> None:
    (operation,) = parse(example.query).definitions
    assert isinstance(operation, OperationDefinitionNode)
    assert operation.name is not None
    variables = json.loads(example.variables or "{}")
    definitions = operation.variable_definitions or ()
    assert {definition.variable.name.value for definition in definitions} == set(variables)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_example_is_valid_against_the_schema(example: Example) -> None:
    schema = build_schema(SCHEMA_FILE.read_text(encoding="utf-8"))
    assert validate(schema, parse(example.query)) == []
