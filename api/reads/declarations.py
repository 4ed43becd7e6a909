"""What each GraphQL type shows: which table, which column behind which field, which edges lead where.

Declared once, beside the type in ``api/graphql``, and used by every path that answers a query. Names of fields and
types are GraphQL's, names of columns are the table's.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import Enum
from typing import Any, NamedTuple, cast
from uuid import UUID

from sqlalchemy import Table, Uuid
from sqlmodel import SQLModel

Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SortKey:
    """A column to order by, before the id that makes the order total. ``type_name`` is the column's SQL type."""

    column: str
    type_name: str
    is_nullable: bool = False


@dataclass(frozen=True, slots=True)
class Order:
    """A sort order of a connection; nulls come last. Without a key, by id alone."""

    key: SortKey | None = None
    is_descending: bool = False

    @property
    def signature(self) -> str:
        """What a cursor is bound to."""
        return f"{self.key.column if self.key else 'id'}{'-' if self.is_descending else '+'}"


@dataclass(frozen=True, slots=True)
class Condition:
    """One field of a filter: SQL with ``{column}``, ``{value}`` and ``{organization}`` in it, and the value's SQL type.

    ``convert`` makes the value of what was given, null included; of null there is no condition.
    """

    column: str
    sql: str
    type_name: str
    convert: Callable[[Any], Any] | None = None


@dataclass(frozen=True, slots=True)
class ColumnRead:
    """A field that shows a column as it is."""

    column: str


@dataclass(frozen=True, slots=True)
class GlobalIdRead:
    """The field that shows a row's global id."""


@dataclass(frozen=True, slots=True)
class ComputedRead:
    """A field computed in Python from columns of the row."""

    columns: tuple[str, ...]
    compute: Callable[[Record], Any]


@dataclass(frozen=True, slots=True)
class ToOneRead:
    """An edge to the one row that a column points at."""

    entity: str
    column: str


@dataclass(frozen=True, slots=True)
class ConnectionRead:
    """An edge to the many rows whose ``foreign_column`` points back here; the whole table where it is None.

    ``conditions`` are those of the filter's fields, and of ``narrowing``, the arguments beside it. ``action`` is what
    the caller's role must allow, where not everybody may see it.
    """

    entity: str
    foreign_column: str | None
    orders: Mapping[str, SortKey]
    conditions: Mapping[str, Condition]
    default_order: Order
    action: str | None = None
    narrowing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BatchSelect:
    """What belongs to a row, out of other rows: the SQL that finds it, and what is made of what it finds.

    ``sql`` gives for a field's arguments a SELECT of one ROW(...) each. In it stand ``{organization}``, ``{key}`` (the
    id of the row that it belongs to), and the names of the arguments that are bound, with their SQL types in ``types``.
    ``answer`` makes something of the rows, whose columns come by position.
    """

    sql: Callable[[Mapping[str, Any]], str]
    answer: Callable[[Sequence[Sequence[Any]]], Any]
    types: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BatchRead:
    """A field answered from other rows, for all parents with one statement.

    ``make`` turns what ``select`` answers and the arguments into what the field shows; ``argument_names`` are Python's
    by GraphQL's. ``is_slow``: it may take long enough to hold up others, and so is made in a thread.
    """

    select: BatchSelect
    make: Callable[[Any, dict[str, Any]], Any]
    argument_names: Mapping[str, str]
    is_slow: bool = False

    def arguments(self, given: Mapping[str, Any], today: date) -> dict[str, Any]:
        """The arguments by their Python names, enums by name; ``as_of`` is today unless given."""
        arguments = {name: value.name if isinstance(value, Enum) else value for name, value in given.items()}
        if "as_of" in self.argument_names.values():
            arguments["as_of"] = arguments.get("as_of") or today
        return arguments


class Version(NamedTuple):
    """How often the rows that something is made of have changed, and, as text, what the latest changes were."""

    number: int
    changes: str = ""


@dataclass(frozen=True, slots=True)
class KeptSelect:
    """What is dear to find out of other rows, and is kept for as long as the version of those rows stays the same.

    ``version`` finds the Version for one row, whose number moves, in the same transaction, with every change of what
    ``sql`` reads. ``sql`` gives a statement for many rows; in it stand ``{organization}``, ``{keys}`` (the array of
    their ids) and the names of the arguments in ``types``. Its records begin with id and version; ``answer`` makes
    something of one and the arguments, in a thread, ``weigh`` says how many bytes that takes. ``name`` is the cache's.

    ``bring_up`` makes of an answer of an earlier version, by its number, the one of a Version that has been read, in
    microseconds; None where that does not tell what has changed since. ``finish`` works out, in a thread, what of such
    an answer takes longer; None where nothing does.
    """

    name: str
    version: BatchSelect
    sql: Callable[[Mapping[str, Any]], str]
    answer: Callable[[Sequence[Any], Mapping[str, Any]], Any]
    types: Mapping[str, str]
    weigh: Callable[[Any], int]
    bring_up: Callable[[Any, int, Version], Any | None]
    finish: Callable[[Any], Callable[[], object] | None]


@dataclass(frozen=True, slots=True)
class KeptRead:
    """A field answered from other rows, whose answers are kept; ``versions`` is the read of their version.

    ``make`` turns what is kept and the arguments into what the field shows.
    """

    select: KeptSelect
    make: Callable[[Any, dict[str, Any]], Any]
    argument_names: Mapping[str, str]
    versions: BatchRead = field(init=False)

    def __post_init__(self) -> None:
        """Declares how its version is read."""
        object.__setattr__(self, "versions", BatchRead(self.select.version, lambda version, _given: version, {}))

    def arguments(self, given: Mapping[str, Any], today: date) -> dict[str, Any]:
        """The arguments by their Python names: ``as_of``, today unless given, and whether it ``is_past``."""
        as_of = given.get("as_of") or today
        return {"as_of": as_of, "is_past": as_of < today}


@dataclass(frozen=True, slots=True)
class AttributeEdgeRead:
    """An edge of an object that is not a row, to the row whose id is in one of its attributes."""

    entity: str
    attribute: str


@dataclass(frozen=True, slots=True)
class RootOneRead:
    """A root field that finds one row by its global id."""

    entity: str


@dataclass(frozen=True, slots=True)
class AnyNodeRead:
    """The root fields ``node`` and ``nodes``."""

    is_list: bool


Read = (
    ColumnRead
    | GlobalIdRead
    | ComputedRead
    | ToOneRead
    | ConnectionRead
    | BatchRead
    | KeptRead
    | AttributeEdgeRead
    | RootOneRead
    | AnyNodeRead
)


@dataclass(frozen=True, slots=True)
class Entity:
    """A GraphQL type that shows the rows of a table.

    ``scope_column`` holds the organization; None for the one global table (users), which memberships narrow.
    ``action`` is what the caller's role must allow to find a row by its global id, where not everybody may see it.
    """

    type_name: str
    table: Table
    scope_column: str | None = "organization_id"
    make: Callable[[Record], Any] = field(default=dict)
    action: str | None = None
    id_type: str = field(init=False)

    def __post_init__(self) -> None:
        """Finds the SQL type of the id."""
        object.__setattr__(self, "id_type", "uuid" if isinstance(self.table.c.id.type, Uuid) else "bigint")

    def takes(self, row_id: object) -> bool:
        """Whether a row could have this id."""
        return isinstance(row_id, UUID) is (self.id_type == "uuid")


def table_of(table: type[SQLModel]) -> Table:
    """The table behind a SQLModel class."""
    return cast("Table", table.__table__)  # type: ignore[attr-defined]


ENTITIES: dict[str, Entity] = {}
"""Every declared entity by its GraphQL type name; global ids and edges lead through here."""
