"""The GraphiQL page in headless Chromium: under its policy on a small schema, and every tab of the real demo."""

import asyncio
import json
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
import uvicorn
from graphql import build_schema, graphql
from playwright.async_api import Page, expect
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from api.http.graphiql import FUNDS, graphiql_routes
from tests.http.browser import chromium, watch
from tests.processes import free_port, serving

TOKEN = "demo-token"
OPERATION_NAME_MILLISECONDS = 1000
FOLLOWED_MILLISECONDS = 200
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
    async with chromium() as browser:
        yield await browser.new_page(viewport={"width": 1280, "height": 800})


async def editor_text(page: Page, editor: str) -> str:
    """The whole text of the editor within the CSS selector ``editor``, lines out of sight included."""
    text: str = await page.locator(f"{editor} .CodeMirror").evaluate("element => element.CodeMirror.getValue()")
    return text


@pytest.mark.browser
async def test_browser_runs_an_example_under_the_policy(page: Page, origin: str) -> None:
    complaints = watch(page, origin)
    await page.goto(f"{origin}/graphiql")
    await expect(page.locator(".graphiql-tab-button")).to_have_text(
        ["Funds", "PreviewReallocation", "Portfolio", "Viewer", "FollowReallocations"]
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
    await expect(page.locator(".graphiql-tab-button")).to_have_count(5)
    headers = page.locator(".graphiql-editor-tool .graphiql-editor:not(.hidden)")
    await expect(headers).to_contain_text(f'"Authorization": "Bearer {TOKEN}"')
    assert complaints == []


@pytest.mark.browser
async def test_browser_runs_every_tab_against_the_demo(page: Page, database_url: str, state_directory: Path) -> None:
    port = free_port()
    origin = f"http://127.0.0.1:{port}"
    shown = {
        "Funds": '"name": "Northlight Ventures II"',
        "PreviewReallocation": '"isValid": true',
        "Portfolio": '"name": "Demo Endowment"',
        "Viewer": '"email": "editor@demo.example"',
    }
    async with serving(database_url, state_directory, port, "--demo"):
        complaints = watch(page, origin)
        await page.goto(f"{origin}/graphiql")
        for tab, text in shown.items():
            await page.get_by_role("tab", name=tab).click()
            # GraphiQL learns a moment after the tab is shown which operation it would name to the server.
            await page.wait_for_timeout(OPERATION_NAME_MILLISECONDS)
            await page.locator(".graphiql-execute-button").click()
            await expect(page.locator(".result-window")).to_contain_text(text)
            assert '"errors"' not in await editor_text(page, ".result-window")
        await page.get_by_role("tab", name="FollowReallocations").click()
        await page.wait_for_timeout(OPERATION_NAME_MILLISECONDS)
        await page.locator(".graphiql-execute-button").click()
        await shows_what_is_committed(page, origin, "First")
        await shows_what_is_committed(page, origin, "Second")
        await page.locator(".graphiql-execute-button").click()
        await expect(page.locator(".graphiql-spinner")).to_have_count(0)
        assert complaints == []


async def shows_what_is_committed(page: Page, origin: str, reason: str) -> None:
    """Commits until the page shows it: what is committed before the page follows does not come."""
    shown = page.locator(".result-window").get_by_text(f'"{reason}"')
    async with asyncio.timeout(30):
        while not await shown.count():
            await commit_what_the_page_previews(origin, reason)
            await page.wait_for_timeout(FOLLOWED_MILLISECONDS)


COMMIT = """
mutation ($input: CommitReallocationInput!) { commitReallocation(input: $input) { userErrors { message } } }
"""


async def commit_what_the_page_previews(origin: str, reason: str) -> None:
    """Commits the reallocation of the page's example, as the page's own user."""
    async with httpx.AsyncClient(base_url=origin) as client:
        session = (await client.get("/graphiql/session.json")).json()
        (given,) = [
            json.loads(example["variables"])["input"] for example in session["examples"] if example["variables"]
        ]
        response = await client.post(
            "/graphql",
            json={"query": COMMIT, "variables": {"input": {**given, "reason": reason}}},
            headers={"Authorization": f"Bearer {session['token']}"},
        )
        assert response.json()["data"]["commitReallocation"]["userErrors"] == []
