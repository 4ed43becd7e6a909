"""Plans of operations: compiled once for each combination of the variables that decide what is selected."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from graphql import DocumentNode, FragmentDefinitionNode, GraphQLSchema, OperationDefinitionNode
from graphql.execution.values import VariableValues

from api.errors import BadUserInput
from api.reads.compiled import nodes
from api.reads.compiled.compiler import Compiler
from api.reads.compiled.plain import DeclaredFields
from api.reads.compiled.selection import Selection, UnsupportedError, condition_variables
from api.reads.compiled.shaping import Shaper
from api.reads.compiled.statements import ConnectionStatements, RowStatements, Wanted
from api.reads.compiled.variables import Variables
from api.reads.compiled.weight import FIELD_BYTES, PLAN_BYTES, Weight
from api.reads.declarations import BatchSelect, Order
from api.reads.pages import PageRequest, page_request

ROOTS_MAX = 30
"""How many root fields a plan may have, each a statement: the resolvers find many rows by their ids with one."""
VARIANTS_MAX = 16
"""How many combinations of @skip and @include variables one operation may have plans for; others are not kept."""


NOTHING_WANTED = Wanted((), ())


@dataclass(frozen=True, slots=True)
class Plan:
    """How one operation is answered: its root fields, connections and deferred fields, and the functions for them.

    ``fixed_requests`` holds the page of each connection whose arguments are without variables. ``is_one_statement``:
    one statement answers it, which is a snapshot by itself, but for what is not kept.
    """

    roots: Sequence[nodes.Root]
    connections: Sequence[nodes.Connection]
    batches: Sequence[nodes.Batch]
    deferred: Sequence[nodes.Waiting]
    actions: frozenset[str]
    functions: Mapping[str, Any]
    fixed_requests: Sequence[PageRequest | None]
    statements: Mapping[int, ConnectionStatements]
    rows: Mapping[tuple[int, str], RowStatements]
    is_one_statement: bool = field(init=False)

    def __post_init__(self) -> None:
        """Looks whether one statement answers it."""
        # What is kept needs none, and what is not may be found with another: see api.reads.kept.
        needs_none = nodes.DeferredKept | nodes.DeferredSlow
        is_one = len(self.roots) == 1 and all(isinstance(one, needs_none) for one in self.deferred)
        # The nodes behind several ids may be of several types, each a statement.
        object.__setattr__(self, "is_one_statement", is_one and not isinstance(self.roots[0], nodes.RootRows))

    def wanted(self, variables: VariableValues, today: date) -> Wanted:
        """The pages and batches that these variables ask for; raises BadUserInput."""
        if not self.connections and not self.batches:
            return NOTHING_WANTED
        pages = [
            fixed or _page(connection, variables)
            for connection, fixed in zip(self.connections, self.fixed_requests, strict=True)
        ]
        return Wanted(pages, [_batch(batch, variables, today) for batch in self.batches])


@dataclass(slots=True)
class OperationPlans:
    """The plans of one operation of a validated document."""

    schema: GraphQLSchema
    declared: DeclaredFields
    document: DocumentNode
    operation: OperationDefinitionNode
    weight: Weight = field(default_factory=Weight)
    variables: Variables = field(init=False)
    _conditions: frozenset[str] = field(init=False)
    _variants: dict[tuple[Any, ...], Plan | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.variables = Variables(self.schema, self.operation.variable_definitions or ())
        declared = {definition.variable.name.value for definition in self.operation.variable_definitions or ()}
        self._conditions = condition_variables(self.document.definitions) & declared

    def get(self, variables: VariableValues) -> Plan | None:
        """The plan for these variables; None where the resolvers must answer."""
        if not self._conditions and () in self._variants:
            return self._variants[()]
        conditions = {name: variables.coerced.get(name) for name in sorted(self._conditions)}
        key = tuple(conditions.values())
        if None in key:
            # Null, which a variable with a default may be given, is an error of the field.
            return None
        if key in self._variants:
            return self._variants[key]
        try:
            plan = self._compile(conditions)
        except (UnsupportedError, BadUserInput):
            plan = None
        if len(self._variants) < VARIANTS_MAX:
            self._variants[key] = plan
        return plan

    def _compile(self, conditions: Mapping[str, Any]) -> Plan:
        query_type = self.schema.query_type
        if query_type is None:
            raise UnsupportedError("a schema without queries")
        fragments = {
            definition.name.value: definition
            for definition in self.document.definitions
            if isinstance(definition, FragmentDefinitionNode)
        }
        # What is not kept after all weighs nothing.
        weight = self.weight if len(self._variants) < VARIANTS_MAX else Weight()
        selection = Selection(self.schema, fragments, conditions)
        compiler = Compiler(self.schema, self.declared, selection)
        collected = selection.collect([self.operation.selection_set], query_type)
        if len(collected) > ROOTS_MAX:
            raise UnsupportedError("the document has many root fields")
        roots = [compiler.root(key, merged, query_type) for key, merged in collected.items()]
        fixed = [
            None if connection.arguments.has_variables else _page(connection, None)
            for connection in compiler.connections
        ]
        functions = _functions(roots, compiler.deferred)
        has_fixed_shape = None not in fixed and not compiler.batches
        statements = {
            number: ConnectionStatements(root.connection, has_fixed_shape=has_fixed_shape, weight=weight)
            for number, root in enumerate(roots)
            if isinstance(root, nodes.RootConnection)
        }
        rows = {
            (number, type_name): RowStatements(entity, layout, weight)
            for number, root in enumerate(roots)
            if isinstance(root, nodes.RootRow | nodes.RootRows)
            for type_name, (entity, layout, _) in root.by_type.items()
        }
        actions = frozenset(compiler.actions)
        weight.add(PLAN_BYTES + FIELD_BYTES * selection.written_out)
        return Plan(
            roots,
            compiler.connections,
            compiler.batches,
            compiler.deferred,
            actions,
            functions,
            fixed,
            statements,
            rows,
        )


def _page(connection: nodes.Connection, variables: VariableValues | None) -> PageRequest:
    given = connection.arguments.get(variables)
    order = given.get("orderBy")
    return page_request(
        connection.read,
        first=given.get("first"),
        after=given.get("after"),
        last=given.get("last"),
        before=given.get("before"),
        order=order and Order(connection.read.orders[order["field"].name], order["direction"].name == "DESC"),
        values={name: given.get(name) for name in connection.read.narrowing} | (given.get("filter") or {}),
    )


def _batch(batch: nodes.Batch, variables: VariableValues, today: date) -> tuple[BatchSelect, Mapping[str, Any]]:
    names = batch.read.argument_names
    # The version of what is kept depends on no arguments.
    given = {names[name]: value for name, value in batch.arguments.get(variables).items()} if names else {}
    return batch.read.select, batch.read.arguments(given, today)


def _functions(roots: Sequence[nodes.Root], deferred: Sequence[nodes.Waiting]) -> Mapping[str, Any]:
    """The shaping functions, by ``root N``, ``root N TYPE`` and ``deferred N``."""
    shaper, names = Shaper(), {}
    for number, root in enumerate(roots):
        if isinstance(root, nodes.RootConnection):
            names[f"root {number}"] = shaper.connection(root.connection)
        elif isinstance(root, nodes.RootRow | nodes.RootRows):
            for type_name, (_, _, row) in root.by_type.items():
                names[f"root {number} {type_name}"] = shaper.row(row)
    for number, waiting in enumerate(deferred):
        if isinstance(waiting, nodes.DeferredRows):
            names[f"deferred {number}"] = shaper.row(waiting.row)
        elif isinstance(waiting, nodes.DeferredKept):
            names[f"deferred {number}"] = shaper.shape(waiting.shape)
        elif isinstance(waiting, nodes.DeferredSlow):
            names[f"deferred {number}"] = shaper.shape(waiting.batch.shape)
    return shaper.functions(names)
