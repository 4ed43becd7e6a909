"""Running a plan: its statements on one snapshot, its functions over their records."""

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from graphql import GraphQLError
from graphql.execution.values import VariableValues

from api.db.pools import Snapshot
from api.domain.access import Role, allows
from api.errors import BadUserInput, Refused
from api.reads import global_ids
from api.reads.compiled import nodes
from api.reads.compiled.plans import Plan
from api.reads.compiled.shaping import DeviationError, State
from api.reads.compiled.statements import RowStatements, Wanted
from api.reads.declarations import BatchRead
from api.reads.kept import KeptAnswers, Reader, VersionMoved
from api.reads.pages import NODES_MAX


@dataclass(frozen=True, slots=True)
class Asking:
    """Who asks, on which day, in which process: its kept answers."""

    role: Role
    today: date
    kept: KeptAnswers


async def run(plan: Plan, snapshot: Snapshot, variables: VariableValues, asking: Asking) -> dict[str, Any] | None:
    """The data of the answer, ready for orjson; None where it would hold an error, which is the resolvers' to say."""
    if plan.actions and not all(allows(asking.role, action) for action in plan.actions):
        return None
    fetch = snapshot.fetch_alone if plan.is_one_statement else snapshot.fetch
    reader = Reader(snapshot.organization_id, fetch, in_transaction=not plan.is_one_statement)
    try:
        wanted = plan.wanted(variables, asking.today)
        try:
            return await _Run(plan, reader, variables, asking, wanted).data()
        except VersionMoved:
            # Something was written between two statements: now both from one snapshot.
            reader = Reader(snapshot.organization_id, snapshot.fetch, in_transaction=True)
            return await _Run(plan, reader, variables, asking, wanted).data()
    except (DeviationError, BadUserInput, Refused, GraphQLError):
        return None
    finally:
        if reader.in_transaction:
            await snapshot.close()


async def _made_in_a_thread(read: BatchRead, found: Sequence[Any], arguments: dict[str, Any]) -> list[Any]:
    """What a field shows for each of what its statement has found. The thread ends soon when nobody waits any more."""
    is_over = threading.Event()

    def make() -> list[Any]:
        return [read.make(read.select.answer(rows), arguments) for rows in found if not is_over.is_set()]

    try:
        return await asyncio.to_thread(make)
    finally:
        is_over.set()


@dataclass(slots=True)
class _Run:
    plan: Plan
    reader: Reader
    variables: VariableValues
    asking: Asking
    wanted: Wanted

    async def data(self) -> dict[str, Any]:
        state = State(self.wanted.pages, [arguments for _, arguments in self.wanted.batches], len(self.plan.deferred))
        data: dict[str, Any] = {}
        for number, root in enumerate(self.plan.roots):
            if isinstance(root, nodes.RootRow):
                data[root.key] = await self._node(number, root, state)
            elif isinstance(root, nodes.RootConnection):
                data[root.key] = await self._connection(number, root.connection, state)
            elif isinstance(root, nodes.RootRows):
                data[root.key] = await self._nodes(number, root, state)
            else:
                key, constant = root
                data[key] = constant.source.strip("'")
        # In this order: what a deferred field answers may hold others, which come after it.
        for number, waiting in enumerate(self.plan.deferred):
            if state.pending[number]:
                await self._answer(number, waiting, state)
        return data

    async def _connection(self, number: int, connection: nodes.Connection, state: State) -> Any:
        sql, parameters = self.plan.statements[number].get(self.wanted, self.reader.organization_id)
        rows = await self.reader.fetch(sql, *parameters)
        shape = self.plan.functions[f"root {number}"]
        return shape(rows[0][0], rows[0][1], state) if connection.has_total else shape(rows, None, state)

    async def _node(self, number: int, root: nodes.RootRow, state: State) -> Any:
        decoded = global_ids.decode(root.arguments.get(self.variables)["id"])
        if decoded is None:
            return None
        type_name, row_id = decoded
        if not self._may_find(root, type_name, row_id):
            return None
        sql, parameters = self.plan.rows[number, type_name].one(self.wanted, self.reader.organization_id, row_id)
        rows = await self.reader.fetch(sql, *parameters)
        return self.plan.functions[f"root {number} {type_name}"](rows[0], state) if rows else None

    async def _nodes(self, number: int, root: nodes.RootRows, state: State) -> list[Any]:
        ids = root.arguments.get(self.variables)["ids"]
        if len(ids) > NODES_MAX:
            raise DeviationError("too many ids")
        decoded = [global_ids.decode(global_id) for global_id in ids]
        wanted: dict[str, list[global_ids.RowId]] = {}
        for type_name, row_id in filter(None, decoded):
            if self._may_find(root, type_name, row_id):
                wanted.setdefault(type_name, []).append(row_id)
        found: dict[Any, Any] = {}
        for type_name, row_ids in wanted.items():
            statements = self.plan.rows[number, type_name]
            sql, parameters = statements.many(self.wanted, self.reader.organization_id, row_ids)
            shape = self.plan.functions[f"root {number} {type_name}"]
            for row in await self.reader.fetch(sql, *parameters):
                found[type_name, row[0]] = shape(row, state)
        return [found.get(one) for one in decoded]

    def _may_find(self, root: nodes.RootRow | nodes.RootRows, type_name: str, row_id: global_ids.RowId) -> bool:
        """Whether a global id could be of a row that the root field shows, and the caller may see."""
        if type_name not in root.by_type:
            return False
        entity = root.by_type[type_name][0]
        return entity.takes(row_id) and (entity.action is None or allows(self.asking.role, entity.action))

    async def _answer(self, number: int, waiting: nodes.Waiting, state: State) -> None:
        """Fills in a deferred field wherever it is waited for, with one statement at most."""
        pending = state.pending[number]
        shape = self.plan.functions[f"deferred {number}"]
        if isinstance(waiting, nodes.DeferredKept):
            names = waiting.read.argument_names
            named = {names[name]: value for name, value in waiting.arguments.get(self.variables).items()}
            given = waiting.read.arguments(named, self.asking.today)
            versions = {row_id: version for _, _, (row_id, version) in pending}
            answers = await self.asking.kept.get(waiting.read, given, versions, self.reader)
            for answer, key, (row_id, _) in pending:
                answer[key] = shape(waiting.read.make(answers[row_id], given), state)
            return
        if isinstance(waiting, nodes.DeferredSlow):
            read, (_, arguments) = waiting.batch.read, self.wanted.batches[waiting.batch.number]
            made = await _made_in_a_thread(read, [rows for _, _, rows in pending], dict(arguments))
            for (answer, key, _), one in zip(pending, made, strict=True):
                answer[key] = shape(one, state)
            return
        keys = list(dict.fromkeys(wanted for _, _, wanted in pending if wanted is not None))
        if not isinstance(waiting, nodes.DeferredRows) or not keys:
            return
        statements = RowStatements(waiting.entity, waiting.layout)
        sql, parameters = statements.many(self.wanted, self.reader.organization_id, keys)
        rows = {row[0]: row for row in await self.reader.fetch(sql, *parameters)}
        for answer, key, wanted in pending:
            row = rows.get(wanted)
            answer[key] = None if row is None else shape(row, state)
