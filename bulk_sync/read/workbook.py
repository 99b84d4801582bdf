"""Workbooks of spreadsheet programs: XLSX, XLSM, XLSB, XLS and ODS, told apart by content.

A sheet is read twice. A survey (see `read.survey`) goes first and counts, in bounded memory;
then python-calamine gives the values. Where the two disagree nothing is guessed: the reading
ends with a sentence. The rows of the table are what a person sees in the program, whether
hidden or not; a cell that shows an error is a `CellError`.
"""

from __future__ import annotations

import hashlib
import io
import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime, time, timedelta
from itertools import islice, takewhile
from pathlib import Path
from typing import BinaryIO

import olefile
from python_calamine import CalamineSheet, CalamineWorkbook

from bulk_sync.errors import BulkSyncError, InputError
from bulk_sync.model.rows import Cell, CellError, Row, text_of
from bulk_sync.model.summaries import Understood
from bulk_sync.read.archive import Archive, BadArchive
from bulk_sync.read.interface import HEADER_WITHIN_ROWS, ReadOptions, above_note, two_headers
from bulk_sync.read.kinds import HEAD_BYTES, Kind, kind_of, refusal
from bulk_sync.read.opened import fingerprint, refuse_if_changed
from bulk_sync.read.survey.interface import BadWorkbook, Sheet, Survey, Surveyor, sweep
from bulk_sync.read.survey.ods import CONTENT, OdsSurveyor
from bulk_sync.read.survey.package import main_part
from bulk_sync.read.survey.xls import XlsSurveyor
from bulk_sync.read.survey.xlsb import XlsbSurveyor
from bulk_sync.read.survey.xlsx import XlsxSurveyor

MAX_XLS_BYTES = 32 * 1024 * 1024
"""An XLS file is held three times over: as its stream, and twice by the library."""

_AGAIN = "Open the workbook in a spreadsheet program and save it again, or save the sheet as 'CSV UTF-8'."
_AS_GIVEN = frozenset({str, int, float, bool})
"""Types of values that the library gives as they are."""
_HAIR = timedelta(milliseconds=1)
_SECOND = 1_000_000
_LAST_DAY_OF_FEBRUARY_1900 = date(1900, 2, 28)


class _Disagreement(BadWorkbook):
    """The survey saw more than the library gave."""


class _SheetRows:
    """The rows of one sheet, each cell as the program shows it."""

    def __init__(
        self, sheet: Sheet, survey: Survey, values: CalamineSheet | None, *, is_ods: bool
    ) -> None:
        self.sheet = sheet
        self.survey = survey
        self._values = values
        self._is_ods = is_ods
        self._errors: dict[int, dict[int, str]] = {}
        for (row, column), shown in survey.errors.items():
            self._errors.setdefault(row, {})[column] = shown
        self._instead: dict[int, dict[int, Cell]] = {}
        for (row, column), value in survey.instead.items():
            self._instead.setdefault(row, {})[column] = value

    def filled(self) -> Iterator[Row]:
        """The rows that show something, from the sheet's first row on."""
        filled = self.survey.filled
        delivered = self._delivered()
        for index, merged in zip(
            range(max(len(filled), self._height())), sweep(self.survey.merged), strict=False
        ):
            values = next(delivered, [])
            expected = filled[index] if index < len(filled) else 0
            if not (values or expected or index in self._errors or index in self._instead):
                continue
            cells = self._typed(index, values)
            self._compare(index, cells, expected)
            self._cover(index, cells, merged)
            if any(_shows(cell) for cell in cells):
                yield Row(index + 1, tuple(cells))

    def _height(self) -> int:
        end = None if self._values is None else self._values.end
        return 0 if end is None else end[0] + 1

    def _delivered(self) -> Iterator[list[Cell]]:
        """The library's rows, from the sheet's first row and column on."""
        if self._values is None or self._values.start is None:
            return
        margin = self._values.start[1]
        for values in self._values.iter_rows():
            # A sheet may have its cells far right, and a million blank rows.
            if values.count("") == len(values):
                yield []
                continue
            cells: list[Cell] = [""] * margin
            cells.extend(values)
            yield cells

    def _typed(self, index: int, values: Sequence[Cell]) -> list[Cell]:
        width = len(values)
        while width and values[width - 1] == "":  # a sheet may be wide for the sake of one cell
            width -= 1
        cells = [
            value if value.__class__ in _AS_GIVEN else self._seen(index, column, value)
            for column, value in enumerate(values[:width])
        ]
        for column, value in self._instead.get(index, {}).items():
            _put(cells, column, value)
        for column, shown in self._errors.get(index, {}).items():
            _put(cells, column, CellError(shown))
        return cells

    def _seen(self, row: int, column: int, value: Cell) -> Cell:
        if not self._is_ods and not isinstance(value, timedelta):
            if self.survey.has_negative(row, column):
                # What programs show for a date before all dates; the library gives the hour of
                # another day.
                return CellError("#####")
            if _is_last_day_of_february_1900(value):
                return CellError("1900-02-28 or 1900-02-29")
        return _to_second(value)

    def _compare(self, index: int, cells: Sequence[Cell], expected: int) -> None:
        given = sum(1 for cell in cells if _shows(cell) and not isinstance(cell, CellError))
        shown_as_error = sum(1 for cell in cells if isinstance(cell, CellError)) - len(
            self._errors.get(index, {})
        )
        if given + shown_as_error != expected:
            raise _Disagreement(
                f"sheet {self.sheet.name!r}, row {index + 1}: the file holds {expected} filled cells there, "
                f"of which {given + shown_as_error} could be read. {_AGAIN}"
            )

    def _cover(
        self, index: int, cells: list[Cell], merged: Sequence[tuple[int, int, int, int]]
    ) -> None:
        """Blank what a merged range hides: all but its first cell."""
        for top, left, _, right in merged:
            first = left + 1 if index == top else left
            for column in range(first, min(right + 1, len(cells))):
                cells[column] = ""


class WorkbookTable:
    """A sheet of a workbook that is open; made by `workbook_in`."""

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
        with _border(path):
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
        """The rows below the header, blank ones left out; see `Table`."""
        rows = self._rows.filled()
        while True:
            with _border(self._path):
                row = next(rows, None)
            if row is None:
                break
            if row.number > self.understood.header_row:
                yield row
        refuse_if_changed(self._file, self._path, self._stat, self.digest)

    def _choose(self, options: ReadOptions) -> tuple[_SheetRows, Row]:
        if options.sheet is not None:
            rows = self._open(_named(self._surveyor.sheets, options.sheet))
            return rows, _header(rows, options)
        grids = [sheet for sheet in self._surveyor.sheets if sheet.is_grid and sheet.visible]
        fallback: tuple[_SheetRows, Row] | None = None
        for sheet in grids:
            rows = self._open(sheet)
            found = _recognised(rows, options)
            if found is not None:
                return rows, found
            if fallback is None and (first := next(rows.filled(), None)) is not None:
                fallback = rows, first
        if fallback is None:
            raise BadWorkbook("no sheet that is shown in it holds any rows.")
        rows, first = fallback
        return rows, first if options.header_row is None else _forced(rows, options.header_row)

    def _open(self, sheet: Sheet) -> _SheetRows:
        if not sheet.is_grid:
            raise BadWorkbook(f"the sheet {sheet.name!r} is a chart or a macro; it has no rows.")
        survey = self._surveyor.survey(sheet)
        values = None
        if survey.filled:
            with self._surveyor.for_library(sheet) as (file, index), _unheard():
                values = CalamineWorkbook.from_filelike(file).get_sheet_by_index(index)
        return _SheetRows(sheet, survey, values, is_ods=self._surveyor.format == "ODS")

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
    """The workbook that an open file holds; raises InputError with a sentence when it can't be
    used.
    """
    file.seek(0)
    digest = hashlib.file_digest(file, "sha256").hexdigest()
    with _border(path):
        surveyor = _surveyor(file)
    return WorkbookTable(file, path, surveyor, digest, options)


def _surveyor(file: io.BufferedReader) -> Surveyor:
    file.seek(0)
    kind = kind_of(file.read(HEAD_BYTES))
    file.seek(0)
    match kind:
        case Kind.ZIP:
            return _in_archive(Archive(file))
        case Kind.OLE2:
            return _in_container(file)
        case Kind.BIFF:
            raise BadWorkbook(
                "it was written by Excel 4 or older. Open it in a spreadsheet program, save it as XLSX."
            )
        case _:
            raise BadWorkbook(refusal(kind) or "this is text, not a workbook.")


def _in_archive(archive: Archive) -> Surveyor:
    if "mimetype" in archive and CONTENT in archive:
        return _open_document(archive)
    main = main_part(archive)
    if main is None or not main.lower().startswith("xl/"):
        raise BadWorkbook(_what_else(archive))
    if main.lower().endswith(".bin"):
        return XlsbSurveyor(archive, main)
    return XlsxSurveyor(archive, main)


def _open_document(archive: Archive) -> Surveyor:
    mimetype = archive.read("mimetype", 200).strip()
    if not mimetype.startswith(b"application/vnd.oasis.opendocument.spreadsheet"):
        raise BadWorkbook(
            f"this is a document ({mimetype.decode('ascii', 'replace')[:80]}), not a spreadsheet."
        )
    manifest = "META-INF/manifest.xml"
    if manifest in archive and b"encryption-data" in archive.read(manifest, 4 * 2**20):
        raise BadWorkbook(
            "it is protected by a password. Save it without one, then push that file."
        )
    return OdsSurveyor(archive)


def _what_else(archive: Archive) -> str:
    names = archive.names()
    if any(name.startswith("word/") for name in names):
        return "this is a text document (DOCX), not a spreadsheet. Push the spreadsheet itself."
    if any(name.startswith("ppt/") for name in names):
        return "this is a presentation (PPTX), not a spreadsheet. Push the spreadsheet itself."
    if (
        any(name.startswith("index/") and name.endswith(".iwa") for name in names)
        or "index.zip" in names
    ):
        return "this is a Numbers document. Export it from Numbers as Excel or CSV, then push that file."
    return "this is an archive (ZIP) that holds no workbook. Unpack it, then push the spreadsheet that is in it."


def _in_container(file: BinaryIO) -> Surveyor:
    size = os.fstat(file.fileno()).st_size
    if size > MAX_XLS_BYTES:
        raise BadWorkbook(
            f"it takes {size // 2**20} MB; an XLS file of {MAX_XLS_BYTES // 2**20} MB can be read. "
            "Save the sheet as 'CSV UTF-8', and push that file."
        )
    # Not closed: that would close the file, which is still needed.
    container = olefile.OleFileIO(file)
    if container.exists("EncryptedPackage"):
        raise BadWorkbook(
            "it is protected by a password. Save it without one, then push that file."
        )
    for name in ("Workbook", "Book"):
        if container.exists(name):
            return XlsSurveyor(file, container.openstream(name).read())
    raise BadWorkbook(
        "this is an Office file without a workbook in it, such as a DOC or a message."
    )


def _named(sheets: Sequence[Sheet], wanted: str) -> Sheet:
    for sheet in sheets:
        if sheet.name == wanted:
            return sheet
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


def _header(rows: _SheetRows, options: ReadOptions) -> Row:
    found = _recognised(rows, options) or next(rows.filled(), None)
    if found is None:
        raise BadWorkbook(f"the sheet {rows.sheet.name!r} is empty.")
    return found if options.header_row is None else _forced(rows, options.header_row)


def _recognised(rows: _SheetRows, options: ReadOptions) -> Row | None:
    """The row that serves best as a header, the first one on ties; None if none does."""
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
            if best is not None and sum(map(_shows, best.cells)) > 1:
                rival = rival or best
            best, best_score = row, score
    if best is not None and rival is not None:
        raise BadWorkbook(f"sheet {rows.sheet.name!r}: {two_headers(rival.number, best.number)}.")
    return best


def _forced(rows: _SheetRows, number: int) -> Row:
    for row in rows.filled():
        if row.number == number:
            return row
        if row.number > number:
            break
    raise BadWorkbook(
        f"row {number} of the sheet {rows.sheet.name!r} is blank or beyond its end; it can't be the header."
    )


def _put(cells: list[Cell], column: int, value: Cell) -> None:
    if column >= len(cells):
        cells.extend([""] * (column + 1 - len(cells)))
    cells[column] = value


def _shows(cell: Cell) -> bool:
    return not isinstance(cell, str) or bool(cell.strip())


def _is_last_day_of_february_1900(value: Cell) -> bool:
    """Whether it may have been the day that Excel invented: the library gives 28 February for both."""
    if isinstance(value, datetime):
        return value.date() == _LAST_DAY_OF_FEBRUARY_1900
    return value == _LAST_DAY_OF_FEBRUARY_1900


def _to_second(value: Cell) -> Cell:
    """A time without the hair's breadth that a day's fraction leaves: 09:29:59.999 was written as
    09:30.
    """
    if isinstance(value, datetime):
        rounded = value + _correction(value.microsecond)
        # A day without a time, as the library itself has it for all formats but ODS.
        return rounded.date() if rounded.time() == time(0) else rounded
    if isinstance(value, time):
        moment = datetime.combine(date(2000, 1, 1), value)
        rounded = moment + _correction(value.microsecond)
        # The end of the day stays before it: a time has no next day to go to.
        return value if rounded.date() != moment.date() else rounded.time()
    if isinstance(value, timedelta):
        return value + _correction(value.microseconds)
    return value


def _correction(microseconds: int) -> timedelta:
    part = timedelta(microseconds=microseconds)
    if part <= _HAIR:
        return -part
    rest = timedelta(microseconds=_SECOND - microseconds)
    return rest if rest <= _HAIR else timedelta()


@contextmanager
def _border(path: Path) -> Iterator[None]:
    """Everything that foreign code may raise over a file becomes one sentence about it.

    The library panics on some damaged files, and a panic is no Exception: hence the wide net, out
    of which our own errors and the wishes of the user are let go.
    """
    try:
        yield
    except (BulkSyncError, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except (BadWorkbook, BadArchive) as error:
        raise InputError(f"{path}: {_sentence(str(error))}") from None
    except MemoryError:
        raise InputError(
            f"{path}: the workbook doesn't fit in memory. Save the sheet as 'CSV UTF-8'."
        ) from None
    except (
        OSError,
        EOFError,
        struct.error,
        zlib.error,
        ValueError,
        LookupError,
        ArithmeticError,
        RecursionError,
    ) as error:
        raise InputError(f"{path}: the workbook is damaged ({_brief(error)}). {_AGAIN}") from None
    except BaseException as error:
        if not _is_foreign(error):
            raise
        raise InputError(
            f"{path}: the workbook can't be read ({_brief(error)}). {_AGAIN}"
        ) from None


@contextmanager
def _unheard() -> Iterator[None]:
    """Keep the library's own report of a panic off the screen: it is written past Python, to
    descriptor 2.
    """
    try:
        screen = os.dup(2)
    except OSError:  # there is no screen
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    try:
        yield
    finally:
        os.dup2(screen, 2)
        os.close(screen)


def _is_foreign(error: BaseException) -> bool:
    module = type(error).__module__.partition(".")[0]
    return module in {
        "pyo3_runtime",
        "python_calamine",
        "_python_calamine",
        "olefile",
        "zipfile",
        "pyexpat",
    }


def _brief(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return (text[:120] or type(error).__name__).rstrip(".")


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."
