"""What a document may ask for in all. A fragment counts wherever it is spread, but is read once."""

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    GraphQLError,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
)

FIELDS_MAX = 5_000
"""Fields of one document, each fragment written out."""
INTROSPECTED_FIELDS_MAX = 500
"""Fields of one document below ``__schema`` and ``__type``: anybody may ask for them, and each can list the schema."""

KEY_CHARACTERS_MAX = 200_000
"""Characters of the response keys of one document, each fragment written out: every row repeats them."""

_INTROSPECTION = ("__schema", "__type")


def excess(document: DocumentNode) -> GraphQLError | None:
    """The limit that a valid document exceeds, or None; raises RecursionError for a chain of too many fragments."""
    sizes = _Sizes(document)
    operations = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
    counted = [sizes.of(operation.selection_set) for operation in operations]
    fields, introspected, characters = (sum(size) for size in zip(*counted, strict=True))
    if fields > FIELDS_MAX:
        return GraphQLError(f"The document asks for {fields} fields, its fragments written out; at most {FIELDS_MAX}.")
    if introspected > INTROSPECTED_FIELDS_MAX:
        message = (
            f"The document asks for {introspected} fields of __schema and __type; at most {INTROSPECTED_FIELDS_MAX}."
        )
        return GraphQLError(message)
    if characters > KEY_CHARACTERS_MAX:
        message = (
            f"The names of the document's fields come to {characters} characters, its fragments written out;"
            f" at most {KEY_CHARACTERS_MAX}."
        )
        return GraphQLError(message)
    return None


class _Sizes:
    """How many fields selections have, how many of them are introspection's, and the characters of their keys."""

    def __init__(self, document: DocumentNode) -> None:
        self._fragments = {
            node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)
        }
        self._known: dict[str, tuple[int, int, int]] = {}

    def of(self, selection_set: SelectionSetNode | None) -> tuple[int, int, int]:
        """The fields of a selection set, those below introspection's root fields, and the characters of all keys."""
        fields = introspected = characters = 0
        for selection in selection_set.selections if selection_set else ():
            if isinstance(selection, FieldNode):
                below, introspected_below, characters_below = self.of(selection.selection_set)
                fields += 1 + below
                characters += len((selection.alias or selection.name).value) + characters_below
                introspected += below if selection.name.value in _INTROSPECTION else introspected_below
            else:
                size = (
                    self.of(selection.selection_set)
                    if isinstance(selection, InlineFragmentNode)
                    else self._of_fragment(selection.name.value)  # type: ignore[attr-defined]
                )
                fields += size[0]
                introspected += size[1]
                characters += size[2]
        return fields, introspected, characters

    def _of_fragment(self, name: str) -> tuple[int, int, int]:
        size = self._known.get(name)
        if size is None:
            size = self._known[name] = self.of(self._fragments[name].selection_set)
        return size
