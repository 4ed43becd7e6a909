"""The parts of a plan. Indexes say where a value stands in the record that a statement gives."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from api.reads.compiled.variables import Arguments
from api.reads.declarations import BatchRead, ConnectionRead, Entity, KeptRead, Record


@dataclass(slots=True)
class Layout:
    """The columns of one level's records: SQL expressions over the level's aliases, each once."""

    expressions: list[str] = field(default_factory=list)
    joins: list["Join"] = field(default_factory=list)
    nested: dict[int, "Connection"] = field(default_factory=dict)
    texts: dict[int, "TextParts"] = field(default_factory=dict)
    totals: dict[int, "Connection"] = field(default_factory=dict)
    batches: dict[int, "Batch"] = field(default_factory=dict)

    def index(self, expression: str) -> int:
        """Where the expression stands, added if it is new."""
        if expression not in self.expressions:
            self.expressions.append(expression)
        return self.expressions.index(expression)

    def slot(self) -> int:
        """A new place, to be filled when the statement is written."""
        self.expressions.append("")
        return len(self.expressions) - 1


@dataclass(frozen=True, slots=True)
class Join:
    """A to-one edge as a join: the row of ``entity`` under ``alias``, found by a column of another alias."""

    entity: Entity
    alias: str
    by: str


@dataclass(frozen=True, slots=True)
class Value:
    """A leaf: the record's value, run through ``convert`` (a name in the shaper's scope) where there is one."""

    index: int
    convert: str | None = None


@dataclass(frozen=True, slots=True)
class Sql:
    """An SQL expression within a text; plain strings beside it are JSON as it stands."""

    expression: str


@dataclass(frozen=True, slots=True)
class TextRows:
    """The rows of a page as JSON text, with commas between them: the text of each row."""

    row: "TextParts"


@dataclass(frozen=True, slots=True)
class TextTotal:
    """The total of a connection."""


@dataclass(frozen=True, slots=True)
class TextConnection:
    """A connection as JSON text."""

    connection: "Connection"
    parts: Sequence[str | TextRows | TextTotal]


@dataclass(frozen=True, slots=True)
class TextOptional:
    """The text of a row that may not be there: null where ``presence`` is."""

    presence: str
    parts: "TextParts"


TextParts = Sequence[str | Sql | TextConnection | TextOptional]
"""JSON text that PostgreSQL makes: pieces to be concatenated."""


@dataclass(frozen=True, slots=True)
class Text:
    """An object whose JSON text PostgreSQL has made, and where it stands."""

    index: int


@dataclass(frozen=True, slots=True)
class Constant:
    """A leaf that is the same in every row, as Python source."""

    source: str


@dataclass(frozen=True, slots=True)
class Computed:
    """A field computed from columns, which are handed over by name; ``shape`` makes the answer of what comes out."""

    compute: Callable[[Record], Any]
    columns: tuple[tuple[str, int], ...]
    shape: "Shape"


@dataclass(frozen=True, slots=True)
class Row:
    """An object that shows a row. ``presence`` is where its id stands, for a row that may not be there."""

    fields: Mapping[str, "Part | Kept | Slow"]
    presence: int | None = None
    is_required: bool = True


@dataclass(slots=True)
class Connection:
    """A connection: how its page is asked for, what of it is selected, and the layout of its rows.

    ``parent`` is the SQL of the row's id that it belongs to, ``key_slot`` where the sort key stands if cursors need it.
    """

    read: ConnectionRead
    entity: Entity
    arguments: Arguments
    alias: str
    number: int
    layout: Layout = field(default_factory=Layout)
    fields: dict[str, "ConnectionPart"] = field(default_factory=dict)
    id_index: int = 0
    key_slot: int | None = None
    has_total: bool = False
    parent: str | None = None


@dataclass(frozen=True, slots=True)
class ConnectionPart:
    """A selected field of a connection: ``edges``, ``nodes``, ``pageInfo``, ``totalCount`` or ``__typename``."""

    name: str
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Nested:
    """A connection within a row: where its rows stand, and its total where that is selected."""

    connection: Connection
    index: int
    total_index: int | None


@dataclass(frozen=True, slots=True)
class Batch:
    """A field answered from other rows: where the array of them stands, and the shape of what is made of them.

    ``key`` is the SQL of the id of the row that they belong to.
    """

    read: BatchRead
    arguments: Arguments
    key: str
    number: int
    index: int
    shape: "Shape"


@dataclass(frozen=True, slots=True)
class Kept:
    """A field whose answers are kept, deferred: where the row's id stands, and its version."""

    number: int
    id_index: int
    versions: Batch


@dataclass(frozen=True, slots=True)
class Slow:
    """A field answered from other rows, deferred: it takes a thread to make something of them."""

    number: int
    batch: Batch


@dataclass(slots=True)
class DeferredRows:
    """What answers a deferred edge of an object that is not a row: the rows of an entity, by id."""

    entity: Entity
    layout: Layout
    row: Row | Text


@dataclass(frozen=True, slots=True)
class DeferredKept:
    """What answers a field whose answers are kept, by id and version, and the shape of what is made of them."""

    read: KeptRead
    arguments: Arguments
    shape: "Shape"


@dataclass(frozen=True, slots=True)
class DeferredSlow:
    """What answers a field whose rows wait to be made something of, and the shape of what is made of them."""

    batch: Batch


@dataclass(frozen=True, slots=True)
class Pending:
    """The place of a deferred field whose answer is not compiled yet."""


Waiting = DeferredRows | DeferredKept | DeferredSlow | Pending


@dataclass(frozen=True, slots=True)
class Leaf:
    """The shape of a leaf: ``serialize`` as the schema does it."""

    serialize: Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class ListOf:
    """The shape of a list."""

    item: "Shape"


@dataclass(frozen=True, slots=True)
class Plain:
    """The shape of an object that is neither row nor connection: its attributes."""

    fields: Mapping[str, "tuple[str, Shape] | Constant | PlainEdge"]


@dataclass(frozen=True, slots=True)
class PlainEdge:
    """A deferred edge of a plain object, by the id in an attribute."""

    number: int
    attribute: str


@dataclass(frozen=True, slots=True)
class Nullable:
    """A shape that may be missing."""

    shape: "Shape"


Shape = Leaf | ListOf | Plain | Nullable
Part = Value | Text | Constant | Computed | Row | Nested | Batch


@dataclass(frozen=True, slots=True)
class RootConnection:
    """A root field that is a connection over a whole table."""

    key: str
    connection: Connection


@dataclass(frozen=True, slots=True)
class RootRow:
    """A root field that finds one row by its global id."""

    key: str
    arguments: Arguments
    by_type: Mapping[str, tuple[Entity, Layout, Row | Text]]


@dataclass(frozen=True, slots=True)
class RootRows:
    """The root field that finds rows by their global ids."""

    key: str
    arguments: Arguments
    by_type: Mapping[str, tuple[Entity, Layout, Row | Text]]


Root = RootConnection | RootRow | RootRows | tuple[str, Constant]
