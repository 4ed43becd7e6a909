"""Headless Chromium, for tests of pages as people see them."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import Browser, Page, async_playwright

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


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """A new Chromium with an empty profile; skips the test where there is none, unless one is required."""
    if CHROMIUM is None:
        if os.environ.get("TRANCHE_REQUIRE_BROWSER") == "1":
            pytest.fail("TRANCHE_REQUIRE_BROWSER=1, but there is no Chromium on the PATH")
        pytest.skip("no Chromium on the PATH")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGUMENTS)
        yield browser
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
