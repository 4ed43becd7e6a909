"""The /graphql endpoint, a bare ASGI application: request in, principal, document, execution, bytes out."""

import itertools
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
import structlog
from graphql import OperationType
from starlette.types import Receive, Scope, Send

from api import metrics
from api.errors import Unauthenticated
from api.graphql.context import SignedIn
from api.http.authentication import Authenticator
from api.http.documents import Document, Documents, Operation
from api.http.operations import Operations, format_error, masked
from api.http.requests import (
    Answer,
    BadRequest,
    GraphQLRequest,
    Headers,
    header,
    headers_of,
    negotiate,
    read_request,
)

OPERATION_NAMES_MAX = 200

_PROCESS = secrets.token_hex(6)
_REQUEST_NUMBERS = itertools.count(1)

logger = structlog.get_logger("tranche.operation")


@dataclass(slots=True)
class Reply:
    """What goes back: a status, the GraphQL response, and what the log is told of it."""

    status: int
    body: Mapping[str, Any]
    headers: Mapping[str, str]
    operation: Operation | None = None
    signed_in: SignedIn | None = None

    @property
    def codes(self) -> list[str]:
        """The codes of the errors in the response."""
        return [error["extensions"]["code"] for error in self.body.get("errors", ())]


class GraphQLEndpoint:
    """Answers GraphQL over HTTP."""

    def __init__(
        self,
        operations: Operations,
        documents: Documents,
        authenticator: Authenticator,
        *,
        body_bytes_max: int,
        shows_debug: bool,
    ) -> None:
        self.operations = operations
        self.authenticator = authenticator
        self.documents = documents
        self.body_bytes_max = body_bytes_max
        self.shows_debug = shows_debug
        self._names: set[str] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        started = time.perf_counter()
        given = headers_of(scope)
        request_id = _request_id(given)
        try:
            answer = negotiate(header(given, b"accept"))
        except BadRequest as error:
            answer, reply = Answer("application/json", is_legacy=False), _refusal(error)
        else:
            reply = await self._answer(scope, given, receive, request_id, answer)
        body = orjson.dumps(reply.body, option=orjson.OPT_UTC_Z)
        headers = [
            (b"content-type", answer.content_type),
            (b"content-length", b"%d" % len(body)),
            (b"x-request-id", request_id.encode()),
            (b"cache-control", b"no-store"),
            *((name.lower().encode(), value.encode()) for name, value in reply.headers.items()),
        ]
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})
        self._report(reply, request_id, time.perf_counter() - started)

    async def _answer(self, scope: Scope, headers: Headers, receive: Receive, request_id: str, answer: Answer) -> Reply:
        try:
            request = await read_request(scope, headers, receive, self.body_bytes_max)
            signed_in = await self.authenticator.sign_in(header(headers, b"authorization"))
            document = self.documents.get(request.query)
            if document.errors:
                errors = [format_error(error, request_id, document.error_code) for error in document.errors]
                return Reply(200 if answer.is_legacy else 400, {"errors": errors}, {}, signed_in=signed_in)
            operation = _choose(document, request, scope["method"], signed_in)
        except BadRequest as error:
            return _refusal(error)
        except Unauthenticated as error:
            body = {"errors": [{"message": str(error), "extensions": {"code": error.code}}]}
            return Reply(401, body, {"WWW-Authenticate": "Bearer"})
        except Exception as error:
            return Reply(500, {"errors": [masked(error, request_id)]}, {})
        debug = self.shows_debug and b"x-tranche-debug" in headers
        result = await self.operations.run(document, operation, request, signed_in, request_id, debug=debug)
        status = result.status
        if status == 400 and answer.is_legacy:
            status = 200
        return Reply(status, result.body, {}, operation, signed_in)

    def _report(self, reply: Reply, request_id: str, seconds: float) -> None:
        operation, codes = reply.operation, reply.codes
        for code in codes:
            metrics.ERRORS.labels(code).inc()
        type_name = operation.type.value if operation else "none"
        metrics.operation_seconds(self._label(operation), type_name).observe(seconds)
        logger.info(
            "operation",
            request_id=request_id,
            operation=operation and operation.name,
            type=type_name,
            user_id=reply.signed_in and reply.signed_in.principal.user_id,
            organization_id=reply.signed_in and reply.signed_in.principal.organization_id,
            status=reply.status,
            codes=codes,
            duration_ms=round(seconds * 1000, 2),
        )

    def _label(self, operation: Operation | None) -> str:
        """The operation's name, while there are not too many of them: clients choose the names."""
        if operation is None or operation.name is None:
            return "anonymous"
        if operation.name not in self._names:
            if len(self._names) >= OPERATION_NAMES_MAX or len(operation.name) > 100:
                return "other"
            self._names.add(operation.name)
        return operation.name


def _choose(document: Document, request: GraphQLRequest, method: str, signed_in: SignedIn | None) -> Operation:
    operation = document.operation(request.operation_name)
    if operation is None:
        names = ", ".join(operation.name or "(anonymous)" for operation in document.operations)
        raise BadRequest(400, f"operationName: must name one of the document's operations: {names}.")
    if method == "GET" and operation.type is not OperationType.QUERY:
        raise BadRequest(405, "A GET may only query.", Allow="POST")
    if operation.type is OperationType.SUBSCRIPTION:
        raise BadRequest(400, "Subscriptions are not taken over plain HTTP.")
    if signed_in is None and not operation.is_public:
        raise Unauthenticated("Send a bearer token in the Authorization header.")
    return operation


def _refusal(error: BadRequest) -> Reply:
    body = {"errors": [{"message": error.message, "extensions": {"code": error.code}}]}
    return Reply(error.status, body, error.headers)


def _request_id(headers: Headers) -> str:
    """The client's request id where it is a harmless one, else a new one."""
    given = header(headers, b"x-request-id")
    if given is not None and 1 <= len(given) <= 64 and given.isascii() and given.replace("-", "").isalnum():
        return given
    return f"{_PROCESS}{next(_REQUEST_NUMBERS):012x}"
