"""Documents that are only named in a request: by the hash of one that came before, or by the id of a registered one.

Automatic persisted queries, as Apollo's clients send them: the hash alone; where it is not known, hash and text once.
Trusted documents: a file, made when the clients are built, tells all texts by their ids; where nothing else is taken,
nobody can make the server read a document of their own.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from api.errors import ConfigurationError
from api.http.requests import BadRequest, GraphQLRequest

KEPT_MAX = 2_000
KEPT_CHARACTERS_MAX = 8_000_000
KEPT_CHARACTERS_MAX_OF_ANYBODY = 400_000
"""What callers without a token may have kept in all; they share no room with the others, whom they would push out."""

NOT_FOUND = "PersistedQueryNotFound"
"""Clients compare the message with this, some in place of the code, and send the text then."""
SHA256 = "sha256:"
HASH_CHARACTERS = 64


@dataclass(slots=True)
class KnownTexts:
    """Texts by their hashes, least recently used out first."""

    characters_max: int
    _texts: OrderedDict[str, str] = field(default_factory=OrderedDict)
    _characters: int = 0

    def get(self, digest: str) -> str | None:
        """The text of this hash."""
        text = self._texts.get(digest)
        if text is not None:
            self._texts.move_to_end(digest)
        return text

    def keep(self, digest: str, text: str) -> None:
        """Keeps a text, and drops others where they come to too much."""
        if digest in self._texts or len(text) > self.characters_max:
            return
        self._texts[digest] = text
        self._characters += len(text)
        while len(self._texts) > KEPT_MAX or self._characters > self.characters_max:
            _, oldest = self._texts.popitem(last=False)
            self._characters -= len(oldest)


class PersistedDocuments:
    """The documents that one process knows by name. ``only_trusted``: no others are taken, by whatever name or text."""

    def __init__(self, trusted: Mapping[str, str] | None = None, *, only_trusted: bool = False) -> None:
        self.only_trusted = only_trusted
        self._trusted = dict(trusted or {})
        self._trusted_texts = frozenset(self._trusted.values())
        self._of_members = KnownTexts(KEPT_CHARACTERS_MAX)
        self._of_anybody = KnownTexts(KEPT_CHARACTERS_MAX_OF_ANYBODY)

    def text_of(self, request: GraphQLRequest) -> str:
        """The text of the document that a request sends or names; raises BadRequest."""
        naming = request.naming
        if naming is not None and naming.document_id is not None:
            return self._named(naming.document_id)
        if naming is not None:
            digest = _digest(naming.persisted_query)
            if not request.query:
                return self._named(digest)
            if hashlib.sha256(request.query.encode()).hexdigest() != digest:
                raise BadRequest(400, "extensions.persistedQuery.sha256Hash: is not the SHA-256 of the query.")
        if self.only_trusted and request.query not in self._trusted_texts:
            raise BadRequest(403, "Only registered documents are answered.", "FORBIDDEN")
        return request.query

    def keep(self, request: GraphQLRequest, *, is_signed_in: bool) -> None:
        """Keeps the document of a request that came with hash and text, and was found to be valid."""
        if request.naming is not None and request.query and not self.only_trusted:
            kept = self._of_members if is_signed_in else self._of_anybody
            kept.keep(_digest(request.naming.persisted_query), request.query)

    def _named(self, name: str) -> str:
        digest = name.removeprefix(SHA256)
        text = self._trusted.get(name) or self._trusted.get(digest)
        if text is None and not self.only_trusted:
            text = self._of_members.get(digest) or self._of_anybody.get(digest)
        if text is None:
            raise BadRequest(400, NOT_FOUND, "PERSISTED_QUERY_NOT_FOUND")
        return text


def _digest(persisted_query: Any) -> str:
    """The hash in the extension ``persistedQuery``, in small letters; raises BadRequest."""
    if not isinstance(persisted_query, dict):
        raise BadRequest(400, "extensions.persistedQuery: must be an object.")
    if persisted_query.get("version") != 1:
        raise BadRequest(400, "extensions.persistedQuery.version: must be 1.")
    digest = persisted_query.get("sha256Hash")
    if not isinstance(digest, str) or not 1 <= len(digest) <= HASH_CHARACTERS or not digest.isalnum():
        raise BadRequest(400, "extensions.persistedQuery.sha256Hash: must be a SHA-256 in hexadecimal digits.")
    return digest.lower()


def read_trusted_documents(path: Path) -> dict[str, str]:
    """The documents of a manifest by their ids; raises ConfigurationError.

    Either an object of texts by ids, as Relay's compiler and graphql-codegen write it, or Apollo's manifest.
    """
    try:
        manifest = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError) as error:
        raise ConfigurationError(f"TRANCHE_TRUSTED_DOCUMENTS: {path} cannot be read: {error}") from None
    if isinstance(manifest, dict) and isinstance(manifest.get("operations"), list):
        operations = [operation if isinstance(operation, dict) else {} for operation in manifest["operations"]]
        pairs = [(operation.get("id"), operation.get("body")) for operation in operations]
    else:
        pairs = list(manifest.items()) if isinstance(manifest, dict) else []
    documents = {name: text for name, text in pairs if isinstance(name, str) and isinstance(text, str) and text}
    if not documents or len(documents) != len(pairs):
        raise ConfigurationError(
            f"TRANCHE_TRUSTED_DOCUMENTS: {path} must hold documents by their ids, or be a manifest of Apollo's."
        )
    return documents
