"""A sheet without rows, to be filled in: as CSV its header, as XLSX with drop-downs and notes.

A file that exists is never replaced: an earlier sheet may be filled in by now.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bulk_sync.errors import OutputError, UsageError
from bulk_sync.model.described import Described, Shape
from bulk_sync.model.own import NOTES_HEADING, NOTES_SHEET
from bulk_sync.model.places import column_letters
from bulk_sync.recognise import Output, may_replace
from bulk_sync.report.written.atomic import check_writable, replacing
from bulk_sync.report.written.lines import refuse_unknown_kind
from bulk_sync.report.written.workbook import MOST_ROWS, writing_workbook

if TYPE_CHECKING:
    from xlsxwriter.workbook import Workbook
    from xlsxwriter.worksheet import Worksheet

_SHEET = "Showings"
_MOMENT_FORMAT = "yyyy-mm-dd hh:mm"
# Formats that keep what is typed: in a column of text, 00123 and 1/2 stay as they are.
_NUMBER_FORMATS = {Shape.TEXT: "@", Shape.MOMENT: _MOMENT_FORMAT, Shape.NUMBER: "0"}

# The day of number 1 is 1 January 1900, and the leap day of that year counts, which it didn't have
# (ECMA-376, part 1, section 18.17.4.1). Right for all days from March 1900 on.
_DAY_ZERO = date(1899, 12, 30)

# The days on which a showing can be: `check.ages`.
_FIRST_DAY, _LAST_DAY = date(2000, 1, 1), date(2099, 12, 31)

_ADVICE = (
    "Fill in the first sheet, one showing a row. Blank cells and empty rows change nothing.",
    "Columns may be moved, hidden or deleted, except for the one that names the showing.",
    "Then: bulk-sync check FILE, which sends nothing, and bulk-sync push FILE.",
)

_HEADINGS = (NOTES_HEADING, "What it is in North", "What is read", "Example")


def refuse_empty_sheet(path: Path) -> None:
    """Raise UsageError for a format that isn't written, OutputError for a file that exists."""
    if path.suffix.lower() not in {".csv", ".xlsx"}:
        raise UsageError(
            f"{path}: the suffix chooses the format, .csv or .xlsx; name it "
            f"{path.with_suffix('.xlsx').name if path.name else 'showings.xlsx'}, for example"
        )
    refuse_unknown_kind(path, "template")
    if path.is_file() and not may_replace(path, Output.SHEET):
        raise OutputError(
            f"{path} exists already, and may be filled in, so it is not replaced. Name another "
            "file, or move this one away."
        )
    check_writable(path, Output.SHEET)


def write_empty_sheet(path: Path, columns: Sequence[Described]) -> None:
    """Write a sheet with these columns and no rows; raises as `refuse_empty_sheet`."""
    refuse_empty_sheet(path)
    if path.suffix.lower() == ".csv":
        with replacing(path, Output.SHEET) as file:
            csv.writer(file).writerow(column.title for column in columns)
        return
    with writing_workbook(path, Output.SHEET) as book:
        _write_showings(book, columns)
        _write_notes(book, columns)


def _write_showings(book: Workbook, columns: Sequence[Described]) -> None:
    sheet = book.add_worksheet(_SHEET)
    bold = book.add_format({"bold": True, "bottom": 1, "num_format": "@"})
    formats = {
        shape: book.add_format({"num_format": code}) for shape, code in _NUMBER_FORMATS.items()
    }
    for place, column in enumerate(columns):
        # Of the column, not of cells: a row without cells is no row.
        sheet.set_column(place, place, column.width, formats.get(column.shape))
        sheet.write_string(0, place, column.title, bold)
        _validate(sheet, place, column)
    sheet.freeze_panes(1, 1)


def _validate(sheet: Worksheet, place: int, column: Described) -> None:
    rules: dict[str, Any] | None = None
    if column.shape is Shape.CHOICE:
        rules = {"validate": "list", "source": list(column.choices)}
    elif column.shape is Shape.NUMBER:
        rules = {
            "validate": "integer",
            "criteria": "between",
            "minimum": column.low,
            "maximum": column.high,
        }
    elif column.shape is Shape.MOMENT:
        cell = f"{column_letters(place)}2"
        days = [(day - _DAY_ZERO).days for day in (_FIRST_DAY, _LAST_DAY)]
        # A date alone would be midnight. Text is only warned of: it may have an offset.
        rules = {
            "validate": "custom",
            "value": f"=IF(ISNUMBER({cell}),AND({cell}>={days[0]},{cell}<{days[1] + 1},"
            f"{cell}<>INT({cell})),FALSE)",
            "error_type": "warning",
        }
    if rules is not None:
        # Excel allows 32 characters in a title, 255 in a message.
        sheet.data_validation(
            1,
            place,
            MOST_ROWS,
            place,
            {**rules, "error_title": column.title, "error_message": column.accepts[:255]},
        )


def _write_notes(book: Workbook, columns: Sequence[Described]) -> None:
    sheet = book.add_worksheet(NOTES_SHEET)
    bold = book.add_format({"bold": True, "bottom": 1})
    wrapped = book.add_format({"text_wrap": True, "valign": "top", "num_format": "@"})
    for place, (heading, width) in enumerate(zip(_HEADINGS, (44, 48, 56, 38), strict=True)):
        sheet.set_column(place, place, width)
        sheet.write_string(0, place, heading, bold)
    for row, column in enumerate(columns, start=1):
        name = f"{column_letters(row - 1)}: {column.title} ({column.field})"
        for place, text in enumerate((name, column.meaning, column.accepts, column.example)):
            sheet.write_string(row, place, str(text), wrapped)
    for row, text in enumerate(_ADVICE, start=len(columns) + 2):
        sheet.write_string(row, 0, text)
    sheet.freeze_panes(1, 0)
    sheet.set_landscape()
    sheet.fit_to_pages(1, 0)
