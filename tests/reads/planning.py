"""Reading and planning documents outside of a request, and counting the work that it takes."""

import sys
from datetime import date
from types import FrameType
from typing import Any, Self

from graphql.execution.values import VariableValues, get_variable_values

from api.db.pools import Snapshot
from api.domain.access import Role
from api.graphql.schema import declared_fields, schema
from api.http.documents import Documents
from api.reads.compiled.execution import Asking, run
from api.reads.compiled.plans import OperationPlans
from api.reads.kept import KeptAnswers
from tests.server import RunningServer


class Counted:
    """How many Python functions are called meanwhile, of files whose path begins with ``within``."""

    def __init__(self, within: str = "") -> None:
        self.calls = 0
        self._within = within

    def __enter__(self) -> Self:
        self._before = sys.getprofile()
        sys.setprofile(self._count)
        return self

    def __exit__(self, *_error: object) -> None:
        sys.setprofile(self._before)

    def _count(self, frame: FrameType, event: str, _argument: object) -> None:
        self.calls += event == "call" and frame.f_code.co_filename.startswith(self._within)


def documents() -> Documents:
    return Documents(schema()._schema, declared_fields())


def plans(document: str) -> OperationPlans:
    read = documents().get(document)
    assert not read.errors, read.errors
    return read.operations[0].plans


def plan(document: str) -> bool:
    """Whether the document has a plan; it may be refused as well."""
    operations = documents().get(document).operations
    return any(operation.plans.get(coerced(operation.plans, {})) is not None for operation in operations)


def coerced(operation: OperationPlans, variables: dict[str, Any]) -> VariableValues:
    values = get_variable_values(operation.schema, operation.operation.variable_definitions or (), variables)
    assert isinstance(values, VariableValues)
    return values


async def statement(server: RunningServer, operation: OperationPlans, variables: dict[str, Any]) -> str:
    """The SQL of an operation that one statement answers."""
    values = coerced(operation, variables)
    made = operation.get(values)
    assert made is not None
    snapshot = Snapshot(server.database, server.organization_ids["alpha"])
    assert await run(made, snapshot, values, Asking(Role.EDITOR, date(2026, 1, 1), KeptAnswers())) is not None
    [recorded] = snapshot.statements
    return recorded.sql
