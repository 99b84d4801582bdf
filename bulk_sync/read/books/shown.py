"""Cells that a person sees, and those that a merged range hides."""

from __future__ import annotations

from collections.abc import Iterable

from bulk_sync.model.rows import Cell
from bulk_sync.read.books.interface import MAX_COLUMNS, BadWorkbook

Range = tuple[int, int, int, int]
"""First row, first column, last row, last column; ends included, counted from 0."""


def shows(cell: Cell) -> bool:
    """Return whether a person sees anything in a cell."""
    return not isinstance(cell, str) or bool(cell.strip())


class Covering:
    """Blanks the cells that merged ranges hide: all but the first one of each."""

    def __init__(self, merged: Iterable[Range]) -> None:
        self._merged = sorted(merged, reverse=True)
        self._active: list[Range] = []

    @property
    def is_active(self) -> bool:
        """True while there are ranges for this row or later ones."""
        return bool(self._merged or self._active)

    def blank(self, row: int, cells: list[Cell]) -> None:
        """Blank the hidden cells of a row; to be called for ascending rows."""
        if not self.is_active:
            return
        self._active = [each for each in self._active if each[2] >= row]
        while self._merged and self._merged[-1][0] <= row:
            merged = self._merged.pop()
            if merged[2] >= row:
                self._active.append(merged)
        # Ranges that overlap could make each row cost as much as the file has ranges.
        if len(self._active) > MAX_COLUMNS:
            raise BadWorkbook(
                f"more merged ranges cross row {row + 1} than it has cells. Open the workbook in a "
                "spreadsheet program and save it again."
            )
        for top, left, _, right in self._active:
            first = left + 1 if row == top else left
            for column in range(first, min(right + 1, len(cells))):
                cells[column] = ""
