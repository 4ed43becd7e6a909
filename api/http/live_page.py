"""The page that shows capital and follows it live: one page, one script, one stylesheet, all of them our own.

It is a worked example for those who build screens; docs/live-capital.md explains it.
"""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route

from api.http.graphiql import (
    NOWHERE_ELSE,
    PAGES,
    SECURITY_HEADERS,
    is_from_elsewhere,
    link_files,
    read_static_file,
    static_response,
)
from api.http.security_headers import error_response

FILES = ("live.css", "live.js")
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        # The page's icon is an empty one.
        "img-src data:",
        # Matches ws: and wss: of the same host and port as well (CSP level 3).
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = SECURITY_HEADERS | {"Content-Security-Policy": CONTENT_SECURITY_POLICY}


async def no_token() -> None:
    """What is handed out where there is no demo: the page asks for a token."""


def live_page_routes(
    *, demo_token: Callable[[], Awaitable[str | None]], takes_host: Callable[[str], bool] = NOWHERE_ELSE.is_own_host
) -> list[BaseRoute]:
    """The routes ``/live``, ``/live/static/{name}`` and ``/live/session.json``.

    ``takes_host`` is as for GraphiQL. ``demo_token`` is asked whenever the page needs a token; whoever can reach the
    server gets what it answers, so outside of a demo it answers None. Raises FileNotFoundError when a file is missing.
    """
    static_files = {name: read_static_file(PAGES / name) for name in FILES}
    page = link_files((PAGES / "live.html").read_text(encoding="utf-8"), static_files)

    async def show_page(request: Request) -> Response:
        return HTMLResponse(page, headers=HEADERS | {"Cache-Control": "no-cache"})

    async def send_static_file(request: Request) -> Response:
        return static_response(request, static_files.get(request.path_params["name"]))

    async def send_session(request: Request) -> Response:
        headers = HEADERS | {"Cache-Control": "no-store"}
        if is_from_elsewhere(request, takes_host):
            return error_response(403, "Only for the page itself.", headers)
        return JSONResponse({"token": await demo_token()}, headers=headers)

    return [
        Route("/live", show_page),
        Route("/live/session.json", send_session),
        Route("/live/static/{name}", send_static_file),
    ]
