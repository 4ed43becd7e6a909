"""Texts that PostgreSQL has made go into the answer without generated source."""

from typing import Any

import orjson
import pytest

from api.graphql.schema import declared_fields
from api.reads.compiled.shaping import State, text_connection, text_row
from api.reads.declarations import ConnectionRead
from api.reads.pages import PageRequest

ROWS = [(b'{"name":"a"}',), (b'{"name":"b"}',), (b'{"name":"c"}',)]


def answer(rows: list[tuple[bytes]], total: int | None, *, size: int, is_backward: bool) -> Any:
    read = declared_fields().reads["Query", "funds"]
    assert isinstance(read, ConnectionRead)
    state = State([PageRequest(read, read.default_order, size, is_backward)], [], 0)
    shape = text_connection(0, {"nodes": 0, "count": None, "again": 0})
    return orjson.loads(orjson.dumps(shape(rows, total, state)))


@pytest.mark.parametrize(
    ("size", "is_backward", "names"),
    [(3, False, ["a", "b", "c"]), (2, False, ["a", "b"]), (3, True, ["c", "b", "a"]), (2, True, ["b", "a"])],
)
def test_a_page_of_texts_is_cut_to_its_size_and_turned_round(size: int, is_backward: bool, names: list[str]) -> None:
    nodes = [{"name": name} for name in names]
    assert answer(ROWS, 7, size=size, is_backward=is_backward) == {"nodes": nodes, "count": 7, "again": nodes}


def test_an_empty_page_of_texts_is_an_empty_list() -> None:
    assert answer([], 0, size=3, is_backward=False) == {"nodes": [], "count": 0, "again": []}


def test_a_row_of_text_is_taken_as_it_stands() -> None:
    fragment = text_row(1)((5, b'{"name":"a"}'), State([], [], 0))
    assert orjson.dumps([fragment]) == b'[{"name":"a"}]'
