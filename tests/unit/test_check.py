"""Headers, cells and rows: what becomes a patch, and what is refused with which words."""

from __future__ import annotations

import json
from datetime import datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bulk_sync.check.headers import Mapping, map_headers
from bulk_sync.check.rows import check_row
from bulk_sync.errors import InputError
from bulk_sync.model import Problem, Record, Row


def checked(**cells: str) -> Record | Problem:
    cells = {"unique_showing_key": "ext_1", **cells}
    return check_row(Row(2, tuple(cells.values())), Mapping(tuple(cells), ()))


def patch(**cells: str) -> dict[str, object]:
    record = checked(**cells)
    assert isinstance(record, Record), record
    body: dict[str, object] = json.loads(record.body)
    return body


def problem(**cells: str) -> Problem:
    found = checked(**cells)
    assert isinstance(found, Problem), found
    return found


@pytest.mark.parametrize(
    ("field", "text", "value"),
    [
        ("rating", "4", 4),
        ("rating", " 5 ", 5),
        ("rating", "+1", 1),
        ("attendees_count", "0", 0),
        ("interested", "true", True),
        ("interested", "False", False),
        ("event_type", "open_house", "open_house"),
        ("attendee_email", "Ana.Abara@Example.com", "Ana.Abara@Example.com"),
        ("attendee_phone", "+1 (312) 555-0100", "+1 (312) 555-0100"),
        ("feedback", "  two\nlines ", "two\nlines"),
        ("feedback", "=1+1", "=1+1"),
        ("title", "null", "null"),
        ("showing_date", "2026-03-14T16:30:00-05:00", "2026-03-14T16:30:00-05:00"),
        ("showing_date", "2026-03-14 16:30Z", "2026-03-14T16:30:00Z"),
        ("showing_date", "2026-03-14T16:30:00.25+00:00", "2026-03-14T16:30:00.250000Z"),
        ("showing_date", "2026-03-14T16:30:00.1234567", None),
        ("showing_date", "2026-03-14T16:30:00.1230000Z", "2026-03-14T16:30:00.123000Z"),
        ("showing_date", "2026-02-30T10:00:00Z", None),
        ("showing_date", "2026-03-14T25:00:00Z", None),
        ("showing_date", "2026-03-14", None),
        ("showing_date", "2026-03-14T16:30:00", None),
        ("showing_date", "03/14/2026 4:30 PM", None),
        ("rating", "0", None),
        ("rating", "6", None),
        ("rating", "4.5", None),
        ("rating", "4.0", None),
        ("rating", "five", None),
        ("rating", "٤", None),
        ("rating", "9" * 5000, None),
        ("attendees_count", "-1", None),
        ("interested", "yes", None),
        ("event_type", "Open House", None),
        ("attendee_email", "ana(at)example.com", None),
        ("attendee_email", "ana@example", None),
        ("attendee_email", "anä@example.com", None),
    ],
)
def test_cells(field: str, text: str, value: object) -> None:
    if value is None:
        found = problem(**{field: text})
        assert found.code == "bad_value"
        assert found.message.startswith(f"{field}: ")
    else:
        assert patch(**{field: text}) == {field: value}


def test_blank_cells_are_left_out_and_a_row_of_blanks_changes_nothing() -> None:
    assert patch(feedback="Fine", rating=" ", title="") == {"feedback": "Fine"}
    assert problem(feedback=" ", rating="").code == "nothing_to_send"


def test_every_bad_cell_of_a_row_is_named_with_its_value_and_what_would_be_right() -> None:
    assert problem(rating="six", interested="maybe", feedback="fine").message == (
        "rating: 'six' is not a whole number from 1 to 5; interested: 'maybe' is not true or false"
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
    ],
)
def test_keys_that_cannot_address_a_showing(key: str, code: str) -> None:
    assert problem(unique_showing_key=key, feedback="Fine").code == code


@pytest.mark.parametrize(
    "key", ["00123", "1E5", "12345678901234567890", "...", "a/b", "%2E%2E", "?x=1", "é", "\u200fx"]
)
def test_keys_keep_their_text(key: str) -> None:
    record = checked(unique_showing_key=key, feedback="Fine")
    assert isinstance(record, Record)
    assert record.target == key


def test_a_row_that_is_short_has_blanks_and_one_that_is_long_is_refused() -> None:
    mapping = map_headers(["unique_showing_key", "feedback", "rating", "", ""], "x.csv")
    short = check_row(Row(2, ("ext_1", "Fine")), mapping)
    blank_end = check_row(Row(3, ("ext_1", "Fine", "4", "", " ")), mapping)
    long = check_row(Row(4, ("ext_1", "Nice", " but small", "4")), mapping)
    assert isinstance(short, Record)
    assert isinstance(blank_end, Record)
    assert isinstance(long, Problem)
    assert "'4' stands beyond the last column" in long.message


@given(st.text(min_size=1), st.text(min_size=1))
@example("ext_1", "\ud7ff\ue000")
def test_any_text_arrives_unchanged_but_for_outer_blanks(key: str, feedback: str) -> None:
    found = checked(unique_showing_key=key, feedback=feedback)
    if isinstance(found, Record):
        assert found.target == key.strip()
        assert json.loads(found.body) == {"feedback": feedback.strip()}
    else:
        assert found.code in {"missing_key", "bad_key", "nothing_to_send"}


@given(st.datetimes(timezones=st.timezones()))
def test_any_moment_is_sent_as_the_same_moment(moment: datetime) -> None:
    offset = moment.utcoffset()
    assert offset is not None
    if offset.total_seconds() % 60:
        return  # RFC 3339 has no offsets with seconds
    sent = patch(showing_date=moment.isoformat())["showing_date"]
    # As timestamps: by PEP 495 a time that a clock change repeats equals none of another zone.
    assert datetime.fromisoformat(str(sent)).timestamp() == moment.timestamp()


@given(st.dictionaries(st.sampled_from(["feedback", "title", "agent_name"]), st.text(), min_size=1))
def test_the_order_of_columns_does_not_change_a_patch(cells: dict[str, str]) -> None:
    one, other = checked(**cells), checked(**dict(sorted(cells.items(), reverse=True)))
    if isinstance(one, Record) and isinstance(other, Record):
        assert (one.body, one.digest, one.fields) == (other.body, other.digest, other.fields)


def test_headers_map_by_their_own_names_and_the_rest_is_named() -> None:
    mapping = map_headers(["id no", "unique_showing_key", "", "rating", "error"], "x.csv")
    assert mapping.columns == (None, "unique_showing_key", None, "rating", None)
    assert mapping.ignored == ("id no", "column 3, which has no header")
    assert mapping.key_index == 1


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        (["feedback", "Showing Key"], "If 'Showing Key' holds the showings' keys, rename it to unique_showing_key"),
        (["unique_showing_key;rating"], "separated by ';': save the file with commas"),
        (["a", "b"], "the header row has 'a', 'b'. Name the column"),
        (["unique_showing_key", "Rating"], "'Rating' is nearly the field 'rating'"),
        (["Unique Showing Key", "rating"], "nearly the field 'unique_showing_key'"),
        (["unique_showing_key", "rating", "rating"], "two columns are named 'rating'"),
    ],
)
def test_headers_that_cannot_be_used(headers: list[str], words: str) -> None:
    with pytest.raises(InputError) as raised:
        map_headers(headers, "x.csv")
    assert str(raised.value).startswith("x.csv: ")
    assert words in str(raised.value)
