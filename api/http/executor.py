"""graphql-core's executor, such that it goes away with its operation, errors or not."""

import weakref
from collections.abc import Callable, Sequence
from inspect import isawaitable
from typing import Any, Self

from graphql import (
    DocumentNode,
    FragmentDefinitionNode,
    GraphQLSchema,
    OperationDefinitionNode,
    default_field_resolver,
    default_type_resolver,
)
from graphql.execution.collect_fields import FragmentDetails
from graphql.execution.incremental import IncrementalExecutor
from graphql.execution.values import VariableValues
from graphql.type import GraphQLOutputType, GraphQLResolveInfo, GraphQLResolveInfoHelpers

from api.http.plain_lists import Shape, shape_of


class TransientExecutor(IncrementalExecutor):
    """An executor that does not hold itself.

    As it comes it holds two of its own methods, so that it waits for the garbage collector, and with it the document:
    in a storm of documents sent once, for pauses of a tenth of a second.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.async_helpers = GraphQLResolveInfoHelpers(
            gather=_weakly(self.gather_async_work), track=_weakly(self.track_async_work)
        )

    @classmethod
    def of_coerced(
        cls,
        schema: GraphQLSchema,
        document: DocumentNode,
        operation: OperationDefinitionNode,
        variables: VariableValues,
        context: object,
        *,
        hides_suggestions: bool,
    ) -> Self:
        """What ``build`` makes for an operation of a validated document, whose variables are there, coerced.

        They were coerced for the cost; to do it once more is a good part of what a long input costs.
        """
        fragments = {
            definition.name.value: definition
            for definition in document.definitions
            if isinstance(definition, FragmentDefinitionNode)
        }
        return cls(
            schema,
            fragments,
            {name: FragmentDetails(fragment) for name, fragment in fragments.items()},
            None,
            context,
            operation,
            variables,
            default_field_resolver,
            default_type_resolver,
            default_field_resolver,
            hide_suggestions=hides_suggestions,
        )

    def complete_iterable_value(
        self,
        item_type: GraphQLOutputType,
        details: Any,
        info: GraphQLResolveInfo[Any],
        path: Any,
        items: Any,
        position: Any,
    ) -> Any:
        """The list's items; where nothing but leaves is asked of them, all at once."""
        if type(items) is list and items and position is None:
            shape = shape_of(item_type, details, self.collect_subfields)
            if shape is not None and not shape.fits(items, info):
                shape = None
            if shape is not None and shape.edges:
                return self._complete_with_edges(shape, item_type, details, info, path, items)
            if shape is not None:
                try:
                    return shape.show(items, ())
                except Exception:  # noqa: S110 - the executor finds the same fault, and its place
                    pass
        return super().complete_iterable_value(item_type, details, info, path, items, position)

    async def _complete_with_edges(
        self,
        shape: Shape,
        item_type: GraphQLOutputType,
        details: Any,
        info: GraphQLResolveInfo[Any],
        path: Any,
        items: Sequence[Any],
    ) -> Any:
        rows = [
            await info.context.loaders.rows_by_id(edge.entity.type_name, edge.columns, map(edge.read, items))
            for edge in shape.edges
        ]
        try:
            return shape.show(items, rows)
        except Exception:
            # The executor finds the same fault, and its place.
            completed = super().complete_iterable_value(item_type, details, info, path, items, None)
            return await completed if isawaitable(completed) else completed


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
