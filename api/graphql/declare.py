"""How a type is declared: the fields of a Strawberry class say what they read, once, for every path that answers them.

::

    @entity(tables.Fund, "An investment vehicle.")
    class Fund(Node):
        name: str = column("Its name.")
        companies: Connection[PortfolioCompany] = connection("Its companies.", tables.PortfolioCompany, by="fund_id")
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import date
from typing import Any, Optional, TypeVar

import strawberry
from sqlmodel import SQLModel
from strawberry.annotation import StrawberryAnnotation
from strawberry.types.arguments import StrawberryArgument
from strawberry.types.base import get_object_definition
from strawberry.types.field import StrawberryField
from strawberry.utils.str_converters import to_camel_case

from api.graphql.connections import Connection
from api.graphql.context import Info
from api.graphql.filters import conditions, filter_values, sort_keys
from api.graphql.objects import load
from api.reads import global_ids
from api.reads.declarations import (
    ENTITIES,
    AttributeEdgeRead,
    BatchRead,
    BatchSelect,
    ColumnRead,
    ComputedRead,
    Condition,
    ConnectionRead,
    Entity,
    GlobalIdRead,
    KeptRead,
    KeptSelect,
    Order,
    Read,
    Record,
    RootOneRead,
    ToOneRead,
    table_of,
)
from api.reads.filters import sort_key
from api.reads.loaders import WHOLE_TABLE
from api.reads.pages import PAGE_SIZE_MAX, page_request

T = TypeVar("T")
Resolve = Callable[["ReadField", Any, Info, dict[str, Any]], Any]


class ReadField(StrawberryField):
    """A field that is answered from its declaration; ``read`` is what other paths than the resolver go by."""

    read: Read
    resolve: Resolve

    @classmethod
    def declare(cls, read: Read, resolve: Resolve, description: str, arguments: list[StrawberryArgument]) -> Any:
        """The field; typed Any, because a class body assigns it to what the field shows."""
        declared = cls(description=description, type_annotation=None)
        declared.read, declared.resolve, declared.arguments = read, resolve, arguments
        # Like a field with a resolver, it is no argument of the class.
        declared.init = declared.repr = declared.compare = False
        return declared

    def __copy__(self) -> "ReadField":
        copied = super().__copy__()
        copied.read, copied.resolve = self.read, self.resolve
        copied.init = copied.repr = copied.compare = False
        return copied

    @property
    def is_basic_field(self) -> bool:
        """False: the resolver wants the operation's context."""
        return False

    def get_result(self, source: Any, info: Any, args: list[Any], kwargs: dict[str, Any]) -> Awaitable[Any] | Any:
        """What the field shows of ``source``."""
        return self.resolve(self, source, info, kwargs)


def argument(
    name: str,
    annotation: object,
    description: str,
    default: object = strawberry.UNSET,
    *,
    graphql_name: str | None = None,
) -> StrawberryArgument:
    """An argument of a declared field."""
    return StrawberryArgument(
        python_name=name,
        graphql_name=graphql_name,
        type_annotation=StrawberryAnnotation(annotation),
        description=description,
        default=default,
    )


def column(description: str, name: str | None = None) -> Any:
    """A field that shows the column of the same name, or of ``name``."""

    def resolve(field: ReadField, source: Any, _info: Info, _arguments: dict[str, Any]) -> Any:
        return source.row[name or field.python_name]

    # The column's name is known once the class is: see entity.
    return ReadField.declare(ColumnRead(name or ""), resolve, description, [])


def computed(description: str, *columns: str, compute: Callable[[Record], Any]) -> Any:
    """A field that ``compute`` makes of the row's ``columns``."""

    def resolve(_field: ReadField, source: Any, _info: Info, _arguments: dict[str, Any]) -> Any:
        return compute(source.row)

    return ReadField.declare(ComputedRead(columns, compute), resolve, description, [])


def global_id(description: str) -> Any:
    """The field ``id`` of a node."""

    def resolve(_field: ReadField, source: Any, _info: Info, _arguments: dict[str, Any]) -> str:
        return global_ids.encode(type(source).entity.type_name, source.row["id"])

    return ReadField.declare(GlobalIdRead(), resolve, description, [])


def to_one(description: str, type_name: str, *, by: str) -> Any:
    """An edge to the row of ``type_name`` that the column ``by`` points at."""

    async def resolve(_field: ReadField, source: Any, info: Info, _arguments: dict[str, Any]) -> Any:
        row_id = source.row[by]
        return None if row_id is None else await load(info, type_name, row_id)

    return ReadField.declare(ToOneRead(type_name, by), resolve, description, [])


def batch(
    description: str,
    select: BatchSelect,
    *,
    make: Callable[[Any, dict[str, Any]], Any],
    arguments: list[StrawberryArgument] | None = None,
    is_slow: bool = False,
) -> Any:
    """A field answered from other rows that belong to the row, for all parents at once.

    ``make`` turns what ``select`` answers and the arguments into what the field shows, in a thread where it is slow. An
    argument ``as_of`` is today unless given.
    """
    names = {one.graphql_name or to_camel_case(one.python_name): one.python_name for one in arguments or ()}
    read = BatchRead(select, make, names, is_slow)

    async def resolve(_field: ReadField, source: Any, info: Info, given: dict[str, Any]) -> Any:
        answered = read.arguments(given, info.context.today)
        found = await info.context.loaders.batch(read, source.row["id"], answered)
        return await asyncio.to_thread(make, found, answered) if is_slow else make(found, answered)

    return ReadField.declare(read, resolve, description, arguments or [])


def kept(description: str, select: KeptSelect, *, make: Callable[[Any, dict[str, Any]], Any]) -> Any:
    """A field as of a date, answered from other rows for all parents at once, as far as no answer is kept that holds.

    ``make`` turns what ``select`` answers and the arguments into what the field shows.
    """
    as_of = argument("as_of", date | None, "The date; today (UTC) unless given.")
    read = KeptRead(select, make, {"asOf": "as_of"})

    async def resolve(_field: ReadField, source: Any, info: Info, given: dict[str, Any]) -> Any:
        answered = read.arguments(given, info.context.today)
        return make(await info.context.loaders.kept(read, source.row["id"], answered), answered)

    return ReadField.declare(read, resolve, description, [as_of])


def attribute_edge(description: str, type_name: str, *, by: str) -> Any:
    """An edge of an object that is not a row: to the row whose id is in the attribute ``by``; null where that is."""

    async def resolve(_field: ReadField, source: Any, info: Info, _arguments: dict[str, Any]) -> Any:
        row_id = getattr(source, by)
        return None if row_id is None else await load(info, type_name, row_id)

    return ReadField.declare(AttributeEdgeRead(type_name, by), resolve, description, [])


def connection(
    description: str,
    type_name: str,
    table: type[SQLModel],
    *,
    by: str | None,
    filter: object = None,
    order: object = None,
    default_order: tuple[str, bool] | None = None,
    action: str | None = None,
    narrowing: Sequence[tuple[StrawberryArgument, Condition]] = (),
) -> Any:
    """A connection to the rows of ``type_name`` whose column ``by`` points here; to the whole table where it is None.

    ``filter`` and ``order`` are Strawberry input types; ``narrowing`` are arguments beside the filter, each with its
    condition; ``default_order`` a column and whether it descends; ``action`` what the caller's role must allow, where
    not everybody may see it.
    """
    narrowed = {one.graphql_name or to_camel_case(one.python_name): (one, condition) for one, condition in narrowing}
    arguments = [
        argument("first", int | None, f"How many rows from the front, at most {PAGE_SIZE_MAX}."),
        argument("after", str | None, "Only rows after this cursor."),
        argument("last", int | None, f"How many rows from the back, at most {PAGE_SIZE_MAX}."),
        argument("before", str | None, "Only rows before this cursor."),
        *(one for one, _ in narrowing),
    ]
    if filter is not None:
        arguments.append(argument("filter", Optional[filter], "Only rows that match all that is given."))
    if order is not None:
        unless = "as the connection says" if default_order else "by age"
        arguments.append(argument("order_by", Optional[order], f"The sort order; {unless} unless given."))

    async def resolve(_field: ReadField, source: Any, info: Info, given: dict[str, Any]) -> Connection[Any]:
        await info.context.authorise(action)
        chosen = given.pop("order_by", None)
        request = page_request(
            read,
            first=given.get("first"),
            after=given.get("after"),
            last=given.get("last"),
            before=given.get("before"),
            order=chosen and Order(read.orders[chosen.field.name], chosen.direction.value == "DESC"),
            values={name: given.get(one.python_name) for name, (one, _) in narrowed.items()}
            | filter_values(given.get("filter")),
        )
        parent = WHOLE_TABLE if by is None else source.row["id"]
        return Connection(request=request, parent=parent, make=ENTITIES[type_name].make)

    default = Order(sort_key(table, default_order[0]), default_order[1]) if default_order else Order()
    all_conditions = conditions(filter) | {name: condition for name, (_, condition) in narrowed.items()}
    read = ConnectionRead(type_name, by, sort_keys(order, table), all_conditions, default, action, tuple(narrowed))
    return ReadField.declare(read, resolve, description, arguments)


def root_one(description: str, type_name: str) -> Any:
    """A root field that finds one row by its global id; null for what is unknown, malformed or not yours."""

    async def resolve(_field: ReadField, _source: Any, info: Info, given: dict[str, Any]) -> Any:
        await info.context.authorise()
        decoded = global_ids.decode(given["id"])
        return await load(info, type_name, decoded[1]) if decoded and decoded[0] == type_name else None

    id_argument = argument("id", strawberry.ID, "A global id.")
    return ReadField.declare(RootOneRead(type_name), resolve, description, [id_argument])


def entity(
    table: type[SQLModel],
    description: str,
    *,
    scope_column: str | None = "organization_id",
    action: str | None = None,
) -> Callable[[type[T]], type[T]]:
    """Declares a node type over a table; see the module's docstring.

    ``action`` is what the caller's role must allow to find one by its global id, where not everybody may see it.
    """

    def decorate(cls: type[T]) -> type[T]:
        declared = strawberry.type(cls, description=description)

        def make(row: Record) -> Any:
            instance = object.__new__(declared)
            instance.row = row  # type: ignore[attr-defined]
            return instance

        made = Entity(cls.__name__, table_of(table), scope_column, make, action)
        declared.entity = made  # type: ignore[attr-defined]
        ENTITIES[cls.__name__] = made
        name_columns(declared)
        return declared

    return decorate


def name_columns(declared: type) -> None:
    """Gives each column field without a name of its own the name of its attribute."""
    for field in get_object_definition(declared, strict=True).fields:
        if isinstance(field, ReadField) and field.read == ColumnRead(""):
            field.read = ColumnRead(field.python_name)
