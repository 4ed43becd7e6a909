"""The one way to write. Every mutation field is one ``run``: a transaction with its key, its work and its log.

authorise -> queue -> begin -> claim the key -> work -> append audit events -> commit
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import asyncpg
import stamina
import structlog
from pydantic import TypeAdapter

from api import metrics
from api.db.connections import LOST_CONNECTION
from api.db.event_bus import Committed, EventBus, Rows
from api.db.pools import Database
from api.domain.access import FOR_PEOPLE, Principal, allows
from api.errors import ErrorCode, Forbidden, Problem, Refused, Unavailable
from api.services import idempotency
from api.services.audit import Appended, AuditKind, Event, Subject, digest
from api.services.idempotency import Claim
from api.services.principals import check_principal
from api.services.queues import Queues
from api.services.sequence_repair import repair_sequence

ATTEMPTS_MAX = 5
SETTLE_SECONDS_MAX = 15.0
ORGANIZATION_SHARE_OF_POOL = 0.75

T = TypeVar("T")
logger = structlog.get_logger(__name__)


@dataclass(slots=True)
class Command:
    """What a service works with: an open transaction, on whose behalf it runs, and the events that it leaves behind.

    ``idempotency_key`` is the key that this command holds, where it came with one. ``written`` has rows as this command
    leaves them, by table and id: after the commit they may already be another's.
    """

    connection: asyncpg.Connection
    principal: Principal
    request_id: str | None = None
    idempotency_key: str | None = None
    events: list[Event] = field(default_factory=list)
    written: dict[tuple[str, Any], asyncpg.Record] = field(default_factory=dict)

    @property
    def organization_id(self) -> int:
        """The organization of the transaction."""
        return self.principal.organization_id

    def record(
        self,
        action: str,
        subject: Subject,
        *,
        before: Mapping[str, object] | None = None,
        after: Mapping[str, object] | None = None,
        kind: AuditKind = AuditKind.FINANCIAL,
        rows: Callable[[Appended], Rows] | None = None,
    ) -> None:
        """Adds an event to the organization's log, to be appended just before the commit."""
        self.events.append(Event(kind, action, subject, before, after, rows))

    def wrote(self, table: str, row: asyncpg.Record) -> None:
        """Notes a whole row as it was inserted or updated; nothing shows one that has no id."""
        if (row_id := row.get("id")) is not None:
            self.written[table, row_id] = row


@dataclass(frozen=True, slots=True)
class Outcome(Generic[T]):
    """What a command made, and the rows that it wrote; ``replayed`` where an earlier one with the same key made it."""

    result: T
    replayed: bool = False
    written: Mapping[tuple[str, Any], asyncpg.Record] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Asked(Generic[T]):
    """What ``Writer.run`` was asked to do."""

    principal: Principal
    mutation: str
    work: Callable[[Command], Awaitable[T]]
    result_type: TypeAdapter[T]
    claim: Claim | None
    request_id: str | None


class CommitFailed(Unavailable):
    """The server rolled back what was to be committed."""


class IdsWereTaken(Exception):
    """The sequence of a table had fallen behind its ids, and has been moved on; the command can run again."""


class PermissionRefused(Refused):
    """Refused not by the caller's role, but for what the caller has to do with the object; the log says so."""

    def __init__(self, problems: Sequence[Problem], subject: Subject) -> None:
        super().__init__(problems)
        self.subject = subject


@dataclass(slots=True)
class Writer:
    """Runs commands on a database. In ``recalculations`` those of an organization wait for each other."""

    database: Database
    idempotency_days: int = 30
    bus: EventBus | None = None
    recalculations: Queues = field(default_factory=Queues)
    _keys: Queues = field(default_factory=Queues)
    _organizations: Queues = field(init=False)

    def __post_init__(self) -> None:
        places = int(self.database.limits.write_connections_max * ORGANIZATION_SHARE_OF_POOL)
        self._organizations = Queues(capacity=max(1, places))

    async def run(
        self,
        principal: Principal,
        mutation: str,
        work: Callable[[Command], Awaitable[T]],
        *,
        result_type: TypeAdapter[T],
        claim: Claim | None = None,
        request_id: str | None = None,
    ) -> Outcome[T]:
        """Runs ``work`` in one transaction and returns what it made, or what the same key made before.

        Goes on to its end when the caller is cancelled. Raises Refused, Forbidden or Unauthenticated with nothing
        written but, for a refused permission, a SECURITY event.
        """
        task = asyncio.ensure_future(self._run(_Asked(principal, mutation, work, result_type, claim, request_id)))
        try:
            return await asyncio.shield(task)
        except PermissionRefused as refused:
            await self._record_refusal(principal, mutation, request_id, refused.subject)
            raise
        except Refused as refused:
            if any(problem.code is ErrorCode.VERSION_CONFLICT for problem in refused.problems):
                metrics.CONFLICTS.labels(mutation).inc()
            raise
        except asyncio.CancelledError:
            task.add_done_callback(_log_abandoned)
            raise

    async def _run(self, asked: _Asked[T]) -> Outcome[T]:
        await self.authorise(asked.principal, asked.mutation, asked.request_id)
        claim = asked.claim
        if claim is None:
            return await self._retrying(asked)
        async with self._keys.place((asked.principal.organization_id, asked.mutation, claim.parent, claim.key)):
            return await self._retrying(asked)

    async def authorise(self, principal: Principal, action: str, request_id: str | None = None) -> None:
        """Raises Forbidden, and says so in the organization's log, where the role does not allow the action."""
        if not allows(principal.role, action):
            await self._record_refusal(principal, action, request_id)
            raise Forbidden(f"Your role {principal.role.value} does not allow {action}.")
        if action in FOR_PEOPLE and principal.user_id is None:
            await self._record_refusal(principal, action, request_id)
            raise Forbidden(f"{action} is for people: an API key decides nothing in the place of one.")

    async def _record_refusal(
        self, principal: Principal, action: str, request_id: str | None, subject: Subject | None = None
    ) -> None:
        async with self.database.writing(principal.organization_id) as connection:
            command = Command(connection, principal, request_id)
            refused = Event(AuditKind.SECURITY, f"{action}.refused", subject, after={"role": principal.role.value})
            command.events.append(refused)
            await self._commit(command)

    async def _retrying(self, asked: _Asked[T]) -> Outcome[T]:
        faults = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError, IdsWereTaken)
        async for attempt in stamina.retry_context(
            on=faults,
            attempts=ATTEMPTS_MAX,
            wait_initial=0.01,
            wait_max=0.2,
            wait_jitter=0.05,
            timeout=None,
        ):
            with attempt:
                if attempt.num > 1:
                    metrics.RETRIES.inc()
                async with self._organizations.place(asked.principal.organization_id):
                    try:
                        return await self._attempt(asked)
                    except asyncpg.UniqueViolationError as error:
                        await self._repair_ids(asked.principal.organization_id, error)
                        raise
        raise AssertionError("the last attempt returns or raises")

    async def _repair_ids(self, organization_id: int, error: asyncpg.UniqueViolationError) -> None:
        """Moves the sequence of a table on whose new id was taken; raises IdsWereTaken where that was it."""
        if error.constraint_name != f"{error.table_name}_pkey":
            return
        async with self.database.writing(organization_id) as connection:
            if await repair_sequence(connection, error.table_name) is None:
                return
            await connection.execute("COMMIT")
        logger.warning("sequence_repaired", table=error.table_name)
        raise IdsWereTaken from error

    async def _attempt(self, asked: _Asked[T]) -> Outcome[T]:
        principal, mutation, claim = asked.principal, asked.mutation, asked.claim
        async with self.database.writing(principal.organization_id, claims=claim is not None) as connection:
            await check_principal(connection, principal)
            if claim is not None:
                earlier = await idempotency.claim(
                    connection,
                    principal.organization_id,
                    mutation,
                    claim,
                    days=self.idempotency_days,
                    lock_timeout_seconds=self.database.limits.lock_timeout_seconds,
                )
                if earlier is not None:
                    metrics.REPLAYS.labels(mutation).inc()
                    return Outcome(asked.result_type.validate_python(earlier), replayed=True)
            command = Command(connection, principal, asked.request_id, claim.key if claim else None)
            result = await asked.work(command)
            if not command.events:
                raise AssertionError("a command must leave at least one audit event")
            if claim is not None:
                stored = asked.result_type.dump_python(result, mode="json")
                await idempotency.store_result(connection, principal.organization_id, mutation, claim, stored)
            await self._commit(command)
            return Outcome(result, written=command.written)

    async def _commit(self, command: Command) -> None:
        """Appends the events, which takes the organization's head, commits at once, and wakes those who follow."""
        appended = await _append_events(command)
        try:
            status = await command.connection.execute("COMMIT")
        except LOST_CONNECTION as error:
            if not await self._was_committed(appended.transaction_id):
                raise CommitFailed("The connection was lost and the transaction rolled back.") from error
            status = "COMMIT"
        if status != "COMMIT":
            raise CommitFailed(f"COMMIT answered {status}.")
        if self.bus is not None:
            self.bus.publish(command.organization_id, appended.sequence, _committed(command.events, appended))

    async def _was_committed(self, transaction_id: str) -> bool:
        """Settles an unknown outcome by asking the database, once it answers again."""
        async for attempt in stamina.retry_context(
            on=LOST_CONNECTION, attempts=None, wait_initial=0.05, wait_max=1, timeout=SETTLE_SECONDS_MAX
        ):
            with attempt:
                status = await self.database.reads.fetchval("SELECT pg_xact_status($1::text::xid8)", transaction_id)
                if status == "in progress":
                    raise ConnectionError("the old connection's transaction is still being ended")
                return bool(status == "committed")
        raise AssertionError("the last attempt returns or raises")


async def _append_events(command: Command) -> Appended:
    """Appends the command's events to the log."""
    events = command.events
    principal = command.principal
    bodies = [
        event.body(actor_id=principal.user_id, request_id=command.request_id, api_key_id=principal.api_key_id)
        for event in events
    ]
    row = await command.connection.fetchrow(
        "SELECT last_sequence, last_event_id, last_capital_sequence, recorded_at, transaction_id"
        " FROM append_audit($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        command.organization_id,
        command.principal.user_id,
        command.request_id,
        [event.kind.value for event in events],
        [event.action for event in events],
        [event.subject.type_name if event.subject else None for event in events],
        [str(event.subject.id) if event.subject else None for event in events],
        [body.decode() for body in bodies],
        [digest(body) for body in bodies],
    )
    return Appended(*row)


def _committed(events: Sequence[Event], appended: Appended) -> Committed | None:
    """What those who follow in this process are told; only that the log has grown where there were several events."""
    event = events[-1]
    if len(events) > 1 or event.rows is None:
        return None
    subject_id = str(event.subject.id) if event.subject else None
    rows = event.rows(appended)
    return Committed(appended.sequence, appended.event_id, event.kind.value, event.action, subject_id, rows)


def _log_abandoned(task: "asyncio.Future[Any]") -> None:
    error = task.exception() if not task.cancelled() else None
    if error is not None:
        logger.warning("abandoned_command_failed", error=repr(error))
