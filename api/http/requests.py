"""Reading a GraphQL request off the wire; what is not one is refused with a status and a sentence."""

import itertools
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
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

ADDRESS_PARAMETERS_MAX = 20
_JSON_PARAMETERS = ("variables", "extensions")

_PROCESS = secrets.token_hex(6)
_REQUEST_NUMBERS = itertools.count(1)


class BadRequest(Exception):
    """This is no GraphQL request; ``status`` says why in HTTP's terms."""

    def __init__(self, status: int, message: str, code: str = "BAD_USER_INPUT", **headers: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.headers = headers


@dataclass(frozen=True, slots=True)
class Naming:
    """How a request names its document: by its id, or by the extension ``persistedQuery``, not looked at here."""

    document_id: str | None
    persisted_query: Any


@dataclass(slots=True)
class GraphQLRequest:
    """The parameters of a GraphQL request. ``query`` may be empty where ``naming`` tells the document."""

    query: str
    variables: dict[str, Any]
    operation_name: str | None
    naming: Naming | None = None


Headers = Mapping[bytes, bytes]
"""A request's headers by their names in small letters."""


def headers_of(scope: Scope) -> Headers:
    """The headers of a request; of several of one name the first, but all of Accept, which is a list."""
    given = scope["headers"]
    found: dict[bytes, bytes] = dict(reversed(given))
    if len(found) != len(given) and b"accept" in found:
        found[b"accept"] = b",".join(value for name, value in given if name == b"accept")
    return found


def header(headers: Headers, name: bytes) -> str | None:
    """The value of a header."""
    value = headers.get(name)
    return None if value is None else value.decode("latin-1")


def request_id_of(headers: Headers) -> str:
    """The client's request id where it is a harmless one, else a new one."""
    given = header(headers, b"x-request-id")
    if given is not None and 1 <= len(given) <= 64 and given.isascii() and given.replace("-", "").isalnum():
        return given
    return f"{_PROCESS}{next(_REQUEST_NUMBERS):012x}"


@dataclass(frozen=True, slots=True)
class Answer:
    """How the client wants its answer. ``is_legacy``: it asked for application/json by name."""

    media_type: str
    is_legacy: bool
    content_type: bytes = field(init=False)

    def __post_init__(self) -> None:
        """Writes the Content-Type of the answer."""
        object.__setattr__(self, "content_type", f"{self.media_type}; charset=utf-8".encode())


@lru_cache(maxsize=KNOWN_HEADERS_MAX)
def negotiate(accept: str | None) -> Answer:
    """The media type for an Accept header; raises BadRequest (406) where none of ours is accepted.

    The heavier weight wins, then what is named before what a wildcard covers. GraphQL's own type is taken before
    application/json where both are named alike, and the other way round where a wildcard covers both.
    """
    if accept is None:
        return Answer(MEDIA_TYPE_JSON, is_legacy=False)
    weights = media_ranges(accept)
    graphql, json = _wish(weights, MEDIA_TYPE_GRAPHQL), _wish(weights, MEDIA_TYPE_JSON)
    if not graphql[0] and not json[0]:
        raise BadRequest(406, f"The answer comes as {MEDIA_TYPE_GRAPHQL} or {MEDIA_TYPE_JSON}.")
    if graphql > json or (graphql == json and MEDIA_TYPE_GRAPHQL in weights):
        return Answer(MEDIA_TYPE_GRAPHQL, is_legacy=False)
    return Answer(MEDIA_TYPE_JSON, is_legacy=MEDIA_TYPE_JSON in weights)


def media_ranges(accept: str) -> dict[str, float]:
    """The media ranges of an Accept header with their weights; one that cannot be read is 1."""
    weights: dict[str, float] = {}
    for part in accept.split(","):
        name, *parameters = "".join(part.split()).lower().split(";")
        weight = next((text[2:] for text in parameters if text.startswith("q=")), "1")
        weights[name] = max(weights.get(name, 0.0), _weight(weight))
    return weights


def _weight(text: str) -> float:
    is_number = text.isascii() and len(text) <= LENGTH_DIGITS_MAX and text.replace(".", "", 1).isdigit()
    return min(float(text), 1.0) if is_number else 1.0


def _wish(weights: Mapping[str, float], media_type: str) -> tuple[float, int]:
    """The weight of a media type, and how closely it was named: by the closest of the ranges that hold it."""
    for closeness, name in ((2, media_type), (1, "application/*"), (0, "*/*")):
        if name in weights:
            return weights[name], closeness
    return 0.0, 0


async def read_request(
    scope: Scope, headers: Headers, receive: Receive, body_bytes_max: int, batch_requests_max: int = 0
) -> GraphQLRequest | list[GraphQLRequest]:
    """The request's parameters from its body or, for GET, its address; raises BadRequest.

    A list of requests, where as many may come at once; an address holds one.
    """
    if scope["method"] == "GET":
        return _from_address(scope["query_string"])
    if scope["method"] != "POST":
        raise BadRequest(405, "Send a POST, or a GET for a query.", Allow="GET, POST")
    if not is_json(headers.get(b"content-type", b"")):
        raise BadRequest(415, f"Send the body as {MEDIA_TYPE_JSON} in UTF-8.")
    body = await _read_body(headers, receive, body_bytes_max)
    try:
        payload = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadRequest(400, f"The body is not JSON in UTF-8: {error}") from None
    if batch_requests_max and isinstance(payload, list):
        if not 1 <= len(payload) <= batch_requests_max:
            raise BadRequest(400, f"A batch holds 1 to {batch_requests_max} requests, not {len(payload)}.")
        return [check_request(request) for request in payload]
    return check_request(payload)


@lru_cache(maxsize=KNOWN_HEADERS_MAX)
def is_json(content_type: bytes) -> bool:
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
            parse_qsl(
                query_string.decode("ascii"),
                keep_blank_values=True,
                errors="strict",
                max_num_fields=ADDRESS_PARAMETERS_MAX,
            )
        )
    except ValueError:
        raise BadRequest(400, "The address holds malformed parameters.") from None
    payload: dict[str, Any] = {
        name: parameters[name] for name in ("query", "documentId", "operationName") if parameters.get(name)
    }
    for name in _JSON_PARAMETERS:
        if parameters.get(name):
            try:
                payload[name] = orjson.loads(parameters[name])
            except orjson.JSONDecodeError as error:
                raise BadRequest(400, f"{name} is not JSON: {error}") from None
    return check_request(payload)


def check_request(payload: object) -> GraphQLRequest:
    """The request in a decoded body; raises BadRequest."""
    if isinstance(payload, list):
        raise BadRequest(400, "Send one request at a time: batches are not taken.")
    if not isinstance(payload, dict):
        raise BadRequest(400, "The body must be a JSON object with a query.")
    query = payload.get("query")
    variables = payload.get("variables")
    if variables is not None and not isinstance(variables, dict):
        raise BadRequest(400, "variables: must be an object or null.")
    operation_name = payload.get("operationName")
    if operation_name is not None and not isinstance(operation_name, str):
        raise BadRequest(400, "operationName: must be a text or null.")
    extensions = payload.get("extensions")
    if extensions is not None and not isinstance(extensions, dict):
        raise BadRequest(400, "extensions: must be an object or null.")
    document_id = payload.get("documentId")
    persisted_query = extensions.get("persistedQuery") if extensions else None
    if document_id is None and persisted_query is None:
        if not isinstance(query, str) or not query:
            raise BadRequest(400, "query: must be a text that holds a GraphQL document.")
        return GraphQLRequest(query, variables or {}, operation_name)
    if not isinstance(query, str | None):
        raise BadRequest(400, "query: must be a text that holds a GraphQL document, or null where it is only named.")
    if not isinstance(document_id, str | None) or document_id == "":
        raise BadRequest(400, "documentId: must be a text that names a document.")
    if document_id is not None and (query or persisted_query is not None):
        raise BadRequest(400, "documentId: must be the only thing that tells the document.")
    return GraphQLRequest(query or "", variables or {}, operation_name, Naming(document_id, persisted_query))
