"""Results with the cells of their sheet: a copy that means the same when it is pushed."""

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
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl import load_workbook

from bulk_sync.check.headers import Names, map_headers
from bulk_sync.check.rows import Checker
from bulk_sync.errors import UsageError
from bulk_sync.model.headings import Headings
from bulk_sync.model.own import RESULT_COLUMNS
from bulk_sync.model.problems import Expected, Reason
from bulk_sync.model.rows import Cell, CellError, Formatted, Problem, Row, State, text_of
from bulk_sync.report.written import sheet_copy
from bulk_sync.report.written.results import Recorded
from bulk_sync.report.written.sheet_copy import typed_cell
from bulk_sync.report.written.with_cells import (
    SheetOfJob,
    WithCells,
    refuse_what_no_workbook_holds,
    write_results_with_cells,
)
from bulk_sync.run.cell_rules import rules_of
from bulk_sync.run.own_files import source_of
from bulk_sync.run.sheet import open_sheet
from bulk_sync.settings.meaning import Meaning
from bulk_sync.settings.reading import Reading
from tests.helpers import examples, read_csv
from tests.unit.checkpoints import BAD
from tests.unit.test_own_files import cells, keys, layouts, meanings, meant, read

# Headers that the results have, too, that are repeated, and none at all.
HEADERS = ("Key", "feedback", "rating", "showing_date", "State", "", "Note", "Note", "message")
MAP = {"Key": "unique_showing_key", "message": "", "State": "title"}
tables = st.lists(st.tuples(keys, *[cells] * (len(HEADERS) - 1)), min_size=1, max_size=4)
endings = st.sampled_from([".csv", ".xlsx"])


def recorded(
    number: int, state: State, reasons: tuple[Reason, ...] = (), error: str | None = None
) -> Recorded:
    line = (number, "a key", state.value, None, 0, error, None, "", None, None, None, None)
    return line, reasons, None, False, ()


def write(
    path: Path,
    rows: Sequence[WithCells],
    headers: Sequence[str] = HEADERS,
    source: str = "",
) -> None:
    sheet = SheetOfJob(tuple(headers), source, path.with_name("x.checkpoint.sqlite"))
    write_results_with_cells(path, iter(rows), sheet)


def written(path: Path, table: Sequence[Sequence[Cell]], meaning: Meaning) -> list[Any]:
    """Write the rows of a sheet with their outcomes; return what was found in them."""
    usable = replace(meaning, map=MAP, map_hints={}, aliases={})
    mapping = map_headers(HEADERS, "x.xlsx", names=Names(), mapped=usable.map)
    rules = rules_of(usable)
    checker = Checker(mapping, rules.rules)
    found = [checker.check(Row(number, tuple(row))) for number, row in enumerate(table, 2)]
    rows: list[WithCells] = []
    for one in found:
        if isinstance(one, Problem):
            bad = recorded(one.row.number, State.INVALID, one.reasons, one.code)
            rows.append((bad, one.row.cells))
        else:
            rows.append((recorded(one.row.number, State.UPDATED), one.row.cells))
    write(path, rows, source=source_of(mapping, usable, rules.zone_name))
    return found


@given(tables, meanings, meanings, layouts, endings)
@pytest.mark.uncovered
def test_a_copy_means_what_its_sheet_means_under_any_settings(
    table: list[tuple[Cell, ...]],
    then: Meaning,
    now: Meaning,
    layout: dict[str, Any],
    ending: str,
) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder, f"x.results{ending}")
        found = written(path, table, then)
        again = read(path, now, layout)
        with open_sheet(Reading(input=path), now) as sheet:
            assert sheet.headers == HEADERS
    assert [meant(row) for row in again] == [meant(row) for row in found]


@settings(max_examples=examples(0.3))
@given(st.lists(cells, min_size=1, max_size=8))
def test_a_workbook_has_what_was_written_or_its_text(row: list[Cell]) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder, "x.xlsx")
        headers = ["unique_showing_key", *(f"note {place}" for place, _ in enumerate(row))]
        source = source_of(map_headers(headers, "x.csv", names=Names()), Meaning(), None)
        write(path, [(recorded(2, State.UPDATED), ("sh-1", *row))], headers, source)
        with open_sheet(Reading(input=path), Meaning()) as sheet:
            (read_back,) = sheet.table.rows()
    first = len(RESULT_COLUMNS) + 1
    for cell, again in zip(row, read_back.cells[first : first + len(row)], strict=True):
        assert again == cell or again == text_of(cell) or text_of(again) == text_of(cell)


@pytest.mark.parametrize(
    ("cell", "wanted"),
    [
        ("00123", ("00123", "@")),
        ("=1+1", ("=1+1", "@")),
        (True, (True, "General")),
        (4, (4, "General")),
        (4.5, (4.5, "General")),
        (0.1 + 0.2, ("0.3", "@")),  # 17 digits, and a workbook gets 16
        (10**15, ("1000000000000000", "@")),
        (date(2026, 4, 3), (46115.0, "yyyy-mm-dd")),
        (datetime(2026, 4, 3, 12), (46115.5, "yyyy-mm-dd hh:mm")),  # noqa: DTZ001 - as cells are
        (datetime(2026, 4, 3), ("2026-04-03 00:00:00", "@")),  # noqa: DTZ001
        (date(1900, 2, 28), ("1900-02-28", "@")),
        (time(6), (0.25, "hh:mm")),
        (time(0, 0, 30), (30 / 86_400, "hh:mm:ss")),
        (timedelta(hours=26), ("1 day, 2:00:00", "@")),
        (CellError("#N/A"), ("#N/A", "@")),
        (Formatted(123.0, "00000", "00123"), ("00123", "@")),
    ],
)
def test_cells_keep_their_types_where_they_are_read_back_the_same(
    cell: Cell, wanted: tuple[object, str]
) -> None:
    assert typed_cell(cell) == wanted
    assert type(typed_cell(cell)[0]) is type(wanted[0])


@given(st.lists(st.sampled_from(["", " ", "Row", "a", "A", "a (2)", "column 1", "state"])))
def test_no_two_columns_have_one_name(headers: list[str]) -> None:
    headings = Headings(headers)
    names = [*RESULT_COLUMNS, *headings.of(len(headers) + 2)]
    assert len({name.casefold() for name in names}) == len(names)
    for place, (before, now) in enumerate(zip(headers, headings.columns, strict=True)):
        assert now.startswith(before if before.strip() else f"column {place + 1}")


def test_headers_that_are_taken_get_a_number_and_blank_ones_their_place() -> None:
    assert Headings(["Key", "State", "", "Notes", "notes", "Notes (2)"]).columns == [
        "Key",
        "State (2)",
        "column 3",
        "Notes",
        "notes (2)",
        "Notes (2) (2)",
    ]


def test_the_three_formats_have_the_same_columns_and_cells(tmp_path: Path) -> None:
    row: tuple[Cell, ...] = ("sh-1", "=1", 4.0, date(2026, 4, 3), "TX", "", "", "n", "m", "beyond")
    for ending in ("csv", "jsonl", "xlsx"):
        write(tmp_path / f"x.{ending}", [(recorded(2, State.UPDATED), row)])
    (line,) = read_csv(tmp_path / "x.csv")
    values = json.loads((tmp_path / "x.jsonl").read_text(encoding="utf-8"))
    own = ["Key", "feedback", "rating", "showing_date", "State (2)", "column 6", "Note"]
    own += ["Note (2)", "message (2)"]
    assert list(values) == [*RESULT_COLUMNS, *own, "column 10"]
    assert [values[name] for name in own] == [
        *("sh-1", "=1", 4.0, "2026-04-03", "TX", "", "", "n", "m")
    ]
    assert values["column 10"] == "beyond"
    assert list(line)[:-2] == [*RESULT_COLUMNS, *own]
    assert (line["feedback"], line["rating"]) == ("'=1", "4")
    assert str(list(line.values())[-1]) == "['beyond']"
    header, cells_of_row = load_workbook(tmp_path / "x.xlsx")["Results"].iter_rows()
    assert [cell.value for cell in header][:-2] == [*RESULT_COLUMNS, *own]
    assert [cell.value for cell in cells_of_row][12:16] == [
        "sh-1",
        "=1",
        4,
        datetime(2026, 4, 3),  # noqa: DTZ001 - as openpyxl has dates
    ]
    assert all(cell.data_type != "f" for cell in cells_of_row)


def test_a_workbook_shows_states_and_what_is_wrong_with_a_cell(tmp_path: Path) -> None:
    headers = ("Key", "rating", "Note")
    mapping = map_headers(headers, "x.csv", names=Names(), mapped={"Key": "unique_showing_key"})
    row = Reason(Expected.NO_SUMMARY)
    write(
        tmp_path / "x.xlsx",
        [
            (recorded(2, State.UPDATED), ("sh-1", "4", "")),
            (recorded(3, State.INVALID, (BAD, row)), ("sh-2", "bad", "x")),
        ],
        headers,
        source_of(mapping, Meaning(), None),
    )
    sheet = load_workbook(tmp_path / "x.xlsx")["Results"]
    assert sheet.freeze_panes == "D2"
    assert sheet.auto_filter.ref == "A1:P3"
    comments = {cell.coordinate: cell.comment for line in sheet for cell in line if cell.comment}
    assert list(comments) == ["N3"]
    assert comments["N3"].text.startswith("rating: 'bad' is not a rating from 1 to 5")
    assert [sheet[place].value for place in ("C2", "C3")] == ["updated", "invalid"]
    rules = {
        rule.formula[0]: rule.dxf.fill.bgColor.rgb
        for found in sheet.conditional_formatting
        for rule in found.rules
        if str(found.sqref) == "A2:P3"
    }
    assert list(rules) == [f'$C2="{state.value}"' for state in State]
    assert rules['$C2="updated"'] != rules['$C2="invalid"']
    assert sheet["N3"].font.bold
    # What a person types stays as it is, in blank cells, too.
    assert sheet["M3"].number_format == sheet.column_dimensions["M"].number_format == "@"


def test_comments_have_a_bound_that_the_workbook_states(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sheet_copy, "MOST_COMMENTS", 2)
    mapping = map_headers(("unique_showing_key", "rating"), "x.csv", names=Names())
    rows = [(recorded(n, State.INVALID, (BAD,)), ("sh", "bad")) for n in range(2, 7)]
    write(
        tmp_path / "x.xlsx",
        rows,
        ("unique_showing_key", "rating"),
        source_of(mapping, Meaning(), None),
    )
    book = load_workbook(tmp_path / "x.xlsx")
    assert sum(cell.comment is not None for line in book["Results"] for cell in line) == 2
    assert [cell.value for cell in book["Summary"][1]] == ["comments left out", 3]


@pytest.mark.parametrize(
    ("headers", "cells_of_row", "words"),
    [
        (("Key", "Note"), ("a", "x" * 32_768), "row 2 has a text that is too long"),
        (("Key", "x" * 32_768), ("a", ""), "header row is too long"),
        (["Key", *["x"] * 17_000], ("a",), "room for 16,384 columns, and the sheet has 17,001"),
        (["Key", *["x"] * 2000], tuple("a" * 40 for _ in range(2000)), "header row is too long"),
    ],
)
def test_what_a_workbook_has_no_room_for_is_refused(
    tmp_path: Path, headers: Sequence[str], cells_of_row: tuple[Cell, ...], words: str
) -> None:
    sheet = SheetOfJob(tuple(headers), "", tmp_path / "x.sqlite")
    rows = [(recorded(2, State.UPDATED), cells_of_row)]
    refuse_what_no_workbook_holds(tmp_path / "x.csv", rows, sheet)
    with pytest.raises(UsageError, match=words):
        refuse_what_no_workbook_holds(tmp_path / "x.xlsx", rows, sheet)


def test_a_row_keeps_its_place_in_columns_that_a_person_moved(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    meaning = Meaning(date_order="dmy", timezone="America/Chicago")
    row: tuple[Cell, ...] = ("00123", "Nice", "4", "03/04/2026 16:30", "t", "", "n", "", "m")
    found = written(path, [row], meaning)
    with path.open(encoding="utf-8", newline="") as file:
        header, line = csv.reader(file)
    places = [*range(len(header) - 1, -1, -2), *range(len(header) - 2, -1, -2)]
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([[one[place] for place in places] for one in (header, line)])
    assert [meant(one) for one in read(path, Meaning(), {})] == [meant(one) for one in found]
