"""From the nodes of a plan to Python source that turns records into the answer.

Only names and numbers made here, and response keys as string literals, go into the source; values never do. What
PostgreSQL has made as text needs no source: compiling one costs as much as all else in making a plan.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import orjson

from api.reads import cursors
from api.reads.compiled import nodes
from api.reads.global_ids import encode

GLOBAL_IDS_MAX = 16_384
"""For each type: 250 bytes each, 4 MB in all."""


class DeviationError(Exception):
    """The answer of a plan would hold an error; the resolvers answer instead."""


class State:
    """One run of a plan: the pages asked for, the arguments of its batches, and what is still to be answered."""

    __slots__ = ("batches", "pending", "requests")

    def __init__(self, requests: Sequence[Any], batches: Sequence[Mapping[str, Any]], deferred_count: int) -> None:
        self.requests = requests
        self.batches = batches
        self.pending: list[list[tuple[dict[str, Any], str, Any]]] = [[] for _ in range(deferred_count)]


def later(state: State, answer: dict[str, Any], *waiting: tuple[int, str, Any]) -> dict[str, Any]:
    """Notes that each ``answer[key]`` is to be filled with what a deferred field, by its number, has for ``wanted``."""
    for number, key, wanted in waiting:
        state.pending[number].append((answer, key, wanted))
    return answer


def missing() -> Any:
    """Stands where something must not be missing and is."""
    raise DeviationError("a value that must not be null is")


def cursor(order: Any, key: Any, row_id: Any) -> str:
    """The cursor of a row."""
    return cursors.encode(order, (key, row_id))


def text_row(index: int) -> Callable[[Any, State], orjson.Fragment]:
    """A function (record, state) -> the row whose text is in the record."""
    return lambda record, _state: orjson.Fragment(record[index])


def text_connection(number: int, indexes: Mapping[str, int | None]) -> Callable[[Any, Any, State], dict[str, Any]]:
    """A function (records, total, state) -> lists of the texts in the records; the total where there is no index."""

    def answer(rows: Any, total: Any, state: State) -> dict[str, Any]:
        request = state.requests[number]
        rows = rows[: request.size]
        if request.is_backward:
            rows = rows[::-1]
        return {key: total if index is None else _text_list(rows, index) for key, index in indexes.items()}

    return answer


def _text_list(rows: Any, index: int) -> orjson.Fragment:
    return orjson.Fragment(b"[%b]" % b",".join([row[index] for row in rows]))


def _text_indexes(connection: nodes.Connection) -> dict[str, int | None] | None:
    """Where the texts of ``nodes`` stand, by response key, None for ``totalCount``; None if anything else is asked."""
    indexes: dict[str, int | None] = {}
    for key, part in connection.fields.items():
        row = part.fields.get("")
        if part.name == "nodes" and isinstance(row, nodes.Text):
            indexes[key] = row.index
        elif part.name == "totalCount":
            indexes[key] = None
        else:
            return None
    return indexes


class Shaper:
    """Writes the functions of one plan, and compiles them together."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._names = 0
        self._scope: dict[str, Any] = {
            "later": later,
            "missing": missing,
            "cursor": cursor,
            "fragment": orjson.Fragment,
        }

    def functions(self, names: Mapping[str, str]) -> dict[str, Callable[..., Any]]:
        """The compiled functions under the given keys."""
        if self._lines:
            source = "\n".join(self._lines)
            exec(compile(source, "<plan>", "exec"), self._scope)  # noqa: S102 - the source is made here, of names and keys
        return {key: self._scope[name] for key, name in names.items()}

    def row(self, row: nodes.Row | nodes.Text) -> str:
        """A function (record, state) -> answer."""
        if isinstance(row, nodes.Text):
            return self._bind("text", text_row(row.index))
        return self._function("r, s", [f"return {self._object(row, 'r')}"])

    def shape(self, shape: nodes.Shape) -> str:
        """A function (value, state) -> answer, for a value that Python has made."""
        match shape:
            case nodes.Nullable(inner):
                return self._function("v, s", [f"return None if v is None else {self.shape(inner)}(v, s)"])
            case nodes.ListOf(item):
                return self._function("v, s", [f"return [{self.shape(item)}(i, s) for i in v]"])
            case nodes.Leaf(serialize):
                name = self._bind("leaf", serialize)
                return self._function("v, s", [f"return missing() if v is None else {name}(v)"])
            case nodes.Plain(fields):
                return self._function("v, s", [f"return {self._plain(fields)}"])

    def connection(self, connection: nodes.Connection) -> str:
        """A function (records, total, state) -> answer."""
        texts = _text_indexes(connection)
        if texts is not None:
            return self._bind("text", text_connection(connection.number, texts))
        lines = [
            f"q = s.requests[{connection.number}]",
            "more = len(rows) > q.size",
            "if more: rows = rows[:q.size]",
            "if q.is_backward:",
            "    rows = rows[::-1]",
            "    after, before = q.before is not None, more or q.after is not None",
            "else:",
            "    after, before = more or q.before is not None, q.after is not None",
        ]
        if connection.key_slot is not None:
            lines.append("o = q.order")
        parts = [f"{key!r}: {self._connection_part(connection, part)}" for key, part in connection.fields.items()]
        lines.append(f"return {{{', '.join(parts)}}}")
        return self._function("rows, total, s", lines)

    def _connection_part(self, connection: nodes.Connection, part: nodes.ConnectionPart) -> str:
        match part.name:
            case "__typename":
                return str(part.fields[""].source)
            case "totalCount":
                return "total"
            case "nodes":
                row = part.fields[""]
                if isinstance(row, nodes.Text):
                    return f"fragment(b'[%b]' % b','.join([r[{row.index}] for r in rows]))"
                return f"[{self._row(row, 'r')} for r in rows]"
            case "edges":
                parts = [f"{key!r}: {self._edge_part(connection, edge)}" for key, edge in part.fields.items()]
                return f"[{{{', '.join(parts)}}} for r in rows]"
        sources = {
            "hasNextPage": "after",
            "hasPreviousPage": "before",
            "startCursor": f"({self._cursor(connection, 'rows[0]')} if rows else None)",
            "endCursor": f"({self._cursor(connection, 'rows[-1]')} if rows else None)",
            "__typename": "'PageInfo'",
        }
        return f"{{{', '.join(f'{key!r}: {sources[name]}' for key, name in part.fields.items())}}}"

    def _edge_part(self, connection: nodes.Connection, part: Any) -> str:
        if isinstance(part, nodes.Row | nodes.Text):
            return self._object(part, "r")
        return part.source if isinstance(part, nodes.Constant) else self._cursor(connection, "r")

    def _cursor(self, connection: nodes.Connection, record: str) -> str:
        return f"cursor(o, {record}[{connection.key_slot}], {record}[{connection.id_index}])"

    def _object(self, part: nodes.Row | nodes.Text, record: str) -> str:
        return f"fragment({record}[{part.index}])" if isinstance(part, nodes.Text) else self._row(part, record)

    def _row(self, row: nodes.Row, record: str) -> str:
        parts, waiting = [], []
        for key, part in row.fields.items():
            if isinstance(part, nodes.Kept):
                version = f"{self._bind('answer', part.versions.read.select.answer)}({record}[{part.versions.index}])"
                waiting.append((part.number, key, f"({record}[{part.id_index}], {version})"))
                parts.append(f"{key!r}: None")
            elif isinstance(part, nodes.Slow):
                waiting.append((part.number, key, f"{record}[{part.batch.index}]"))
                parts.append(f"{key!r}: None")
            else:
                parts.append(f"{key!r}: {self._part(part, record)}")
        source = self._with_waiting(f"{{{', '.join(parts)}}}", waiting)
        if row.presence is None:
            return source
        return f"({'missing()' if row.is_required else 'None'} if {record}[{row.presence}] is None else {source})"

    def _with_waiting(self, source: str, waiting: Sequence[tuple[int, str, str]]) -> str:
        # One call for all of them: Python takes no more than two hundred parentheses within each other.
        noted = [f"({number}, {key!r}, {wanted})" for number, key, wanted in waiting]
        return f"later(s, {source}, {', '.join(noted)})" if noted else source

    def _part(self, part: nodes.Part, record: str) -> str:
        match part:
            case nodes.Value(index, None):
                return f"{record}[{index}]"
            case nodes.Value(index, convert):
                self._bind_converter(str(convert))
                return f"{convert}({record}[{index}])"
            case nodes.Constant(source):
                return source
            case nodes.Computed(compute, columns, shape):
                name = self._bind("compute", compute)
                values = ", ".join(f"{column!r}: {record}[{index}]" for column, index in columns)
                return f"{self.shape(shape)}({name}({{{values}}}), s)"
            case nodes.Row() | nodes.Text():
                return self._object(part, record)
            case nodes.Nested(connection, index, total_index):
                total = "None" if total_index is None else f"{record}[{total_index}]"
                return f"{self.connection(connection)}({record}[{index}], {total}, s)"
            case nodes.Batch(read, _, _, number, index, shape):
                answer, make = self._bind("answer", read.select.answer), self._bind("make", read.make)
                return f"{self.shape(shape)}({make}({answer}({record}[{index}]), s.batches[{number}]), s)"

    def _plain(self, fields: Mapping[str, Any]) -> str:
        parts, waiting = [], []
        for key, part in fields.items():
            if isinstance(part, nodes.PlainEdge):
                waiting.append((part.number, key, f"v.{part.attribute}"))
                parts.append(f"{key!r}: None")
            elif isinstance(part, nodes.Constant):
                parts.append(f"{key!r}: {part.source}")
            else:
                attribute, shape = part
                parts.append(f"{key!r}: {self.shape(shape)}(v.{attribute}, s)")
        return self._with_waiting(f"{{{', '.join(parts)}}}", waiting)

    def _function(self, parameters: str, body: Sequence[str]) -> str:
        self._names += 1
        name = f"f{self._names}"
        self._lines += [f"def {name}({parameters}):", *(f"    {line}" for line in body)]
        return name

    def _bind(self, kind: str, value: Any) -> str:
        self._names += 1
        name = f"{kind}{self._names}"
        self._scope[name] = value
        return name

    def _bind_converter(self, name: str) -> None:
        """Binds ``global_id_T``, which makes the global ids of the type T and remembers the latest."""
        if name not in self._scope:
            self._scope[name] = _global_ids(name.removeprefix("global_id_"))


@lru_cache(maxsize=256)
def _global_ids(type_name: str) -> Callable[[Any], str]:
    return lru_cache(maxsize=GLOBAL_IDS_MAX)(lambda row_id: encode(type_name, row_id))
