"""The CSV files in which activities and valuations come and go.

What ``write_activities`` and ``write_valuations`` write reads back as the same rows in the same order, except that
an empty note comes back as none.
"""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from api.domain.file_text import refuse_file, text_of
from api.domain.flow_rows import (
    CELL_SHOWN_MAX,
    PROBLEMS_MAX,
    ActivityRow,
    FileForm,
    HoldingName,
    Problems,
    Row,
    ValuationRow,
    amount_text,
    guarded,
)
from api.errors import ErrorCode, Problem, Refused

ROWS_MAX = 100_000
"""All rows are one transaction."""

HOLDING_COLUMNS = ("holding_id", "fund", "vintage_year")
ACTIVITY_COLUMNS = ("occurred_on", "activity_type", "amount", "is_recallable", "note")
VALUATION_COLUMNS = ("valued_on", "value")

T = TypeVar("T")


def read_activities(data: bytes, form: FileForm) -> list[ActivityRow]:
    """The rows of a file of activities; raises Refused with what is wrong, by line and column."""
    needed = ["occurred_on", "amount"] if form.is_signed else ["occurred_on", "activity_type", "amount"]
    return _read(data, ACTIVITY_COLUMNS, needed, lambda row: row.activity(), form)


def read_valuations(data: bytes, form: FileForm) -> list[ValuationRow]:
    """The rows of a file of valuations; raises Refused with what is wrong, by line and column."""
    return _read(data, VALUATION_COLUMNS, VALUATION_COLUMNS, lambda row: row.valuation(), form)


def _read(
    data: bytes, columns: Sequence[str], needed: Sequence[str], read: Callable[[Row], T], form: FileForm
) -> list[T]:
    problems = Problems()
    rows: list[T] = []
    for line, cells in _lines(data, (*HOLDING_COLUMNS, *columns), needed, problems):
        if len(rows) == ROWS_MAX:
            refuse_file(f"The file has more than {ROWS_MAX} rows; split it.")
        rows.append(read(Row(line, cells, form, problems)))
    problems.refuse_any()
    if not rows:
        refuse_file("The file has no rows.")
    return rows


def _lines(
    data: bytes, columns: Sequence[str], needed: Sequence[str], problems: Problems
) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows under the header, each with the line it begins on; empty lines are passed over."""
    reader = csv.reader(io.StringIO(text_of(data), newline=""), strict=True)
    try:
        header = next(reader, [])
        _check_header(header, columns, needed)
        line = reader.line_num + 1
        for cells in reader:
            # A line of nothing but commas is how spreadsheets write an empty one.
            if any(cells) and len(cells) != len(header):
                problems.add(line, header[0], f"{len(cells)} cells where the header has {len(header)}")
            elif any(cells):
                yield line, dict(zip(header, cells, strict=True))
            line = reader.line_num + 1
    except csv.Error as error:
        # What follows cannot be told into rows.
        problems.add(reader.line_num, header[0] if header else columns[0], f"not CSV: {error}")


def _check_header(header: Sequence[str], columns: Sequence[str], needed: Sequence[str]) -> None:
    found = [f"The file has no column {name}." for name in needed if name not in header]
    if "holding_id" not in header and "fund" not in header:
        found.append("The file has neither a column fund nor holding_id.")
    found += [f"The file has an unknown column {name[:CELL_SHOWN_MAX]!r}." for name in header if name not in columns]
    found += [f"The file has the column {name} more than once." for name in columns if header.count(name) > 1]
    if found:
        raise Refused([Problem(ErrorCode.INVALID_INPUT, message) for message in found[:PROBLEMS_MAX]])


def write_activities(rows: Iterable[ActivityRow], places: int) -> bytes:
    """The rows as a CSV with a header, amounts with so many decimals."""
    return _write(
        ACTIVITY_COLUMNS,
        (
            (
                row.holding,
                str(row.occurred_on),
                row.activity_type.value,
                amount_text(row.amount_cents, places),
                "true" if row.is_recallable else "false",
                guarded(row.note or ""),
            )
            for row in rows
        ),
    )


def write_valuations(rows: Iterable[ValuationRow], places: int) -> bytes:
    """The rows as a CSV with a header, amounts with so many decimals."""
    return _write(
        VALUATION_COLUMNS,
        ((row.holding, str(row.valued_on), amount_text(row.value_cents, places)) for row in rows),
    )


def _write(columns: Sequence[str], rows: Iterable[tuple[HoldingName, *tuple[str, ...]]]) -> bytes:
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    writer.writerow(("fund", "vintage_year", *columns))
    for holding, *cells in rows:
        writer.writerow((guarded(holding.fund or ""), holding.vintage_year or "", *cells))
    return file.getvalue().encode()
