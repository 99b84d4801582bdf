"""The survey of XLS: a walk over the BIFF records of its workbook stream ([MS-XLS] 2.3, 2.4).

Only records with cells or bounds are examined. The library reads all sheets at once, so the bounds
are for all together.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from bulk_sync.read.survey.interface import (
    STRING_OVERHEAD,
    BadWorkbook,
    Bounds,
    Builder,
    Sheet,
    Survey,
    shown_text,
    utf_8_bytes,
)
from bulk_sync.read.survey.xlsb import ERROR_CODES

MAX_CELLS = 1_500_000
"""The library keeps values and formulas of all sheets."""
# Cells that a sheet may claim: the library reserves memory for them, but doesn't touch it.
_MAX_DIMENSIONS = 65_536 * 256

# Types of records ([MS-XLS] 2.3).
_FORMULA, _EOF, _CONTINUE, _FILEPASS, _DATE_1904 = 0x06, 0x0A, 0x3C, 0x2F, 0x22
_BOUND_SHEET, _MUL_RK, _RSTRING, _MERGED, _SST, _LABEL_SST = 0x85, 0xBD, 0xD6, 0xE5, 0xFC, 0xFD
_DIMENSIONS, _NUMBER, _LABEL, _BOOL_OR_ERROR, _STRING, _ROW, _RK, _BOF = (
    0x200,
    0x203,
    0x204,
    0x205,
    0x207,
    0x208,
    0x27E,
    0x809,
)
_BIFF8 = 0x0600  # the version in a BOF record

_AGAIN = "Open the workbook in a spreadsheet program and save it as XLSX."


class XlsSurveyor:
    """A workbook of BIFF5 or BIFF8 records in an OLE2 container."""

    format = "XLS"

    def __init__(self, file: BinaryIO, stream: bytes) -> None:
        self._file = file
        self._stream = stream
        self._is_biff8 = True
        self._sizes = array("I")
        self._shown = bytearray()
        self._offsets: list[int] = []
        self.sheets: list[Sheet] = []
        self._read_globals()
        self._surveys = self._read_sheets()
        self._stream = b""  # the library is about to hold one of its own

    def survey(self, sheet: Sheet) -> Survey:
        """Count a sheet's cells; see `Surveyor`."""
        return self._surveys[int(sheet.place)]

    @contextmanager
    def for_library(self, sheet: Sheet) -> Iterator[tuple[BinaryIO, int]]:
        """Yield the file itself; see `Surveyor`."""
        self._file.seek(0)
        yield self._file, int(sheet.place)

    def _read_globals(self) -> None:
        for kind, data, at in _records(self._stream, 0):
            if kind == _BOF:
                self._is_biff8 = _u16(data, 0) == _BIFF8
            elif kind == _FILEPASS:
                raise BadWorkbook(
                    "it is protected by a password. Save it without one, then push that file."
                )
            elif kind == _BOUND_SHEET:
                self._read_bound_sheet(data)
            elif kind == _SST:
                self._read_strings(at)
            elif kind == _EOF:
                return

    def _read_bound_sheet(self, data: bytes) -> None:
        name = _short_string(data, 6, is_biff8=self._is_biff8)
        offset = _u32(data, 0)
        if offset >= len(self._stream):
            raise BadWorkbook(f"a sheet of it is missing. {_AGAIN}")
        self._offsets.append(offset)
        visible, is_grid = _byte(data, 4) & 3 == 0, _byte(data, 5) == 0
        self.sheets.append(Sheet(name, visible, is_grid, place=str(len(self.sheets))))

    def _read_strings(self, at: int) -> None:
        strings = _Strings(self._stream, at)
        for text, size in strings:
            self._sizes.append(size)
            self._shown.append(shown_text(text))

    def _read_sheets(self) -> list[Survey]:
        bounds = Bounds(MAX_CELLS)
        bounds.text(sum(self._sizes) + STRING_OVERHEAD * len(self._sizes))
        surveys = []
        for offset in self._offsets:
            bounds.next_sheet()
            surveys.append(self._read_sheet(offset, Builder(bounds)))
        return surveys

    def _read_sheet(self, offset: int, builder: Builder) -> Survey:
        grid = _Grid(builder, self._sizes, self._shown, is_biff8=self._is_biff8)
        depth = 0
        for kind, data, _ in _records(self._stream, offset):
            # Charts inside a sheet are substreams of their own.
            if kind == _BOF:
                depth += 1
            elif kind == _EOF:
                depth -= 1
                if depth <= 0:
                    break
            else:
                grid.record(kind, data, inner=depth > 1)
        return builder.done()


class _Grid:
    """Surveys a sheet's cells, in one pass."""

    def __init__(
        self, builder: Builder, sizes: array[int], shown: bytearray, *, is_biff8: bool
    ) -> None:
        self._builder = builder
        self._sizes = sizes
        self._shown = shown
        self._is_biff8 = is_biff8
        self._formula: tuple[int, int] | None = None

    def record(self, kind: int, data: bytes, *, inner: bool) -> None:
        if kind == _DIMENSIONS:
            self._check_dimensions(data)
        elif inner:
            return
        elif kind == _ROW:
            if _u16(data, 12) & 0x20:  # fDyZero ([MS-XLS] 2.4.221)
                self._builder.hidden(_u16(data, 0))
        elif kind == _MERGED:
            self._merge(data)
        elif kind == _STRING:
            self._formula_text(data)
        elif kind in {
            _FORMULA,
            _MUL_RK,
            _RSTRING,
            _LABEL_SST,
            _NUMBER,
            _LABEL,
            _BOOL_OR_ERROR,
            _RK,
        }:
            self._cell(kind, _u16(data, 0), _u16(data, 2), data)

    def _cell(self, kind: int, row: int, column: int, data: bytes) -> None:
        match kind:
            # Numbers, because a bare name in a pattern would be a new variable.
            case 0x203:  # NUMBER: a double, its sign in the last byte
                self._number(row, column, negative=bool(_byte(data, 13) & 0x80))
            case 0x27E:  # RK: a number in four bytes, its sign in the last one
                self._number(row, column, negative=bool(_byte(data, 9) & 0x80))
            case 0xBD:  # MULRK
                self._many(row, column, data)
            case 0xFD:  # LABELSST
                self._shared(row, column, _u32(data, 6))
            case 0x204 | 0xD6:  # LABEL, RSTRING
                self._text(row, column, _long_string(data, 6, is_biff8=self._is_biff8))
            case 0x205:  # BOOLERR
                self._bool_or_error(row, column, _byte(data, 6), is_error=_byte(data, 7) == 1)
            case _:
                self._formula_cell(row, column, data)

    def _number(self, row: int, column: int, *, negative: bool) -> None:
        self._builder.filled(row, column)
        if negative:
            self._builder.negative(row, column)

    def _many(self, row: int, column: int, data: bytes) -> None:
        # Row, first column, then a style and a number for each cell, and the last column.
        for index, at in enumerate(range(4, len(data) - 2, 6)):
            self._number(row, column + index, negative=bool(_byte(data, at + 5) & 0x80))

    def _shared(self, row: int, column: int, index: int) -> None:
        if index >= len(self._sizes):
            raise BadWorkbook(
                f"a cell in row {row + 1} refers to a text that isn't there. {_AGAIN}"
            )
        self._builder.text(row, column, self._sizes[index], shown=bool(self._shown[index]))

    def _text(self, row: int, column: int, text: str) -> None:
        self._builder.text(row, column, utf_8_bytes(text), shown=shown_text(text))

    def _bool_or_error(self, row: int, column: int, value: int, *, is_error: bool) -> None:
        if not is_error:
            self._builder.filled(row, column)
        elif value in ERROR_CODES:
            self._builder.error(row, column, ERROR_CODES[value])
        else:
            raise BadWorkbook(
                f"a cell in row {row + 1} shows an error of an unknown kind. {_AGAIN}"
            )

    def _formula_cell(self, row: int, column: int, data: bytes) -> None:
        """Survey a FORMULA: its result is a number, or a mark and a type ([MS-XLS] 2.5.133)."""
        if _u16(data, 12) != 0xFFFF:
            self._number(row, column, negative=bool(_byte(data, 13) & 0x80))
            return
        match _byte(data, 6):
            case 0:  # a text, which comes in the next STRING record
                self._formula = (row, column)
                self._builder.blank(row, column)
            case 1:  # a truth value
                self._builder.filled(row, column)
            case 2:  # an error
                self._bool_or_error(row, column, _byte(data, 8), is_error=True)
            case _:
                self._builder.blank(row, column)

    def _formula_text(self, data: bytes) -> None:
        if self._formula is not None:
            row, column = self._formula
            self._formula = None
            self._text(row, column, _long_string(data, 0, is_biff8=self._is_biff8))

    def _merge(self, data: bytes) -> None:
        for at in range(2, 2 + 8 * _u16(data, 0), 8):
            top, bottom, left, right = (_u16(data, at + each) for each in (0, 2, 4, 6))
            self._builder.merged(top, left, bottom, right)

    def _check_dimensions(self, data: bytes) -> None:
        if self._is_biff8:
            top, bottom = _u32(data, 0), _u32(data, 4)
            left, right = _u16(data, 8), _u16(data, 10)
        else:
            top, bottom, left, right = (_u16(data, at) for at in (0, 2, 4, 6))
        # With bounds in the wrong order, the library's subtraction wraps and aborts the process.
        if bottom < top or right < left or (bottom - top) * (right - left) > _MAX_DIMENSIONS:
            raise BadWorkbook(
                f"a sheet of it claims to span rows {top} to {bottom} and columns {left} to "
                f"{right}. {_AGAIN}"
            )


class _Strings:
    """The shared strings with their sizes, across CONTINUE records ([MS-XLS] 2.4.265)."""

    def __init__(self, stream: bytes, at: int) -> None:
        self._blocks = list(_continued(stream, at))
        self._block = 0
        self._at = 8  # after the numbers of uses and of strings
        self._count = _u32(self._blocks[0], 4)
        if self._count > len(stream):
            raise BadWorkbook(f"it claims to hold {self._count} texts. {_AGAIN}")

    def __iter__(self) -> Iterator[tuple[str, int]]:
        for _ in range(self._count):
            yield self._next()

    def _next(self) -> tuple[str, int]:
        count, flags = int.from_bytes(self._take(2), "little"), self._take(1)[0]
        # Formatting runs and phonetic data come after the characters ([MS-XLS] 2.5.293).
        runs = int.from_bytes(self._take(2), "little") if flags & 8 else 0
        extra = int.from_bytes(self._take(4), "little") if flags & 4 else 0
        text = self._characters(count, wide=bool(flags & 1))
        self._skip(4 * runs + extra)
        return text, utf_8_bytes(text)

    def _characters(self, count: int, *, wide: bool) -> str:
        text = ""
        while count:
            if self._at >= len(self._blocks[self._block]):
                # A text that continues in the next record states its characters' width again.
                self._advance()
                wide = bool(self._take(1)[0] & 1)
            width = 2 if wide else 1
            part = min(count, (len(self._blocks[self._block]) - self._at) // width)
            if part == 0:
                raise BadWorkbook(f"a text of it is cut short. {_AGAIN}")
            text += self._take(part * width).decode("utf-16-le" if wide else "latin-1", "replace")
            count -= part
        return text

    def _take(self, size: int) -> bytes:
        if self._at >= len(self._blocks[self._block]):
            self._advance()
        data = self._blocks[self._block][self._at : self._at + size]
        if len(data) < size:
            raise BadWorkbook(f"a text of it is cut short. {_AGAIN}")
        self._at += size
        return data

    def _skip(self, size: int) -> None:
        while size:
            left = len(self._blocks[self._block]) - self._at
            if size <= left:
                self._at += size
                return
            size -= left
            self._advance()

    def _advance(self) -> None:
        self._block, self._at = self._block + 1, 0
        if self._block >= len(self._blocks):
            raise BadWorkbook(f"a text of it is cut short. {_AGAIN}")


def _records(stream: bytes, at: int) -> Iterator[tuple[int, bytes, int]]:
    """Yield the records from an offset on as (type, data, offset)."""
    while at + 4 <= len(stream):
        kind, size = _u16(stream, at), _u16(stream, at + 2)
        if at + 4 + size > len(stream):
            raise BadWorkbook(f"a record of it is cut short. {_AGAIN}")
        yield kind, stream[at + 4 : at + 4 + size], at
        at += 4 + size


def _continued(stream: bytes, at: int) -> Iterator[bytes]:
    for index, (kind, data, _) in enumerate(_records(stream, at)):
        if index and kind != _CONTINUE:
            return
        yield data


def _short_string(data: bytes, at: int, *, is_biff8: bool) -> str:
    return _string(data, at + 1, _byte(data, at), is_biff8=is_biff8)


def _long_string(data: bytes, at: int, *, is_biff8: bool) -> str:
    return _string(data, at + 2, _u16(data, at), is_biff8=is_biff8)


def _string(data: bytes, at: int, count: int, *, is_biff8: bool) -> str:
    # The eight-bit text of BIFF5 is in a code page; only its length, its blanks and the names of
    # sheets matter here.
    if not is_biff8:
        return data[at : at + count].decode("cp1252", "replace")
    if count and _byte(data, at) & 1:
        return data[at + 1 : at + 1 + 2 * count].decode("utf-16-le", "replace")
    return data[at + 1 : at + 1 + count].decode("latin-1")


def _u16(data: bytes, at: int) -> int:
    if at + 2 > len(data):
        raise BadWorkbook(f"a record of it is cut short. {_AGAIN}")
    return data[at] | data[at + 1] << 8


def _u32(data: bytes, at: int) -> int:
    return _u16(data, at) | _u16(data, at + 2) << 16


def _byte(data: bytes, at: int) -> int:
    if at >= len(data):
        raise BadWorkbook(f"a record of it is cut short. {_AGAIN}")
    return data[at]
