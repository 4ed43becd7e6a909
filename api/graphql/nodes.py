"""The Relay node interface, and the root fields that find any node."""

import asyncio
from typing import Any, ClassVar

import strawberry

from api.errors import BadUserInput
from api.graphql.context import Info
from api.graphql.declare import ReadField, argument, global_id, load_global
from api.reads.declarations import AnyNodeRead, Entity
from api.reads.global_ids import encode
from api.reads.pages import NODES_MAX


@strawberry.interface(description="Anything that has a global id.")
class Node:
    """Anything that has a global id."""

    entity: ClassVar[Entity]
    row: strawberry.Private[Any]

    id: strawberry.ID = global_id("The global id; opaque.")

    @property
    def global_id(self) -> str:
        """What ``id`` shows."""
        return encode(self.entity.type_name, self.row["id"])


async def _resolve_node(_field: ReadField, _source: Any, info: Info, given: dict[str, Any]) -> Any:
    await info.context.authorise()
    return await load_global(info, given["id"])


async def _resolve_nodes(_field: ReadField, _source: Any, info: Info, given: dict[str, Any]) -> list[Any]:
    await info.context.authorise()
    if len(given["ids"]) > NODES_MAX:
        raise BadUserInput(f"ids: at most {NODES_MAX} at once, not {len(given['ids'])}.")
    return list(await asyncio.gather(*(load_global(info, global_id) for global_id in given["ids"])))


@strawberry.type
class NodeQuery:
    """The root fields that find any node."""

    node: Node | None = ReadField.declare(
        AnyNodeRead(is_list=False),
        _resolve_node,
        "The object with this global id; null for what is unknown, malformed or not yours.",
        [argument("id", strawberry.ID, "A global id.")],
    )
    nodes: list[Node | None] = ReadField.declare(
        AnyNodeRead(is_list=True),
        _resolve_nodes,
        f"The objects with these global ids, at most {NODES_MAX}; null for what is unknown, malformed or not yours.",
        [argument("ids", list[strawberry.ID], "Global ids.")],
    )
