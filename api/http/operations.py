"""Answering one operation: by its plan where it has one, else by the resolvers."""

from collections.abc import Sequence
from dataclasses import dataclass
from inspect import isawaitable
from typing import Any

import structlog
from graphql import ExecutionResult, GraphQLError, GraphQLSchema, OperationType
from graphql.execution import execute

from api.db.pools import Database, Snapshot, Statement
from api.errors import Refused, RequestError
from api.graphql.context import Context, SignedIn
from api.http.documents import Document, Operation
from api.http.requests import GraphQLRequest
from api.reads.compiled.execution import run
from api.services.commands import Writer

logger = structlog.get_logger("tranche.operation")


@dataclass(frozen=True, slots=True)
class Result:
    """A GraphQL response, and the status that it would have."""

    status: int
    body: dict[str, Any]


@dataclass(slots=True)
class Operations:
    """Answers operations on one database."""

    schema: GraphQLSchema
    database: Database
    writer: Writer
    uses_plans: bool = True

    async def run(
        self,
        document: Document,
        operation: Operation,
        request: GraphQLRequest,
        signed_in: SignedIn | None,
        request_id: str,
        *,
        debug: bool,
    ) -> Result:
        """The response to one operation; what fails inside is masked and logged under the request id."""
        context = Context(self.database, self.writer, request_id, signed_in)
        try:
            if self.uses_plans and signed_in is not None and operation.type is OperationType.QUERY:
                result = await self._run_plan(operation, request, context, debug=debug)
                if result is not None:
                    return result
            return await self._run_resolvers(document, request, context, debug=debug)
        except Exception as error:
            return Result(500, {"errors": [masked(error, request_id)]})
        finally:
            await context.close()

    async def _run_plan(
        self, operation: Operation, request: GraphQLRequest, context: Context, *, debug: bool
    ) -> Result | None:
        """The response by the operation's plan; None where the resolvers must answer."""
        variables = operation.plans.variables.read(request.variables)
        plan = None if variables is None else operation.plans.get(variables)
        if variables is None or plan is None:
            return None
        snapshot = Snapshot(self.database, context.principal.organization_id)
        try:
            data = await run(plan, snapshot, variables, role=context.principal.role, today=context.today)
        finally:
            if not plan.is_one_statement:
                await snapshot.close()
        if data is None:
            return None
        body: dict[str, Any] = {"data": data}
        if debug:
            body["extensions"] = {"debug": _debug("compiled", snapshot.statements)}
        return Result(200, body)

    async def _run_resolvers(
        self, document: Document, request: GraphQLRequest, context: Context, *, debug: bool
    ) -> Result:
        outcome = execute(
            self.schema,
            document.node,  # type: ignore[arg-type]
            context_value=context,
            variable_values=request.variables,
            operation_name=request.operation_name,
        )
        result = await outcome if isawaitable(outcome) else outcome
        if not isinstance(result, ExecutionResult):
            raise TypeError("incremental results are not enabled")
        body: dict[str, Any] = {}
        errors = result.errors or []
        if errors:
            body["errors"] = [format_error(error, context.request_id) for error in errors]
        # A fault of the variables comes without a path and before any field was run: the request is refused.
        is_refused = result.data is None and bool(errors) and all(not error.path for error in errors)
        if not is_refused:
            body["data"] = result.data
        if debug:
            statements = context.loaders.snapshot.statements if context.signed_in else []
            body["extensions"] = {"debug": _debug("resolvers", statements)}
        return Result(400 if is_refused else 200, body)


def format_error(error: GraphQLError, request_id: str, code: str = "BAD_USER_INPUT") -> dict[str, Any]:
    """An error as it goes into the response; what is not the client's fault is masked, and logged in full."""
    original = error.original_error
    formatted: dict[str, Any] = {"message": error.message}
    if isinstance(original, RequestError):
        code = original.code
    elif isinstance(original, Refused):
        code = original.problems[0].code.value
        formatted["message"] = original.problems[0].message
    elif original is not None and not isinstance(original, GraphQLError):
        formatted = masked(original, request_id)
        code = "INTERNAL_SERVER_ERROR"
    if error.locations:
        formatted["locations"] = [location.formatted for location in error.locations]
    if error.path:
        formatted["path"] = error.path
    formatted["extensions"] = {**formatted.get("extensions", {}), "code": code}
    return formatted


def masked(error: BaseException, request_id: str) -> dict[str, Any]:
    logger.error("internal_error", request_id=request_id, exc_info=error)
    return {
        "message": f"The server failed. The log knows more under request {request_id}.",
        "extensions": {"code": "INTERNAL_SERVER_ERROR", "requestId": request_id},
    }


def _debug(path: str, statements: Sequence[Statement]) -> dict[str, Any]:
    return {
        "path": path,
        "statements": [
            {"sql": statement.sql, "milliseconds": round(statement.milliseconds, 3), "rows": statement.rows}
            for statement in statements
        ],
    }
