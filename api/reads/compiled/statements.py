"""From the nodes of a plan to SQL: one statement for each root field, nested levels as arrays of rows within it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from api.reads.batches import batch_column, batch_parameters, batch_shape
from api.reads.compiled.nodes import (
    Connection,
    Layout,
    Sql,
    TextConnection,
    TextOptional,
    TextParts,
    TextRows,
    TextTotal,
)
from api.reads.compiled.weight import STATEMENT_BYTES, Weight
from api.reads.declarations import BatchSelect, Entity
from api.reads.pages import (
    PageRequest,
    Parameters,
    filter_conditions,
    filter_parameters,
    page_clauses,
    page_parameters,
    request_shape,
    scope_condition,
    sort_sql,
)

SHAPES_MAX = 64
"""How many statements are kept for one root field: orders, filters and cursors make different ones."""
KEPT_CHARACTERS_MAX = 15_000
"""Of longer ones only the first is kept, the others are written anew each time; asyncpg does not keep them either."""

ARGUMENTS_MAX = 90
"""Arguments of one concat; PostgreSQL takes a hundred."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What one request wants of a plan: the page of each connection and the arguments of each batch, by number."""

    pages: Sequence[PageRequest]
    batches: Sequence[tuple[BatchSelect, Mapping[str, Any]]]

    def parameters(self, kind: str, number: int) -> list[Any]:
        """The parameters of one source that a statement's writer has noted."""
        match kind:
            case "batch":
                return batch_parameters(*self.batches[number])
            case "count":
                return filter_parameters(self.pages[number])
        return page_parameters(self.pages[number], extra=0 if kind == "text" else 1)

    @property
    def shape(self) -> tuple[Any, ...]:
        """What the statements depend on besides the plan."""
        return (*map(request_shape, self.pages), *(batch_shape(*batch) for batch in self.batches))


@dataclass(slots=True)
class Writer:
    """Writes one statement, and notes whose parameters come in which order, so that they can be gathered without it."""

    wanted: Wanted
    parameters: Parameters
    sources: list[tuple[str, int]] = field(default_factory=list)

    def select(self, connection: Connection, *, is_array: bool) -> str:
        """The rows of a connection's page, each as one record where they are to be an array."""
        request = self.wanted.pages[connection.number]
        expressions = self.expressions(connection.layout)
        if connection.key_slot is not None:
            key = request.order.key
            expressions[connection.key_slot] = f"{connection.alias}.{key.column}" if key else "NULL::bigint"
        selected = ", ".join(expressions)
        selected = f"ROW({selected})" if is_array else selected
        self.sources.append(("page", connection.number))
        page = self._page(connection, extra=1)
        if not connection.layout.joins:
            return f"SELECT {selected} {page}"
        order = sort_sql(request, connection.alias)
        return f"SELECT {selected} {self._joined(connection, page)} ORDER BY {order}"

    def count(self, connection: Connection) -> str:
        """How many rows a connection has over all pages."""
        self.sources.append(("count", connection.number))
        where = filter_conditions(self.wanted.pages[connection.number], connection.alias, self.parameters)
        if connection.parent is not None:
            where.append(f"{connection.alias}.{connection.read.foreign_column} = {connection.parent}")
        return f"SELECT count(*) FROM {connection.entity.table.name} {connection.alias} WHERE {' AND '.join(where)}"

    def expressions(self, layout: Layout) -> list[str]:
        """The columns of a level, nested connections and totals filled in."""
        expressions = list(layout.expressions)
        for index, connection in layout.nested.items():
            expressions[index] = f"ARRAY({self.select(connection, is_array=True)})"
        for index, parts in layout.texts.items():
            # As bytes: a single character beyond Latin-1 makes Python decode and encode a page at a hundredth the pace.
            expressions[index] = f"convert_to({self.text(parts)}, 'UTF8')"
        for index, connection in layout.totals.items():
            expressions[index] = f"({self.count(connection)})"
        for index, batch in layout.batches.items():
            self.sources.append(("batch", batch.number))
            select, arguments = self.wanted.batches[batch.number]
            expressions[index] = batch_column(select, batch.key, arguments, self.parameters)
        return expressions

    def text(self, parts: TextParts) -> str:
        """The concatenation of the pieces of a JSON text."""
        pieces: list[str] = []
        literal = ""
        for part in self._flat(parts):
            if isinstance(part, str):
                literal += part
                continue
            pieces += [_quoted(literal)] if literal else []
            literal = ""
            pieces.append(part.expression)
        pieces += [_quoted(literal)] if literal else []
        while len(pieces) > ARGUMENTS_MAX:
            chunks = range(0, len(pieces), ARGUMENTS_MAX)
            pieces = [f"concat({', '.join(pieces[start : start + ARGUMENTS_MAX])})" for start in chunks]
        return f"concat({', '.join(pieces)})"

    def _flat(self, parts: Sequence[Any]) -> Iterator[str | Sql]:
        """JSON and expressions in their order, what is within connections too: a concat in another copies its text."""
        for part in parts:
            match part:
                case str() | Sql():
                    yield part
                case TextOptional(presence, within):
                    yield Sql(f"CASE WHEN {presence} IS NULL THEN 'null' ELSE {self.text(within)} END")
                case TextConnection(connection, within):
                    for piece in within:
                        if isinstance(piece, TextRows):
                            yield Sql(f"({self._text_rows(connection, piece)})")
                        elif isinstance(piece, TextTotal):
                            yield Sql(f"({self.count(connection)})")
                        else:
                            yield piece

    def _text_rows(self, connection: Connection, rows: TextRows) -> str:
        """The texts of a page's rows with commas between them; nothing for an empty page."""
        request = self.wanted.pages[connection.number]
        row = self.text(rows.row)
        self.sources.append(("text", connection.number))
        page = self._page(connection, extra=0)
        if not connection.layout.joins and not request.is_backward:
            return f"SELECT string_agg(page.j, ',') FROM (SELECT {row} AS j {page}) page"
        order = sort_sql(request, connection.alias, reverses=request.is_backward)
        return f"SELECT string_agg({row}, ',' ORDER BY {order}) {self._joined(connection, page)}"

    def _page(self, connection: Connection, *, extra: int) -> str:
        """The clauses from FROM on that find the rows of a page."""
        clauses = page_clauses(
            self.wanted.pages[connection.number], connection.alias, connection.parent, self.parameters, extra=extra
        )
        return f"FROM {connection.entity.table.name} {connection.alias} {clauses}"

    def _joined(self, connection: Connection, page: str) -> str:
        """FROM the rows of a page and what is joined to them: only to them, and not to all that are sorted for it."""
        alias = connection.alias
        return f"FROM (SELECT {alias}.* {page}) {alias}{joins(connection.layout)}"


@dataclass(slots=True)
class ConnectionStatements:
    """The statements of one root connection, by the shapes of the pages asked for.

    With a total, the answer is one row of (array of rows, total); else a row for each row.
    """

    connection: Connection
    has_fixed_shape: bool
    weight: Weight = field(default_factory=Weight)
    _kept: dict[Any, tuple[str, list[tuple[str, int]]]] = field(default_factory=dict)

    def get(self, wanted: Wanted, organization_id: int) -> tuple[str, list[Any]]:
        """The statement and its parameters."""
        shape = None if self.has_fixed_shape else wanted.shape
        kept = self._kept.get(shape)
        if kept is not None:
            parameters: list[Any] = [organization_id]
            for kind, number in kept[1]:
                parameters += wanted.parameters(kind, number)
            return kept[0], parameters
        writer = Writer(wanted, Parameters(organization_id))
        if self.connection.has_total:
            rows = writer.select(self.connection, is_array=True)
            sql = f"SELECT ARRAY({rows}), ({writer.count(self.connection)})"
        else:
            sql = writer.select(self.connection, is_array=False)
        _keep(self._kept, shape, sql, writer, self.weight)
        return sql, writer.parameters


@dataclass(slots=True)
class RowStatements:
    """The statements that find rows of one layout by their ids; the id comes first in each row."""

    entity: Entity
    layout: Layout
    weight: Weight = field(default_factory=Weight)
    _kept: dict[Any, tuple[str, list[tuple[str, int]]]] = field(default_factory=dict)

    def one(self, wanted: Wanted, organization_id: int, row_id: Any) -> tuple[str, list[Any]]:
        """The statement for one row."""
        return self._get(wanted, organization_id, row_id, is_one=True)

    def many(self, wanted: Wanted, organization_id: int, ids: Sequence[Any]) -> tuple[str, list[Any]]:
        """The statement for several rows."""
        return self._get(wanted, organization_id, list(ids), is_one=False)

    def _get(self, wanted: Wanted, organization_id: int, ids: Any, *, is_one: bool) -> tuple[str, list[Any]]:
        shape = (is_one, wanted.shape)
        kept = self._kept.get(shape)
        if kept is not None:
            parameters: list[Any] = [organization_id, ids]
            for kind, number in kept[1]:
                parameters += wanted.parameters(kind, number)
            return kept[0], parameters
        writer = Writer(wanted, Parameters(organization_id))
        if is_one:
            sql = self._write(writer, f"= {writer.parameters.add(ids, self.entity.id_type)}")
        else:
            sql = self._write(writer, f"= ANY ({writer.parameters.add(ids, f'{self.entity.id_type}[]')})")
        _keep(self._kept, shape, sql, writer, self.weight)
        return sql, writer.parameters

    def _write(self, writer: Writer, wanted: str) -> str:
        selected = ", ".join(writer.expressions(self.layout))
        return (
            f"SELECT {selected} FROM {self.entity.table.name} t0{joins(self.layout)}"
            f" WHERE {scope_condition(self.entity, 't0')} AND t0.id {wanted}"
        )


def _keep(
    kept: dict[Any, tuple[str, list[tuple[str, int]]]], shape: Any, sql: str, writer: Writer, weight: Weight
) -> None:
    """Keeps a statement for its shape, unless there are many already, or it is long and not the first."""
    if not kept or (len(kept) < SHAPES_MAX and len(sql) <= KEPT_CHARACTERS_MAX):
        kept[shape] = (sql, writer.sources)
        weight.add(STATEMENT_BYTES * len(sql))


def joins(layout: Layout) -> str:
    """The joins of a level's to-one edges."""
    return "".join(
        f" LEFT JOIN {join.entity.table.name} {join.alias}"
        f" ON {scope_condition(join.entity, join.alias)} AND {join.alias}.id = {join.by}"
        for join in layout.joins
    )


def _quoted(text: str) -> str:
    """A text as an SQL literal; it is made of names of the schema and of response keys."""
    return "'" + text.replace("'", "''") + "'"
