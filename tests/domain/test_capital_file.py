"""Files of capital history: what is read from JSON and CSV, what is refused, and that writing is reading backwards."""

import csv
import io
import json
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, date, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.domain import capital_file, file_text
from api.domain.capital import RATE_MAX, CapitalAction
from api.domain.capital_entries import PROBLEMS_MAX, FileEntry, Reading, time_zone
from api.domain.capital_file import read_csv, read_json, write_csv, write_json
from api.domain.dates import DATE_MAX, DATE_MIN
from api.domain.money import CENTS_MAX
from api.errors import Refused

ADDED, AMOUNT_CHANGED, RATE_CHANGED, REMOVED = CapitalAction
GOOD: dict[str, Any] = {
    "id": "e1",
    "sourceId": "s1",
    "effectiveDate": "2025-01-31",
    "name": "Senior loan",
    "annualRate": 0.05,
    "availableCents": 50_000_000,
    "action": "ADDED",
    "previousRate": None,
    "previousAmount": None,
    "notes": None,
}
ENTRY = FileEntry("e1", "s1", date(2025, 1, 31), "Senior loan", Decimal("0.05"), 50_000_000, ADDED)


def json_of(*changes: dict[str, Any], drop: Sequence[str] = ()) -> bytes:
    rows = [{name: value for name, value in (GOOD | change).items() if name not in drop} for change in changes]
    return json.dumps(rows).encode()


def csv_of(*changes: dict[str, Any]) -> bytes:
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, GOOD)
    writer.writeheader()
    writer.writerows(GOOD | change for change in changes)
    return file.getvalue().encode()


def read(zone: tzinfo = UTC, **fields: Any) -> FileEntry:
    """The entry that reads the same from JSON and CSV."""
    (from_json,) = good(read_json(json_of(fields), zone))
    (from_csv,) = good(read_csv(csv_of(fields), zone))
    assert from_json == from_csv
    return from_json


def good(reading: Reading) -> list[FileEntry]:
    assert reading.problems == []
    return list(reading.entries.values())


def bad(reading: Reading) -> list[str]:
    """Entry and field, as the messages say them."""
    return [problem.message.split(":")[0] for problem in reading.problems]


def refusal(data: bytes, read_file: Any = read_json) -> list[str]:
    with pytest.raises(Refused) as caught:
        read_file(data, UTC)
    return [problem.message for problem in caught.value.problems]


def test_entry_is_read() -> None:
    assert read() == ENTRY
    assert read(previousRate=0, previousAmount=0, notes=" As agreed ") == FileEntry(
        "e1", "s1", date(2025, 1, 31), "Senior loan", Decimal("0.05"), 50_000_000, ADDED, Decimal(0), 0, " As agreed "
    )


def test_optional_fields_may_be_absent() -> None:
    optional = ("previousRate", "previousAmount", "notes")
    assert good(read_json(json_of({}, drop=optional), UTC)) == [ENTRY]
    rows = [line.split(",")[:7] for line in csv_of({}).decode().splitlines()]
    assert good(read_csv("\n".join(",".join(row) for row in rows).encode(), UTC)) == [ENTRY]


@pytest.mark.parametrize(
    ("action", "fields"),
    [(AMOUNT_CHANGED, {"annualRate": None}), (RATE_CHANGED, {"availableCents": None}), (REMOVED, {})],
)
def test_what_the_action_does_not_set_may_be_absent_or_zero(action: CapitalAction, fields: dict[str, Any]) -> None:
    found = read(action=action, **fields)
    assert (found.annual_rate is None, found.available_cents is None) == (
        "annualRate" in fields,
        "availableCents" in fields,
    )
    assert read(action="REMOVED", annualRate=0, availableCents=0).available_cents == 0


@pytest.mark.parametrize(
    ("action", "fields"),
    [(ADDED, ["annualRate", "availableCents"]), (AMOUNT_CHANGED, ["availableCents"]), (RATE_CHANGED, ["annualRate"])],
)
def test_what_the_action_sets_is_needed(action: CapitalAction, fields: list[str]) -> None:
    reading = read_json(json_of({"action": action, "annualRate": None, "availableCents": ""}), UTC)
    assert bad(reading) == [f"entry 1, {name}" for name in fields]


@pytest.mark.parametrize(
    ("text", "rate"),
    [("0.1", "0.1"), ("1e-6", "0.000001"), ("5E-2", "0.05"), ('"0.140000"', "0.14"), ("-0", "0"), ("9999.999999",) * 2],
)
def test_rates_are_read_from_their_text(text: str, rate: str) -> None:
    (found,) = good(read_json(json_of({}).replace(b"0.05", text.encode()), UTC))
    assert found.annual_rate == Decimal(rate)


def test_amounts_beyond_what_a_float_holds_are_exact() -> None:
    assert read(availableCents=CENTS_MAX).available_cents == CENTS_MAX
    assert read(availableCents="9007199254740993").available_cents == 2**53 + 1


@pytest.mark.parametrize(
    ("value", "zone", "expected"),
    [
        ("2025-01-31T23:30:00Z", UTC, date(2025, 1, 31)),
        ("2025-01-31T23:30:00.123Z", timezone(timedelta(hours=1)), date(2025, 2, 1)),
        ("2025-02-01T00:30:00+02:00", UTC, date(2025, 1, 31)),
        ("2025-07-01T22:30Z", time_zone("Europe/Zurich"), date(2025, 7, 2)),
        ("2025-01-01T22:30Z", time_zone("Europe/Zurich"), date(2025, 1, 1)),
        ("2025-01-31", time_zone("Pacific/Auckland"), date(2025, 1, 31)),
        (" 2025-01-31 ", UTC, date(2025, 1, 31)),
    ],
)
def test_timestamp_is_the_date_that_it_has_in_the_zone(value: str, zone: tzinfo, expected: date) -> None:
    assert read(zone, effectiveDate=value).effective_on == expected


@pytest.mark.parametrize(
    "name", ["", "Mars/Olympus", "../../etc/passwd", "/etc/localtime", "Europe", "a" * 300, "UTC\x00", "Ü"]
)
def test_unknown_time_zone_is_refused(name: str) -> None:
    with pytest.raises(Refused) as caught:
        time_zone(name)
    assert caught.value.problems[0].field == ("time_zone",)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *[(name, value) for name in ("id", "sourceId", "name") for value in ("", "x" * 201, "a\x00bc")],
        ("name", "ab"),
        ("notes", "x" * 1001),
        *[
            ("effectiveDate", value)
            for value in ("", "2025-02-30", "31.01.2025", "2025-01-31T10:00:00", "0001-01-01", "1738281600000")
        ],
        ("effectiveDate", "0001-01-02T00:00:00+23:59"),
        ("effectiveDate", "9999-12-31T23:59:59-23:59"),
        *[(name, value) for name in ("annualRate", "previousRate") for value in ("-0.1", "0.0000001", "10000", "1,5")],
        *[
            (name, value)
            for name in ("availableCents", "previousAmount")
            for value in ("0.5", "-1", str(2**63), "1e400", "1_000", "٣", "NaN", "Infinity", "1" * 41)
        ],
        ("availableCents", 0),
        *[("action", value) for value in ("", "added", "CHANGED")],
    ],
)
def test_bad_value_is_named_by_entry_and_field(field: str, value: Any) -> None:
    for reading in (read_json(json_of({}, {field: value}), UTC), read_csv(csv_of({}, {field: value}), UTC)):
        assert bad(reading) == [f"entry 2, {field}"]
        assert list(reading.entries.values()) == [ENTRY]
        (problem,) = reading.problems
        assert (problem.index, problem.field and problem.field[:2]) == (1, ("entries", "1"))


@pytest.mark.parametrize("value", [5, 1.5, True, False, [], {}, ["x"], {"a": "b"}])
@pytest.mark.parametrize("field", ["id", "sourceId", "name", "effectiveDate", "action"])
def test_text_of_another_kind_is_named(field: str, value: object) -> None:
    assert bad(read_json(json_of({field: value}), UTC)) == [f"entry 1, {field}"]


@pytest.mark.parametrize("value", [True, False, [], {}, [1], "x", " 1 2 "])
@pytest.mark.parametrize("field", ["annualRate", "availableCents", "previousRate", "previousAmount"])
def test_number_of_another_kind_is_named(field: str, value: object) -> None:
    assert bad(read_json(json_of({field: value}), UTC)) == [f"entry 1, {field}"]


def test_constants_of_javascript_are_no_numbers() -> None:
    for constant in (b"NaN", b"Infinity", b"-Infinity"):
        assert bad(read_json(json_of({}).replace(b"0.05", constant), UTC)) == ["entry 1, annualRate"]


def test_lone_surrogate_is_named() -> None:
    assert bad(read_json(json_of({"notes": "\ud83d"}), UTC)) == ["entry 1, notes"]


def test_everything_is_named_at_once() -> None:
    rows: list[dict[str, Any]] = [
        {"id": "", "annualRate": "x", "effectiveDate": "?"},
        {},
        {"action": "?", "previousAmount": "-1", "more": 1},
    ]
    assert bad(read_json(json_of(*rows), UTC)) == [
        "entry 1, id",
        "entry 1, effectiveDate",
        "entry 1, annualRate",
        "entry 3, more",
        "entry 3, action",
        "entry 3, previousAmount",
    ]


def test_reading_ends_after_a_thousand_problems() -> None:
    assert len(refusal(json_of(*[{"id": "", "action": ""}] * 2000))) == PROBLEMS_MAX


def test_field_that_comes_twice_is_named() -> None:
    data = json_of({}).replace(b'"action"', b'"id": "e2", "action"')
    assert bad(read_json(data, UTC)) == ["entry 1, id"]


@pytest.mark.parametrize("value", [b"5", b"null", b'"x"', b"[[]]", b"true"])
def test_entry_that_is_no_object_is_named(value: bytes) -> None:
    assert bad(read_json(b"[%s]" % value, UTC)) == ["entry 1, id"]


@pytest.mark.parametrize("data", [b"", b"{}", b"5", b"[", b'[{"id": }]', b"\xff[]", b"[" * 100_000, b"[] []"])
def test_what_is_no_list_in_json_is_refused(data: bytes) -> None:
    assert len(refusal(data)) == 1


def test_columns_that_are_missing_unknown_or_double_are_named() -> None:
    data = b"id,name,colour,name,action,effectiveDate,annualRate\r\n"
    assert refusal(data, read_csv) == [
        "The file has no column sourceId.",
        "The file has no column availableCents.",
        "The file has an unknown column 'colour'.",
        "The file has the column name more than once.",
    ]
    assert len(refusal(b"", read_csv)) == 7


def test_row_of_another_length_and_unfinished_quotation_are_named() -> None:
    assert bad(read_csv(csv_of({}) + b"too,short\r\n\r\n" + csv_of({}).splitlines()[1], UTC)) == ["entry 2, id"]
    assert refusal(csv_of({}) + b'"never closed', read_csv) == [
        "Line 3 of the file is not CSV: unexpected end of data."
    ]


def test_byte_order_mark_is_passed_over() -> None:
    assert good(read_json(b"\xef\xbb\xbf" + json_of({}), UTC)) == [ENTRY]
    assert good(read_csv(b"\xef\xbb\xbf" + csv_of({}), UTC)) == [ENTRY]


def test_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capital_file, "ENTRIES_MAX", 2)
    assert len(read_json(json_of({}, {}), UTC).entries) == 2
    assert refusal(json_of({}, {}, {})) == ["The file has 3 entries; at most 2 are taken at once."]
    monkeypatch.setattr(file_text, "FILE_BYTES_MAX", 10)
    assert refusal(b" " * 11) == ["The file has 11 bytes; at most 10 are read."]


def test_file_is_written_one_entry_to_a_line() -> None:
    lines = write_json([ENTRY, ENTRY]).decode().splitlines()
    assert lines[0] == "["
    assert lines[1] == (
        '{"id": "e1", "sourceId": "s1", "effectiveDate": "2025-01-31", "name": "Senior loan", "annualRate": 0.05, '
        '"availableCents": 50000000, "action": "ADDED"},'
    )
    assert write_csv([ENTRY]).decode().splitlines() == [",".join(GOOD), *csv_of({}).decode().splitlines()[1:]]
    assert write_json([]) == b"[\n\n]\n"


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=200)
NAMES = TEXTS.filter(lambda text: len(text.strip()) >= 3)
RATES = st.integers(0, int(RATE_MAX * 10**6)).map(lambda millionths: Decimal(millionths).scaleb(-6))
CENTS = st.integers(0, CENTS_MAX)


@st.composite
def entries(draw: st.DrawFn) -> FileEntry:
    action = draw(st.sampled_from(CapitalAction))
    return FileEntry(
        draw(TEXTS),
        draw(TEXTS),
        draw(st.dates(DATE_MIN, DATE_MAX)),
        draw(NAMES),
        draw(RATES if action.sets_rate else st.none() | RATES),
        draw(CENTS.filter(bool) if action.sets_amount else st.none() | CENTS),
        action,
        draw(st.none() | RATES),
        draw(st.none() | CENTS),
        draw(st.none() | TEXTS),
    )


@settings(deadline=None)
@given(st.lists(entries(), max_size=5))
def test_what_is_written_reads_back_the_same(written: list[FileEntry]) -> None:
    assert good(read_json(write_json(written), UTC)) == written
    assert good(read_csv(write_csv(written), UTC)) == written


@settings(deadline=None)
@given(st.binary(max_size=60) | st.text(st.sampled_from('[]{}:,"\\\n\ride01-. '), max_size=60).map(str.encode))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for read_file in (read_json, read_csv):
        with suppress(Refused):
            read_file(data, UTC)
