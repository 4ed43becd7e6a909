"""An operation's variables and a field's arguments, with what does not change from request to request worked out once.

Only the ways that plain requests take; whatever else there is, and every error, is graphql-core's to work out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphql import (
    FieldNode,
    GraphQLError,
    GraphQLField,
    GraphQLSchema,
    VariableDefinitionNode,
    VariableNode,
    is_non_null_type,
)
from graphql.execution.get_variable_signature import GraphQLVariableSignature, get_variable_signature
from graphql.execution.values import VariableValues, VariableValueSource, get_argument_values, get_variable_values

from api.reads.compiled.coercion import Coerce, coercer

NO_VARIABLES = VariableValues({}, {})


@dataclass(slots=True)
class Variables:
    """The variables that an operation declares."""

    schema: GraphQLSchema
    definitions: Sequence[VariableDefinitionNode]
    _coercers: list[tuple[GraphQLVariableSignature, Coerce, bool]] | None = field(init=False)

    def __post_init__(self) -> None:
        """Looks whether all of them are without a default value."""
        self._coercers = []
        for definition in self.definitions:
            signature = get_variable_signature(self.schema, definition)
            if isinstance(signature, GraphQLError) or definition.default_value is not None:
                self._coercers = None
                return
            self._coercers.append((signature, coercer(signature.type), not is_non_null_type(signature.type)))

    def read(self, given: Mapping[str, Any]) -> VariableValues | None:
        """The coerced values; None where they hold an error."""
        if not self.definitions:
            return NO_VARIABLES
        values = self._read_plainly(given) if self._coercers is not None else None
        if values is None:
            # One error is enough: there may be as many as items are sent, each with a message of its own.
            found = get_variable_values(self.schema, self.definitions, dict(given), max_errors=1)
            values = found if isinstance(found, VariableValues) else None
        return values

    def _read_plainly(self, given: Mapping[str, Any]) -> VariableValues | None:
        sources: dict[str, VariableValueSource] = {}
        coerced: dict[str, Any] = {}
        for signature, coerce, is_nullable in self._coercers or ():
            value = given.get(signature.name)
            if value is None:
                if not is_nullable or signature.name in given:
                    return None
                sources[signature.name] = VariableValueSource(signature)
                continue
            try:
                coerced[signature.name] = coerce(value)
            except Exception:
                # Unfit, or whatever a scalar raises: graphql-core takes any of it for an error of the value.
                return None
            sources[signature.name] = VariableValueSource(signature, value)
        return VariableValues(sources, coerced)


@dataclass(slots=True)
class Arguments:
    """The arguments of a field. ``has_variables``: they are not the same for every request."""

    definition: GraphQLField
    node: FieldNode
    has_variables: bool = field(init=False)
    _fixed: Mapping[str, Any] | None = None
    _variables: list[tuple[str, str]] | None = None

    def __post_init__(self) -> None:
        """Looks where variables stand: as whole values of arguments, or within them."""
        nodes = self.node.arguments or ()
        self.has_variables = any(_has_variable(argument.value) for argument in nodes)
        if all(isinstance(argument.value, VariableNode) for argument in nodes):
            names = {argument.name.value: argument.value.name.value for argument in nodes}  # type: ignore[attr-defined]
            if names.keys() == self.definition.args.keys():
                self._variables = [
                    (self.definition.args[name].out_name or name, variable) for name, variable in names.items()
                ]

    def get(self, variables: VariableValues | None) -> Mapping[str, Any]:
        """The coerced values by their names in Python; raises GraphQLError."""
        if not self.has_variables:
            if self._fixed is None:
                self._fixed = get_argument_values(self.definition, self.node)
            return self._fixed
        if self._variables is not None and variables is not None:
            values = {name: variables.coerced.get(variable) for name, variable in self._variables}
            if None not in values.values():
                return values
        return get_argument_values(self.definition, self.node, variables)


def _has_variable(value: Any) -> bool:
    if isinstance(value, VariableNode):
        return True
    parts = [*(getattr(value, "values", None) or ()), *(part.value for part in getattr(value, "fields", None) or ())]
    return any(_has_variable(part) for part in parts)
