"""What an operation costs: how many objects its answer may hold, from the sizes of its pages.

Worked out once for each document, into a sum that leaves only the variables open; see README.md for the prices.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    GraphQLObjectType,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    get_named_type,
    get_nullable_type,
    is_abstract_type,
    is_leaf_type,
    is_list_type,
)

from api.http.introspection_cost import introspection_price
from api.http.list_sizes import (
    LIST_SIZE,
    LIST_SIZES,
    LISTS_AS_GIVEN,
    Given,
    ListLength,
    PageSize,
    size_of,
)
from api.reads.compiled.selection import Selection, condition_variables
from api.reads.compiled.variables import NO_VARIABLES

MUTATION_PRICE = 10
COUNT_PRICE = 1
VERIFICATION_PRICE = 1_000
CAPITAL_PRICE = 100
METRICS_PRICE = 100
"""A snapshot's metrics hold as many companies as its fund does, those of a fund look through all its calls."""
ALLOCATIONS_PRICE = 100
"""The rules sum up what the fund and the deal have, however much that is."""
FIELD_PRICES = {
    ("ForecastSnapshot", "metrics"): METRICS_PRICE,
    ("Fund", "metrics"): METRICS_PRICE,
    ("Query", "auditVerification"): VERIFICATION_PRICE,
    ("Query", "capitalState"): CAPITAL_PRICE,
    ("Query", "validateDealAllocation"): ALLOCATIONS_PRICE,
    ("Query", "wacc"): CAPITAL_PRICE,
    ("Query", "waccAverage"): CAPITAL_PRICE,
    ("Query", "waccTrend"): CAPITAL_PRICE,
}
"""What a field costs beside the objects that it holds, because of what it looks through or brings along."""
VARIANTS_MAX = 16
"""For how many combinations of @skip and @include variables an operation's sums are kept."""

_COLLECTED_MAX = 1_000_000
"""As good as none: the document's limits bound it, and only an abstract type makes more of its fields."""


@dataclass(frozen=True, slots=True)
class Sum:
    """A constant, sizes times what each costs, and the dearest of alternatives."""

    constant: int
    products: tuple[tuple[PageSize | ListLength, "Price"], ...] = ()
    alternatives: tuple[tuple["Price", ...], ...] = ()

    def of(self, coerced: Mapping[str, Any]) -> int:
        """What it comes to with these variables."""
        total = self.constant
        for size, price in self.products:
            total += size.of(coerced) * evaluate(price, coerced)
        for choices in self.alternatives:
            total += max(evaluate(price, coerced) for price in choices)
        return total


Price = int | Sum


def evaluate(price: Price, coerced: Mapping[str, Any]) -> int:
    """What a price comes to with these variables."""
    return price if isinstance(price, int) else price.of(coerced)


@dataclass(slots=True)
class OperationCost:
    """The cost of one operation of a validated document."""

    schema: GraphQLSchema
    fragments: Mapping[str, FragmentDefinitionNode]
    operation: OperationDefinitionNode
    _conditions: tuple[str, ...] = field(init=False)
    _kept: dict[tuple[Any, ...], Price] = field(default_factory=dict)
    fixed: int | None = field(init=False, default=None)
    """The cost where no variable decides it."""

    def __post_init__(self) -> None:
        """Works it out where no variable decides which fields are asked for."""
        self._conditions = tuple(sorted(condition_variables([self.operation, *self.fragments.values()])))
        if not self._conditions:
            price = self._kept[()] = self._price({})
            self.fixed = price if isinstance(price, int) else None

    def of(self, coerced: Mapping[str, Any]) -> int:
        """The cost with these coerced variables."""
        if self.fixed is not None:
            return self.fixed
        key = tuple([coerced.get(name) for name in self._conditions])
        price = self._kept.get(key)
        if price is None:
            price = self._price(dict(zip(self._conditions, key, strict=True)))
            if len(self._kept) < VARIANTS_MAX:
                self._kept[key] = price
        return evaluate(price, coerced)

    def _price(self, conditions: Mapping[str, Any]) -> Price:
        selection = Selection(self.schema, self.fragments, conditions, fields_max=_COLLECTED_MAX)
        root = self.schema.get_root_type(self.operation.operation)
        if root is None:
            return 0
        pricer = _Pricer(self.schema, selection)
        fields = selection.collect([self.operation.selection_set], root)
        price = _sum(pricer.field(root, nodes) for nodes in fields.values())
        is_mutation = self.operation.operation is OperationType.MUTATION
        return _sum([price, MUTATION_PRICE * len(fields) if is_mutation else 0])


@dataclass(slots=True)
class _Pricer:
    """Prices selections; each of a type and its selection sets once."""

    schema: GraphQLSchema
    selection: Selection
    _known: dict[Any, Price] = field(default_factory=dict)

    def field(
        self, parent: GraphQLObjectType, nodes: Sequence[FieldNode], page: PageSize | ListLength | None = None
    ) -> Price:
        """What a field costs; ``page`` is that of the connection whose rows it may list, or of what is given."""
        name = nodes[0].name.value
        if name.startswith("__"):
            return 0 if name == "__typename" else introspection_price(self.schema, self.selection, nodes)
        definition = parent.fields[name]
        named = get_named_type(definition.type)
        if is_leaf_type(named):
            return COUNT_PRICE if name == "totalCount" else FIELD_PRICES.get((parent.name, name), 0)
        sets = [node.selection_set for node in nodes]
        own = FIELD_PRICES.get((parent.name, name), 0)
        is_list = is_list_type(get_nullable_type(definition.type))
        size = size_of(definition, nodes[0])
        given = page if isinstance(page, ListLength) else None
        if not is_list:
            return _sum([own, 1, self._selected(named, sets, size or given)])
        each = _sum([1, self._selected(named, sets, None)])
        if (parent.name, name) in LISTS_AS_GIVEN and given is not None:
            return _product(given, each)
        rows = page if isinstance(page, PageSize) else None
        return _sum([own, _product(size or rows or LIST_SIZES.get((parent.name, name), LIST_SIZE), each)])

    def _selected(
        self, type_: Any, sets: Sequence[SelectionSetNode | None], page: PageSize | ListLength | None
    ) -> Price:
        """What is selected of an object."""
        key = (type_.name, page, *map(id, sets))
        price = self._known.get(key)
        if price is None:
            if is_abstract_type(type_):
                price = _dearest([self._selected(one, sets, page) for one in self.schema.get_possible_types(type_)])
            else:
                collected = self.selection.collect(sets, type_)
                price = _sum(self.field(type_, nodes, page) for nodes in collected.values())
            self._known[key] = price
        return price


def _sum(prices: Any) -> Price:
    constant = 0
    products: list[Any] = []
    alternatives: list[Any] = []
    for price in prices:
        if isinstance(price, int):
            constant += price
        else:
            constant += price.constant
            products += price.products
            alternatives += price.alternatives
    return Sum(constant, tuple(products), tuple(alternatives)) if products or alternatives else constant


def _product(size: PageSize | ListLength | int, price: Price) -> Price:
    if not isinstance(size, int) and size.is_fixed:
        size = size.of(NO_VARIABLES.coerced)
    if not isinstance(size, int):
        return Sum(0, ((size, price),))
    if isinstance(price, int):
        return size * price
    return Sum(0, ((ListLength(Given(size), most=size), price),))


def _dearest(prices: Sequence[Price]) -> Price:
    """The dearest of these; those that are known are compared at once."""
    known = max((price for price in prices if isinstance(price, int)), default=0)
    others = tuple(price for price in prices if not isinstance(price, int))
    return Sum(0, (), ((known, *others),)) if others else known
