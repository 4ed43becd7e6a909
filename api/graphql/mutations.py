"""What every mutation shares: running a command, and answering a refusal as ``userErrors``."""

from collections.abc import Awaitable, Callable, Hashable
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from inspect import isawaitable
from typing import Any, TypeVar, cast

import strawberry
from graphql import GraphQLObjectType, GraphQLResolveInfo, default_field_resolver
from pydantic import TypeAdapter
from strawberry.utils.str_converters import to_camel_case

from api import metrics
from api.domain.access import PUBLIC_MUTATIONS
from api.errors import ErrorCode, Problem, Refused, not_found
from api.graphql.context import Info
from api.graphql.enums import describe
from api.reads import global_ids
from api.services.commands import Command, Outcome
from api.services.idempotency import claim_for

T = TypeVar("T")

KEY_DESCRIPTION = "1 to 128 characters; see the README."
REPLAYED_DESCRIPTION = "Whether an earlier request with the key made it."

ERROR_CODE_DESCRIPTIONS = {
    ErrorCode.INVALID_INPUT: "A field is malformed or beyond its limit.",
    ErrorCode.NOT_FOUND: "There is no such object, or it is another organization's.",
    ErrorCode.ALREADY_EXISTS: "Something of this identity exists already.",
    ErrorCode.VERSION_CONFLICT: "It has changed since you read it; expected and actual tell the versions.",
    ErrorCode.IDEMPOTENCY_KEY_REUSED: "The key came with another input before.",
    ErrorCode.CAP_EXCEEDED: "Planned reserves above the company's cap.",
    ErrorCode.NEGATIVE_AMOUNT: "An amount that must not be negative is.",
    ErrorCode.DUPLICATE_COMPANY: "A company is listed more than once.",
    ErrorCode.COMPANY_NOT_FOUND: "The fund has no such company.",
    ErrorCode.LIMIT_EXCEEDED: "A total is beyond 64 bits.",
    ErrorCode.INVALID_TRANSITION: "This status does not follow from the present one.",
    ErrorCode.IMMUTABLE: "This can no longer be changed.",
    ErrorCode.APPROVAL_REQUIRED: "Someone has to approve this first.",
    ErrorCode.SELF_APPROVAL: "Nobody approves what is their own.",
    ErrorCode.OVERPAYMENT: "More than is outstanding.",
    ErrorCode.IN_PROGRESS: "A request with the same key is still being answered.",
}

GraphQLErrorCode = describe(ErrorCode, "ErrorCode", "Why a write was refused.", ERROR_CODE_DESCRIPTIONS)


@strawberry.type(description="One reason why a write was refused. Where there is any, nothing was written.")
class UserError:
    """One reason why a write was refused."""

    code: GraphQLErrorCode = strawberry.field(description="What kind of reason.")  # type: ignore[valid-type]
    message: str = strawberry.field(description="The reason in a sentence, for people.")
    field: list[str] | None = strawberry.field(description="The path of the field within the input.")
    index: int | None = strawberry.field(description="The position in a list of the input, from 0.")
    expected: str | None = strawberry.field(description="What was expected: a version, a limit.")
    actual: str | None = strawberry.field(description="What was found instead.")


@strawberry.interface(description="The answer of a mutation.")
class Payload:
    """The answer of a mutation."""

    user_errors: list[UserError] = strawberry.field(
        description="Why it was refused; not empty means that nothing was written.", default_factory=list
    )


def user_error(problem: Problem) -> UserError:
    """A problem in GraphQL's spelling."""
    metrics.ERRORS.labels(problem.code.value).inc()
    return UserError(
        code=problem.code,
        message=problem.message,
        field=None if problem.field is None else [to_camel_case(part) for part in problem.field],
        index=problem.index,
        expected=problem.expected,
        actual=problem.actual,
    )


def given(value: Any) -> dict[str, Any]:
    """The fields of an input that the caller gave, without the key: enums by name, inputs within as dictionaries."""
    return {
        name: _plain(one)
        for name in _names(cast("Hashable", type(value)))
        if (one := getattr(value, name)) is not strawberry.UNSET
    }


@cache
def _names(input_type: Any) -> tuple[str, ...]:
    return tuple(field.name for field in fields(input_type) if field.name != "idempotency_key")


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, Enum):
        return value.name
    return given(value) if is_dataclass(value) else value


def row_id(type_name: str, global_id: str, field: str, noun: str) -> int:
    """The row's id behind a global id of this type; raises Refused (NOT_FOUND) where it cannot be one."""
    decoded = global_ids.decode_as(type_name, global_id)
    if decoded is None:
        raise not_found(field, noun)
    return decoded


@cache
def _adapter(result_type: Hashable) -> TypeAdapter[Any]:
    return TypeAdapter(cast("type[Any]", result_type))


async def write(
    info: Info,
    work: Callable[[Command], Awaitable[T]],
    result_type: type[T],
    *,
    key: str | None = None,
    input_given: object = None,
    parent: str = "",
) -> Outcome[T]:
    """Runs a command named like the mutation's field; what is read afterwards sees its effect. Raises Refused.

    Of the rows that it wrote, the payload shows what it made of them, whoever has changed them since the commit.
    """
    context = info.context
    mutation = info._raw_info.field_name
    try:
        outcome = await context.writer.run(
            context.principal,
            mutation,
            work,
            result_type=_adapter(cast("Hashable", result_type)),
            claim=claim_for(key, input_given, parent=parent),
            request_id=context.request_id,
        )
    finally:
        await context.loaders.reset()
    context.loaders.hold(outcome.written)
    return outcome


def authorise_first(mutation: GraphQLObjectType) -> None:
    """Makes every field of the root type authorise its caller before anything of the input is looked at."""
    for name, field in mutation.fields.items():
        if name in PUBLIC_MUTATIONS:
            continue
        field.resolve = _authorised(name, field.resolve or default_field_resolver)


def _authorised(name: str, resolve: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
    async def authorised(source: Any, info: GraphQLResolveInfo[Any], **arguments: Any) -> Any:
        await info.context.authorise(name)
        result = resolve(source, info, **arguments)
        return await result if isawaitable(result) else result

    return authorised


P = TypeVar("P", bound=Payload)


def refusal(payload: type[P], refused: Refused) -> P:
    """A payload that holds nothing but the reasons."""
    return payload(user_errors=[user_error(problem) for problem in refused.problems])
