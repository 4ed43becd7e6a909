"""What is counted and logged of each operation, whichever way it came."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from graphql import OperationType

from api import metrics
from api.graphql.context import SignedIn
from api.http.documents import Operation

OPERATION_NAMES_MAX = 200
"""How many names of operations the metrics tell apart: clients choose the names."""
NAME_CHARACTERS_MAX = 200
"""How much of an operation's name is logged; the metrics take no name that is longer than half of it."""

logger = structlog.get_logger("tranche.operation")
_names: set[str] = set()


def count_errors(body: Mapping[str, Any]) -> Sequence[str]:
    """Counts the errors of a response by their codes, and returns these."""
    if "errors" not in body:
        return ()
    codes = [error["extensions"]["code"] for error in body["errors"]]
    for code in codes:
        metrics.ERRORS.labels(code).inc()
    return codes


def report(
    operation: Operation | None,
    signed_in: SignedIn | None,
    request_id: str,
    seconds: float,
    codes: Sequence[str],
    **more: object,
) -> None:
    """Notes that an operation was answered, None where none was found in what was asked.

    ``more`` is logged as it is. The time that a subscription was open says nothing of how fast it was answered.
    """
    type_name = operation.type.value if operation else "none"
    if operation is None or operation.type is not OperationType.SUBSCRIPTION:
        metrics.operation_seconds(_label(operation), type_name).observe(seconds)
    if not logger.is_enabled_for(logging.INFO):
        return
    principal = signed_in and signed_in.principal
    logger.info(
        "operation",
        request_id=request_id,
        operation=operation and operation.name and operation.name[:NAME_CHARACTERS_MAX],
        type=type_name,
        user_id=principal and principal.user_id,
        api_key_id=principal and principal.api_key_id,
        organization_id=principal and principal.organization_id,
        codes=list(codes),
        duration_ms=round(seconds * 1000, 2),
        **more,
    )


def _label(operation: Operation | None) -> str:
    """The operation's name, while there are not too many of them."""
    if operation is None or operation.name is None:
        return "anonymous"
    if operation.name not in _names:
        if len(_names) >= OPERATION_NAMES_MAX or len(operation.name) > NAME_CHARACTERS_MAX // 2:
            return "other"
        _names.add(operation.name)
    return operation.name
