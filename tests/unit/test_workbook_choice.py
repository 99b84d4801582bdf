"""Which sheet of a workbook is read, and which row is its header."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bulk_sync.model.rows import CellError, Row
from tests.unit.workbooks import BOOK, read, refused, sheets


@pytest.mark.parametrize(
    ("options", "sheet", "header_row", "first"),
    [
        ({}, "March", 3, "m"),
        ({"sheet": "Old"}, "Old", 1, "old"),
        ({"sheet": "march"}, "March", 3, "m"),
        ({"sheet": "3"}, "March", 3, "m"),
        ({"sheet": "1"}, "1", 1, "one"),
        ({"header_row": 3}, "March", 3, "m"),
        ({"sheet": "March", "header_row": 1}, "March", 1, "key"),
    ],
)
def test_the_sheet_and_the_header(
    tmp_path: Path, options: dict[str, Any], sheet: str, header_row: int, first: str
) -> None:
    understood, _, rows = read(sheets(tmp_path / "x.xlsx", BOOK, hidden=["Old"]), **options)
    assert (understood.sheet, understood.header_row, rows[0].cells[0]) == (sheet, header_row, first)


def test_a_note_names_the_sheets_that_were_not_read(tmp_path: Path) -> None:
    understood = read(sheets(tmp_path / "x.xlsx", BOOK, hidden=["Old"]))[0]
    assert understood.notes == (
        "Sheet 'March' was read; the workbook also holds 'Read me', 'Old' (hidden), '1'.",
        "The row above the header, 'March 2026', is not read.",
    )


def test_an_error_shows_the_row_below_a_title_and_a_long_title_is_cut(tmp_path: Path) -> None:
    rows: list[list[Any]] = [["Viewings of " + 30 * "x"], ["Ref No.", "Guest"], ["HP-1", "Ana"]]
    headers = read(sheets(tmp_path / "x.xlsx", {"S": rows}))[1]
    assert headers == ("Ref No.", "Guest")
    notes = read(sheets(tmp_path / "x.xlsx", {"S": [rows[0], ["key", "a"], ["x", 1]]}))[0].notes
    assert notes == (f"The row above the header, 'Viewings of {25 * 'x'}...', is not read.",)


def test_the_header_is_the_row_that_is_recognised_best(tmp_path: Path) -> None:
    rows: list[list[Any]] = [["key"], ["key", "a", "b"], ["key", "c", "d"], ["x", 1, 2]]
    understood, headers, _ = read(sheets(tmp_path / "x.xlsx", {"S": rows}))
    assert (understood.header_row, headers) == (2, ("key", "a", "b"))


def test_without_a_header_the_first_rows_of_the_first_sheet_stand_for_it(tmp_path: Path) -> None:
    path = sheets(tmp_path / "x.xlsx", {"Empty": [], "S": [[], ["a", "b"], [1, 2]]})
    understood, headers, rows = read(path)
    assert (understood.sheet, understood.header_row, headers) == ("S", 2, ("a", "b"))
    assert rows == [Row(3, (1.0, 2.0))]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"sheet": "April"},
            "no sheet 'April' in it. There are: 'Read me', 'Old' (hidden), 'March', '1'.",
        ),
        ({"sheet": "9"}, "no sheet '9'"),
        (
            {"sheet": "March", "header_row": 2},
            "row 2 of the sheet 'March' is blank or beyond its end",
        ),
        (
            {"sheet": "March", "header_row": 99},
            "row 99 of the sheet 'March' is blank or beyond its end",
        ),
    ],
)
def test_a_sheet_or_header_that_is_not_there(
    tmp_path: Path, options: dict[str, Any], words: str
) -> None:
    assert words in refused(sheets(tmp_path / "x.xlsx", BOOK, hidden=["Old"]), **options)


def test_the_sample() -> None:
    understood, _, rows = read(
        Path(__file__).parents[2] / "sample_data" / "messy-showings.xlsx", sheet="March"
    )
    assert understood.format == "XLSX"
    assert any(isinstance(cell, CellError) for row in rows for cell in row.cells)
