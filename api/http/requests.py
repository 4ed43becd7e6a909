"""Reading a GraphQL request off the wire; what is not one is refused with a status and a sentence."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl

import orjson
from starlette.types import Receive, Scope

MEDIA_TYPE_GRAPHQL = "application/graphql-response+json"
MEDIA_TYPE_JSON = "application/json"
LENGTH_DIGITS_MAX = 18
"""How long a Content-Length is looked at: Python refuses to read numbers of thousands of digits."""

KNOWN_HEADERS_MAX = 256
"""How many values of a header are remembered with what they mean: clients send few different ones."""

_REFUSED = re.compile(r";q=0(\.0*)?(;|$)")
"""The weight of a media range that is not acceptable."""


class BadRequest(Exception):
    """This is no GraphQL request; ``status`` says why in HTTP's terms."""

    def __init__(self, status: int, message: str, code: str = "BAD_USER_INPUT", **headers: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.headers = headers


@dataclass(frozen=True, slots=True)
class GraphQLRequest:
    """The parameters of a GraphQL request."""

    query: str
    variables: dict[str, Any]
    operation_name: str | None


Headers = Mapping[bytes, bytes]
"""A request's headers by their names in small letters."""


def headers_of(scope: Scope) -> Headers:
    """The headers of a request; of several of one name the first."""
    return dict(reversed(scope["headers"]))


def header(headers: Headers, name: bytes) -> str | None:
    """The value of a header."""
    value = headers.get(name)
    return None if value is None else value.decode("latin-1")


@dataclass(frozen=True, slots=True)
class Answer:
    """How the client wants its answer. ``is_legacy``: it asked for application/json by name."""

    media_type: str
    is_legacy: bool

    @property
    def content_type(self) -> bytes:
        """The Content-Type of the answer."""
        return f"{self.media_type}; charset=utf-8".encode()


@lru_cache(maxsize=KNOWN_HEADERS_MAX)
def negotiate(accept: str | None) -> Answer:
    """The media type for an Accept header; raises BadRequest (406) where none of ours is accepted."""
    if accept is None:
        return Answer(MEDIA_TYPE_JSON, is_legacy=False)
    parts = ["".join(part.split()).lower() for part in accept.split(",")]
    ranges = [part.split(";")[0] for part in parts if not _REFUSED.search(part)]
    if MEDIA_TYPE_GRAPHQL in ranges:
        return Answer(MEDIA_TYPE_GRAPHQL, is_legacy=False)
    if MEDIA_TYPE_JSON in ranges:
        return Answer(MEDIA_TYPE_JSON, is_legacy=True)
    if "*/*" in ranges or "application/*" in ranges:
        return Answer(MEDIA_TYPE_JSON, is_legacy=False)
    raise BadRequest(406, f"The answer comes as {MEDIA_TYPE_GRAPHQL} or {MEDIA_TYPE_JSON}.")


async def read_request(scope: Scope, headers: Headers, receive: Receive, body_bytes_max: int) -> GraphQLRequest:
    """The request's parameters from its body or, for GET, its address; raises BadRequest."""
    if scope["method"] == "GET":
        return _from_address(scope["query_string"])
    if scope["method"] != "POST":
        raise BadRequest(405, "Send a POST, or a GET for a query.", Allow="GET, POST")
    if not _is_json(headers.get(b"content-type", b"")):
        raise BadRequest(415, f"Send the body as {MEDIA_TYPE_JSON} in UTF-8.")
    body = await _read_body(headers, receive, body_bytes_max)
    try:
        payload = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadRequest(400, f"The body is not JSON in UTF-8: {error}") from None
    return _check(payload)


@lru_cache(maxsize=KNOWN_HEADERS_MAX)
def _is_json(content_type: bytes) -> bool:
    """Whether a Content-Type says that the body is JSON in UTF-8."""
    media_type, _, parameters = content_type.decode("latin-1").lower().partition(";")
    charset = parameters.partition("charset=")[2].partition(";")[0].strip().strip('"')
    return media_type.strip() == MEDIA_TYPE_JSON and charset in ("", "utf-8", "utf8")


async def _read_body(headers: Headers, receive: Receive, bytes_max: int) -> bytes:
    length = header(headers, b"content-length")
    if length is not None and length.isdecimal() and (len(length) > LENGTH_DIGITS_MAX or int(length) > bytes_max):
        raise BadRequest(413, f"The body is too long; at most {bytes_max} bytes are read.")
    chunks, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise BadRequest(400, "The connection was closed before the body had come.")
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > bytes_max:
            raise BadRequest(413, f"The body is too long; at most {bytes_max} bytes are read.")
        chunks.append(chunk)
        if not message.get("more_body", False):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _from_address(query_string: bytes) -> GraphQLRequest:
    try:
        parameters = dict(
            parse_qsl(query_string.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=20)
        )
    except ValueError:
        raise BadRequest(400, "The address holds malformed parameters.") from None
    payload: dict[str, Any] = {name: parameters[name] for name in ("query", "operationName") if name in parameters}
    if payload.get("operationName") == "":
        del payload["operationName"]
    for name in ("variables", "extensions"):
        if parameters.get(name):
            try:
                payload[name] = orjson.loads(parameters[name])
            except orjson.JSONDecodeError as error:
                raise BadRequest(400, f"{name} is not JSON: {error}") from None
    return _check(payload)


def _check(payload: object) -> GraphQLRequest:
    if isinstance(payload, list):
        raise BadRequest(400, "Send one request at a time: batches are not taken.")
    if not isinstance(payload, dict):
        raise BadRequest(400, "The body must be a JSON object with a query.")
    query = payload.get("query")
    if not isinstance(query, str) or not query:
        raise BadRequest(400, "query: must be a text that holds a GraphQL document.")
    variables = payload.get("variables")
    if variables is not None and not isinstance(variables, dict):
        raise BadRequest(400, "variables: must be an object or null.")
    operation_name = payload.get("operationName")
    if operation_name is not None and not isinstance(operation_name, str):
        raise BadRequest(400, "operationName: must be a text or null.")
    extensions = payload.get("extensions")
    if extensions is not None and not isinstance(extensions, dict):
        raise BadRequest(400, "extensions: must be an object or null.")
    return GraphQLRequest(query, variables or {}, operation_name)
