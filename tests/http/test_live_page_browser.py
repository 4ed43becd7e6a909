"""The page that follows capital, in two windows of headless Chromium on the real demo."""

import asyncio
import re
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Browser, Locator, Page, Route, expect

from tests.http.browser import chromium, watch
from tests.processes import free_port, serving

ENTRIES_OF_THE_DEMO = 15
MILLISECONDS_MAX = 30_000
"""For what waits for a server to start again."""
BEYOND_FLOATS = "90,071,992,547,409.93"

pytestmark = pytest.mark.browser


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as browser:
        yield browser


@pytest.fixture
async def origin(database_url: str, state_directory: Path) -> AsyncIterator[str]:
    """A server with the demo."""
    port = free_port()
    async with serving(database_url, state_directory, port, "--demo"):
        yield f"http://127.0.0.1:{port}"


async def window(browser: Browser, origin: str, width: int = 1280) -> Page:
    """A new window with the page, which follows capital."""
    page = await browser.new_page(viewport={"width": width, "height": 900})
    await page.goto(f"{origin}/live")
    await is_live(page)
    return page


async def is_live(page: Page) -> None:
    await expect(page.locator("#connection")).to_have_text("Live", timeout=MILLISECONDS_MAX)
    await expect(page.locator("#trend svg")).to_be_visible()


def row(page: Page, name: str) -> Locator:
    """The row of a source."""
    return page.locator("#sources tr").filter(has=page.get_by_role("button", name=name, exact=True))


async def change(page: Page, source: str, what: str, value: str = "", *, on: str = "") -> None:
    """Fills in the form and sends it."""
    form = page.get_by_role("form", name="Change a source")
    await row(page, source).get_by_role("button").click()
    await form.get_by_label(what).check()
    if value:
        await form.get_by_label("Amount, USD" if what == "Its amount" else "Annual rate").fill(value)
    if on:
        await form.get_by_label("From").fill(on)
    await form.get_by_role("button", name="Save").click()


async def add(page: Page, name: str, amount: str, rate: str) -> Locator:
    """Fills in the form and sends it; returns it."""
    form = page.get_by_role("form", name="Add a source")
    for label, text in {"Name": name, "Amount, USD": amount, "Annual rate": rate}.items():
        await form.get_by_label(label).fill(text)
    await form.get_by_role("button", name="Add").click()
    return form


async def sequences(page: Page) -> list[int]:
    """The sequences of the shown entries, latest first."""
    items = await page.locator("#history li").all()
    return [int(await item.get_attribute("data-sequence") or "") for item in items]


@asynccontextmanager
async def held_writes(page: Page) -> AsyncIterator[None]:
    """Keeps what the page writes from the server until the end of the block."""
    released = asyncio.Event()

    async def hold(route: Route) -> None:
        if "mutation" in (route.request.post_data or ""):
            await released.wait()
        await route.continue_()

    await page.route("**/graphql", hold)
    try:
        yield
    finally:
        released.set()


async def test_change_in_one_window_appears_in_the_other(browser: Browser, origin: str) -> None:
    one, other = await window(browser, origin), await window(browser, origin)
    complaints = [watch(one, origin), watch(other, origin)]
    cost = await other.locator("#wacc").inner_text()

    await change(one, "Mezzanine notes", "Its amount", "8,250,000.5")
    await expect(row(other, "Mezzanine notes")).to_contain_text("8,250,000.50")
    await expect(other.locator("#wacc")).not_to_have_text(cost)
    await expect(other.locator("#announcement")).to_have_text("Mezzanine notes: amount 7,500,000.00 → 8,250,000.50")

    await change(other, "Harbour Bank term loan", "Its rate", "4.125")
    await expect(row(one, "Harbour Bank term loan")).to_contain_text("4.125 %")
    await add(other, "Green bond", BEYOND_FLOATS, "0")
    await expect(row(one, "Green bond")).to_contain_text(f"0.00 %{BEYOND_FLOATS}")
    await change(one, "Revolving credit line", "Remove it")
    await expect(row(other, "Revolving credit line")).to_have_count(0)

    for page in (one, other):
        await expect(page.locator(".pending")).to_have_count(0)
        await expect(page.locator("#count")).to_have_text("4")
        last = ENTRIES_OF_THE_DEMO + 4
        assert await sequences(page) == list(range(last, last - 12, -1))
    assert complaints == [[], []]


async def test_refused_write_is_shown_and_then_taken_back(browser: Browser, origin: str) -> None:
    page = await window(browser, origin)
    async with held_writes(page):
        form = await add(page, "ab", "1,000.00", "5")
        await expect(row(page, "ab")).to_contain_class("pending")
        await expect(row(page, "ab")).to_contain_text("1,000.00")
        await change(page, "Mezzanine notes", "Its amount", "1.00", on="2099-01-01")
        await expect(row(page, "Mezzanine notes")).to_contain_class("pending")
        await expect(row(page, "Mezzanine notes")).to_contain_text("1.00")

    await expect(row(page, "ab")).to_have_count(0)
    await expect(form.get_by_label("Name")).to_have_accessible_description(re.compile("3"))
    await expect(form.get_by_label("Name")).to_have_value("ab")
    await expect(row(page, "Mezzanine notes")).not_to_contain_class("pending")
    await expect(row(page, "Mezzanine notes")).to_contain_text("7,500,000.00")
    day = page.get_by_role("form", name="Change a source").get_by_label("From")
    await expect(day).to_have_attribute("aria-invalid", "true")
    assert (await sequences(page))[0] == ENTRIES_OF_THE_DEMO


async def test_what_is_no_amount_is_not_sent(browser: Browser, origin: str) -> None:
    page = await window(browser, origin)
    form = await add(page, "Green bond", "1,5", "five")
    await expect(form.get_by_label("Amount, USD")).to_have_accessible_description("For example 1,250,000.00.")
    await expect(form.get_by_label("Annual rate")).to_have_accessible_description("For example 5.25.")
    await expect(page.locator("#sources tr")).to_have_count(4)


@pytest.mark.parametrize("has_cursor", [True, False], ids=["from its cursor", "without one"])
async def test_cut_connection_resumes_with_nothing_missing(
    browser: Browser, database_url: str, state_directory: Path, *, has_cursor: bool
) -> None:
    """The window's server is killed; others write meanwhile, and so does the window itself."""
    last = ENTRIES_OF_THE_DEMO + 4
    port, other_port = free_port(), free_port()
    async with serving(database_url, state_directory, other_port, "--demo"):
        other = await window(browser, f"http://127.0.0.1:{other_port}")
        async with serving(database_url, state_directory, port, "--demo") as server:
            if not has_cursor:
                await change(other, "Mezzanine notes", "Its amount", "8,000,000")
                await expect(row(other, "Mezzanine notes")).not_to_contain_class("pending")
            page = await window(browser, f"http://127.0.0.1:{port}")
            if has_cursor:
                await change(other, "Mezzanine notes", "Its amount", "8,000,000")
            await expect(row(page, "Mezzanine notes")).to_contain_text("8,000,000.00")
            server.kill()
            await server.wait()
        await expect(page.locator("#connection")).to_have_text("Reconnecting…")

        await change(other, "Mezzanine notes", "Its rate", "10.75")
        await change(other, "Founders' equity", "Remove it")
        await expect(row(other, "Founders' equity")).to_have_count(0)
        await add(page, "Green bond", "2,000,000", "3.5")
        await expect(row(page, "Green bond")).to_contain_class("pending")

        async with serving(database_url, state_directory, port, "--demo"):
            await is_live(page)
            for seen in (page, other):
                await expect(row(seen, "Green bond")).to_have_count(1, timeout=MILLISECONDS_MAX)
                await expect(row(seen, "Green bond")).not_to_contain_class("pending", timeout=MILLISECONDS_MAX)
                await expect(row(seen, "Founders' equity")).to_have_count(0)
                await expect(row(seen, "Mezzanine notes")).to_contain_text("10.75 %8,000,000.00")
                await expect(seen.locator(f'#history li[data-sequence="{last}"]')).to_have_count(1)
                assert await sequences(seen) == list(range(last, last - 12, -1))


async def test_silence_is_found_out(browser: Browser, database_url: str, state_directory: Path) -> None:
    port = free_port()
    async with serving(database_url, state_directory, port, "--demo") as server:
        page = await window(browser, f"http://127.0.0.1:{port}")
        server.send_signal(signal.SIGSTOP)
        await expect(page.locator("#connection")).to_have_text("Reconnecting…", timeout=MILLISECONDS_MAX)
        server.send_signal(signal.SIGCONT)
        await is_live(page)
        await change(page, "Mezzanine notes", "Its amount", "8,000,000")
        await expect(page.locator(f'#history li[data-sequence="{ENTRIES_OF_THE_DEMO + 1}"]')).to_have_count(1)


async def test_total_that_is_too_much_leaves_the_rest_of_the_page(browser: Browser, origin: str) -> None:
    page = await window(browser, origin)
    for name in ("One planet", "Another planet"):
        await add(page, name, "90,000,000,000,000,000.00", "5")
        await expect(row(page, name)).not_to_contain_class("pending")
    await expect(page.locator("#wacc")).to_have_text("unknown")
    await expect(page.locator("#cost-problem")).not_to_be_empty()
    await page.reload()
    await expect(page.locator("#sources tr")).to_have_count(6)
    await change(page, "One planet", "Remove it")
    await expect(page.locator("#wacc")).to_contain_text("%")
    await expect(page.locator("#cost-problem")).to_be_empty()


async def test_page_asks_for_a_token_where_none_is_handed_out(browser: Browser, origin: str) -> None:
    page = await browser.new_page()
    token = (await (await page.request.get(f"{origin}/live/session.json")).json())["token"]

    async def no_token(route: Route) -> None:
        await route.fulfill(json={"token": None})

    await page.route("**/live/session.json", no_token)
    await page.goto(f"{origin}/live")
    for text in ("not.a.token", token):
        await page.get_by_label("Token").fill(text)
        await page.get_by_role("button", name="Sign in").click()
    await is_live(page)
    await expect(page.locator("#sources tr")).to_have_count(4)
    assert token not in await page.evaluate("JSON.stringify([sessionStorage, localStorage, document.cookie])")


async def test_page_fits_a_narrow_window(browser: Browser, origin: str) -> None:
    page = await window(browser, origin, width=360)
    await add(page, "A loan with a name that is longer than others", BEYOND_FLOATS, "12.3456")
    await expect(page.locator("#count")).to_have_text("5")
    assert await page.evaluate("document.documentElement.scrollWidth") == 360
    await expect(page.locator("#trend svg")).to_have_accessible_name(re.compile("^Average cost by month"))
    await expect(page.locator("#trend circle")).to_have_count(12)
