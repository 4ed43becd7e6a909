"""What introspection costs: the sizes of the schema's own lists are known, so that they are counted as they are."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from graphql import (
    FieldNode,
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    SelectionSetNode,
    get_named_type,
    get_nullable_type,
    introspection_types,
    is_leaf_type,
    is_list_type,
)

from api.reads.compiled.selection import Selection

OBJECTS_FOR_ONE = 8
"""So many objects of the schema cost 1: they are at hand, and nothing is read for them."""
LEAVES_FOR_ONE = 4 * OBJECTS_FOR_ONE
WRAPPERS_MAX = 3
"""How many types can be within each other: ``[X!]!``. Introspection queries ask for more ``ofType`` than there are."""


@dataclass(frozen=True, slots=True)
class SchemaSizes:
    """How long the schema's lists are, by type and field: of one type or field on average, and at most."""

    average: dict[tuple[str, str], float]
    most: dict[tuple[str, str], float]


def introspection_price(schema: GraphQLSchema, selection: Selection, nodes: Sequence[FieldNode]) -> int:
    """What ``__schema`` or ``__type`` costs with what is selected of it."""
    of_schema = nodes[0].name.value == "__schema"
    type_ = introspection_types["__Schema" if of_schema else "__Type"]
    if not isinstance(type_, GraphQLObjectType):
        raise TypeError("introspection answers with objects")
    count = _Count(_sizes(schema), selection)
    return math.ceil(1 + count.of(type_, [node.selection_set for node in nodes], is_average=of_schema))


@dataclass(frozen=True, slots=True)
class _Count:
    sizes: SchemaSizes
    selection: Selection

    def of(
        self, type_: GraphQLObjectType, sets: Sequence[SelectionSetNode | None], *, is_average: bool, wrappers: int = 0
    ) -> float:
        """What is selected of one object; ``is_average``: of all of its kind, one after the other."""
        price = 0.0
        for nodes in self.selection.collect(sets, type_).values():
            name = nodes[0].name.value
            definition = type_.fields.get(name)
            if definition is None or is_leaf_type(named := get_named_type(definition.type)):
                price += 1 / LEAVES_FOR_ONE
                continue
            within = wrappers + 1 if name == "ofType" else 0
            if within > WRAPPERS_MAX or not isinstance(named, GraphQLObjectType):
                continue
            is_list = is_list_type(get_nullable_type(definition.type))
            sizes = self.sizes.average if is_average else self.sizes.most
            size = sizes.get((type_.name, name), 1.0) if is_list else 1.0
            # The types of all fields are not all types: some of the longest are named again and again.
            below = self.of(
                named, [node.selection_set for node in nodes], is_average=is_average and is_list, wrappers=within
            )
            price += size * (1 / OBJECTS_FOR_ONE + below)
        return price


@lru_cache(maxsize=4)
def _sizes(schema: GraphQLSchema) -> SchemaSizes:
    types = list(schema.type_map.values())
    outputs = [one for one in types if isinstance(one, GraphQLObjectType | GraphQLInterfaceType)]
    arguments = [len(field.args) for one in outputs for field in one.fields.values()]
    lengths = {
        ("__Schema", "types"): [len(types)],
        ("__Schema", "directives"): [len(schema.directives)],
        ("__Directive", "args"): [len(directive.args) for directive in schema.directives],
        ("__Field", "args"): arguments,
        ("__Type", "fields"): [len(one.fields) for one in outputs],
        ("__Type", "interfaces"): [len(one.interfaces) for one in outputs],
        ("__Type", "possibleTypes"): [
            len(schema.get_possible_types(one)) for one in outputs if isinstance(one, GraphQLInterfaceType)
        ],
        ("__Type", "inputFields"): [len(one.fields) for one in types if isinstance(one, GraphQLInputObjectType)],
        ("__Type", "enumValues"): [len(one.values) for one in types if isinstance(one, GraphQLEnumType)],
    }
    return SchemaSizes(
        # Only some types have fields, or values: what they come to is shared out among all.
        {
            key: sum(found) / (len(types) if key[0] == "__Type" else max(1, len(found)))
            for key, found in lengths.items()
        },
        {key: float(max(found, default=0)) for key, found in lengths.items()},
    )
