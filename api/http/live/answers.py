"""One operation as a series of responses: one for a query or mutation, one for each event for a subscription."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterable, Mapping
from contextlib import aclosing
from functools import partial
from inspect import isawaitable
from typing import Any

from graphql import ExecutionResult, GraphQLError, OperationType
from graphql.execution import Executor, create_source_event_stream, execute_subscription_event

from api import metrics
from api.errors import Refused, RequestError, TimedOut, TryAgain
from api.graphql.context import Context, SignedIn
from api.http.documents import Document, Operation
from api.http.error_answers import format_error
from api.http.live.sharing import Sharing, what_answers_depend_on
from api.http.operations import Operations, failed
from api.http.reports import count_errors, report
from api.http.requests import GraphQLRequest
from api.reads.live.followers import LiveLog

RETRY_SECONDS = (0.2, 1.0, 3.0)
"""After how long an event that the server failed to answer is tried again."""

CODES_LOGGED_MAX = 20

Body = dict[str, Any]
"""A GraphQL response. Without ``data`` the operation was refused, or cannot go on."""


class Answers:
    """Answers operations in parts."""

    def __init__(self, operations: Operations, live: LiveLog) -> None:
        self.operations = operations
        self.live = live
        self._sharing: Sharing[Body] = Sharing()
        # An event goes to all who follow at once: they must leave connections to those who ask something else.
        self._places = asyncio.Semaphore(max(1, operations.database.limits.read_connections_max // 2))

    async def bodies(
        self,
        document: Document,
        operation: Operation,
        request: GraphQLRequest,
        signed_in: SignedIn | None,
        request_id: str,
    ) -> AsyncGenerator[Body, None]:
        """The responses to one operation. Whatever fails inside is masked, logged and ends them."""
        started, count = time.perf_counter(), 0
        codes: list[str] = []
        is_subscription = operation.type is OperationType.SUBSCRIPTION
        metrics.SUBSCRIPTIONS.inc(is_subscription)
        try:
            if not is_subscription:
                result = await self.operations.run(document, operation, request, signed_in, request_id, debug=False)
                responses = one(result.body)
            else:
                await self.operations.admit(operation, request, signed_in)
                responses = self._events(document, operation, request, signed_in, request_id)
            async with aclosing(responses) as bodies:
                async for body in bodies:
                    codes = [*codes, *count_errors(body)][:CODES_LOGGED_MAX]
                    count += "data" in body
                    yield body
        except Exception as error:
            body = failed(error, request_id).body
            codes = [*codes, *count_errors(body)]
            yield body
        finally:
            metrics.SUBSCRIPTIONS.dec(is_subscription)
            seconds = time.perf_counter() - started
            report(operation, signed_in, request_id, seconds, codes, responses=count)

    async def _events(
        self,
        document: Document,
        operation: Operation,
        request: GraphQLRequest,
        signed_in: SignedIn | None,
        request_id: str,
    ) -> AsyncGenerator[Body, None]:
        context = self._context(signed_in, request_id)
        executor = Executor.build(
            self.operations.schema,
            document.node,  # type: ignore[arg-type]
            context_value=context,
            raw_variable_values=request.variables,
            operation_name=request.operation_name,
            hide_suggestions=self.operations.hides_suggestions,
        )
        if isinstance(executor, list):
            yield _refused(executor, request_id)
            return
        try:
            found = create_source_event_stream(executor)
            source = await found if isawaitable(found) else found
        finally:
            await context.close()
        if isinstance(source, ExecutionResult):
            yield _refused(source.errors or [], request_id)
            return
        key = what_answers_depend_on(document, operation, request, signed_in)
        try:
            async with aclosing(_closable(source)) as events:
                async for event in events:
                    body = await self._sharing.answer(
                        (key, event.log_entry.sequence), partial(self._answer, executor, event, signed_in, request_id)
                    )
                    yield body
                    if "data" not in body:
                        return
        except RequestError as error:
            yield _refused([GraphQLError(str(error), original_error=error)], request_id)

    async def _answer(
        self, executor: Executor[Any], event: object, signed_in: SignedIn | None, request_id: str
    ) -> Body:
        """The response to one event, read from a snapshot of its own.

        Where the server fails to answer it, it is tried again; in the end the response has no data, and the stream must
        end with it: who goes on from the cursor before then misses nothing.
        """
        limit = self.operations.limits.seconds_max
        for seconds in (*RETRY_SECONDS, None):
            try:
                async with self._places, asyncio.timeout(limit):
                    result = await self._execute(executor, event, signed_in, request_id)
            except TimeoutError:
                late = TimedOut(f"The event took longer than {limit:g} s to answer. Ask for less at once.")
                result = ExecutionResult(None, [GraphQLError(str(late), original_error=late)])
            errors = result.errors or []
            if result.data is not None or not any(_is_servers_fault(error) for error in errors):
                return _body(result, request_id)
            if seconds is not None:
                await asyncio.sleep(seconds)
        return _refused(errors, request_id)

    async def _execute(
        self, executor: Executor[Any], event: object, signed_in: SignedIn | None, request_id: str
    ) -> ExecutionResult:
        context = self._context(signed_in, request_id)
        event_executor = executor.build_per_event_executor(event)
        event_executor.context_value = context
        try:
            outcome = execute_subscription_event(event_executor)
            return await outcome if isawaitable(outcome) else outcome
        finally:
            await context.close()

    def _context(self, signed_in: SignedIn | None, request_id: str) -> Context:
        return Context(self.operations.database, self.operations.writer, request_id, signed_in, live=self.live)


async def one(body: Mapping[str, Any]) -> AsyncGenerator[Body, None]:
    """A single response as a series."""
    yield dict(body)


async def _closable(source: AsyncIterable[Any]) -> AsyncGenerator[Any, None]:
    try:
        async for event in source:
            yield event
    finally:
        close = getattr(source, "aclose", None)
        if close is not None:
            await close()


def _body(result: ExecutionResult, request_id: str) -> Body:
    body: Body = {"errors": [format_error(error, request_id) for error in result.errors]} if result.errors else {}
    body["data"] = result.data
    return body


def _refused(errors: list[GraphQLError], request_id: str) -> Body:
    return {"errors": [format_error(error, request_id) for error in errors]}


def _is_servers_fault(error: GraphQLError) -> bool:
    original = error.original_error
    if original is None or isinstance(original, TryAgain):
        return original is not None
    return not isinstance(original, (GraphQLError, RequestError, Refused))
