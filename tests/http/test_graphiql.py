"""The GraphiQL page over plain HTTP, and at work in a browser."""

import asyncio
import json
import os
import re
import shutil
import socket
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import httpx
import pytest
import uvicorn
from graphql import OperationDefinitionNode, build_schema, graphql, parse, validate
from playwright.async_api import Page, async_playwright, expect
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from api.http.graphiql import EXAMPLES, FUNDS, OWN_FILES, WHEEL_FILES, Example, graphiql_routes

TOKEN = "demo-token"
SCHEMA_FILE = Path(__file__).parents[2] / "schema.graphql"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
CHROMIUM_ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def client(*, token: str | None = TOKEN) -> httpx.AsyncClient:
    app = Starlette(routes=graphiql_routes(demo_token=lambda: token))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test")


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


async def test_session_takes_the_examples_of_the_caller() -> None:
    async def examples() -> Sequence[Example]:
        return [Example("One", "{ __typename }", '{"a": 1}')]

    app = Starlette(routes=graphiql_routes(demo_token=lambda: None, examples=examples))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as http:
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


@pytest.mark.skipif(not SCHEMA_FILE.exists(), reason="schema.graphql is not there yet")
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_example_is_valid_against_the_schema(example: Example) -> None:
    schema = build_schema(SCHEMA_FILE.read_text(encoding="utf-8"))
    assert validate(schema, parse(example.query)) == []


BROWSER_SCHEMA = build_schema("""
    type Query { "All *funds*." funds(first: Int): FundConnection! }
    type FundConnection { totalCount: Int edges: [FundEdge!]! }
    type FundEdge { node: Fund! }
    type Fund {
      id: ID! name: String! allocationVersion: String! reserves: Reserves! companies(first: Int): CompanyConnection!
    }
    type Reserves { plannedCents: String deployedCents: String remainingCents: String companyCount: Int }
    type CompanyConnection { edges: [CompanyEdge!]! }
    type CompanyEdge { node: Company! }
    type Company {
      id: ID! name: String! sector: String plannedReservesCents: String deployedReservesCents: String
    }
""")
FUND = {
    "id": "fund",
    "name": "Northern Fund I",
    "allocationVersion": "7",
    "reserves": {
        "plannedCents": "300",
        "deployedCents": "100",
        "remainingCents": "200",
        "companyCount": 0,
    },
    "companies": {"edges": []},
}


async def answer(request: Request) -> JSONResponse:
    if request.headers.get("Authorization") != f"Bearer {TOKEN}":
        return JSONResponse({"errors": [{"message": "No token."}]})
    if request.headers["Accept"] != "application/graphql-response+json, application/json;q=0.9":
        return JSONResponse({"errors": [{"message": "Another Accept."}]})
    body = await request.json()
    data = {"funds": {"totalCount": 1, "edges": [{"node": FUND}]}}
    result = await graphql(BROWSER_SCHEMA, body["query"], data, operation_name=body.get("operationName"))
    return JSONResponse(result.formatted, media_type="application/graphql-response+json")


@pytest.fixture
def origin() -> Iterator[str]:
    """The origin of a server with the page and a small schema."""
    routes = [*graphiql_routes(demo_token=lambda: TOKEN), Route("/graphql", answer, methods=["POST"])]
    server = uvicorn.Server(uvicorn.Config(Starlette(routes=routes), log_level="warning", lifespan="off", ws="none"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join()


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    """An empty page of a new Chromium with an empty profile."""
    if CHROMIUM is None:
        if os.environ.get("TRANCHE_REQUIRE_BROWSER") == "1":
            pytest.fail("TRANCHE_REQUIRE_BROWSER=1, but there is no Chromium on the PATH")
        pytest.skip("no Chromium on the PATH")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGUMENTS)
        yield await browser.new_page(viewport={"width": 1280, "height": 800})
        await browser.close()


def watch(page: Page, origin: str) -> list[str]:
    """What goes wrong on the page from now on; a refusal by the policy is among the console's errors."""
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
    page.on(
        "console",
        lambda message: complaints.append(f"console: {message.text}") if message.type in {"error", "warning"} else None,
    )
    page.on(
        "request",
        lambda request: (
            None if request.url.startswith((f"{origin}/", "data:")) else complaints.append(f"request: {request.url}")
        ),
    )
    return complaints


async def editor_text(page: Page, editor: str) -> str:
    """The whole text of the editor within the CSS selector ``editor``, lines out of sight included."""
    text: str = await page.locator(f"{editor} .CodeMirror").evaluate("element => element.CodeMirror.getValue()")
    return text


@pytest.mark.browser
async def test_browser_runs_an_example_under_the_policy(page: Page, origin: str) -> None:
    complaints = watch(page, origin)
    await page.goto(f"{origin}/graphiql")
    await expect(page.locator(".graphiql-tab-button")).to_have_text(
        ["Funds", "PreviewReallocation", "Portfolio", "Viewer"]
    )
    assert await editor_text(page, ".graphiql-query-editor") == f"# Funds\n\n{FUNDS.query}"
    headers = page.locator(".graphiql-editor-tool .graphiql-editor:not(.hidden)")
    await expect(headers).to_contain_text(f'"Authorization": "Bearer {TOKEN}"')

    await page.locator(".graphiql-execute-button").click()

    await expect(page.locator(".result-window")).to_contain_text('"name": "Northern Fund I"')
    assert complaints == []


@pytest.mark.browser
async def test_browser_shows_dialogs_and_explorer_under_the_policy(page: Page, origin: str) -> None:
    complaints = watch(page, origin)
    await page.goto(f"{origin}/graphiql")
    for dialog in ("Open settings dialog", "Open short keys dialog"):
        await page.get_by_label(dialog).click()
        await expect(page.get_by_role("dialog")).to_be_visible()
        await page.keyboard.press("Escape")
        await expect(page.get_by_role("dialog")).to_have_count(0)
    await page.get_by_label("Show Documentation Explorer").click()
    await page.locator(".graphiql-doc-explorer-type-name", has_text="Query").click()
    await expect(page.locator(".graphiql-markdown-description em")).to_have_text("funds")
    await page.get_by_label("Show GraphiQL Explorer").click()
    await page.locator(".graphiql-explorer-root").get_by_text("sector").click()
    await expect(page.locator(".graphiql-query-editor")).not_to_contain_text("sector")
    assert "sector" not in await editor_text(page, ".graphiql-query-editor")
    await page.locator(".graphiql-query-editor .CodeMirror").click()
    for shortcut in ("Control+f", "Escape", "Alt+g"):
        await page.keyboard.press(shortcut)
    await expect(page.locator(".CodeMirror-dialog")).to_contain_text("Jump to line")
    assert complaints == []


# Page.wait_for_function would need eval, which the policy refuses. GraphiQL stores its tabs half a second late.
TABS_ARE_STORED = """async () => {
  while (JSON.parse(sessionStorage["graphiql:tabState"] ?? "{}").activeTabIndex !== 1) {
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}"""


@pytest.mark.browser
async def test_browser_keeps_tabs_but_no_token_across_a_reload(page: Page, origin: str) -> None:
    complaints = watch(page, origin)
    await page.goto(f"{origin}/graphiql")
    await page.get_by_role("tab", name="PreviewReallocation").click()
    async with asyncio.timeout(10):
        await page.evaluate(TABS_ARE_STORED)
    assert TOKEN not in await page.evaluate("JSON.stringify([sessionStorage, localStorage])")

    await page.reload()

    await expect(page.locator(".graphiql-tab-active")).to_contain_text("PreviewReallocation")
    await expect(page.locator(".graphiql-tab-button")).to_have_count(4)
    headers = page.locator(".graphiql-editor-tool .graphiql-editor:not(.hidden)")
    await expect(headers).to_contain_text(f'"Authorization": "Bearer {TOKEN}"')
    assert complaints == []
