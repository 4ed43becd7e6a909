"""What can go wrong, with the codes that clients see.

::

    DomainError                 the caller asked for something the rules refuse; nothing was written
    ├── Refused                 one or more problems, answered as ``userErrors``
    └── RequestError            the request as such is refused, answered as a top-level error
        ├── Unauthenticated
        ├── Forbidden
        ├── BadUserInput
        ├── QueryTooComplex
        └── TryAgain        nothing is wrong with the request: it may be sent again after ``retry_after`` seconds
            ├── RateLimited
            ├── TimedOut
            └── Unavailable
    ConfigurationError          the server must not start like this; the message names the setting
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class ErrorCode(StrEnum):
    """Why a write was refused."""

    INVALID_INPUT = "INVALID_INPUT"
    NOT_FOUND = "NOT_FOUND"
    ALREADY_EXISTS = "ALREADY_EXISTS"
    VERSION_CONFLICT = "VERSION_CONFLICT"
    IDEMPOTENCY_KEY_REUSED = "IDEMPOTENCY_KEY_REUSED"
    CAP_EXCEEDED = "CAP_EXCEEDED"
    NEGATIVE_AMOUNT = "NEGATIVE_AMOUNT"
    DUPLICATE_COMPANY = "DUPLICATE_COMPANY"
    COMPANY_NOT_FOUND = "COMPANY_NOT_FOUND"
    LIMIT_EXCEEDED = "LIMIT_EXCEEDED"
    INVALID_TRANSITION = "INVALID_TRANSITION"
    IMMUTABLE = "IMMUTABLE"
    APPROVAL_REQUIRED = "APPROVAL_REQUIRED"
    SELF_APPROVAL = "SELF_APPROVAL"
    OVERPAYMENT = "OVERPAYMENT"
    IN_PROGRESS = "IN_PROGRESS"


@dataclass(frozen=True, slots=True)
class Problem:
    """One reason for a refusal.

    ``field`` is the path within the input, in Python's spelling; ``index`` the position in a list of the input.
    """

    code: ErrorCode
    message: str
    field: tuple[str, ...] | None = None
    index: int | None = None
    expected: str | None = None
    actual: str | None = None


class DomainError(Exception):
    """The rules refuse what was asked; the transaction is rolled back."""


class Refused(DomainError):
    """A write was refused for the reasons in ``problems``."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("; ".join(f"{problem.code}: {problem.message}" for problem in problems))
        self.problems = tuple(problems)


def invalid(field: str, message: str, *, expected: str | None = None, actual: str | None = None) -> Problem:
    """An INVALID_INPUT problem of one field."""
    return Problem(ErrorCode.INVALID_INPUT, message, (field,), expected=expected, actual=actual)


def not_found(field: str, noun: str) -> Refused:
    """The refusal for an id that is unknown, malformed or another organization's: the three look the same."""
    return Refused([Problem(ErrorCode.NOT_FOUND, f"There is no such {noun}.", (field,))])


def version_conflict(expected: int, actual: int) -> Refused:
    """The refusal of a write that was made against an older version."""
    problem = Problem(
        ErrorCode.VERSION_CONFLICT,
        f"The version has moved from {expected} to {actual}. Read it again.",
        ("expected_version",),
        expected=str(expected),
        actual=str(actual),
    )
    return Refused([problem])


class RequestError(DomainError):
    """The request as such is refused; ``code`` goes into ``extensions.code``."""

    code = "BAD_USER_INPUT"


class Unauthenticated(RequestError):
    """No valid bearer token came with the request."""

    code = "UNAUTHENTICATED"


class Forbidden(RequestError):
    """The caller's role does not allow this."""

    code = "FORBIDDEN"


class BadUserInput(RequestError):
    """An argument is malformed or beyond its limit."""


class QueryTooComplex(RequestError):
    """The operation asks for more than it may."""

    code = "QUERY_TOO_COMPLEX"


class TryAgain(RequestError):
    """Nothing is wrong with the request: it may be sent again after so many seconds."""

    def __init__(self, message: str, retry_after: int = 1) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class RateLimited(TryAgain):
    """Too much was asked, by this caller or by all of them."""

    code = "RATE_LIMITED"


class TimedOut(TryAgain):
    """The operation, one of its statements or a lock took too long."""

    code = "TIMEOUT"


class Unavailable(TryAgain):
    """The database does not answer, or has no place left."""

    code = "UNAVAILABLE"


class ConfigurationError(Exception):
    """A setting is unsafe or impossible; the message names it and says what to change."""
