"""The exact reader of content.xml: its tables, and one table's cells, from expat's events."""

from __future__ import annotations

import re

from bulk_sync.model.rows import Cell
from bulk_sync.read.books.interface import MAX_CHARACTERS, MAX_COLUMNS, BadWorkbook, TooLarge
from bulk_sync.read.books.ods.cells import BadValueError, CellKind, repeats
from bulk_sync.read.books.ods.names import AGAIN, Names
from bulk_sync.read.books.ods.sink import RowKind, Sink, is_hidden, row_kind
from bulk_sync.read.bounds import MAX_ROW_CHARACTERS, MAX_SHEETS

_CELLS = frozenset({"table:table-cell", "table:covered-table-cell"})
# Elements that group rows and columns (9.1.6 to 9.1.12).
_GROUPS = frozenset(
    {
        "table:table-columns",
        "table:table-column-group",
        "table:table-header-columns",
        "table:table-rows",
        "table:table-row-group",
        "table:table-header-rows",
    }
)
# What is in a paragraph but no part of its text: objects, comments, and how to pronounce a text.
_NO_TEXT = ("draw:", "dr3d:", "form:", "office:", "table:")
_NO_TEXTS = frozenset({"text:ruby-text", "text:note"})
# The memory of an empty paragraph, in characters.
_PARAGRAPH_SIZE = 100
_SPACES = re.compile(r"[ \t\r\n]+")


class Document:
    """Reads the elements of content.xml; rows of the `wanted` table go to its sink.

    `tables` are names and styles of all tables so far.
    """

    def __init__(self, wanted: int | None = None) -> None:
        self.names = Names()
        self.tables: list[tuple[str, str]] = []
        self.hidden_styles: set[str] = set()
        self.hidden_columns: set[int] = set()
        self.sink = Sink()
        self.has_ended = False
        self._wanted = wanted
        self._style = ""
        self._path: list[str] = []
        # Elements inside of one that is passed over.
        self._passed = 0
        self._column = 0
        self._row = RowKind(1, is_hidden=False)
        self._cells: list[tuple[CellKind, Cell]] = []
        self._cell: _Cell | None = None
        self._characters = 0  # of the row so far

    @property
    def is_in_wanted(self) -> bool:
        """True while the elements are those of the wanted table."""
        return self._wanted is not None and len(self.tables) - 1 == self._wanted

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """Receive the start of an element."""
        self.names.declare(attributes)
        if self._passed:
            self._passed += 1
            return
        usual, attributes = self.names.usual(name), self.names.usual_attributes(attributes)
        try:
            if self._cell is not None:
                self._cell.start(usual, attributes)
            else:
                self._path.append(usual)
                self._start(usual, attributes)
        except BadValueError as error:
            raise self._bad(error) from None

    def end(self, _name: str) -> None:
        """Receive the end of an element."""
        if self._passed:
            self._passed -= 1
            if not self._passed:
                self._path.pop()
            return
        if self._cell is not None:
            if not self._cell.end():
                return
            self._end_cell(self._cell)
            self._cell = None
        ended = self._path.pop()
        if ended == "table:table-row" and self.is_in_wanted:
            self.sink.add(self._row, self._cells)
        elif ended == "table:table" and self.is_in_wanted:
            self.has_ended = True

    def text(self, text: str) -> None:
        """Receive characters."""
        if self._cell is not None and not self._passed:
            self._cell.text(text)

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        parent = self._path[-2] if len(self._path) > 1 else ""
        match parent, name:
            case _, "style:style":
                self._style = attributes.get("style:name", "")
            case "style:style", "style:table-properties":
                if attributes.get("table:display") == "false":
                    self.hidden_styles.add(self._style)
            case "office:spreadsheet", "table:table":
                self.tables.append(
                    (attributes.get("table:name", ""), attributes.get("table:style-name", ""))
                )
                if len(self.tables) > MAX_SHEETS:
                    raise TooLarge(f"it has more than {MAX_SHEETS:,} sheets.")
            case "table:table-row", _ if name in _CELLS:
                kind = CellKind(attributes, is_covered=name == "table:covered-table-cell")
                self._cell = _Cell(kind)
            case _ if parent == "table:table" or parent in _GROUPS:
                self._start_in_table(name, attributes)
            case "table:table-row", _:
                self._passed = 1
            case "office:spreadsheet", _:
                self._passed = 1  # tracked changes and links have tables too, of other sheets
            case _:
                pass

    def _start_in_table(self, name: str, attributes: dict[str, str]) -> None:
        if name == "table:table-row" and self.is_in_wanted:
            self._row, self._cells, self._characters = row_kind(attributes), [], 0
        elif name == "table:table-column" and self.is_in_wanted:
            self._start_column(attributes)
        elif name not in _GROUPS:
            self._passed = 1  # shapes, forms, a source; also the rows of other tables

    def _start_column(self, attributes: dict[str, str]) -> None:
        first = self._column
        self._column += repeats(attributes, "table:number-columns-repeated", MAX_COLUMNS)
        if is_hidden(attributes):
            self.hidden_columns.update(range(first, min(self._column, MAX_COLUMNS)))

    def _end_cell(self, cell: _Cell) -> None:
        try:
            value = cell.kind.value(cell.shown(), cell.kind.own, has_text=cell.has_text)
        except BadValueError as error:
            raise self._bad(error) from None
        self.sink.hold_blanks(cell.blanks)
        self._characters += cell.size
        if self._characters > MAX_ROW_CHARACTERS:
            raise TooLarge(
                f"row {self.sink.row + 1} of it has more than {MAX_ROW_CHARACTERS:,} characters."
            )
        if self.is_in_wanted:
            self._cells.append((cell.kind, value))

    def _bad(self, error: BadValueError) -> BadWorkbook:
        sheet = repr(self.tables[-1][0]) if self.tables else "it"
        return BadWorkbook(f"row {self.sink.row + 1} of the sheet {sheet}: {error}. {AGAIN}")


class _Cell:
    """The text of one cell, from its first tag to its last."""

    def __init__(self, kind: CellKind) -> None:
        self.kind = kind
        self._depth = 0
        self._passed_from = 0  # the depth of an element that is passed over, or 0
        self._paragraphs: list[_Paragraph] = []
        self.size = 0
        self.blanks = 0
        """Characters of it that are claimed by a count."""

    @property
    def has_text(self) -> bool:
        """True if the cell has a paragraph."""
        return bool(self._paragraphs)

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._passed_from:
            return
        if self._depth == 1:
            if name == "text:p":
                self._grow(_PARAGRAPH_SIZE)
                self._paragraphs.append(_Paragraph())
            elif name == "table:table" or name.startswith("text:"):
                raise BadValueError(
                    f"a cell holds {name.partition(':')[2]!r}, which can't be read as one value"
                )
            else:
                self._passed_from = 1  # a shape, a comment, or what an extension adds
        elif name in _NO_TEXTS or name.startswith(_NO_TEXT):
            self._passed_from = self._depth
        elif name == "text:s":
            spaces = _spaces(attributes)
            self.blanks += spaces
            self._put(" " * spaces)
        elif name == "text:line-break":
            self._put("\n")
        elif name == "text:tab":
            self._put("\t")

    def end(self) -> bool:
        """Leave an element; return whether it was the cell."""
        if self._depth == self._passed_from:
            self._passed_from = 0
        self._depth -= 1
        return self._depth < 0

    def text(self, text: str) -> None:
        if self._depth and not self._passed_from:
            self._grow(len(text))
            self._paragraphs[-1].add(text)

    def shown(self) -> str:
        """Return the text, once the cell has ended."""
        return "\n".join(each.shown() for each in self._paragraphs)

    def _put(self, text: str) -> None:
        self._grow(len(text))
        self._paragraphs[-1].keep(text)

    def _grow(self, size: int) -> None:
        self.size += size
        if self.size > MAX_CHARACTERS:
            raise TooLarge(f"a cell of it has more than {MAX_CHARACTERS:,} characters.")


class _Paragraph:
    """A paragraph's text: white space counts once, and not at its ends (6.1.2)."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._after_space = True

    def add(self, text: str) -> None:
        """Add characters, whose white space is collapsed."""
        text = _SPACES.sub(" ", text)
        if self._after_space:
            text = text.removeprefix(" ")
        if text:
            self._parts.append(text)
            self._after_space = text.endswith(" ")

    def keep(self, text: str) -> None:
        """Add white space that was written as an element, and is not collapsed."""
        self._parts.append(text)
        self._after_space = False

    def shown(self) -> str:
        """Return the text, once the paragraph has ended."""
        text = "".join(self._parts)
        return text.removesuffix(" ") if self._after_space else text


def paragraph(text: str) -> str:
    """Return a paragraph's plain text as it is shown (6.1.2)."""
    return _SPACES.sub(" ", text).strip(" ")


def _spaces(attributes: dict[str, str]) -> int:
    count = attributes.get("text:c", "1")
    return 0 if count == "0" else repeats(attributes, "text:c", 32_767)
