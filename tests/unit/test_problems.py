"""Sentences about rows that are not sent."""

from __future__ import annotations

import string
from typing import get_args

import msgspec
import pytest

from bulk_sync.model.comparison import Compared, RowClass
from bulk_sync.model.problems import (
    DamagedReasons,
    Expected,
    Fact,
    Reason,
    Remedy,
    decoded,
    encoded,
)
from bulk_sync.model.rows import GivenUp, State
from bulk_sync.report import problems
from bulk_sync.report.problems import cause_of, compared_message, full_message, message_of

FACTS: dict[str, Fact] = {
    "column": "rating",
    "other": "showing_date",
    "side": "left",
    "separator": "comma",
    "most": 1_000_000,
    "low": 0,
    "high": 1_000_000,
    "zone": "America/Chicago",
    "order": "month, day, year",
    "day": "2026-02-30",
    "time": "25:00:00",
    "offset": "+25:00",
    "weekday": "Monday",
    "half": "PM",
    "first": "2026-11-01T01:30:00-05:00",
    "second": "2026-11-01T01:30:00-06:00",
    "start": "2026-03-02 10:00",
    "leave_out": "--map ID=",
    "map_as_key": "--map ID=unique_showing_key",
    "characters": 2001,
    "cells": 4,
    "columns": 3,
    "rows": [3, 5],
    "text": "as it was told",
    "number": "70002",
    "format": "'#,##0'",
    "origin": "unix",
    "was": "00123",
    "character": "U+200B",
    "place": 5,
    "template": "MLS-Date",
    "here": "'cafe\\u0301'",
    "there": "'caf\\xe9'",
}


@pytest.mark.parametrize("expected", Expected)
def test_every_expectation_has_a_sentence_and_a_cause(expected: Expected) -> None:
    reason = Reason(expected, "showing_date", "x", Remedy.KEEP_ONE, FACTS)
    message = message_of([reason])
    cause, remedy = cause_of(reason, "'x'", "correct the row")
    for text in (message, cause, remedy):
        assert text
        assert not set("{}") & set(text)


@pytest.mark.parametrize("remedy", Remedy)
def test_every_remedy_has_words(remedy: Remedy) -> None:
    reason = Reason(Expected.MOMENT, "showing_date", "x", remedy, FACTS)
    assert len(message_of([reason]) or "") > len(
        message_of([Reason(Expected.MOMENT, "showing_date", "x")]) or ""
    )


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        (
            Reason(Expected.WHOLE_NUMBER, "attendees_count", "-1", None, {"low": 0, "high": 1000}),
            "attendees_count: '-1' is not a whole number from 0 to 1,000",
        ),
        (
            Reason(Expected.VISIBLE_KEY, "key", "sh-1\u200b", Remedy.TYPE_KEY_ANEW, FACTS),
            (
                "key: 'sh-1\\u200b' has a character that nobody can see, U+200B in place 5: delete "
                "it, or type the key anew"
            ),
        ),
        (
            Reason(
                Expected.KEY_WITHOUT_SEPARATORS, "key", "70,002", Remedy.TYPE_KEYS_AS_TEXT, FACTS
            ),
            (
                "key: '70,002' is not a certain key: the separators that its number format shows "
                "depend on the language (the cell holds 70002 as '#,##0'); format the column as "
                "text and enter the keys again"
            ),
        ),
        (
            Reason(Expected.DAY_THAT_EXISTS, "showing_date", "2/30/2026", None, FACTS),
            "showing_date: '2/30/2026' is not a day that exists (2026-02-30 does not)",
        ),
        (
            Reason(Expected.TIME_NOT_REPEATED, "showing_date", "x", Remedy.ADD_OFFSET, FACTS),
            (
                "showing_date: 'x' is not a unique time in its zone: clocks go back, and it occurs "
                "twice (America/Chicago); write its offset: 2026-11-01T01:30:00-05:00 or "
                "2026-11-01T01:30:00-06:00"
            ),
        ),
        (
            Reason(Expected.ONE_ROW_A_SHOWING, remedy=Remedy.KEEP_ONE, facts={"rows": [46]}),
            "row 46 has the same showing with different values: keep one of them",
        ),
        (
            Reason(
                Expected.ONE_ROW_A_SHOWING,
                remedy=Remedy.KEEP_ONE,
                facts={"rows": [3, 4, 5, 6, 7], "more": 1994},
            ),
            (
                "rows 3, 4, 5, 6, 7 and 1,994 more have the same showing with different values: "
                "keep one of them"
            ),
        ),
        (
            Reason(Expected.CELLS_IN_COLUMNS, "", "x", Remedy.QUOTE_SEPARATOR, FACTS),
            (
                "'x' is beyond the last column, because the row has 4 cells and the header 3: "
                "check for missing quotes around a cell with a separator"
            ),
        ),
        (
            Reason(
                Expected.CELLS_BELOW_HEADERS,
                "",
                "see",
                Remedy.ADD_HEADER,
                {"places": ["C3", "D3"], "texts": ["see", "note"], "more": 0},
            ),
            (
                "C3 'see' and D3 'note' are beyond the last column with a header: give the column "
                "a header, or clear the cells"
            ),
        ),
        (Reason(Expected.EARLIER_TEXT, facts={"text": "{a} '{b}'"}), "{a} '{b}'"),
    ],
)
def test_sentences(reason: Reason, message: str) -> None:
    assert message_of([reason]) == message


def test_a_sheets_text_is_quoted_and_never_a_template() -> None:
    reason = Reason(Expected.RATING, "rating", "{field} \x1b'")
    assert (message_of([reason]) or "").startswith('rating: "{field} \\x1b\'" is not a rating')


def test_a_message_names_all_reasons() -> None:
    both = [Reason(Expected.RATING, "rating", "9"), Reason(Expected.EMAIL, "attendee_email", "x")]
    assert "; attendee_email: 'x' is not" in (message_of(both) or "")
    assert message_of([]) is None


@pytest.mark.parametrize(
    ("given_up", "end"),
    [
        (GivenUp.ATTEMPTS, "; given up after 5 attempts"),
        (GivenUp.TIME, "; given up after 5 attempts, because the time of --retry-for is used up"),
        (
            GivenUp.AMBIGUOUS,
            "; not sent again, as --ambiguous stop says: --ambiguous retry sends it",
        ),
        (None, ""),
    ],
)
def test_a_failure_says_why_it_was_given_up(given_up: GivenUp | None, end: str) -> None:
    def full(*, may_have_been_applied: bool) -> str | None:
        return full_message(
            State.FAILED, "busy", (), given_up, 5, may_have_been_applied=may_have_been_applied
        )

    assert full(may_have_been_applied=False) == f"busy{end}"
    assert full(may_have_been_applied=True) == f"busy{end}; it may have been applied"


def test_a_comparison_says_in_which_sheet_a_row_is_wrong() -> None:
    row = Compared(
        RowClass.PROBLEM, 2, 3, "A", "A", "", (), (Reason(Expected.CHANGE),), reasons_are_there=True
    )
    assert (compared_message(row) or "").startswith("there: every field")
    here = msgspec.structs.replace(row, reasons_are_there=False)
    assert (compared_message(here) or "").startswith("every field")
    assert compared_message(msgspec.structs.replace(row, reasons=())) is None


def test_reasons_are_what_they_were_after_the_checkpoint() -> None:
    reasons = (Reason(Expected.RATING, "rating", "9"), Reason(Expected.KEY, facts=FACTS))
    assert decoded(encoded(reasons)) == reasons
    for damaged in ("", "{}", '[{"expected": "nothing"}]', '[{"field": "rating"}]', "[1]"):
        with pytest.raises(DamagedReasons):
            decoded(damaged)


def test_words_use_facts_that_exist() -> None:
    names = {
        name
        for texts in (problems._CELLS, problems._DETAILS, problems._REMEDIES, problems._PRECISE)
        for text in texts.values()
        for _, name, _, _ in string.Formatter().parse(text)
        if name
    }
    assert names <= FACTS.keys()
    assert get_args(Fact)
