"""Coercing values of input types, with what a type asks for worked out once: graphql-core does so for every value anew.

Whatever does not fit raises, and graphql-core then says what is wrong.
"""

from collections.abc import Callable
from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLList,
    GraphQLNonNull,
    Undefined,
    get_nullable_type,
    is_required_input_field,
)
from graphql.utilities.coerce_input_value import coerce_default_value

Coerce = Callable[[Any], Any]


class Unfit(Exception):
    """The value is not one of the type."""


def coercer(type_: GraphQLInputType) -> Coerce:
    """What makes the value that resolvers get of a value as it was sent; raises Unfit, or what the scalar raises."""
    coerce, is_nullable = _of_present(get_nullable_type(type_)), not isinstance(type_, GraphQLNonNull)

    def coerce_any(value: Any) -> Any:
        if value is None:
            if is_nullable:
                return None
            raise Unfit
        return coerce(value)

    return coerce_any


def _of_present(type_: Any) -> Coerce:
    """The same for values that are not null."""
    if isinstance(type_, GraphQLList):
        return _of_list(coercer(type_.of_type), _of_present(get_nullable_type(type_.of_type)))
    if isinstance(type_, GraphQLInputObjectType):
        return _of_object(type_)
    if isinstance(type_, GraphQLEnumType):
        return _of_enum(type_)
    coerce: Coerce = type_.coerce_input_value
    return coerce


def _of_list(coerce_any: Coerce, coerce: Coerce) -> Coerce:
    def coerce_list(value: Any) -> Any:
        if type(value) is not list:
            # One item without brackets, or nothing that a list could be made of.
            raise Unfit
        return [coerce_any(item) for item in value] if None in value else [coerce(item) for item in value]

    return coerce_list


def _of_enum(type_: GraphQLEnumType) -> Coerce:
    values = {name: type_.coerce_input_value(name) for name in type_.values}

    def coerce_name(value: Any) -> Any:
        if type(value) is not str or value not in values:
            raise Unfit
        return values[value]

    return coerce_name


def _of_object(type_: GraphQLInputObjectType) -> Coerce:
    # Looked at when the first value comes, for a type may hold itself.
    fields: list[tuple[str, str, Coerce, bool, bool, Any]] = []

    def coerce_object(value: Any) -> Any:
        if type(value) is not dict or type_.is_one_of:
            raise Unfit
        if not fields:
            fields.extend(_fields(type_))
        made: dict[str, Any] = {}
        missing = 0
        for name, out_name, coerce, is_nullable, is_required, default in fields:
            given = value.get(name, Undefined)
            if given is Undefined:
                if is_required:
                    raise Unfit
                missing += 1
                if default is not Undefined:
                    made[out_name] = default
            elif given is None:
                if not is_nullable:
                    raise Unfit
                made[out_name] = None
            else:
                made[out_name] = coerce(given)
        if len(value) + missing != len(fields):
            raise Unfit
        return type_.out_type(made)

    return coerce_object


def _fields(type_: GraphQLInputObjectType) -> list[tuple[str, str, Coerce, bool, bool, Any]]:
    return [
        (
            name,
            field.out_name or name,
            _of_present(get_nullable_type(field.type)),
            not isinstance(field.type, GraphQLNonNull),
            is_required_input_field(field),
            coerce_default_value(field),
        )
        for name, field in type_.fields.items()
    ]
