"""Errors as they go into a response."""

from typing import Any

import structlog
from graphql import GraphQLError

from api.db.faults import fault_of
from api.errors import Refused, RequestError
from api.http.documents import brief

logger = structlog.get_logger("tranche.operation")


def format_error(error: GraphQLError, request_id: str, code: str = "BAD_USER_INPUT") -> dict[str, Any]:
    """An error as it goes into the response; what is not the client's fault is masked, and logged in full."""
    original = error.original_error
    formatted: dict[str, Any] = {"message": brief(error.message)}
    fault = fault_of(original)
    if isinstance(original, RequestError):
        code = original.code
    elif isinstance(original, Refused):
        code = original.problems[0].code.value
        formatted["message"] = original.problems[0].message
    elif fault is not None:
        logger.warning("database_fault", request_id=request_id, error=repr(original))
        code = fault.code
        formatted["message"] = str(fault)
    elif original is not None and not isinstance(original, GraphQLError):
        formatted = masked(original, request_id)
        code = "INTERNAL_SERVER_ERROR"
    if error.locations:
        formatted["locations"] = [location.formatted for location in error.locations]
    if error.path:
        formatted["path"] = error.path
    formatted["extensions"] = {**formatted.get("extensions", {}), "code": code}
    return formatted


def masked(error: BaseException, request_id: str) -> dict[str, Any]:
    """What is told of a fault of ours; the log gets all of it."""
    logger.error("internal_error", request_id=request_id, exc_info=error)
    return {
        "message": f"The server failed. The log knows more under request {request_id}.",
        "extensions": {"code": "INTERNAL_SERVER_ERROR", "requestId": request_id},
    }
