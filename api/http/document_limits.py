"""What a document may ask for, whatever its variables. A fragment counts wherever it is spread, but is read once.

Looked at before validation: some of the rules there take time with the square of what they compare.
"""

from collections.abc import Sequence
from typing import NamedTuple

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
)

FIELDS_MAX = 5_000
"""Fields of one document, each fragment written out."""
INTROSPECTED_FIELDS_MAX = 500
"""Fields of one document below ``__schema`` and ``__type``: anybody may ask for them, and each can list the schema."""
KEY_CHARACTERS_MAX = 200_000
"""Characters of the response keys of one document, each fragment written out: every row repeats them."""
DEPTH_MAX = 25
"""Fields within each other, without those of introspection. A page takes two or three: the connection, edges, node."""
ALIASES_MAX = 200
"""Aliases of one document, each fragment written out."""
DIRECTIVES_MAX = 200
"""Directives on the fields and fragments of one document, each fragment written out."""
REPEATED_FIELDS_MAX = 300
"""Fields under a key that the same selection has already: validation compares all of them with each other."""
REPEATED_WITH_ARGUMENTS = 3
"""As so many counts one with arguments, which are compared, too."""
FRAGMENT_PAIRS_MAX = 2_500
"""Pairs of fragments that are spread in one selection, which validation compares: of 71 there are 2,485."""
LINES_MAX = 10_000
"""Lines of one document: where an error is, is found by counting them, for each error anew."""
ROOT_FIELDS_MAX = {OperationType.QUERY: 30, OperationType.MUTATION: 10}
"""Root fields of one operation. Each of a mutation is a transaction by itself. Subscriptions have one."""

_INTROSPECTION = ("__schema", "__type")


class Size(NamedTuple):
    """What a selection comes to, its fragments written out; ``width`` is its own fields alone."""

    fields: int
    introspected: int
    characters: int
    aliases: int
    directives: int
    depth: int
    width: int


_NOTHING = Size(0, 0, 0, 0, 0, 0, 0)
_BEING_READ = Size(0, 0, 0, 0, 0, 0, 0)


def excess(document: DocumentNode) -> GraphQLError | None:
    """The limit that a document exceeds, or None; raises RecursionError for a chain of too many fragments.

    The document may be invalid still: what is unknown or leads back to itself counts nothing.
    """
    sizes = _Sizes(document)
    operations = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
    counted = [sizes.of(operation.selection_set) for operation in operations]
    fields = sum(size.fields for size in counted)
    if fields > FIELDS_MAX:
        return GraphQLError(f"The document asks for {fields} fields, its fragments written out; at most {FIELDS_MAX}.")
    found = _excess_of_one_kind(counted) or _excess_of_roots(operations, counted)
    return found or _excess_of_repeats(sizes, operations)


def excess_of_lines(text: str) -> GraphQLError | None:
    """The limit of lines, where a text exceeds it; looked at before it is parsed."""
    lines = 1 + text.count("\n") + text.count("\r")
    return GraphQLError(f"The document has {lines} lines; at most {LINES_MAX}.") if lines > LINES_MAX else None


def _excess_of_one_kind(counted: Sequence[Size]) -> GraphQLError | None:
    written_out = "its fragments written out"
    for count, limit, message in (
        (
            sum(size.introspected for size in counted),
            INTROSPECTED_FIELDS_MAX,
            "The document asks for {} fields of __schema and __type",
        ),
        (
            sum(size.characters for size in counted),
            KEY_CHARACTERS_MAX,
            f"The names of the document's fields come to {{}} characters, {written_out}",
        ),
        (sum(size.aliases for size in counted), ALIASES_MAX, f"The document holds {{}} aliases, {written_out}"),
        (
            sum(size.directives for size in counted),
            DIRECTIVES_MAX,
            f"The document holds {{}} directives, {written_out}",
        ),
        (max((size.depth for size in counted), default=0), DEPTH_MAX, "The document is nested {} levels deep"),
    ):
        if count > limit:
            return GraphQLError(f"{message.format(count)}; at most {limit}.")
    return None


def _excess_of_roots(operations: Sequence[OperationDefinitionNode], counted: Sequence[Size]) -> GraphQLError | None:
    for operation, size in zip(operations, counted, strict=True):
        limit = ROOT_FIELDS_MAX.get(operation.operation)
        if limit is not None and size.width > limit:
            return GraphQLError(
                f"The {operation.operation.value} asks for {size.width} root fields; at most {limit}.", operation
            )
    return None


def _excess_of_repeats(sizes: "_Sizes", operations: Sequence[OperationDefinitionNode]) -> GraphQLError | None:
    if not sizes.may_repeat or sizes.has_cycle:
        return None
    repeated = sum(sizes.repeated([operation.selection_set]) for operation in operations)
    if sizes.fragment_pairs > FRAGMENT_PAIRS_MAX:
        return GraphQLError(
            f"The document spreads fragments beside each other in {sizes.fragment_pairs} pairs;"
            f" at most {FRAGMENT_PAIRS_MAX}."
        )
    if repeated <= REPEATED_FIELDS_MAX:
        return None
    return GraphQLError(
        f"The document repeats {repeated} fields within their selections, its fragments written out;"
        f" at most {REPEATED_FIELDS_MAX}."
    )


class _Sizes:
    """The sizes of a document's selections.

    ``may_repeat``: a field may stand twice in one of those looked at; ``has_cycle``: a fragment leads back to itself;
    ``fragment_pairs``: those within one selection, of what ``repeated`` has looked at.
    """

    def __init__(self, document: DocumentNode) -> None:
        self._fragments = {
            node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)
        }
        self._known: dict[str, Size] = {}
        self.may_repeat = self.has_cycle = False
        self.fragment_pairs = 0

    def of(self, selection_set: SelectionSetNode | None) -> Size:
        """The size of a selection set."""
        if selection_set is None:
            return _NOTHING
        fields = introspected = characters = aliases = directives = depth = width = 0
        keys = set()
        for selection in selection_set.selections:
            if selection.directives:
                directives += len(selection.directives)
            if isinstance(selection, FieldNode):
                name, alias = selection.name.value, selection.alias
                key = name
                if alias is not None:
                    key = alias.value
                    aliases += 1
                keys.add(key)
                width += 1
                fields += 1
                characters += len(key)
                if selection.selection_set is None:
                    depth = depth or 1
                    continue
                below = self.of(selection.selection_set)
                is_introspection = name in _INTROSPECTION
                introspected += below.fields if is_introspection else below.introspected
                depth = max(depth, 1 if is_introspection else 1 + below.depth)
            else:
                below = self._of_fragment(selection)  # type: ignore[arg-type]
                self.may_repeat = True
                introspected += below.introspected
                depth = max(depth, below.depth)
                width += below.width
            fields += below.fields
            characters += below.characters
            aliases += below.aliases
            directives += below.directives
        self.may_repeat = self.may_repeat or len(keys) < width
        return Size(fields, introspected, characters, aliases, directives, depth, width)

    def _of_fragment(self, node: InlineFragmentNode | FragmentSpreadNode) -> Size:
        if isinstance(node, InlineFragmentNode):
            return self.of(node.selection_set)
        name = node.name.value
        size = self._known.get(name)
        if size is None:
            self._known[name] = _BEING_READ
            definition = self._fragments.get(name)
            size = self._known[name] = self.of(None if definition is None else definition.selection_set)
        elif size is _BEING_READ:
            self.has_cycle = True
        return size

    def repeated(self, selection_sets: Sequence[SelectionSetNode]) -> int:
        """How many fields of these sets, which are merged, stand under a key that another has, all levels together."""
        count = 0
        below: dict[str, list[SelectionSetNode]] = {}
        pending = list(selection_sets)
        spread: set[str] = set()
        while pending:
            for selection in pending.pop().selections:
                if isinstance(selection, FieldNode):
                    key = (selection.alias or selection.name).value
                    known = below.get(key)
                    if known is None:
                        known = below[key] = []
                    else:
                        count += REPEATED_WITH_ARGUMENTS if selection.arguments else 1
                    if selection.selection_set is not None:
                        known.append(selection.selection_set)
                elif isinstance(selection, InlineFragmentNode):
                    pending.append(selection.selection_set)
                elif isinstance(selection, FragmentSpreadNode) and selection.name.value not in spread:
                    self.fragment_pairs += len(spread)
                    spread.add(selection.name.value)
                    definition = self._fragments.get(selection.name.value)
                    if definition is not None:
                        pending.append(definition.selection_set)
        return count + sum(self.repeated(sets) for sets in below.values() if sets)
