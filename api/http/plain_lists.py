"""Lists of objects of which nothing but leaves is asked, directly or over one edge: answered without the executor.

graphql-core takes some twelve steps for each field of each object. Where each field is an attribute or a column, the
list is made of a few loops instead, and an edge's rows are read at once. Whatever is not as plain as that, and
everything that fails, is left to the executor, which answers the same and tells what is wrong.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from graphql import (
    GraphQLField,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLResolveInfo,
    get_nullable_type,
    is_leaf_type,
    is_non_null_type,
    is_object_type,
)
from graphql.execution.collect_fields import CollectedFields, FieldDetailsList
from strawberry.types.field import StrawberryField

from api.graphql.declare import ReadField
from api.reads import global_ids
from api.reads.declarations import ENTITIES, AttributeEdgeRead, ColumnRead, ComputedRead, Entity, GlobalIdRead

Collect = Callable[[GraphQLObjectType, FieldDetailsList], CollectedFields]
"""The executor's own collecting of what is asked of a type."""


class NotPlain(Exception):
    """The executor has to answer: a value is missing where there must be one."""


@dataclass(frozen=True, slots=True)
class Part:
    """One field: under which key, how it is read from an object, and how what was read is shown."""

    key: str
    read: Callable[[Any], Any]
    show: Callable[[Any], Any]
    is_nullable: bool


@dataclass(frozen=True, slots=True)
class Edge:
    """A field that leads to the row whose id is read, of which only ``parts`` are shown, made of ``columns``."""

    key: str
    read: Callable[[Any], Any]
    entity: Entity
    parts: Sequence[Part]
    columns: Sequence[str]
    is_nullable: bool


@dataclass(frozen=True, slots=True)
class Shape:
    """What is asked of each object of a list, which is of one type, in the order of the answer."""

    type: GraphQLObjectType
    fields: Sequence[Part | Edge]

    @property
    def edges(self) -> list[Edge]:
        """The fields that need rows."""
        return [one for one in self.fields if isinstance(one, Edge)]

    def fits(self, items: Sequence[Any], info: GraphQLResolveInfo[Any]) -> bool:
        """Whether the objects are of the type, which is told by their classes."""
        is_type_of = self.type.is_type_of
        return is_type_of is None or all(is_type_of(one, info) for one in {type(one): one for one in items}.values())

    def show(self, items: Sequence[Any], rows: Sequence[Mapping[Any, Any]]) -> list[dict[str, Any]]:
        """The objects as they are answered; ``rows`` by id, for each edge. Raises whatever is wrong with a value."""
        left = iter(rows)
        parts = [_leading_to(one, next(left)) if isinstance(one, Edge) else one for one in self.fields]
        return [_shown(parts, item) for item in items]


def shape_of(item_type: GraphQLOutputType, details: FieldDetailsList, collect: Collect) -> Shape | None:
    """The shape of a list's objects; None where the executor has to answer."""
    object_type = get_nullable_type(item_type)
    if not is_object_type(object_type):
        return None
    found = _asked_fields(object_type, details, collect)
    if found is None:
        return None
    fields: list[Part | Edge] = []
    for key, field, sub_details in found:
        one = _part(key, field) or _edge(key, field, sub_details, collect)
        if one is None:
            return None
        fields.append(one)
    return Shape(object_type, fields)


def _asked_fields(
    object_type: GraphQLObjectType, details: FieldDetailsList, collect: Collect
) -> list[tuple[str, GraphQLField, FieldDetailsList]] | None:
    grouped, deferred, _ = collect(object_type, details)
    if deferred:
        return None
    fields = []
    for key, asked in grouped.items():
        field = object_type.fields.get(asked[0].node.name.value)
        if field is None or field.args:
            return None
        fields.append((key, field, asked))
    return fields


def _part(key: str, field: GraphQLField) -> Part | None:
    leaf = get_nullable_type(field.type)
    read = _reader(_declared(field))
    if read is None or not is_leaf_type(leaf):
        return None
    return Part(key, read, leaf.coerce_output_value, not is_non_null_type(field.type))


def _reader(declared: StrawberryField | None) -> Callable[[Any], Any] | None:
    """What the field's resolver does, where it looks at nothing but the object."""
    if not isinstance(declared, ReadField):
        return attrgetter(declared.python_name) if declared is not None and declared.is_basic_field else None
    match declared.read:
        case ColumnRead(column):
            return lambda source: source.row[column]
        case ComputedRead(_, compute):
            return lambda source: compute(source.row)
        case GlobalIdRead():
            return lambda source: global_ids.encode(type(source).entity.type_name, source.row["id"])
        case _:
            return None


def _edge(key: str, field: GraphQLField, details: FieldDetailsList, collect: Collect) -> Edge | None:
    declared = _declared(field)
    target = get_nullable_type(field.type)
    if (
        not isinstance(declared, ReadField)
        or not isinstance(declared.read, AttributeEdgeRead)
        or not is_object_type(target)
    ):
        return None
    found = _asked_fields(target, details, collect)
    parts = [_part(*one[:2]) for one in found or ()]
    plain = [part for part in parts if part is not None]
    if len(plain) < len(parts) or not plain:
        return None
    columns = {"id": None}
    for _, one, _ in found or ():
        columns |= dict.fromkeys(_columns(_declared(one)))
    entity = ENTITIES[declared.read.entity]
    return Edge(
        key, attrgetter(declared.read.attribute), entity, plain, list(columns), not is_non_null_type(field.type)
    )


def _columns(declared: StrawberryField | None) -> Sequence[str]:
    match declared.read if isinstance(declared, ReadField) else None:
        case ColumnRead(column):
            return (column,)
        case ComputedRead(columns):
            return columns
        case _:
            return ()


def _declared(field: GraphQLField) -> StrawberryField | None:
    declared: StrawberryField | None = field.extensions.get("strawberry-definition")
    return declared


def _leading_to(edge: Edge, rows: Mapping[Any, Any]) -> Part:
    """The edge as a field whose value is an id, shown as what is asked of the row."""
    shown = {row_id: _shown(edge.parts, edge.entity.make(row)) for row_id, row in rows.items()}
    return Part(edge.key, edge.read, shown.get if edge.is_nullable else shown.__getitem__, edge.is_nullable)


def _shown(parts: Sequence[Part], source: Any) -> dict[str, Any]:
    shown = {}
    for part in parts:
        value = part.read(source)
        if value is not None:
            value = part.show(value)
        if value is None and not part.is_nullable:
            raise NotPlain(part.key)
        shown[part.key] = value
    return shown
