"""Running a plan: its statements on one snapshot, its functions over their records."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from graphql.execution.values import VariableValues

from api.db.pools import Snapshot
from api.domain.access import Role, allows
from api.errors import BadUserInput, Refused
from api.reads import global_ids
from api.reads.compiled import nodes
from api.reads.compiled.plans import Plan, given_arguments
from api.reads.compiled.shaping import DeviationError, State
from api.reads.compiled.statements import RowStatements
from api.reads.pages import NODES_MAX, PageRequest


async def run(
    plan: Plan, snapshot: Snapshot, variables: VariableValues, *, role: Role, today: date
) -> dict[str, Any] | None:
    """The data of the answer, ready for orjson; None where it would hold an error, which is the resolvers' to say."""
    if not all(allows(role, action) for action in plan.actions):
        return None
    try:
        return await _Run(plan, snapshot, variables, role, today, plan.page_requests(variables)).data()
    except (DeviationError, BadUserInput, Refused):
        return None


@dataclass(slots=True)
class _Run:
    plan: Plan
    snapshot: Snapshot
    variables: VariableValues
    role: Role
    today: date
    requests: Sequence[PageRequest]

    async def data(self) -> dict[str, Any]:
        state = State(self.requests, len(self.plan.deferred))
        data: dict[str, Any] = {}
        for number, root in enumerate(self.plan.roots):
            match root:
                case nodes.RootConnection(key, connection):
                    data[key] = await self._connection(number, connection, state)
                case nodes.RootRow(key):
                    data[key] = await self._node(number, root, state)
                case nodes.RootRows(key):
                    data[key] = await self._nodes(number, root, state)
                case (key, constant):
                    data[key] = constant.source.strip("'")
        # In this order: what a deferred field answers may hold others, which come after it.
        for number, waiting in enumerate(self.plan.deferred):
            if state.pending[number]:
                await self._answer(number, waiting, state)
        return data

    async def _fetch(self, sql: str, parameters: Sequence[Any]) -> Sequence[Any]:
        if self.plan.is_one_statement:
            return await self.snapshot.fetch_alone(sql, *parameters)
        return await self.snapshot.fetch(sql, *parameters)

    async def _connection(self, number: int, connection: nodes.Connection, state: State) -> Any:
        sql, parameters = self.plan.statements[number].get(self.requests, self.snapshot.organization_id)
        rows = await self._fetch(sql, parameters)
        shape = self.plan.functions[f"root {number}"]
        return shape(rows[0][0], rows[0][1], state) if connection.has_total else shape(rows, None, state)

    async def _node(self, number: int, root: nodes.RootRow, state: State) -> Any:
        decoded = global_ids.decode(given_arguments(root.arguments, self.variables)["id"])
        found = await self._rows(number, root, [decoded], state)
        return found.get(decoded)

    async def _nodes(self, number: int, root: nodes.RootRows, state: State) -> list[Any]:
        ids = given_arguments(root.arguments, self.variables)["ids"]
        if len(ids) > NODES_MAX:
            raise DeviationError("too many ids")
        decoded = [global_ids.decode(global_id) for global_id in ids]
        found = await self._rows(number, root, decoded, state)
        return [found.get(one) for one in decoded]

    async def _rows(
        self,
        number: int,
        root: nodes.RootRow | nodes.RootRows,
        decoded: Sequence[tuple[str, global_ids.RowId] | None],
        state: State,
    ) -> Mapping[Any, Any]:
        """The rows behind decoded global ids, one statement for each type among them."""
        found: dict[Any, Any] = {}
        for type_name in dict.fromkeys(one[0] for one in decoded if one is not None):
            if type_name not in root.by_type:
                continue
            entity = root.by_type[type_name][0]
            if entity.action is not None and not allows(self.role, entity.action):
                continue
            ids = [one[1] for one in decoded if one is not None and one[0] == type_name and entity.takes(one[1])]
            if not ids:
                continue
            statements, organization_id = self.plan.rows[number, type_name], self.snapshot.organization_id
            if len(ids) == 1:
                sql, parameters = statements.one(self.requests, organization_id, ids[0])
            else:
                sql, parameters = statements.many(self.requests, organization_id, ids)
            shape = self.plan.functions[f"root {number} {type_name}"]
            for row in await self._fetch(sql, parameters):
                found[type_name, row[0]] = shape(row, state)
        return found

    async def _answer(self, number: int, waiting: nodes.Waiting, state: State) -> None:
        """Fills in a deferred field wherever it is waited for, with one statement."""
        pending = state.pending[number]
        shape = self.plan.functions[f"deferred {number}"]
        keys = list(dict.fromkeys(wanted for _, _, wanted in pending if wanted is not None))
        if isinstance(waiting, nodes.DeferredBatch):
            given = {
                waiting.read.argument_names[name]: value
                for name, value in given_arguments(waiting.arguments, self.variables).items()
            }
            arguments = waiting.read.arguments(given, self.today)
            answers = await waiting.read.fetch(self.snapshot, keys, arguments)
            for answer, key, wanted in pending:
                answer[key] = shape(waiting.read.make(answers.get(wanted), arguments), state)
            return
        if not isinstance(waiting, nodes.DeferredRows) or not keys:
            return
        statements = RowStatements(waiting.entity, waiting.layout)
        sql, parameters = statements.many(self.requests, self.snapshot.organization_id, keys)
        rows = {row[0]: row for row in await self._fetch(sql, parameters)}
        for answer, key, wanted in pending:
            row = rows.get(wanted)
            answer[key] = None if row is None else shape(row, state)
