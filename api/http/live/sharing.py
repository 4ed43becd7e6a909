"""An event is answered once for all who ask the same of it at the same time, and not once for each.

What an event shows depends on the organization and on the role of who asks, on the document, and on those variables
that are used below its root field: where on the log somebody began makes no difference to what follows.
"""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from functools import partial
from typing import Any, Generic, TypeVar

import orjson
from graphql import FieldNode, FragmentDefinitionNode, Node, OperationDefinitionNode, VariableNode, Visitor, visit

from api.graphql.context import SignedIn
from api.http.documents import Document, Operation
from api.http.requests import GraphQLRequest

T = TypeVar("T")


class Sharing(Generic[T]):
    """The answers that are being made, by what they depend on."""

    def __init__(self) -> None:
        self._coming: dict[Hashable, tuple[asyncio.Task[T], asyncio.Event]] = {}

    async def answer(self, key: Hashable, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """The answer that ``make`` gives, or has begun to give to somebody else; it does not end with who began it."""
        coming = self._coming.get(key)
        if coming is None:
            coming = self._coming[key] = asyncio.create_task(make()), asyncio.Event()
            coming[0].add_done_callback(partial(self._tell, key))
        task, is_done = coming
        # Not the task itself: who is cancelled while it waits would cancel it for all. asyncio.shield takes longer.
        await is_done.wait()
        return task.result()

    def _tell(self, key: Hashable, _task: asyncio.Task[T]) -> None:
        _, is_done = self._coming.pop(key)
        is_done.set()


def what_answers_depend_on(
    document: Document, operation: Operation, request: GraphQLRequest, signed_in: SignedIn | None
) -> Hashable:
    """What the answers of one subscription depend on besides their events.

    Documents are told apart by their identity: it holds while an answer is being made, which needs the document.
    """
    principal = signed_in and signed_in.principal
    given = request.variables or {}
    used = {name: given[name] for name in _used_below_the_root(document, operation) if name in given}
    return (
        id(document.node),
        operation.name,
        orjson.dumps(used, option=orjson.OPT_SORT_KEYS),
        principal and (principal.organization_id, principal.role),
    )


def _used_below_the_root(document: Document, operation: Operation) -> set[str]:
    """The names of the variables that are used elsewhere than as arguments of the root field."""
    seen = _Variables()
    for definition in document.node.definitions if document.node else ():
        if isinstance(definition, FragmentDefinitionNode):
            visit(definition, seen)
        elif isinstance(definition, OperationDefinitionNode) and _is(definition, operation):
            for selection in definition.selection_set.selections:
                parts: list[Node | None] = [selection]
                if isinstance(selection, FieldNode):
                    parts = [*(selection.directives or ()), selection.selection_set]
                for part in parts:
                    if part is not None:
                        visit(part, seen)
    return seen.names


def _is(definition: OperationDefinitionNode, operation: Operation) -> bool:
    return (definition.name and definition.name.value) == operation.name


class _Variables(Visitor):
    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def enter_variable(self, node: VariableNode, *_: Any) -> None:
        self.names.add(node.name.value)
