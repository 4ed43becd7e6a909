"""GraphQL documents, parsed and validated, and kept in a bounded cache from the second time they are asked.

What is asked only once would push out what is in use, and the thousands of objects that are kept of such documents
cost the garbage collector more than all else that is done with them.
"""

from collections import OrderedDict
from collections.abc import Sequence
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

from api.config import Introspection
from api.domain.access import PUBLIC_MUTATIONS
from api.errors import Unauthenticated
from api.http.cost import OperationCost
from api.http.document_limits import excess, excess_of_lines
from api.http.validation import validate
from api.reads.compiled.plain import DeclaredFields
from api.reads.compiled.plans import OperationPlans
from api.reads.compiled.weight import DOCUMENT_BYTES, ERROR_BYTES, PLACE_BYTES, TOKEN_BYTES, Weight

TOKENS_MAX = 10_000
VALIDATION_ERRORS_MAX = 20
MESSAGE_CHARACTERS_MAX = 500
"""Of each error: names may be as long as the document, and stand in all messages."""
TOO_DEEP = "The document is nested too deeply."
DOCUMENTS_MAX = 2_000
KEPT_BYTES_MAX = 64_000_000
"""Memory for the documents that are kept, with their plans: the benchmark's take 17,000 to 41,000 bytes each."""
SEEN_MAX = 50_000
"""How many documents are remembered, by their hashes, to have been asked once."""

PUBLIC_ROOT_FIELDS = frozenset({"__schema", "__type", "__typename"}) | PUBLIC_MUTATIONS
"""What may be asked without a token."""
INTROSPECTION_FIELDS = frozenset({"__schema", "__type"})
NO_INTROSPECTION = "Introspection is switched off: __schema and __type are not answered."
NEEDS_A_TOKEN = "Send a bearer token in the Authorization header."


Roots = list[tuple[OperationDefinitionNode, frozenset[str]]]
"""The operations of a document with the names of their root fields."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a document, and the names of its root fields. ``is_public``: it may be run without a token."""

    name: str | None
    type: OperationType
    root_fields: frozenset[str]
    plans: OperationPlans
    cost: OperationCost
    is_public: bool = False


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed document, or why it is none; with ``errors`` there is nothing to run.

    ``needs_token``: it is not for callers without one, nor what is wrong with it.
    """

    node: DocumentNode | None
    operations: tuple[Operation, ...] = ()
    errors: tuple[GraphQLError, ...] = ()
    error_code: str = ""
    needs_token: bool = False
    weight: Weight = field(default_factory=Weight)

    def operation(self, name: str | None) -> Operation | None:
        """The operation of this name; the only one where no name is given."""
        if len(self.operations) == 1:
            only = self.operations[0]
            return only if name is None or name == only.name else None
        return next((operation for operation in self.operations if operation.name == name), None)


UNFIT = Document(
    None,
    errors=(GraphQLError("The document does not fit the schema. With a token it is told why."),),
    error_code="GRAPHQL_VALIDATION_FAILED",
)


@dataclass(slots=True)
class Documents:
    """The documents of one process, least recently used out first.

    ``introspection``: who may ask for the schema. ``hides_suggestions``: no message tells of names that were not sent.
    """

    schema: GraphQLSchema
    declared: DeclaredFields
    introspection: Introspection = Introspection.EVERYBODY
    hides_suggestions: bool = False
    hits: int = 0
    misses: int = 0
    """How often the document that was asked for was there, and how often not."""
    bytes: int = 0
    """What all that are kept weigh."""
    _documents: OrderedDict[str, Document] = field(default_factory=OrderedDict)
    _seen: set[int] = field(default_factory=set)
    _fields: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        """Looks up the names of all root fields there are."""
        roots = (self.schema.query_type, self.schema.mutation_type, self.schema.subscription_type)
        self._fields = frozenset(name for root in roots if root is not None for name in root.fields)

    def __len__(self) -> int:
        """How many are kept."""
        return len(self._documents)

    def keeps(self, text: str) -> bool:
        """Whether the document of this text is in the cache."""
        return text in self._documents

    def get(self, text: str, *, is_signed_in: bool = True) -> Document:
        """The document of this text, from the cache where it is there.

        Raises Unauthenticated, before validation, where none of it is for callers without a token.
        """
        document = self._documents.get(text)
        if document is not None:
            self.hits += 1
            self._documents.move_to_end(text)
            return document if is_signed_in else self._for_anybody(document)
        self.misses += 1
        document = self._read(text, is_signed_in=is_signed_in)
        if self._is_new(text):
            return document if is_signed_in else self._for_anybody(document)
        self._documents[text] = document
        document.weight.tell = self._grow
        self._grow(document.weight.bytes)
        return document if is_signed_in else self._for_anybody(document)

    def _grow(self, bytes_: int) -> None:
        """Makes room for so many more bytes, which are there already: a document's, or later those of its plans."""
        self.bytes += bytes_
        while self.bytes > KEPT_BYTES_MAX or len(self._documents) > DOCUMENTS_MAX:
            _, oldest = self._documents.popitem(last=False)
            oldest.weight.leave()
            self.bytes -= oldest.weight.bytes

    def _for_anybody(self, document: Document) -> Document:
        """The document as callers without a token see it: what is wrong with one would tell what the schema has."""
        if document.needs_token:
            raise Unauthenticated(NEEDS_A_TOKEN)
        if document.error_code == "GRAPHQL_VALIDATION_FAILED" and self.introspection is not Introspection.EVERYBODY:
            return UNFIT
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

    def _read(self, text: str, *, is_signed_in: bool) -> Document:
        too_many = excess_of_lines(text)
        if too_many:
            return _refused(text, [too_many], "QUERY_TOO_COMPLEX")
        try:
            node = parse(text, max_tokens=TOKENS_MAX)
        except GraphQLError as error:
            return _refused(text, [error], "GRAPHQL_PARSE_FAILED")
        except RecursionError:
            return _refused(text, [GraphQLError(TOO_DEEP)], "GRAPHQL_PARSE_FAILED")
        _unchain_tokens(node)
        weight = Weight(DOCUMENT_BYTES + len(text) + TOKEN_BYTES * node.token_count)
        roots = _root_fields_of(node)
        needs_token = not self._is_for_anybody(roots)
        if needs_token and not is_signed_in:
            raise Unauthenticated(NEEDS_A_TOKEN)
        try:
            too_much = excess(node)
            errors = [] if too_much else self._validate(node, roots)
            operations = () if errors or too_much else self._operations(node, roots, weight)
        except RecursionError:
            errors, too_much, operations = [GraphQLError(TOO_DEEP)], None, ()
        if errors:
            return _refused(text, errors, "GRAPHQL_VALIDATION_FAILED", needs_token=needs_token)
        if too_much:
            return _refused(text, [too_much], "QUERY_TOO_COMPLEX", needs_token=needs_token)
        return Document(node, operations, needs_token=needs_token, weight=weight)

    def _validate(self, document: DocumentNode, roots: Roots) -> list[GraphQLError]:
        if self.introspection is Introspection.OFF and any(names & INTROSPECTION_FIELDS for _, names in roots):
            return [GraphQLError(NO_INTROSPECTION)]
        return validate(
            self.schema, document, errors_max=VALIDATION_ERRORS_MAX, hide_suggestions=self.hides_suggestions
        )

    def _operations(self, document: DocumentNode, roots: Roots, weight: Weight) -> tuple[Operation, ...]:
        fragments = {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}
        return tuple(
            Operation(
                node.name.value if node.name else None,
                node.operation,
                names,
                OperationPlans(self.schema, self.declared, document, node, weight),
                OperationCost(self.schema, fragments, node),
                self._is_public(names),
            )
            for node, names in roots
        )

    def _is_for_anybody(self, roots: Roots) -> bool:
        """Whether callers without a token may send this, be it valid or not.

        Where they may not read the schema, not even beside what they may ask: that it is valid would tell them.
        """
        answered = [self._is_public(names) for _, names in roots]
        return all(answered) if self.introspection is not Introspection.EVERYBODY else any(answered) or not answered

    def _is_public(self, root_fields: frozenset[str]) -> bool:
        """Whether an operation with these root fields is for callers without a token.

        Where they may read the schema, they are also told of fields that it does not have.
        """
        if self.introspection is not Introspection.EVERYBODY:
            return root_fields <= PUBLIC_ROOT_FIELDS - INTROSPECTION_FIELDS
        return not any(name in self._fields for name in root_fields - PUBLIC_ROOT_FIELDS)


def _unchain_tokens(document: DocumentNode) -> None:
    """Lets each token go with its nodes: in a chain, which nobody follows, all wait for the garbage collector."""
    token = document.loc and document.loc.start_token
    while token:
        token.prev, token.next, token = None, None, token.next


def _refused(text: str, errors: Sequence[GraphQLError], code: str, *, needs_token: bool = False) -> Document:
    """What is not run. Of what was parsed it keeps nothing."""
    told = tuple(_clients_error(error) for error in errors)
    places = sum(len(error.locations or ()) for error in told)
    messages = sum(ERROR_BYTES + len(error.message) for error in told)
    weight = Weight(DOCUMENT_BYTES + len(text) + messages + PLACE_BYTES * places)
    return Document(None, (), told, code, needs_token, weight)


def brief(message: str) -> str:
    """The message, or its beginning where it is long."""
    return message if len(message) <= MESSAGE_CHARACTERS_MAX else f"{message[:MESSAGE_CHARACTERS_MAX]}..."


def _clients_error(error: GraphQLError) -> GraphQLError:
    """The error as its client is told it, and nothing else.

    Its nodes hold all of the document, its traceback all of the validation. What a scalar's own parser raised is not
    told: a literal that it fails on is the client's fault.
    """
    is_told = error.original_error is None or isinstance(error.original_error, GraphQLError)
    told = GraphQLError(brief(error.message) if is_told else "This value cannot be read.")
    told.locations = error.locations
    return told


def _root_fields_of(document: DocumentNode) -> Roots:
    """The names of the root fields of each operation; the document need not be valid."""
    fragments = {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}
    return [
        (node, frozenset(_root_fields(node.selection_set, fragments)))
        for node in document.definitions
        if isinstance(node, OperationDefinitionNode)
    ]


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
                if selection.name.value in fragments:
                    pending.append(fragments[selection.name.value].selection_set)
    return names
