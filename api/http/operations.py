"""Answering one operation, if it is not too much: by its plan where it has one, else by the resolvers."""

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from inspect import isawaitable
from typing import Any, TypeVar

import structlog
from graphql import ExecutionResult, GraphQLSchema, OperationType
from graphql.execution import execute
from graphql.execution.values import VariableValues

from api.db.faults import fault_of
from api.db.pools import Database, Snapshot, Statement
from api.errors import QueryTooComplex, RequestError, TimedOut, TryAgain
from api.graphql.context import Context, People, Process, SignedIn
from api.http.deadlines import Deadlines
from api.http.documents import UNFIT, Document, Operation
from api.http.error_answers import format_error, masked
from api.http.executor import TransientExecutor, let_go
from api.http.requests import GraphQLRequest
from api.reads.compiled.execution import Asking, run
from api.reads.kept import KeptAnswers
from api.services.commands import Writer
from api.services.rate_limits import RateLimits

STATUSES = {"RATE_LIMITED": 429, "TIMEOUT": 503, "UNAVAILABLE": 503}
"""The statuses of answers without data, by the code of what went wrong."""
_NO_HEADERS: Mapping[str, str] = {}

T = TypeVar("T")
logger = structlog.get_logger("tranche.operation")


@dataclass(frozen=True, slots=True)
class OperationLimits:
    """How much one operation may ask for, and for how long it may go on."""

    cost_max: int = 50_000
    seconds_max: float = 15.0


@dataclass(slots=True)
class Result:
    """A GraphQL response, the status that it would have, and after how many seconds it may be asked for again."""

    status: int
    body: dict[str, Any]
    retry_after: int | None = None

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers that belong to it."""
        return _NO_HEADERS if self.retry_after is None else {"Retry-After": str(self.retry_after)}


@dataclass(slots=True)
class _Asked:
    """One operation as it was asked. ``variables`` None: they cannot be coerced, and graphql-core says why."""

    document: Document
    operation: Operation
    request: GraphQLRequest
    variables: VariableValues | None
    context: Context
    debug: bool


@dataclass(slots=True)
class Operations:
    """Answers operations on one database."""

    schema: GraphQLSchema
    database: Database
    writer: Writer
    uses_plans: bool = True
    hides_suggestions: bool = False
    hides_schema: bool = False
    """Whether callers without a token are not told what is wrong with their variables: it would tell of the schema."""
    limits: OperationLimits = OperationLimits()
    rates: RateLimits | None = None
    people: People | None = None
    kept: KeptAnswers = field(default_factory=KeptAnswers)
    process: Process = field(default_factory=Process)
    _unfinished: set["asyncio.Task[Any]"] = field(default_factory=set)
    _deadlines: Deadlines = field(init=False)

    def __post_init__(self) -> None:
        """Starts no clock: that the first operation does."""
        self._deadlines = Deadlines(self.limits.seconds_max)

    @property
    def writes_under_way(self) -> int:
        """How many mutations are being answered."""
        return len(self._unfinished)

    async def run(
        self,
        document: Document,
        operation: Operation,
        request: GraphQLRequest,
        signed_in: SignedIn | None,
        request_id: str,
        *,
        debug: bool,
        shows_cost: bool = False,
    ) -> Result:
        """The response to one operation; what fails inside is masked and logged under the request id."""
        context = Context(
            self.database,
            self.writer,
            request_id,
            signed_in,
            people=self.people,
            kept=self.kept,
            process=self.process,
        )
        try:
            variables = operation.plans.variables.read(request.variables)
            cost = 1 if variables is None else operation.cost.of(variables.coerced)
            if not self._is_plainly_admitted(cost, signed_in):
                await self._admit(operation, cost, signed_in)
            asked = _Asked(document, operation, request, variables, context, debug)
            is_query = operation.type is OperationType.QUERY
            result = await self._query(asked) if is_query else await self._mutate(asked)
        except Exception as error:
            return failed(error, request_id)
        if shows_cost:
            result.body.setdefault("extensions", {})["cost"] = {"value": cost, "max": self.limits.cost_max}
        return result

    async def admit(
        self, operation: Operation, request: GraphQLRequest, signed_in: SignedIn | None
    ) -> tuple[VariableValues | None, int]:
        """The coerced variables, None where they cannot be, and what the operation costs with them.

        Raises QueryTooComplex or RateLimited where this much may not be asked for, or not now.
        """
        variables = operation.plans.variables.read(request.variables)
        # Variables that cannot be read are refused before anything is run.
        cost = 1 if variables is None else operation.cost.of(variables.coerced)
        if not self._is_plainly_admitted(cost, signed_in):
            await self._admit(operation, cost, signed_in)
        return variables, cost

    def _is_plainly_admitted(self, cost: int, signed_in: SignedIn | None) -> bool:
        """Whether there is no need to look any further, as it is with nearly all."""
        return (
            cost <= self.limits.cost_max
            and signed_in is not None
            and (self.rates is None or self.rates.take(signed_in.principal, cost or 1))
        )

    async def _admit(self, operation: Operation, cost: int, signed_in: SignedIn | None) -> None:
        if cost > self.limits.cost_max:
            raise QueryTooComplex(
                f"The operation costs {cost}, for so many objects may its answer hold; at most {self.limits.cost_max}."
                " Ask for smaller pages."
            )
        if self.rates is None:
            return
        if signed_in is not None:
            await self.rates.lease(signed_in.principal, cost or 1)
        elif operation.type is OperationType.QUERY:
            # Mutations without a token are attempts to sign in, which have limits of their own.
            self.rates.take_anonymously(cost or 1)

    async def _query(self, asked: _Asked) -> Result:
        context = asked.context
        task = self._deadlines.start()
        try:
            if self.uses_plans and context.signed_in is not None and asked.variables is not None:
                result = await self._run_plan(asked, asked.variables)
                if result is not None:
                    return result
            return await self._run_resolvers(asked)
        except asyncio.CancelledError:
            if not self._deadlines.has_ended(task):
                raise
            raise TimedOut(
                f"The operation took longer than {self.limits.seconds_max:g} s. Ask for less at once."
            ) from None
        finally:
            if self._deadlines.end(task):
                # A statement may be running still; the caller does not wait for its connection.
                self._finish_later(context.close())
            else:
                await context.close()

    async def _mutate(self, asked: _Asked) -> Result:
        """Goes on to its end, whether or not the caller still waits."""
        task = self._finish_later(self._run_mutation(asked))
        done, _ = await asyncio.wait({task}, timeout=self.limits.seconds_max)
        if not done:
            raise TimedOut(
                f"The mutation takes longer than {self.limits.seconds_max:g} s and goes on. Send it again with the same"
                " idempotencyKey to see what came of it."
            )
        return task.result()

    async def _run_mutation(self, asked: _Asked) -> Result:
        try:
            return await self._run_resolvers(asked)
        except Exception as error:
            return failed(error, asked.context.request_id)
        finally:
            # What is left to end has only read: nobody waits for that.
            self._finish_later(asked.context.close())

    def _finish_later(self, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        task = asyncio.ensure_future(work)
        self._unfinished.add(task)
        task.add_done_callback(self._unfinished.discard)
        return task

    async def _run_plan(self, asked: _Asked, variables: VariableValues) -> Result | None:
        """The response by the operation's plan; None where the resolvers must answer."""
        plan = asked.operation.plans.get(variables)
        if plan is None:
            return None
        context, principal = asked.context, asked.context.principal
        snapshot = Snapshot(self.database, principal.organization_id)
        data = await run(plan, snapshot, variables, Asking(principal.role, context.today, self.kept))
        if data is None:
            return None
        body: dict[str, Any] = {"data": data}
        if asked.debug:
            body["extensions"] = {"debug": _debug("compiled", snapshot.statements)}
        return Result(200, body)

    async def _run_resolvers(self, asked: _Asked) -> Result:
        request, context, operation = asked.request, asked.context, asked.operation.plans.operation
        node: Any = asked.document.node
        if asked.variables is not None:
            outcome = TransientExecutor.of_coerced(
                self.schema, node, operation, asked.variables, context, hides_suggestions=self.hides_suggestions
            ).execute_operation()
        else:
            outcome = execute(
                self.schema,
                node,
                variable_values=request.variables,
                operation_name=request.operation_name,
                hide_suggestions=self.hides_suggestions,
            )
        result = await outcome if isawaitable(outcome) else outcome
        if not isinstance(result, ExecutionResult):
            raise TypeError("incremental results are not enabled")
        body: dict[str, Any] = {}
        errors = result.errors or []
        # A fault of the variables comes without a path and before any field was run: the request is refused.
        is_refused = result.data is None and bool(errors) and all(not error.path for error in errors)
        if is_refused and self.hides_schema and context.signed_in is None:
            body["errors"] = [format_error(error, context.request_id, UNFIT.error_code) for error in UNFIT.errors]
        elif errors:
            _raise_fault(asked.operation, result)
            body["errors"] = [format_error(error, context.request_id) for error in errors]
            let_go(*errors, *(error.original_error for error in errors))
        if not is_refused:
            body["data"] = result.data
        if asked.debug:
            statements = context.loaders.snapshot.statements if context.signed_in else []
            body["extensions"] = {"debug": _debug("resolvers", statements)}
        return Result(400 if is_refused else 200, body)


def _raise_fault(operation: Operation, result: ExecutionResult) -> None:
    """Raises what the database failed with, where nothing is left to answer.

    What a query read until then is no answer; what a mutation wrote until then is.
    """
    faults = [error.original_error for error in result.errors or () if fault_of(error.original_error)]
    is_all = not any((result.data or {}).values()) and len(faults) == len(result.errors or ())
    if faults and faults[0] is not None and (operation.type is OperationType.QUERY or is_all):
        let_go(*result.errors or (), *faults)
        raise faults[0]


def failed(error: Exception, request_id: str) -> Result:
    """The response where nothing can be answered."""
    fault: RequestError | None = fault_of(error)
    if fault is not None and fault is not error:
        logger.warning("database_fault", request_id=request_id, error=repr(error))
    elif fault is None and isinstance(error, QueryTooComplex):
        fault = error
    told = {"message": str(fault), "extensions": {"code": fault.code}} if fault else masked(error, request_id)
    let_go(error)
    status = STATUSES.get(fault.code, 400) if fault else 500
    return Result(status, {"errors": [told]}, fault.retry_after if isinstance(fault, TryAgain) else None)


def _debug(path: str, statements: Sequence[Statement]) -> dict[str, Any]:
    return {
        "path": path,
        "statements": [
            {"sql": statement.sql, "milliseconds": round(statement.milliseconds, 3), "rows": statement.rows}
            for statement in statements
        ],
    }
