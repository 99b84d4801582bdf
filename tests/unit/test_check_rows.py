"""Rows: what becomes a patch, and what is refused with which words."""

from __future__ import annotations

import json
import shlex
from datetime import date
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bulk_sync.check.evidence import Sign
from bulk_sync.check.keys import twin_of
from bulk_sync.check.patches import digest_of, merged
from bulk_sync.model.problems import Expected, Reason
from bulk_sync.model.rows import Cell, CellError, Formatted, Problem, Record, Row
from tests.unit.checking import checked, checker, patch, problem, words


def test_blank_cells_are_left_out_and_a_row_of_blanks_changes_nothing() -> None:
    assert patch(feedback="Fine", rating=" ", title="") == {"feedback": "Fine"}
    assert problem(feedback=" ", rating="").code == "nothing_to_send"


def test_a_token_clears_a_field_and_a_blank_does_where_a_profile_says_so() -> None:
    fields = dict.fromkeys(("feedback", "rating", "showing_date", "interested"), frozenset({"-"}))
    rules = {"clear": fields, "blank_clears": frozenset({"title", "scheduled_date"})}
    cells: dict[str, Cell] = {
        "feedback": "-",
        "rating": " - ",
        "showing_date": "-",
        "interested": "yes",
    }
    assert patch(rules, **cells, title="", scheduled_date=" ", agent_name="") == {
        "showing_date": None, "scheduled_date": None, "feedback": None, "rating": None,
        "interested": True, "title": None,
    }  # fmt: skip
    assert problem(rating="-").code == "bad_value"


def test_every_bad_cell_of_a_row_is_named_with_its_value_and_what_would_be_right() -> None:
    assert words(problem(rating="six", interested="maybe", feedback="fine")) == (
        "rating: 'six' is not a rating from 1 to 5, such as 4, 4/5, 4 stars or ★★★★; "
        "interested: 'maybe' is not yes or no (also y/n, true/false, 1/0, x, "
        "interested/not interested)"
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
        ("#N/A", "bad_key"),
        ("########", "bad_key"),
        ("x\u200fy", "bad_key"),
        ("x\xa0y", "bad_key"),
        ("x\u202fy", "bad_key"),
        ("x\xady", "bad_key"),
        ("\ufeffx", "bad_key"),
        ("x\ufe0f", "bad_key"),
        ("x\u3164", "bad_key"),
        ("x\u2028y", "bad_key"),
        ("2-Jul", "bad_key"),
        ("Jul-26", "bad_key"),
        ("NULL", "bad_key"),
        ("null", "bad_key"),
        ("None", "bad_key"),
        ("nan", "bad_key"),
        ("\\N", "bad_key"),
        ("N/A", "bad_key"),
        ("Caf\ufffd-1", "bad_key"),
        ("CafÃ©-1", "bad_key"),
        ("A&amp;B-1", "bad_key"),
        ("A-1_x000D_", "bad_key"),
        ("a\ud800b", "bad_key"),
        ("k" * 32_767, "bad_key"),
        (0.1234567890123, "bad_key"),
        (Formatted(0.5, "# ?/?", None), "bad_key"),
        (Formatted(70002.0, "#,##0", "70,002", is_local=True), "bad_key"),
        (Formatted(7.0, ";;;", ""), "missing_key"),
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
                "123456789012345000",
                "1234567890123450",
                "2-JUL",
                "JUL-26",
                "12-Julia",
                "Jul-2026",
                "Nuller",
                "A&B",
                "undefined1",
                "sh-jul",
                "Sep-tember",
                "1001.0",
                "Müller",
                "Ã",
                "東京",
            ]
        ),
        ("-", "-"),
        ("Ext_20260314_0001_of_a_longer_kind", "Ext_20260314_0001_of_a_longer_kind"),
        (12345.0, "12345"),
        ('="00123"', "00123"),
        (12345, "12345"),
        (12.5, "12.5"),
        (Formatted(123.0, "00000", "00123"), "00123"),
        (Formatted(77.0, '"SH-"General', "SH-77"), "SH-77"),
        (Formatted("77", '"SH-"@', "SH-77"), "SH-77"),
    ],
)
def test_keys_keep_their_text(key: Cell, target: str) -> None:
    record = checked(unique_showing_key=key, feedback="Fine")
    assert isinstance(record, Record)
    assert record.target == record.key == target


FAULT = Reason(Expected.SINGLE_ROW, value="ext_2,fine")
UUID = "3C90C3CC-0d44-4b50-8888-8dd25736052a"


@pytest.mark.parametrize("column", ["showing_id", "ID", "North Id"])
def test_an_id_addresses_the_showing_and_the_key_travels_in_the_body(column: str) -> None:
    check = checker(column, "unique_showing_key", "rating")
    both = check.check(Row(2, (UUID, "ext_1", "4")))
    assert isinstance(both, Record)
    assert (both.target, both.key, both.fields) == (
        UUID.lower(),
        "ext_1",
        ("rating", "unique_showing_key"),
    )
    assert json.loads(both.body) == {"rating": 4, "unique_showing_key": "ext_1"}
    assert both.twin is None  # an id is nobody else's
    by_key = check.check(Row(3, ("", "ext_1", "4")))
    assert isinstance(by_key, Record)
    assert (by_key.target, json.loads(by_key.body)) == ("ext_1", {"rating": 4})
    assert by_key.twin == twin_of("ext_1")
    alone = check.check(Row(4, (UUID, "", "4")))
    assert isinstance(alone, Record)
    assert (alone.target, alone.key, json.loads(alone.body)) == (UUID.lower(), "", {"rating": 4})
    bad = check.check(Row(5, ("17", "ext_1", "4")))
    assert isinstance(bad, Problem)
    assert bad.code == "bad_key"
    assert f"--map {shlex.quote(column + '=unique_showing_key')}" in words(bad)


def test_a_sheet_with_ids_only_names_the_row_without_one() -> None:
    found = checker("showing_id", "rating").check(Row(2, ("", "4")))
    assert isinstance(found, Problem)
    assert found.code == "missing_key"
    assert words(found) == ("showing_id is blank: enter the showing's key, or leave the row out")


def test_a_row_that_is_short_has_blanks_and_one_that_is_long_is_refused() -> None:
    check = checker("unique_showing_key", "feedback", "rating", "", "")
    short = check.check(Row(2, ("ext_1", "Fine")))
    blank_end = check.check(Row(3, ("ext_1", "Fine", "4", "", " ")))
    long = check.check(Row(4, ("ext_1", "Nice", " but small", "4")))
    assert isinstance(short, Record)
    assert isinstance(blank_end, Record)
    assert isinstance(long, Problem)
    assert "'4' is beyond the last column" in words(long)
    assert [reason.field for reason in long.reasons] == [""]  # about the row, not about a column


def test_a_row_that_repeats_the_header_or_has_a_fault_is_never_sent() -> None:
    check = checker("unique_showing_key", "feedback")
    again = check.check(Row(9, ("unique_showing_key", "feedback")))
    assert isinstance(again, Problem)
    assert "repeats the header" in words(again)
    other = check.check(Row(10, ("Comments", "Showing Key")))
    assert isinstance(other, Problem)
    assert [one.row for one in check.findings.evidence.of("", Sign.OTHER_HEADER).examples] == [10]
    assert isinstance(check.check(Row(11, ("Title", "Nice"))), Record)
    fault = check.check(Row(9, ("ext_1", "fine"), FAULT))
    assert isinstance(fault, Problem)
    assert (fault.code, fault.reasons) == ("bad_value", (FAULT,))


@pytest.mark.parametrize(
    ("row", "side"),
    [
        (("sh-1", "Lee", "4", "yes", "Loved it", ""), "left"),
        (("sh-1", "Smith", "John", "2026-03-14 10:00", "4", "yes"), "right"),
        (("sh-1", "Lee", "4", "", "yes", "Loved it"), "left"),
        (("sh-1", "Lee", "soon", "4", "yes", ""), None),
        (("sh-1", "Lee", "4", "3", "yes", ""), None),
        (("sh-1", "Lee", "2026-03-14 10:00", "9", "maybe", ""), None),
        (("sh-1", "Lee", "soon", "9", "maybe", ""), None),
    ],
)
def test_a_row_whose_cells_fit_the_next_columns_is_called_shifted(
    row: tuple[str, ...], side: str | None
) -> None:
    headers = ("unique_showing_key", "Buyer", "showing_date", "rating", "interested", "feedback")
    found = checker(*headers).check(Row(2, row))
    if side is None:
        named = isinstance(found, Problem) and found.reasons[0].expected is Expected.CELLS_IN_PLACE
        assert not named
    else:
        assert isinstance(found, Problem)
        assert f"one column too far to the {side}" in words(found)
        assert found.reasons[1:]  # each bad cell is named, too


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
        [
            "2026-03-14 16:30",
            "3/14/2026",
            "4:30 PM",
            "4/5",
            "x",
            "Open House",
            "#N/A",
            CellError("#REF!"),
        ]
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


def test_merged_patches_take_the_later_value_and_must_make_sense_together() -> None:
    whole = '{"feedback":"B","rating":4,"title":"A"}'
    assert merged([('{"rating":3,"title":"A"}', ()), ('{"rating":4,"feedback":"B"}', ())]) == (
        whole,
        digest_of(whole),
        "feedback rating title",
    )
    clash = merged(
        [
            ('{"showing_time_start":"2026-03-14T10:00:00Z"}', ()),
            ('{"showing_time_end":"2026-03-14T09:00:00Z"}', ()),
        ]
    )
    assert isinstance(clash, Reason)
    assert (clash.expected, clash.field) == (Expected.END_AFTER_START, "showing_time_end")


REPORT = "550e8400-e29b-41d4-a716-446655440000"


@pytest.mark.parametrize(
    ("cell", "report"),
    [(REPORT, REPORT), (f" {REPORT.upper()} ", REPORT), (f'="{REPORT}"', REPORT), (" ", None)],
)
def test_a_report_is_read_beside_the_patch_and_is_no_part_of_it(
    cell: str, report: str | None
) -> None:
    record = checked(rating="4", report_id=cell)
    assert isinstance(record, Record)
    assert (record.report_id, record.body, record.fields) == (report, '{"rating":4}', ("rating",))


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        (
            "Main Street 5",
            "report_id: 'Main Street 5' is not the id of a report of North's (a UUID)",
        ),
        (REPORT[:-1], "is not the id of a report"),
        (12345, "is not the id of a report"),
        ("#N/A", "report_id: '#N/A' is not a value: a formula failed"),
        (CellError("#REF!"), "report_id: '#REF!' is not a value: a formula failed"),
    ],
)
def test_what_is_no_report_is_a_bad_value(cell: Cell, said: str) -> None:
    found = problem(rating="9", report_id=cell)
    assert found.code == "bad_value"
    assert [reason.field for reason in found.reasons] == ["rating", "report_id"]
    assert said in words(found)


def test_a_row_with_nothing_but_a_report_changes_nothing() -> None:
    assert problem(rating="", report_id=REPORT).code == "nothing_to_send"


ORDERED = ("unique_showing_key", "Visit date", "rating")


@pytest.mark.parametrize(
    ("cells", "fault", "is_evidence"),
    [
        (("ext_1", "13/02/2026 10:00", "4"), None, True),
        (("Total", "13/02/2026 10:00", "4"), None, True),
        (("Total", "13/02/2026 10:00"), None, True),
        (("", "13/02/2026 10:00", "4"), None, True),
        (("ext_1", "13/02/2026 10:00", "4"), FAULT, False),
        (("ext_1", "13/02/2026 10:00", "4", "beyond"), None, False),
    ],
)
def test_the_dates_of_a_row_that_is_not_sent_are_evidence_unless_its_cells_may_be_misplaced(
    cells: tuple[str, ...], fault: Reason | None, is_evidence: bool
) -> None:
    check = checker(*ORDERED)
    check.check(Row(7, cells, fault))
    assert check.findings.evidence.of("showing_date", Sign.AGAINST_ORDER).count == int(is_evidence)


@pytest.mark.parametrize(
    ("cells", "refused"),
    [
        (("unique_showing_key", "Visit date", "rating"), "repeats the header"),
        ((" unique_showing_key ", "Visit date", "rating"), "another table"),
        (("unique_showing_key", "Visit date", "4"), "another table"),
        (("Rating", "Showing Key", "x"), "another table"),
        (("Rating", "Feedback", "x"), None),
        (("Rating", "rating", "Rating"), None),
        (("Showing Key", "x", "y"), None),
        (("Rating", 2026.0, "Showing Key"), "another table"),
        (("unique_showing_key",), "repeats the header"),
        (("unique_showing_key", "Visit date", "rating", " "), "repeats the header"),
        (("Rating", date(2026, 3, 4), True), None),
    ],
)
def test_a_row_of_headers_is_one_that_names_several_columns_with_a_key_among_them(
    cells: tuple[Cell, ...], refused: str | None
) -> None:
    check = checker(*ORDERED)
    found = check.check(Row(7, cells))
    is_header = isinstance(found, Problem) and found.code == "bad_key"
    assert is_header is (refused is not None), found
    # Where it repeats the sheet's own header nothing is wrong with the rows below it.
    count = check.findings.evidence.of("", Sign.OTHER_HEADER).count
    assert count == int(refused == "another table")


@pytest.mark.parametrize("missing", range(5))
def test_a_short_row_means_what_it_would_with_blanks(missing: int) -> None:
    headers = ("unique_showing_key", "feedback", "rating", "title", "attendee_name")
    whole = ("ext_1", "Fine", "4", "Tour", "Lee")
    short = whole[: len(whole) - missing]
    blank = (*short, *("",) * missing)
    for row in (short, blank):
        check = checker(*headers)
        one, other = check.check(Row(2, row)), checker(*headers).check(Row(2, blank))
        assert type(one) is type(other)
        if isinstance(one, Record) and isinstance(other, Record):
            assert (one.body, one.fields) == (other.body, other.fields)
        assert check.meaning_of(Row(2, row)) == check.meaning_of(Row(2, blank))


def test_what_a_row_means_to_a_comparison_has_its_address_and_none_for_bad_cells() -> None:
    check = checker("unique_showing_key", "feedback", "rating")
    assert (
        check.meaning_of(Row(2, ("ext_1", "Fine", "9")))
        == {
            "feedback": "Fine",
            "rating": None,
            "unique_showing_key": "ext_1",
            "showing_id": "",
            "report_id": None,
        }
        | {}
    )


def test_fields_that_a_blank_cell_clears_are_named_apart_from_those_that_a_text_clears() -> None:
    rules: dict[str, Any] = {
        "blank_clears": frozenset({"feedback", "title"}),
        "clear": {"feedback": frozenset({"-"})},
    }
    check = checker("unique_showing_key", "feedback", "title", "rating", **rules)
    cases = [
        (("ext_1", "", "Tour", ""), ("feedback",)),
        (("ext_1", "-", "Tour", "4"), ()),
        (("ext_1", " ", "", "4"), ("feedback", "title")),
        (("ext_1", "Fine", "Tour", ""), ()),
    ]
    for cells, cleared in cases:
        found = check.check(Row(2, cells))
        assert isinstance(found, Record)
        assert found.blank == cleared
