"""A workbook of results with the cells of their sheet: a copy of the sheet to work with.

Each row has the colour of its state, whose name is in a column: the colour is never the only sign.
It comes from conditional formats over all rows, which takes no format per cell. Problems are
comments at the cells in question. Dates, times and numbers keep their types where reading them back
gives the same value; all other cells are texts. A column of texts has a format that keeps what a
person types (`00123`, `1/2`) as it is typed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bulk_sync.model.inert import is_like_a_formula
from bulk_sync.model.own import RESULT_COLUMNS
from bulk_sync.model.places import column_letters
from bulk_sync.model.rows import Cell, State, text_of
from bulk_sync.recognise import Output
from bulk_sync.report.problems import message_of
from bulk_sync.report.written.lines import Facts
from bulk_sync.report.written.workbook import (
    LONGEST_TEXT,
    LOOKS,
    WIDTHS,
    write_facts,
    writing_workbook,
)

if TYPE_CHECKING:
    from xlsxwriter.format import Format
    from xlsxwriter.workbook import Workbook
    from xlsxwriter.worksheet import Worksheet

    from bulk_sync.report.written.with_cells import Copied, RowWithCells

MOST_COMMENTS = 5_000
"""Comments that are written; XlsxWriter holds them in memory, and programs slow down with many."""

_FIRST_OWN = len(RESULT_COLUMNS)
_STATE = RESULT_COLUMNS.index("state")
_WIDTH_OF_OWN, _WIDTH_OF_MARK = 18, 4
_COMMENT_WIDTH = 320  # pixels: lines of about 45 characters

_GENERAL, _TEXT = "General", "@"
_DATE, _MINUTES, _SECONDS = "yyyy-mm-dd", "yyyy-mm-dd hh:mm", "yyyy-mm-dd hh:mm:ss"
_TIME, _TIME_SECONDS = "hh:mm", "hh:mm:ss"

# Before 1 March 1900 programs count the days differently, because Excel has a 29 February 1900.
_FIRST_DAY = date(1900, 3, 1)
_LAST_DAY = date(9999, 12, 31)
_DAY_ZERO = date(1899, 12, 30).toordinal()
_DAY_SECONDS = 86_400
_LARGEST_WHOLE = 10**15  # programs keep 15 digits


def typed_cell(cell: Cell) -> tuple[str | float | bool, str]:
    """Return the value of a workbook's cell and its number format.

    Whatever would be another value when it is read back is a text.
    """
    match cell:
        case str():
            return cell, _TEXT
        case bool():
            return cell, _GENERAL
        case int() if abs(cell) < _LARGEST_WHOLE:
            return cell, _GENERAL
        # XlsxWriter writes 16 digits.
        case float() if abs(cell) < _LARGEST_WHOLE and float(f"{cell:.16G}") == cell:
            return cell, _GENERAL
        case datetime() | date() | time():
            return _typed_moment(cell)
        case _:
            return text_of(cell), _TEXT


def _typed_moment(cell: datetime | date | time) -> tuple[str | float, str]:
    moment = cell if isinstance(cell, datetime) else None
    at = moment.time() if moment else cell if isinstance(cell, time) else None
    day = None if isinstance(cell, time) else moment.date() if moment else cell
    if (day is not None and not _FIRST_DAY <= day <= _LAST_DAY) or (
        # A moment at midnight is read back as a date.
        at is not None and (at.microsecond or at.tzinfo or (moment and at == time(0)))
    ):
        return text_of(cell), _TEXT
    number = 0.0 if day is None else float(day.toordinal() - _DAY_ZERO)
    if at is None:
        return number, _DATE
    number += (at.hour * 3600 + at.minute * 60 + at.second) / _DAY_SECONDS
    if day is None:
        return number, _TIME_SECONDS if at.second else _TIME
    return number, _SECONDS if at.second else _MINUTES


def write_copy(
    path: Path,
    copied: Copied,
    rows: Iterator[RowWithCells],
    facts: Facts,
    before: Callable[[str], None] | None = None,
) -> None:
    """Write the rows under their header, and the facts on a second sheet; raises OutputError."""
    with writing_workbook(path, Output.REPORT, before) as book:
        copy = _Copy(book, copied)
        for row in rows:
            copy.add(row)
        copy.end()
        left_out = copy.comments - MOST_COMMENTS
        more = [("comments left out", left_out)] if left_out > 0 else []
        write_facts(book, [*facts, *more])


class _Copy:
    """The sheet of the workbook; rows are added from top to bottom."""

    def __init__(self, book: Workbook, copied: Copied) -> None:
        self._book, self._copied = book, copied
        self._sheet: Worksheet = book.add_worksheet("Results")
        self._formats: dict[tuple[str, bool, bool], Format | None] = {}
        # The columns of the sheet with a cell that is no text.
        self._typed: set[int] = set()
        self._row = self._last = 0
        self.comments = 0
        self._write_header()

    def _write_header(self) -> None:
        sheet, own = self._sheet, self._copied.headings.columns
        ours = {"bold": True, "bottom": 1, "italic": True, "font_color": "#4A4A4A"}
        of_results = self._book.add_format({**ours, "bg_color": "#EDEDED"})
        of_sheet = self._book.add_format({"bold": True, "bottom": 1, "num_format": _TEXT})
        quiet = self._book.add_format({"font_color": "#9A9A9A", "num_format": _TEXT})
        for place, name in enumerate(RESULT_COLUMNS):
            sheet.set_column(place, place, WIDTHS.get(name, 11))
            sheet.write_string(0, place, name, of_results)
        for place, name in enumerate(own, start=_FIRST_OWN):
            sheet.write_string(0, place, name, of_sheet)
        mark = _FIRST_OWN + len(own)
        sheet.set_column(mark, mark, _WIDTH_OF_MARK, quiet)
        sheet.write_string(0, mark, self._copied.mark, quiet)
        sheet.freeze_panes(1, _STATE + 1)  # row number, key and state stay in sight

    def add(self, row: RowWithCells) -> None:
        """Add a row, with comments at the cells that it was refused for."""
        self._row += 1
        problems = self._problems(row)
        for place, value in enumerate(row.line):
            if isinstance(value, int):
                self._sheet.write_number(self._row, place, value)
            elif value:
                cut = value if len(value) <= LONGEST_TEXT else value[: LONGEST_TEXT - 3] + "..."
                self._write_text(place, cut, _GENERAL)
        for place, cell in enumerate(row.own, start=_FIRST_OWN):
            self._write(place, cell, bad=place in problems)
        mark = _FIRST_OWN + self._copied.width
        self._sheet.write_string(self._row, mark, row.mark)
        for place, cell in enumerate(row.beyond, start=mark + 1):
            self._write(place, cell)
            self._last = max(self._last, place)
        for place, text in problems.items():
            self._comment(place, text)

    def _problems(self, row: RowWithCells) -> dict[int, str]:
        """Return what is wrong with cells, by the places of their columns."""
        places = self._copied.fields
        found: dict[int, list[Any]] = {}
        for reason in row.reasons:
            if reason.field in places:
                found.setdefault(_FIRST_OWN + places[reason.field], []).append(reason)
        return {place: message_of(reasons) or "" for place, reasons in found.items()}

    def _comment(self, place: int, text: str) -> None:
        self.comments += 1
        if self.comments <= MOST_COMMENTS:
            height = 20 * (2 + len(text) // 45)  # 20 pixels a line
            options = {"x_scale": 1, "width": _COMMENT_WIDTH, "height": height}
            self._sheet.write_comment(self._row, place, text, options)

    def _write(self, place: int, cell: Cell, *, bad: bool = False) -> None:
        if isinstance(cell, str):
            if cell or bad:
                self._write_text(place, cell, _TEXT, bad=bad)
            return
        value, code = typed_cell(cell)
        if isinstance(value, str):
            self._write_text(place, value, code, bad=bad)
            return
        self._typed.add(place)
        look = self._format(code, bad=bad)
        if isinstance(value, bool):
            self._sheet.write_boolean(self._row, place, value, look)
        else:
            self._sheet.write_number(self._row, place, value, look)

    def _write_text(self, place: int, text: str, code: str, *, bad: bool = False) -> None:
        look = self._format(code, quoted=is_like_a_formula(text), bad=bad)
        if text:
            self._sheet.write_string(self._row, place, text, look)
        else:
            self._sheet.write_blank(self._row, place, None, look)

    def _format(self, code: str, *, quoted: bool = False, bad: bool = False) -> Format | None:
        key = (code, quoted, bad)
        if key not in self._formats:
            options: dict[str, Any] = {} if code == _GENERAL else {"num_format": code}
            if quoted:
                options["quote_prefix"] = True
            if bad:
                options |= {"bold": True, "border": 2}
            self._formats[key] = self._book.add_format(options) if options else None
        return self._formats[key]

    def end(self) -> None:
        """Add what is about all rows."""
        mark = _FIRST_OWN + self._copied.width
        for place in range(_FIRST_OWN, mark):
            # A date that is typed into a column of texts stays one; dates stay dates.
            code = _GENERAL if place in self._typed else _TEXT
            self._sheet.set_column(place, place, _WIDTH_OF_OWN, self._format(code))
        self._sheet.autofilter(0, 0, self._row, mark)
        if not self._row:
            return
        last = max(self._last, mark)
        states = f"${column_letters(_STATE)}2"
        for state in State:
            look = LOOKS[state]
            colours = {"bg_color": look.ground, "font_color": look.letters}
            rule = {
                "type": "formula",
                "criteria": f'={states}="{state.value}"',
                "format": self._book.add_format(colours),
            }
            self._sheet.conditional_format(1, 0, self._row, last, rule)
        cells = f"A2:{column_letters(last)}{self._row + 1}"
        self._sheet.ignore_errors({"number_stored_as_text": cells})
