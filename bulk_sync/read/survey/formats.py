"""The number formats of a workbook's cells, by the style that each cell names.

Only formats that change what a cell shows matter here; dates are the library's.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence

from bulk_sync.read.books.styles import code_of, is_date
from bulk_sync.read.number_format import changes_texts, is_plain

_FORMAT_BITS = 16
_ROW_BITS = 14 + _FORMAT_BITS  # a column has 14 bits
_NONE = -1


class Formats:
    """The codes of a workbook's formats, and which of them a cell style has.

    `own` are the codes that the file defines by their ids, `styles` the ids by cell style.
    """

    def __init__(self, own: Mapping[int, str], styles: Sequence[int]) -> None:
        self._of_number: list[int] = []
        self._of_text: list[int] = []
        indexes: dict[str, int] = {}
        for format_id in styles:
            code = code_of(format_id, own)
            index = indexes.setdefault(code, len(indexes))
            self._of_number.append(_NONE if is_plain(code) or is_date(format_id, own) else index)
            # A format of dates may have a section for texts.
            self._of_text.append(index if changes_texts(code) else _NONE)
        self.codes = list(indexes)

    def of_number(self, style: int) -> int:
        """Return the index of the code for a number in a style; -1 if it is shown as it is."""
        return self._of_number[style] if style < len(self._of_number) else _NONE

    def of_text(self, style: int) -> int:
        """Return the index of the code for a text in a style; -1 if it is shown as it is."""
        return self._of_text[style] if style < len(self._of_text) else _NONE

    def cells(self) -> FormattedCells:
        """Return an empty list of cells with these formats."""
        return FormattedCells(self.codes)


class FormattedCells:
    """The cells of a sheet whose format changes what they show: ten bytes for each."""

    def __init__(self, codes: Sequence[str] = ()) -> None:
        self.codes = codes
        # Row, column and index of the code in one number, so that they sort by place.
        self._cells = array("Q")
        self._is_sorted = True

    def add(self, row: int, column: int, index: int) -> None:
        """Add a cell."""
        cell = row << _ROW_BITS | column << _FORMAT_BITS | index
        if self._cells and cell < self._cells[-1]:
            self._is_sorted = False
        self._cells.append(cell)

    def of_row(self, row: int) -> Iterator[tuple[int, str]]:
        """Yield column and code of a row's cells; once all cells were added."""
        if not self._is_sorted:  # a file may have its rows in any order
            self._cells = array("Q", sorted(self._cells))
            self._is_sorted = True
        at = bisect_left(self._cells, row << _ROW_BITS)
        end = (row + 1) << _ROW_BITS
        while at < len(self._cells) and (cell := self._cells[at]) < end:
            column = cell >> _FORMAT_BITS & ((1 << (_ROW_BITS - _FORMAT_BITS)) - 1)
            yield column, self.codes[cell & ((1 << _FORMAT_BITS) - 1)]
            at += 1
