"""Files of activities and valuations: what is written reads back, and everything wrong is named by line and column."""

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.domain import file_text, flow_file
from api.domain.activities import ActivityType
from api.domain.dates import DATE_MAX, DATE_MIN
from api.domain.flow_file import read_activities, read_valuations, write_activities, write_valuations
from api.domain.flow_rows import (
    PROBLEMS_MAX,
    ActivityRow,
    FileForm,
    HoldingName,
    ValuationRow,
    day_pattern,
    guarded,
    places_of,
)
from api.domain.money import CENTS_MAX
from api.errors import ErrorCode, Refused

USD = FileForm(2)
SIGNED = FileForm(2, is_signed=True)
HEADER = "fund,vintage_year,occurred_on,activity_type,amount,is_recallable,note\n"
# Cells of rows that are mostly quotes, commas, line ends and what spreadsheets take for formulas.
HOSTILE = st.text(st.sampled_from("=+-@'\t\r\n\",; \ufeffÜ1") | st.characters(exclude_categories=["Cs"]), max_size=20)
TEXTS = HOSTILE.filter(lambda text: text and "\x00" not in text)
HOLDINGS = st.builds(HoldingName, st.none(), TEXTS, st.none() | st.integers(1900, 2199))
DAYS = st.dates(DATE_MIN, DATE_MAX)
ACTIVITIES = st.builds(
    ActivityRow,
    st.just(0),
    HOLDINGS,
    st.sampled_from(ActivityType),
    st.integers(1, CENTS_MAX),
    DAYS,
    st.booleans(),
    st.none() | TEXTS,
)
VALUATIONS = st.builds(ValuationRow, st.just(0), HOLDINGS, DAYS, st.integers(0, CENTS_MAX))


def unplaced(rows: list[Any]) -> list[Any]:
    return [row._replace(line=0) for row in rows]


def told(read: Any, text: str, form: FileForm = USD) -> list[str]:
    with pytest.raises(Refused) as refused:
        read(text.encode(), form)
    return [problem.message for problem in refused.value.problems]


@given(st.lists(ACTIVITIES, min_size=1, max_size=5), st.sampled_from(["USD", "JPY", "KWD"]))
def test_activities_read_back_as_they_were_written(rows: list[ActivityRow], currency: str) -> None:
    places = places_of(currency)
    assert unplaced(read_activities(write_activities(rows, places), FileForm(places))) == rows


@given(st.lists(VALUATIONS, min_size=1, max_size=5), st.sampled_from([0, 2, 3]))
def test_valuations_read_back_as_they_were_written(rows: list[ValuationRow], places: int) -> None:
    assert unplaced(read_valuations(write_valuations(rows, places), FileForm(places))) == rows


@pytest.mark.parametrize(
    ("text", "written"),
    [("=cmd|'/C calc'!A0", "'=cmd|'/C calc'!A0"), ("'=1", "''=1"), ("-5", "'-5"), ("'tis", "'tis"), ("a=b", "a=b")],
)
def test_formula_is_written_behind_an_apostrophe(text: str, written: str) -> None:
    assert guarded(text) == written


def test_what_spreadsheets_make_of_a_file_reads_the_same() -> None:
    plain = HEADER + 'A,2020,2024-01-31,INVESTMENT,10.5,,"two\nlines"\nA,,2024-02-29,FEE,1,TRUE,\n'
    rows = read_activities(plain.encode(), USD)
    marked = b"\xef\xbb\xbf" + plain.replace("\nA,,", "\n\n,,,,,,\nA,,").replace("\n", "\r\n").encode()
    again = read_activities(marked, USD)
    assert [(row.line, row.amount_cents, row.is_recallable) for row in rows] == [(2, 1050, False), (4, 100, True)]
    assert [row.line for row in again] == [2, 6]
    assert (again[0].note, again[0].holding) == ("two\r\nlines", HoldingName(None, "A", 2020))


def test_signs_tell_the_way_and_types_agree_with_them() -> None:
    header = "fund,occurred_on,amount,activity_type\n"
    rows = read_activities((header + "A,2024-01-31,-10,\nA,2024-01-31,3,\nA,2024-01-31,2,FEE\n").encode(), SIGNED)
    assert [(row.activity_type.value, row.amount_cents) for row in rows] == [
        ("INVESTMENT", 1000),
        ("DISTRIBUTION", 300),
        ("FEE", 200),
    ]
    assert told(read_activities, header + "A,2024-01-31,5,INVESTMENT\nA,2024-01-31,-5,FEE\n", SIGNED) == [
        "line 2, activity_type: INVESTMENT is below 0, the amount is not",
        "line 3, activity_type: FEE is above 0, the amount is not",
    ]
    without = read_activities(b"fund,occurred_on,amount\nA,2024-01-31,-1\n", SIGNED)
    assert without[0].activity_type is ActivityType.INVESTMENT


@pytest.mark.parametrize(
    ("pattern", "text"), [("DD.MM.YYYY", "09.02.2024"), ("M/D/YYYY", "2/9/2024"), ("YYYYMMDD", "20240209")]
)
def test_declared_dates(pattern: str, text: str) -> None:
    form = FileForm(0, days=day_pattern(pattern))
    assert read_valuations(f"fund,valued_on,value\nA,{text},5\n".encode(), form)[0].valued_on == date(2024, 2, 9)
    assert len(told(read_valuations, "fund,valued_on,value\nA,2024-02-09,5\nA,30.02.2024,5\nA,,5\n", form)) == 3


@pytest.mark.parametrize("pattern", ["", "DD.MM", "DD.MM.YY", "DD.MM.YYYY MM", "%d"])
def test_date_format_without_its_parts_is_refused(pattern: str) -> None:
    with pytest.raises(Refused):
        day_pattern(pattern)


def test_every_bad_cell_is_named() -> None:
    bad = "A,20,31.1.2024,GIFT,ten,maybe,%s\n,2020,2024-01-31,FEE,0,,\nA,2020,2024-01-31,FEE,-1,,\nA,FEE\n" % (
        "x" * 1001
    )
    bad += "A,2020,2024-01-31,FEE,1.005,,\nA,2020,2024-01-31,FEE,92233720368547758.08,,\n"
    assert told(read_activities, HEADER + bad) == [
        "line 2, amount: not a number with at most 2 decimals: 'ten'",
        "line 2, activity_type: no type of activity: 'GIFT'",
        "line 2, vintage_year: not a year: '20'",
        "line 2, occurred_on: no date in the file's format: '31.1.2024'",
        "line 2, is_recallable: neither true nor false: 'maybe'",
        "line 2, note: 1001 characters, at most 1000",
        "line 3, amount: 0 moves nothing",
        "line 3, fund: must not be empty",
        "line 4, amount: below 0: the type tells which way the money went, or else amounts are signed",
        "line 5, fund: 2 cells where the header has 7",
        "line 6, amount: not a number with at most 2 decimals: '1.005'",
        "line 7, amount: beyond 64 bits of cents",
    ]
    assert told(read_valuations, "fund,valued_on,value\nA,2024-01-31,-1\n") == ["line 2, value: must not be below 0"]


def test_more_problems_than_are_told_are_counted() -> None:
    messages = told(read_valuations, "fund,valued_on,value\n" + "A,2024-01-31,x\n" * (PROBLEMS_MAX + 7))
    assert (len(messages), messages[-1]) == (PROBLEMS_MAX + 1, "and 7 more")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "The file has no column valued_on."),
        (b"valued_on,value\n", "The file has neither a column fund nor holding_id."),
        (b"fund,valued_on,value,colour\n", "The file has an unknown column 'colour'."),
        (b"fund,fund,valued_on,value\n", "The file has the column fund more than once."),
        (b"fund,valued_on,value\n\n", "The file has no rows."),
        (b"fund,valued_on,value\n\xff", "The file is not UTF-8 at byte 21."),
        (b'fund,valued_on,value\nA,2024-01-31,"5\n', "line 2, fund: not CSV: unexpected end of data"),
        (b"fund,valued_on,value\n" + b"x" * 200_000, "line 2, fund: not CSV: field larger than field limit (131072)"),
        (b"fund,valued_on,value\nA\x00,2024-01-31,5\n", "line 2, fund: holds U+0000"),
    ],
)
def test_what_is_no_such_file_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(Refused) as refused:
        read_valuations(data, USD)
    assert refused.value.problems[0].message == message
    assert refused.value.problems[0].code is ErrorCode.INVALID_INPUT


def test_file_has_its_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "fund,valued_on,value\n" + "A,2024-01-31,5\n" * 3
    monkeypatch.setattr(flow_file, "ROWS_MAX", 2)
    assert told(read_valuations, text) == ["The file has more than 2 rows; split it."]
    monkeypatch.setattr(file_text, "FILE_BYTES_MAX", 5)
    assert told(read_valuations, text) == [f"The file has {len(text)} bytes; at most 5 are read."]
