"""The exact reader of a sheet: cells, hidden columns and merged ranges from expat's events."""

from __future__ import annotations

from bulk_sync.model.places import cell_reference
from bulk_sync.model.rows import Cell, CellError
from bulk_sync.read.books.interface import (
    MAX_CHARACTERS,
    MAX_COLUMNS,
    MAX_MERGED,
    NO_VALUE,
    BadWorkbook,
    TooLarge,
)
from bulk_sync.read.books.markup import local
from bulk_sync.read.books.shown import Range
from bulk_sync.read.books.xlsx.places import AGAIN, place_of, row_of, whole
from bulk_sync.read.books.xlsx.sink import Sink, hides
from bulk_sync.read.books.xlsx.values import Values
from bulk_sync.read.bounds import MAX_ROW_CHARACTERS


class SheetReader:
    """Reads a sheet's elements (18.3.1.99); rows go to the sink."""

    def __init__(self, sink: Sink, values: Values) -> None:
        self.merged: list[Range] = []
        self.hidden_columns: set[int] = set()
        self._sink = sink
        self._values = values
        self._path: list[str] = []
        self._has_data = False
        self._row = 0
        self._row_is_hidden = False
        self._cells: dict[int, Cell] = {}
        self._column = -1
        self._kind = self._style = ""
        self._is_valued = self._is_formula = self._is_text = False
        self._text: list[str] = []
        self._size = 0
        self._characters = 0  # of the row so far

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """Receive the start of an element."""
        self._path.append(local(name))
        match self._path[1:]:
            case ["sheetData", "row"]:
                self._start_row(attributes)
            case ["sheetData", "row", "c"]:
                self._start_cell(attributes)
            case ["sheetData", "row", "c", *inner]:
                self._start_content(inner)
            case ["sheetData"]:
                if self._has_data:
                    raise BadWorkbook(f"the sheet has its rows in two places. {AGAIN}")
                self._has_data = True
            case ["cols", "col"]:
                self._hide(attributes)
            case ["mergeCells", "mergeCell"]:
                self._merge(attributes.get("ref", ""))
            case _:
                pass

    def end(self, _name: str) -> None:
        """Receive the end of an element."""
        match self._path[1:]:
            case ["sheetData", "row", "c"]:
                self._end_cell()
            case ["sheetData", "row", "c", "v"] | ["sheetData", "row", "c", "is", *_]:
                self._is_text = False
            case ["sheetData", "row"]:
                self._end_row()
            case _:
                pass
        self._path.pop()

    def text(self, text: str) -> None:
        """Receive characters."""
        if self._is_text:
            self._text.append(text)
            self._size += len(text)
            if self._size > MAX_CHARACTERS:
                raise TooLarge(
                    f"the cell {self._reference()} has more than {MAX_CHARACTERS:,} characters."
                )

    def _start_content(self, path: list[str]) -> None:
        match path:
            case ["v"]:
                self._is_valued = self._is_text = True
            case ["is"]:
                self._is_valued = True
            # Not of `rPh`: how to pronounce the text, which the cell doesn't show.
            case ["is", "t"] | ["is", "r", "t"]:
                self._is_text = True
            case ["f"]:
                self._is_formula = True
            case _:
                pass

    def _start_row(self, attributes: dict[str, str]) -> None:
        number = attributes.get("r")  # optional: then it follows the row before
        self._row = self._sink.last + 1 if number is None else row_of(number)
        self._row_is_hidden = hides(attributes, "ht")
        self._cells.clear()
        self._column = -1
        self._characters = 0

    def _end_row(self) -> None:
        cells: list[Cell] = [""] * (max(self._cells, default=-1) + 1)
        for column, cell in self._cells.items():
            cells[column] = cell
        self._sink.add(self._row, cells, hidden=self._row_is_hidden)

    def _start_cell(self, attributes: dict[str, str]) -> None:
        reference = attributes.get("r")
        if reference is None:
            self._column += 1
        else:
            row, self._column = place_of(reference)
            if row != self._row:
                raise BadWorkbook(f"the cell {reference} is part of row {self._row + 1}. {AGAIN}")
        if self._column >= MAX_COLUMNS:
            raise BadWorkbook(f"a cell of row {self._row + 1} is outside of any sheet. {AGAIN}")
        if self._column in self._cells:
            raise BadWorkbook(f"the cell {self._reference()} is there twice. {AGAIN}")
        self._kind = attributes.get("t", "n")
        self._style = attributes.get("s", "")
        self._is_valued = self._is_formula = False
        self._text.clear()
        self._size = 0

    def _end_cell(self) -> None:
        text = "".join(self._text)
        self._characters += len(text)
        if self._characters > MAX_ROW_CHARACTERS:
            raise TooLarge(
                f"row {self._row + 1} of it has more than {MAX_ROW_CHARACTERS:,} characters."
            )
        if text:
            self._cells[self._column] = self._converted(text)
        elif self._is_formula and not (self._is_valued and self._kind == "str"):
            self._cells[self._column] = CellError(NO_VALUE)
        else:
            self._cells[self._column] = ""

    def _converted(self, text: str) -> Cell:
        convert = self._values.converter(self._kind, self._style)
        if convert is None:
            raise BadWorkbook(
                f"the cell {self._reference()} has the unknown type {self._kind[:20]!r}. {AGAIN}"
            )
        try:
            return convert([text])[0]
        except ValueError:
            raise BadWorkbook(
                f"the cell {self._reference()} {_EXPECTED[self._kind]} and holds {text[:40]!r}. "
                f"{AGAIN}"
            ) from None

    def _hide(self, attributes: dict[str, str]) -> None:
        # Without a width, or with the width zero, a column is as hidden as with the attribute.
        if hides(attributes, "width"):
            first, last = whole(attributes.get("min", "1")), whole(attributes.get("max", "1"))
            self.hidden_columns.update(range(max(first, 1) - 1, min(last, MAX_COLUMNS)))

    def _merge(self, reference: str) -> None:
        first, _, last = reference.partition(":")
        top, left = place_of(first)
        bottom, right = place_of(last or first)
        if len(self.merged) >= MAX_MERGED:
            raise TooLarge(f"more than {MAX_MERGED:,} ranges are merged.")
        self.merged.append((top, left, bottom, right))

    def _reference(self) -> str:
        return cell_reference(self._row, self._column)


_EXPECTED = {
    "n": "should hold a number",
    "s": "should refer to one of the workbook's texts",
    "b": "should hold TRUE or FALSE",
    "d": "should hold a date",
    "str": "should hold a text",
    "inlineStr": "should hold a text",
    "e": "should hold an error",
}
