"""The survey of XLSX and XLSM: the sheet's XML and the shared strings (ECMA-376 part 1, 18.3)."""

from __future__ import annotations

import math
import re
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from bulk_sync.read.archive import Archive
from bulk_sync.read.survey.interface import (
    MAX_COLUMNS,
    NO_VALUE,
    STRING_OVERHEAD,
    BadWorkbook,
    Bounds,
    Builder,
    Sheet,
    Survey,
    shown_text,
)
from bulk_sync.read.survey.markup import feed, local
from bulk_sync.read.survey.package import (
    OFFICE_RELATIONS,
    SheetParts,
    part_of_kind,
    relations_of,
    single_sheet,
)

_SPREADSHEET = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
# Errors that the library knows; it gives up the whole sheet at any other.
_ERRORS = frozenset({"#DIV/0!", "#N/A", "#NAME?", "#NULL!", "#NUM!", "#REF!", "#VALUE!", "#DATA!"})
_TRUE = frozenset({"1", "true", "on"})
# A character that XML doesn't allow, by its code (ECMA-376 part 1, 22.9.2.19, ST_Xstring).
_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")
# Shared strings that a part may claim: the library reserves memory for as many.
_MAX_COUNT = 4_000_000

_AGAIN = "Open the workbook in a spreadsheet program and save it again."


class XlsxSurveyor:
    """A workbook of XML parts."""

    def __init__(self, archive: Archive, main: str) -> None:
        self._archive = archive
        relations = relations_of(archive, main)
        self._parts = {each.id: each for each in relations}
        self._strings_part = part_of_kind(relations, archive, "sharedStrings")
        self._styles_part = part_of_kind(relations, archive, "styles")
        workbook = _Workbook()
        feed(archive.chunks(main), workbook, main)
        self._is_1904 = workbook.is_1904
        self.sheets = [self._sheet(*each) for each in workbook.sheets]
        self.format = "XLSM" if part_of_kind(relations, archive, "vbaProject") else "XLSX"
        self._strings: _Strings | None = None
        self._styles = _Styles()

    def survey(self, sheet: Sheet) -> Survey:
        """Count a sheet's cells; see `Surveyor`."""
        bounds = Bounds()
        strings = self._shared_strings()
        bounds.text(strings.total, 1)
        grid = _Grid(Builder(bounds), strings, self._styles.padded())
        feed(self._archive.chunks(sheet.place), grid, sheet.place)
        return grid.builder.done()

    @contextmanager
    def for_library(self, sheet: Sheet) -> Iterator[tuple[BinaryIO, int]]:
        """Yield a workbook of this one sheet; see `Surveyor`."""
        parts = SheetParts(sheet.place, self._strings_part, self._styles_part)
        with single_sheet(self._archive, parts, self._workbook(), "xml") as file:
            yield file, 0

    def _workbook(self) -> bytes:
        return (
            f'<workbook xmlns="{_SPREADSHEET}" xmlns:r="{OFFICE_RELATIONS}">'
            f'<workbookPr date1904="{int(self._is_1904)}"/>'
            '<sheets><sheet name="sheet" sheetId="1" r:id="rId1"/></sheets></workbook>'
        ).encode()

    def _sheet(self, name: str, state: str, relation_id: str) -> Sheet:
        relation = self._parts.get(relation_id)
        is_grid = relation is not None and relation.kind == "worksheet"
        return Sheet(
            name,
            state not in {"hidden", "veryHidden"},
            is_grid,
            relation.target if relation else "",
        )

    def _shared_strings(self) -> _Strings:
        if self._strings is None:
            self._strings = _Strings()
            if self._strings_part is not None:
                feed(self._archive.chunks(self._strings_part), self._strings, self._strings_part)
            if self._styles_part is not None:
                feed(self._archive.chunks(self._styles_part), self._styles, self._styles_part)
        return self._strings


# Literal text, zeros for digits, literal text (ECMA-376 part 1, 18.8.31).
_PADDED = re.compile(r"""((?:"[^"]*"|\\.|[-() /])*)(0{1,15})((?:"[^"]*"|\\.|[-() /])*)""")
_Padding = tuple[str, int, str]


class _Styles:
    """The number formats that pad or frame a whole number, such as `00000` or `"SH-"0000`.

    A cell with one shows another text than its value. They are (prefix, digits, suffix) by the
    index of a cell's style.
    """

    def __init__(self) -> None:
        self._codes: dict[str, str] = {}
        self._formats: list[str] = []
        self._in_cells = False

    def padded(self) -> dict[str, _Padding]:
        found = {}
        for index, format_id in enumerate(self._formats):
            # The first section of a format is that of positive numbers.
            match = _PADDED.fullmatch(self._codes.get(format_id, "").partition(";")[0])
            if match is not None and (len(match[2]) > 1 or match[1] or match[3]):
                found[str(index)] = _bare(match[1]), len(match[2]), _bare(match[3])
        return found

    def start(self, name: str, attributes: dict[str, str]) -> None:
        match local(name):
            case "numFmt":
                # Cut, because a long code could make the pattern slow.
                self._codes[attributes.get("numFmtId", "")] = attributes.get("formatCode", "")[:200]
            case "cellXfs":  # apart from `cellStyleXfs`, whose elements have the same name
                self._in_cells = True
            case "xf" if self._in_cells:
                self._formats.append(attributes.get("numFmtId", ""))
            case _:
                pass

    def end(self, name: str) -> None:
        if local(name) == "cellXfs":
            self._in_cells = False

    def text(self, text: str) -> None:
        pass


def _bare(literal: str) -> str:
    """Return a number format's literal text without its quotes and backslashes."""
    return re.sub(r'"([^"]*)"|\\(.)', lambda match: match[1] or match[2] or "", literal)


class _Workbook:
    """The list of sheets as (name, state, id of the relation), and the date system."""

    def __init__(self) -> None:
        self.sheets: list[tuple[str, str, str]] = []
        self.is_1904 = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        match local(name):
            case "workbookPr":
                # Excel 2013 and later add a second element of this name in an extension, without
                # the date system.
                self.is_1904 = self.is_1904 or attributes.get("date1904", "").lower() in _TRUE
            case "sheet":
                # Its prefix is the file's choice, and its namespace differs in strict files.
                relation = next(
                    (value for key, value in attributes.items() if key.endswith(":id")), ""
                )
                name = attributes.get("name", "")
                self.sheets.append((name, attributes.get("state", "visible"), relation))
            case _:
                pass

    def end(self, name: str) -> None:
        pass

    def text(self, text: str) -> None:
        pass


class _Strings:
    """The size of each shared string in bytes and whether it shows anything; not the string."""

    def __init__(self) -> None:
        self.sizes = array("I")
        self.shown = bytearray()
        self.total = 0
        self._text: list[str] = []
        self._collecting = False
        self._phonetic = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        match local(name):
            case "sst":
                _check_counts(attributes)
            case "si":
                self._text.clear()
            case "rPh":  # how to pronounce the text, which the cell doesn't show
                self._phonetic = True
            case "t":
                self._collecting = not self._phonetic
            case _:
                pass

    def end(self, name: str) -> None:
        match local(name):
            case "t":
                self._collecting = False
            case "rPh":
                self._phonetic = False
            case "si":
                text = "".join(self._text)
                size = len(text.encode("utf-8", "surrogatepass"))
                self.total += size + STRING_OVERHEAD
                self.sizes.append(size)
                self.shown.append(shown_text(_unescaped(text)))
            case _:
                pass

    def text(self, text: str) -> None:
        if self._collecting:
            self._text.append(text)


class _Grid:
    """Surveys a sheet's cells, in one pass."""

    def __init__(self, builder: Builder, strings: _Strings, padded: dict[str, _Padding]) -> None:
        self.builder = builder
        self._strings = strings
        self._padded = padded
        self._style = ""
        self._row = -1
        self._next_row = 0
        self._column = 0
        self._next_column = 0
        self._columns: dict[str, int] = {}
        self._in_data = self._in_cell = self._collecting = self._phonetic = False
        self._type = ""
        self._formula = self._valued = False
        self._text: list[str] = []

    def start(self, name: str, attributes: dict[str, str]) -> None:
        # The most frequent elements first, because this runs for each of them.
        tag = name if ":" not in name else local(name)
        if tag == "c" and self._in_data:
            self._start_cell(attributes)
        elif tag == "v" and self._in_cell:
            self._valued = self._collecting = True
        elif tag == "t" and self._in_cell:
            self._collecting = not self._phonetic
        elif tag == "row" and self._in_data:
            self._start_row(attributes)
        else:
            self._start_other(tag, attributes)

    def _start_other(self, tag: str, attributes: dict[str, str]) -> None:
        match tag:
            case "f" if self._in_cell:
                self._formula = True
            case "is" if self._in_cell:
                self._valued = True
            case "rPh":
                self._phonetic = True
            case "sheetData":
                self._in_data = True
            case "mergeCell":
                self._merge(attributes.get("ref", ""))
            case _:
                pass

    def end(self, name: str) -> None:
        tag = name if ":" not in name else local(name)
        if tag in {"v", "t"}:
            self._collecting = False
        elif tag == "c" and self._in_cell:
            self._end_cell()
        elif tag == "row" and self._in_data:
            self._next_row = self._row + 1
        elif tag == "rPh":
            self._phonetic = False
        elif tag == "sheetData":
            self._in_data = False

    def text(self, text: str) -> None:
        if self._collecting:
            self._text.append(text)

    def _start_row(self, attributes: dict[str, str]) -> None:
        number = attributes.get("r")
        self._row = self._next_row if number is None else _whole(number) - 1
        self._next_column = 0
        if attributes.get("hidden", "").lower() in _TRUE:
            self.builder.hidden(self._row)

    def _start_cell(self, attributes: dict[str, str]) -> None:
        reference = attributes.get("r")
        if reference is None:  # optional: then it follows the cell before
            self._column = self._next_column
        else:
            row, self._column = self._position(reference)
            if row != self._row:
                raise BadWorkbook(f"the cell {reference} is part of row {self._row + 1}. {_AGAIN}")
        self._next_column = self._column + 1
        self._in_cell = True
        self._type = attributes.get("t", "n")
        self._style = attributes.get("s", "")
        self._formula = self._valued = False
        self._text.clear()

    def _end_cell(self) -> None:
        self._in_cell = False
        if not self._valued and not self._formula:
            return
        text = "".join(self._text)
        if self._type == "e" and text:
            self._error(text)
        elif self._formula and (not self._valued or (text == "" and self._type != "str")):
            self.builder.error(self._row, self._column, NO_VALUE)
        elif self._type == "s":
            self._shared(text)
        elif self._type in {"str", "inlineStr"}:
            self._own_text(text)
        elif text:
            self._plain(text)
        else:
            self.builder.blank(self._row, self._column)

    def _plain(self, text: str) -> None:
        self.builder.filled(self._row, self._column)
        if self._type != "n":
            return
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not math.isfinite(number) or text.strip() != text:
            raise BadWorkbook(
                f"the cell {self._reference()} should hold a number and holds {text[:40]!r}. "
                f"{_AGAIN}"
            )
        if number < 0:
            self.builder.negative(self._row, self._column)
        elif self._style in self._padded and number.is_integer() and number < 1e15:
            prefix, digits, suffix = self._padded[self._style]
            shown = f"{prefix}{int(number):0{digits}}{suffix}"
            self.builder.replace(self._row, self._column, shown)

    def _shared(self, text: str) -> None:
        strings = self._strings
        index = _whole(text)
        if index >= len(strings.sizes):
            raise BadWorkbook(
                f"the cell {self._reference()} refers to a text that isn't in the workbook. "
                f"{_AGAIN}"
            )
        shown = bool(strings.shown[index])
        self.builder.text(self._row, self._column, strings.sizes[index], shown=shown)

    def _own_text(self, text: str) -> None:
        # A character takes four bytes of UTF-8 at most.
        shown = shown_text(_unescaped(text))
        self.builder.text(self._row, self._column, 4 * len(text), shown=shown)

    def _error(self, shown: str) -> None:
        if shown not in _ERRORS:
            raise BadWorkbook(
                f"the cell {self._reference()} shows {shown[:20]!r}, an error that can't be read. "
                "Correct or delete the formula there, or save the sheet as 'CSV UTF-8'."
            )
        self.builder.error(self._row, self._column, shown)

    def _merge(self, ref: str) -> None:
        first, _, last = ref.partition(":")
        top, left = self._position(first)
        bottom, right = self._position(last or first)
        self.builder.merged(top, left, bottom, right)

    def _position(self, ref: str) -> tuple[int, int]:
        letters = ref.rstrip("0123456789")
        column = self._columns.get(letters)  # each is worked out once
        if column is None:
            column = self._columns[letters] = _column(letters)
        return _whole(ref[len(letters) :]) - 1, column

    def _reference(self) -> str:
        return cell_reference(self._row, self._column)


def cell_reference(row: int, column: int) -> str:
    """Return a cell's reference as a spreadsheet program shows it: (0, 0) is `A1`."""
    letters = ""
    column += 1
    while column:
        column, rest = divmod(column - 1, 26)
        letters = chr(65 + rest) + letters
    return f"{letters}{row + 1}"


def _column(letters: str) -> int:
    number = 0
    for letter in letters.upper():
        if not "A" <= letter <= "Z":
            raise BadWorkbook(f"{letters[:20]!r} is not the name of a column. {_AGAIN}")
        number = number * 26 + ord(letter) - 64
        if number > MAX_COLUMNS:
            raise BadWorkbook(f"a cell is in column {letters[:20]}, outside of any sheet. {_AGAIN}")
    if number == 0:
        raise BadWorkbook(f"a cell has no column in its name. {_AGAIN}")
    return number - 1


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 12):
        raise BadWorkbook(f"{text[:20]!r} is not a whole number. {_AGAIN}")
    return int(text)


def _check_counts(attributes: dict[str, str]) -> None:
    for name in ("count", "uniqueCount"):
        text = attributes.get(name, "0")
        if _whole(text) > _MAX_COUNT:
            raise BadWorkbook(f"it claims to hold {text} texts. {_AGAIN}")


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), text) if "_x" in text else text
