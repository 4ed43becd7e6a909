"""What a history of capital says on a date, and which changes are refused."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.domain.capital import (
    CapitalAction,
    Entry,
    State,
    check_active,
    check_amount,
    check_name,
    check_not_future,
    check_rate,
    fold,
)
from api.domain.money import CENTS_MAX
from api.errors import ErrorCode, Problem

ADDED, AMOUNT_CHANGED, RATE_CHANGED, REMOVED = CapitalAction
JANUARY = date(2025, 1, 1)
FIVE, SIX = Decimal("0.05"), Decimal("0.06")


def day(number: int) -> date:
    """The first of January and so many days."""
    return JANUARY + timedelta(days=number)


def moment(sequence: int) -> datetime:
    """When the entry of this sequence was recorded: a minute after the one before, long after all effective dates."""
    return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=sequence)


def entry(
    sequence: int,
    action: CapitalAction,
    effective: int,
    *,
    rate: Decimal | None = None,
    cents: int | None = None,
    source: str = "loan",
) -> Entry:
    return Entry(source, sequence, day(effective), action, f"A {source}", rate, cents, moment(sequence))


def loan(rate: Decimal, cents: int) -> list[State]:
    return [State("loan", "A loan", rate, cents)]


LOAN = entry(1, ADDED, 0, rate=FIVE, cents=100)


def test_back_dated_amount_survives_a_later_change_of_rate() -> None:
    entries = [LOAN, entry(2, RATE_CHANGED, 20, rate=SIX), entry(3, AMOUNT_CHANGED, 10, cents=250)]
    assert fold(entries, day(9)) == loan(FIVE, 100)
    assert fold(entries, day(10)) == loan(FIVE, 250)
    assert fold(entries, day(20)) == loan(SIX, 250)


def test_what_an_action_does_not_set_counts_for_nothing() -> None:
    entries = [
        LOAN,
        entry(2, AMOUNT_CHANGED, 10, cents=250, rate=Decimal("0.9")),
        entry(3, RATE_CHANGED, 20, rate=SIX, cents=1),
    ]
    assert fold(entries, day(20)) == loan(SIX, 250)


def test_one_day_goes_by_sequence_in_whatever_order_entries_come() -> None:
    entries = [entry(3, AMOUNT_CHANGED, 0, cents=3), entry(2, AMOUNT_CHANGED, 0, cents=2), LOAN]
    assert fold(entries, day(0)) == loan(FIVE, 3)


def test_earlier_effective_date_goes_first_though_recorded_last() -> None:
    entries = [LOAN, entry(2, AMOUNT_CHANGED, 10, cents=2), entry(3, AMOUNT_CHANGED, 5, cents=3)]
    assert [fold(entries, day(number))[0].available_cents for number in (4, 5, 9, 10)] == [100, 3, 3, 2]


def test_removed_source_stays_removed() -> None:
    entries = [LOAN, entry(2, AMOUNT_CHANGED, 20, cents=7), entry(3, REMOVED, 10)]
    assert fold(entries, day(9)) == loan(FIVE, 100)
    assert fold(entries, day(10)) == []
    assert fold(entries, day(20)) == []


def test_what_is_recorded_later_does_not_change_what_was_known() -> None:
    entries = [LOAN, entry(2, AMOUNT_CHANGED, 10, cents=250), entry(3, REMOVED, 5)]
    assert fold(entries, day(20), moment(1)) == loan(FIVE, 100)
    assert fold(entries, day(20), moment(2)) == loan(FIVE, 250)
    assert fold(entries, day(20), moment(3)) == []
    assert fold(entries, day(20), moment(0)) == []


def test_sources_come_in_the_order_in_which_they_were_added() -> None:
    entries = [entry(1, ADDED, 5, rate=FIVE, cents=1), entry(2, ADDED, 1, rate=SIX, cents=2, source="grant")]
    assert [state.source for state in fold(entries, day(5))] == ["grant", "loan"]


def test_nothing_is_active_before_anything_is_added() -> None:
    assert fold([], day(0)) == []
    assert fold([LOAN], day(-1)) == []


RATES = st.integers(0, 9_999_999_999).map(lambda millionths: Decimal(millionths).scaleb(-6))
CHANGES = st.tuples(
    st.sampled_from("abcd"),
    st.sampled_from(CapitalAction),
    st.integers(0, 3) | st.just(0),
    st.integers(0, 12),
    RATES,
    st.integers(1, CENTS_MAX),
    st.booleans(),
)
HISTORIES = st.lists(CHANGES, max_size=25)


def recorded(changes: Sequence[tuple[str, CapitalAction, int, int, Decimal, int, bool]]) -> list[Entry]:
    """The history of these changes, recorded some days after each other and back-dated by some days.

    What a source's state forbids is left out.
    """
    entries: list[Entry] = []
    added: dict[str, date] = {}
    removed: dict[str, date] = {}
    today = JANUARY
    for source, wanted, days_later, days_back, rate, cents, carries_all in changes:
        today += timedelta(days=days_later)
        effective_on = today - timedelta(days=days_back)
        action = wanted if (wanted is ADDED) is (source not in added) else ADDED if source not in added else REMOVED
        if action is ADDED:
            added[source] = effective_on
        elif check_active("", effective_on, added_on=added[source], removed_on=removed.get(source)):
            continue
        elif action is REMOVED:
            removed[source] = effective_on
        sequence = len(entries) + 1
        recorded_at = datetime(today.year, today.month, today.day, tzinfo=UTC) + timedelta(seconds=sequence)
        entries.append(
            Entry(
                source,
                sequence,
                effective_on,
                action,
                f"{source}{sequence}",
                rate if carries_all or action.sets_rate else None,
                cents if carries_all or action.sets_amount else None,
                recorded_at,
            )
        )
    return entries


def replayed(entries: Sequence[Entry], as_of: date, known_at: datetime) -> set[State]:
    """The state after living through every day: each day's known entries in the order in which they were recorded."""
    names: dict[object, str] = {}
    rates: dict[object, Decimal] = {}
    amounts: dict[object, int] = {}
    gone: set[object] = set()
    today = JANUARY - timedelta(days=13)
    while today <= as_of:
        for change in entries:
            if change.effective_on != today or change.recorded_at > known_at:
                continue
            if change.action is ADDED:
                names[change.source] = change.name
            if change.action in (ADDED, RATE_CHANGED):
                assert change.annual_rate is not None
                rates[change.source] = change.annual_rate
            if change.action in (ADDED, AMOUNT_CHANGED):
                assert change.available_cents is not None
                amounts[change.source] = change.available_cents
            if change.action is REMOVED:
                gone.add(change.source)
        today += timedelta(days=1)
    return {State(source, names[source], rates[source], amounts[source]) for source in names if source not in gone}


@settings(max_examples=1000, deadline=None)
@given(HISTORIES, st.integers(-13, 60), st.integers(0, 26), st.randoms(use_true_random=False))
def test_fold_agrees_with_living_through_every_day(
    changes: list[tuple[str, CapitalAction, int, int, Decimal, int, bool]], number: int, known: int, random: Random
) -> None:
    entries = recorded(changes)
    known_at = entries[min(known, len(entries)) - 1].recorded_at if entries and known else moment(-(10**6))
    expected = replayed(entries, day(number), known_at)
    shuffled = sorted(entries, key=lambda _: random.random())
    states = fold(shuffled, day(number), known_at)
    assert len(states) == len(expected)
    assert set(states) == expected
    assert fold(entries, day(number), known_at) == states


@given(HISTORIES, st.integers(-13, 60), st.integers(0, 25))
def test_answer_as_known_at_a_time_never_changes(
    changes: list[tuple[str, CapitalAction, int, int, Decimal, int, bool]], number: int, known: int
) -> None:
    entries = recorded(changes)
    until_then = entries[:known]
    known_at = until_then[-1].recorded_at if until_then else moment(-(10**6))
    assert fold(entries, day(number), known_at) == fold(until_then, day(number))


def codes(problems: Sequence[Problem]) -> list[ErrorCode]:
    return [problem.code for problem in problems]


@pytest.mark.parametrize("name", ["abc", "a" * 200, "Ünï", " ab c"])
def test_names_of_3_to_200_characters_are_taken(name: str) -> None:
    assert check_name("name", name) == []


@pytest.mark.parametrize("name", ["", "ab", "ab ", "   ", "a" * 201])
def test_shorter_and_longer_names_are_refused(name: str) -> None:
    assert codes(check_name("name", name)) == [ErrorCode.INVALID_INPUT]


@pytest.mark.parametrize("rate", ["0", "-0", "0.14", "0.000001", "9999.999999", "1.5000000000", "0E+3"])
def test_rates_of_six_decimals_are_taken(rate: str) -> None:
    assert check_rate("annual_rate", Decimal(rate)) == []


@pytest.mark.parametrize("rate", ["-0.000001", "0.0000001", "9999.9999991", "10000", "1" * 100, "0." + "1" * 100])
def test_other_rates_are_refused(rate: str) -> None:
    assert codes(check_rate("annual_rate", Decimal(rate))) == [ErrorCode.INVALID_INPUT]


def test_amounts_are_above_0_and_within_64_bits() -> None:
    assert check_amount("available_cents", 1) == check_amount("available_cents", CENTS_MAX) == []
    for cents in (0, -1, CENTS_MAX + 1):
        assert codes(check_amount("available_cents", cents)) == [ErrorCode.INVALID_INPUT]


def test_change_takes_effect_today_or_before() -> None:
    assert check_not_future("effective_on", day(3), day(3)) == []
    assert codes(check_not_future("effective_on", day(4), day(3))) == [ErrorCode.INVALID_INPUT]


@pytest.mark.parametrize(
    ("number", "removed", "expected"),
    [
        (4, None, [ErrorCode.INVALID_INPUT]),
        (5, None, []),
        (99, None, []),
        (5, 8, []),
        (7, 8, []),
        (8, 8, [ErrorCode.INVALID_TRANSITION]),
        (9, 8, [ErrorCode.INVALID_TRANSITION]),
    ],
)
def test_source_is_changed_while_it_is_active(number: int, removed: int | None, expected: list[ErrorCode]) -> None:
    removed_on = None if removed is None else day(removed)
    assert codes(check_active("effective_on", day(number), added_on=day(5), removed_on=removed_on)) == expected
