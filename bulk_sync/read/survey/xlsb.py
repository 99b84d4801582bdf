"""The survey of XLSB: a walk over its binary records ([MS-XLSB] 2.1.4, 2.3)."""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import BinaryIO

from bulk_sync.read.archive import Archive
from bulk_sync.read.survey.formats import Formats
from bulk_sync.read.survey.interface import (
    STRING_OVERHEAD,
    BadWorkbook,
    Bounds,
    Builder,
    Sheet,
    Survey,
    TooLarge,
    shown_text,
    utf_8_bytes,
)
from bulk_sync.read.survey.package import SheetParts, part_of_kind, relations_of, single_sheet

# Types of records ([MS-XLSB] 2.3).
_ROW, _BLANK, _RK, _ERROR, _BOOL, _REAL, _STRING, _SHARED = range(8)
_FORMULA_STRING, _FORMULA_NUMBER, _FORMULA_BOOL, _FORMULA_ERROR = range(8, 12)
_SST_ITEM = 19
_BEGIN_DATA, _END_DATA, _DIMENSIONS, _MERGED = 145, 146, 148, 176
_WORKBOOK_PROPERTIES, _SHEET = 153, 156
_BEGIN_STRINGS, _BEGIN_FORMATS, _BEGIN_CELL_FORMATS, _END_CELL_FORMATS = 159, 615, 617, 618
_FORMAT, _CELL_FORMAT = 44, 47
# Strings or formats that a part may claim: the library reserves memory for as many.
_MAX_COUNT = 4_000_000
# A text of 32,767 characters and its formatting take a twentieth of it.
_MAX_RECORD_BYTES = 4 * 1024 * 1024

ERROR_CODES = {
    0x00: "#NULL!",
    0x07: "#DIV/0!",
    0x0F: "#VALUE!",
    0x17: "#REF!",
    0x1D: "#NAME?",
    0x24: "#NUM!",
    0x2A: "#N/A",
    0x2B: "#GETTING_DATA",
}
"""BErr of [MS-XLSB] 2.5.97.2, the same in [MS-XLS] 2.5.10."""

_AGAIN = "Open the workbook in a spreadsheet program and save it again."


class XlsbSurveyor:
    """A workbook of binary parts."""

    format = "XLSB"

    def __init__(self, archive: Archive, main: str) -> None:
        self._archive = archive
        relations = relations_of(archive, main)
        self._parts = {each.id: each for each in relations}
        self._strings_part = part_of_kind(relations, archive, "sharedStrings")
        self._styles_part = part_of_kind(relations, archive, "styles")
        self._is_1904 = False
        self.sheets: list[Sheet] = []
        for kind, data in records(archive.chunks(main)):
            if kind == _WORKBOOK_PROPERTIES:
                self._is_1904 = bool(_u32(data, 0) & 1)
            elif kind == _SHEET:
                self.sheets.append(self._sheet(data))
        self._strings: tuple[array[int], bytearray] | None = None
        self._formats = Formats({}, ())

    def survey(self, sheet: Sheet) -> Survey:
        """Count a sheet's cells; see `Surveyor`."""
        bounds = Bounds()
        sizes, shown = self._shared_strings()
        bounds.text(sum(sizes) + STRING_OVERHEAD * len(sizes))
        grid = _Grid(Builder(bounds, self._formats), sizes, shown)
        for kind, data in records(self._archive.chunks(sheet.place)):
            grid.record(kind, data)
        return grid.builder.done()

    @contextmanager
    def for_library(self, sheet: Sheet) -> Iterator[tuple[BinaryIO, int]]:
        """Yield a workbook of this one sheet; see `Surveyor`."""
        parts = SheetParts(sheet.place, self._strings_part, self._styles_part)
        with single_sheet(self._archive, parts, self._workbook(), "bin") as file:
            yield file, 0

    def _workbook(self) -> bytes:
        properties = struct.pack("<III", int(self._is_1904), 0, 0)
        sheet = struct.pack("<II", 0, 1) + wide("rId1") + wide("sheet")
        # BrtBeginBook, WbProp, BeginBundleShs, BundleSh, EndBundleShs, EndBook.
        parts = ((131, b""), (153, properties), (143, b""), (156, sheet), (144, b""), (132, b""))
        return b"".join(record(kind, data) for kind, data in parts)

    def _sheet(self, data: bytes) -> Sheet:
        relation_id, after = _wide_string(data, 8)
        name, _ = _wide_string(data, after)
        relation = self._parts.get(relation_id)
        is_grid = relation is not None and relation.kind == "worksheet"
        return Sheet(name, _u32(data, 0) == 0, is_grid, relation.target if relation else "")

    def _shared_strings(self) -> tuple[array[int], bytearray]:
        if self._strings is None:
            self._strings = array("I"), bytearray()
            if self._strings_part is not None:
                self._read_strings(self._strings_part)
            if self._styles_part is not None:
                self._formats = self._read_styles(self._styles_part)
        return self._strings

    def _read_strings(self, part: str) -> None:
        sizes, shown = self._shared_strings()
        for kind, data in records(self._archive.chunks(part)):
            if kind == _BEGIN_STRINGS:
                _check_count(_u32(data, 0))
                _check_count(_u32(data, 4))
            elif kind == _SST_ITEM:
                text, _ = _wide_string(data, 1)
                sizes.append(utf_8_bytes(text))
                shown.append(shown_text(text))

    def _read_styles(self, part: str) -> Formats:
        codes: dict[int, str] = {}
        styles: list[int] = []
        in_cells = False
        for kind, data in records(self._archive.chunks(part)):
            if kind in {_BEGIN_FORMATS, _BEGIN_CELL_FORMATS}:
                _check_count(_u32(data, 0))
            if kind in {_BEGIN_CELL_FORMATS, _END_CELL_FORMATS}:
                in_cells = kind == _BEGIN_CELL_FORMATS
            elif kind == _FORMAT:  # BrtFmt: id and code ([MS-XLSB] 2.4.689)
                codes[_u16(data, 0)], _ = _wide_string(data, 2)
            elif kind == _CELL_FORMAT and in_cells:  # BrtXF: the id follows the parent (2.4.844)
                styles.append(_u16(data, 2))
        return Formats(codes, styles)


class _Grid:
    """Surveys a sheet's cells, in one pass."""

    def __init__(self, builder: Builder, sizes: array[int], shown: bytearray) -> None:
        self.builder = builder
        self._sizes = sizes
        self._shown = shown
        self._row = 0
        self._in_data = False

    def record(self, kind: int, data: bytes) -> None:
        if kind == _BEGIN_DATA:
            self._in_data = True
        elif kind == _END_DATA:
            self._in_data = False
        elif kind == _MERGED:
            top, bottom, left, right = (_u32(data, at) for at in (0, 4, 8, 12))
            self.builder.merged(top, left, bottom, right)
        elif kind == _DIMENSIONS and len(data) < 16:
            raise BadWorkbook(f"a record of the sheet is cut short. {_AGAIN}")
        elif kind == _ROW and self._in_data:
            self._row = _u32(data, 0)
            # fDyZero: bit 4 of the byte after rw, ixfe, miyRw and one of flags ([MS-XLSB] 2.4.741).
            if len(data) > 11 and data[11] & 0x10:
                self.builder.hidden(self._row)
        elif _BLANK < kind <= _FORMULA_ERROR and self._in_data:
            self._cell(kind, _u32(data, 0), data)

    def _cell(self, kind: int, column: int, data: bytes) -> None:
        if kind in {_ERROR, _FORMULA_ERROR}:
            code = _byte(data, 8)
            if code not in ERROR_CODES:
                raise BadWorkbook(
                    f"a cell in row {self._row + 1} shows an error of an unknown kind. {_AGAIN}"
                )
            self.builder.error(self._row, column, ERROR_CODES[code])
        elif kind == _SHARED:
            index = _u32(data, 8)
            if index >= len(self._sizes):
                raise BadWorkbook(
                    f"a cell in row {self._row + 1} refers to a text that isn't there. {_AGAIN}"
                )
            shown = bool(self._shown[index])
            self.builder.text(self._row, column, self._sizes[index], shown=shown)
            self.builder.styled_text(self._row, column, _style(data))
        elif kind in {_STRING, _FORMULA_STRING}:
            text, _ = _wide_string(data, 8)
            self.builder.text(self._row, column, utf_8_bytes(text), shown=shown_text(text))
            self.builder.styled_text(self._row, column, _style(data))
        else:
            self._number(kind, column, data)

    def _number(self, kind: int, column: int, data: bytes) -> None:
        self.builder.filled(self._row, column)
        # The sign is the highest bit of an RK number's four bytes, or of a double's eight.
        negative = False
        if kind == _RK:
            negative = _u32(data, 8) >> 31 == 1
        elif kind in {_REAL, _FORMULA_NUMBER}:
            negative = _byte(data, 15) >> 7 == 1
        if negative:
            self.builder.negative(self._row, column)
        if kind in {_RK, _REAL, _FORMULA_NUMBER}:
            self.builder.number(self._row, column, _style(data))


def records(chunks: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield the records of a binary part as (type, data)."""
    source = iter(chunks)
    pending = bytearray()
    at = 0
    while True:
        head = _head(pending, at)
        if head is not None and len(pending) >= head[2] + head[1]:
            kind, size, start = head
            yield kind, bytes(pending[start : start + size])
            at = start + size
            continue
        if head is not None and head[1] > _MAX_RECORD_BYTES:
            raise TooLarge(f"a record in it takes {head[1]:,} bytes.")
        del pending[:at]
        at = 0
        chunk = next(source, None)
        if chunk is None:
            break
        pending += chunk
    if pending:
        raise BadWorkbook(f"a record of it is cut short. {_AGAIN}")


def _head(data: bytearray, at: int) -> tuple[int, int, int] | None:
    """Return type, size and data offset of the record at an offset; None if bytes are missing.

    Both numbers have seven bits in each byte, whose highest bit says that another byte follows: the
    type at most two, the size at most four ([MS-XLSB] 2.1.4).
    """
    kind = shift = 0
    for width in range(2):
        if at >= len(data):
            return None
        kind |= (data[at] & 0x7F) << (7 * width)
        at += 1
        if data[at - 1] < 0x80:
            break
    size = 0
    for _ in range(4):
        if at >= len(data):
            return None
        size |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
        if data[at - 1] < 0x80:
            break
    return kind, size, at


def record(kind: int, data: bytes) -> bytes:
    """Encode a record."""
    head = bytes([kind]) if kind < 0x80 else bytes([kind & 0x7F | 0x80, kind >> 7])
    size = len(data)
    while size >= 0x80:
        head += bytes([size & 0x7F | 0x80])
        size >>= 7
    return head + bytes([size]) + data


def wide(text: str) -> bytes:
    """Encode an XLWideString ([MS-XLSB] 2.5.168)."""
    encoded = text.encode("utf-16-le")
    return struct.pack("<I", len(encoded) // 2) + encoded


def _wide_string(data: bytes, at: int) -> tuple[str, int]:
    count = _u32(data, at)
    end = at + 4 + 2 * count
    if end > len(data):
        raise BadWorkbook(f"a text of it is cut short. {_AGAIN}")
    return data[at + 4 : end].decode("utf-16-le", "replace"), end


def _style(data: bytes) -> int:
    """Return the style of a cell: 24 bits after its column ([MS-XLSB] 2.5.9)."""
    return _u32(data, 4) & 0xFFFFFF


def _u16(data: bytes, at: int) -> int:
    return _byte(data, at) | _byte(data, at + 1) << 8


def _u32(data: bytes, at: int) -> int:
    if at + 4 > len(data):
        raise BadWorkbook(f"a record of it is cut short. {_AGAIN}")
    return int.from_bytes(data[at : at + 4], "little")


def _byte(data: bytes, at: int) -> int:
    if at >= len(data):
        raise BadWorkbook(f"a record of it is cut short. {_AGAIN}")
    return data[at]


def _check_count(count: int) -> None:
    if count > _MAX_COUNT:
        raise BadWorkbook(f"it claims to hold {count} texts or formats. {_AGAIN}")
