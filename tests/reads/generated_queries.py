"""Random queries over the whole schema, valid by construction, for comparing the paths that answer them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    get_named_type,
    get_nullable_type,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
    is_required_input_field,
)

DEPTH_MAX = 7
FIELDS_MAX = 40
UNCOMPILED_ROOTS = frozenset(
    {
        "viewer",
        "organization",
        "auditVerification",
        "eventCursor",
        "capitalState",
        "wacc",
        "waccAverage",
        "waccTrend",
        "proposeReallocation",
        "compareSnapshots",
        "validateDealAllocation",
    }
)
INCOMPARABLE_ROOTS = frozenset({"system"})
"""What is told of the process that answers differs from one to the other."""

PAGING = frozenset({"first", "after", "last", "before"})


@dataclass
class QueryWriter:
    """Writes one query. ``ids`` are global ids to ask for, ``cursors`` some to page from, right or wrong ones."""

    schema: GraphQLSchema
    random: Random
    ids: Sequence[str]
    cursors: Sequence[str]
    variables: dict[str, Any] = field(default_factory=dict)
    declarations: list[str] = field(default_factory=list)
    fragments: list[str] = field(default_factory=list)
    budget: int = FIELDS_MAX
    _names: int = 0

    def write(self) -> tuple[str, dict[str, Any]]:
        """The document and its variables."""
        query_type = self.schema.query_type
        assert query_type is not None
        names = [name for name in query_type.fields if name not in UNCOMPILED_ROOTS | INCOMPARABLE_ROOTS]
        if self.random.random() < 0.03:
            names = [name for name in query_type.fields if name not in INCOMPARABLE_ROOTS]
        selections = [
            self._field(query_type.fields[name], name, 0)
            for name in self.random.sample(names, self.random.choice([1, 1, 1, 2, 3]))
        ]
        if self.random.random() < 0.1:
            selections.append("__typename")
        declared = f"({', '.join(self.declarations)})" if self.declarations else ""
        return "\n".join([f"query Generated{declared} {{ {' '.join(selections)} }}", *self.fragments]), self.variables

    def _name(self, prefix: str) -> str:
        self._names += 1
        return f"{prefix}{self._names}"

    def _field(self, definition: GraphQLField, name: str, depth: int) -> str:
        alias = f"{self._name('alias')}: " if self.random.random() < 0.6 else f"{self._name(name)}: "
        arguments = self._arguments(definition)
        named = get_named_type(definition.type)
        if is_leaf_type(named):
            return f"{alias}{name}{arguments}{self._condition()}"
        assert isinstance(named, GraphQLObjectType | GraphQLInterfaceType)
        return f"{alias}{name}{arguments}{self._condition()} {self._selection(named, depth + 1)}"

    def _condition(self) -> str:
        if self.random.random() > 0.06:
            return ""
        directive = self.random.choice(["skip", "include"])
        if self.random.random() < 0.5:
            return f" @{directive}(if: {self.random.choice(['true', 'false'])})"
        return f" @{directive}(if: ${self._variable('Boolean!', self.random.random() < 0.5)})"

    def _variable(self, type_name: str, value: Any) -> str:
        name = self._name("v")
        self.declarations.append(f"${name}: {type_name}")
        if value is not None or self.random.random() < 0.5:
            self.variables[name] = value
        return name

    def _selection(self, type_: GraphQLObjectType | GraphQLInterfaceType, depth: int) -> str:
        selections: list[str] = []
        if isinstance(type_, GraphQLInterfaceType):
            possible = self.schema.get_possible_types(type_)
            for one in self.random.sample(list(possible), min(3, len(possible))):
                selections.append(f"... on {one.name} {self._selection(one, depth)}")
        candidates = list(type_.fields.items())
        leaves = [(name, one) for name, one in candidates if is_leaf_type(get_named_type(one.type))]
        edges = [(name, one) for name, one in candidates if not is_leaf_type(get_named_type(one.type))]
        chosen = self.random.sample(leaves, self.random.randint(0, min(5, len(leaves))))
        if edges and depth < DEPTH_MAX and self.budget > 0:
            chosen += self.random.sample(edges, self.random.randint(1, min(2, len(edges))))
        self.random.shuffle(chosen)
        for name, definition in chosen:
            self.budget -= 1
            selections.append(self._field(definition, name, depth))
        if not selections or self.random.random() < 0.15:
            selections.append("__typename")
        return self._wrapped(type_, selections)

    def _wrapped(self, type_: GraphQLObjectType | GraphQLInterfaceType, selections: list[str]) -> str:
        """The selections as they are, or some of them within a fragment."""
        chance = self.random.random()
        if chance < 0.1:
            name = self._name("Fragment")
            self.fragments.append(f"fragment {name} on {type_.name} {{ {' '.join(selections)} }}")
            return f"{{ ...{name} ...{name} }}"
        if chance < 0.2:
            condition = self.random.choice(["", f" on {type_.name}"])
            if isinstance(type_, GraphQLObjectType) and type_.interfaces and self.random.random() < 0.3:
                return f"{{ ... on Node {{ id }} ...{condition} {{ {' '.join(selections)} }} }}"
            return f"{{ ...{condition} {{ {' '.join(selections)} }} __typename }}"
        return f"{{ {' '.join(selections)} }}"

    def _arguments(self, definition: GraphQLField) -> str:
        if "last" in definition.args:
            return self._connection_arguments(definition)
        given = []
        if "first" in definition.args and self.random.random() < 0.7:
            size = self.random.choice([0, 1, 2, 100, 101])
            return f"(first: {self._literal_or_variable('Int', size, str(size))})"
        for name, one in definition.args.items():
            required = str(one.type).endswith("!")
            if required or self.random.random() < 0.5:
                given.append(f"{name}: {self._value(one, name)}")
        return f"({', '.join(given)})" if given else ""

    def _connection_arguments(self, definition: GraphQLField) -> str:
        given = []
        size = (
            self.random.choice([0, 1, 2, 3, 5, 100, 101]) if self.random.random() < 0.3 else self.random.randint(1, 4)
        )
        chance = self.random.random()
        if chance < 0.6:
            given.append(f"first: {self._literal_or_variable('Int', size, str(size))}")
        elif chance < 0.8:
            given.append(f"last: {size}")
        if self.random.random() < 0.08:
            cursor = self.random.choice(self.cursors)
            name = self.random.choice(["after", "before"])
            given.append(f"{name}: {self._literal_or_variable('String', cursor, chr(34) + cursor + chr(34))}")
        for name, one in definition.args.items():
            if name not in PAGING and self.random.random() < 0.4:
                given.append(f"{name}: {self._value(one, name)}")
        return f"({', '.join(given)})" if given else ""

    def _literal_or_variable(self, type_name: str, value: Any, literal: str) -> str:
        return literal if self.random.random() < 0.5 else f"${self._variable(type_name, value)}"

    def _value(self, argument: GraphQLArgument | Any, name: str) -> str:
        type_: Any = get_nullable_type(argument.type)
        if is_list_type(type_):
            item: Any = get_nullable_type(type_.of_type)
            count = self.random.randint(0, 3)
            return f"[{', '.join(self._scalar(item, name) for _ in range(count))}]"
        if isinstance(type_, GraphQLInputObjectType):
            fields = [
                f"{key}: {self._value(one, key)}"
                for key, one in type_.fields.items()
                if is_required_input_field(one) or self.random.random() < 0.4 or key == "field"
            ]
            return f"{{{', '.join(fields)}}}"
        value = self._scalar(type_, name)
        return '"2024-06-30"' if value == "null" and is_non_null_type(argument.type) else value

    def _scalar(self, type_: Any, name: str) -> str:
        if isinstance(type_, GraphQLEnumType):
            return str(self.random.choice(list(type_.values)))
        match type_.name:
            case "ID":
                return f'"{self.random.choice(self.ids)}"'
            case "Int":
                return str(self.random.choice([2018, 2020, 2022, 2024]))
            case "Boolean":
                return self.random.choice(["true", "false"])
            case "Date":
                return self.random.choice(['"2023-12-31"', '"2024-06-30"', '"2025-01-01"', "null"])
            case "DateTime":
                return self.random.choice(['"2020-01-01T00:00:00Z"', '"2100-01-01T00:00:00Z"', "null"])
            case "Cents":
                return self.random.choice(['"0"', '"100000"', '"600000000"', "null"])
            case "Decimal":
                return self.random.choice(['"0.1"', '"1"', "null"])
            case "CurrencyCode":
                return self.random.choice(['"USD"', '"EUR"'])
        return self.random.choice(['"a"', '"Fund"', '"Software"', '"fund.created"', '"Ü"'])
