"""Workbooks of spreadsheet programs: XLSX, XLSM, XLSB, XLS and ODS, recognised by content.

The rows are those a person sees in the program, hidden ones included; a cell that shows an error is
a `CellError`. How a format is read is the business of its `Book`.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Sequence
from itertools import dropwhile, islice, takewhile
from pathlib import Path

from bulk_sync.model.own import NOTES_HEADING, NOTES_SHEET
from bulk_sync.model.rows import Row, text_of
from bulk_sync.model.summaries import Understood
from bulk_sync.quoting import quoted
from bulk_sync.read.books.interface import BadWorkbook, Book, Grid, Sheet
from bulk_sync.read.books.shown import shows
from bulk_sync.read.bounds import MAX_ROW_CHARACTERS, excess
from bulk_sync.read.container import open_book
from bulk_sync.read.foreign import AGAIN, input_errors
from bulk_sync.read.interface import (
    HEADER_WITHIN_ROWS,
    ReadOptions,
    above_note,
    likely_header,
    on_its_side,
    two_headers,
)
from bulk_sync.read.opened import fingerprint, refuse_if_changed
from bulk_sync.wording import are, counted, listed

# Sheets that a note names, and characters of each name.
_MOST_NAMED = 10
_LONGEST_NAME = 60


class WorkbookTable:
    """A sheet of an open workbook; made by `workbook_in`."""

    def __init__(
        self,
        file: io.BufferedReader,
        path: Path,
        book: Book,
        digest: str,
        options: ReadOptions,
    ) -> None:
        self._file = file
        self._path = path
        self._stat = fingerprint(file)
        self._book = book
        self.digest = digest
        with input_errors(path):
            self._sheet, self._grid, header = self._choose(options)
            above = [
                _first_text(row)
                for row in takewhile(
                    lambda row: row.number < header.number, _filled(self._sheet, self._grid)
                )
            ]
        self._above = above_note(above)
        self._header_row = header.number
        self.headers = tuple(text_of(cell).strip() for cell in header.cells)

    @property
    def understood(self) -> Understood:
        """See `Table`; hidden rows count as far as they were read."""
        return Understood(
            self._book.format,
            self._header_row,
            sheet=self._sheet.name,
            notes=(*self._notes(), *self._above),
            hidden_columns=tuple(column + 1 for column in sorted(self._grid.hidden_columns)),
        )

    def rows(self) -> Iterator[Row]:
        """Yield the rows below the header; see `Table`."""
        with input_errors(self._path):
            rows = _filled(self._sheet, self._grid)
            yield from dropwhile(lambda row: row.number <= self._header_row, rows)
        refuse_if_changed(self._file, self._path, self._stat, self.digest)

    def _choose(self, options: ReadOptions) -> tuple[Sheet, Grid, Row]:
        if options.sheet is not None:
            sheet = _named(self._book.sheets, options.sheet)
            grid = self._open(sheet)
            return sheet, grid, _header(sheet, grid, options)
        fallback: tuple[Sheet, Grid, Row] | None = None
        for sheet in self._book.sheets:
            if not (sheet.is_grid and sheet.visible):
                continue
            grid = self._open(sheet)
            found = _recognised(sheet, grid, options)
            if found is not None:
                _refuse_on_its_side(sheet, grid, found, options)
                return sheet, grid, found
            # Its headers are for the error, when no sheet has a header with a key.
            if fallback is None and (first := _unrecognised(sheet, grid)) is not None:
                fallback = sheet, grid, first
        self._refuse_if_hidden(options)
        if fallback is None:
            raise BadWorkbook("none of its visible sheets has any rows.")
        sheet, grid, first = fallback
        if options.header_row is not None:
            return sheet, grid, _forced(sheet, grid, options.header_row)
        return fallback

    def _refuse_if_hidden(self, options: ReadOptions) -> None:
        """Raise BadWorkbook, with the way out, if a hidden sheet has what the visible ones lack."""
        for sheet in self._book.sheets:
            if sheet.visible or not sheet.is_grid:
                continue
            if _recognised(sheet, self._book.open(sheet), options) is not None:
                raise BadWorkbook(
                    "none of its visible sheets names showings, and the hidden sheet "
                    f"{_short(sheet.name)} does. If that is meant, add --sheet "
                    f"{quoted(sheet.name)}."
                )

    def _open(self, sheet: Sheet) -> Grid:
        if not sheet.is_grid:
            raise BadWorkbook(
                f"the sheet {_short(sheet.name)} is a chart or a macro; it has no rows."
            )
        return self._book.open(sheet)

    def _notes(self) -> Iterator[str]:
        taken = self._sheet
        others = [
            sheet
            for sheet in self._book.sheets
            if sheet is not taken and not self._explains_columns(sheet)
        ]
        if others:
            named = listed([*map(_described, others)], _MOST_NAMED)
            yield f"Sheet {_short(taken.name)} was read; the workbook also holds {named}."
        if not taken.visible:
            yield f"Sheet {_short(taken.name)} is hidden."
        hidden = self._grid.hidden_rows
        if hidden:
            yield f"{counted(hidden, 'hidden row')} {are(hidden)} read like the others."

    def _explains_columns(self, sheet: Sheet) -> bool:
        """Return True for the notes of our own template, which nobody expects to be read."""
        if sheet.name != NOTES_SHEET or not sheet.is_grid:
            return False
        first = next(self._book.open(sheet).filled(), None)
        return first is not None and first.cells[:1] == (NOTES_HEADING,)


def workbook_in(file: io.BufferedReader, path: Path, options: ReadOptions) -> WorkbookTable:
    """Return the table of an open workbook; raises InputError when it can't be used."""
    file.seek(0)
    digest = hashlib.file_digest(file, "sha256").hexdigest()
    with input_errors(path):
        book = open_book(file)
    return WorkbookTable(file, path, book, digest, options)


def _filled(sheet: Sheet, grid: Grid) -> Iterator[Row]:
    """Yield the rows with a cell that shows something.

    Raises BadWorkbook for one that is too large to be held several times, however little of the
    file it takes, and for a text with a NUL, which no program shows: it was decoded wrongly, by the
    program that wrote it or here.
    """
    for row in grid.filled():
        texts: list[str] = [cell for cell in row.cells if cell.__class__ is str]
        if sum(map(len, texts)) > MAX_ROW_CHARACTERS:
            raise BadWorkbook(
                f"sheet {_short(sheet.name)}, row {row.number} {excess(row.cells)}. Shorten them"
            )
        # One text first, because this runs for every cell.
        if "\0" in "".join(texts):
            _refuse_nul(row, sheet)
        yield row


def _refuse_nul(row: Row, sheet: Sheet) -> None:
    for column, cell in enumerate(row.cells, start=1):
        if isinstance(cell, str) and "\0" in cell:
            raise BadWorkbook(
                f"sheet {_short(sheet.name)}, row {row.number}: the text {cell[:40]!r} in column "
                f"{column} holds a NUL character. {AGAIN}"
            )


def _short(name: str) -> str:
    """Return a sheet's name as a message has it; programs allow 31 characters."""
    return repr(name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 3]}...")


def _named(sheets: Sequence[Sheet], wanted: str) -> Sheet:
    for sheet in sheets:
        if sheet.name == wanted:
            return sheet
    # Spreadsheet programs don't allow two names that differ in case only.
    for sheet in sheets:
        if sheet.name.casefold() == wanted.strip().casefold():
            return sheet
    if wanted.isascii() and wanted.isdigit() and 1 <= int(wanted[:9]) <= len(sheets):
        return sheets[int(wanted) - 1]
    named = listed([*map(_described, sheets)], _MOST_NAMED) or "none"
    raise BadWorkbook(f"there is no sheet {wanted!r} in it. There are: {named}.")


def _described(sheet: Sheet) -> str:
    return _short(sheet.name) if sheet.visible else f"{_short(sheet.name)} (hidden)"


def _first_text(row: Row) -> str:
    return next(text for cell in row.cells if (text := text_of(cell).strip()))


def _header(sheet: Sheet, grid: Grid, options: ReadOptions) -> Row:
    found = _recognised(sheet, grid, options) or _unrecognised(sheet, grid)
    if found is None:
        raise BadWorkbook(f"the sheet {_short(sheet.name)} is empty.")
    return found if options.header_row is None else _forced(sheet, grid, options.header_row)


def _recognised(sheet: Sheet, grid: Grid, options: ReadOptions) -> Row | None:
    """Return the row with the most known columns, the first one of equals; None without any."""
    best, best_score, rival = None, 0, None
    if options.header_row is not None:
        candidates: Iterator[Row] = (
            row for row in _filled(sheet, grid) if row.number == options.header_row
        )
    else:
        candidates = islice(_filled(sheet, grid), HEADER_WITHIN_ROWS)
    for row in candidates:
        score = options.recognise([text_of(cell).strip() for cell in row.cells])
        if score > best_score:
            # One cell that happens to be a column's name is a title, not a header.
            if best is not None and sum(map(shows, best.cells)) > 1:
                rival = rival or best
            best, best_score = row, score
    if best is not None and rival is not None:
        raise BadWorkbook(f"sheet {_short(sheet.name)}: {two_headers(rival.number, best.number)}.")
    return best


def _unrecognised(sheet: Sheet, grid: Grid) -> Row | None:
    """Return the row that is the header in an error; None for an empty sheet."""
    rows = list(islice(_filled(sheet, grid), HEADER_WITHIN_ROWS))
    return rows[likely_header([sum(map(shows, row.cells)) for row in rows])] if rows else None


def _refuse_on_its_side(sheet: Sheet, grid: Grid, header: Row, options: ReadOptions) -> None:
    if options.header_row is not None:
        return
    names = [text_of(cell).strip() for cell in header.cells]
    below = islice(_filled(sheet, grid), HEADER_WITHIN_ROWS)
    column = [text_of(row.cells[0]).strip() for row in below if row.number >= header.number]
    sentence = on_its_side(options.recognise, names, column)
    if sentence is not None:
        raise BadWorkbook(f"sheet {_short(sheet.name)}: {sentence}.")


def _forced(sheet: Sheet, grid: Grid, number: int) -> Row:
    for row in _filled(sheet, grid):
        if row.number == number:
            return row
        if row.number > number:
            break
    raise BadWorkbook(
        f"row {number} of the sheet {_short(sheet.name)} is blank or beyond its end; it can't be "
        "the header."
    )
