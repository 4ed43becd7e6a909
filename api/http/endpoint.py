"""The /graphql endpoint, a bare ASGI application: request in, principal, document, execution, bytes out."""

import time
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import orjson
from graphql import OperationType
from starlette.types import Receive, Scope, Send

from api.errors import Unauthenticated
from api.graphql.context import CLIENT, SignedIn
from api.http.authentication import Authenticator
from api.http.connections import send_whole
from api.http.cross_origin import CrossOrigin
from api.http.documents import NEEDS_A_TOKEN, Document, Documents, Operation
from api.http.error_answers import format_error, masked
from api.http.live.answers import Answers, Body, one
from api.http.live.guard import Caller
from api.http.live.streams import NO_STREAM, Format, Streams, Wanted, wanted
from api.http.operations import Operations, failed
from api.http.persisted_documents import NOT_FOUND, PersistedDocuments
from api.http.reading import read
from api.http.reports import count_errors, report
from api.http.requests import (
    KNOWN_HEADERS_MAX,
    MEDIA_TYPE_JSON,
    Answer,
    BadRequest,
    GraphQLRequest,
    Headers,
    header,
    headers_of,
    negotiate,
    read_request,
    refuse_repeated,
    request_id_of,
)
from api.http.security_headers import ALWAYS

PLAIN_JSON = Answer(MEDIA_TYPE_JSON, is_legacy=False)


@dataclass(slots=True)
class Reply:
    """What goes back: a status, the GraphQL response, and what the log is told of it."""

    status: int
    body: Mapping[str, Any]
    headers: Mapping[str, str]
    operation: Operation | None = None
    signed_in: SignedIn | None = None
    stream: tuple[Format, AsyncGenerator[Body, None]] | None = None


@dataclass(frozen=True, slots=True)
class Edge:
    """What the settings tell the endpoint. ``headers`` go on every answer."""

    body_bytes_max: int
    batch_requests_max: int = 0
    shows_debug: bool = False
    headers: tuple[tuple[bytes, bytes], ...] = ALWAYS
    cross_origin: CrossOrigin = field(default_factory=CrossOrigin)
    persisted: PersistedDocuments = field(default_factory=PersistedDocuments)


class GraphQLEndpoint:
    """Answers GraphQL over HTTP."""

    def __init__(
        self,
        operations: Operations,
        documents: Documents,
        authenticator: Authenticator,
        edge: Edge,
        answers: Answers,
        streams: Streams,
    ) -> None:
        self.operations = operations
        self.answers = answers
        self.streams = streams
        self.authenticator = authenticator
        self.documents = documents
        self.edge = edge

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one HTTP request."""
        started = time.perf_counter()
        CLIENT.set(scope.get("client"))
        given = headers_of(scope)
        request_id = request_id_of(given)
        method = scope["method"]
        if method == "OPTIONS" and await self._answer_preflight(given, request_id, send):
            return
        answer, replies = PLAIN_JSON, None
        try:
            if len(given) != len(scope["headers"]):
                refuse_repeated(scope["headers"])
            stream, answer = _formats(given.get(b"accept"))
            if method == "GET":
                self.edge.cross_origin.refuse_forgery(given)
            asked = await read_request(scope, given, receive, self.edge.body_bytes_max, self.edge.batch_requests_max)
            if isinstance(asked, list):
                answer = PLAIN_JSON
                replies = [
                    await self._answer(method, given, request, request_id, answer, NO_STREAM) for request in asked
                ]
                reply = Reply(200, {}, {})
                body = orjson.dumps([reply.body for reply in replies], option=orjson.OPT_UTC_Z)
            else:
                reply = await self._answer(method, given, asked, request_id, answer, stream)
                body = orjson.dumps(reply.body, option=orjson.OPT_UTC_Z)
        except BadRequest as error:
            reply = _refusal(error, answer)
            body = orjson.dumps(reply.body)
        except Exception as error:
            reply = Reply(500, {"errors": [masked(error, request_id)]}, {})
            body = orjson.dumps(reply.body)
        headers = [
            (b"content-type", answer.content_type),
            (b"content-length", b"%d" % len(body)),
            (b"x-request-id", request_id.encode()),
            *self.edge.headers,
        ]
        if b"origin" in given:
            headers += self.edge.cross_origin.headers(given[b"origin"])
        if reply.headers:
            headers += [(name.lower().encode(), value.encode()) for name, value in reply.headers.items()]
        if reply.stream is not None:
            caller = Caller(header(given, b"authorization"), reply.signed_in)
            await self.streams.send(*reply.stream, headers, caller, receive, send)
            return
        await send_whole(scope, send, reply.status, headers, b"" if method == "HEAD" else body)
        seconds = time.perf_counter() - started
        for answered in (reply,) if replies is None else replies:
            codes = count_errors(answered.body)
            report(answered.operation, answered.signed_in, request_id, seconds, codes, status=answered.status)

    async def _answer(
        self,
        method: str,
        headers: Headers,
        request: GraphQLRequest,
        request_id: str,
        answer: Answer,
        stream: Wanted,
    ) -> Reply:
        signed_in, refused = None, None
        try:
            try:
                signed_in = await self.authenticator.sign_in(header(headers, b"authorization"))
            except Unauthenticated as error:
                refused = error
            persisted = self.edge.persisted
            text = (
                request.query if request.naming is None and not persisted.only_trusted else persisted.text_of(request)
            )
            document = await read(self.documents, self.operations.rates, text, signed_in)
            if document.errors:
                if refused is not None:
                    raise refused
                errors = [format_error(error, request_id, document.error_code) for error in document.errors]
                reply = Reply(200 if answer.is_legacy else 400, {"errors": errors}, {}, signed_in=signed_in)
                if stream.single is not None:
                    reply.stream = stream.single, one(reply.body)
                return reply
            operation = _choose(document, request, method, signed_in, stream)
            # To sign in and to refresh a session, clients send the token of before, which has ended.
            if refused is not None and operation.type is not OperationType.MUTATION:
                raise refused
            if request.naming is not None:
                persisted.keep(request, is_signed_in=signed_in is not None)
        except BadRequest as error:
            return _refusal(error, answer, signed_in)
        except Unauthenticated as error:
            body = {"errors": [{"message": str(refused or error), "extensions": {"code": error.code}}]}
            return Reply(401, body, {"WWW-Authenticate": "Bearer"})
        except Exception as error:
            result = failed(error, request_id)
            return Reply(result.status, result.body, result.headers, signed_in=signed_in)
        chosen = stream.subscription if operation.type is OperationType.SUBSCRIPTION else stream.single
        if chosen is not None:
            bodies = self.answers.bodies(document, operation, request, signed_in, request_id)
            return Reply(200, {}, {}, operation, signed_in, stream=(chosen, bodies))
        debug = self.edge.shows_debug and b"x-tranche-debug" in headers
        shows_cost = b"x-tranche-cost" in headers
        result = await self.operations.run(
            document, operation, request, signed_in, request_id, debug=debug, shows_cost=shows_cost
        )
        status = result.status
        if status == 400 and answer.is_legacy:
            status = 200
        return Reply(status, result.body, result.headers, operation, signed_in)

    async def _answer_preflight(self, headers: Headers, request_id: str, send: Send) -> bool:
        """Permits what another origin's page is about to ask; False where this is no preflight, or not permitted."""
        permission = self.edge.cross_origin.preflight(headers)
        if permission is None:
            return False
        sent = [(b"x-request-id", request_id.encode()), *self.edge.headers, *permission]
        await send({"type": "http.response.start", "status": 204, "headers": sent})
        await send({"type": "http.response.body", "body": b""})
        return True


@lru_cache(maxsize=KNOWN_HEADERS_MAX)
def _formats(accept: bytes | None) -> tuple[Wanted, Answer]:
    """In which formats the client takes a stream, and in which a single answer; raises BadRequest (406)."""
    text = None if accept is None else accept.decode("latin-1")
    stream = wanted(text)
    return stream, PLAIN_JSON if stream.single else negotiate(text)


def _choose(
    document: Document, request: GraphQLRequest, method: str, signed_in: SignedIn | None, stream: Wanted
) -> Operation:
    operation = document.operation(request.operation_name)
    if operation is None:
        names = ", ".join(operation.name or "(anonymous)" for operation in document.operations)
        raise BadRequest(400, f"operationName: must name one of the document's operations: {names}.")
    is_streamed = operation.type is OperationType.SUBSCRIPTION and stream.subscription is not None
    if method == "GET" and operation.type is not OperationType.QUERY and not is_streamed:
        raise BadRequest(405, "A GET may only query.", Allow="POST")
    if operation.type is OperationType.SUBSCRIPTION and not is_streamed:
        raise BadRequest(
            400, "Subscriptions are answered over a WebSocket, or as text/event-stream where Accept asks for it."
        )
    if signed_in is None and not operation.is_public:
        raise Unauthenticated(NEEDS_A_TOKEN)
    return operation


def _refusal(error: BadRequest, answer: Answer, signed_in: SignedIn | None = None) -> Reply:
    """The reply that refuses a request.

    A document that is not known yet is part of the protocol by which clients name it: no failure of HTTP's, unless the
    media type wants one for every answer without data.
    """
    status = 200 if error.message == NOT_FOUND and answer.media_type == MEDIA_TYPE_JSON else error.status
    body = {"errors": [{"message": error.message, "extensions": {"code": error.code}}]}
    return Reply(status, body, error.headers, signed_in=signed_in)
