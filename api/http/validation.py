"""Validation of documents by graphql-core's rules, without its detours.

Its parallel visitor asks each of some thirty rules at every node whether it has anything to do there, and looks up
their methods by name anew for every document. Here that is known by class, and only those with something to do are
asked. Most documents are plainly valid and need none of them.
"""

import sys
from typing import Any

from graphql import (
    DocumentNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLSchema,
    Node,
    ParallelVisitor,
    TypeInfo,
    TypeInfoVisitor,
    ValidationContext,
    Visitor,
    print_ast,
    specified_rules,
    visit,
)
from graphql.language.visitor import BREAK, SKIP, EnterLeaveVisitor
from graphql.validation.validate import (
    FragmentNestingVisitor,
    ValidationAbortedError,
    query_document_keys_to_validate,
)

from api.http.plain_documents import is_plainly_valid

QUOTED_CHARACTERS_MAX = 100
"""How much of a value goes into a message about it."""


def quoted(node: Node) -> str:
    """A value as a message shows it: the beginning of what was sent."""
    if node.loc is None:
        return print_ast(node)
    start, end = node.loc.start, node.loc.end
    text = node.loc.source.body[start : min(end, start + QUOTED_CHARACTERS_MAX)]
    return text if end - start <= QUOTED_CHARACTERS_MAX else f"{text}..."


def _quote_briefly() -> None:
    """Has graphql-core quote values so: it prints all of a value anew for every fault in it, however long it is."""
    for name in ("utilities.validate_input_value", "type.definition", "type.scalars"):
        module = sys.modules[f"graphql.{name}"]
        setattr(module, "print_for_error", quoted)  # noqa: B010 (the module does not tell types of the name)


_quote_briefly()


def validate(
    schema: GraphQLSchema, document: DocumentNode, *, errors_max: int, hide_suggestions: bool = False
) -> list[GraphQLError]:
    """The errors of a document, the same as graphql-core's ``validate`` finds, in the same order."""
    if is_plainly_valid(schema, document):
        return []
    errors: list[GraphQLError] = []

    def report(error: GraphQLError) -> None:
        if len(errors) >= errors_max:
            raise ValidationAbortedError("Too many validation errors, error limit reached. Validation aborted.")
        errors.append(error)

    type_info = TypeInfo(schema)
    context = ValidationContext(schema, document, type_info, report, hide_suggestions)
    visitors: list[Visitor] = [rule(context) for rule in specified_rules]
    fragments = {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}
    if fragments:
        visitors.insert(0, FragmentNestingVisitor(fragments))
    try:
        visit(document, TypeInfoVisitor(type_info, DirectParallelVisitor(visitors)), query_document_keys_to_validate)
    except ValidationAbortedError as error:
        error.__context__ = None
        errors.append(error.with_traceback(None))
    except RecursionError:
        errors.append(ValidationAbortedError("Validation aborted."))
    return errors


_METHOD_NAMES: dict[tuple[str, str], tuple[str | None, str | None]] = {}
"""By the rule's name and the kind of node; as many as there are rules and kinds."""


def _method_names(visitor: Visitor, kind: str) -> tuple[str | None, str | None]:
    """The names of the methods with which a visitor enters and leaves nodes of this kind."""
    key = (f"{type(visitor).__module__}.{type(visitor).__qualname__}", kind)
    known = _METHOD_NAMES.get(key)
    if known is None:
        enter, leave = (
            next((name for name in (f"{way}_{kind}", way) if hasattr(visitor, name)), None)
            for way in ("enter", "leave")
        )
        known = _METHOD_NAMES[key] = (enter, leave)
    return known


class DirectParallelVisitor(ParallelVisitor):
    """A parallel visitor that calls only the visitors with something to do at a kind of node."""

    def get_enter_leave_for_kind(self, kind: str) -> EnterLeaveVisitor:
        """The functions that enter and leave nodes of this kind for all visitors."""
        known = self.enter_leave_map.get(kind)
        if known is not None:
            return known
        entering, leaving = [], []
        for index, visitor in enumerate(self.visitors):
            enter_name, leave_name = _method_names(visitor, kind)
            if enter_name:
                entering.append((index, getattr(visitor, enter_name)))
            if leave_name:
                leaving.append((index, getattr(visitor, leave_name)))
        made = EnterLeaveVisitor(self._entering(entering), self._leaving(leaving, can_skip=bool(entering)))
        self.enter_leave_map[kind] = made
        return made

    def _entering(self, pairs: list[tuple[int, Any]]) -> Any:
        if not pairs:
            return None
        skipping = self.skipping

        def enter(node: Node, *args: Any) -> Any:
            for index, function in pairs:
                if not skipping[index]:
                    result = function(node, *args)
                    if result is None:
                        continue
                    if result is SKIP or result is False:
                        skipping[index] = node
                    elif result is BREAK or result is True:
                        skipping[index] = BREAK
                    else:
                        return result
            return None

        return enter

    def _leaving(self, pairs: list[tuple[int, Any]], *, can_skip: bool) -> Any:
        if not pairs and not can_skip:
            return None
        skipping = self.skipping

        def leave(node: Node, *args: Any) -> Any:
            for index, function in pairs:
                if not skipping[index]:
                    result = function(node, *args)
                    if result is None:
                        continue
                    if result is BREAK or result is True:
                        skipping[index] = BREAK
                    elif result is not SKIP and result is not False:
                        return result
            # A visitor that skipped what is below this node goes on after it.
            for index, skipped in enumerate(skipping):
                if skipped is node:
                    skipping[index] = None
            return None

        return leave
