"""Which fields a selection comes to: fragments spread, conditions decided, fields of one response key merged."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from graphql import (
    BooleanValueNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    Node,
    SelectionNode,
    SelectionSetNode,
    VariableNode,
    is_abstract_type,
)

FIELDS_MAX = 2_000
"""How many fields a plan may come to. A document that spreads to more is left to the resolvers and their limits."""

Collected = dict[str, list[FieldNode]]
"""Fields by response key, in the order of the document; several nodes where their selections are to be merged."""


class UnsupportedError(Exception):
    """This document is not covered by plans; the resolvers answer it."""


class Selection:
    """Collects fields of one operation; ``conditions`` are the values of the variables in its @skip and @include."""

    def __init__(
        self,
        schema: GraphQLSchema,
        fragments: Mapping[str, FragmentDefinitionNode],
        conditions: Mapping[str, Any],
        *,
        fields_max: int = FIELDS_MAX,
    ) -> None:
        self._schema = schema
        self._fragments = fragments
        self._conditions = conditions
        self._budget = fields_max
        self.written_out = 0
        """How many fields have been given, those of a fragment each time."""
        self._collected: dict[Any, Collected] = {}

    def collect(self, selection_sets: Sequence[SelectionSetNode | None], type_: GraphQLObjectType) -> Collected:
        """The fields that are selected of an object of this type. Each fragment is looked at once a level."""
        key: Any = (type_.name, *map(id, selection_sets))
        if key in self._collected:
            self.written_out += len(self._collected[key])
            return self._collected[key]
        collected: Collected = {}
        seen: set[str] = set()
        for selection_set in selection_sets:
            if selection_set is not None:
                self._add(selection_set, type_, collected, seen)
        self._collected[key] = collected
        self.written_out += len(collected)
        return collected

    def _add(
        self, selection_set: SelectionSetNode, type_: GraphQLObjectType, collected: Collected, seen: set[str]
    ) -> None:
        for node in selection_set.selections:
            if not self._is_included(node):
                continue
            if isinstance(node, FieldNode):
                self._budget -= 1
                if self._budget < 0:
                    raise UnsupportedError("the document comes to too many fields")
                collected.setdefault((node.alias or node.name).value, []).append(node)
            elif isinstance(node, InlineFragmentNode):
                if node.type_condition is None or self._applies(node.type_condition.name.value, type_):
                    self._add(node.selection_set, type_, collected, seen)
            elif isinstance(node, FragmentSpreadNode) and node.name.value not in seen:
                seen.add(node.name.value)
                fragment = self._fragments[node.name.value]
                if self._applies(fragment.type_condition.name.value, type_):
                    self._add(fragment.selection_set, type_, collected, seen)

    def _applies(self, condition: str, type_: GraphQLObjectType) -> bool:
        if condition == type_.name:
            return True
        named = self._schema.get_type(condition)
        return named is not None and is_abstract_type(named) and self._schema.is_sub_type(named, type_)

    def _is_included(self, node: SelectionNode) -> bool:
        for directive in node.directives or ():
            name, arguments = directive.name.value, directive.arguments or ()
            if name not in ("skip", "include"):
                raise UnsupportedError(f"the directive @{name}")
            value = arguments[0].value
            if isinstance(value, VariableNode):
                condition = self._conditions[value.name.value]
            else:
                condition = isinstance(value, BooleanValueNode) and value.value
            if condition is (name == "skip"):
                return False
        return True


def condition_variables(nodes: Iterable[Node]) -> frozenset[str]:
    """The names of the variables that decide @skip and @include anywhere in these nodes."""
    names: set[str] = set()
    pending: list[Any] = list(nodes)
    while pending:
        current = pending.pop()
        for directive in getattr(current, "directives", None) or ():
            values = [argument.value for argument in directive.arguments or ()]
            names.update(value.name.value for value in values if isinstance(value, VariableNode))
        selection_set = getattr(current, "selection_set", None)
        if selection_set is not None:
            pending.extend(selection_set.selections)
    return frozenset(names)
