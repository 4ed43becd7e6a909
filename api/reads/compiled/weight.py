"""What a kept document takes of memory, its plans and their statements with it: by estimate, for what is kept grows.

The constants were measured with tracemalloc over the benchmark's documents, over generated ones, mutations and invalid
ones among them, and over some that are far larger: what is estimated came to 0.8 to 1.6 times what was taken.
"""

from collections.abc import Callable
from dataclasses import dataclass

DOCUMENT_BYTES = 1_000
ERROR_BYTES = 500
"""Of what is told in place of a document that cannot be run, beside the message and the places."""
PLACE_BYTES = 150
"""Of a line and column; an error may name as many as the document has tokens."""
TOKEN_BYTES = 400
"""Of the parsed document, with its variables and its cost: 320 to 360, and 460 where nearly all are fields."""
PLAN_BYTES = 2_500
FIELD_BYTES = 350
"""Of a plan, fragments written out: 50 to 250 where PostgreSQL writes the JSON, 350 to 650 where it takes functions."""
STATEMENT_BYTES = 2
"""For each character of a statement, with what it is found by: 1.2 to 3.5."""


def _to_nobody(_bytes: int) -> None:
    """What is kept nowhere is nobody's concern."""


@dataclass(slots=True, eq=False)
class Weight:
    """Bytes of one document; ``tell`` hears of each that come to it."""

    bytes: int = 0
    tell: Callable[[int], None] = _to_nobody

    def add(self, bytes_: int) -> None:
        """Adds what is kept from now on."""
        self.bytes += bytes_
        self.tell(bytes_)

    def leave(self) -> None:
        """Tells nobody any more: the document is kept no longer."""
        self.tell = _to_nobody
