"""The self-hosted GraphiQL page: no file from elsewhere, under a strict Content-Security-Policy.

GraphiQL itself comes from the wheel graphene-django-graphiql-static, of which only the static files are used.
All files are read once, when the routes are made, and served from memory by name from a closed list.
"""

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route

from api.http.cross_origin import CrossOrigin
from api.http.security_headers import error_response

WHEEL_PACKAGE = "graphene_django_graphiql_static"
WHEEL_FILES = (
    "graphiql-plugin-explorer.umd.js",
    "graphiql.min.css",
    "graphiql.min.js",
    "react-dom.production.min.js",
    "react.production.min.js",
    "style.css",
)
NOWHERE_ELSE = CrossOrigin()
PAGES = files(__package__) / "pages"
OWN_FILES = ("bootstrap.js", "page.css")
CONTENT_TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}
CACHE_SECONDS = 365 * 24 * 60 * 60

# GraphiQL's dialogs insert one style element, to lock scrolling. It takes no nonce, but its text is always the same,
# because page.css leaves the page no scroll bar and no margin.
SCROLL_LOCK_STYLE = "'sha256-Y/huXlwoYkVyQlxwSVcCi1RCDGDCSVBzDt0hYP9qlTc='"
# "width: 10em" and "color: #888", style attributes in the markup of CodeMirror's dialog "Jump to line".
JUMP_TO_LINE_STYLES = (
    "'sha256-H22cvujYHDQPJvzf4ie16OHKC3HsNj7RmRT3jO07Y/U='",
    "'sha256-Eaamrrh0b5a/naRsV/zg7s6+kGvexMXZQARWP6ukkg4='",
)
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        f"style-src 'self' {SCROLL_LOCK_STYLE}",
        f"style-src-attr 'unsafe-hashes' {' '.join(JUMP_TO_LINE_STYLES)}",
        # graphiql.min.css carries its fonts and three small images as data.
        "font-src data:",
        "img-src data:",
        # Matches ws: and wss: of the same host and port as well (CSP level 3).
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
SECURITY_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True, slots=True)
class Example:
    """An operation that the page opens in a tab of its own.

    ``name`` is one line and becomes a comment above ``query``; the tab itself is called like the operation.
    ``variables`` is the text of a JSON object, or empty.
    """

    name: str
    query: str
    variables: str = ""


@dataclass(frozen=True, slots=True)
class StaticFile:
    """A file as it is served; ``digest`` is the hexadecimal SHA-256 of ``content``."""

    content: bytes
    content_type: str
    digest: str


def read_example(name: str, query_file: str, variables_file: str | None = None) -> Example:
    """The example called ``name``, out of the files in pages/examples. Raises FileNotFoundError."""
    folder = PAGES / "examples"
    variables = (folder / variables_file).read_text(encoding="utf-8") if variables_file else ""
    return Example(name, (folder / query_file).read_text(encoding="utf-8"), variables)


FUNDS = read_example("Funds", "funds.graphql")
PREVIEW_REALLOCATION = read_example(
    "Preview a reallocation", "preview_reallocation.graphql", "preview_reallocation.json"
)
PORTFOLIO = read_example("Portfolio", "portfolio.graphql")
VIEWER = read_example("Viewer", "viewer.graphql")
FOLLOW_REALLOCATIONS = read_example("Follow reallocations: run this, and commit one", "follow_reallocations.graphql")
EXAMPLES = (FUNDS, PREVIEW_REALLOCATION, PORTFOLIO, VIEWER, FOLLOW_REALLOCATIONS)


async def default_examples() -> Sequence[Example]:
    """The examples as they stand in pages/examples, with placeholders for ids."""
    return EXAMPLES


def graphiql_routes(
    *,
    demo_token: Callable[[], str | None],
    takes_host: Callable[[str], bool] = NOWHERE_ELSE.is_own_host,
    examples: Callable[[], Awaitable[Sequence[Example]]] = default_examples,
) -> list[BaseRoute]:
    """The routes ``/graphiql``, ``/graphiql/static/{name}`` and ``/graphiql/session.json``.

    ``demo_token`` is asked at each load of the page; whoever can reach the server gets what it answers, so
    outside of a demo it answers None. Nobody gets it who asks for a Host that ``takes_host`` does not know: a name
    that somebody else has lead here makes their page look like this one. ``examples`` is asked as well, and may fill in
    ids that exist. The page sends its operations to ``graphql`` beside itself. Raises FileNotFoundError when a static
    file is missing.
    """
    static_files = load_static_files()
    page = render_page(static_files)

    async def show_page(request: Request) -> Response:
        return HTMLResponse(page, headers=SECURITY_HEADERS | {"Cache-Control": "no-cache"})

    async def send_static_file(request: Request) -> Response:
        return static_response(request, static_files.get(request.path_params["name"]))

    async def send_session(request: Request) -> Response:
        headers = SECURITY_HEADERS | {"Cache-Control": "no-store"}
        if is_from_elsewhere(request, takes_host):
            return error_response(403, "Only for the GraphiQL page.", headers)
        session: dict[str, object] = {"examples": [asdict(example) for example in await examples()]}
        token = demo_token()
        if token is not None:
            session["token"] = token
        return JSONResponse(session, headers=headers)

    return [
        Route("/graphiql", show_page),
        Route("/graphiql/session.json", send_session),
        Route("/graphiql/static/{name}", send_static_file),
    ]


def load_static_files() -> dict[str, StaticFile]:
    """All servable files by name. Raises FileNotFoundError."""
    # The package's __init__ holds its version only: this does not ask for Django, which its views would.
    wheel = files(WHEEL_PACKAGE) / "static" / WHEEL_PACKAGE
    found = {name: read_static_file(wheel / name) for name in WHEEL_FILES}
    return found | {name: read_static_file(PAGES / name) for name in OWN_FILES}


def read_static_file(path: Traversable) -> StaticFile:
    """The file with its type, by its name's ending, and its digest. Raises FileNotFoundError."""
    content = path.read_bytes()
    content_type = CONTENT_TYPES["." + path.name.rpartition(".")[2]]
    return StaticFile(content, content_type, hashlib.sha256(content).hexdigest())


def render_page(static_files: dict[str, StaticFile]) -> str:
    """The page, in which each file's address carries its digest, so that it may be cached for good."""
    return link_files((PAGES / "graphiql.html").read_text(encoding="utf-8"), static_files)


def link_files(page: str, static_files: dict[str, StaticFile]) -> str:
    """The page with each file's digest in its address."""
    for name, static_file in static_files.items():
        page = page.replace(f'/static/{name}"', f'/static/{name}?v={static_file.digest}"')
    return page


def is_from_elsewhere(request: Request, takes_host: Callable[[str], bool]) -> bool:
    """Whether another site's page asks, which has no business with a token, or a Host is named that is not ours."""
    is_elsewhere = request.headers.get("Sec-Fetch-Site") in {"cross-site", "same-site"}
    return is_elsewhere or not takes_host(request.headers.get("Host", ""))


def static_response(request: Request, static_file: StaticFile | None) -> Response:
    """The file, 304 when the client has it, or 404; immutable only under the address that has its digest."""
    if static_file is None:
        return error_response(404, "Not Found.", SECURITY_HEADERS)
    is_current = request.query_params.get("v") == static_file.digest
    headers = SECURITY_HEADERS | {
        "Cache-Control": f"public, max-age={CACHE_SECONDS}, immutable" if is_current else "no-cache",
        "ETag": f'"{static_file.digest}"',
    }
    if headers["ETag"] in request.headers.get("If-None-Match", ""):
        return Response(status_code=304, headers=headers)
    return Response(static_file.content, media_type=static_file.content_type, headers=headers)
