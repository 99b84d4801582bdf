"""The interface of surveys, and the bounds that they enforce while they count."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import BinaryIO, Protocol

from msgspec import Struct

from bulk_sync.model.rows import Cell
from bulk_sync.read.survey.formats import Formats, FormattedCells

# The size of Excel's sheets; a cell beyond them makes the library abort the process.
MAX_ROWS = 1_048_576
MAX_COLUMNS = 16_384
MAX_CELLS = 3_000_000
"""Rows times columns of a sheet's bounding box, blank cells included."""
MAX_LIBRARY_BYTES = 320 * 1024 * 1024
"""Memory for the library's cells and their texts. Each use of a shared string counts, because the
library copies it into the cell.
"""
CELL_BYTES = 72
"""The library's bytes for a cell: 32 in the box, 40 in the list that the box is made from."""
STRING_OVERHEAD = 24
"""Bytes that an allocator takes for each text besides its length."""
# Bytes of a replaced value and of its entry in the dictionary.
_REPLACED_BYTES = 200
# These are kept as Python objects, one for each, however little the file takes to repeat them.
MAX_ERRORS = 200_000
MAX_MERGED = 200_000

NO_VALUE = "formula without a value"
"""Text of the error for a formula that no program has calculated yet."""


class BadWorkbook(Exception):
    """The workbook can't be used; the message has the reason and a remedy, but no file name."""


class TooLarge(BadWorkbook):
    """The workbook needs more memory than allowed."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"{reason} Save the sheet as 'CSV UTF-8', which is read without a bound, and push that "
            "file."
        )


class Sheet(Struct, frozen=True):
    """A sheet's entry in the workbook; `place` is its part's name, or its index as text."""

    name: str
    visible: bool
    is_grid: bool
    place: str


@dataclass(slots=True)
class Survey:
    """The counts of one sheet. Rows and columns count from 0.

    `filled` has the number of cells in each row that show something, error cells excluded. `errors`
    has the text of error cells by (row, column), `replaced` the values that the library is known to
    get wrong, `formatted` the cells whose number format shows another text. `merged` has ranges as
    (first row, first column, last row, last column), `negatives` the cells with negative numbers,
    ascending, as `packed` numbers.
    """

    filled: array[int] = field(default_factory=lambda: array("I"))
    errors: dict[tuple[int, int], str] = field(default_factory=dict)
    merged: list[tuple[int, int, int, int]] = field(default_factory=list)
    negatives: array[int] = field(default_factory=lambda: array("Q"))
    replaced: dict[tuple[int, int], Cell] = field(default_factory=dict)
    formatted: FormattedCells = field(default_factory=FormattedCells)
    hidden_rows: int = 0
    hidden_columns: set[int] = field(default_factory=set)

    def has_negative(self, row: int, column: int) -> bool:
        """Return whether the file has a negative number in a cell."""
        cell = packed(row, column)
        at = bisect_left(self.negatives, cell)
        return at < len(self.negatives) and self.negatives[at] == cell


def packed(row: int, column: int) -> int:
    """Return a cell's row and column as one number; such numbers sort by row, then by column."""
    return row * MAX_COLUMNS + column


@dataclass(slots=True)
class Bounds:
    """Counts what the library will allocate; raises TooLarge as soon as a bound is passed."""

    max_cells: int = MAX_CELLS
    texts: int = 0
    cells: int = 0
    kept: int = 0
    _box: list[int] | None = None

    def cell(self, row: int, column: int, times: int = 1, down: int = 1) -> None:
        """Count a cell of the library, `times` across and `down` rows."""
        last_row, last_column = row + down - 1, column + times - 1
        if not (row >= 0 and last_row < MAX_ROWS and column >= 0 and last_column < MAX_COLUMNS):
            raise BadWorkbook(
                f"a cell is outside of any sheet (row {last_row + 1}, column {last_column + 1}). "
                "Open the workbook in a spreadsheet program and save it again."
            )
        box = self._box
        # Called for every cell, nearly all of which are inside the box so far.
        if box is None:
            self._box = [row, column, last_row, last_column]
        elif row < box[0] or column < box[1] or last_row > box[2] or last_column > box[3]:
            self._box = [
                min(row, box[0]),
                min(column, box[1]),
                max(last_row, box[2]),
                max(last_column, box[3]),
            ]
        else:
            self._add(times * down)
            return
        self._add(times * down)
        self._check_box()

    def text(self, size: int, times: int = 1) -> None:
        """Count a text of `size` bytes that the library holds `times` over."""
        self.texts += (size + STRING_OVERHEAD) * times
        self._check_bytes()

    def next_sheet(self) -> None:
        """Begin another sheet that the library holds as well, so that the boxes add up."""
        if self._box is not None:
            self.max_cells -= self._area()
            self.kept += self._area()
            self.cells, self._box = 0, None

    def _add(self, cells: int) -> None:
        self.cells += cells
        if self.cells > self.max_cells:
            self._refuse(self.cells)

    def _check_bytes(self) -> None:
        if self.texts + (self.kept + self.cells) * CELL_BYTES > MAX_LIBRARY_BYTES:
            raise TooLarge(
                f"its cells and texts take more than {MAX_LIBRARY_BYTES // 2**20} MB of memory."
            )

    def _area(self) -> int:
        box = self._box or [0, 0, -1, -1]
        return (box[2] - box[0] + 1) * (box[3] - box[1] + 1)

    def _check_box(self) -> None:
        if max(self._area(), self.cells) > self.max_cells:
            self._refuse(max(self._area(), self.cells))

    def _refuse(self, cells: int) -> None:
        raise TooLarge(
            f"the sheet spans {cells:,} cells or more, from its first filled one to its last; "
            f"{self.max_cells:,} can be read. Delete cells far from the table, or:"
        )


class Builder:
    """Collects a `Survey` cell by cell, within `Bounds`."""

    def __init__(self, bounds: Bounds, formats: Formats | None = None) -> None:
        self.survey = Survey()
        self.bounds = bounds
        self._formats = formats or Formats({}, ())
        self.survey.formatted = self._formats.cells()
        self._hidden = bytearray()

    def filled(self, row: int, column: int) -> None:
        """Add a cell that shows something."""
        self.bounds.cell(row, column)
        self._count(row)

    def text(self, row: int, column: int, size: int, *, shown: bool) -> None:
        """Add a cell with a text of `size` bytes, which may be blank."""
        self.bounds.text(size)
        if shown:
            self.filled(row, column)
        else:
            self.blank(row, column)

    def filled_many(self, row: int, column: int, times: int, down: int) -> None:
        """Add a block of equal cells that show something."""
        self.bounds.cell(row, column, times, down)
        for each in range(row, row + down):
            self._count(each, times)

    def blank(self, row: int, column: int, times: int = 1, down: int = 1) -> None:
        """Add cells that show nothing, but are part of the library's box."""
        self.bounds.cell(row, column, times, down)

    def error(self, row: int, column: int, shown: str, times: int = 1, down: int = 1) -> None:
        """Add cells that show an error."""
        self.bounds.cell(row, column, times, down)
        if len(self.survey.errors) + times * down > MAX_ERRORS:
            raise TooLarge(f"more than {MAX_ERRORS:,} cells show an error such as {shown}.")
        for each in range(row, row + down):
            self._reach(each)
            for across in range(column, column + times):
                self.survey.errors[each, across] = shown

    def negative(self, row: int, column: int) -> None:
        """Record that a filled cell has a negative number."""
        self.survey.negatives.append(packed(row, column))

    def number(self, row: int, column: int, style: int) -> None:
        """Record the style of a cell that has a number."""
        index = self._formats.of_number(style)
        if index >= 0:
            self.survey.formatted.add(row, column, index)

    def styled_text(self, row: int, column: int, style: int) -> None:
        """Record the style of a cell that has a text."""
        index = self._formats.of_text(style)
        if index >= 0:
            self.survey.formatted.add(row, column, index)

    def replace(self, row: int, column: int, value: Cell) -> None:
        """Replace the value of a filled cell that the library gets wrong."""
        self.bounds.text(_REPLACED_BYTES)
        self.survey.replaced[row, column] = value

    def hidden(self, row: int, down: int = 1) -> None:
        """Record hidden rows."""
        # Programs hide all rows below a table, and ODS may claim more than a sheet has. Rows out of
        # bounds matter only once they have cells, which `Bounds` refuses.
        if not (row >= 0 and row + down <= MAX_ROWS):
            return
        if row + down > len(self._hidden):
            self._hidden.extend(bytes(row + down - len(self._hidden)))
        self._hidden[row : row + down] = b"\1" * down

    def merged(self, first_row: int, first_column: int, last_row: int, last_column: int) -> None:
        """Record a merged range, ends included."""
        if len(self.survey.merged) >= MAX_MERGED:
            raise TooLarge(f"more than {MAX_MERGED:,} ranges are merged.")
        self.survey.merged.append((first_row, first_column, last_row, last_column))

    def done(self) -> Survey:
        """Return the complete survey."""
        survey = self.survey
        survey.merged.sort()
        # Sorted, because a file may have rows in any order, and `has_negative` bisects.
        survey.negatives = array("Q", sorted(survey.negatives))
        survey.hidden_rows = sum(
            1
            for hidden, count in zip(self._hidden, survey.filled, strict=False)
            if hidden and count
        )
        return survey

    def _reach(self, row: int) -> None:
        """Extend the counts to a row, with zeros."""
        counts = self.survey.filled
        if row >= len(counts):
            counts.frombytes(bytes(counts.itemsize * (row + 1 - len(counts))))

    def _count(self, row: int, times: int = 1) -> None:
        counts = self.survey.filled
        if row >= len(counts):
            self._reach(row)
        counts[row] += times


class Surveyor(Protocol):
    """One workbook, open for surveys; one class for each format."""

    @property
    def format(self) -> str:
        """`XLSX`, `XLSM`, `XLSB`, `ODS` or `XLS`."""
        ...

    @property
    def sheets(self) -> list[Sheet]:
        """All sheets, in the program's order."""
        ...

    def survey(self, sheet: Sheet) -> Survey:
        """Survey a sheet before the library reads it; raises BadWorkbook, TooLarge."""
        ...

    def for_library(self, sheet: Sheet) -> AbstractContextManager[tuple[BinaryIO, int]]:
        """Yield a file for the library, after a survey of `sheet`, and the sheet's index in it."""
        ...


def shown_text(text: str | bytes) -> bool:
    """Return whether a person sees anything in a cell with this text."""
    return bool(text.strip())


def utf_8_bytes(text: str) -> int:
    """Return how many bytes a text of UTF-16 takes in the library, at most: three for each unit."""
    return 3 * len(text)


def sweep(merged: list[tuple[int, int, int, int]]) -> Iterator[list[tuple[int, int, int, int]]]:
    """Yield for row 0, 1, 2 ... its merged ranges; `merged` is sorted by first row."""
    active: list[tuple[int, int, int, int]] = []
    at = row = 0
    while True:
        while at < len(merged) and merged[at][0] <= row:
            active.append(merged[at])
            at += 1
        active = [each for each in active if each[2] >= row]
        yield active
        row += 1
