"""Documents that are seen to be valid at a glance, so that graphql-core's rules need not be asked.

Those thirty rules cost ten times what parsing does. One operation without fragments, whose response keys differ, can
only be wrong in few ways, which one walk over it finds out. Whatever else a document holds, and everything wrong with
it, is left to the rules: this says yes only where they would find nothing.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from graphql import (
    ArgumentNode,
    DirectiveNode,
    DocumentNode,
    EnumValueNode,
    FieldNode,
    FloatValueNode,
    GraphQLArgument,
    GraphQLError,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    IntValueNode,
    ListValueNode,
    ObjectFieldNode,
    ObjectValueNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    StringValueNode,
    ValueNode,
    VariableDefinitionNode,
    VariableNode,
    get_named_type,
    get_nullable_type,
    is_input_type,
    is_leaf_type,
    is_required_argument,
    is_required_input_field,
    type_from_ast,
    validate_input_literal,
)
from graphql.language import BooleanValueNode, NullValueNode
from graphql.validation.rules.variables_in_allowed_position import allowed_variable_usage

_CONDITIONS = ("skip", "include")
_LEAVES = (IntValueNode, StringValueNode, BooleanValueNode, EnumValueNode, FloatValueNode, NullValueNode)


def is_plainly_valid(schema: GraphQLSchema, document: DocumentNode) -> bool:
    """Whether the document is one query or mutation that is seen to be valid; if not, it may be valid still."""
    operation = document.definitions[0]
    if len(document.definitions) != 1 or not isinstance(operation, OperationDefinitionNode) or operation.directives:
        return False
    root = schema.get_root_type(operation.operation)
    if root is None or operation.operation is OperationType.SUBSCRIPTION:
        return False
    glance = _Glance(schema, operation.variable_definitions or ())
    return (
        glance.takes_variables()
        and glance.takes_selection(root, operation.selection_set)
        and glance.used == glance.variables.keys()
    )


class _Glance:
    """One walk over one operation; each method says whether what it is given is plainly valid."""

    def __init__(self, schema: GraphQLSchema, definitions: Sequence[VariableDefinitionNode]) -> None:
        self._schema = schema
        self._definitions = definitions
        self.variables: dict[str, tuple[VariableDefinitionNode, Any]] = {}
        self.used: set[str] = set()

    def takes_variables(self) -> bool:
        """The variables are of input types, each defined once."""
        for definition in self._definitions:
            type_ = type_from_ast(self._schema, definition.type)
            if not is_input_type(type_) or definition.directives:
                return False
            default = definition.default_value
            if default is not None and not _is_literal_of(default, type_):
                return False
            self.variables[definition.variable.name.value] = (definition, type_)
        return len(self.variables) == len(self._definitions)

    def takes_selection(
        self, parent: GraphQLObjectType | GraphQLInterfaceType, selection_set: SelectionSetNode
    ) -> bool:
        """The fields are those of the type, under keys that differ: then none of them have to be merged."""
        keys = set()
        for node in selection_set.selections:
            if not isinstance(node, FieldNode) or not self._takes_field(parent, node):
                return False
            keys.add((node.alias or node.name).value)
        return 0 < len(keys) == len(selection_set.selections)

    def _takes_field(self, parent: GraphQLObjectType | GraphQLInterfaceType, node: FieldNode) -> bool:
        if node.directives and not self._takes_directives(node.directives):
            return False
        if node.name.value == "__typename":
            return not node.arguments and node.selection_set is None
        definition = parent.fields.get(node.name.value)
        if definition is None or not self._takes_arguments(definition.args, node.arguments or ()):
            return False
        type_ = get_named_type(definition.type)
        if node.selection_set is None:
            return is_leaf_type(type_)
        return isinstance(type_, GraphQLObjectType | GraphQLInterfaceType) and self.takes_selection(
            type_, node.selection_set
        )

    def _takes_directives(self, nodes: Sequence[DirectiveNode]) -> bool:
        names = {node.name.value for node in nodes}
        return len(names) == len(nodes) and all(
            node.name.value in _CONDITIONS
            and (definition := self._schema.get_directive(node.name.value)) is not None
            and self._takes_arguments(definition.args, node.arguments or ())
            for node in nodes
        )

    def _takes_arguments(self, definitions: Mapping[str, GraphQLArgument], nodes: Sequence[ArgumentNode]) -> bool:
        """The arguments are known, each given once, and none is missing."""
        if not definitions:
            return not nodes
        given = {node.name.value for node in nodes}
        return (
            len(given) == len(nodes)
            and all(self._takes_value(definitions.get(node.name.value), node) for node in nodes)
            and all(name in given or not is_required_argument(one) for name, one in definitions.items())
        )

    def _takes_value(self, definition: Any, node: ArgumentNode | ObjectFieldNode) -> bool:
        """The value is one that the argument or input field takes."""
        if definition is None:
            return False
        value = node.value
        if isinstance(value, VariableNode):
            return self._takes_variable(definition, value.name.value)
        if isinstance(value, ObjectValueNode):
            return self._takes_object(get_nullable_type(definition.type), value)
        return _is_literal_of(value, definition.type)

    def _takes_variable(self, definition: Any, name: str) -> bool:
        if name not in self.variables:
            return False
        self.used.add(name)
        variable, type_ = self.variables[name]
        default = definition.default if definition.default is not None else definition.default_value
        return allowed_variable_usage(self._schema, type_, variable.default_value, definition.type, default)

    def _takes_object(self, type_: Any, value: ObjectValueNode) -> bool:
        if not isinstance(type_, GraphQLInputObjectType) or type_.is_one_of:
            return False
        given = {node.name.value for node in value.fields}
        return (
            len(given) == len(value.fields)
            and all(self._takes_value(type_.fields.get(node.name.value), node) for node in value.fields)
            and all(name in given or not is_required_input_field(one) for name, one in type_.fields.items())
        )


def _is_literal_of(value: ValueNode, type_: Any) -> bool:
    """Whether it is a leaf, or a list of leaves, of the type; lists of more are left to the rules."""
    leaves = value.values if isinstance(value, ListValueNode) else (value,)
    if not all(isinstance(leaf, _LEAVES) for leaf in leaves):
        return False
    try:
        validate_input_literal(value, type_, _stop, None, None, True)
    except GraphQLError:
        return False
    return True


def _stop(error: GraphQLError, _path: list[str | int]) -> None:
    """Ends the look at a list with the first item that is wrong, of which there may be thousands."""
    raise error
