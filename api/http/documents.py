"""GraphQL documents, parsed and validated, and kept in a bounded cache from the second time they are asked.

What is asked only once would push out what is in use, and the thousands of objects that are kept of such documents
cost the garbage collector more than all else that is done with them.
"""

from collections import OrderedDict
from dataclasses import dataclass, field

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    parse,
)

from api.http.document_limits import excess
from api.http.validation import validate
from api.reads.compiled.plain import DeclaredFields
from api.reads.compiled.plans import OperationPlans

TOKENS_MAX = 10_000
VALIDATION_ERRORS_MAX = 20
TOO_DEEP = "The document is nested too deeply."
DOCUMENTS_MAX = 2_000
DOCUMENT_CHARACTERS_MAX = 16_000_000
SEEN_MAX = 50_000
"""How many documents are remembered, by their hashes, to have been asked once."""

PUBLIC_ROOT_FIELDS = frozenset({"__schema", "__type", "__typename"})
"""What may be asked without a token."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a document, and the names of its root fields."""

    name: str | None
    type: OperationType
    root_fields: frozenset[str]
    plans: OperationPlans

    @property
    def is_public(self) -> bool:
        """Whether it may be run without a token."""
        return self.root_fields <= PUBLIC_ROOT_FIELDS


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed document, or why it is none; with ``errors`` there is nothing to run."""

    node: DocumentNode | None
    operations: tuple[Operation, ...] = ()
    errors: tuple[GraphQLError, ...] = ()
    error_code: str = ""

    def operation(self, name: str | None) -> Operation | None:
        """The operation of this name; the only one where no name is given."""
        if name is None:
            return self.operations[0] if len(self.operations) == 1 else None
        return next((operation for operation in self.operations if operation.name == name), None)


@dataclass(slots=True)
class Documents:
    """The documents of one process, least recently used out first."""

    schema: GraphQLSchema
    declared: DeclaredFields
    _documents: OrderedDict[str, Document] = field(default_factory=OrderedDict)
    _characters: int = 0
    _seen: set[int] = field(default_factory=set)

    def get(self, text: str) -> Document:
        """The document of this text, from the cache where it is there."""
        document = self._documents.get(text)
        if document is not None:
            self._documents.move_to_end(text)
            return document
        document = self._read(text)
        if self._is_new(text):
            return document
        self._documents[text] = document
        self._characters += len(text)
        while len(self._documents) > DOCUMENTS_MAX or self._characters > DOCUMENT_CHARACTERS_MAX:
            oldest, _ = self._documents.popitem(last=False)
            self._characters -= len(oldest)
        return document

    def _is_new(self, text: str) -> bool:
        """Whether the text has not been asked before, of late; of two texts with one hash, one is kept too early."""
        hashed = hash(text)
        if hashed in self._seen:
            return False
        if len(self._seen) >= SEEN_MAX:
            self._seen.clear()
        self._seen.add(hashed)
        return True

    def _read(self, text: str) -> Document:
        try:
            node = parse(text, max_tokens=TOKENS_MAX)
        except GraphQLError as error:
            return Document(None, errors=(error,), error_code="GRAPHQL_PARSE_FAILED")
        except RecursionError:
            return Document(None, errors=(GraphQLError(TOO_DEEP),), error_code="GRAPHQL_PARSE_FAILED")
        try:
            errors = validate(self.schema, node, errors_max=VALIDATION_ERRORS_MAX)
            too_much = None if errors else excess(node)
            operations = () if errors or too_much else self._operations(node)
        except RecursionError:
            errors, too_much, operations = [GraphQLError(TOO_DEEP)], None, ()
        if errors:
            clients = tuple(_clients_error(error) for error in errors)
            return Document(None, errors=clients, error_code="GRAPHQL_VALIDATION_FAILED")
        if too_much:
            return Document(None, errors=(too_much,), error_code="QUERY_TOO_COMPLEX")
        return Document(node, operations)

    def _operations(self, document: DocumentNode) -> tuple[Operation, ...]:
        fragments = {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}
        return tuple(
            Operation(
                node.name.value if node.name else None,
                node.operation,
                frozenset(_root_fields(node.selection_set, fragments)),
                OperationPlans(self.schema, self.declared, document, node),
            )
            for node in document.definitions
            if isinstance(node, OperationDefinitionNode)
        )


def _clients_error(error: GraphQLError) -> GraphQLError:
    """The error without what a scalar's own parser raised: a literal that it fails on is the client's fault."""
    if error.original_error is None or isinstance(error.original_error, GraphQLError):
        return error
    return GraphQLError("This value cannot be read.", error.nodes)


def _root_fields(selection_set: SelectionSetNode, fragments: dict[str, FragmentDefinitionNode]) -> set[str]:
    """The names of the fields at the root, each fragment looked at once."""
    names: set[str] = set()
    seen: set[str] = set()
    pending = [selection_set]
    while pending:
        for selection in pending.pop().selections:
            if isinstance(selection, FieldNode):
                names.add(selection.name.value)
            elif isinstance(selection, InlineFragmentNode):
                pending.append(selection.selection_set)
            elif isinstance(selection, FragmentSpreadNode) and selection.name.value not in seen:
                seen.add(selection.name.value)
                pending.append(fragments[selection.name.value].selection_set)
    return names
