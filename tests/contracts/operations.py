"""An operation for every root field, written from the schema itself, so that a new field needs a case."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date
from itertools import count
from typing import Any

from graphql import (
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    get_named_type,
    is_abstract_type,
    is_leaf_type,
    is_required_argument,
)

from api.graphql.schema import schema
from api.reads import cursors
from api.reads.declarations import ENTITIES, Order, SortKey

Ids = dict[str, str]
"""A global id by the name of its type."""

UNIQUE = count(1)
PENDING_ALLOCATION = "DealAllocation.pending"
"""The name by which the latest allocation that waits for approval is known, beside the latest of all."""
BY_AGE = Order()
SELECTION_DEPTH = 4
ARGUMENTS = {"asOf": '"2024-12-31"', "benchmark": '"A"', "by": "FUND", "from": '"2024-01-01"', "to": '"2024-12-31"'}
"""What is passed to fields within a selection, by the argument's name; a required argument must be here."""


@dataclass(frozen=True)
class Known:
    """What a caller knows of an organization's objects: ids, versions, and row ids for cursors, by type.

    And what only those know whom it was shown to, by the name of the field that showed it.
    """

    ids: Ids
    versions: dict[str, int]
    row_ids: dict[str, int] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)

    def with_ids_of(self, other: "Known", *type_names: str) -> "Known":
        """This, but the other's objects of these types."""
        return Known(
            self.ids | {name: other.ids[name] for name in type_names},
            self.versions | {name: other.versions[name] for name in type_names if name in other.versions},
            self.row_ids | {name: other.row_ids[name] for name in type_names if name in other.row_ids},
            self.secrets,
        )


@dataclass(frozen=True)
class Operation:
    """A document with its variables."""

    query: str
    variables: dict[str, Any] = field(default_factory=dict)


def graphql_schema() -> GraphQLSchema:
    """The schema as graphql-core has it."""
    return schema()._schema


def root_fields(root: GraphQLObjectType | None) -> dict[str, GraphQLField]:
    """The fields of a root type; none where there is no such type."""
    return {} if root is None else dict(root.fields)


QUERIES = root_fields(graphql_schema().query_type)
MUTATIONS = root_fields(graphql_schema().mutation_type)
SUBSCRIPTIONS = root_fields(graphql_schema().subscription_type)
NEEDS_A_SESSION = {"signOut", "changePassword"}
"""What is about the caller's own session and password, which most callers have not, and so is tested for itself."""


OF_ALL_ORGANIZATIONS = {"sequenceHealth", "system"}
"""What is answered for all organizations together: numbers about ids, caches and workers, and nothing of any row."""

COUNTS_REQUESTS = {"system"}
"""What is answered differently each time, because being asked is counted."""

NAMES_NO_OBJECT = {"capitalState", "wacc", "waccAverage", "waccTrend"}
"""Root fields whose arguments are days and times alone."""


def selection(type_: GraphQLNamedType, depth: int = SELECTION_DEPTH) -> str:
    """All fields of a type, and of what they lead to, this many levels down; nothing of a scalar."""
    if is_leaf_type(type_):
        return ""
    if is_abstract_type(type_):
        return "{ __typename id }"
    assert isinstance(type_, GraphQLObjectType)
    return "{ __typename " + " ".join(_selected(type_, depth)) + " }"


def _selected(type_: GraphQLObjectType, depth: int) -> Iterator[str]:
    for name, shown in type_.fields.items():
        target = get_named_type(shown.type)
        if depth > 0 or is_leaf_type(target):
            yield f"{name}{_arguments(shown)} {selection(target, depth - 1)}"


def _arguments(shown: GraphQLField) -> str:
    passed = [
        f"{name}: {ARGUMENTS[name]}"
        for name, argument in shown.args.items()
        if name in ARGUMENTS or is_required_argument(argument)
    ]
    return f"({', '.join(passed)})" if passed else ""


def query(name: str, arguments: str = "", variables: str = "", depth: int = SELECTION_DEPTH) -> str:
    """The document that asks for one root field."""
    return f"query {variables} {{ {name} {arguments} {selection(get_named_type(QUERIES[name].type), depth)} }}"


def by_id(type_name: str) -> Callable[[str, Known], list[Operation]]:
    """The operations of a root field that finds one object by its id."""

    def operations(name: str, known: Known) -> list[Operation]:
        return [Operation(query(name, "(id: $id)", "($id: ID!)"), {"id": known.ids[type_name]})]

    return operations


def before_cursor(
    type_name: str, order: Order = BY_AGE, key: Callable[[Known], Any] = lambda _known: None
) -> Callable[[str, Known], list[Operation]]:
    """The operations of a root connection: what comes before (or, where it descends, after) the object's own cursor."""

    def operations(name: str, known: Known) -> list[Operation]:
        arguments = "(first: 100, after: $cursor)" if order.is_descending else "(last: 100, before: $cursor)"
        cursor = cursors.encode(order, (key(known), known.row_ids[type_name]))
        return [Operation(query(name, arguments, "($cursor: String!)", depth=2), {"cursor": cursor})]

    return operations


def _node(_name: str, known: Known) -> list[Operation]:
    document = "query ($id: ID!) { node(id: $id) { __typename id } }"
    return [Operation(document, {"id": known.ids[type_name]}) for type_name in sorted(ENTITIES)]


def _nodes(_name: str, known: Known) -> list[Operation]:
    document = "query ($ids: [ID!]!) { nodes(ids: $ids) { __typename id } }"
    return [Operation(document, {"ids": [known.ids[type_name] for type_name in sorted(ENTITIES)]})]


def with_arguments(arguments: str) -> Callable[[str, Known], list[Operation]]:
    """The operation of a root field that names no object."""
    return lambda name, _known: [Operation(query(name, arguments))]


def _compared(name: str, known: Known) -> list[Operation]:
    document = query(name, "(a: $id, b: $id)", "($id: ID!)", depth=3)
    return [Operation(document, {"id": known.ids["ForecastSnapshot"]})]


def _proposed(name: str, known: Known) -> list[Operation]:
    document = query(name, "(snapshotId: $id)", "($id: ID!)")
    return [Operation(document, {"id": known.ids["ForecastSnapshot"]})]


def new_allocation(known: Known) -> dict[str, Any]:
    """An input that allocates to a deal that has no allocation yet."""
    return {
        "fundId": known.ids["Fund"],
        "dealId": known.ids["Deal"],
        "amountCents": "100000",
        "securityType": "NOTE",
    }


def _validated(name: str, known: Known) -> list[Operation]:
    # Tests tell a failed answer by its errors: these here are the rules'.
    document = query(name, "(input: $input)", "($input: CreateDealAllocationInput!)").replace(
        " errors {", " e: errors {"
    )
    return [Operation(document, {"input": new_allocation(known)})]


def _capital_calls(name: str, known: Known) -> list[Operation]:
    document = query(name, "(filter: {allocationId: $id})", "($id: ID!)", depth=2)
    return [Operation(document, {"id": known.ids["DealAllocation"]})]


def _capital_history(name: str, known: Known) -> list[Operation]:
    document = query(name, "(sourceId: $id)", "($id: ID!)")
    return [Operation(document, {"id": known.ids["CapitalSource"]})]


READS: dict[str, Callable[[str, Known], list[Operation]]] = {
    "node": _node,
    "nodes": _nodes,
    "fund": by_id("Fund"),
    "funds": before_cursor("Fund"),
    "portfolio": by_id("Portfolio"),
    "portfolios": before_cursor("Portfolio"),
    "capitalSource": by_id("CapitalSource"),
    "capitalSources": before_cursor("CapitalSource"),
    "benchmarkPrices": before_cursor(
        "BenchmarkPrice",
        Order(SortKey("priced_on", "date"), is_descending=True),
        key=lambda _known: date(2024, 3, 31),
    ),
    "capitalHistory": _capital_history,
    "capitalCalls": _capital_calls,
    "capitalState": with_arguments('(asOf: "2024-12-31")'),
    "wacc": with_arguments('(asOf: "2024-12-31")'),
    "waccAverage": with_arguments('(from: "2024-01-01", to: "2024-12-31")'),
    "waccTrend": with_arguments('(period: MONTH, until: "2024-12-31")'),
    "deal": by_id("Deal"),
    "deals": before_cursor("Deal"),
    "validateDealAllocation": _validated,
    "proposeReallocation": _proposed,
    "compareSnapshots": _compared,
    "invitations": before_cursor("Invitation"),
    "apiKeys": before_cursor("ApiKey"),
    "auditEvents": before_cursor(
        "AuditEvent",
        Order(SortKey("sequence", "bigint"), is_descending=True),
        key=lambda known: known.versions["AuditEvent"],
    ),
}
"""How each root field with arguments is asked for the objects that are known."""


def reads(name: str, known: Known) -> list[Operation]:
    """The operations that ask one root field; raises KeyError for one with arguments and no case above."""
    if not QUERIES[name].args:
        return [Operation(query(name))]
    return READS[name](name, known)


def mutation(name: str, given: dict[str, Any]) -> Operation:
    """The operation that calls a mutation and selects all of its payload."""
    declared = MUTATIONS[name]
    payload = selection(get_named_type(declared.type), depth=2)
    if not declared.args:
        return Operation(f"mutation {{ {name} {payload} }}")
    input_type = declared.args["input"].type
    return Operation(f"mutation ($input: {input_type}) {{ {name}(input: $input) {payload} }}", {"input": given})


def input_fields(name: str) -> set[str]:
    """The names of the fields of a mutation's input; none where it takes no input."""
    argument = MUTATIONS[name].args.get("input")
    input_type = argument and get_named_type(argument.type)
    return set(input_type.fields) if isinstance(input_type, GraphQLInputObjectType) else set()


def types_in(given: object, known: Known) -> set[str]:
    """The types of the known objects that an input names."""
    if isinstance(given, dict):
        return set().union(*(types_in(value, known) for value in given.values()))
    if isinstance(given, list):
        return set().union(*(types_in(value, known) for value in given))
    return {name for name, global_id in known.ids.items() if global_id == given}
