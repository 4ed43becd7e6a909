"""One operation as a series of responses: one for a query or mutation, one for each event for a subscription."""

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from functools import partial
from inspect import isawaitable
from typing import Any, cast

import orjson
from graphql import ExecutionResult, GraphQLError, OperationType
from graphql.execution import Executor, create_source_event_stream, execute_subscription_event

from api import metrics
from api.errors import Refused, RequestError, TimedOut, TryAgain
from api.graphql.committed import ShowEvent, show_event
from api.graphql.context import Context, SignedIn
from api.graphql.subscriptions import Following
from api.http.documents import Document, Operation
from api.http.error_answers import format_error
from api.http.live.channels import Answering, Channels, Take
from api.http.live.sharing import Sharing, what_answers_depend_on
from api.http.operations import Operations, failed
from api.http.reports import count_errors, report
from api.http.requests import GraphQLRequest
from api.reads.compiled.plans import OperationPlans
from api.reads.live.followers import LiveLog
from api.reads.live.positions import Entry

RETRY_SECONDS = (0.2, 1.0, 3.0)
"""After how long an event that the server failed to answer is tried again."""

CODES_LOGGED_MAX = 20


class Response:
    """A GraphQL response as it is sent, written once for all whom it goes to.

    Without ``data`` the operation was refused, or cannot go on.
    """

    __slots__ = ("body", "json")

    def __init__(self, body: Mapping[str, Any]) -> None:
        self.body = body
        self.json = orjson.dumps(body, option=orjson.OPT_UTC_Z)

    @property
    def has_data(self) -> bool:
        """Whether the operation was run."""
        return "data" in self.body


class Answers:
    """Answers operations in parts."""

    def __init__(self, operations: Operations, live: LiveLog) -> None:
        self.operations = operations
        self.live = live
        self.following = 0
        """How many subscriptions follow a log just now."""
        self._sharing: Sharing[Response] = Sharing()
        self._channels: Channels[Response] = Channels(lambda: operations.writes_under_way)
        # An event goes to all who follow at once: they must leave connections to those who ask something else.
        self._places = asyncio.Semaphore(max(1, operations.database.limits.read_connections_max // 2))

    async def responses(
        self,
        document: Document,
        operation: Operation,
        request: GraphQLRequest,
        signed_in: SignedIn | None,
        request_id: str,
        take: Take[Response] | None = None,
    ) -> AsyncGenerator[Response, None]:
        """The responses to one operation. Whatever fails inside is masked, logged and ends them.

        While a subscription keeps up with what happens, its responses go to ``take``, if there is one: at once, and
        without this generator.
        """
        started, count = time.perf_counter(), 0
        codes: list[str] = []
        is_subscription = operation.type is OperationType.SUBSCRIPTION
        metrics.SUBSCRIPTIONS.inc(is_subscription)

        def note(response: Response) -> None:
            nonlocal codes, count
            if "errors" in response.body:
                codes = [*codes, *count_errors(response.body)][:CODES_LOGGED_MAX]
            count += response.has_data

        def take_and_note(responses: Sequence[Response]) -> bool:
            taken = take is not None and take(responses)
            if taken:
                for response in responses:
                    note(response)
            return taken

        try:
            if not is_subscription:
                result = await self.operations.run(document, operation, request, signed_in, request_id, debug=False)
                found = one(result.body)
            else:
                await self.operations.admit(operation, request, signed_in)
                taking = None if take is None else take_and_note
                found = self._events(document, operation, request, signed_in, request_id, taking)
            async with aclosing(found) as responses:
                async for response in responses:
                    note(response)
                    yield response
        except Exception as error:
            response = Response(failed(error, request_id).body)
            note(response)
            yield response
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
        take: Take[Response] | None,
    ) -> AsyncGenerator[Response, None]:
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
        source = cast("Following[Any]", source)

        key = what_answers_depend_on(document, operation, request, signed_in)

        async def read(entry: Entry) -> Response:
            make = partial(self._answer, executor, source.show(entry), signed_in, request_id)
            return await self._sharing.answer((key, entry.sequence), make)

        at_hand = _AtHand(operation.plans, executor.variable_values.coerced, signed_in)
        answering = Answering(at_hand.response, read)
        self.following += 1
        try:
            async with aclosing(source.entries) as follower:
                while True:
                    if take is not None:
                        last = await self._channels.attend((key, follower.interest), follower, answering, take)
                        if last is not None:
                            yield last
                            return
                    for entry in await follower.read():
                        response = answering.at_hand(entry) or await read(entry)
                        yield response
                        if not response.has_data:
                            return
        except RequestError as error:
            yield _refused([GraphQLError(str(error), original_error=error)], request_id)
        finally:
            self.following -= 1

    async def _answer(
        self, executor: Executor[Any], event: object, signed_in: SignedIn | None, request_id: str
    ) -> Response:
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
                return _shown(result, request_id)
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
        operations = self.operations
        return Context(
            operations.database, operations.writer, request_id, signed_in, live=self.live, kept=operations.kept
        )


class _AtHand:
    """The responses of one subscription to events whose rows are at hand."""

    def __init__(
        self,
        plans: OperationPlans,
        conditions: Mapping[str, Any],
        signed_in: SignedIn | None,
    ) -> None:
        self._plans = plans
        self._conditions = conditions
        self._organization_id = signed_in.principal.organization_id if signed_in else 0
        self._show: ShowEvent | None = None
        self._is_compiled = False

    def response(self, entry: Entry) -> Response | None:
        """The response; None where the database must be asked."""
        if entry.rows is None:
            return None
        if not self._is_compiled:
            plans, self._is_compiled = self._plans, True
            self._show = show_event(plans.schema, plans.declared, plans.document, plans.operation, self._conditions)
        if self._show is None:
            return None
        try:
            return Response({"data": self._show(self._organization_id, entry)})
        except KeyError:
            self._show = None
            return None


async def one(body: Mapping[str, Any]) -> AsyncGenerator[Response, None]:
    """A single response as a series."""
    yield Response(body)


def _shown(result: ExecutionResult, request_id: str) -> Response:
    body: dict[str, Any] = {}
    if result.errors:
        body["errors"] = [format_error(error, request_id) for error in result.errors]
    body["data"] = result.data
    return Response(body)


def _refused(errors: list[GraphQLError], request_id: str) -> Response:
    return Response({"errors": [format_error(error, request_id) for error in errors]})


def _is_servers_fault(error: GraphQLError) -> bool:
    original = error.original_error
    if original is None or isinstance(original, TryAgain):
        return original is not None
    return not isinstance(original, (GraphQLError, RequestError, Refused))
