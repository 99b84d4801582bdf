"""The survey of ODS: content.xml, see OpenDocument 1.3 part 3, 9.1.

The library reads all tables of the document at once, so the bounds are for all together. It drops
line breaks and tabs inside of texts, keeps white space that only lays out the XML, and gives long
or negative times as text; those values are read here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, time, timedelta
from typing import BinaryIO

from bulk_sync.model.rows import Formatted, text_of
from bulk_sync.read.archive import Archive
from bulk_sync.read.survey.interface import (
    MAX_COLUMNS,
    MAX_ROWS,
    NO_VALUE,
    BadWorkbook,
    Bounds,
    Builder,
    Sheet,
    Survey,
    shown_text,
)
from bulk_sync.read.survey.markup import feed
from bulk_sync.read.survey.package import repacked

CONTENT = "content.xml"
MAX_CELLS = 1_200_000
"""The library holds values and formulas of all cells, and both again while it trims the edges."""

# A covered cell is one behind a merged range; it may keep the value it had before.
_CELLS = frozenset({"table:table-cell", "table:covered-table-cell"})
_VALUES = (
    "office:value",
    "office:date-value",
    "office:time-value",
    "office:boolean-value",
    "office:string-value",
)
_NUMBERS = frozenset({"float", "percentage", "currency"})
_NUMBER = re.compile(r"-?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,3})?", re.ASCII)
# Separators that depend on the language: of thousands or decimals.
_SEPARATED = re.compile(r"\d[.,'\u2019]\d", re.ASCII)
# A time of XML Schema's type duration, without days: PT09H30M00S, -PT1.5S.
_DURATION = re.compile(r"(-?)PT(?:(\d{1,9})H)?(?:(\d{1,9})M)?(?:(\d{1,9}(?:[.,]\d*)?)S)?")
_SHOWN_ERROR = re.compile(r"#(?:DIV/0!|N/A|NAME\?|NULL!|NUM!|REF!|VALUE!|SPILL!|CALC!)|Err:\d{3}")
_SPACES = re.compile(r"[ \t\r\n]+")
_LAYOUT = re.compile(
    rb"(?<=>)[ \t\r\n]+(?=<(?:table:table-cell|table:covered-table-cell|/table:table-row)[\s/>])"
)
# Bytes at a chunk's end that may begin a match of `_LAYOUT`.
_HELD_BACK_BYTES = 64
# The least manifest that the library accepts.
_MANIFEST = (
    b'<manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0">'
    b'<manifest:file-entry manifest:full-path="/" '
    b'manifest:media-type="application/vnd.oasis.opendocument.spreadsheet"/></manifest:manifest>'
)
_AGAIN = "Open the workbook in a spreadsheet program and save it again."


class OdsSurveyor:
    """An OpenDocument spreadsheet."""

    format = "ODS"

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        content = _Content()
        feed(archive.chunks(CONTENT), content, CONTENT)
        self._surveys = content.surveys
        self.sheets = [
            Sheet(name, style not in content.hidden_styles, is_grid=True, place=str(index))
            for index, (name, style) in enumerate(content.tables)
        ]

    def survey(self, sheet: Sheet) -> Survey:
        """Count a sheet's cells; see `Surveyor`."""
        return self._surveys[int(sheet.place)]

    @contextmanager
    def for_library(self, sheet: Sheet) -> Iterator[tuple[BinaryIO, int]]:
        """Yield the tables alone; see `Surveyor`."""
        written = {
            "mimetype": b"application/vnd.oasis.opendocument.spreadsheet",
            "META-INF/manifest.xml": _MANIFEST,
        }
        with repacked(self._archive, written, {CONTENT: CONTENT}, _without_layout) as file:
            yield file, int(sheet.place)


def _without_layout(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the XML without the white space that Gnumeric and KSpread put between cells.

    The library gives up at it.
    """
    rest = b""
    for chunk in chunks:
        text = _LAYOUT.sub(b"", rest + chunk)
        rest = text[-_HELD_BACK_BYTES:]
        yield text[:-_HELD_BACK_BYTES]
    yield rest


class _Content:
    """Surveys all tables, in one pass."""

    def __init__(self) -> None:
        self.tables: list[tuple[str, str]] = []
        self.surveys: list[Survey] = []
        self.hidden_styles: set[str] = set()
        self._style = ""
        self._bounds = Bounds(MAX_CELLS)
        self._builder: Builder | None = None
        self._row = self._column = 0
        self._row_repeats = 1
        self._cell: _Cell | None = None

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if self._cell is not None:
            self._cell.start(name, attributes)
        elif name in _CELLS and self._builder is not None:
            self._cell = _Cell(attributes)
        elif name == "table:table-row":
            self._start_row(attributes)
        elif name == "table:table":
            self._start_table(attributes)
        elif name == "style:style":
            self._style = attributes.get("style:name", "")
        elif name == "style:table-properties" and attributes.get("table:display") == "false":
            self.hidden_styles.add(self._style)

    def end(self, name: str) -> None:
        if self._cell is not None:
            if name in _CELLS:
                self._end_cell(self._cell)
                self._cell = None
            else:
                self._cell.end(name)
        elif name == "table:table-row" and self._builder is not None:
            self._row += self._row_repeats
        elif name == "table:table" and self._builder is not None:
            self.surveys.append(self._builder.done())
            self._builder = None

    def text(self, text: str) -> None:
        if self._cell is not None:
            self._cell.text(text)

    def _start_table(self, attributes: dict[str, str]) -> None:
        if self._builder is not None:
            raise BadWorkbook(
                "it has a table inside of a table, which can't be read. Save the sheet as "
                "'CSV UTF-8'."
            )
        self.tables.append(
            (attributes.get("table:name", ""), attributes.get("table:style-name", ""))
        )
        self._bounds.next_sheet()
        self._builder = Builder(self._bounds)
        self._row = 0

    def _start_row(self, attributes: dict[str, str]) -> None:
        self._row_repeats = _repeats(attributes, "table:number-rows-repeated", MAX_ROWS)
        self._column = 0
        hidden = attributes.get("table:visibility") in {"collapse", "filter"}
        if hidden and self._builder is not None:
            self._builder.hidden(self._row, self._row_repeats)

    def _end_cell(self, cell: _Cell) -> None:
        if cell.is_present:
            self._count(cell)
        self._column += cell.repeats

    def _count(self, cell: _Cell) -> None:
        builder, row, column, down = self._builder, self._row, self._column, self._row_repeats
        if builder is None:
            return
        error = cell.error()
        if error is not None:
            builder.error(row, column, error, cell.repeats, down)
        elif cell.is_filled:
            builder.filled_many(row, column, cell.repeats, down)
            self._replace(builder, cell)
        else:
            builder.blank(row, column, cell.repeats, down)
        builder.bounds.text(cell.size, cell.repeats * down)
        if cell.spans != (1, 1):
            builder.merged(row, column, row + cell.spans[0] - 1, column + cell.spans[1] - 1)

    def _replace(self, builder: Builder, cell: _Cell) -> None:
        value = cell.replacement()
        if value is None:
            return
        builder.bounds.text(cell.size, cell.repeats * self._row_repeats)
        for row in range(self._row, self._row + self._row_repeats):
            for column in range(self._column, self._column + cell.repeats):
                builder.replace(row, column, value)


class _Cell:
    """One cell, from its first tag to its last."""

    def __init__(self, attributes: dict[str, str]) -> None:
        self._attributes = attributes
        self.repeats = _repeats(attributes, "table:number-columns-repeated", MAX_COLUMNS)
        self.spans = (
            _repeats(attributes, "table:number-rows-spanned", MAX_ROWS),
            _repeats(attributes, "table:number-columns-spanned", MAX_COLUMNS),
        )
        self._paragraphs: list[list[str]] = []
        self._as_library: list[str] = []
        self._depth_of_note = 0
        self._in_paragraph = 0
        self._raw_size = 0
        self._whole: str | None = None

    @property
    def is_present(self) -> bool:
        """True if the library holds anything for it."""
        return (
            "office:value-type" in self._attributes
            or "table:formula" in self._attributes
            or any(value in self._attributes for value in _VALUES)
            or self.is_filled
        )

    @property
    def size(self) -> int:
        """Bytes of text that the library holds for it, at four for a character of UTF-8."""
        formula = self._attributes.get("table:formula", "")
        own = self._attributes.get("office:string-value", "")
        return 4 * (self._raw_size + len(formula) + len(own))

    @property
    def is_filled(self) -> bool:
        """True if it shows something."""
        for value in _VALUES:
            if value in self._attributes:
                return shown_text(self._attributes[value])
        return shown_text(self._shown())

    def error(self) -> str | None:
        """The error that it shows, else None."""
        attributes, shown = self._attributes, self._shown().strip()
        # LibreOffice's extension, which Calc writes next to an empty string value.
        if attributes.get("calcext:value-type") == "error":
            return shown or "#VALUE!"
        if "table:formula" not in attributes:
            return None
        value_type = attributes.get("office:value-type")
        # Programs wrote errors as mere text before they had a type.
        if value_type != "string" and _SHOWN_ERROR.fullmatch(shown):
            return shown
        if value_type is None and not self.is_filled:
            return NO_VALUE
        return None

    def replacement(self) -> str | time | timedelta | Formatted | None:
        """Its value where the library gets it wrong or it shows another text, else None."""
        if self._attributes.get("office:value-type") in _NUMBERS:
            return self._formatted()
        if "office:time-value" in self._attributes:
            return _long_time(self._attributes["office:time-value"])
        if any(value in self._attributes for value in _VALUES):
            return None
        if self._attributes.get("office:value-type") != "string":
            return None
        shown = self._shown()
        return shown if shown != "".join(self._as_library) else None

    def _formatted(self) -> Formatted | None:
        """Return a number that is shown as another text, which the file has next to it."""
        value, text = self._attributes.get("office:value", ""), self._shown().strip()
        # Without a text, as some programs write a sheet, there is no format either.
        if text == value or not self._paragraphs or not _NUMBER.fullmatch(value):
            return None
        number = float(value)
        if text == text_of(number):
            return None
        return Formatted(number, "", text, is_local=_SEPARATED.search(text) is not None)

    def start(self, name: str, attributes: dict[str, str]) -> None:
        # A comment is inside of its cell, and has paragraphs of its own.
        if self._depth_of_note or name == "office:annotation":
            self._depth_of_note += 1
        elif name == "text:p":
            if self._paragraphs:
                self._as_library.append("\n")
            self._paragraphs.append([])
            self._in_paragraph += 1
        elif name == "text:s":
            self._put(" " * _repeats(attributes, "text:c", 32_767), as_library=True)
        elif name == "text:line-break":
            self._put("\n", as_library=False)
        elif name == "text:tab":
            self._put("\t", as_library=False)

    def end(self, name: str) -> None:
        if self._depth_of_note:
            self._depth_of_note -= 1
        elif name == "text:p":
            self._in_paragraph -= 1

    def text(self, text: str) -> None:
        if self._depth_of_note:
            return
        self._raw_size += len(text)
        self._as_library.append(text)
        if self._in_paragraph:
            # White space in a paragraph is collapsed, and dropped at its beginning (OpenDocument
            # 1.3 part 3, 6.1.2).
            self._paragraphs[-1].append(_SPACES.sub(" ", text))

    def _put(self, text: str, *, as_library: bool) -> None:
        self._raw_size += len(text)
        if as_library:
            self._as_library.append(text)
        if self._paragraphs:
            # Marks keep spaces that were written as elements from being collapsed.
            self._paragraphs[-1].append(text.replace(" ", _HARD_SPACE).replace("\t", _HARD_TAB))

    def _shown(self) -> str:
        """The text, once the cell has ended."""
        if self._whole is None:
            self._whole = "\n".join(
                _collapsed("".join(paragraph)) for paragraph in self._paragraphs
            )
        return self._whole


# Two of Unicode's noncharacters, which are for use inside of programs (Unicode 23.7).
_HARD_SPACE = "\ufdd0"
_HARD_TAB = "\ufdd1"


def _collapsed(paragraph: str) -> str:
    text = re.sub(" +", " ", paragraph).removeprefix(" ").removesuffix(" ")
    return text.replace(_HARD_SPACE, " ").replace(_HARD_TAB, "\t")


def _repeats(attributes: dict[str, str], name: str, most: int) -> int:
    text = attributes.get(name, "1")
    if not (text.isascii() and text.isdigit() and len(text) < 12):
        raise BadWorkbook(f"{text[:20]!r} is not a whole number. {_AGAIN}")
    # A sheet that is blank to its end may claim more cells than there are, so only the positions
    # of cells with content are checked.
    return max(1, min(int(text), most + 1))


def _long_time(text: str) -> time | timedelta | None:
    match = _DURATION.fullmatch(text)
    if match is None or not any(match.groups()[1:]):
        raise BadWorkbook(f"{text[:40]!r} is not a time. {_AGAIN}")
    hours, minutes = int(match[2] or 0), int(match[3] or 0)
    span = timedelta(
        hours=hours, minutes=minutes, seconds=float((match[4] or "0").replace(",", "."))
    )
    if match[1]:
        return -span
    if span >= timedelta(days=1):
        return span
    # Gnumeric writes PT012H31M00S, which the library gives as text.
    return (datetime(2000, 1, 1, tzinfo=UTC) + span).time() if len(match[2] or "") > 2 else None
