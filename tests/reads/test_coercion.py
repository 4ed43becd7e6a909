"""Coercing by what a type asks for, against graphql-core's own coercion: generated types and values, fit and unfit."""

import random
from collections import Counter
from typing import Any

from graphql import (
    GraphQLBoolean,
    GraphQLEnumType,
    GraphQLField,
    GraphQLFloat,
    GraphQLID,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInt,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLScalarType,
    GraphQLSchema,
    GraphQLString,
    OperationDefinitionNode,
    Undefined,
    get_nullable_type,
    parse,
)
from graphql.execution.values import VariableValues, get_variable_values
from graphql.utilities import coerce_input_value

from api.reads.compiled.coercion import Unfit, coercer
from api.reads.compiled.variables import Variables

TYPES, VALUES = 120, 40
STRAYS: list[Any] = [None, True, 0, 1, -1, 2**31, 2**53 + 1, 1.0, 1.5, "", "1", "RED", "x", [], [None], [[1]], {}]
STRAYS += [{"a0": 1}, {"a0": None, "other": 2}, [1, "x", None]]
FITTING: dict[str, list[Any]] = {"Int": [0, 7], "Boolean": [True], "Float": [1, 2.5]}


def fussy(value: Any) -> Any:
    """A scalar that raises whatever there is to be raised."""
    if value == "":
        raise KeyError("empty")
    return {"read": 1 / int(value)}


LEAVES = [
    GraphQLInt,
    GraphQLFloat,
    GraphQLString,
    GraphQLBoolean,
    GraphQLID,
    GraphQLEnumType("Colour", {"RED": 1, "GREEN": None, "BLUE": "b"}),
    GraphQLScalarType("Fussy", coerce_input_value=fussy),
]


class Generated:
    """Types and values of a generator; ``seen`` counts which kinds of values there were."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.objects: list[GraphQLInputObjectType] = []

    def type(self, depth: int) -> Any:
        """A type, which may hold itself, of at most so many levels else."""
        kind = self.random.random()
        if kind < 0.3:
            return GraphQLNonNull(get_nullable_type(self.type(depth)))
        if kind < 0.45:
            return GraphQLList(self.type(depth))
        if kind < 0.55 and self.objects:
            return self.random.choice(self.objects)
        return self.object(depth - 1) if depth and kind < 0.85 else self.random.choice(LEAVES)

    def object(self, depth: int) -> GraphQLInputObjectType:
        """An input type with some fields, defaults among them, each by a name of its own in Python at times."""
        is_one_of = self.random.random() < 0.1
        out_type: Any = wrapped if self.random.random() < 0.5 else None
        made = GraphQLInputObjectType(f"Object{len(self.objects)}", {}, is_one_of=is_one_of, out_type=out_type)
        self.objects.append(made)
        fields = {}
        for number in range(self.random.randint(1, 5)):
            type_ = get_nullable_type(self.type(depth)) if is_one_of else self.type(depth)
            default = Undefined
            if not is_one_of and self.random.random() < 0.3 and not isinstance(get_nullable_type(type_), type(made)):
                given = self.value(type_, 0)
                default = given if coerce_input_value(given, type_) is not Undefined else Undefined
            out_name = self.random.choice((None, f"in_python_{number}"))
            fields[f"a{number}"] = GraphQLInputField(type_, default_value=default, out_name=out_name)
        made.fields.update(fields)
        return made

    def value(self, type_: Any, strays: float, depth: int = 8) -> Any:
        """A value that fits the type but for such a share of its parts, some of which may fit as well."""
        if isinstance(type_, GraphQLNonNull):
            return self.value(type_.of_type, strays, depth)
        if not depth or self.random.random() < strays:
            return self.random.choice(STRAYS)
        if self.random.random() < 0.1:
            return None
        if isinstance(type_, GraphQLList):
            return [self.value(type_.of_type, strays, depth - 1) for _ in range(self.random.randrange(4))]
        if isinstance(type_, GraphQLInputObjectType):
            names = [name for name in type_.fields if self.random.random() < 0.8]
            given = names[:1] if type_.is_one_of else names
            return {name: self.value(type_.fields[name].type, strays, depth - 1) for name in given}
        return self.random.choice(FITTING.get(type_.name, ["RED", "1"]))


def wrapped(values: dict[str, Any]) -> Any:
    return ("wrapped", dict(values))


def test_coerced_values_are_graphql_cores() -> None:
    seen: Counter[str] = Counter()
    for seed in range(TYPES):
        generated = Generated(seed)
        type_ = generated.type(3)
        coerce = coercer(type_)
        for _ in range(VALUES):
            value = generated.value(type_, generated.random.choice((0, 0.05, 0.3)))
            expected = coerce_input_value(value, type_)
            try:
                found = coerce(value)
            except Unfit:
                # Left to graphql-core, which may know what to do with it.
                seen["unfit" if expected is Undefined else "left"] += 1
            except Exception:
                assert expected is Undefined, (str(type_), value)
                seen["refused"] += 1
            else:
                assert repr(found) == repr(expected), (str(type_), value)
                seen["coerced"] += 1
    assert min(seen[kind] for kind in ("coerced", "refused", "unfit")) > 200
    assert seen["left"] < seen["coerced"] / 5


def test_variables_of_generated_types_are_graphql_cores() -> None:
    seen: Counter[bool] = Counter()
    for seed in range(TYPES):
        generated = Generated(seed)
        type_ = generated.type(3)
        query = GraphQLObjectType("Query", {"nothing": GraphQLField(GraphQLInt)})
        schema = GraphQLSchema(query, types=[*generated.objects, *LEAVES])
        (operation,) = parse(f"query ($value: {type_}) {{ nothing }}").definitions
        assert isinstance(operation, OperationDefinitionNode)
        definitions = operation.variable_definitions or ()
        variables = Variables(schema, definitions)
        for _ in range(VALUES):
            given = {"value": generated.value(type_, generated.random.choice((0, 0.05, 0.3)))}
            expected = get_variable_values(schema, definitions, given)
            found = variables.read(given)
            if isinstance(expected, VariableValues):
                assert found is not None, (str(type_), given)
                assert repr(found.coerced) == repr(expected.coerced), (str(type_), given)
            else:
                assert found is None, (str(type_), given)
            seen[found is None] += 1
    assert min(seen.values()) > 500
