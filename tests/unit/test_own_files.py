"""Our own files mean the same under any settings, and what was refused stays refused."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulk_sync.check.conversions import may_be_converted
from bulk_sync.check.headers import Names, map_headers
from bulk_sync.check.rows import Checker
from bulk_sync.errors import InputError
from bulk_sync.job.store import Store
from bulk_sync.model.own import (
    DamagedMark,
    Kind,
    Mark,
    Source,
    from_typed,
    header_text,
    mark_text,
    read_header,
    read_mark,
    source_text,
    typed,
)
from bulk_sync.model.problems import Expected, Reason
from bulk_sync.model.rows import (
    CLEARED,
    ERROR_STATES,
    Cell,
    CellError,
    Formatted,
    Problem,
    Record,
    Result,
    Row,
    Sent,
    State,
)
from bulk_sync.quantities import parse_scale
from bulk_sync.report.written.failed import write_failed
from bulk_sync.report.written.undo import write_undo
from bulk_sync.run.cell_rules import rules_of
from bulk_sync.run.own_files import source_of
from bulk_sync.run.rows import stage_rows
from bulk_sync.run.sheet import open_sheet
from bulk_sync.settings.meaning import Meaning
from bulk_sync.settings.reading import Reading

HEADERS = (
    "Key",
    "feedback",
    "rating",
    "showing_date",
    "showing_time_end",
    "Note",
    "attendee_phone",
)
MAP = {"Key": "unique_showing_key"}
WHEN = datetime(2026, 4, 3, 16, 30)  # noqa: DTZ001 - cells have no zone

texts = st.one_of(
    st.sampled_from(
        ["", " ", "n/a", "NULL", "-", "4", "4.0", "00123", "1E5", "TRUE", "4/5", "03/04/2026 10:00"]
    ),
    st.sampled_from(
        ["#N/A", "26:00", "9:30", "2026-04-03", "two\nlines", "x" * 50, '"', "a,b;c", "=1", "'=1"]
    ),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8),
)
cells = st.one_of(
    texts,
    st.booleans(),
    st.integers(-5, 10**17),
    st.floats(-10, 10**16, allow_nan=False),
    st.sampled_from([CellError("#N/A"), CellError("formula without a value"), WHEN, WHEN.date()]),
    st.sampled_from([Formatted(123.0, "00000", "00123"), Formatted(7.0, "[red]?", None)]),
    st.sampled_from([time(9, 30), timedelta(hours=26), timedelta(hours=9, minutes=30)]),
)
keys = st.one_of(st.sampled_from(["sh-1", "00123", "7-2", "", "."]), cells)
rows = st.lists(st.tuples(keys, *[cells] * (len(HEADERS) - 1)), min_size=1, max_size=4)

tokens = st.one_of(st.none(), st.sampled_from(["n/a", "NULL", "-", "4", "formula without a value"]))
fields = st.sampled_from(["feedback", "rating", "showing_date", "title", ""])
meanings = st.builds(
    Meaning,
    map=st.dictionaries(st.sampled_from(["Note", "feedback", "column 3"]), fields, max_size=2),
    map_hints=st.dictionaries(st.sampled_from(["Note", "rating", "column 2"]), fields, max_size=2),
    aliases=st.sampled_from([{}, {"title": ["Note"]}]),
    timezone=st.sampled_from([None, "America/Chicago", "Europe/Berlin"]),
    date_order=st.sampled_from([None, "mdy", "dmy", "ymd"]),
    default_time=st.sampled_from([None, time(9)]),
    scale=st.sampled_from([None, "10", "0-10"]).map(lambda text: text and parse_scale(text)),
    clear=tokens,
    on_duplicate=st.sampled_from(["error", "last", "merge"]),
    strict=st.booleans(),
    field_clears=st.dictionaries(st.sampled_from(["feedback", "rating"]), tokens.map(str)),
    blank_clears=st.lists(st.sampled_from(["feedback", "rating", "showing_date"])).map(tuple),
)
layouts: st.SearchStrategy[dict[str, Any]] = st.builds(
    dict,
    delimiter=st.sampled_from([None, ";", "tab"]),
    encoding=st.sampled_from([None, "utf-16", "cp437"]),
    sheet=st.sampled_from([None, "March"]),
    header_row=st.sampled_from([None, 2, 3]),
)


def lines_of(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def read(path: Path, meaning: Meaning, layout: dict[str, Any]) -> list[Record | Problem]:
    with open_sheet(Reading(input=path, **layout), meaning) as sheet:
        return list(sheet.checked_rows())


def result_of(found: Record | Problem) -> Result:
    bad = isinstance(found, Problem)
    return Result(
        number=found.row.number,
        cells=found.row.cells,
        target=found.target,
        key=found.key,
        state=State.INVALID if bad else State.FAILED,
        may_have_been_applied=False,
        http_status=None,
        attempts=0,
        error=found.code if isinstance(found, Problem) else "timeout",
        message=None,
        fields="",
        showing_id=None,
        updated_at=None,
        sent_at=None,
        duration_ms=None,
        reasons=found.reasons if isinstance(found, Problem) else (),
    )


def failed_file(folder: Path, table: Sequence[Sequence[Cell]], meaning: Meaning) -> list[Any]:
    """Write the rows as failed ones to `x.failed.csv`; return what was found in them."""
    usable = replace(meaning, map=MAP, map_hints={}, aliases={})
    mapping = map_headers(HEADERS, "x.xlsx", names=Names(), mapped=usable.map)
    cells = rules_of(usable)
    checker = Checker(mapping, cells.rules)
    found = [checker.check(Row(number, tuple(row))) for number, row in enumerate(table, 2)]
    source = source_of(mapping, usable, cells.zone_name)
    write_failed(folder / "x.failed.csv", HEADERS, map(result_of, found), source)
    return found


def meant(found: Record | Problem) -> tuple[object, ...]:
    if isinstance(found, Problem):
        return "refused", found.code, found.reasons, found.key
    return "sent", found.target, found.body, found.key


@given(rows, meanings, meanings, layouts)
@pytest.mark.uncovered
def test_failed_rows_mean_the_same_under_any_settings(
    table: list[tuple[Cell, ...]], then: Meaning, now: Meaning, layout: dict[str, Any]
) -> None:
    with TemporaryDirectory() as folder:
        found = failed_file(Path(folder), table, then)
        again = read(Path(folder, "x.failed.csv"), now, layout)
    assert [meant(row) for row in again] == [meant(row) for row in found]


@given(rows, meanings, meanings, st.randoms(use_true_random=False))
@pytest.mark.uncovered
def test_failed_rows_may_be_sorted_left_out_and_saved_with_other_separators(
    table: list[tuple[Cell, ...]], then: Meaning, now: Meaning, random: Any
) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder, "x.failed.csv")
        found = failed_file(Path(folder), table, then)
        header, *lines = lines_of(path)
        numbers = random.sample(range(len(lines)), random.randint(1, len(lines)))
        places = random.sample(range(len(header)), len(header))
        with path.open("w", encoding="utf-8-sig", newline="") as file:
            writer = csv.writer(file, delimiter=";", quoting=csv.QUOTE_ALL)
            for line in (header, *(lines[number] for number in numbers)):
                writer.writerow([line[place] for place in places])
        again = read(path, now, {})
    assert sorted(map(str, map(meant, again))) == sorted(
        str(meant(found[number])) for number in numbers
    )


values = st.fixed_dictionaries(
    {},
    optional={
        "feedback": st.one_of(
            st.none(), st.sampled_from(["NULL", "n/a", "-", "00123", "4", "=1", "'=1", "+15550100"])
        ),
        "title": st.one_of(
            st.none(), st.text(st.characters(categories=["L", "N", "P"]), min_size=1)
        ),
        "rating": st.one_of(st.none(), st.integers(1, 5)),
        "interested": st.one_of(st.none(), st.booleans()),
        "attendees_count": st.one_of(st.none(), st.integers(0, 100)),
        "showing_date": st.one_of(st.none(), st.just("2026-04-03T16:30:00-05:00")),
        "event_type": st.one_of(st.none(), st.sampled_from(["showing", "open_house"])),
    },
)


@given(st.lists(values, min_size=1, max_size=4), meanings, layouts)
@pytest.mark.uncovered
def test_an_undo_file_brings_back_the_values_under_any_settings(
    befores: list[dict[str, Any]], now: Meaning, layout: dict[str, Any]
) -> None:
    set_to = {"feedback": "now", "title": "now", "rating": 0, "interested": "now"}
    set_to |= {"attendees_count": -1, "showing_date": "now", "event_type": "now"}
    sent = [Sent(n, f"0{n}", f"0{n}", set_to, before) for n, before in enumerate(befores, 2)]
    with TemporaryDirectory() as folder:
        path = Path(folder, "undo.csv")
        write_undo(path, lambda: iter(sent))
        again = read(path, now, layout)
    assert {row.target: json.loads(row.body) for row in again if isinstance(row, Record)} == {
        f"0{n}": before for n, before in enumerate(befores, 2) if before
    }
    assert all(isinstance(row, Record) for row in again)


# Edits


ROW: tuple[Cell, ...] = ("sh-1", CellError("#N/A"), 9.0, WHEN, "", "a note", "555-0101")
DMY = Meaning(date_order="dmy", timezone="America/Chicago")


def edited(folder: Path, row: Sequence[Cell], **changes: str) -> Record | Problem:
    """Write a row as a failed one, edit its cells, and read it."""
    failed_file(folder, [row], DMY)
    path = folder / "x.failed.csv"
    header, line = lines_of(path)
    for name, text in changes.items():
        place = len(header) - 2 if name == "mark" else header.index(name)
        line[place] = text
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, line])
    (found,) = read(path, Meaning(), {})
    return found


def test_a_cell_that_was_refused_stays_so_while_others_are_corrected(tmp_path: Path) -> None:
    found = edited(tmp_path, ROW, rating="4")
    assert isinstance(found, Problem)
    assert [(why.field, why.expected) for why in found.reasons] == [("feedback", Expected.NO_ERROR)]


def test_a_corrected_row_is_sent_as_its_sheet_was_read(tmp_path: Path) -> None:
    found = edited(tmp_path, ROW, rating="4", feedback="Nice", showing_time_end="03/04/2026 18:00")
    assert isinstance(found, Record)
    assert json.loads(found.body) == {
        "showing_date": "2026-04-03T16:30:00-05:00",
        "attendee_phone": "555-0101",
        "feedback": "Nice",
        "rating": 4,
        "showing_time_end": "2026-04-03T18:00:00-05:00",
    }


def test_a_row_whose_mark_is_blanked_is_the_users_own(tmp_path: Path) -> None:
    found = edited(tmp_path, ROW, rating="4", mark="")
    assert isinstance(found, Problem)  # the text of a formula's error is none either
    text = edited(tmp_path, (*ROW[:1], CellError("no value"), *ROW[2:]), rating="4", mark="")
    assert isinstance(text, Record)


def test_a_damaged_mark_refuses_its_row(tmp_path: Path) -> None:
    found = edited(tmp_path, ROW, rating="4", feedback="Nice", mark='{"row":["sh-1"')
    assert isinstance(found, Problem)
    assert found.reasons[0].expected is Expected.OWN_MARK


GOOD: tuple[Cell, ...] = ("00123", "Nice", 4.0, WHEN, "", "a note", "555-0101")


@pytest.mark.parametrize(
    ("change", "is_sent"),
    [
        ({"showing_date": "3/4/2026 16:30"}, True),  # as Excel in Britain saves it
        ({"showing_date": "4/3/2026 16:30"}, False),  # in America, or somebody swapped them
        ({"rating": "4.0"}, True),
        ({"Key": "123"}, False),
        ({"Key": "124"}, True),  # an edit
    ],
)
def test_what_a_spreadsheet_program_converts_is_kept_or_refused(
    tmp_path: Path, change: dict[str, str], is_sent: bool
) -> None:
    found = edited(tmp_path, GOOD, **change)
    assert isinstance(found, Record) == is_sent
    if isinstance(found, Record):
        assert json.loads(found.body)["showing_date"] == "2026-04-03T16:30:00-05:00"
        assert found.target == change.get("Key", "00123")
    else:
        assert found.reasons[0].expected is Expected.AS_WRITTEN


def pushed_again(folder: Path, found: Record | Problem, **changes: str) -> Record | Problem:
    """Write a row of a file of failed rows as a failed one again, edit its cells, and read it."""
    path = folder / "x.failed.csv"
    with open_sheet(Reading(input=path), Meaning()) as sheet:
        headers, source = sheet.headers, sheet.source
    write_failed(path, headers, [result_of(found)], source)
    header, line = lines_of(path)
    for name, text in changes.items():
        line[header.index(name)] = text
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, line])
    (again,) = read(path, Meaning(), {})
    return again


def test_a_converted_cell_is_named_next_to_what_was_refused(tmp_path: Path) -> None:
    found = edited(tmp_path, (*ROW[:1], "Nice", *ROW[2:]), showing_date="4/3/2026 16:30")
    assert isinstance(found, Problem)
    assert [(why.field, why.expected) for why in found.reasons] == [
        ("rating", Expected.RATING),
        ("showing_date", Expected.AS_WRITTEN),
    ]
    # Otherwise the next file would have the earlier day, and send it once the rating is corrected.
    assert found.row.cells[3] == "4/3/2026 16:30"
    again = pushed_again(tmp_path, found, rating="4")
    assert isinstance(again, Problem)
    assert [why.expected for why in again.reasons] == [Expected.AS_WRITTEN]


def test_a_date_that_was_corrected_to_another_order_says_how_to_go_on(tmp_path: Path) -> None:
    row = (*GOOD[:3], "03/14/2026 10:00", *GOOD[4:])
    found = edited(tmp_path, row, showing_date="14/03/2026 10:00")
    assert isinstance(found, Problem)
    assert [why.expected for why in found.reasons] == [Expected.DATE_ORDER, Expected.AS_WRITTEN]


def test_a_cell_that_was_restored_as_asked_is_sent(tmp_path: Path) -> None:
    found = edited(tmp_path, GOOD, showing_date="4/3/2026 16:30")
    assert isinstance(found, Problem)
    assert isinstance(pushed_again(tmp_path, found), Problem)
    asked = str(found.reasons[0].facts["was"])
    again = pushed_again(tmp_path, found, showing_date=asked)
    assert isinstance(again, Record)
    assert json.loads(again.body)["showing_date"] == "2026-04-03T16:30:00-05:00"


def test_a_cell_that_is_converted_twice_is_asked_for_as_it_was_at_first(tmp_path: Path) -> None:
    found = edited(tmp_path, GOOD, showing_date="4/3/2026 16:30")
    again = pushed_again(tmp_path, found, showing_date="2026-03-04 16:30")
    assert isinstance(again, Problem)
    (reason,) = again.reasons
    assert reason.facts["was"] == "2026-04-03 16:30:00"


def test_a_rounded_key_is_corrected_by_its_digits(tmp_path: Path) -> None:
    found = edited(tmp_path, ("1.23457E+17", *GOOD[1:]), Key="123456789012345678")
    assert isinstance(found, Record)
    assert found.target == "123456789012345678"


def test_a_row_that_is_wider_than_its_header_stays_refused(tmp_path: Path) -> None:
    (found,) = failed_file(tmp_path, [(*GOOD, "shifted")], DMY)
    assert found.reasons[0].expected is Expected.CELLS_IN_COLUMNS
    (again,) = read(tmp_path / "x.failed.csv", Meaning(), {})
    assert meant(again) == meant(found)


@pytest.mark.parametrize(
    ("before", "after", "may_be"),
    [
        ("00123", "123", True),
        ("1E5", "100000", True),
        ("12345678901234567", "1.23457E+16", True),
        ("12345678901234567", "12345678901234500", True),
        ("12345678901234567", "12345678901234576", False),  # typed anew
        ("1.23457E+17", "123457000000000000", True),
        ("1.23457E+17", "123456789012345678", False),  # with the digits that were lost
        ("2026031400000010", "2026031400000013", False),
        (0.1 + 0.2, "0.3", True),
        ("4/5", "5-Apr", True),
        ("7-2", "Jul-2", True),
        ("true", "TRUE", True),
        (True, "TRUE", True),
        (WHEN, "4/3/2026 16:30", True),
        (WHEN, "03.04.2026 16:30:00", True),
        (date(2026, 4, 3), "4/3/2026", True),
        ("2026-04-03", date(2026, 4, 3), True),
        (WHEN, "4/4/2026 16:30", False),
        (WHEN, "4/3/2026 17:30", False),
        ("00123", "124", False),
        ("4/5", "6-Apr", False),
        ("", "0", False),
        ("Nice", "Nice!", False),
    ],
)
def test_conversions_of_spreadsheet_programs_are_known(
    before: Cell, after: Cell, may_be: bool
) -> None:
    assert may_be_converted(before, after) == may_be


# Files


def states_of(path: Path) -> list[tuple[str, State]]:
    with open_sheet(Reading(input=path), Meaning()) as sheet, Store.scratch() as store:
        rows = stage_rows(sheet, store)
        found = store.views.results(frozenset(State), rows.generation)
        return [(one.key, one.state) for one in found]


def test_a_key_of_our_own_file_is_not_judged_by_the_few_next_to_it(tmp_path: Path) -> None:
    path = tmp_path / "undo.csv"
    sent = Sent(2, "2026031400000010", "2026031400000010", {"rating": 5}, {"rating": 3})
    write_undo(path, lambda: [sent])
    assert states_of(path) == [("2026031400000010", State.PENDING)]


def test_the_last_row_of_keys_that_look_the_same_is_sent(tmp_path: Path) -> None:
    both = tmp_path / "both.csv"
    both.write_text("Key,rating\nsh-1\u200b,4\nsh-1,4\n", encoding="utf-8")
    with (
        open_sheet(Reading(input=both), Meaning(map=MAP)) as sheet,
        Store.scratch() as store,
    ):
        staged = stage_rows(sheet, store)
        bad = list(store.views.results(ERROR_STATES, staged.generation))
        source = sheet.source
    assert len(bad) == 2
    path = tmp_path / "x.failed.csv"
    write_failed(path, ("Key", "rating"), bad, source)
    assert [state for _, state in states_of(path)] == [State.INVALID, State.INVALID]
    header, _, line = lines_of(path)
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, line])
    assert states_of(path) == [("sh-1", State.PENDING)]


def written(folder: Path, header: Sequence[str], *lines: Sequence[str]) -> Path:
    path = folder / "sheet.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *lines])
    return path


KEY_AND_RATING = 'bulk_sync 1 undo {"columns":[["unique_showing_key","unique_showing_key"]]}'


@pytest.mark.parametrize(
    "mark",
    [
        "bulk_sync 2 undo {}",
        "bulk_sync 1 other {}",
        'bulk_sync 1 failed {"columns":[["a"]]}',
        'bulk_sync 1 failed {"columns":[],"settings":{"colour":"red"}}',
        'bulk_sync 1 failed {"columns":[],"settings":{"date_order":"xyz"}}',
        "bulk_sync 1 unknown {}",
    ],
)
def test_a_header_that_is_not_understood_stops_the_file(tmp_path: Path, mark: str) -> None:
    path = written(tmp_path, ["unique_showing_key", "rating", mark], ["a", "4", ""])
    with pytest.raises(InputError):
        read(path, Meaning(), {})


def test_rows_of_two_files_of_ours_in_one_are_refused(tmp_path: Path) -> None:
    other = KEY_AND_RATING.replace("undo", "failed")
    path = written(tmp_path, ["unique_showing_key", KEY_AND_RATING, other], ["a", "", ""])
    with pytest.raises(InputError, match="each file by itself"):
        read(path, Meaning(), {})


def test_columns_that_were_added_to_a_file_of_ours_fill_the_field_of_their_name_only(
    tmp_path: Path,
) -> None:
    header = ["unique_showing_key", "Rating", "phone", KEY_AND_RATING]
    path = written(tmp_path, header, ["a", "4", "555-0101", mark_text(Mark(("a",)))])
    (found,) = read(path, Meaning(clear="4"), {})
    assert isinstance(found, Record)
    assert json.loads(found.body) == {"rating": 4}


@pytest.mark.parametrize(
    ("header", "now"),
    [
        ("feedback", "Feedback "),
        ("Buyer's\nfeedback", "Buyer's\r\nfeedback"),
        ("Buyer's comments", "feedback"),
    ],
)
def test_a_column_is_the_one_that_was_written_though_its_header_was_edited(
    tmp_path: Path, header: str, now: str
) -> None:
    source = source_text(
        Source((("unique_showing_key", "unique_showing_key"), (header, "feedback")))
    )
    why = (Reason(Expected.NO_ERROR, "feedback", "no value"),)
    mark = mark_text(Mark(("a", CellError("no value")), "bad_value", why))
    line = ["a", "no value", mark]
    path = written(tmp_path, ["unique_showing_key", now, header_text(Kind.UNDO, source)], line)
    (found,) = read(path, Meaning(), {})
    assert isinstance(found, Problem)
    assert found.reasons == why


@pytest.mark.parametrize(
    "columns",
    [
        "row,unique_showing_key,state,http_status,attempts,error,message,fields,showing_id",
        "row,row_there,unique_showing_key,showing_id,class,field,there,here,base,changed_by,message",
    ],
)
def test_the_columns_of_a_report_are_no_values_under_any_settings(
    tmp_path: Path, columns: str
) -> None:
    names = columns.split(",")
    line = ["" if name == "showing_id" else "2" for name in names]
    path = written(tmp_path, [*names, "rating"], [*line, "5"])
    (found,) = read(
        path, Meaning(aliases={"feedback": ["message"]}, map_hints={"row": "title"}), {}
    )
    assert isinstance(found, Record)
    assert json.loads(found.body) == {"rating": 5}


def test_a_note_names_the_settings_that_are_not_applied(tmp_path: Path) -> None:
    failed_file(tmp_path, [ROW], DMY)

    def note(meaning: Meaning) -> str:
        with open_sheet(Reading(input=tmp_path / "x.failed.csv"), meaning) as sheet:
            return sheet.notes[0]

    assert "Not applied" not in note(Meaning(date_order="dmy", map=MAP))
    shown = note(Meaning(date_order="mdy", clear="-", map={"Note": "title"}))
    assert "Not applied: --date-order, --clear, --map." in shown


# Marks


@given(st.one_of(cells, st.just(CLEARED)))
def test_cells_keep_type_and_value(cell: Cell) -> None:
    kept = from_typed(json.loads(json.dumps(typed(cell))))
    assert (kept, type(kept)) == (cell, type(cell))


@pytest.mark.parametrize("text", ["", "x", "[]", "{}", '{"row":[["what","x"]]}', '{"row":[1]}'])
def test_what_is_no_mark_is_damaged(text: str) -> None:
    with pytest.raises(DamagedMark):
        read_mark(text)


def test_a_mark_is_what_it_was() -> None:
    mark = Mark(("a", 4.0, CLEARED), "bad_value", (Reason(Expected.RATING, "rating", "9"),))
    assert read_mark(mark_text(mark)) == mark


@pytest.mark.parametrize("header", ["bulk_sync", "bulk_sync 0 undo {}", "bulk_sync x"])
def test_what_is_no_header_is_damaged(header: str) -> None:
    with pytest.raises(DamagedMark):
        read_header(header)
