"""XLSB: the cells in the records of binary parts ([MS-XLSB] 2.1.4, 2.3), streamed."""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterable, Iterator

from bulk_sync.model.rows import Cell, CellError, Row
from bulk_sync.read.archive import Archive
from bulk_sync.read.books.interface import (
    ERROR_CODES,
    MAX_COLUMNS,
    MAX_MERGED,
    MAX_ROWS,
    BadWorkbook,
    Sheet,
    TooLarge,
)
from bulk_sync.read.books.numbers import Converter, Number, plain_number, rk_number
from bulk_sync.read.books.package import part_of_kind, relations_of
from bulk_sync.read.books.shown import Covering, Range
from bulk_sync.read.books.styles import TextConverter, number_converter, text_converter
from bulk_sync.read.books.xlsx.sink import Sink
from bulk_sync.read.books.xlsx.strings import MAX_BYTES
from bulk_sync.read.bounds import MAX_ROW_CHARACTERS, MAX_SHEETS

# Types of records ([MS-XLSB] 2.3).
_ROW, _BLANK, _RK, _ERROR, _BOOL, _REAL, _STRING, _SHARED = range(8)
_FORMULA_STRING, _FORMULA_NUMBER, _FORMULA_BOOL, _FORMULA_ERROR = range(8, 12)
_SST_ITEM, _FORMAT, _CELL_FORMAT, _COLUMNS, _RICH_STRING = 19, 44, 47, 60, 62
_BEGIN_DATA, _END_DATA, _WORKBOOK_PROPERTIES, _SHEET, _MERGED = 145, 146, 153, 156, 176
_BEGIN_CELL_FORMATS, _END_CELL_FORMATS = 617, 618
# Cells without a column of their own, which follow the one before: no record of Excel's, but
# SheetJS writes them and LibreOffice reads them (its BIFF12_ID_MULTCELL).
_SHORT = {12: _BLANK, 13: _RK, 14: _ERROR, 15: _BOOL, 16: _REAL, 17: _STRING, 18: _SHARED,
          61: _RICH_STRING}  # fmt: skip
# Others among the rows: extensions (35 to 38), metadata of cells (49, 50).
_NO_CELLS = frozenset({35, 36, 37, 38, 49, 50})
# A text of 32,767 characters and its formatting take a twentieth of it.
_MAX_RECORD_BYTES = 4 * 1024 * 1024
_LONGEST_HEAD = 6  # type and size of a record
_POINTER_BYTES = 8

_U32 = struct.Struct("<I").unpack_from
_U16 = struct.Struct("<H").unpack_from
_DOUBLE = struct.Struct("<d").unpack_from
_BYTE = struct.Struct("<B").unpack_from
_PLACE = struct.Struct("<II").unpack_from

_AGAIN = "Open the workbook in a spreadsheet program and save it again."


class XlsbBook:
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
                if len(self.sheets) > MAX_SHEETS:
                    raise TooLarge(f"it has more than {MAX_SHEETS:,} sheets.")
        self._values: _Values | None = None

    def open(self, sheet: Sheet) -> XlsbGrid:
        """Return a sheet's cells; see `Book`."""
        if self._values is None:
            self._values = _Values(self._strings(), *self._styles())
        return XlsbGrid(self._archive, sheet.place, self._values)

    def _sheet(self, data: bytes) -> Sheet:
        relation_id, after = _wide_string(data, 8)
        name, _ = _wide_string(data, after)
        relation = self._parts.get(relation_id)
        is_grid = relation is not None and relation.kind == "worksheet"
        return Sheet(name, _u32(data, 0) == 0, is_grid, relation.target if relation else "")

    def _strings(self) -> list[str]:
        texts: list[str] = []
        if self._strings_part is None:
            return texts
        size = 0
        for kind, data in records(self._archive.chunks(self._strings_part)):
            if kind == _SST_ITEM:  # flags, then the text (2.5.122)
                text, _ = _wide_string(data, 1)
                texts.append(text)
                size += sys.getsizeof(text) + _POINTER_BYTES
                if size > MAX_BYTES:
                    raise TooLarge(f"its texts take more than {MAX_BYTES // 2**20:,} MB of memory.")
        return texts

    def _styles(self) -> tuple[list[Converter], list[TextConverter | None]]:
        codes: dict[int, str] = {}
        styles: list[int] = []
        in_cells = False
        chunks = () if self._styles_part is None else self._archive.chunks(self._styles_part)
        for kind, data in records(chunks):
            if kind in {_BEGIN_CELL_FORMATS, _END_CELL_FORMATS}:
                in_cells = kind == _BEGIN_CELL_FORMATS
            elif kind == _FORMAT:  # BrtFmt: id and code (2.4.689)
                codes[_u16(data, 0)], _ = _wide_string(data, 2)
            elif kind == _CELL_FORMAT and in_cells:  # BrtXF: the id follows the parent (2.4.844)
                styles.append(_u16(data, 2))
        numbers = {
            each: number_converter(each, codes, is_1904=self._is_1904) or plain_number
            for each in set(styles)
        }
        texts = {each: text_converter(each, codes) for each in set(styles)}
        return [numbers[each] for each in styles], [texts[each] for each in styles]


class XlsbGrid:
    """The cells of one sheet; `hidden_rows` is complete after a reading."""

    def __init__(self, archive: Archive, part: str, values: _Values) -> None:
        self.hidden_rows = 0
        self.hidden_columns: set[int] = set()
        self._archive = archive
        self._part = part
        self._values = values
        self._merged = self._find_merged()

    def filled(self) -> Iterator[Row]:
        """Yield the rows with a cell that shows something; see `Grid`."""
        sink = Sink(Covering(self._merged))
        reader = _Reader(sink, self._values)
        for kind, data in records(self._archive.chunks(self._part)):
            try:
                begins_row = reader.record(kind, data)
            except struct.error:
                raise BadWorkbook(f"a record of it is cut short. {_AGAIN}") from None
            except LookupError:
                raise BadWorkbook(
                    f"a cell in row {reader.row + 1} refers to a style or a text that isn't "
                    f"there. {_AGAIN}"
                ) from None
            if begins_row:
                self.hidden_columns = reader.hidden_columns
                yield from sink.drain()
        reader.finish()
        yield from sink.drain()
        self.hidden_rows = sink.hidden_rows

    def _find_merged(self) -> list[Range]:
        """Return the merged ranges, which come after the rows that they cover."""
        merged: list[Range] = []
        for _, data in records(self._archive.chunks(self._part), frozenset({_MERGED})):
            top, bottom, left, right = (_u32(data, at) for at in (0, 4, 8, 12))
            merged.append((top, left, bottom, right))
            if len(merged) > MAX_MERGED:
                raise TooLarge(f"more than {MAX_MERGED:,} ranges are merged.")
        return merged


class _Values:
    """The shared texts, and each style's converters.

    The methods read a cell's value at an offset of its record; they raise LookupError for a style
    or a text that isn't there, struct.error for data that is cut short.
    """

    def __init__(
        self, texts: list[str], numbers: list[Converter], of_texts: list[TextConverter | None]
    ) -> None:
        self._texts = texts
        self._numbers = numbers
        self._of_texts = of_texts
        # A writer of plain values has no styles at all.
        self._has_styles = bool(numbers)

    def shared(self, style: int, data: bytes, at: int) -> Cell:
        """Read a BrtCellIsst: the index of a shared text."""
        return self._text(style, self._texts[_U32(data, at)[0]])

    def rk(self, style: int, data: bytes, at: int) -> Cell:
        """Read a BrtCellRk."""
        return self._number(style, rk_number(_U32(data, at)[0]))

    def real(self, style: int, data: bytes, at: int) -> Cell:
        """Read a BrtCellReal or a BrtFmlaNum."""
        return self._number(style, _DOUBLE(data, at)[0])

    def string(self, style: int, data: bytes, at: int) -> Cell:
        """Read a BrtCellSt or a BrtFmlaString."""
        return self._text(style, _wide_string(data, at)[0])

    def rich_string(self, style: int, data: bytes, at: int) -> Cell:
        """Read a BrtCellRString: flags, then the text (2.5.122)."""
        return self._text(style, _wide_string(data, at + 1)[0])

    def truth(self, _style: int, data: bytes, at: int) -> Cell:
        """Read a BrtCellBool or a BrtFmlaBool."""
        return bool(_BYTE(data, at)[0])

    def error(self, _style: int, data: bytes, at: int) -> Cell:
        """Read a BrtCellError or a BrtFmlaError."""
        code = _BYTE(data, at)[0]
        if code not in ERROR_CODES:
            raise BadWorkbook(f"a cell of it shows an error of an unknown kind ({code}). {_AGAIN}")
        return CellError(ERROR_CODES[code])

    def blank(self, _style: int, _data: bytes, _at: int) -> Cell:
        """Read a BrtCellBlank."""
        return ""

    def _number(self, style: int, value: Number) -> Cell:
        return self._numbers[style](value) if self._has_styles else plain_number(value)

    def _text(self, style: int, text: str) -> Cell:
        convert = self._of_texts[style] if self._has_styles else None
        return text if convert is None else convert(text)


class _Reader:
    """Reads a sheet's records in their order; rows go to the sink."""

    def __init__(self, sink: Sink, values: _Values) -> None:
        self.row = -1
        self.hidden_columns: set[int] = set()
        self._sink = sink
        self._in_data = False
        self._is_hidden = False
        self._cells: list[Cell] = []
        self._characters = 0  # of the row so far
        self._column = -1
        self._read = {
            _BLANK: values.blank,
            _RK: values.rk,
            _ERROR: values.error,
            _BOOL: values.truth,
            _REAL: values.real,
            _STRING: values.string,
            _SHARED: values.shared,
            _FORMULA_STRING: values.string,
            _FORMULA_NUMBER: values.real,
            _FORMULA_BOOL: values.truth,
            _FORMULA_ERROR: values.error,
            _RICH_STRING: values.rich_string,
        }
        self._read_short = {short: self._read[kind] for short, kind in _SHORT.items()}

    def record(self, kind: int, data: bytes) -> bool:
        """Read a record; return whether it began a row. Raises as `_Values` does."""
        if not self._in_data:
            if kind == _BEGIN_DATA:
                self._in_data = True
            elif kind == _COLUMNS:
                self._hide(data)
        elif (read := self._read.get(kind)) is not None:
            column, style = _PLACE(data)  # the style has 24 bits (2.5.9)
            self._put(column, read(style & 0xFFFFFF, data, 8))
        elif kind == _ROW:
            self._add()
            self._start_row(data)
            return True
        elif (read := self._read_short.get(kind)) is not None:
            self._put(self._column + 1, read(_U32(data)[0] & 0xFFFFFF, data, 4))
        elif kind == _END_DATA:
            self._in_data = False
        elif kind < _RICH_STRING and kind not in _NO_CELLS:
            raise BadWorkbook(
                f"row {self.row + 1} has a cell in a record of an unknown kind ({kind}), which "
                f"can't be read. {_AGAIN}"
            )
        return False

    def finish(self) -> None:
        """Add the last row; raises BadWorkbook if the sheet ends among its rows."""
        if self._in_data:
            raise BadWorkbook(f"its rows are cut short after row {self.row + 1}. {_AGAIN}")
        self._add()

    def _add(self) -> None:
        if self._cells:
            self._sink.add(self.row, self._cells, hidden=self._is_hidden)

    def _start_row(self, data: bytes) -> None:
        row = _U32(data)[0]
        if row >= MAX_ROWS:
            raise BadWorkbook(f"a row is outside of any sheet (row {row + 1}). {_AGAIN}")
        if row <= self.row:
            raise BadWorkbook(
                f"its rows are out of order: row {row + 1} follows row {self.row + 1}. {_AGAIN}"
            )
        # fDyZero: bit 4 of the byte after rw, ixfe, miyRw and one of flags (2.4.741).
        self.row, self._is_hidden = row, len(data) > 11 and bool(data[11] & 0x10)
        self._cells, self._column, self._characters = [], -1, 0

    def _put(self, column: int, value: Cell) -> None:
        if value.__class__ is str:
            self._characters += len(value)
            if self._characters > MAX_ROW_CHARACTERS:
                raise TooLarge(
                    f"row {self.row + 1} of it has more than {MAX_ROW_CHARACTERS:,} characters."
                )
        if not self._column < column < MAX_COLUMNS or self.row < 0:
            raise BadWorkbook(f"row {self.row + 1} has a cell out of order. {_AGAIN}")
        self._column = column
        if value == "":
            return
        cells = self._cells
        if column > len(cells):
            cells.extend([""] * (column - len(cells)))
        cells.append(value)

    def _hide(self, data: bytes) -> None:
        """Read a BrtColInfo (2.4.323): first and last column, width, style, flags."""
        first, last = _u32(data, 0), _u32(data, 4)
        if _u16(data, 16) & 1:
            self.hidden_columns.update(range(first, min(last + 1, MAX_COLUMNS)))


def records(
    chunks: Iterable[bytes], wanted: frozenset[int] | None = None
) -> Iterator[tuple[int, bytes]]:
    """Yield the records of a binary part as (type, data), all or those of the wanted types.

    Raises BadWorkbook for one that is cut short, TooLarge for one that is too long.
    """
    pending, at = b"", 0
    for chunk in chunks:
        pending, at = pending[at:] + chunk, 0
        last = len(pending)
        while at + _LONGEST_HEAD <= last:
            kind, size, start = _head(pending, at)
            if start + size > last:
                break
            if wanted is None or kind in wanted:
                yield kind, pending[start : start + size]
            at = start + size
    while at < len(pending):
        # Enough bytes for any head; what they would add to the data is missing then.
        kind, size, start = _head(pending + bytes(_LONGEST_HEAD), at)
        if start + size > len(pending):
            raise BadWorkbook(f"a record of it is cut short. {_AGAIN}")
        if wanted is None or kind in wanted:
            yield kind, pending[start : start + size]
        at = start + size


def _head(data: bytes, at: int) -> tuple[int, int, int]:
    """Return type, size and data offset of the record at an offset.

    Both numbers have seven bits in each byte, whose highest bit says that another byte follows: the
    type at most two, the size at most four ([MS-XLSB] 2.1.4).
    """
    kind, size = data[at], data[at + 1]
    at += 2
    if kind >= 0x80:
        kind = kind & 0x7F | (size & 0x7F) << 7
        size = data[at]
        at += 1
    if size >= 0x80:
        size &= 0x7F
        for shift in (7, 14, 21):
            byte = data[at]
            size |= (byte & 0x7F) << shift
            at += 1
            if byte < 0x80:
                break
        if size > _MAX_RECORD_BYTES:
            raise TooLarge(f"a record in it takes {size:,} bytes.")
    return kind, size, at


def _wide_string(data: bytes, at: int) -> tuple[str, int]:
    """Return an XLWideString (2.5.168) and the offset of its end."""
    end = at + 4 + 2 * _u32(data, at)
    if end > len(data):
        raise BadWorkbook(f"a text of it is cut short. {_AGAIN}")
    # A lone half of a character becomes U+FFFD, which the check points out.
    return data[at + 4 : end].decode("utf-16-le", "replace"), end


def _u16(data: bytes, at: int) -> int:
    _need(data, at + 2)
    return int(_U16(data, at)[0])


def _u32(data: bytes, at: int) -> int:
    _need(data, at + 4)
    return int(_U32(data, at)[0])


def _need(data: bytes, end: int) -> None:
    if end > len(data):
        raise BadWorkbook(f"a record of it is cut short. {_AGAIN}")
