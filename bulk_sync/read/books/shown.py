"""Cells that a person sees, and those that a merged range hides."""

from __future__ import annotations

from collections.abc import Iterable

from bulk_sync.model.rows import Cell
from bulk_sync.read.books.interface import MAX_COLUMNS, MAX_ROWS, BadWorkbook

Range = tuple[int, int, int, int]
"""First row, first column, last row, last column; ends included, counted from 0."""
Span = tuple[int, int]
"""First column, and the one after the last."""


def shows(cell: Cell) -> bool:
    """Return whether a person sees anything in a cell."""
    return not isinstance(cell, str) or bool(cell.strip())


def joined(spans: Iterable[Span]) -> list[Span]:
    """Return the columns of all spans as ascending spans that don't overlap.

    So blanking a row costs no more than its cells, whatever ranges a file claims to be merged.
    """
    found: list[Span] = []
    end = 0
    for first, last in sorted(spans):
        if last > end:
            found.append((max(first, end), last))
            end = last
    return found


def blank(cells: list[Cell], spans: Iterable[Span]) -> None:
    """Blank the cells in the spans, which are in the order of `joined`."""
    for first, end in spans:
        if first >= len(cells):
            break
        for column in range(first, min(end, len(cells))):
            cells[column] = ""


class Covering:
    """Blanks the cells that merged ranges hide: all but the first one of each."""

    def __init__(self, merged: Iterable[Range]) -> None:
        self._merged = sorted(merged, reverse=True)
        self._active: list[Range] = []
        self._hidden: list[Span] = []
        # The first row with other hidden columns.
        self._changes_at = 0

    @property
    def is_active(self) -> bool:
        """True while there are ranges for this row or later ones."""
        return bool(self._merged or self._active)

    def blank(self, row: int, cells: list[Cell]) -> None:
        """Blank the hidden cells of a row; to be called for ascending rows."""
        if row >= self._changes_at:
            self._advance(row)
        blank(cells, self._hidden)

    def _advance(self, row: int) -> None:
        """Find the hidden columns of a row, and how long they stay the same."""
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
        self._hidden = joined(
            (left + (row == top), right + 1) for top, left, _, right in self._active
        )
        changes = [row + 1 if row == top else last + 1 for top, _, last, _ in self._active]
        if self._merged:
            changes.append(self._merged[-1][0])
        self._changes_at = min(changes, default=MAX_ROWS)
