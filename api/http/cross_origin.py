"""Other sites' pages: which may read what is answered (CORS), and that none makes a browser ask unnoticed (CSRF).

A browser sends some requests of any page to any server without asking the server first: a GET, or a POST of a form,
with no header but the harmless ones. Every other request is announced by a preflight, which is answered for the origins
in ``TRANCHE_CORS_ORIGINS`` alone. So a request is taken when it carries something that a page may only send after a
preflight. A POST always does: its body is application/json or is not read.
"""

import ipaddress
from collections.abc import Sequence
from urllib.parse import urlsplit

from api.http.requests import MEDIA_TYPE_GRAPHQL, MEDIA_TYPE_JSON, BadRequest, Headers, header, is_json, media_ranges

PREFLIGHT_SECONDS = 7_200
"""How long browsers remember a preflight; the longest that all of them keep."""

FORCE_A_PREFLIGHT = (
    b"authorization",
    b"apollo-require-preflight",
    b"x-apollo-operation-name",
    b"x-tranche-require-preflight",
)
"""Headers that no page of another site sends without a preflight: a GET with any of them is no forgery."""

ASKED_BY_PROGRAMS = {MEDIA_TYPE_GRAPHQL, MEDIA_TYPE_JSON, "text/event-stream", "multipart/mixed"}
"""Media types that browsers never ask for by themselves, when they follow a link or load an image, script or frame."""

ALLOWED_METHODS = b"GET, POST"
ALLOWED_HEADERS = (
    b"Accept, Authorization, Content-Type, Apollo-Require-Preflight, X-Apollo-Operation-Name, X-Apollo-Operation-Id,"
    b" Apollographql-Client-Name, Apollographql-Client-Version, X-Tranche-Require-Preflight, X-Tranche-Cost,"
    b" X-Tranche-Debug, X-Request-Id, Traceparent, Tracestate"
)
EXPOSED_HEADERS = b"Retry-After, WWW-Authenticate, X-Request-Id"

RawHeaders = list[tuple[bytes, bytes]]


class CrossOrigin:
    """What pages of other origins may do. ``origins`` are exact: scheme, host and port.

    ``public_host`` is the name under which browsers reach the server's own pages, if it has one.
    """

    def __init__(self, origins: Sequence[str] = (), public_host: str | None = None) -> None:
        self._origins = frozenset(origin.encode() for origin in origins)
        hosts = [urlsplit(origin).netloc for origin in origins] + ([public_host] if public_host else [])
        self._names = frozenset(map(name_of, hosts))
        self.for_all = ((b"vary", b"Origin"),) if origins else ()
        """On every answer: caches must not hand one origin's permission to another."""

    def headers(self, origin: bytes) -> RawHeaders:
        """What the answer to a request of this Origin carries besides."""
        if origin not in self._origins:
            return []
        return [(b"access-control-allow-origin", origin), (b"access-control-expose-headers", EXPOSED_HEADERS)]

    def preflight(self, headers: Headers) -> RawHeaders | None:
        """The permission for a preflight, without credentials; None where this is none, or from an origin without."""
        origin = headers.get(b"origin")
        if origin is None or origin not in self._origins or b"access-control-request-method" not in headers:
            return None
        return [
            *self.headers(origin),
            (b"access-control-allow-methods", ALLOWED_METHODS),
            (b"access-control-allow-headers", ALLOWED_HEADERS),
            (b"access-control-max-age", b"%d" % PREFLIGHT_SECONDS),
        ]

    def refuse_forgery(self, headers: Headers) -> None:
        """Raises BadRequest for a GET that a page of another site could have made a browser send.

        It is taken with one of FORCE_A_PREFLIGHT, with the Content-Type application/json, or when it asks for one of
        ASKED_BY_PROGRAMS and the browser, which says so for every request of a page, does not name another site.
        """
        content_type = headers.get(b"content-type")
        # Some browsers have let content types pass without a preflight that they should not have.
        if content_type is not None and not is_json(content_type):
            raise BadRequest(415, f"A GET has no body: leave out its Content-Type, or send {MEDIA_TYPE_JSON}.")
        if content_type is not None or any(headers.get(name) for name in FORCE_A_PREFLIGHT):
            return
        accept = header(headers, b"accept")
        if accept and not ASKED_BY_PROGRAMS.isdisjoint(media_ranges(accept)) and not self._is_foreign(headers):
            return
        names = "Authorization, Apollo-Require-Preflight, X-Apollo-Operation-Name or X-Tranche-Require-Preflight"
        message = f"A page of another site could have sent this (CSRF). Send a POST, or one of the headers {names}."
        raise BadRequest(400, message)

    def is_own_host(self, host: str) -> bool:
        """Whether a Host header can only name this server: by an address, as localhost, or by a name of the settings.

        Any other name may be somebody else's who has it lead here (DNS rebinding): to browsers their page and this
        server are then one origin.
        """
        name = name_of(host)
        return name in self._names or name == "localhost" or name.endswith(".localhost") or _is_address(name)

    def takes_page(self, headers: Headers) -> bool:
        """Whether a page of the request's Origin is one of this server's own or listed; True where it names none."""
        origin = headers.get(b"origin")
        if origin is None or origin in self._origins:
            return True
        host = headers.get(b"host", b"")
        return origin.partition(b"://")[2] == host and self.is_own_host(host.decode("latin-1"))

    def _is_foreign(self, headers: Headers) -> bool:
        """Whether a browser says that a page of another origin asks, one that is not allowed to."""
        origin = headers.get(b"origin")
        if origin is not None and origin in self._origins:
            return False
        is_same_site = headers.get(b"sec-fetch-site", b"same-origin") in (b"same-origin", b"none")
        return not (is_same_site and self.takes_page(headers))


def name_of(host: str) -> str:
    """The name or address in a Host header, without its port; empty where there is none."""
    try:
        return (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
