"""XLS: the cells in the BIFF records of a workbook stream ([MS-XLS] 2.3, 2.4).

A sheet has at most 65,536 rows and the file is bounded, so its cells are held until the records
after them, which merge ranges, are read.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

from bulk_sync.model.rows import Cell, CellError, Row
from bulk_sync.read.books.biff import AGAIN, Texts, cut_short, records, shared_strings
from bulk_sync.read.books.interface import (
    ERROR_CODES,
    MAX_MERGED,
    NO_VALUE,
    BadWorkbook,
    Sheet,
    TooLarge,
)
from bulk_sync.read.books.numbers import Converter, Number, plain_number, rk_number
from bulk_sync.read.books.shown import Covering, shows
from bulk_sync.read.books.styles import TextConverter, number_converter, text_converter

MAX_COLUMNS = 256

# Types of records ([MS-XLS] 2.3).
_EOF, _DATE_1904, _FILEPASS, _CODE_PAGE, _BOUND_SHEET = 0x0A, 0x22, 0x2F, 0x42, 0x85
_MUL_RK, _MUL_BLANK, _RSTRING, _XF, _MERGED, _SST, _LABEL_SST = (
    0xBD, 0xBE, 0xD6, 0xE0, 0xE5, 0xFC, 0xFD,
)  # fmt: skip
_BLANK, _NUMBER, _LABEL, _BOOL_OR_ERROR, _STRING, _ROW, _RK = (
    0x201, 0x203, 0x204, 0x205, 0x207, 0x208, 0x27E,
)  # fmt: skip
_COLUMNS, _FORMAT, _BOF = 0x7D, 0x41E, 0x809
# FORMULA, and its numbers in BIFF3 and BIFF4, which Apple Numbers writes into BIFF8; the cached
# value has the same place in all.
_FORMULAS = (0x06, 0x206, 0x406)
_BIFF5, _BIFF8 = 0x0500, 0x0600  # versions in a BOF record
_GLOBALS = 0x0005  # substream types in a BOF record
# Records with cells in any version of BIFF, by the low byte of their number; the high byte is the
# version that changed them.
_CELLS = frozenset({0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x7E, 0xBD, 0xD6, 0xFD})
_VERSIONS = frozenset({0x00, 0x02, 0x04})

_U16 = struct.Struct("<H").unpack_from
_U32 = struct.Struct("<I").unpack_from
_DOUBLE = struct.Struct("<d").unpack_from
_PLACE = struct.Struct("<HHH").unpack_from
_SHARED = struct.Struct("<HHHI").unpack_from
_RANGE = struct.Struct("<HHHH").unpack_from


class XlsBook:
    """A workbook of BIFF5 or BIFF8 records."""

    format = "XLS"

    def __init__(self, stream: bytes) -> None:
        self._stream = stream
        self._offsets: list[int] = []
        self._strings: list[str] = []
        self._converters: list[Converter] = []
        self._of_texts: list[TextConverter | None] = []
        self._is_biff8 = _is_biff8(stream)
        self._texts = Texts(stream, is_biff8=self._is_biff8)
        self.sheets: list[Sheet] = []
        self._read_globals()

    def open(self, sheet: Sheet) -> XlsGrid:
        """Read a sheet's cells; see `Book`."""
        grid = XlsGrid(self._stream, self._texts, self._strings, self._converters, self._of_texts)
        grid.read(self._offsets[int(sheet.place)])
        return grid

    def _read_globals(self) -> None:
        formats: dict[int, str] = {}
        styles: list[int] = []
        is_1904 = False
        bounds: list[tuple[int, int]] = []
        for kind, start, end in records(self._stream, 0):
            match kind:
                case 0x2F:  # FILEPASS
                    raise BadWorkbook(
                        "it is protected by a password. Save it without one, then push that file."
                    )
                case 0x42:  # CODEPAGE
                    self._texts.code_page = self._u16(start, end)
                case 0x22:  # DATE1904
                    is_1904 = self._u16(start, end) == 1
                case 0x85:  # BOUNDSHEET; read once the code page is known
                    bounds.append((start, end))
                case 0x41E:  # FORMAT
                    formats[self._u16(start, end)] = self._format(start + 2, end)
                case 0xE0:  # XF: the font, then the number format
                    styles.append(self._u16(start + 2, end))
                case 0xFC:  # SST
                    self._strings = shared_strings(self._stream, start, end)
                case 0x0A:  # EOF
                    break
                case _:
                    pass
        for start, end in bounds:
            self._read_bound_sheet(start, end)
        # Whether a cell is a date is decided by the code that the file gives for its format's id;
        # the built-in ones are for ids that it doesn't define ([MS-XLS] 2.4.126).
        self._converters = [
            number_converter(style, formats, is_1904=is_1904) or plain_number for style in styles
        ]
        self._of_texts = [text_converter(style, formats) for style in styles]

    def _format(self, start: int, end: int) -> str:
        text = self._texts.long if self._is_biff8 else self._texts.short
        return text(start, end)

    def _read_bound_sheet(self, start: int, end: int) -> None:
        if end - start < 8:
            raise cut_short()
        offset = _U32(self._stream, start)[0]
        if offset >= len(self._stream):
            raise BadWorkbook(f"a sheet of it is missing. {AGAIN}")
        state, kind = self._stream[start + 4], self._stream[start + 5]
        name = self._texts.short(start + 6, end)
        self._offsets.append(offset)
        self.sheets.append(Sheet(name, state & 3 == 0, kind == 0, place=str(len(self.sheets))))

    def _u16(self, start: int, end: int) -> int:
        if start + 2 > end:
            raise cut_short()
        return int(_U16(self._stream, start)[0])


class XlsGrid:
    """The cells of one sheet, by row; see `Grid`."""

    def __init__(
        self,
        stream: bytes,
        texts: Texts,
        strings: list[str],
        converters: list[Converter],
        of_texts: list[TextConverter | None],
    ) -> None:
        self._stream = stream
        self._texts = texts
        self._strings = strings
        self._converters = converters
        self._of_texts = of_texts
        self._rows: dict[int, list[Cell]] = {}
        self.hidden_columns: set[int] = set()
        self._hidden: set[int] = set()
        self._merged: list[tuple[int, int, int, int]] = []
        # Place and style of a formula whose text is in a STRING record that has to follow.
        self._formula: tuple[int, int, int] | None = None

    @property
    def hidden_rows(self) -> int:
        """See `Grid`."""
        return sum(1 for row in self._hidden if any(map(shows, self._rows.get(row, ()))))

    def filled(self) -> Iterator[Row]:
        """Yield the rows that show something; see `Grid`."""
        for row in sorted(self._rows):
            cells = self._rows[row]
            if any(map(shows, cells)):
                yield Row(row + 1, tuple(cells))

    def read(self, offset: int) -> None:
        """Read the sheet whose substream begins at an offset."""
        handlers = self._handlers()
        depth = 0
        for kind, start, end in records(self._stream, offset):
            # Charts inside a sheet are substreams of their own.
            if kind == _BOF:
                depth += 1
            elif kind == _EOF:
                depth -= 1
                if depth <= 0:
                    break
            elif depth == 1:
                handler = handlers.get(kind)
                if handler is not None:
                    handler(start, end)
                elif kind & 0xFF in _CELLS and kind >> 8 in _VERSIONS and kind != _BLANK:
                    raise BadWorkbook(
                        f"it has cells in records of another version of Excel (0x{kind:04X}), "
                        f"which can't be read. {AGAIN}"
                    )
            elif depth == 0:
                raise BadWorkbook(f"a sheet of it is not where its table of sheets says. {AGAIN}")
        self._cover()

    def _handlers(self) -> dict[int, Callable[[int, int], None]]:
        return {
            **dict.fromkeys(_FORMULAS, self._formula_cell),
            _STRING: self._formula_text,
            _LABEL_SST: self._shared,
            _RK: self._rk,
            _NUMBER: self._number,
            _MUL_RK: self._many,
            _LABEL: self._label,
            _RSTRING: self._label,
            _BOOL_OR_ERROR: self._bool_or_error,
            _ROW: self._row,
            _COLUMNS: self._column_info,
            _MERGED: self._merge,
        }

    def _put(self, row: int, column: int, value: Cell) -> None:
        self._formula = None  # the text of an earlier one would have come before this cell
        cells = self._rows.get(row)
        if cells is None:
            cells = self._rows[row] = []
        width = len(cells)
        if column == width:
            cells.append(value)
        elif column >= MAX_COLUMNS:
            raise BadWorkbook(
                f"a cell is outside of any sheet (row {row + 1}, column {column + 1}). {AGAIN}"
            )
        elif column > width:
            cells.extend([""] * (column - width))
            cells.append(value)
        elif cells[column] == "":
            cells[column] = value
        else:
            raise BadWorkbook(
                f"row {row + 1} has two values for the cell in column {column + 1}. {AGAIN}"
            )

    def _converted(self, row: int, style: int, value: Number) -> Cell:
        if style < len(self._converters):
            return self._converters[style](value)
        if not self._converters:  # a writer of plain values, without any style
            return plain_number(value)
        raise BadWorkbook(f"a cell in row {row + 1} has a style that isn't there. {AGAIN}")

    def _as_shown(self, style: int, text: str) -> Cell:
        of_text = self._of_texts[style] if style < len(self._of_texts) else None
        return text if of_text is None else of_text(text)

    def _shared(self, start: int, end: int) -> None:
        if end - start < 10:
            raise cut_short()
        row, column, style, index = _SHARED(self._stream, start)
        if index >= len(self._strings):
            raise BadWorkbook(f"a cell in row {row + 1} refers to a text that isn't there. {AGAIN}")
        self._put(row, column, self._as_shown(style, self._strings[index]))

    def _rk(self, start: int, end: int) -> None:
        if end - start < 10:
            raise cut_short()
        row, column, style = _PLACE(self._stream, start)
        number = rk_number(_U32(self._stream, start + 6)[0])
        self._put(row, column, self._converted(row, style, number))

    def _number(self, start: int, end: int) -> None:
        if end - start < 14:
            raise cut_short()
        row, column, style = _PLACE(self._stream, start)
        number = _DOUBLE(self._stream, start + 6)[0]
        self._put(row, column, self._converted(row, style, number))

    def _many(self, start: int, end: int) -> None:
        # Row, first column, then a style and a number for each cell, and the last column.
        if end - start < 12:
            raise cut_short()
        row, first = _PLACE(self._stream, start)[:2]
        last = _U16(self._stream, end - 2)[0]
        if (last - first + 1) * 6 != end - start - 6:
            raise cut_short()
        for column, at in zip(range(first, last + 1), range(start + 4, end - 2, 6), strict=True):
            number = rk_number(_U32(self._stream, at + 2)[0])
            self._put(row, column, self._converted(row, _U16(self._stream, at)[0], number))

    def _label(self, start: int, end: int) -> None:
        if end - start < 8:
            raise cut_short()
        row, column, style = _PLACE(self._stream, start)
        self._put(row, column, self._as_shown(style, self._texts.long(start + 6, end)))

    def _bool_or_error(self, start: int, end: int) -> None:
        if end - start < 8:
            raise cut_short()
        row, column = _PLACE(self._stream, start)[:2]
        value, is_error = self._stream[start + 6], self._stream[start + 7]
        self._put(row, column, _error(row, value) if is_error else bool(value))

    def _formula_cell(self, start: int, end: int) -> None:
        """Read a FORMULA: its result is a number, or a mark and a type ([MS-XLS] 2.5.133)."""
        if end - start < 14:
            raise cut_short()
        row, column, style = _PLACE(self._stream, start)
        if _U16(self._stream, start + 12)[0] != 0xFFFF:
            number = _DOUBLE(self._stream, start + 6)[0]
            self._put(row, column, self._converted(row, style, number))
            return
        value = self._stream[start + 8]
        match self._stream[start + 6]:
            case 0:  # a text, which comes in a STRING record
                self._put(row, column, CellError(NO_VALUE))
                self._formula = row, column, style
            case 1:
                self._put(row, column, bool(value))
            case 2:
                self._put(row, column, _error(row, value))
            case 3:  # a blank text
                self._put(row, column, "")
            case other:
                raise BadWorkbook(
                    f"a formula in row {row + 1} has a result of an unknown kind ({other}). {AGAIN}"
                )

    def _formula_text(self, start: int, end: int) -> None:
        if self._formula is not None:
            row, column, style = self._formula
            self._formula = None
            self._rows[row][column] = self._as_shown(style, self._texts.long(start, end))

    def _row(self, start: int, end: int) -> None:
        if end - start < 14:
            raise cut_short()
        if self._stream[start + 12] & 0x20:  # fDyZero ([MS-XLS] 2.4.221)
            self._hidden.add(_U16(self._stream, start)[0])

    def _column_info(self, start: int, end: int) -> None:
        """Read a COLINFO ([MS-XLS] 2.4.53): first and last column, and whether they are hidden."""
        if end - start < 10:
            raise cut_short()
        first, last = _U16(self._stream, start)[0], _U16(self._stream, start + 2)[0]
        if _U16(self._stream, start + 8)[0] & 1:
            self.hidden_columns.update(range(first, min(last + 1, MAX_COLUMNS)))

    def _merge(self, start: int, end: int) -> None:
        count = _U16(self._stream, start)[0] if end - start >= 2 else 0
        if 2 + 8 * count > end - start:
            raise cut_short()
        for at in range(start + 2, start + 2 + 8 * count, 8):
            top, bottom, left, right = _RANGE(self._stream, at)
            self._merged.append((top, left, bottom, right))
        if len(self._merged) > MAX_MERGED:
            raise TooLarge(f"more than {MAX_MERGED:,} ranges are merged.")

    def _cover(self) -> None:
        covering = Covering(self._merged)
        for row in sorted(self._rows):
            covering.blank(row, self._rows[row])


def _error(row: int, code: int) -> CellError:
    if code not in ERROR_CODES:
        raise BadWorkbook(f"a cell in row {row + 1} shows an error of an unknown kind. {AGAIN}")
    return CellError(ERROR_CODES[code])


def _is_biff8(stream: bytes) -> bool:
    """Return whether the stream is BIFF8, else BIFF5; raises BadWorkbook for other versions."""
    for kind, start, end in records(stream, 0):
        if kind != _BOF or end - start < 4:
            break
        version, substream = _U16(stream, start)[0], _U16(stream, start + 2)[0]
        if version in {_BIFF5, _BIFF8} and substream == _GLOBALS:
            return bool(version == _BIFF8)
        break
    raise BadWorkbook(
        "it was written by Excel 4 or older. Open it in a spreadsheet program and save it as XLSX."
    )
