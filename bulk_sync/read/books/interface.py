"""The interface of workbooks: sheets, and the rows of each."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Protocol

from bulk_sync.model.rows import Row
from bulk_sync.read.survey.interface import Sheet


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
