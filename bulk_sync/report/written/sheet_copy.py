"""A workbook of results with the cells of their sheet: a copy of the sheet to work with.

Each row has the colour of its state, whose name is in a column: the colour is never the only sign.
Problems are comments at the cells in question. Dates, times and numbers keep their types where
reading them back gives the same value; all other cells are texts, in a format that keeps what a
person types (`00123`, `1/2`) as it is typed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bulk_sync.model.inert import is_like_a_formula
from bulk_sync.model.own import RESULT_COLUMNS
from bulk_sync.model.rows import Cell, text_of
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
        self._formats: dict[tuple[str, str, bool, bool], Format] = {}
        self._row = 0
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
            sheet.set_column(place, place, _WIDTH_OF_OWN)
            sheet.write_string(0, place, name, of_sheet)
        mark = _FIRST_OWN + len(own)
        sheet.set_column(mark, mark, _WIDTH_OF_MARK, quiet)
        sheet.write_string(0, mark, self._copied.mark, quiet)
        sheet.freeze_panes(1, _STATE + 1)  # row number, key and state stay in sight

    def add(self, row: RowWithCells) -> None:
        """Add a row, with comments at the cells that it was refused for."""
        self._row += 1
        state = str(row.line[_STATE])
        problems = self._problems(row)
        for place, value in enumerate(row.line):
            if isinstance(value, int):
                self._write(place, (value, _GENERAL), state)
            else:
                text = value or ""
                cut = text if len(text) <= LONGEST_TEXT else text[: LONGEST_TEXT - 3] + "..."
                self._write(place, (cut, _GENERAL), state)
        for place, cell in enumerate(row.own, start=_FIRST_OWN):
            self._write(place, typed_cell(cell), state, bad=place in problems)
        mark = _FIRST_OWN + self._copied.width
        self._sheet.write_string(self._row, mark, row.mark)
        for place, cell in enumerate(row.beyond, start=mark + 1):
            self._write(place, typed_cell(cell), state)
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

    def _write(
        self, place: int, value: tuple[str | float | bool, str], state: str, *, bad: bool = False
    ) -> None:
        cell, code = value
        if isinstance(cell, str):
            is_formula = bool(cell) and is_like_a_formula(cell)
            look = self._format(state, code, quoted=is_formula, bad=bad)
            if cell:
                self._sheet.write_string(self._row, place, cell, look)
            else:
                self._sheet.write_blank(self._row, place, None, look)
        elif isinstance(cell, bool):
            look = self._format(state, code, quoted=False, bad=bad)
            self._sheet.write_boolean(self._row, place, cell, look)
        else:
            look = self._format(state, code, quoted=False, bad=bad)
            self._sheet.write_number(self._row, place, cell, look)

    def _format(self, state: str, code: str, *, quoted: bool, bad: bool) -> Format:
        key = (state, code, quoted, bad)
        if (made := self._formats.get(key)) is None:
            look = LOOKS[state]
            options: dict[str, Any] = {"bg_color": look.ground, "font_color": look.letters}
            if code != _GENERAL:
                options["num_format"] = code
            if quoted:
                options["quote_prefix"] = True
            if bad:
                options |= {"bold": True, "border": 2, "border_color": look.letters}
            made = self._formats[key] = self._book.add_format(options)
        return made

    def end(self) -> None:
        """Add what is about all rows."""
        last = _FIRST_OWN + self._copied.width
        self._sheet.autofilter(0, 0, self._row, last)
        if self._row:
            cells = f"A2:XFD{self._row + 1}"
            self._sheet.ignore_errors({"number_stored_as_text": cells})
