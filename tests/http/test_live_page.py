"""The page that follows capital, over plain HTTP."""

import re
from importlib.resources import files
from pathlib import Path

import httpx
import pytest
from graphql import build_schema, parse, validate
from starlette.applications import Starlette

from api.http.live_page import FILES, live_page_routes
from tests.server import RunningServer

TOKEN = "demo-token"
SCHEMA_FILE = Path(__file__).parents[2] / "schema.graphql"
SCRIPT = (files("api.http") / "pages" / "live.js").read_text(encoding="utf-8")


async def a_token() -> str:
    return TOKEN


@pytest.fixture
def http() -> httpx.AsyncClient:
    app = Starlette(routes=live_page_routes(demo_token=a_token))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test")


async def test_page_carries_a_policy_without_anything_inline(http: httpx.AsyncClient) -> None:
    response = await http.get("/live")
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    assert response.headers["Cache-Control"] == "no-cache"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Referrer-Policy"] == "no-referrer"
    assert dict(directive.split(" ", 1) for directive in response.headers["Content-Security-Policy"].split("; ")) == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "data:",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }


async def test_page_loads_its_own_files_alone(http: httpx.AsyncClient) -> None:
    page = (await http.get("/live")).text
    addresses = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert "://" not in page
    assert "<style" not in page
    assert {address.partition("?")[0] for address in addresses} == {"data:,"} | {
        f"live/static/{name}" for name in FILES
    }
    for address in addresses[1:]:
        response = await http.get(f"/{address}")
        assert response.status_code == 200
        assert response.headers["Cache-Control"] == "public, max-age=31536000, immutable"


@pytest.mark.parametrize("name", ["", "live.html", "bootstrap.js", "..%2flive.html", "%2fetc%2fpasswd", "live.js%00"])
async def test_files_outside_of_the_closed_list_are_refused(http: httpx.AsyncClient, name: str) -> None:
    assert (await http.get(f"/live/static/{name}")).status_code == 404


async def test_session_hands_out_the_demo_token_to_the_page_alone(http: httpx.AsyncClient) -> None:
    own = await http.get("/live/session.json", headers={"Host": "localhost", "Sec-Fetch-Site": "same-origin"})
    assert (own.json(), own.headers["Cache-Control"]) == ({"token": TOKEN}, "no-store")
    for host, site in (("localhost", "cross-site"), ("localhost", "same-site"), ("evil.example", "same-origin")):
        response = await http.get("/live/session.json", headers={"Host": host, "Sec-Fetch-Site": site})
        assert response.status_code == 403
        assert TOKEN not in response.text


async def test_session_has_no_token_outside_of_a_demo(server: RunningServer) -> None:
    assert (await server.client.get("/live")).status_code == 200
    assert (await server.client.get("/live/session.json", headers={"Host": "localhost"})).json() == {"token": None}


def documents() -> list[str]:
    """What the page's script sends, put together as it does."""
    constants: dict[str, str] = {"ENTRIES_SHOWN": "12"}

    def filled(text: str) -> str:
        return re.sub(r"\$\{(\w+)\}", lambda found: constants[found[1]], text)

    for name, text in re.findall(r'const ([A-Z_]+) =\s+["`](.*?)["`];', SCRIPT, re.DOTALL):
        constants[name] = filled(text)
    names = ("addCapitalSource", "updateCapitalAmount", "updateCapitalRate", "removeCapitalSource")
    writes = [
        f"mutation Write($input: {name[0].upper()}{name[1:]}Input!) {{ {name}(input: $input) "
        f"{{ source {{ {constants['SOURCE']} }} userErrors {{ code message field }} }} }}"
        for name in names
        if name in SCRIPT
    ]
    assert len(writes) == len(names)
    return [constants[name] for name in ("LOAD_QUERY", "COST_QUERY", "FOLLOW_SUBSCRIPTION")] + writes


@pytest.mark.parametrize("document", documents())
def test_document_of_the_page_is_valid_against_the_schema(document: str) -> None:
    assert validate(build_schema(SCHEMA_FILE.read_text(encoding="utf-8")), parse(document)) == []
