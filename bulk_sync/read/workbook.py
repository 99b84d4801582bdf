"""Workbooks of spreadsheet programs: XLSX, XLSM, XLSB, XLS and ODS, recognised by content.

A sheet is read twice: first by a survey (see `read.survey`), which counts its cells in bounded
memory, then by python-calamine, which gives their values. The rows are those a person sees in the
program, hidden ones included; a cell that shows an error is a `CellError`.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Sequence
from itertools import islice, takewhile
from pathlib import Path

from python_calamine import CalamineWorkbook

from bulk_sync.model.rows import Row, text_of
from bulk_sync.model.summaries import Understood
from bulk_sync.read.container import open_surveyor
from bulk_sync.read.foreign import input_errors, muted
from bulk_sync.read.grid import SheetRows, shows
from bulk_sync.read.interface import HEADER_WITHIN_ROWS, ReadOptions, above_note, two_headers
from bulk_sync.read.opened import fingerprint, refuse_if_changed
from bulk_sync.read.survey.interface import BadWorkbook, Sheet, Surveyor


class WorkbookTable:
    """A sheet of an open workbook; made by `workbook_in`."""

    def __init__(
        self,
        file: io.BufferedReader,
        path: Path,
        surveyor: Surveyor,
        digest: str,
        options: ReadOptions,
    ) -> None:
        self._file = file
        self._path = path
        self._stat = fingerprint(file)
        self._surveyor = surveyor
        self.digest = digest
        with input_errors(path):
            self._rows, header = self._choose(options)
            above = [
                _first_text(row)
                for row in takewhile(lambda row: row.number < header.number, self._rows.filled())
            ]
        self.headers = tuple(text_of(cell).strip() for cell in header.cells)
        self.understood = Understood(
            surveyor.format,
            header.number,
            sheet=self._rows.sheet.name,
            notes=(*self._notes(), *above_note(above)),
        )

    def rows(self) -> Iterator[Row]:
        """Yield the rows below the header; see `Table`."""
        rows = self._rows.filled()
        while True:
            with input_errors(self._path):
                row = next(rows, None)
            if row is None:
                break
            if row.number > self.understood.header_row:
                yield row
        refuse_if_changed(self._file, self._path, self._stat, self.digest)

    def _choose(self, options: ReadOptions) -> tuple[SheetRows, Row]:
        if options.sheet is not None:
            rows = self._open(_named(self._surveyor.sheets, options.sheet))
            return rows, _header(rows, options)
        grids = [sheet for sheet in self._surveyor.sheets if sheet.is_grid and sheet.visible]
        fallback: tuple[SheetRows, Row] | None = None
        for sheet in grids:
            rows = self._open(sheet)
            found = _recognised(rows, options)
            if found is not None:
                return rows, found
            # Its headers are for the error, when no sheet has a header with a key.
            if fallback is None and (first := next(rows.filled(), None)) is not None:
                fallback = rows, first
        if fallback is None:
            raise BadWorkbook("none of its visible sheets has any rows.")
        rows, first = fallback
        if options.header_row is not None:
            return rows, _forced(rows, options.header_row)
        return rows, first

    def _open(self, sheet: Sheet) -> SheetRows:
        if not sheet.is_grid:
            raise BadWorkbook(f"the sheet {sheet.name!r} is a chart or a macro; it has no rows.")
        survey = self._surveyor.survey(sheet)
        values = None
        if survey.filled:
            with self._surveyor.for_library(sheet) as (file, index), muted():
                values = CalamineWorkbook.from_filelike(file).get_sheet_by_index(index)
        return SheetRows(sheet, survey, values, is_ods=self._surveyor.format == "ODS")

    def _notes(self) -> Iterator[str]:
        taken = self._rows.sheet
        others = [sheet for sheet in self._surveyor.sheets if sheet is not taken]
        if others:
            listed = ", ".join(_described(sheet) for sheet in others)
            yield f"Sheet {taken.name!r} was read; the workbook also holds {listed}."
        if not taken.visible:
            yield f"Sheet {taken.name!r} is hidden."
        hidden = self._rows.survey.hidden_rows
        if hidden:
            yield f"{hidden} hidden row{' is' if hidden == 1 else 's are'} read like the others."


def workbook_in(file: io.BufferedReader, path: Path, options: ReadOptions) -> WorkbookTable:
    """Return the table of an open workbook; raises InputError when it can't be used."""
    file.seek(0)
    digest = hashlib.file_digest(file, "sha256").hexdigest()
    with input_errors(path):
        surveyor = open_surveyor(file)
    return WorkbookTable(file, path, surveyor, digest, options)


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
    listed = ", ".join(_described(sheet) for sheet in sheets) or "none"
    raise BadWorkbook(f"there is no sheet {wanted!r} in it. There are: {listed}.")


def _described(sheet: Sheet) -> str:
    return repr(sheet.name) if sheet.visible else f"{sheet.name!r} (hidden)"


def _first_text(row: Row) -> str:
    return next(text for cell in row.cells if (text := text_of(cell).strip()))


def _header(rows: SheetRows, options: ReadOptions) -> Row:
    found = _recognised(rows, options) or next(rows.filled(), None)
    if found is None:
        raise BadWorkbook(f"the sheet {rows.sheet.name!r} is empty.")
    return found if options.header_row is None else _forced(rows, options.header_row)


def _recognised(rows: SheetRows, options: ReadOptions) -> Row | None:
    """Return the row with the most known columns, the first one of equals; None without any."""
    best, best_score, rival = None, 0, None
    if options.header_row is not None:
        candidates: Iterator[Row] = (
            row for row in rows.filled() if row.number == options.header_row
        )
    else:
        candidates = islice(rows.filled(), HEADER_WITHIN_ROWS)
    for row in candidates:
        score = options.recognise([text_of(cell).strip() for cell in row.cells])
        if score > best_score:
            # One cell that happens to be a column's name is a title, not a header.
            if best is not None and sum(map(shows, best.cells)) > 1:
                rival = rival or best
            best, best_score = row, score
    if best is not None and rival is not None:
        raise BadWorkbook(f"sheet {rows.sheet.name!r}: {two_headers(rival.number, best.number)}.")
    return best


def _forced(rows: SheetRows, number: int) -> Row:
    for row in rows.filled():
        if row.number == number:
            return row
        if row.number > number:
            break
    raise BadWorkbook(
        f"row {number} of the sheet {rows.sheet.name!r} is blank or beyond its end; it can't be "
        "the header."
    )
