"""Strict scalars: 64-bit integers and decimals as strings, dates and times as written, nothing through a float."""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, NewType

import strawberry
from graphql import GraphQLError, GraphQLString, ValueNode, print_ast
from graphql.language import FloatValueNode, IntValueNode, StringValueNode
from strawberry.types.scalar import ScalarDefinition

from api.domain.dates import DATE_MAX, DATE_MIN, read_date
from api.domain.money import CENTS_MAX, CENTS_MIN, Cents, is_currency

BigInt = NewType("BigInt", int)
CurrencyCode = NewType("CurrencyCode", str)
JSON = NewType("JSON", object)

DECIMAL_LENGTH_MAX = 40

_INTEGER = re.compile(r"-?(0|[1-9][0-9]*)", re.ASCII)
_DECIMAL = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?", re.ASCII)
_DATE_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?([Zz]|[+-][0-9]{2}:[0-9]{2})", re.ASCII
)


def decimal_text(value: Decimal) -> str:
    """A decimal in plain notation without trailing zeros: equal values have equal texts."""
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def date_time_text(value: datetime) -> str:
    """RFC 3339 in UTC as PostgreSQL writes it in JSON: no zeros at the end of a fraction. Texts sort as times do."""
    text = value.astimezone(UTC).replace(tzinfo=None).isoformat()
    return f"{text.rstrip('0') if value.microsecond else text}+00:00"


def parse_integer(value: object) -> int:
    """A 64-bit integer from an int or its text."""
    if isinstance(value, str) and len(value) <= 20 and _INTEGER.fullmatch(value):
        value = int(value)
    if type(value) is not int:
        raise GraphQLError(f"Expected a whole number within 64 bits, as a string or an integer, not {_shown(value)}.")
    if not CENTS_MIN <= value <= CENTS_MAX:
        raise GraphQLError(f"{value} is beyond 64 bits.")
    return value


def parse_decimal(value: object) -> Decimal:
    """A decimal from its text, or from an int."""
    if type(value) is int:
        value = str(value) if abs(value) < 10**DECIMAL_LENGTH_MAX else "too long"
    if not isinstance(value, str) or len(value) > DECIMAL_LENGTH_MAX or not _DECIMAL.fullmatch(value):
        raise GraphQLError(
            "Expected a decimal in plain notation, as a string of at most "
            f"{DECIMAL_LENGTH_MAX} characters, not {_shown(value)}."
        )
    return Decimal(value)


def parse_date(value: object) -> date:
    """A date from YYYY-MM-DD."""
    try:
        if isinstance(value, str):
            return read_date(value)
    except ValueError:
        pass
    raise GraphQLError(f"Expected a date as YYYY-MM-DD from {DATE_MIN} to {DATE_MAX}, not {_shown(value)}.")


def parse_date_time(value: object) -> datetime:
    """A moment from RFC 3339 with an offset."""
    if isinstance(value, str) and _DATE_TIME.fullmatch(value):
        try:
            return datetime.fromisoformat(value.upper()).astimezone(UTC)
        except (ValueError, OverflowError):
            pass
    raise GraphQLError(f"Expected a time as RFC 3339 with an offset, not {_shown(value)}.")


def parse_currency(value: object) -> str:
    """An ISO 4217 alphabetic code."""
    if isinstance(value, str) and is_currency(value):
        return value
    raise GraphQLError(f"Expected an ISO 4217 currency code, not {_shown(value)}.")


def parse_string(value: object) -> str:
    """A text that PostgreSQL and JSON can hold: no U+0000, no lone surrogate."""
    if not isinstance(value, str):
        raise GraphQLError(f"String cannot represent a non string value: {_shown(value)}")
    if "\x00" in value:
        raise GraphQLError("A text must not contain U+0000.")
    if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
        raise GraphQLError("A text must not contain a lone surrogate.")
    return value


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _from_literal(parse: Callable[[object], Any], *, numbers: bool = False) -> Callable[..., Any]:
    """Parses a literal from its own text: a string, or where ``numbers`` also a number that never becomes a float."""

    def parse_literal(node: ValueNode, _variables: object = None) -> Any:
        if isinstance(node, StringValueNode) or (numbers and isinstance(node, (IntValueNode, FloatValueNode))):
            try:
                return parse(node.value)
            except GraphQLError as error:
                raise GraphQLError(error.message, node) from None
        raise GraphQLError(f"Unexpected literal {_shown(print_ast(node))}.", node)

    return parse_literal


def _scalar(
    name: str,
    description: str,
    serialize: Callable[[Any], Any],
    parse: Callable[[object], Any],
    *,
    numbers: bool = False,
    specified_by_url: str | None = None,
) -> ScalarDefinition:
    return strawberry.scalar(
        name=name,
        description=description,
        serialize=serialize,
        parse_value=parse,
        parse_literal=_from_literal(parse, numbers=numbers),
        specified_by_url=specified_by_url,
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else str(value)


SCALARS: dict[object, ScalarDefinition] = {
    Cents: _scalar(
        "Cents",
        "An amount in the currency's minor unit: a whole number within 64 bits, sent as a string, taken as a string or "
        "an integer.",
        str,
        parse_integer,
        numbers=True,
    ),
    BigInt: _scalar(
        "BigInt",
        "A whole number within 64 bits, sent as a string, taken as a string or an integer.",
        str,
        parse_integer,
        numbers=True,
    ),
    Decimal: _scalar(
        "Decimal",
        "An exact decimal in plain notation, sent as a string; never a float, no exponent.",
        decimal_text,
        parse_decimal,
        numbers=True,
    ),
    date: _scalar("Date", "A date: YYYY-MM-DD.", date.isoformat, parse_date),
    datetime: _scalar(
        "DateTime",
        "A moment: RFC 3339 with an offset, sent in UTC with microseconds.",
        date_time_text,
        parse_date_time,
        specified_by_url="https://datatracker.ietf.org/doc/html/rfc3339",
    ),
    CurrencyCode: _scalar("CurrencyCode", "An ISO 4217 currency code.", _text, parse_currency),
    JSON: strawberry.scalar(
        name="JSON", description="Any JSON value.", serialize=lambda value: value, parse_value=lambda value: value
    ),
}


def refuse_unstorable_texts() -> None:
    """Makes the String scalar refuse what PostgreSQL cannot hold.

    graphql-core lets nobody define a scalar of that name; replacing the functions of its own is how it is adapted.
    """
    GraphQLString.parse_value = GraphQLString.coerce_input_value = parse_string  # type: ignore[method-assign]
    GraphQLString.parse_literal = _from_literal(parse_string)  # type: ignore[method-assign]
    GraphQLString.coerce_input_literal = _from_literal(parse_string)
