"""graphql-core's executor, such that it goes away with its operation, errors or not."""

import weakref
from collections.abc import Callable
from typing import Any

from graphql import DefinitionNode, DocumentNode, OperationDefinitionNode
from graphql.execution.incremental import IncrementalExecutor
from graphql.execution.values import VariableValues
from graphql.type import GraphQLResolveInfoHelpers


class TransientExecutor(IncrementalExecutor):
    """An executor that does not hold itself.

    As it comes it holds two of its own methods, so that it waits for the garbage collector, and with it the document:
    in a storm of documents sent once, for pauses of a tenth of a second.
    """

    def __init__(self, *arguments: Any, coerced: VariableValues | None = None, **options: Any) -> None:
        super().__init__(*arguments, **options)
        if coerced is not None:
            self.variable_values = coerced
        self.async_helpers = GraphQLResolveInfoHelpers(
            gather=_weakly(self.gather_async_work), track=_weakly(self.track_async_work)
        )


def without_variables(document: DocumentNode) -> DocumentNode:
    """The document as if it declared no variables, for an executor that is given them coerced."""
    return DocumentNode(definitions=tuple(map(_without_variables, document.definitions)))


def _without_variables(definition: DefinitionNode) -> DefinitionNode:
    if not isinstance(definition, OperationDefinitionNode):
        return definition
    return OperationDefinitionNode(
        operation=definition.operation,
        name=definition.name,
        directives=definition.directives,
        selection_set=definition.selection_set,
    )


def _weakly(method: Callable[..., Any]) -> Callable[..., Any]:
    """A function that calls the method as long as its object is there, which is as long as something is resolved."""
    reference = weakref.WeakMethod(method)

    def call(*arguments: Any) -> Any:
        found = reference()
        return found(*arguments) if found is not None else None

    return call


def let_go(*errors: BaseException | None) -> None:
    """Parts errors that have been answered, and logged, from the frames that they came through, which hold them."""
    for error in errors:
        if error is not None:
            error.__traceback__ = None
