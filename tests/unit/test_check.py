"""Headers, cells and rows: what becomes a patch, and what is refused with which words."""

from __future__ import annotations

import json
import shlex
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from email_validator import SPECIAL_USE_DOMAIN_NAMES
from hypothesis import example, given
from hypothesis import strategies as st

from bulk_sync.check.cells import _PLAIN_ADDRESS, _SPECIAL_ENDS, _checked_address
from bulk_sync.check.headers import Names, map_headers, recognise
from bulk_sync.check.rows import Checker, merged
from bulk_sync.check.rules import Rules
from bulk_sync.errors import InputError, UsageError
from bulk_sync.model.rows import Cell, CellError, Problem, Record, Row

CHICAGO = ZoneInfo("America/Chicago")


def checker(*headers: str, **rules: Any) -> Checker:
    return Checker(map_headers(headers, "x.csv"), Rules(**{"timezone": CHICAGO, **rules}))


def checked(rules: dict[str, Any] | None = None, /, **cells: Cell) -> Record | Problem:
    cells = {"unique_showing_key": "ext_1", **cells}
    return checker(*cells, **(rules or {})).check(Row(2, tuple(cells.values())))


def patch(rules: dict[str, Any] | None = None, /, **cells: Cell) -> dict[str, object]:
    record = checked(rules, **cells)
    assert isinstance(record, Record), record
    body: dict[str, object] = json.loads(record.body)
    return body


def problem(rules: dict[str, Any] | None = None, /, **cells: Cell) -> Problem:
    found = checked(rules, **cells)
    assert isinstance(found, Problem), found
    return found


@pytest.mark.parametrize(
    ("field", "cell", "value"),
    [
        ("rating", "4", 4),
        ("rating", " 5 ", 5),
        ("rating", "4.0", 4),
        ("rating", "4,0", 4),
        ("rating", "04", 4),
        ("rating", "4,000", None),
        ("rating", 4.0, 4),
        ("rating", 4, 4),
        ("rating", "4/5", 4),
        ("rating", "4 / 5.0", 4),
        ("rating", "4 out of 5", 4),
        ("rating", "3 Stars", 3),
        ("rating", "1 star", 1),
        ("rating", "★★★★", 4),
        ("rating", "★★★☆☆", 3),
        ("rating", "⭐️⭐️", 2),
        ("rating", "★★★☆", None),
        ("rating", "★★★★★★", None),
        ("rating", "0", None),
        ("rating", "6", None),
        ("rating", "4.5", None),
        ("rating", 4.5, None),
        ("rating", True, None),
        ("rating", "8/10", None),
        ("rating", "4/10", None),
        ("rating", "five", None),
        ("rating", "٤", None),
        ("rating", "#N/A", None),
        ("rating", CellError("#REF!"), None),
        ("rating", date(2026, 4, 5), None),
        ("rating", "9" * 5000, None),
        ("attendees_count", "0", 0),
        ("attendees_count", "2.0", 2),
        ("attendees_count", 3.0, 3),
        ("attendees_count", "-1", None),
        ("attendees_count", "2 people", None),
        ("attendees_count", float("nan"), None),
        ("interested", "true", True),
        ("interested", "False", False),
        ("interested", "YES", True),
        ("interested", "n", False),
        ("interested", "x", True),
        ("interested", "1", True),
        ("interested", 0.0, False),
        ("interested", False, False),
        ("interested", "Not  Interested", False),
        ("interested", "Interested", True),
        ("interested", "maybe", None),
        ("interested", "ja", None),
        ("event_type", "open_house", "open_house"),
        ("event_type", "Open House", "open_house"),
        ("event_type", "open-house\xa0", "open_house"),
        ("event_type", "Private Showing", "showing"),
        ("event_type", "closed house", None),
        ("event_type", 1.0, None),
        ("attendee_email", "Ana.Abara@Example.com", "Ana.Abara@Example.com"),
        ("attendee_email", "o'hara!x@example.com", "o'hara!x@example.com"),
        ("attendee_email", "ana(at)example.com", None),
        ("attendee_email", "ana@example", None),
        ("attendee_email", "ana@example.invalid", None),
        ("attendee_email", "anä@example.com", None),
        ("attendee_email", 3.0, None),
        ("attendee_phone", "+1 (312) 555-0100 ext. 7", "+1 (312) 555-0100 ext. 7"),
        ("attendee_phone", 13125550100.0, "13125550100"),
        ("attendee_phone", '="13125550100"', "13125550100"),
        ("feedback", '="00123"', '="00123"'),
        ("rating", '="4"', 4),
        ("attendee_phone", "1.31256E+10", None),
        ("attendee_phone", "1.5551234567E10", None),
        ("feedback", "  two\nlines ", "two\nlines"),
        ("feedback", "=1+1", "=1+1"),
        ("feedback", "#1 choice", "#1 choice"),
        ("feedback", "#REF!", None),
        ("feedback", "Excellent", "Excellent"),
        ("feedback", 4.5, "4.5"),
        ("feedback", True, "TRUE"),
        ("feedback", 4.89290024005183e17, None),
        ("feedback", date(2026, 3, 4), None),
        ("feedback", "x" * 1_000_001, None),
        ("title", "null", "null"),
    ],
)
def test_cells(field: str, cell: Cell, value: object) -> None:
    if value is None:
        found = problem(**{field: cell})
        assert found.code == "bad_value"
        assert found.message.startswith(f"{field}: ")
    else:
        assert patch(**{field: cell}) == {field: value}


def test_a_rating_on_another_scale_says_that_it_is_not_converted() -> None:
    assert "on another scale is not converted" in problem(rating="8/10").message


MOMENTS: list[tuple[Cell, str | None]] = [
    ("2026-03-14T16:30:00-05:00", "2026-03-14T16:30:00-05:00"),
    ("2026-03-14 16:30Z", "2026-03-14T16:30:00Z"),
    ("2026-03-14T16:30:00.25+00:00", "2026-03-14T16:30:00.250000Z"),
    ("2026-03-14T16:30:00.1230000Z", "2026-03-14T16:30:00.123000Z"),
    ("2026-03-14T16:30:00.1234567", None),
    ("2026-03-14T16:30:00-0500", "2026-03-14T16:30:00-05:00"),
    ("2026-03-14 16:30:00 -00:00", "2026-03-14T16:30:00Z"),
    ("20260314T213000Z", "2026-03-14T21:30:00Z"),
    ("2026-03-14 16:30", "2026-03-14T16:30:00-05:00"),
    ("2026-01-14 16:30", "2026-01-14T16:30:00-06:00"),
    ("3/14/2026 4:30 PM", "2026-03-14T16:30:00-05:00"),
    ("03/14/26 16:30", "2026-03-14T16:30:00-05:00"),
    ("3/14/2026, 4:30:15 p.m.", "2026-03-14T16:30:15-05:00"),
    ("3/14/2026 at 4pm", "2026-03-14T16:00:00-05:00"),
    ("3/14/2026 12:05 AM", "2026-03-14T00:05:00-05:00"),
    ("3/14/2026 12:05 PM", "2026-03-14T12:05:00-05:00"),
    ("3/14/2026 4:30\u202fPM", "2026-03-14T16:30:00-05:00"),
    ("Mar 14, 2026 4:30 PM", "2026-03-14T16:30:00-05:00"),
    ("March 14th 2026 16:30", "2026-03-14T16:30:00-05:00"),
    ("14 March 2026 16:30", "2026-03-14T16:30:00-05:00"),
    ("14-Mar-26 16:30", "2026-03-14T16:30:00-05:00"),
    ("14. März 2026 16:30", "2026-03-14T16:30:00-05:00"),
    ("14 mars 2026 à 16h30", "2026-03-14T16:30:00-05:00"),
    ("14 de marzo de 2026 16:30", "2026-03-14T16:30:00-05:00"),
    ("Sat, 14 Mar 2026 16:30:00 GMT", "2026-03-14T16:30:00Z"),
    ("Saturday, March 14, 2026 4:30 PM", "2026-03-14T16:30:00-05:00"),
    ("Sunday, March 14, 2026 4:30 PM", None),
    ("2026/3/14 16:30", "2026-03-14T16:30:00-05:00"),
    ("2026-03-14 16:30 CET", "2026-03-14T16:30:00+01:00"),
    ("2026-03-14 4:30 PM EST", "2026-03-14T16:30:00-05:00"),
    ("2026-03-14 4:30 PM ET", "2026-03-14T16:30:00-04:00"),
    ("2026-03-14 16:30 Europe/Berlin", "2026-03-14T16:30:00+01:00"),
    ("2026-03-14 16:30 (UTC+5:30)", "2026-03-14T16:30:00+05:30"),
    ("2026-03-14 16:30 GMT-0500", "2026-03-14T16:30:00-05:00"),
    ("2026-03-14 16:30 Middle/Earth", None),
    ("2026-03-14 16:30 BST", None),
    ("2026-03-14 16:30 +25:00", None),
    ("2026-03-08 02:30", None),
    ("2026-11-01 01:30", None),
    ("2026-11-01 01:30-06:00", "2026-11-01T01:30:00-06:00"),
    ("2026-02-30T10:00:00Z", None),
    ("2026-02-30 10:00", None),
    ("0000-01-01T00:00:00Z", None),
    ("2026-03-14T25:00:00Z", None),
    ("2026-03-14 24:00", None),
    ("3/14/2026 16:30 PM", None),
    ("3/14/2026 0:30 AM", None),
    ("2/30/2026 10:00", None),
    ("26-1-5 10:00", None),
    ("2026-03-14", None),
    ("3/14/2026", None),
    ("16:30", None),
    ("tomorrow", None),
    ("46095.6875", None),
    (46095.6875, None),
    (True, None),
    ("3/14/2026 4", None),
    ("3/14/2026x4:30", None),
    ("#N/A", None),
    ("9999-12-31 23:30", "9999-12-31T23:30:00-06:00"),
    ("1826-04-04 10:00", None),
    ("3/14/2026 10:00-11:00", None),
    ("3/14/2026 2:00-4:00", None),
    ("3/14/2026 10:00 - 11:00 AM", None),
    ("3/14/2026 2 PM to 4 PM", None),
    ("2026-03-14 13:00-14:00", None),
    ("2026-03-14 16:30-05:00", "2026-03-14T16:30:00-05:00"),
    ("2026-03-14T04:30-05:00", "2026-03-14T04:30:00-05:00"),
    ("2026-03-14 04:30:00-05:00", "2026-03-14T04:30:00-05:00"),
    ("Sat, 14 Mar 2026 04:30:00 -0500", "2026-03-14T04:30:00-05:00"),
    ('="2026-03-14 16:30"', "2026-03-14T16:30:00-05:00"),
    (datetime(2026, 3, 14, 16, 30), "2026-03-14T16:30:00-05:00"),  # noqa: DTZ001 - a workbook's dates have no zone
    (date(2026, 3, 14), None),
    (time(16, 30), None),
    (timedelta(hours=30), None),
]


@pytest.mark.parametrize(("cell", "sent"), MOMENTS)
def test_moments(cell: Cell, sent: str | None) -> None:
    if sent is None:
        assert problem(showing_date=cell).code == "bad_value"
    else:
        assert patch(showing_date=cell) == {"showing_date": sent}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("2026-03-08 02:30", "clocks are put forward over it"),
        ("2026-11-01 01:30", "2026-11-01T01:30:00-05:00 or 2026-11-01T01:30:00-06:00"),
        ("2026-03-14", "it has no time (--default-time 09:00 would give it one)"),
        ("2026-02-30 10:00", "2026-02-30 does not"),
        ("16:30", "it has no date, and there is none in the row's showing_date"),
        (46095.5, "it is a bare number: format the cell as a date"),
    ],
)
def test_a_moment_that_is_refused_says_why(text: Cell, words: str) -> None:
    assert words in problem(showing_time_start=text).message


@pytest.mark.parametrize(
    ("order", "text", "sent"),
    [
        ("dmy", "02/03/2026 10:00", "2026-03-02T10:00:00-06:00"),
        ("mdy", "02/03/2026 10:00", "2026-02-03T10:00:00-06:00"),
        ("ymd", "26/03/02 10:00", "2026-03-02T10:00:00-06:00"),
        ("dmy", "13.02.2026 10:00", "2026-02-13T10:00:00-06:00"),
        ("mdy", "02.03.2026 10:00", "2026-02-03T10:00:00-06:00"),
        ("dmy", "02/13/2026 10:00", None),
        ("mdy", "13/02/2026 10:00", None),
        ("ymd", "02/03/2026 10:00", None),
    ],
)
def test_the_order_of_day_and_month_is_the_users(order: str, text: str, sent: str | None) -> None:
    rules = {"order": order, "order_told": True}
    if sent is None:
        assert "--date-order" in problem(rules, showing_date=text).message
    else:
        assert patch(rules, showing_date=text) == {"showing_date": sent}


@pytest.mark.parametrize("text", ["13/02/2026 10:00", "02.03.2026 10:00"])
def test_a_date_that_speaks_against_the_default_order_is_noted_with_its_row(text: str) -> None:
    check = checker("unique_showing_key", "Visit date")
    check.check(Row(7, ("ext_1", text)))
    seen = check.findings.against_order["Visit date"]
    assert (seen.row, seen.value, seen.count) == (7, text, 1)


def test_date_and_time_in_columns_of_their_own_complete_each_other() -> None:
    cells: dict[str, Cell] = {
        "showing_date": "3/14/2026",
        "showing_time_start": "4:30 PM",
        "showing_time_end": time(17),
    }
    assert patch(**cells) == {
        "showing_date": "2026-03-14T16:30:00-05:00",
        "showing_time_start": "2026-03-14T16:30:00-05:00",
        "showing_time_end": "2026-03-14T17:00:00-05:00",
    }
    assert patch({"default_time": time(9)}, showing_date="3/14/2026") == {
        "showing_date": "2026-03-14T09:00:00-05:00"
    }
    zoned = patch(
        showing_date="2026-03-15T01:30:00Z", showing_time_start="20:30", showing_time_end="9 PM"
    )
    assert zoned["showing_time_start"] == "2026-03-14T20:30:00-05:00"
    assert zoned["showing_time_end"] == "2026-03-14T21:00:00-05:00"
    assert patch(showing_time_start="3/14/2026 10:00", showing_time_end="11:00")[
        "showing_time_end"
    ] == ("2026-03-14T11:00:00-05:00")


def test_an_end_before_its_start_is_a_problem_and_an_equal_one_is_not() -> None:
    found = problem(showing_time_start="2026-03-14 16:30", showing_time_end="2026-03-14 16:00")
    assert (
        "showing_time_end: '2026-03-14 16:00' is not at or after showing_time_start"
        in found.message
    )
    at = "2026-03-14 16:30"
    assert len(patch(showing_time_start=at, showing_time_end=at)) == 2
    crossed = problem(
        showing_time_start="2026-03-14T10:00:00Z", showing_time_end="2026-03-14T10:30:00+02:00"
    )
    assert crossed.code == "bad_value"


def test_what_is_assumed_is_counted_with_its_first_row() -> None:
    check = checker("unique_showing_key", "showing_date", "showing_time_start")
    check.check(Row(2, ("a", "2026-03-14T16:30:00Z", "")))
    check.check(Row(3, ("b", "02/03/2026", "4:30")))
    check.check(Row(4, ("c", "02/02/2026", "16:30")))
    assert {kind: (seen.count, seen.row) for kind, seen in check.findings.assumed.items()} == {
        "order": (1, 3),
        "early": (1, 3),
        "day": (2, 3),
        "time": (2, 3),
        "timezone": (4, 3),
    }
    assert check.findings.filled["showing_date"] == 3
    assert check.findings.examples["unique_showing_key"] == "a"


def test_blank_cells_are_left_out_and_a_row_of_blanks_changes_nothing() -> None:
    assert patch(feedback="Fine", rating=" ", title="") == {"feedback": "Fine"}
    assert problem(feedback=" ", rating="").code == "nothing_to_send"


def test_a_token_clears_a_field_and_a_blank_does_where_a_profile_says_so() -> None:
    fields = dict.fromkeys(("feedback", "rating", "showing_date", "interested"), "-")
    rules = {"clear": fields, "blank_clears": frozenset({"title", "scheduled_date"})}
    cells: dict[str, Cell] = {
        "feedback": "-",
        "rating": " - ",
        "showing_date": "-",
        "interested": "yes",
    }
    assert patch(rules, **cells, title="", scheduled_date=" ", agent_name="") == {
        "showing_date": None, "scheduled_date": None, "feedback": None, "rating": None, "interested": True,
        "title": None,
    }  # fmt: skip
    assert problem(rating="-").code == "bad_value"


def test_every_bad_cell_of_a_row_is_named_with_its_value_and_what_would_be_right() -> None:
    assert problem(rating="six", interested="maybe", feedback="fine").message == (
        "rating: 'six' is not a rating from 1 to 5, such as 4, 4/5, 4 stars or ★★★★; "
        "interested: 'maybe' is not yes or no (also y/n, true/false, 1/0, x, interested/not interested)"
    )


@pytest.mark.parametrize(
    ("key", "code"),
    [
        ("", "missing_key"),
        ("   ", "missing_key"),
        (".", "bad_key"),
        ("..", "bad_key"),
        ("a\nb", "bad_key"),
        ("a\x00b", "bad_key"),
        ("a\x85b", "bad_key"),
        ("k" * 2001, "bad_key"),
        ("é" * 400, "bad_key"),
        ("1.23457E+17", "bad_key"),
        ("1,23457E+17", "bad_key"),
        ("1E+05", "bad_key"),
        ("123456789012345000", "bad_key"),
        ("1234567890123450", "bad_key"),
        ("#N/A", "bad_key"),
        (CellError("#REF!"), "bad_key"),
        (1234567890123456.0, "bad_key"),
        (True, "bad_key"),
        (date(2026, 3, 4), "bad_key"),
    ],
)
def test_keys_that_cannot_address_a_showing(key: Cell, code: str) -> None:
    assert problem(unique_showing_key=key, feedback="Fine").code == code


@pytest.mark.parametrize(
    ("key", "target"),
    [
        *(
            (key, key)
            for key in [
                "00123",
                "1E5",
                "12345678901234567890",
                "...",
                "a/b",
                "%2E%2E",
                "?x=1",
                "é",
                "\u200fx",
            ]
        ),
        ("-", "-"),
        ("Ext_20260314_0001_of_a_longer_kind", "Ext_20260314_0001_of_a_longer_kind"),
        (12345.0, "12345"),
        ('="00123"', "00123"),
        (12345, "12345"),
        (12.5, "12.5"),
    ],
)
def test_keys_keep_their_text(key: Cell, target: str) -> None:
    record = checked(unique_showing_key=key, feedback="Fine")
    assert isinstance(record, Record)
    assert record.target == record.key == target


UUID = "3C90C3CC-0d44-4b50-8888-8dd25736052a"


@pytest.mark.parametrize("column", ["showing_id", "ID", "North Id"])
def test_an_id_addresses_the_showing_and_the_key_travels_in_the_body(column: str) -> None:
    check = checker(column, "unique_showing_key", "rating")
    both = check.check(Row(2, (UUID, "ext_1", "4")))
    assert isinstance(both, Record)
    assert (both.target, both.key, both.fields) == (UUID.lower(), "ext_1", ("rating",))
    assert json.loads(both.body) == {"rating": 4, "unique_showing_key": "ext_1"}
    by_key = check.check(Row(3, ("", "ext_1", "4")))
    assert isinstance(by_key, Record)
    assert (by_key.target, json.loads(by_key.body)) == ("ext_1", {"rating": 4})
    alone = check.check(Row(4, (UUID, "", "4")))
    assert isinstance(alone, Record)
    assert (alone.target, alone.key, json.loads(alone.body)) == (UUID.lower(), "", {"rating": 4})
    bad = check.check(Row(5, ("17", "ext_1", "4")))
    assert isinstance(bad, Problem)
    assert bad.code == "bad_key"
    assert f"--map {shlex.quote(column + '=unique_showing_key')}" in bad.message


def test_a_sheet_with_ids_only_names_the_row_without_one() -> None:
    found = checker("showing_id", "rating").check(Row(2, ("", "4")))
    assert isinstance(found, Problem)
    assert (found.code, found.message) == (
        "missing_key",
        "showing_id is blank: this row names no showing",
    )


def test_a_row_that_is_short_has_blanks_and_one_that_is_long_is_refused() -> None:
    check = checker("unique_showing_key", "feedback", "rating", "", "")
    short = check.check(Row(2, ("ext_1", "Fine")))
    blank_end = check.check(Row(3, ("ext_1", "Fine", "4", "", " ")))
    long = check.check(Row(4, ("ext_1", "Nice", " but small", "4")))
    assert isinstance(short, Record)
    assert isinstance(blank_end, Record)
    assert isinstance(long, Problem)
    assert "'4' stands beyond the last column" in long.message


def test_a_row_that_repeats_the_header_or_has_a_fault_is_never_sent() -> None:
    check = checker("unique_showing_key", "feedback")
    again = check.check(Row(9, ("unique_showing_key", "feedback")))
    assert isinstance(again, Problem)
    assert "the header once more" in again.message
    other = check.check(Row(10, ("Comments", "Showing Key")))
    assert isinstance(other, Problem)
    assert check.findings.other_headers == [10]
    assert isinstance(check.check(Row(11, ("Title", "Nice"))), Record)
    fault = check.check(Row(9, ("ext_1", "fine"), "a cell holds a whole row"))
    assert isinstance(fault, Problem)
    assert (fault.code, fault.message) == ("bad_value", "a cell holds a whole row")


@given(st.text(min_size=1), st.text(min_size=1))
@example("ext_1", "\ud7ff\ue000")
def test_any_text_arrives_unchanged_but_for_outer_blanks(key: str, feedback: str) -> None:
    found = checked(unique_showing_key=key, feedback=feedback)
    if isinstance(found, Record):
        assert found.target == key.strip()
        assert json.loads(found.body) == {"feedback": feedback.strip()}
    else:
        failed_formula = {"bad_value"} if "#" in key + feedback else set()
        assert found.code in {"missing_key", "bad_key", "nothing_to_send"} | failed_formula


@given(st.datetimes(timezones=st.timezones()))
def test_any_moment_is_sent_as_the_same_moment(moment: datetime) -> None:
    offset = moment.utcoffset()
    assert offset is not None
    if offset.total_seconds() % 60:
        return  # RFC 3339 has no offsets with seconds
    sent = patch(showing_date=moment.isoformat())["showing_date"]
    # As timestamps: by PEP 495 a time that a clock change repeats equals none of another zone.
    assert datetime.fromisoformat(str(sent)).timestamp() == moment.timestamp()


@given(
    st.datetimes(
        min_value=datetime(1900, 1, 1),  # noqa: DTZ001 - a bound of local times
        max_value=datetime(2099, 12, 31),  # noqa: DTZ001 - same
    ),
    st.timezones(),
)
def test_a_local_time_is_that_time_in_its_zone_or_a_problem_at_a_clock_change(
    moment: datetime, zone: ZoneInfo
) -> None:
    moment = moment.replace(microsecond=0)
    found = checked({"timezone": zone}, showing_date=moment.isoformat(sep=" "))
    there_and_back = (
        moment.replace(tzinfo=zone).astimezone(UTC).astimezone(zone).replace(tzinfo=None)
    )
    if isinstance(found, Record):
        sent = datetime.fromisoformat(json.loads(found.body)["showing_date"])
        assert there_and_back == moment
        if not moment.replace(tzinfo=zone).utcoffset().total_seconds() % 60:  # type: ignore[union-attr] # zones have one
            assert sent.replace(tzinfo=None) == moment
    else:
        first, second = (moment.replace(tzinfo=zone, fold=fold).utcoffset() for fold in (0, 1))
        assert first != second or (first is not None and first.total_seconds() % 60)


@given(st.dictionaries(st.sampled_from(["feedback", "title", "agent_name"]), st.text(), min_size=1))
def test_the_order_of_columns_does_not_change_a_patch(cells: dict[str, Cell]) -> None:
    one, other = checked(**cells), checked(**dict(sorted(cells.items(), reverse=True)))
    if isinstance(one, Record) and isinstance(other, Record):
        assert (one.body, one.digest, one.fields) == (other.body, other.digest, other.fields)


CELLS = st.one_of(
    st.text(max_size=12),
    st.integers(-10, 10).map(float),
    st.floats(allow_nan=True),
    st.booleans(),
    st.dates(),
    st.datetimes(),
    st.times(),
    st.sampled_from(
        [text for text, _ in MOMENTS] + ["4/5", "x", "Open House", "#N/A", CellError("#REF!")]
    ),
)


@given(st.lists(st.tuples(*[CELLS] * 7), min_size=1, max_size=4))
def test_any_value_mapped_twice_gives_the_same_and_nothing_breaks(
    rows: list[tuple[Cell, ...]],
) -> None:
    headers = (
        "unique_showing_key",
        "showing_date",
        "start",
        "end",
        "rating",
        "interested",
        "comments",
    )
    one, other = checker(*headers), checker(*headers)
    for cells in rows:
        row = Row(2, cells)
        first = one.check(row)
        assert first == one.check(row) == other.check(row)


@given(st.from_regex(_PLAIN_ADDRESS, fullmatch=True))
def test_the_quick_way_for_mail_addresses_takes_none_that_the_full_check_refuses(
    address: str,
) -> None:
    if address.rpartition(".")[2].lower() not in _SPECIAL_ENDS:
        assert _checked_address.__wrapped__(address) == address


def test_a_domain_of_special_use_is_left_to_the_full_check() -> None:
    assert {name.rpartition(".")[2] for name in SPECIAL_USE_DOMAIN_NAMES} == _SPECIAL_ENDS


def test_merged_patches_take_the_later_value_and_must_make_sense_together() -> None:
    assert merged(['{"rating":3,"title":"A"}', '{"rating":4,"feedback":"B"}']) == (
        '{"feedback":"B","rating":4,"title":"A"}',
        merged(['{"feedback":"B","rating":4,"title":"A"}'])[1],
        "feedback rating title",
    )
    clash = merged(
        [
            '{"showing_time_start":"2026-03-14T10:00:00Z"}',
            '{"showing_time_end":"2026-03-14T09:00:00Z"}',
        ]
    )
    assert isinstance(clash, str)
    assert "before showing_time_start" in clash


# Headers


def fields(*headers: str, **options: Any) -> list[str | None]:
    return [column.field for column in map_headers(headers, "x.csv", **options).columns]


def test_headers_map_whatever_their_case_blanks_and_punctuation() -> None:
    assert fields("Unique-Showing KEY", "SHOWING_DATE", "Attendee Name:", "attendeesCount") == [
        "unique_showing_key", "showing_date", "attendee_name", "attendees_count",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("header", "field"),
    [
        ("Buyer's Agent", "agent_name"),
        ("Showing Agent", "agent_name"),
        ("Feedback Notes", "feedback"),
        ("Comments", "feedback"),
        ("Stars", "rating"),
        ("Score", "rating"),
        ("Interest Level", "interested"),
        ("Interested?", "interested"),
        ("Start time", "showing_time_start"),
        ("End Time", "showing_time_end"),
        ("Type of event", "event_type"),
        ("# People", "attendees_count"),
        ("E-Mail", "attendee_email"),
        ("Phone #", "attendee_phone"),
        ("Internal note", None),
        ("Listing agent", None),
        ("Notes", None),
        ("error", None),
    ],
)
def test_aliases_that_real_exports_use(header: str, field: str | None) -> None:
    assert fields("Confirmation #", header) == ["unique_showing_key", field]


def test_what_fills_no_field_is_named() -> None:
    mapping = map_headers(["id no", "unique_showing_key", "", "rating", "error", ""], "x.csv")
    assert [column.field for column in mapping.columns] == [
        None,
        "unique_showing_key",
        None,
        "rating",
        None,
    ]
    assert mapping.ignored == ("id no", "column 3, which has no header")


def test_the_users_word_comes_first() -> None:
    headers = ("Code", "Comments", "Feedback", "Notes", "Notes")
    told = {"Code": "unique_showing_key", "comments": "", "column 5": "title"}
    assert fields(*headers, told=told) == ["unique_showing_key", None, "feedback", None, "title"]
    names = Names({"rating": ["Zufriedenheit"], "unique showing key": ["Code"]})
    assert fields("Code", "zufriedenheit", names=names) == ["unique_showing_key", "rating"]
    assert map_headers(headers, "x.csv", told=told).ignored == ("Notes",)
    hints = {"Code": "unique_showing_key", "Comments": "", "Absent": "title", "Feedback": "rating"}
    assert fields("Code", "Comments", "Feedback", hinted=hints, told={"Feedback": "title"}) == [
        "unique_showing_key", None, "title",
    ]  # fmt: skip


def test_what_the_user_says_of_columns_counts_when_the_header_is_looked_for() -> None:
    names = Names()
    assert recognise(["Ref", "Wo"], names, {"ref": "Unique Showing Key"}) == 1
    assert recognise(["Ref", "Wo"], names, {"column 1": "unique_showing_key", "Wo": "title"}) == 2
    assert recognise(["ID", "Stars"], names, {"ID": ""}) == 0
    assert recognise(["ID", "Stars"], names, {}) == 2
    assert recognise(["March", ""], names, {}) == 0


@pytest.mark.parametrize(
    ("headers", "told", "words"),
    [
        (
            ["feedback", "Showings Keys"],
            {},
            "'Showings Keys' is nearly a name for unique_showing_key",
        ),
        (
            ["a", "Code"],
            {},
            "the header row has 'a', 'Code'. If 'a' holds their keys, say --map a=unique_",
        ),
        (
            ["unique_showing_key", "Ratng"],
            {},
            "--map Ratng=rating, or --map Ratng= to leave it out",
        ),
        (["unique_showing_key", "Emial"], {}, "nearly a name for attendee_email"),
        (["unique_showing_key", "Feedbck"], {}, "nearly a name for feedback"),
        (
            ["unique_showing_key", "rating", "Stars"],
            {},
            "'rating' and 'Stars' both name rating; leave one out, with",
        ),
        (["unique_showing_key", "rating", "rating"], {}, "--map 'column 2=' or --map 'column 3='"),
        (["unique_showing_key", "External ID"], {}, "both name unique_showing_key"),
        (["", ""], {}, "only blank cells"),
        (
            ["K1", "Great house", "4"],
            {},
            "That looks like a row of data: put a header row above it",
        ),
        (["Buyer's key", "x"], {}, """say --map 'Buyer'"'"'s key=unique_showing_key'"""),
    ],
)
def test_headers_that_cannot_be_used(headers: list[str], told: dict[str, str], words: str) -> None:
    with pytest.raises(InputError) as raised:
        map_headers(headers, "x.csv", told=told)
    assert str(raised.value).startswith("x.csv: ")
    assert words in str(raised.value)


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"Rting": "rating"}, "no column has this header: did you mean 'Rating'?"),
        ({"zzz": "rating"}, "there are 'key', 'Rating', 'Notes', 'Notes'"),
        ({"Rating": "ratings"}, "there is no field 'ratings': did you mean rating?"),
        ({"Rating": "zzz"}, "the fields are unique_showing_key, showing_id"),
        ({"Notes": "feedback"}, "columns 3 and 4 have this header; name one as 'column 3'"),
        ({"column 9": "feedback"}, "no column has this header"),
    ],
)
def test_a_mapping_that_fits_nothing_says_what_there_is(told: dict[str, str], words: str) -> None:
    with pytest.raises(UsageError) as raised:
        map_headers(["key", "Rating", "Notes", "Notes"], "x.csv", told=told)
    assert words in str(raised.value)


def test_strict_allows_no_unknown_columns() -> None:
    with pytest.raises(
        InputError, match="--strict allows no unknown columns, and there are: Notes"
    ):
        map_headers(["unique_showing_key", "Notes", "error"], "x.csv", strict=True)
    assert fields("unique_showing_key", "Notes", told={"Notes": ""}, strict=True) == [
        "unique_showing_key",
        None,
    ]


def test_an_alias_may_not_take_another_fields_name() -> None:
    with pytest.raises(UsageError, match="is the name of another field, feedback"):
        Names({"rating": ["Feedback"]})


def test_no_alias_names_two_fields() -> None:
    from bulk_sync.check.aliases import ALIASES
    from bulk_sync.check.headers import TARGETS, plain

    names = [plain(name) for field in TARGETS for name in (field, *ALIASES.get(field, ()))]
    assert len(names) == len(set(names)), sorted(name for name in names if names.count(name) > 1)
