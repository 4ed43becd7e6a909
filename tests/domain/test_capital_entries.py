"""How imported entries go together: with each other, and with what is known of their sources."""

from collections.abc import Collection
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.domain.capital import CapitalAction
from api.domain.capital_entries import FileEntry, Span, check_history

ADDED, AMOUNT_CHANGED, RATE_CHANGED, REMOVED = CapitalAction
TODAY = date(2025, 3, 31)


def entry(action: CapitalAction, day: int, source: str = "s") -> FileEntry:
    """An entry of this day of March."""
    return FileEntry("e", source, date(2025, 3, day), "Loan", None, None, action)


def problems(
    *entries: FileEntry, known: dict[str, Span] | None = None, doubtful: Collection[str] = (), today: date = TODAY
) -> list[str]:
    """Entry, field and code of what is wrong."""
    found = check_history(dict(enumerate(entries)), known or {}, doubtful=doubtful, today=today)
    return [f"{problem.message.split(':')[0]}: {problem.code}" for problem in found]


def test_source_is_added_changed_and_removed() -> None:
    assert problems(entry(ADDED, 1), entry(AMOUNT_CHANGED, 1), entry(RATE_CHANGED, 5), entry(REMOVED, 9)) == []


def test_entries_need_not_come_in_the_order_of_their_dates() -> None:
    assert problems(entry(REMOVED, 9), entry(RATE_CHANGED, 5), entry(ADDED, 1)) == []


def test_on_one_day_a_source_is_added_before_it_is_changed() -> None:
    assert problems(entry(RATE_CHANGED, 1), entry(ADDED, 1)) == ["entry 1, effectiveDate: INVALID_INPUT"]
    assert problems(entry(ADDED, 1), entry(REMOVED, 1)) == []


def test_source_is_changed_from_the_day_on_which_it_is_added() -> None:
    assert problems(entry(ADDED, 5), entry(RATE_CHANGED, 4)) == ["entry 2, effectiveDate: INVALID_INPUT"]


def test_removed_source_stays_so() -> None:
    removed = entry(ADDED, 1), entry(REMOVED, 9)
    for action in (AMOUNT_CHANGED, RATE_CHANGED, REMOVED):
        assert problems(*removed, entry(action, 9)) == ["entry 3, effectiveDate: INVALID_TRANSITION"]
        assert problems(*removed, entry(action, 8)) == []
    assert problems(*removed, entry(ADDED, 12)) == ["entry 3, sourceId: ALREADY_EXISTS"]


def test_back_dated_removal_leaves_what_was_recorded_before_it() -> None:
    assert problems(entry(ADDED, 1), entry(RATE_CHANGED, 20), entry(REMOVED, 9)) == []
    assert problems(entry(ADDED, 1), entry(REMOVED, 9), entry(REMOVED, 5), entry(RATE_CHANGED, 7)) == [
        "entry 4, effectiveDate: INVALID_TRANSITION"
    ]


def test_source_that_nothing_adds_is_not_found() -> None:
    assert problems(entry(RATE_CHANGED, 1), entry(ADDED, 1, "other")) == ["entry 1, sourceId: NOT_FOUND"]


def test_nothing_is_said_of_sources_of_which_an_entry_could_not_be_read() -> None:
    assert problems(entry(RATE_CHANGED, 1), doubtful={"s"}) == []


def test_entries_go_on_from_what_is_known_of_their_sources() -> None:
    known = {"s": Span(date(2025, 3, 5)), "gone": Span(date(2025, 3, 1), date(2025, 3, 10))}
    entries = [
        entry(RATE_CHANGED, 5),
        entry(RATE_CHANGED, 4),
        entry(ADDED, 6),
        entry(RATE_CHANGED, 10, "gone"),
        entry(RATE_CHANGED, 9, "gone"),
    ]
    assert problems(*entries, known=known) == [
        "entry 3, sourceId: ALREADY_EXISTS",
        "entry 2, effectiveDate: INVALID_INPUT",
        "entry 4, effectiveDate: INVALID_TRANSITION",
    ]


def test_nothing_takes_effect_after_today() -> None:
    entries = entry(ADDED, 4), entry(RATE_CHANGED, 5)
    assert problems(*entries, today=date(2025, 3, 5)) == []
    assert problems(*entries, today=date(2025, 3, 4)) == ["entry 2, effectiveDate: INVALID_INPUT"]


@pytest.mark.parametrize("split", range(8))
@given(st.lists(st.tuples(st.sampled_from(CapitalAction), st.integers(1, 9)), min_size=7, max_size=7))
def test_a_history_in_two_files_is_refused_where_it_would_be_in_one(
    split: int, changes: list[tuple[CapitalAction, int]]
) -> None:
    """Of entries in the order of their recording, the second file sees the first one's as known."""
    entries = [entry(ADDED, 3), *(entry(*change) for change in changes)]
    span = Span(entries[0].effective_on)
    for earlier in entries[1 : split + 1]:
        if problems(earlier, known={"s": span}):
            return
        if earlier.action is REMOVED:
            span = Span(span.added_on, earlier.effective_on)
    apart = problems(*entries[split + 1 :], known={"s": span})
    together = problems(*entries)
    assert len(apart) == len(together)
