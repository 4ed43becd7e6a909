"""Enums of the domain as GraphQL enums, each value with its description."""

from collections.abc import Mapping
from enum import Enum
from typing import Any

import strawberry


def describe(enum: type[Enum], name: str, description: str, values: Mapping[Any, str]) -> Any:
    """The domain's enum under a GraphQL name; raises KeyError for a value without a description."""
    described = strawberry.enum(enum, name=name, description=description)
    for value in described.__strawberry_definition__.values:  # type: ignore[attr-defined]
        value.description = values[enum[value.name]]
    return described
