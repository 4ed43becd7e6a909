"""Objects by what they are found by, with one statement for all that are asked for at the same time."""

from collections.abc import Sequence
from typing import Any

from graphql import FieldNode

from api.domain.access import allows
from api.graphql.context import Info
from api.reads import global_ids
from api.reads.declarations import ENTITIES


async def load(info: Info, type_name: str, row_id: Any) -> Any:
    """The object with this id, or None."""
    entity = ENTITIES[type_name]
    if not entity.takes(row_id):
        return None
    row = await info.context.loaders.row(type_name, row_id)
    return None if row is None else entity.make(row)


async def load_many(info: Info, type_name: str, row_ids: Sequence[Any]) -> list[Any]:
    """The objects with these ids, which must all be there."""
    entity = ENTITIES[type_name]
    return [entity.make(row) for row in await info.context.loaders.rows(type_name, row_ids) if row is not None]


async def load_bulk(info: Info, type_name: str, row_ids: Sequence[Any]) -> list[Any]:
    """The same for thousands, which are read in one statement and not kept."""
    entity = ENTITIES[type_name]
    return [entity.make(row) for row in await info.context.loaders.bulk(type_name, row_ids)]


def asks_for_ids_alone(info: Info) -> bool:
    """Whether nothing but the id is asked of the objects that a field gives: those need not be read."""
    asked = [one for node in info._raw_info.field_nodes if node.selection_set for one in node.selection_set.selections]
    return all(isinstance(one, FieldNode) and one.name.value == "id" for one in asked)


async def load_global(info: Info, global_id: str) -> Any:
    """The node with this global id, or None; also None for a type that the caller's role may not see."""
    decoded = global_ids.decode(global_id)
    if decoded is None or decoded[0] not in ENTITIES:
        return None
    action = ENTITIES[decoded[0]].action
    if action is not None and not allows(info.context.principal.role, action):
        return None
    return await load(info, *decoded)
