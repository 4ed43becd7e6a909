"""What every answer carries, and JSON for whatever /graphql does not answer: other paths, and faults outside of it."""

from collections.abc import Iterable, Mapping

import orjson
from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.http.error_answers import masked
from api.http.requests import MEDIA_TYPE_JSON, headers_of, request_id_of

HSTS_SECONDS = 365 * 24 * 60 * 60

ALWAYS = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
"""On every answer that does not say otherwise itself, as the GraphiQL page and its files do."""
IN_PRODUCTION = ((b"strict-transport-security", b"max-age=%d" % HSTS_SECONDS),)

REQUEST_ID = "tranche.request_id"
"""Where a connection's scope holds the request id, outside of /graphql."""
IS_MASKED = "tranche.is_masked"
"""Where it says that a fault was answered and logged; Starlette raises it anew after that."""


def security_headers(*, in_production: bool) -> tuple[tuple[bytes, bytes], ...]:
    """The headers of every answer."""
    return ALWAYS + IN_PRODUCTION if in_production else ALWAYS


def error_response(status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    """An error outside of /graphql, which looks like those inside."""
    body = {"errors": [{"message": message, "extensions": {"code": "BAD_USER_INPUT"}}]}
    return Response(orjson.dumps(body), status, headers, MEDIA_TYPE_JSON)


def answer_errors_as_json(app: FastAPI) -> None:
    """Has the application answer unknown paths, methods and unexpected faults with JSON."""

    @app.exception_handler(HTTPException)
    async def refuse(request: Request, error: HTTPException) -> Response:
        return error_response(error.status_code, f"{error.detail}.", error.headers)

    @app.exception_handler(Exception)
    async def mask(request: Request, error: Exception) -> Response:
        body = {"errors": [masked(error, request.scope.get(REQUEST_ID, ""))]}
        request.scope[IS_MASKED] = True
        return Response(orjson.dumps(body), 500, media_type=MEDIA_TYPE_JSON)


class SafeAnswers:
    """An application whose answers carry the headers and a request id, and none of whose faults gets out."""

    def __init__(self, app: ASGIApp, headers: tuple[tuple[bytes, bytes], ...]) -> None:
        self._app = app
        self._headers = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one HTTP request."""
        request_id = scope[REQUEST_ID] = request_id_of(headers_of(scope))
        is_started = False

        async def send_safely(message: Message) -> None:
            nonlocal is_started
            if message["type"] == "http.response.start":
                is_started = True
                message["headers"] = self._completed(message["headers"], request_id)
            await send(message)

        try:
            await self._app(scope, receive, send_safely)
        except Exception as error:
            if IS_MASKED in scope:
                return
            body = orjson.dumps({"errors": [masked(error, request_id)]})
            if is_started:
                return
            headers = [(b"content-type", MEDIA_TYPE_JSON.encode()), (b"content-length", b"%d" % len(body))]
            await send_safely({"type": "http.response.start", "status": 500, "headers": headers})
            await send_safely({"type": "http.response.body", "body": body})

    def _completed(self, given: Iterable[tuple[bytes, bytes]], request_id: str) -> list[tuple[bytes, bytes]]:
        headers = list(given)
        names = {name.lower() for name, _ in headers}
        return [
            *headers,
            (b"x-request-id", request_id.encode()),
            *((name, value) for name, value in self._headers if name not in names),
        ]
