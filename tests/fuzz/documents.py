"""Valid documents of the size of the larger ones that schemathesis generates, over all of the schema, ever new."""

from collections.abc import Iterator
from itertools import count

from graphql import (
    GraphQLField,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    get_named_type,
    is_leaf_type,
    is_object_type,
    is_required_argument,
)

FIELDS_MAX = 150
DEPTH_MAX = 8


def documents(schema: GraphQLSchema) -> Iterator[str]:
    """Each root field of queries and mutations in turn, under a new alias each time, with all that fits below it.

    What a root field requires is left to variables.
    """
    roots = [
        (kind, name, field)
        for kind, root in (("query", schema.query_type), ("mutation", schema.mutation_type))
        for name, field in (root.fields.items() if root else ())
    ]
    for number in count():
        kind, name, field = roots[number % len(roots)]
        required = {name: given.type for name, given in field.args.items() if is_required_argument(given)}
        variables = ", ".join(f"${name}: {type_}" for name, type_ in required.items())
        arguments = ", ".join(f"{name}: ${name}" for name in required)
        selected, _ = _selected(get_named_type(field.type), FIELDS_MAX, DEPTH_MAX)
        yield (
            f"{kind} {f'({variables})' if variables else ''}"
            f" {{ a{number}: {name} {f'({arguments})' if arguments else ''} {selected} }}"
        )


def _selected(type_: GraphQLNamedType, fields_max: int, depth_max: int) -> tuple[str, int]:
    """So many fields of a type and of what it leads to, leaves first; and how many they are."""
    if is_leaf_type(type_):
        return "", 0
    if not isinstance(type_, GraphQLObjectType):
        return "{ __typename }", 1
    open_ = {
        name: field for name, field in type_.fields.items() if not any(map(is_required_argument, field.args.values()))
    }
    leaves = [name for name, field in open_.items() if is_leaf_type(get_named_type(field.type))]
    written, number = leaves[:fields_max], len(leaves[:fields_max])
    for name, field in open_.items() if depth_max > 1 else ():
        target = get_named_type(field.type)
        if is_object_type(target) and number < fields_max - 1:
            inner, taken = _selected(target, fields_max - number - 1, depth_max - 1)
            written.append(f"{name}{_first(field)} {inner}")
            number += taken + 1
    return f"{{ {' '.join(written or ['__typename'])} }}", max(number, 1)


def _first(field: GraphQLField) -> str:
    return "(first: 1)" if "first" in field.args else ""
