"""How many objects lists may hold, told by arguments, by what a mutation is given, or by what is usual."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from graphql import (
    FieldNode,
    GraphQLField,
    IntValueNode,
    ListValueNode,
    NullValueNode,
    ObjectValueNode,
    ValueNode,
    VariableNode,
)

from api.reads.pages import NODES_MAX, PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX
from api.reads.totals import SERIES_MAX

LIST_SIZE = 20
"""How many objects a list is taken to hold whose size no argument says."""
GIVEN_MAX = 1_000
"""How many objects an input's list may hold, and more in a bulk."""
BULK_MAX = 10_000
"""How many objects the list of a bulk may hold."""
LIST_SIZES = {
    ("CapitalCall", "payments"): LIST_SIZE,
    ("AllocationValidation", "errors"): LIST_SIZE,
    ("AllocationValidation", "userErrors"): LIST_SIZE,
    ("AllocationValidation", "warnings"): LIST_SIZE,
    ("ApproveDealAllocationPayload", "warnings"): LIST_SIZE,
    ("CreateDealAllocationPayload", "warnings"): LIST_SIZE,
    ("ChangeCapitalCallStatusPayload", "warnings"): LIST_SIZE,
    ("ChangeDealAllocationStatusPayload", "warnings"): LIST_SIZE,
    ("CreateCapitalCallPayload", "warnings"): LIST_SIZE,
    ("CreateDealPayload", "warnings"): LIST_SIZE,
    ("DeleteDealAllocationPayload", "warnings"): LIST_SIZE,
    ("RecordCapitalCallPaymentPayload", "warnings"): LIST_SIZE,
    ("RecordDistributionPayload", "warnings"): LIST_SIZE,
    ("RejectDealAllocationPayload", "warnings"): LIST_SIZE,
    ("UpdateDealPayload", "warnings"): LIST_SIZE,
    ("Fund", "reserveRanking"): LIST_SIZE,
    ("FundMetrics", "weights"): 1_000,
    ("Organization", "businessRuleChanges"): LIST_SIZE,
    ("Holding", "totalsSeries"): SERIES_MAX,
    ("Portfolio", "exposure"): 100,
    ("Portfolio", "totalsSeries"): SERIES_MAX,
    ("CreateHoldingActivitiesPayload", "recalculations"): 100,
    ("DeleteHoldingActivityPayload", "recalculations"): 1,
    ("DeleteHoldingValuationPayload", "recalculations"): 1,
    ("RecalculateIrrPayload", "recalculations"): 100,
    ("RecordHoldingValuationsPayload", "recalculations"): 100,
    ("UpdateHoldingActivityPayload", "recalculations"): 1,
    ("Query", "capitalState"): 200,
    ("Query", "proposeReallocation"): 100,
    ("Query", "sequenceHealth"): 40,
    ("RepairSequencesPayload", "repaired"): 40,
    ("Query", "waccTrend"): 100,
    ("Reallocation", "changes"): 100,
    ("ReallocationPreview", "deltas"): GIVEN_MAX,
    ("SnapshotComparison", "companies"): 100,
    ("SystemHealth", "caches"): LIST_SIZE,
    ("SystemHealth", "workers"): LIST_SIZE,
    ("UpdateDealAllocationPayload", "warnings"): LIST_SIZE,
    ("Viewer", "memberships"): 20,
}
"""What lists are taken to hold that may be longer than LIST_SIZE, by the rules or by what firms have."""
INPUT_LISTS = {
    "commitReallocation": "proposals",
    "createReserveAllocations": "allocations",
    "createHoldingActivities": "activities",
    "importCapitalHistory": "entries",
    "previewReallocation": "proposals",
    "recordBenchmarkPrices": "prices",
    "recordHoldingStatements": "statements",
    "recordHoldingValuations": "valuations",
}
"""The lists in the inputs of mutations that say how long those of their payloads may be."""
BULKS = frozenset({"createHoldingActivities", "recordBenchmarkPrices", "recordHoldingValuations"})
LISTS_AS_GIVEN = frozenset(
    {
        ("CommitReallocationPayload", "userErrors"),
        ("CreateReserveAllocationsPayload", "reserveAllocations"),
        ("CreateReserveAllocationsPayload", "userErrors"),
        ("CreateHoldingActivitiesPayload", "activities"),
        ("CreateHoldingActivitiesPayload", "userErrors"),
        ("RecordBenchmarkPricesPayload", "prices"),
        ("RecordBenchmarkPricesPayload", "userErrors"),
        ("RecordHoldingValuationsPayload", "userErrors"),
        ("RecordHoldingValuationsPayload", "valuations"),
        ("ImportCapitalHistoryPayload", "userErrors"),
        ("PreviewReallocationPayload", "userErrors"),
        ("RecordHoldingStatementsPayload", "userErrors"),
        ("RecordHoldingStatementsPayload", "statements"),
        ("Reallocation", "changes"),
        ("ReallocationPreview", "issues"),
    }
)
"""Those lists of payloads; where a reallocation comes from elsewhere, nothing says how long its changes are."""


@dataclass(frozen=True, slots=True)
class Given:
    """An argument's value: known, or that of a variable, or ``value`` where the variable is left out."""

    value: Any = None
    variable: str | None = None
    field: str | None = None
    """The field of the variable's input object that is meant."""

    def of(self, coerced: Mapping[str, Any]) -> Any:
        """The value with these variables."""
        value = self.value if self.variable is None else coerced.get(self.variable, self.value)
        return value.get(self.field) if self.field is not None and isinstance(value, Mapping) else value


@dataclass(frozen=True, slots=True)
class PageSize:
    """How many rows a page may hold."""

    first: Given
    last: Given

    @property
    def is_fixed(self) -> bool:
        """Whether it is the same for all variables."""
        return self.first.variable is None and self.last.variable is None

    def of(self, coerced: Mapping[str, Any]) -> int:
        """The size with these variables; a size that will be refused counts as the nearest that is not."""
        size = self.last.of(coerced)
        if size is None:
            size = self.first.of(coerced)
        return PAGE_SIZE_DEFAULT if size is None else min(max(int(size), 0), PAGE_SIZE_MAX)


@dataclass(frozen=True, slots=True)
class ListLength:
    """How many ids, or other things, are given; ``beside`` them the list may hold so many more."""

    ids: Given
    most: int = NODES_MAX
    beside: int = 0

    @property
    def is_fixed(self) -> bool:
        """Whether it is the same for all variables."""
        return self.ids.variable is None

    def of(self, coerced: Mapping[str, Any]) -> int:
        """The length with these variables."""
        given = self.ids.of(coerced) or 0
        return min(given if isinstance(given, int) else len(given), self.most) + self.beside


def size_of(definition: GraphQLField, node: FieldNode) -> PageSize | ListLength | None:
    """How many rows the field's arguments ask for, or what a mutation is given; None where they do not say."""
    if "first" in definition.args:
        return PageSize(_given(definition, node, "first"), _given(definition, node, "last"))
    if "ids" in definition.args:
        return ListLength(_given(definition, node, "ids"))
    if node.name.value in INPUT_LISTS and "input" in definition.args:
        # Beside an issue for each proposal there are the warnings, and user errors that are about no item.
        most = BULK_MAX if node.name.value in BULKS else GIVEN_MAX
        return ListLength(_given_in_input(node, INPUT_LISTS[node.name.value]), most, LIST_SIZE)
    return None


def _given_in_input(node: FieldNode, name: str) -> Given:
    """The list of this name in the input; of one that is written out its length."""
    value = next((argument.value for argument in node.arguments or () if argument.name.value == "input"), None)
    if isinstance(value, VariableNode):
        return Given(None, value.name.value, name)
    fields = value.fields if isinstance(value, ObjectValueNode) else ()
    item = next((field.value for field in fields if field.name.value == name), None)
    if isinstance(item, VariableNode):
        return Given(None, item.name.value)
    return Given(len(item.values) if isinstance(item, ListValueNode) else int(item is not None))


def _given(definition: GraphQLField, node: FieldNode, name: str) -> Given:
    if name not in definition.args:
        return Given()
    default = definition.args[name].default_value
    fallback = default if isinstance(default, int | list) else None
    value = next((argument.value for argument in node.arguments or () if argument.name.value == name), None)
    if value is None:
        return Given(fallback)
    return Given(fallback, value.name.value) if isinstance(value, VariableNode) else Given(_literal(value))


def _literal(value: ValueNode) -> Any:
    """What a literal comes to: a number, or a list as long as it; a list of one may be written without brackets."""
    if isinstance(value, NullValueNode):
        return None
    if isinstance(value, IntValueNode):
        return int(value.value)
    return value.values if isinstance(value, ListValueNode) else [value]
