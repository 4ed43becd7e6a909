"""The files in which a capital history is kept outside: JSON as a browser wrote it, and CSV with the same columns.

What ``write_json`` and ``write_csv`` write reads back as the same entries in the same order.
"""

import csv
import io
import json
from collections.abc import Callable, Iterable, Sequence
from datetime import tzinfo
from decimal import Decimal

from api.domain.capital_entries import FIELDS, PROBLEMS_MAX, FileEntry, NumberText, Pairs, Reading, read_entries
from api.domain.file_text import refuse_file, text_of
from api.errors import ErrorCode, Problem, Refused

COLUMNS_NEEDED = tuple(FIELDS)[:7]
ENTRIES_MAX = 20_000
"""While they are appended, nothing else is written for the organization: seconds, for so many."""


def read_json(data: bytes, zone: tzinfo) -> Reading:
    """The entries of a JSON list of objects; raises Refused where it is none, or too much."""
    try:
        document = json.loads(
            text_of(data),
            parse_float=NumberText,
            parse_int=NumberText,
            parse_constant=NumberText,
            object_pairs_hook=Pairs,
        )
    except json.JSONDecodeError as error:
        refuse_file(f"The file is not JSON: {error}.")
    except RecursionError:
        refuse_file("The file is nested too deeply.")
    if not isinstance(document, list) or isinstance(document, Pairs):
        refuse_file("The file must hold a list of entries.")
    return _read_bounded(document, zone)


def read_csv(data: bytes, zone: tzinfo) -> Reading:
    """The entries of a CSV with a header; raises Refused where its columns are not those of a history, or too much."""
    reader = csv.reader(io.StringIO(text_of(data), newline=""), strict=True)
    rows: list[object] = []
    try:
        header = next(reader, [])
        _check_header(header)
        for cells in reader:
            if cells:
                same_length = len(cells) == len(header)
                rows.append(dict(zip(header, cells, strict=True)) if same_length else len(cells))
    except csv.Error as error:
        refuse_file(f"Line {reader.line_num} of the file is not CSV: {error}.")
    return _read_bounded(rows, zone)


def _check_header(header: Sequence[str]) -> None:
    problems = [f"The file has no column {name}." for name in COLUMNS_NEEDED if name not in header]
    problems += [f"The file has an unknown column {name[:60]!r}." for name in header if name not in FIELDS]
    problems += [f"The file has the column {name} more than once." for name in FIELDS if header.count(name) > 1]
    if problems:
        raise Refused([Problem(ErrorCode.INVALID_INPUT, message) for message in problems[:PROBLEMS_MAX]])


def _read_bounded(rows: Sequence[object], zone: tzinfo) -> Reading:
    if len(rows) > ENTRIES_MAX:
        refuse_file(f"The file has {len(rows)} entries; at most {ENTRIES_MAX} are taken at once.")
    return read_entries(rows, zone)


def write_json(entries: Iterable[FileEntry]) -> bytes:
    """The entries as a JSON list, one to a line, rates and amounts as numbers; what is None is left out."""
    lines = (", ".join(f"{json.dumps(name)}: {text}" for name, text in _fields(entry, json.dumps)) for entry in entries)
    return ("[\n" + ",\n".join(f"{{{line}}}" for line in lines) + "\n]\n").encode()


def write_csv(entries: Iterable[FileEntry]) -> bytes:
    """The entries as a CSV with a header; what is None is empty."""
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, FIELDS)
    writer.writeheader()
    writer.writerows(dict(_fields(entry, str)) for entry in entries)
    return file.getvalue().encode()


def _fields(entry: FileEntry, text: Callable[[str], str]) -> list[tuple[str, str]]:
    """The names and texts of what is not None: numbers plain, the others through ``text``."""
    values = (
        entry.id,
        entry.source_id,
        str(entry.effective_on),
        entry.name,
        entry.annual_rate,
        entry.available_cents,
        str(entry.action),
        entry.previous_rate,
        entry.previous_amount_cents,
        entry.notes,
    )
    return [
        (name, text(value) if isinstance(value, str) else _number_text(value))
        for name, value in zip(FIELDS, values, strict=True)
        if value is not None
    ]


def _number_text(value: Decimal | int) -> str:
    return format(value.normalize(), "f") if isinstance(value, Decimal) else str(value)
