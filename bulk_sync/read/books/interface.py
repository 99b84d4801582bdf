"""The interface of workbooks: their sheets, the rows of each, and the errors of a bad file."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Protocol

from msgspec import Struct

from bulk_sync.model.rows import Row

# The size of Excel's sheets.
MAX_ROWS = 1_048_576
MAX_COLUMNS = 16_384
# Ranges are kept as Python objects, however little the file takes to repeat them.
MAX_MERGED = 200_000
MAX_CHARACTERS = 4_000_000
"""Characters of a cell, a hundred times those that programs allow; its pieces are kept."""

NO_VALUE = "formula without a value"
"""Text of the error for a formula that no program has calculated yet."""

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


class BadWorkbook(Exception):
    """The workbook can't be used; the message has the reason and a remedy, but no file name."""


class TooLarge(BadWorkbook):
    """The workbook needs more memory than allowed."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"{reason} Save the sheet as 'CSV UTF-8', which may have any length, and push that "
            "file."
        )


class Sheet(Struct, frozen=True):
    """A sheet's entry in the workbook; `place` is its part's name, or its index as text."""

    name: str
    visible: bool
    is_grid: bool
    place: str


class Grid(Protocol):
    """The cells of one sheet, each as a spreadsheet program shows it."""

    @property
    def hidden_rows(self) -> int:
        """The number of hidden rows with a cell that shows something, as far as they were read."""
        ...

    @property
    def hidden_columns(self) -> Collection[int]:
        """The hidden columns, counted from 0; complete once a row was read."""
        ...

    def filled(self) -> Iterator[Row]:
        """Yield the rows with a cell that shows something, from the sheet's first row on.

        May be called again, and left before its end. Raises BadWorkbook, with the row, for cells
        that can't be read.
        """
        ...


class Book(Protocol):
    """One open workbook; one class for each format."""

    @property
    def format(self) -> str:
        """`XLSX`, `XLSM`, `XLSB`, `ODS` or `XLS`."""
        ...

    @property
    def sheets(self) -> list[Sheet]:
        """All sheets, in the program's order."""
        ...

    def open(self, sheet: Sheet) -> Grid:
        """Return a sheet's cells; raises BadWorkbook, TooLarge."""
        ...
